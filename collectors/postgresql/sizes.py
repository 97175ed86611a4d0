"""How large each database is. Asked one at a time: one that cannot be measured is a gap, and no other suffers."""

from collections import deque
from typing import Any

import asyncpg

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.failures import SETUP_HINT
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit

SIZE = Metric(
    name="pg_database_size_bytes",
    help="Size of the database on disk",
    unit=Unit.BYTES,
    labels=("datname",),
    compatible=True,
    kept=True,
)
TOTAL = Metric(
    name="toban_pg_databases_size_bytes",
    help="Size on disk of all the databases looked at; absent while one of them could not be measured",
    unit=Unit.BYTES,
    kept=True,
)
SHARE_OF_TIMEOUT = 0.8  # the rest of the turn's time is for the statement under way
NAMED = 5  # databases named in a gap
_ENDING = frozenset({Reason.TIMEOUT, Reason.LOCKED})  # the server is busy: do not go on asking
_HINTS = {Reason.PRIVILEGE: SETUP_HINT}


class SizesSettings(CollectorSettings):
    """The server looks at every file for it: not often."""

    every: Duration = 300.0
    timeout: Duration = 30.0


class Sizes(Collector[PostgresServer, SizesSettings]):
    """The size of every database that is looked at."""

    name = "sizes"
    purpose = "Which of the databases grows, and how large each is."
    kind = Kind.POSTGRESQL
    metrics = (SIZE, TOTAL)
    settings_model = SizesSettings
    listing = Query("sizes_list")
    query = Query("sizes")

    def __init__(self, source: PostgresServer, settings: SizesSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._left: frozenset[str] = frozenset()

    async def collect(self) -> Findings:
        """Ask for one size after the other, first for those that the last turn did not come to."""
        deadline = self.clock.monotonic() + self.settings.timeout * SHARE_OF_TIMEOUT
        queue = await self._queue()
        sizes: dict[str, int] = {}
        missing: dict[Reason, list[str]] = {}
        while queue and self.clock.monotonic() < deadline and not _ENDING & missing.keys():
            datname, oid = queue.popleft()
            size = await self._size_bytes(oid)
            if isinstance(size, Reason):
                missing.setdefault(size, []).append(datname)
            else:
                sizes[datname] = size
        self._left = frozenset(datname for datname, _ in queue)
        if queue:
            missing.setdefault(Reason.TIMEOUT, []).extend(datname for datname, _ in queue)
        return self._findings(sizes, missing)

    async def _queue(self) -> deque[tuple[str, int]]:
        rows: list[Any] = await self.source.fetch(self.listing)
        self.source.data_directory = next((row["data_directory"] for row in rows), None)
        chosen = [(row["datname"], row["oid"]) for row in rows if self.source.databases.chosen(row["datname"])]
        return deque(sorted(chosen, key=lambda database: database[0] not in self._left))

    async def _size_bytes(self, oid: int) -> int | Reason:
        try:
            (row,) = await self.source.fetch(self.query, oid)
        except asyncpg.UndefinedObjectError:  # how 18 says that there is no such database
            return Reason.NOT_FOUND
        except asyncpg.PostgresError as error:
            failure = self.source.explain(error)
            if failure.down and failure.reason is not Reason.NOT_FOUND:
                raise
            return failure.reason
        return Reason.NOT_FOUND if row["size_bytes"] is None else int(row["size_bytes"])

    def _findings(self, sizes: dict[str, int], missing: dict[Reason, list[str]]) -> Findings:
        batch = Batch(self.clock.now())
        for datname, size_bytes in sizes.items():
            batch.add(SIZE, size_bytes, datname)
        if not missing.keys() - {Reason.NOT_FOUND}:  # one that was dropped a moment ago has no size to miss
            batch.add(TOTAL, sum(sizes.values()))
        return Findings(samples=batch.samples, gaps=tuple(_gap(reason, names) for reason, names in missing.items()))


def _gap(reason: Reason, names: list[str]) -> Gap:
    detail = ", ".join(names[:NAMED]) + (", …" if len(names) > NAMED else "")
    return Gap(what="database sizes", reason=reason, count=len(names), detail=detail, hint=_HINTS.get(reason, ""))
