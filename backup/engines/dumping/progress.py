"""How far a dump has come: by the sizes of the tables that it has reached, and what was written since."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from backup.engines.contract import Tell
from backup.engines.dumping.counting import Table
from toban.backups import Progress

PHASE = "dump"
USUAL_RATIO = 3.0  # of what is read to what is written, where no earlier backup tells


def within(table_bytes: int, written_bytes: int, ratio: float) -> int:
    """How much of a table has been read, by what was written since it was begun; never more than there is."""
    return min(table_bytes, round(written_bytes * ratio))


def share_of(database_bytes: int, tables_bytes: int, read_bytes: int) -> int:
    """The same in terms of the database's size, which knows of indexes and what else is not read."""
    return round(database_bytes * min(1.0, read_bytes / tables_bytes)) if tables_bytes else 0


@dataclass(slots=True, kw_only=True)
class Course:
    """The way through one database. What lies before it in the same backup is `before_bytes`."""

    tell: Tell
    database: str
    size_bytes: int
    before_bytes: int
    total_bytes: int
    ratio: float
    _sizes: dict[str, int] = field(default_factory=dict)
    _tables_bytes: int = 0
    _passed_bytes: int = 0
    _table: str = ""
    _written_then: int = 0

    def know(self, tables: Iterable[Table]) -> None:
        """The tables that there are; with a new snapshot the way begins anew."""
        self._sizes = {table.said: table.size_bytes for table in tables}
        self._tables_bytes = sum(self._sizes.values())
        self._passed_bytes, self._table, self._written_then = 0, "", 0

    def reach(self, table: str, written_bytes: int) -> None:
        """Another table is begun."""
        self._passed_bytes += self._sizes.get(self._table, 0)
        self._table, self._written_then = table, written_bytes
        self.say(written_bytes)

    def say(self, written_bytes: int) -> None:
        """Tell how far it is."""
        here = within(self._sizes.get(self._table, 0), written_bytes - self._written_then, self.ratio)
        done = share_of(self.size_bytes, self._tables_bytes, self._passed_bytes + here)
        what = f"{self.database}: {self._table}" if self._table else self.database
        self.tell(Progress(phase=PHASE, done_bytes=self.before_bytes + done, total_bytes=self.total_bytes, what=what))
