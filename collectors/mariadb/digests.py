"""Which statements cost what: performance_schema's digests, within a cardinality budget.

The books are those of PostgreSQL's statements (`collectors.postgresql.ledger`): who has series, and what came between
two readings. A restart, or a TRUNCATE of the digests, makes one interval unknown.
"""

from collections.abc import Iterable, Iterator
from itertools import count
from typing import Any

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.mariadb.server import MariadbServer
from collectors.mariadb.sql import Query
from collectors.postgresql.differencing import Reading, Statement, Use
from collectors.postgresql.ledger import Account, Ledger
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Failure, Gap, Reason
from toban.samples import Batch, Findings, Metric, Sample, Type, Unit
from toban.statements import StatementText, StatementUse, blot_literals

OTHER = "other"
LOST = "lost"  # what the server had no room for, and sums up without a digest
TEXT_LENGTH = 2000
TEXTS_AT_ONCE = 200
RESTART_SLACK_SECONDS = 2.0  # uptime comes in whole seconds

_LABELS = ("schema", "digest")


def _counter(name: str, help: str, unit: Unit = Unit.NONE) -> Metric:  # noqa: A002 - the field's name
    name = f"mysql_perf_schema_events_statements_{name}"
    return Metric(name=name, help=help, type=Type.COUNTER, unit=unit, labels=_LABELS, compatible=True)


CALLS = _counter("total", "Calls of a statement")
SECONDS = _counter("seconds_total", "Time spent executing a statement", Unit.SECONDS)
ROWS = _counter("rows_total", "Rows a statement returned or changed")
EXAMINED = _counter("rows_examined_total", "Rows a statement looked at")
DISK_TABLES = _counter("tmp_disk_tables_total", "Temporary tables a statement made on disk")
ERRORS = _counter("errors_total", "Calls of a statement that ended in an error")
OTHERS = Metric(name="toban_mysql_digests_other_statements", help="Digests that the row `other` sums up")
_MEASURES = (CALLS, SECONDS, ROWS, EXAMINED, DISK_TABLES, ERRORS)
_COLUMNS = ("calls", "seconds", "touched", "examined", "disk_tables", "errors")  # what stands in a Use, in its order

_STATE = Query("digests_state")
_CONSUMER = Query("digests_consumer")
_DIGESTS = Query("digests")
_TEXTS = Query("digest_texts")


class DigestsError(Exception):
    """The server keeps no books on statements."""

    def __init__(self, detail: str, hint: str) -> None:
        super().__init__(detail)
        self.failure = Failure(reason=Reason.EXTENSION_MISSING, detail=detail, hint=hint)


class DigestsSettings(CollectorSettings):
    """How often, and how many statements get series of their own."""

    every: Duration = 60.0
    top: int = Field(default=50, ge=1, le=1000)


