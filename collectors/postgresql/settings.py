"""The server's settings as metrics, named and converted to base units as postgres_exporter does.

Only the server knows their names, so each metric is made when first seen. A setting that Toban's own session overrides
(statement_timeout, lock_timeout, …) is left out: what is in force for others cannot be read from here.

What has changed since it was last seen is told as events; what was seen is remembered, so that a change made while the
daemon was down is told as well, once.
"""

import re
from functools import cache
from typing import Any

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.settings_changes import (
    DEFAULT,
    Pending,
    Present,
    Seen,
    compared,
    first,
    may_be_secret,
    recalled,
)
from collectors.postgresql.sql import Query
from toban.clock import Clock
from toban.config import Duration
from toban.memories import Memory
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit

PENDING_RESTART = Metric(
    name="toban_pg_settings_pending_restart",
    help="Settings that were changed in the files and wait for a restart",
)
CHANGES = Metric(
    name="toban_pg_settings_changes_total",
    help="Settings that were seen with another value than before, since this server was first watched",
    type=Type.COUNTER,
)
LAST_CHANGE = Metric(
    name="toban_pg_settings_last_change_timestamp_seconds",
    help="When a setting was last seen with another value than before; absent until one was",
    unit=Unit.SECONDS,
)
PREFIX = "pg_settings_"
AS_IT_IS = -1.0  # off, or automatic: no amount of anything
_UNITS: dict[str, tuple[Unit, float]] = {
    "us": (Unit.SECONDS, 1e-6),
    "ms": (Unit.SECONDS, 1e-3),
    "s": (Unit.SECONDS, 1),
    "min": (Unit.SECONDS, 60),
    "h": (Unit.SECONDS, 3600),
    "d": (Unit.SECONDS, 86400),
    "B": (Unit.BYTES, 1),
    "kB": (Unit.BYTES, 1024),
    "MB": (Unit.BYTES, 1024**2),
    "GB": (Unit.BYTES, 1024**3),
    "TB": (Unit.BYTES, 1024**4),
}
_AMOUNT = re.compile(r"(\d*)(\D+)")  # 8kB: PostgreSQL counts in pages of its own
_UNFIT = re.compile(r"[^a-zA-Z0-9_]")


class SettingsSettings(CollectorSettings):
    """They change rarely."""

    every: Duration = 300.0


