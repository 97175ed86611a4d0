"""What each database has done: transactions, blocks, rows, conflicts, deadlocks; its cache hits; its way to wraparound.

Databases come and go with the answer. Templates and databases that `databases` leaves out have no counters here, but
their wraparound is measured all the same: it would stop the whole server.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.course import part
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.clock import Clock
from toban.samples import Batch, Findings, Metric, Type, Unit

_LABELS = ("datid", "datname")


def _counter(column: str, help: str, *, kept: bool = False) -> Metric:  # noqa: A002 - the field's name
    name = f"pg_stat_database_{column}"
    return Metric(name=name, help=help, type=Type.COUNTER, labels=_LABELS, compatible=True, kept=kept)


# By column of pg_stat_database, with postgres_exporter's names: no `_total`, times in milliseconds.
COMPATIBLE: dict[str, Metric] = {
    "numbackends": Metric(
        name="pg_stat_database_numbackends", help="Backends connected now", labels=_LABELS, compatible=True
    ),
    "xact_commit": _counter("xact_commit", "Transactions committed", kept=True),
    "xact_rollback": _counter("xact_rollback", "Transactions rolled back", kept=True),
    "blks_read": _counter("blks_read", "Blocks asked of the operating system"),
    "blks_hit": _counter("blks_hit", "Blocks found in shared buffers"),
    "tup_returned": _counter("tup_returned", "Rows read by scans"),
    "tup_fetched": _counter("tup_fetched", "Rows fetched by index scans"),
    "tup_inserted": _counter("tup_inserted", "Rows inserted"),
    "tup_updated": _counter("tup_updated", "Rows updated"),
    "tup_deleted": _counter("tup_deleted", "Rows deleted"),
    "conflicts": _counter("conflicts", "Statements cancelled on a standby because replay needed them gone"),
    "temp_files": _counter("temp_files", "Temporary files written"),
    "temp_bytes": _counter("temp_bytes", "Bytes written to temporary files", kept=True),
    "deadlocks": _counter("deadlocks", "Deadlocks", kept=True),
    "blk_read_time": _counter("blk_read_time", "Milliseconds spent reading blocks, with track_io_timing"),
    "blk_write_time": _counter("blk_write_time", "Milliseconds spent writing blocks, with track_io_timing"),
}
CHECKSUM_FAILURES = Metric(
    name="toban_pg_checksum_failures_total",
    help="Pages whose checksum did not match; empty datname: the shared objects. Absent without data checksums",
    type=Type.COUNTER,
    labels=("datname",),
)
SESSIONS = Metric(name="toban_pg_sessions_total", help="Sessions begun", type=Type.COUNTER, labels=("datname",))
SESSIONS_LOST = Metric(
    name="toban_pg_sessions_lost_total",
    help="Sessions that ended badly: abandoned by the client, by a fatal error, killed by an operator",
    type=Type.COUNTER,
    labels=("datname", "how"),
)
ACTIVE = Metric(
    name="toban_pg_active_seconds_total",
    help="Time that sessions spent running statements",
    type=Type.COUNTER,
    unit=Unit.SECONDS,
    labels=("datname",),
)
CACHE_HIT = Metric(
    name="pg_cache_hit_ratio",
    help="Share of block accesses since the last reading that shared buffers answered; absent when there was none",
    unit=Unit.RATIO,
    labels=("datname",),
    kept=True,
)
SERVER_CACHE_HIT = Metric(
    name="toban_pg_cache_hit_ratio",
    help="The same over all the databases looked at and the shared objects",
    unit=Unit.RATIO,
    kept=True,
)
WRAPAROUND = Metric(
    name="pg_wraparound_ratio",
    help="Share of the 2^31 transaction or multixact ids, whichever is further, used since the oldest unfrozen row",
    unit=Unit.RATIO,
    labels=("datname",),
    kept=True,
)
MULTIXACT_WRAPAROUND = Metric(
    name="toban_pg_multixact_wraparound_ratio",
    help="Share of the 2^31 multixact ids used since the oldest unfrozen row",
    unit=Unit.RATIO,
    labels=("datname",),
    kept=True,
)
FREEZE_AGE = Metric(
    name="toban_pg_freeze_age_ratio",
    help="Age of the oldest unfrozen row as a share of what makes autovacuum freeze; above 1 it has fallen behind",
    unit=Unit.RATIO,
    labels=("datname",),
)
_OWN = (
    (CHECKSUM_FAILURES, "checksum_failures", ()),
    (SESSIONS, "sessions", ()),
    (SESSIONS_LOST, "sessions_abandoned", ("abandoned",)),
    (SESSIONS_LOST, "sessions_fatal", ("fatal",)),
    (SESSIONS_LOST, "sessions_killed", ("killed",)),
    (ACTIVE, "active_seconds", ()),
)
_AGES = {WRAPAROUND: "wraparound", MULTIXACT_WRAPAROUND: "multixact_wraparound", FREEZE_AGE: "freeze_age"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """A database's block counters, and what they have been counted since."""

    hit: int
    read: int
    since: tuple[float | None, float]


