"""The SQL of the files that are kept: one query a file in a package's `queries/`, read once."""

from functools import cache
from importlib import resources


@cache
def query(name: str, of: str = "history") -> str:
    """The text of `queries/NAME.sql` in a package."""
    return resources.files(of).joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")
