"""What passes through PgBouncer for each database, and how near each is to its limits. Counters are PgBouncer's own."""

from collections.abc import Mapping

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.pgbouncer.columns import MICROSECONDS, OTHER, Column, chosen, label, missing, number, text
from collectors.pgbouncer.console import PgBouncerConsole, Row
from collectors.pgbouncer.failures import CONSOLE
from toban.clock import Clock
from toban.samples import Batch, Findings, Metric, Type, Unit

_LABELS = ("database",)
_PLACE = ("name", "host", "port", "database", "force_user", "pool_mode")


def _counter(name: str, help_text: str, *, unit: Unit = Unit.NONE, kept: bool = False) -> Metric:
    return Metric(
        name=f"pgbouncer_stats_totals_{name}",
        help=help_text,
        type=Type.COUNTER,
        unit=unit,
        labels=_LABELS,
        compatible=True,
        kept=kept,
    )


def _gauge(name: str, help_text: str) -> Metric:
    return Metric(name=f"pgbouncer_databases_{name}", help=help_text, labels=_PLACE, compatible=True)


_TOTALS = (
    Column(name="total_xact_count", metric=_counter("sql_transactions_pooled_total", "Transactions", kept=True)),
    Column(name="total_query_count", metric=_counter("queries_pooled_total", "Queries", kept=True)),
    Column(
        name="total_received",
        metric=_counter("received_bytes_total", "Bytes that came in from clients and servers", unit=Unit.BYTES),
    ),
    Column(
        name="total_sent",
        metric=_counter("sent_bytes_total", "Bytes that went out to clients and servers", unit=Unit.BYTES),
    ),
    Column(
        name="total_xact_time",
        metric=_counter(
            "server_in_transaction_seconds_total",
            "Time that servers were in a transaction, idle in it included",
            unit=Unit.SECONDS,
        ),
        factor=MICROSECONDS,
    ),
    Column(
        name="total_query_time",
        metric=_counter("queries_duration_seconds_total", "Time that servers were at queries", unit=Unit.SECONDS),
        factor=MICROSECONDS,
    ),
    Column(
        name="total_wait_time",
        metric=_counter(
            "client_wait_seconds_total", "Time that clients waited for a server", unit=Unit.SECONDS, kept=True
        ),
        factor=MICROSECONDS,
    ),
)
# Younger than the oldest PgBouncer that is still about: their absence is no gap.
_YOUNGER = (
    Column(
        name="total_server_assignment_count", metric=_counter("server_assignments_total", "Servers given to clients")
    ),
    Column(name="total_client_parse_count", metric=_counter("client_parses_total", "Statements prepared by clients")),
    Column(name="total_server_parse_count", metric=_counter("server_parses_total", "Statements prepared at servers")),
    Column(name="total_bind_count", metric=_counter("binds_total", "Prepared statements bound")),
)
_GAUGES = (
    Column(name="pool_size", metric=_gauge("pool_size", "Servers that each pool of the database may have")),
    Column(name="reserve_pool", metric=_gauge("reserve_pool", "Servers beyond pool_size, for clients that wait long")),
    Column(name="max_connections", metric=_gauge("max_connections", "Most servers of the database; 0 is unlimited")),
    Column(name="current_connections", metric=_gauge("current_connections", "Servers of the database")),
    Column(name="paused", metric=_gauge("paused", "Whether the database is paused")),
    Column(name="disabled", metric=_gauge("disabled", "Whether the database takes no new clients")),
)
_NEWER_NAMES = {"reserve_pool_size": "reserve_pool"}  # since 1.24
USED = Metric(
    name="toban_pgbouncer_database_connections_used_ratio",
    help="Share of the database's max_connections that is in use; absent where there is no limit",
    unit=Unit.RATIO,
    labels=_LABELS,
)
PAUSED = Metric(name="toban_pgbouncer_paused_databases", help="Databases that are paused or disabled", kept=True)
OTHERS = Metric(name="toban_pgbouncer_other_databases", help="Databases that the row `other` sums up")


