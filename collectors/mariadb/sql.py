"""The SQL of a collector: `queries/NAME/FLOOR.sql` for MariaDB, `queries/NAME/mysql.sql` where MySQL differs."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

_VERSION = re.compile(r"(?:5\.5\.5-)?(\d+)\.(\d+)\.(\d+)")  # MariaDB before 11 says 5.5.5- first, for old clients
OLDEST_MARIADB = 100500
OLDEST_MYSQL = 80022


@dataclass(frozen=True, slots=True)
class Edition:
    """Which server this is, out of what it says when we enter."""

    banner: str

    @property
    def mariadb(self) -> bool:
        """MariaDB, else MySQL or one of its relatives."""
        return "mariadb" in self.banner.lower()

    @property
    def number(self) -> int:
        """10.11.19 as 101119; 0 when the banner is none."""
        found = _VERSION.match(self.banner)
        return int(found[1]) * 10000 + int(found[2]) * 100 + int(found[3]) if found else 0

    @property
    def short(self) -> str:
        """The version as people write it."""
        return ".".join(found.groups()) if (found := _VERSION.match(self.banner)) else self.banner

    @property
    def shortfall(self) -> str:
        """Why Toban cannot read this one; empty when it can."""
        name, oldest = ("MariaDB", OLDEST_MARIADB) if self.mariadb else ("MySQL", OLDEST_MYSQL)
        if self.number >= oldest:
            return ""
        return f"Toban needs {name} {oldest // 10000}.{oldest // 100 % 100}.{oldest % 100}, this server is {self.short}"


class Query:
    """One question."""

    def __init__(self, name: str) -> None:
        self.name = name

    def text(self, edition: Edition) -> str:
        """The SQL for this server: the nearest floor at or below its version."""
        texts = _texts(self.name)
        if not edition.mariadb and "mysql" in texts:
            return texts["mysql"]
        floors = sorted(int(floor) for floor in texts if floor.isdigit())
        number = edition.number if edition.mariadb else floors[0]
        return texts[str(max(floor for floor in floors if floor <= number))]


@cache
def _texts(name: str) -> dict[str, str]:
    folder = resources.files("collectors.mariadb").joinpath("queries", name)
    return {
        file.name.removesuffix(".sql"): file.read_text("utf-8")
        for file in folder.iterdir()
        if file.name.endswith(".sql")
    }