class MariadbDigests(Collector[MariadbServer, DigestsSettings]):
    """The use of statements: counters for metrics, and each interval's use for people."""

    name = "mariadb_digests"
    purpose = "Which statements cost the server its time, and which look at far more rows than they return."
    kind = Kind.MARIADB
    metrics = (*_MEASURES, OTHERS)
    settings_model = DigestsSettings

    def __init__(self, source: MariadbServer, settings: DigestsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._ledger = Ledger(settings.top)
        self._started_at = 0.0
        self._epoch = 0  # grows with each restart and TRUNCATE: readings of one epoch count from the same start
        self._first_seen: dict[tuple[int, int, int, bool], float] = {}
        self._numbers: dict[str, int] = {}  # of schemas, since the books know databases by number
        self._free_numbers = count()  # none is given twice: a member may still go by it
        self._digests: dict[int, str] = {}
        self._told: set[str] = set()

    async def collect(self) -> Findings:
        """One reading, and what came between it and the last."""
        (state,) = await self.source.fetch(_STATE)
        if not state["switched_on"]:
            raise DigestsError(
                "performance_schema is switched off, which is MariaDB's default",
                "performance_schema = ON below [mariadb] in the server's configuration, and restart the server",
            )
        await self._check_consumer()
        rows = await self.source.fetch(_DIGESTS)
        reading = self._reading(state, rows)
        account = self._ledger.enter(reading, self.clock.monotonic())
        schemas = {number: name for name, number in self._numbers.items()}
        texts = await self._texts(account)
        return Findings(
            samples=self._samples(account, schemas), gaps=_lost(rows), rows=(*self._used(account, schemas), *texts)
        )

    async def _check_consumer(self) -> None:
        rows = await self.source.fetch(_CONSUMER)
        if not any(row["enabled"] == "YES" for row in rows):
            raise DigestsError(
                "performance_schema's consumer statements_digest is switched off",
                "performance-schema-consumer-statements-digest = ON, and restart the server",
            )

    def _reading(self, state: dict[str, Any], rows: list[dict[str, Any]]) -> Reading:
        started_at = float(state["now"]) - float(state["uptime"])
        restarted = abs(started_at - self._started_at) > RESTART_SLACK_SECONDS
        self._started_at = started_at if restarted else self._started_at
        entries: dict[tuple[int, int, int, bool], tuple[float, ...]] = {}
        first_seen: dict[tuple[int, int, int, bool], float] = {}
        known, self._numbers, self._digests = self._numbers, {}, {}
        for row in rows:
            digest, name = row["digest"] or "", row["schema_name"]  # the catch-all has no digest
            number = int(digest, 16) if digest else 0
            self._digests[number] = digest or LOST
            if name not in self._numbers:
                self._numbers[name] = known[name] if name in known else next(self._free_numbers)
            schema = self._numbers[name]
            identity = (0, schema, number, True)
            entries[identity] = (*(float(row[column]) for column in _COLUMNS), 0.0)
            first_seen[identity] = float(row["since"])
        if restarted or any(first_seen.get(identity) != since for identity, since in self._first_seen.items()):
            self._epoch += 1  # a digest goes only by TRUNCATE
        self._first_seen = first_seen
        return Reading(taken_at=float(state["now"]), started_at=self._epoch, reset_at=None, hidden=0, entries=entries)

    def _labels(self, statement: Statement, schemas: dict[int, str]) -> tuple[str, str]:
        return schemas[statement.dbid], self._digests[statement.queryid]

    def _samples(self, account: Account, schemas: dict[int, str]) -> tuple[Sample, ...]:
        batch = Batch(self.clock.now())
        shown = [(self._labels(statement, schemas), use) for statement, use in account.counters.items()]
        for labels, use in (*shown, (("", OTHER), account.other)):
            for metric, value in zip(_MEASURES, use, strict=True):
                batch.add(metric, value, *labels)
        batch.add(OTHERS, account.others)
        return batch.samples

    def _used(self, account: Account, schemas: dict[int, str]) -> Iterator[StatementUse]:
        """One row for each statement with calls since the last turn; after the first turn there is none."""
        if account.interval_seconds is None:
            return
        used = [(self._labels(statement, schemas), use) for statement, use in account.used.items()]
        for (schema, digest), use in (*used, (("", OTHER), account.other_used)):
            if use.calls:
                yield _row(digest, schema, use, account.interval_seconds)

    async def _texts(self, account: Account) -> list[StatementText]:
        """The texts of those that are shown and whose text was not handed on yet."""
        needed = {self._digests[s.queryid] for s in account.counters.keys() | account.used.keys()} - {LOST}
        self._told &= needed
        missing = sorted(needed - self._told)[:TEXTS_AT_ONCE]
        if not missing:
            return []
        rows = await self.source.fetch(_TEXTS, TEXT_LENGTH, tuple(missing))
        self._told.update(missing)
        return [StatementText(queryid=row["digest"], text=blot_literals(row["text"] or "").strip()) for row in rows]


def _row(digest: str, schema: str, use: Use, interval_seconds: float) -> StatementUse:
    """The server knows of no blocks by statement, nor by whom it was sent."""
    return StatementUse(
        queryid=digest,
        datname=schema,
        usename="",
        interval_seconds=interval_seconds,
        calls=use.calls,
        seconds=use.seconds,
        rows=use.rows,
        hit_blocks=0,
        read_blocks=0,
        temp_blocks=0,
    )


def _lost(rows: Iterable[dict[str, Any]]) -> tuple[Gap, ...]:
    """What the server had no room for stands in one row without a digest."""
    calls = int(sum(row["calls"] for row in rows if row["digest"] is None and row["calls"]))
    if not calls:
        return ()
    detail = "the server had no room for their digests; they are summed up as `lost`"
    hint = "raise performance_schema_digests_size, or TRUNCATE performance_schema.events_statements_summary_by_digest"
    return (Gap(what="calls of statements", reason=Reason.FULL, count=calls, detail=detail, hint=hint),)
