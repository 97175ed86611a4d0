"""The SQL of backups: one query a file, in a `queries/` folder beside the code that asks it."""

from functools import cache
from importlib import resources


@cache
def query(package: str, name: str) -> str:
    """The text of `queries/NAME.sql` of a package: `query(__package__, "tables")`."""
    return resources.files(package).joinpath("queries", f"{name}.sql").read_text("utf-8")


def quote_identifier(identifier: str) -> str:
    """A name as SQL takes it, whatever stands in it."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A string as SQL takes it, whatever stands in it and whatever `standard_conforming_strings` says."""
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted
