"""The history's SQL: one query a file in `queries/`, read once."""

from functools import cache
from importlib import resources


@cache
def query(name: str) -> str:
    """The text of `queries/NAME.sql`."""
    return resources.files("history").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