class Settings(Collector[PostgresServer, SettingsSettings]):
    """Every setting that is a number or a switch as a metric, and of all that can be set each change as an event."""

    name = "settings"
    purpose = "What is in force, beside what the dashboards expect; what was changed, and what waits for a restart."
    kind = Kind.POSTGRESQL
    metrics = (PENDING_RESTART, CHANGES, LAST_CHANGE)
    prefixes = (PREFIX,)
    settings_model = SettingsSettings
    query = Query("settings")
    query_pending = Query("settings_pending")

    def __init__(self, source: PostgresServer, settings: SettingsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._print = 0  # of the rows: to keep them all would take a hundred kilobytes a target
        self._values: tuple[tuple[Metric, float], ...] = ()
        self._gaps: tuple[Gap, ...] = ()
        self._seen: Seen | None = None

    async def collect(self) -> Findings:
        """Read them all; convert them again only when one has changed."""
        rows = await self.source.fetch(self.query)
        pending, unseen = await self._pending(rows)
        remembers = await self.recollect(self._take)  # else nothing is compared
        # Nothing is awaited from here on: a turn that is cancelled has told and remembered nothing.
        if (as_read := hash(tuple(rows))) != self._print:
            self._print = as_read
            self._values, self._gaps = _converted(rows)
        batch = Batch(self.clock.now())
        for metric, value in self._values:
            batch.add(metric, value)
        told = self._tell(rows, pending) if remembers else ()
        if self._seen is not None and self.recall is not None:  # without a history nobody knows how many there were
            batch.add(CHANGES, self._seen.changes)
            batch.add(LAST_CHANGE, self._seen.changed_at)
        return Findings(samples=batch.samples, gaps=(*self._gaps, *unseen), rows=told)

    async def _pending(self, rows: list[Any]) -> tuple[dict[str, Pending], tuple[Gap, ...]]:
        """What waits for a restart, with what the files say of it where this role may look."""
        names = [row["name"] for row in rows if row["pending_restart"]]
        if not names or not rows[0]["sees_files"]:
            return dict.fromkeys(names, Pending()), (_unseen(names),) if names else ()
        written = {row["name"]: row for row in await self.source.fetch(self.query_pending, names)}
        return {name: _written(written.get(name)) for name in names}, ()

    def _take(self, body: str | None) -> None:
        self._seen = recalled(body)

    def _tell(self, rows: list[Any], pending: dict[str, Pending]) -> tuple[object, ...]:
        """The changes, and what is to be remembered in place of the earlier memory."""
        before, now = self._seen, self.clock.now()
        present = Present(
            values={row["name"]: row["shown"] for row in rows if not row["fixed"]},
            pending=pending,
            hidden=frozenset(row["name"] for row in rows if may_be_secret(row["name"], row["vartype"])),
        )
        self._seen, events = (first(present), ()) if before is None else compared(before, present, now)
        return () if self._seen == before else (*events, Memory(name=self.title, body=self._seen.body))


def convert(setting: str, unit: str, vartype: str) -> tuple[float, Unit]:
    """A setting as a number in a base unit. Raises KeyError for a unit that PostgreSQL has newly thought of."""
    if vartype == "bool":
        return float(setting == "on"), Unit.NONE
    value = float(setting)
    match = _AMOUNT.fullmatch(unit)
    if match is None:
        return value, Unit.NONE
    base, factor = _UNITS[match[2]]
    return (value if value == AS_IT_IS else value * factor * int(match[1] or 1)), base


@cache
def metric_of(name: str, unit: Unit) -> Metric:
    """The metric of a setting. Names that differ only in what Prometheus cannot spell fall together."""
    spelled = PREFIX + _UNFIT.sub("_", name) + (f"_{unit}" if unit else "")
    return Metric(name=spelled, help=f"Server setting {name}", unit=unit, compatible=True)


def _converted(rows: list[Any]) -> tuple[tuple[tuple[Metric, float], ...], tuple[Gap, ...]]:
    values: dict[str, tuple[Metric, float]] = {}
    strange = []
    for row in rows:
        if row["vartype"] in {"bool", "integer", "real"}:
            try:
                value, unit = convert(row["setting"], row["unit"], row["vartype"])
            except KeyError:
                strange.append(row["name"])
                continue
            metric = metric_of(row["name"], unit)
            values.setdefault(metric.name, (metric, value))
    pending = sum(row["pending_restart"] for row in rows)
    gaps = (_unconverted(strange),) if strange else ()
    return (*values.values(), (PENDING_RESTART, float(pending))), gaps


def _written(row: Any) -> Pending:  # noqa: ANN401 - asyncpg ships no types
    if row is None:
        return Pending(DEFAULT)
    return Pending(row["setting"], f"{row['sourcefile']}:{row['sourceline']}")


def _unseen(names: list[str]) -> Gap:
    return Gap(
        what="values that wait for a restart",
        reason=Reason.PRIVILEGE,
        count=len(names),
        detail=f"of {', '.join(names[:5])}: the role may not read pg_file_settings",
        hint="as a superuser: GRANT SELECT ON pg_file_settings TO toban; "
        "GRANT EXECUTE ON FUNCTION pg_show_all_file_settings() TO toban",
    )


def _unconverted(names: list[str]) -> Gap:
    detail = f"in a unit not known here: {', '.join(names[:5])}"
    return Gap(what="settings", reason=Reason.UNSUPPORTED, count=len(names), detail=detail)