class PgBouncerDatabasesSettings(CollectorSettings):
    """How often, and how many databases have series of their own."""

    top: int = Field(default=30, ge=1, le=1000)


class PgBouncerDatabases(Collector[PgBouncerConsole, PgBouncerDatabasesSettings]):
    """SHOW STATS and SHOW DATABASES. The console itself is left out."""

    name = "pgbouncer_databases"
    purpose = "What goes through the pooler for each database, and which one is paused or at its limit."
    kind = Kind.PGBOUNCER
    metrics = (*(c.metric for c in (*_TOTALS, *_YOUNGER, *_GAUGES)), USED, PAUSED, OTHERS)
    settings_model = PgBouncerDatabasesSettings

    def __init__(self, source: PgBouncerConsole, settings: PgBouncerDatabasesSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._members: frozenset[str] = frozenset()
        self._others = Others()

    async def collect(self) -> Findings:
        """Two questions to the console."""
        stats = _by_name(await self.source.show("STATS"), "database")
        databases = {name: _renamed(row) for name, row in _by_name(await self.source.show("DATABASES"), "name").items()}
        batch = Batch(self.clock.now())
        weights = {name: number(stats.get(name, {}), "total_xact_count") or 0.0 for name in {*stats, *databases}}
        self._members = chosen(weights, self._members, self.settings.top)
        for name in sorted(self._members):
            _add(batch, label(name), stats.get(name), databases.get(name))
        self._add_others(batch, stats, len(weights) - len(self._members))
        batch.add(PAUSED, sum(bool(number(r, "paused") or number(r, "disabled")) for r in databases.values()))
        gaps = missing("STATS", _TOTALS, [*stats.values()]) + missing("DATABASES", _GAUGES, [*databases.values()])
        return Findings(samples=batch.samples, gaps=gaps)

    def _add_others(self, batch: Batch, stats: Mapping[str, Row], count: int) -> None:
        seen = self._others.grown(stats, self._members)
        if count:
            for column in (*_TOTALS, *_YOUNGER):
                batch.add(column.metric, seen.get(column.name), OTHER)
        batch.add(OTHERS, count)


class Others:
    """What the databases without series have used since Toban looks: a sum of growth, so that it never falls."""

    def __init__(self) -> None:
        self._last: dict[str, dict[str, float]] | None = None
        self._sums: dict[str, float] = {}

    def grown(self, stats: Mapping[str, Row], members: frozenset[str]) -> dict[str, float]:
        """The sums after this reading, by column."""
        reading = {name: _values(row) for name, row in stats.items()}
        for name, values in reading.items():
            if name not in members:
                self._take(values, self._last.get(name, {}) if self._last is not None else values)
        self._last = reading
        return self._sums

    def _take(self, values: Mapping[str, float], before: Mapping[str, float]) -> None:
        for column, value in values.items():
            growth = value - before.get(column, 0.0)
            self._sums[column] = self._sums.get(column, 0.0) + (growth if growth >= 0 else value)


def _values(row: Row) -> dict[str, float]:
    """Every counter in its metric's unit, by column."""
    values = ((column.name, column.value(row)) for column in (*_TOTALS, *_YOUNGER))
    return {name: value for name, value in values if value is not None}


def _add(batch: Batch, name: str, stats: Row | None, database: Row | None) -> None:
    for column in (*_TOTALS, *_YOUNGER) if stats is not None else ():
        batch.add(column.metric, column.value(stats or {}), name)
    if database is None:
        return
    place = [text(database, column) for column in _PLACE]
    for column in _GAUGES:
        batch.add(column.metric, column.value(database), *place)
    most, current = number(database, "max_connections"), number(database, "current_connections")
    batch.add(USED, min(1.0, current / most) if most and current is not None else None, name)


def _by_name(rows: list[Row], column: str) -> dict[str, Row]:
    return {text(row, column): row for row in rows if text(row, column) != CONSOLE}


def _renamed(row: Row) -> Row:
    return {_NEWER_NAMES.get(name, name): value for name, value in row.items()}
