"""How large schemas and tables are. One schema at a time: one that cannot be measured is a gap; no other suffers."""

import asyncio
from typing import Any

from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.mariadb.failures import ROLE_HINT, ServerError
from collectors.mariadb.server import MariadbServer
from collectors.mariadb.sql import Query
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Failure, Gap, Reason
from toban.samples import Batch, Findings, Metric, Sample, Unit

OTHER = "other"
LEAST_SHARE = 5
LAST_START_RATIO = 0.7  # of a turn's time; after that no further schema is begun
# Any of them, everywhere, is enough. What a role brings is not told: it is given the benefit of the doubt.
SEES_TABLES = frozenset({"SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "SHOW VIEW", "ROLE"})

SCHEMA_SIZE = Metric(
    name="toban_mysql_schema_size_bytes",
    help="Data and indexes of all tables of a schema; absent while one of them cannot be measured",
    unit=Unit.BYTES,
    labels=("schema",),
    kept=True,
)
TABLE_SIZE = Metric(
    name="mysql_info_schema_table_size",
    help="Bytes of a table by component; `other` sums up the smaller ones of its schema",
    labels=("schema", "table", "component"),
    compatible=True,
)
TABLE_ROWS = Metric(
    name="mysql_info_schema_table_rows",
    help="Rows of a table, estimated by its statistics",
    labels=("schema", "table"),
    compatible=True,
)
OTHERS = Metric(
    name="toban_mysql_sizes_other_tables",
    help="Tables that the row `other` of their schema sums up",
    labels=("schema",),
)
SKIPPED = Metric(
    name="toban_mysql_sizes_skipped",
    help="Tables whose size was not measured: those being changed one by one, else the schema as a whole",
    labels=("schema", "reason"),
)
_COMPONENTS = {"data_length": "data_bytes", "index_length": "index_bytes", "data_free": "free_bytes"}

_PRIVILEGES = Query("privileges")
_SCHEMAS = Query("schemas")
_SIZES = Query("sizes")


class SizesSettings(CollectorSettings):
    """How often, how many tables and schemas, and how long to rest between two schemas."""

    every: Duration = 600.0
    timeout: Duration = 60.0
    top: int = Field(default=50, ge=1, le=10000)
    schemas: int = Field(default=200, ge=1, le=10000)
    pause: Duration = 0.05


class MariadbSizes(Collector[MariadbServer, SizesSettings]):
    """Visits the schemas in turn. Those that a turn does not reach come first in the next, and keep their values."""

    name = "mariadb_sizes"
    purpose = "Which schemas and tables grow, and which hold space that a rebuild would free."
    kind = Kind.MARIADB
    metrics = (SCHEMA_SIZE, TABLE_SIZE, TABLE_ROWS, OTHERS, SKIPPED)
    settings_model = SizesSettings

    def __init__(self, source: MariadbServer, settings: SizesSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._visited_at: dict[str, float] = {}
        self._measured: dict[str, tuple[Sample, ...]] = {}

    async def collect(self) -> Findings:
        """As many schemas as the turn's time allows, the longest unvisited first."""
        last_start = self.clock.monotonic() + self.settings.timeout * LAST_START_RATIO
        privileges = {row["name"] for row in await self.source.fetch(_PRIVILEGES)}
        found = [row["name"] for row in await self.source.fetch(_SCHEMAS)]
        schemas, surplus = found[: self.settings.schemas], found[self.settings.schemas :]
        self._forget(schemas)
        waiting = sorted(schemas, key=lambda name: (self._visited_at.get(name, float("-inf")), name))
        top = min(self.settings.top, max(LEAST_SHARE, self.settings.top // max(1, len(schemas))))
        gaps = [*_hidden(privileges), *_surplus(surplus)]
        while waiting and self.clock.monotonic() < last_start:
            gaps += await self._visit(waiting.pop(0), top)
            await asyncio.sleep(self.settings.pause if waiting else 0)
        samples = tuple(sample for samples in self._measured.values() for sample in samples)
        return Findings(samples=samples, gaps=(*gaps, *_put_off(waiting)))

    def _forget(self, schemas: list[str]) -> None:
        self._visited_at = {name: at for name, at in self._visited_at.items() if name in schemas}
        self._measured = {name: samples for name, samples in self._measured.items() if name in schemas}

    async def _visit(self, schema: str, top: int) -> list[Gap]:
        """Measure one schema. What goes wrong there is a gap, unless the server itself is gone."""
        self._visited_at[schema] = self.clock.monotonic()
        batch = Batch(self.clock.now())
        try:
            rows = await self.source.fetch(_SIZES, schema, top, top)
        except ServerError as error:
            if error.failure.down:
                raise
            batch.add(SKIPPED, 1, schema, error.failure.reason)
            self._measured[schema] = batch.samples
            return [_gap(schema, error.failure)]
        for row in rows:
            _add(batch, schema, row)
        locked = int(sum(row["locked"] for row in rows))
        if not locked:  # without it the sum would fall, and rise again: a delete and a bulk load that never were
            batch.add(SCHEMA_SIZE, sum(row["data_bytes"] + row["index_bytes"] for row in rows), schema)
        batch.add(OTHERS, sum(row["tables"] for row in rows if row["name"] is None), schema)
        batch.add(SKIPPED, locked or None, schema, Reason.LOCKED)
        self._measured[schema] = batch.samples
        detail = "they were being changed, so that their size was not asked for"
        gap = Gap(what=f"sizes of tables in {schema}", reason=Reason.LOCKED, count=locked, detail=detail)
        return [gap] if locked else []


def _add(batch: Batch, schema: str, row: dict[str, Any]) -> None:
    if row["locked"] and row["tables"] == row["locked"]:
        return
    table = OTHER if row["name"] is None else f"`{OTHER}`" if row["name"] == OTHER else row["name"]
    for component, column in _COMPONENTS.items():
        batch.add(TABLE_SIZE, row[column], schema, table, component)
    batch.add(TABLE_ROWS, row["estimated_rows"], schema, table)


def _hidden(privileges: set[str]) -> list[Gap]:
    if privileges & SEES_TABLES:
        return []
    detail = "only tables on which the role has a privilege are seen"
    return [Gap(what="tables of others", reason=Reason.PRIVILEGE, detail=detail, hint=ROLE_HINT)]


def _surplus(schemas: list[str]) -> list[Gap]:
    if not schemas:
        return []
    detail = f"{schemas[0]} and what comes behind it by name"
    hint = "raise `schemas` of `collect: mariadb_sizes:`"
    return [Gap(what="schemas", reason=Reason.FULL, count=len(schemas), detail=detail, hint=hint)]


def _gap(schema: str, failure: Failure) -> Gap:
    return Gap(what=f"sizes of {schema}", reason=failure.reason, detail=failure.detail, hint=failure.hint)


def _put_off(schemas: list[str]) -> list[Gap]:
    if not schemas:
        return []
    detail = f"the turn's time ran out; {schemas[0]} comes first in the next turn"
    hint = "raise `timeout` of `collect: mariadb_sizes:`"
    return [Gap(what="schemas", reason=Reason.TIMEOUT, count=len(schemas), detail=detail, hint=hint)]
