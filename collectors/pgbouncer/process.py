"""PgBouncer as a whole: its clients against their limit, the lists it keeps, its version."""

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.pgbouncer.columns import number, text
from collectors.pgbouncer.console import PgBouncerConsole, Row
from toban.clock import Clock
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit

CONFIG_SECONDS = 300.0  # between two looks at what changes with a RELOAD only
USED_CLIENTS = "used_clients"


def _list(name: str, help_text: str, *, kept: bool = False) -> Metric:
    return Metric(name=f"pgbouncer_{name}", help=help_text, compatible=True, kept=kept)


_LISTS = {
    "databases": _list("databases", "Databases, the console included"),
    "users": _list("users", "Users"),
    "pools": _list("pools", "Pools"),
    "free_clients": _list("free_clients", "Places for clients that are allocated and free"),
    USED_CLIENTS: _list("used_clients", "Clients, those at the console included", kept=True),
    "login_clients": _list("login_clients", "Clients that are being logged in"),
    "free_servers": _list("free_servers", "Places for servers that are allocated and free"),
    "used_servers": _list("used_servers", "Servers", kept=True),
    "dns_names": _list("cached_dns_names", "Names in the DNS cache"),
    "dns_zones": _list("cached_dns_zones", "Zones in the DNS cache"),
    "dns_queries": _list("in_flight_dns_queries", "DNS queries under way"),
}
_CONFIG = {
    "max_client_conn": Metric(
        name="pgbouncer_config_max_client_connections", help="Most clients", compatible=True, kept=True
    ),
    "max_user_connections": Metric(
        name="pgbouncer_config_max_user_connections",
        help="Most servers of a user, in all databases; 0 is unlimited",
        compatible=True,
    ),
}
VERSION = Metric(name="pgbouncer_version_info", help="Always 1; the version", labels=("version",), compatible=True)
USED = Metric(
    name="toban_pgbouncer_clients_used_ratio",
    help="Share of max_client_conn that is in use",
    unit=Unit.RATIO,
    kept=True,
)


class ProcessSettings(CollectorSettings):
    """How often."""


class Process(Collector[PgBouncerConsole, ProcessSettings]):
    """SHOW LISTS each turn; SHOW CONFIG and VERSION now and then, and after each new connection."""

    name = "pgbouncer"
    purpose = "Whether clients are about to be refused: how many there are, of how many."
    kind = Kind.PGBOUNCER
    metrics = (*_LISTS.values(), *_CONFIG.values(), VERSION, USED)
    settings_model = ProcessSettings

    def __init__(self, source: PgBouncerConsole, settings: ProcessSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._config: dict[str, float] = {}
        self._version = ""
        self._looked: tuple[int, float] | None = None

    async def collect(self) -> Findings:
        """One question; three now and then."""
        lists = {text(row, "list"): number(row, "items") for row in await self.source.show("LISTS")}
        if self._is_stale():
            await self._look()
        batch = Batch(self.clock.now())
        for name, metric in _LISTS.items():
            batch.add(metric, lists.get(name))
        for name, metric in _CONFIG.items():
            batch.add(metric, self._config.get(name))
        batch.add(VERSION, 1 if self._version else None, self._version)
        used, most = lists.get(USED_CLIENTS), self._config.get("max_client_conn")
        batch.add(USED, min(1.0, used / most) if used is not None and most else None)
        absent = [name for name in _LISTS if name not in lists]
        return Findings(samples=batch.samples, gaps=_gaps(absent))

    def _is_stale(self) -> bool:
        if self._looked is None:
            return True
        connection, at = self._looked
        return connection != self.source.connected_total or self.clock.monotonic() - at >= CONFIG_SECONDS

    async def _look(self) -> None:
        config = {
            text(row, "key"): number({"value": row.get("value")}, "value") for row in await self.source.show("CONFIG")
        }
        self._config = {name: value for name in _CONFIG if (value := config.get(name)) is not None}
        self._version = _version(await self.source.show("VERSION"))
        self._looked = (self.source.connected_total, self.clock.monotonic())


def _version(rows: list[Row]) -> str:
    """`PgBouncer 1.18.0` as `1.18.0`, as the exporter says it in its label's value."""
    return text(rows[0], "version").removeprefix("PgBouncer ") if rows else ""


def _gaps(absent: list[str]) -> tuple[Gap, ...]:
    if not absent:
        return ()
    detail = f"this PgBouncer's SHOW LISTS has no {', '.join(absent)}"
    return (Gap(what="lists of SHOW LISTS", reason=Reason.VERSION, count=len(absent), detail=detail),)
