"""The SQL of a collector: files in `queries/NAME/FLOOR.sql`, chosen by the server's version."""

from functools import cache
from importlib import resources

from toban.outcomes import Failure, Reason

OLDEST = 140000


class UnsupportedVersionError(Exception):
    """The server is older than the oldest floor of a query."""

    def __init__(self, query: str, floor: int, version: int) -> None:
        super().__init__(query)
        self.failure = Failure(
            reason=Reason.VERSION,
            detail=f"{query} needs PostgreSQL {floor // 10000}, this server is {version // 10000}",
        )


class Query:
    """One question with an answer for each server version: the nearest floor at or below the server's."""

    def __init__(self, name: str) -> None:
        self.name = name

    @property
    def floors(self) -> dict[int, str]:
        """Each floor with its SQL, highest first."""
        return _floors(self.name)

    def text(self, version: int) -> str:
        """The SQL for a server of this version (as `server_version_num`)."""
        for floor, sql in self.floors.items():
            if floor <= version:
                return sql
        raise UnsupportedVersionError(self.name, min(self.floors), version)


def quote_identifier(identifier: str) -> str:
    """A name as SQL takes it, whatever stands in it."""
    return '"' + identifier.replace('"', '""') + '"'


def quote_literal(text: str) -> str:
    """A string as SQL takes it, whatever stands in it and whatever `standard_conforming_strings` says."""
    quoted = "'" + text.replace("'", "''").replace("\\", "\\\\") + "'"
    return f"E{quoted}" if "\\" in text else quoted


@cache
def _floors(name: str) -> dict[int, str]:
    folder = resources.files("collectors.postgresql").joinpath("queries", name)
    found = {
        int(f.name.removesuffix(".sql")): f.read_text("utf-8") for f in folder.iterdir() if f.name.endswith(".sql")
    }
    return dict(sorted(found.items(), reverse=True))