class DatabaseActivity(Collector[PostgresServer, CollectorSettings]):
    """The counters of every database."""

    name = "databases"
    purpose = (
        "What each database does for its users, whether the cache serves it, and what goes wrong: rollbacks, "
        "deadlocks, spilled sorts, damaged pages."
    )
    kind = Kind.POSTGRESQL
    metrics = (
        *COMPATIBLE.values(),
        CHECKSUM_FAILURES,
        SESSIONS,
        SESSIONS_LOST,
        ACTIVE,
        CACHE_HIT,
        SERVER_CACHE_HIT,
        *_AGES,
    )
    settings_model = CollectorSettings
    query = Query("databases")

    def __init__(self, source: PostgresServer, settings: CollectorSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._before: dict[int, Blocks] = {}

    async def collect(self) -> Findings:
        """One row a database, and one for the shared objects."""
        rows = await self.source.fetch(self.query)
        batch = Batch(self.clock.now())
        now: dict[int, Blocks] = {}
        for row in rows:
            for metric, column in _AGES.items():
                batch.add(metric, row[column], row["datname"])
            if row["template"] or (row["datid"] and not self.source.databases.chosen(row["datname"])):
                continue
            _add_counters(batch, row)
            now[row["datid"]] = blocks = _blocks(row)
            batch.add(CACHE_HIT, hit_ratio(self._before.get(row["datid"]), blocks), row["datname"])
        batch.add(SERVER_CACHE_HIT, server_hit_ratio(self._before, now))
        self._before = now
        return Findings(samples=batch.samples)


def hit_ratio(before: Blocks | None, now: Blocks) -> float | None:
    """Hits among the accesses between two readings; none without two that count from the same start."""
    accesses = _accesses(before, now)
    return None if accesses is None else part(accesses[0], sum(accesses))


def _accesses(before: Blocks | None, now: Blocks) -> tuple[int, int] | None:
    """Hits and reads between two readings."""
    if before is None or before.since != now.since:
        return None
    hit, read = now.hit - before.hit, now.read - before.read
    return None if hit < 0 or read < 0 else (hit, read)


def server_hit_ratio(before: Mapping[int, Blocks], now: Mapping[int, Blocks]) -> float | None:
    """The ratio of the whole server, from the databases that can be told."""
    found = [accesses for datid, blocks in now.items() if (accesses := _accesses(before.get(datid), blocks))]
    return part(sum(hit for hit, _ in found), sum(hit + read for hit, read in found))


def _add_counters(batch: Batch, row: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    datname = row["datname"]
    datid = str(row["datid"])
    for column, metric in COMPATIBLE.items():
        batch.add(metric, row[column], datid, datname)
    for metric, column, labels in _OWN:
        batch.add(metric, row[column], datname, *labels)


def _blocks(row: Any) -> Blocks:  # noqa: ANN401 - asyncpg ships no types
    return Blocks(hit=row["blks_hit"], read=row["blks_read"], since=(row["counted_since"], row["started_at"]))
