"""The pools: clients that work and wait, servers by what they are at, and how full each pool is.

The names of pgbouncer_exporter are kept where it has one, as for PostgreSQL those of its exporter: dashboards exist.
What it leaves to the reader, shares of a limit and the worst of all pools, is Toban's own beside them.
"""

from collections.abc import Mapping

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.pgbouncer.columns import MICROSECONDS, OTHER, Column, chosen, label, missing, number, text, total
from collectors.pgbouncer.console import PgBouncerConsole, Row
from collectors.pgbouncer.failures import CONSOLE
from toban.clock import Clock
from toban.samples import Batch, Findings, Metric, Unit

_LABELS = ("database", "user")
_BETWEEN = "\0"  # stands in no name

_COUNTS = {  # our column → (the exporter's name, help)
    "cl_active": ("client_active_connections", "Clients that have a server or need none now"),
    "cl_waiting": ("client_waiting_connections", "Clients that have sent a query and have no server yet"),
    "cl_active_cancel_req": (
        "client_active_cancel_connections",
        "Clients whose cancel request has gone out to the server",
    ),
    "cl_waiting_cancel_req": (
        "client_waiting_cancel_connections",
        "Clients whose cancel request has not gone out yet",
    ),
    "sv_active": ("server_active_connections", "Servers that work for a client"),
    "sv_active_cancel": ("server_active_cancel_connections", "Servers that carry a cancel request"),
    "sv_being_canceled": ("server_being_canceled_connections", "Servers held back until cancel requests are through"),
    "sv_idle": ("server_idle_connections", "Servers ready for a client"),
    "sv_used": ("server_used_connections", "Servers idle for so long that they are checked before use"),
    "sv_tested": ("server_testing_connections", "Servers at their reset or check query"),
    "sv_login": ("server_login_connections", "Servers that are being logged in"),
}
_COLUMNS = tuple(
    Column(name=column, metric=Metric(name=f"pgbouncer_pools_{name}", help=text_, labels=_LABELS, compatible=True))
    for column, (name, text_) in _COUNTS.items()
)
MAXWAIT = Metric(
    name="pgbouncer_pools_client_maxwait_seconds",
    help="How long the first waiting client has waited; for `other` the longest",
    unit=Unit.SECONDS,
    labels=_LABELS,
    compatible=True,
)
USED = Metric(
    name="toban_pgbouncer_pool_used_ratio",
    help="Share of pool_size that is not free for a client; the reserve is not counted in, `other` is the fullest",
    unit=Unit.RATIO,
    labels=_LABELS,
)
WAITING = Metric(name="toban_pgbouncer_waiting_clients", help="Clients that wait for a server, in all pools", kept=True)
LONGEST_WAIT = Metric(
    name="toban_pgbouncer_max_wait_seconds",
    help="How long the client has waited that waits longest in any pool",
    unit=Unit.SECONDS,
    kept=True,
)
FULLEST = Metric(
    name="toban_pgbouncer_fullest_pool_ratio",
    help="Share of its pool_size that the fullest pool has in use",
    unit=Unit.RATIO,
    kept=True,
)
SERVERS = Metric(
    name="toban_pgbouncer_busy_servers", help="Servers that are not free for a client, in all pools", kept=True
)
OTHERS = Metric(name="toban_pgbouncer_other_pools", help="Pools that the row `other` sums up")

_CLIENTS = ("cl_active", "cl_waiting")
_BUSY = ("sv_active", "sv_active_cancel", "sv_being_canceled", "sv_tested", "sv_login")


class PoolsSettings(CollectorSettings):
    """How often, and how many pools have series of their own."""

    top: int = Field(default=30, ge=1, le=1000)


class Pools(Collector[PgBouncerConsole, PoolsSettings]):
    """SHOW POOLS, beside the sizes out of SHOW DATABASES. The console's own pool is left out."""

    name = "pgbouncer_pools"
    purpose = "Which pool lets its clients wait, for how long, and whether more servers would help."
    kind = Kind.PGBOUNCER
    metrics = (*(c.metric for c in _COLUMNS), MAXWAIT, USED, WAITING, LONGEST_WAIT, FULLEST, SERVERS, OTHERS)
    settings_model = PoolsSettings

    def __init__(self, source: PgBouncerConsole, settings: PoolsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._members: frozenset[str] = frozenset()

    async def collect(self) -> Findings:
        """Two questions to the console."""
        databases = await self.source.show("DATABASES")
        pools = [row for row in await self.source.show("POOLS") if text(row, "database") != CONSOLE]
        batch = Batch(self.clock.now())
        sizes = {text(row, "name"): size for row in databases if (size := number(row, "pool_size"))}
        by_name = {f"{text(row, 'database')}{_BETWEEN}{text(row, 'user')}": row for row in pools}
        self._members = chosen({key: _weight(row) for key, row in by_name.items()}, self._members, self.settings.top)
        for key in sorted(self._members):
            database, user = key.split(_BETWEEN)
            _add(batch, [by_name[key]], sizes, label(database), user)
        rest = [row for key, row in by_name.items() if key not in self._members]
        if rest:
            _add(batch, rest, sizes, OTHER, OTHER)
        batch.add(OTHERS, len(rest))
        _add_all(batch, pools, sizes)
        return Findings(samples=batch.samples, gaps=missing("POOLS", _COLUMNS, pools))


def _add(batch: Batch, rows: list[Row], sizes: Mapping[str, float], *labels: str) -> None:
    for column in _COLUMNS:
        batch.add(column.metric, total(rows, column), *labels)
    batch.add(MAXWAIT, max(map(_waited, rows)), *labels)
    batch.add(USED, _fullest(rows, sizes), *labels)


def _add_all(batch: Batch, pools: list[Row], sizes: Mapping[str, float]) -> None:
    """What an alert looks at, and the history keeps: a series each, however many pools there are."""
    batch.add(WAITING, sum(_sum(row, ("cl_waiting",)) for row in pools))
    batch.add(LONGEST_WAIT, max(map(_waited, pools), default=0.0))
    batch.add(FULLEST, _fullest(pools, sizes) or 0.0)
    batch.add(SERVERS, sum(_sum(row, _BUSY) for row in pools))


def _fullest(rows: list[Row], sizes: Mapping[str, float]) -> float | None:
    """The highest share of a pool's size that is in use; a reserve or a limit of its own may lead above: that is 1."""
    shares = [_sum(row, _BUSY) / sizes[name] for row in rows if (name := text(row, "database")) in sizes]
    return min(1.0, max(shares)) if shares else None


def _waited(row: Row) -> float:
    return _sum(row, ("maxwait",)) + _sum(row, ("maxwait_us",)) * MICROSECONDS


def _weight(row: Row) -> float:
    return _sum(row, _CLIENTS) + _sum(row, _BUSY)


def _sum(row: Row, columns: tuple[str, ...]) -> float:
    return sum(number(row, column) or 0.0 for column in columns)
