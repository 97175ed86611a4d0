"""How many rows each table has in a dump's own snapshot: counted while pg_dump reads the same pages, or estimated."""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import asyncpg

from backup.settings import Job
from backup.sql import query, quote_identifier
from toban.backups import TableRows
from toban.secrets import blot

Manner = Literal["exact", "estimate", "none"]
LARGE_OBJECTS: Final = ("pg_catalog", "pg_largeobject_metadata")
LOCK_SECONDS: Final = 2  # to wait for a table that somebody wants for himself: the dump has it already, and goes first


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One whose rows the dump holds, as the snapshot has it."""

    oid: int
    schema: str
    name: str
    unlogged: bool
    size_bytes: int
    rows_then: float  # at the last ANALYZE or VACUUM; below 0 when there was none
    pages_then: int
    pages: int

    @property
    def said(self) -> str:
        """As pg_dump calls it."""
        return f"{self.schema}.{self.name}"

    @property
    def estimate(self) -> int | None:
        """As a planner would: the density of then, the size of now; None where nobody has looked yet."""
        if self.pages == 0:
            return 0
        if self.rows_then < 0 or self.pages_then == 0:
            return None
        return round(self.rows_then / self.pages_then * self.pages)


async def tables_of(connection: Any) -> tuple[Table, ...]:  # noqa: ANN401 - asyncpg ships no types
    """Every table that the snapshot has."""
    return tuple(Table(**dict(row)) for row in await connection.fetch(query(__package__, "tables")))


def dumped_of(tables: Iterable[Table], without: Collection[int], *, standby: bool) -> tuple[Table, ...]:
    """Those whose rows will be in the dump: not of these oids, and a standby has none of an unlogged table."""
    return tuple(table for table in tables if table.oid not in without and not (standby and table.unlogged))


class Counter:
    """Counts the tables of one snapshot, in the order in which pg_dump comes to them."""

    def __init__(self, connection: Any, database: str, job: Job) -> None:  # noqa: ANN401 - asyncpg ships no types
        self._connection = connection
        self._database = database
        self._waiting: dict[str, list[Table]] = {}  # by what pg_dump calls them: "a.b" of c is "a" of "b.c" to it
        self._manner: Manner = job.rows
        self._exact_below = job.rows_exact_below
        self._reached: asyncio.Queue[str | None] = asyncio.Queue()
        self._uncounted: list[str] = []
        self._unknown: list[str] = []
        self.rows: list[TableRows] = []
        """What is known so far."""

    def know(self, tables: Iterable[Table]) -> None:
        """The tables that there are."""
        self._waiting = {}
        for table in tables:
            self._waiting.setdefault(table.said, []).append(table)

    def reach(self, said: str) -> None:
        """The dump has come to this table: its pages are being read."""
        self._reached.put_nowait(said)

    def finish(self) -> None:
        """The dump is done: what is left may be counted at once."""
        self._reached.put_nowait(None)

    async def run(self) -> None:
        """Count until the dump is done and no table is left."""
        if self._manner == "none":
            return
        while (said := await self._reached.get()) is not None:
            await self._take_all(said)
        while self._waiting:
            await self._take_all(next(iter(self._waiting)))
        await self._count_large_objects()

    def notes(self, ended: BaseException | None = None) -> Iterator[str]:
        """What a person should know of the numbers."""
        if ended is not None:
            why = blot(" ".join(str(ended).split()) or type(ended).__name__)
            left = sum(map(len, self._waiting.values())) + 1
            yield f"{self._database}: {left} tables were not counted: {why}"
        if self._uncounted:
            yield f"{self._database}: estimated, since somebody wanted them alone: {some_of(self._uncounted)}"
        if self._unknown:
            yield f"{self._database}: rows unknown, since never analyzed: {some_of(self._unknown)}"

    async def _take_all(self, said: str) -> None:
        for table in self._waiting.pop(said, ()):
            await self._take(table)

    async def _take(self, table: Table) -> None:
        if self._manner == "estimate" or table.size_bytes > self._exact_below:
            self._estimate(table)
            return
        try:
            counted = await self._count(table.schema, table.name)
        except (asyncpg.LockNotAvailableError, asyncpg.UndefinedTableError):
            self._uncounted.append(table.said)
            self._estimate(table)
        else:
            self._note(table, counted, exact=True)

    async def _count(self, schema: str, name: str) -> int:
        """In a savepoint that is rolled back: so a failure costs no snapshot, and the lock goes at once."""
        asked = f"SELECT count(*) FROM ONLY {quote_identifier(schema)}.{quote_identifier(name)}"  # noqa: S608 - quoted
        savepoint = self._connection.transaction()
        await savepoint.start()
        try:
            return int(await self._connection.fetchval(asked))
        finally:
            await savepoint.rollback()

    async def _count_large_objects(self) -> None:
        number = await self._count(*LARGE_OBJECTS)
        if number:
            schema, name = LARGE_OBJECTS
            self.rows.append(TableRows(database=self._database, schema=schema, table=name, rows=number))

    def _estimate(self, table: Table) -> None:
        if table.estimate is None:
            self._unknown.append(table.said)
        else:
            self._note(table, table.estimate, exact=False)

    def _note(self, table: Table, rows: int, *, exact: bool) -> None:
        self.rows.append(
            TableRows(database=self._database, schema=table.schema, table=table.name, rows=rows, exact=exact)
        )


def some_of(names: Sequence[str], most: int = 3) -> str:
    """The first of them, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
