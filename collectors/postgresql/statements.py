"""Which statements cost what: `pg_stat_statements`, read without its texts, within a cardinality budget."""

from collections.abc import Iterator
from copy import copy
from dataclasses import dataclass
from typing import Any

import asyncpg
from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.differencing import Reading, Statement, Use
from collectors.postgresql.failures import SETUP_HINT
from collectors.postgresql.ledger import Account, Ledger
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from collectors.postgresql.statement_texts import Texts
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Failure, Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit
from toban.statements import StatementText, StatementUse

OTHER = "other"
RECHECK_SECONDS = 300.0  # between two looks for an extension that was not there
NAMES_SECONDS = 600.0  # before a renamed role or database is known by its new name

_LABELS = ("queryid", "datname", "usename")
CALLS = Metric(
    name="pg_stat_statements_calls_total",
    help="Calls of a statement",
    type=Type.COUNTER,
    labels=_LABELS,
    compatible=True,
)
SECONDS = Metric(
    name="pg_stat_statements_seconds_total",
    help="Time spent executing a statement",
    type=Type.COUNTER,
    unit=Unit.SECONDS,
    labels=_LABELS,
    compatible=True,
)
ROWS = Metric(
    name="pg_stat_statements_rows_total",
    help="Rows a statement returned or touched",
    type=Type.COUNTER,
    labels=_LABELS,
    compatible=True,
)
HIT_BLOCKS = Metric(
    name="toban_pg_statements_hit_blocks_total",
    help="Shared blocks a statement found in the cache",
    type=Type.COUNTER,
    labels=_LABELS,
)
READ_BLOCKS = Metric(
    name="toban_pg_statements_read_blocks_total",
    help="Shared blocks a statement had to read",
    type=Type.COUNTER,
    labels=_LABELS,
)
TEMP_BLOCKS = Metric(
    name="toban_pg_statements_temp_blocks_total",
    help="Temporary blocks a statement wrote and read",
    type=Type.COUNTER,
    labels=_LABELS,
)
OTHERS = Metric(
    name="toban_pg_statements_other_statements",
    help="Rows of pg_stat_statements that the row `other` sums up",
)
DEALLOCATIONS = Metric(
    name="toban_pg_statements_deallocations_total",
    help="Times the server evicted its least used statements; pg_stat_statements.max is too small if it grows",
    type=Type.COUNTER,
)
_MEASURES = (CALLS, SECONDS, ROWS, HIT_BLOCKS, READ_BLOCKS, TEMP_BLOCKS)  # in the order of Use

_EXTENSION = Query("statements_extension")
_NAMES = Query("statement_names")


@dataclass(frozen=True, slots=True, kw_only=True)
class Extension:
    """Where the extension is, and how it is read: the questions its version can answer."""

    schema: str
    reading: Query
    info: Query


# What an extension version can answer. It counts, not the server's: CREATE EXTENSION … VERSION and a forgotten UPDATE.
_FLOORS: tuple[tuple[tuple[int, int], Query, Query], ...] = (
    ((1, 11), Query("statements_since"), Query("statements_info")),
    ((1, 9), Query("statements_toplevel"), Query("statements_info")),
    ((1, 8), Query("statements_basic"), Query("statements_info_basic")),
)
_GONE = (
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedFunctionError,
    asyncpg.UndefinedColumnError,
    asyncpg.InvalidSchemaNameError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)


class ExtensionError(Exception):
    """The extension cannot be asked: it is missing, not loaded or too old."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class StatementsSettings(CollectorSettings):
    """How often, how many statements get series of their own, and how often at most their texts are asked for."""

    every: Duration = 60.0
    top: int = Field(default=50, ge=1, le=1000)
    texts: Duration = 60.0


class Names:
    """The names of databases and roles. One that is gone is called by its number."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._names: dict[tuple[bool, int], str] = {}
        self._read_at = float("-inf")

    async def learn(self, account: Account, at: float) -> None:
        """Look the names up that are not known yet, and all of them now and then."""
        wanted = {
            key for s in account.counters.keys() | account.used.keys() for key in ((True, s.dbid), (False, s.userid))
        }
        if wanted <= self._names.keys() and at - self._read_at < NAMES_SECONDS:
            return
        databases, roles = ([oid for is_database, oid in wanted if is_database is of] for of in (True, False))
        rows = await self._server.fetch(_NAMES, databases, roles)
        found = {(row["is_database"], row["oid"]): row["name"] for row in rows}
        self._names = {key: str(key[1]) for key in wanted} | found
        self._read_at = at

    def labels(self, statement: Statement) -> tuple[str, str, str]:
        """The values of queryid, datname and usename."""
        datname, usename = self._names[(True, statement.dbid)], self._names[(False, statement.userid)]
        return str(statement.queryid), datname, usename


