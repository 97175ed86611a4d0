"""The server's settings as metrics, named and converted to base units as postgres_exporter does.

Only the server knows their names, so each metric is made when first seen. A setting that Toban's own session overrides
(statement_timeout, lock_timeout, …) is left out: what is in force for others cannot be read from here.
"""

import re
from functools import cache
from typing import Any

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit

PENDING_RESTART = Metric(
    name="toban_pg_settings_pending_restart",
    help="Settings that were changed in the files and wait for a restart",
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
    """Every setting that is a number or a switch."""

    name = "settings"
    kind = Kind.POSTGRESQL
    metrics = (PENDING_RESTART,)
    prefixes = (PREFIX,)
    settings_model = SettingsSettings
    query = Query("settings")

    def __init__(self, source: PostgresServer, settings: SettingsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._rows: list[Any] = []
        self._values: tuple[tuple[Metric, float], ...] = ()
        self._gaps: tuple[Gap, ...] = ()

    async def collect(self) -> Findings:
        """Read them all; convert them again only when one has changed."""
        rows = await self.source.fetch(self.query)
        if rows != self._rows:
            self._rows = rows
            self._values, self._gaps = _converted(rows)
        batch = Batch(self.clock.now())
        for metric, value in self._values:
            batch.add(metric, value)
        return Findings(samples=batch.samples, gaps=self._gaps)


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


def _unconverted(names: list[str]) -> Gap:
    detail = f"in a unit not known here: {', '.join(names[:5])}"
    return Gap(what="settings", reason=Reason.UNSUPPORTED, count=len(names), detail=detail)