class Statements(Collector[PostgresServer, StatementsSettings]):
    """The use of statements: counters for metrics, and each interval's use for people."""

    name = "statements"
    purpose = "Which statements cost the server its time; the daily list of the slow ones."
    kind = Kind.POSTGRESQL
    metrics = (*_MEASURES, OTHERS, DEALLOCATIONS)
    settings_model = StatementsSettings

    def __init__(self, source: PostgresServer, settings: StatementsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._extension: Extension | None = None
        self._missing: tuple[float, Failure] | None = None
        self._ledger = Ledger(settings.top)
        self._names = Names(source)
        self._texts = Texts(source, settings.texts)

    async def collect(self) -> Findings:
        """One reading, and what came between it and the last."""
        extension = await self._located()
        at = self.clock.monotonic()
        try:
            (info,) = await self.source.fetch(extension.info, schema=extension.schema)
            rows = await self.source.fetch(extension.reading, schema=extension.schema)
        except _GONE:
            self._extension = None  # dropped, moved, updated, or its library is no longer loaded: look anew
            raise
        reading = _reading(info, rows)
        ledger = copy(self._ledger)  # a turn that comes to nothing enters nothing: the next interval is the longer
        account = ledger.enter(reading, at)
        await self._names.learn(account, at)
        needed = {statement.queryid for statement in account.counters.keys() | account.used.keys()}
        texts, gaps = await self._texts.fetch(extension.schema, needed, at)
        self._ledger = ledger
        return self._findings(account, info["dealloc"], texts, (*gaps, *_hidden(reading)))

    async def _located(self) -> Extension:
        if self._extension is not None:
            return self._extension
        if self._missing is not None and self.clock.monotonic() - self._missing[0] < RECHECK_SECONDS:
            raise ExtensionError(self._missing[1])
        found = _judged(await self.source.fetch(_EXTENSION))
        if isinstance(found, Failure):
            self._missing = self.clock.monotonic(), found
            raise ExtensionError(found)
        self._extension, self._missing = found, None
        return found

    def _findings(
        self, account: Account, deallocations: int | None, texts: list[StatementText], gaps: tuple[Gap, ...]
    ) -> Findings:
        batch = Batch(self.clock.now())
        for labels, use in self._shown(account):
            for metric, value in zip(_MEASURES, use, strict=True):
                batch.add(metric, value, *labels)
        batch.add(OTHERS, account.others)
        batch.add(DEALLOCATIONS, deallocations)
        return Findings(samples=batch.samples, gaps=gaps, rows=(*self._used(account), *texts))

    def _shown(self, account: Account) -> Iterator[tuple[tuple[str, str, str], Use]]:
        for statement, use in account.counters.items():
            yield self._names.labels(statement), use
        yield (OTHER, "", ""), account.other

    def _used(self, account: Account) -> Iterator[StatementUse]:
        """One row for each statement with calls since the last turn; after the first turn there is none."""
        if account.interval_seconds is None:
            return
        used = [(self._names.labels(statement), use) for statement, use in account.used.items()]
        if account.other_used.calls:
            used.append(((OTHER, "", ""), account.other_used))
        for (queryid, datname, usename), use in used:
            yield StatementUse(
                queryid=queryid,
                datname=datname,
                usename=usename,
                interval_seconds=account.interval_seconds,
                calls=use.calls,
                seconds=use.seconds,
                rows=use.rows,
                hit_blocks=use.hit_blocks,
                read_blocks=use.read_blocks,
                temp_blocks=use.temp_blocks,
            )


def _reading(info: Any, rows: list[Any]) -> Reading:  # noqa: ANN401 - asyncpg ships no types
    entries = {(row[0], row[1], row[2], row[3]): row[4:] for row in rows if row[2] is not None}
    return Reading(
        taken_at=info["taken_at"],
        started_at=info["started_at"],
        reset_at=info["reset_at"],
        hidden=sum(row[2] is None for row in rows),
        entries=entries,
    )


def _hidden(reading: Reading) -> tuple[Gap, ...]:
    if not reading.hidden:
        return ()
    detail = "statements of other roles are hidden from a role without pg_read_all_stats"
    return (Gap(what="statements", reason=Reason.PRIVILEGE, count=reading.hidden, detail=detail, hint=SETUP_HINT),)


def _judged(rows: list[Any]) -> Extension | Failure:
    """The extension as the catalogue has it, or why it is of no use."""
    if not rows:
        detail = "pg_stat_statements is not installed in the database that the DSN names"
        return Failure(reason=Reason.EXTENSION_MISSING, detail=detail, hint=SETUP_HINT)
    (row,) = rows
    if not row["loaded"]:
        detail = "pg_stat_statements is installed, but its library is not loaded"
        hint = "add pg_stat_statements to shared_preload_libraries and restart the server"
        return Failure(reason=Reason.EXTENSION_MISSING, detail=detail, hint=hint)
    version = tuple(int(part) for part in row["version"].split("."))
    for floor, reading, info in _FLOORS:
        if version >= floor:
            return Extension(schema=row["schema"], reading=reading, info=info)
    detail = f"pg_stat_statements is of version {row['version']}, 1.8 is needed"
    hint = "ALTER EXTENSION pg_stat_statements UPDATE, in the database that the DSN names"
    return Failure(reason=Reason.EXTENSION_OLD, detail=detail, hint=hint)
