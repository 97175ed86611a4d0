"""How far standbys are behind, seen from both sides, what slots hold back, and how subscriptions fare."""

import re
from typing import Any

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.failures import SETUP_HINT
from collectors.postgresql.lag import Standby, backlog_bytes, current, lag_seconds
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from collectors.postgresql.subscriptions import SUBSCRIPTION_METRICS, SUBSCRIPTIONS, add_subscriptions
from toban.clock import Clock
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit

_STANDBY = ("standby", "client_addr")
_SLOT = ("slot_name", "slot_type")

LAG = Metric(
    name="pg_replication_lag_seconds",
    help="How old a standby's data may be; 0 on a primary and on a standby that has replayed all there is",
    unit=Unit.SECONDS,
    compatible=True,
    kept=True,
)
IS_REPLICA = Metric(
    name="pg_replication_is_replica", help="Whether the server is a standby", compatible=True, kept=True
)
LAST_REPLAY = Metric(
    name="pg_replication_last_replay_seconds",
    help="Age of the last commit that a standby replayed; it grows on an idle cluster",
    unit=Unit.SECONDS,
    compatible=True,
)
REPLAY_PAUSED = Metric(name="toban_pg_replay_paused", help="Whether the standby's replay is paused, or about to be")
REPLAY_BACKLOG = Metric(
    name="toban_pg_replay_backlog_bytes",
    help="WAL that the standby has received and not yet replayed",
    unit=Unit.BYTES,
    kept=True,
)
RECEIVER_STREAMING = Metric(
    name="toban_pg_wal_receiver_streaming",
    help="Whether the standby's WAL receiver streams from its primary",
)
RECEIVER_SILENCE = Metric(
    name="toban_pg_wal_receiver_silence_seconds",
    help="Since when the standby has heard nothing from its primary",
    unit=Unit.SECONDS,
)
CONFLICTS = Metric(
    name="toban_pg_recovery_conflicts_total",
    help="Queries that the standby cancelled because replay needed what they held",
    type=Type.COUNTER,
    labels=("datname", "reason"),
)
STANDBYS = Metric(name="toban_pg_standbys", help="Standbys and subscribers connected to this server", kept=True)
LSN_DIFF = Metric(
    name="pg_stat_replication_pg_wal_lsn_diff",
    help="WAL, in bytes, that a standby has not yet replayed",
    labels=("application_name", "client_addr", "state", "slot_name"),
    compatible=True,
)
STANDBY_BYTES = Metric(
    name="toban_pg_standby_lag_bytes",
    help="WAL that a standby has not yet written, flushed or replayed",
    unit=Unit.BYTES,
    labels=(*_STANDBY, "stage"),
    kept=True,
)
STANDBY_SECONDS = Metric(
    name="toban_pg_standby_lag_seconds",
    help="Time from a flush here to a standby's write, flush or replay of the same WAL",
    unit=Unit.SECONDS,
    labels=(*_STANDBY, "stage"),
)
STANDBY_STATE = Metric(
    name="toban_pg_standby_state",
    help="1 for the state that a standby is in",
    labels=(*_STANDBY, "state", "sync_state"),
)
SLOT_ACTIVE = Metric(
    name="pg_replication_slots_active", help="Whether somebody uses the slot", labels=_SLOT, compatible=True
)
SLOT_DIFF = Metric(
    name="pg_replication_slots_pg_wal_lsn_diff",
    help="WAL, in bytes, that the slot holds back",
    labels=_SLOT,
    compatible=True,
)
SLOT_SAFE = Metric(
    name="pg_replication_slots_safe_wal_size_bytes",
    help="WAL that may still be written before the slot is lost; absent where slots are not limited",
    unit=Unit.BYTES,
    labels=_SLOT,
    compatible=True,
)
SLOT_STATUS = Metric(
    name="pg_replication_slots_wal_status",
    help="1 for the state of the WAL that the slot claims: reserved, extended, unreserved or lost",
    labels=(*_SLOT, "wal_status"),
    compatible=True,
)
SLOT_RETAINED = Metric(
    name="toban_pg_slot_retained_bytes",
    help="WAL that the slot holds back",
    unit=Unit.BYTES,
    labels=_SLOT,
    kept=True,
)

SLOT_UNCONFIRMED = Metric(
    name="toban_pg_slot_unconfirmed_bytes",
    help="WAL that the consumer of a logical slot has not confirmed to have",
    unit=Unit.BYTES,
    labels=_SLOT,
)
SLOT_INACTIVE = Metric(
    name="toban_pg_slot_inactive_seconds",
    help="Since when nobody uses the slot, 0 while somebody does; before 17 since Toban saw that nobody does",
    unit=Unit.SECONDS,
    labels=_SLOT,
    kept=True,
)
SLOT_DECODED = Metric(
    name="toban_pg_slot_decoded_bytes_total",
    help="Changes that were decoded for the consumer of a logical slot",
    type=Type.COUNTER,
    unit=Unit.BYTES,
    labels=_SLOT,
)
SLOT_SPILLED = Metric(
    name="toban_pg_slot_spilled_bytes_total",
    help="Decoded changes that did not fit into logical_decoding_work_mem and went to disk",
    type=Type.COUNTER,
    unit=Unit.BYTES,
    labels=_SLOT,
)
SYNC_STANDBYS = Metric(
    name="toban_pg_synchronous_standbys",
    help="Connected standbys that commits wait for, or of a quorum may wait for",
)
SYNC_WANTED = Metric(
    name="toban_pg_synchronous_standbys_wanted",
    help="Standbys that a commit wants to wait for; while there are fewer, commits hang",
)

_STAGES = ("write", "flush", "replay")
_STATE = Query("replication")
_STANDBYS = Query("standbys")
_SLOTS = Query("slots")
_CONFLICTS = Query("standby_conflicts")


class ReplicationSettings(CollectorSettings):
    """How often."""


class Replication(Collector[PostgresServer, ReplicationSettings]):
    """Both sides of replication; which side a server is on may change at any turn."""

    name = "replication"
    purpose = (
        "How much a failover would lose, whether a standby fell off, and which slot keeps WAL until the disk is full."
    )
    kind = Kind.POSTGRESQL
    metrics = (
        *(LAG, IS_REPLICA, LAST_REPLAY, REPLAY_PAUSED, REPLAY_BACKLOG, RECEIVER_STREAMING, RECEIVER_SILENCE, CONFLICTS),
        *(STANDBYS, LSN_DIFF, STANDBY_BYTES, STANDBY_SECONDS, STANDBY_STATE),
        *(SYNC_STANDBYS, SYNC_WANTED),
        *(SLOT_ACTIVE, SLOT_DIFF, SLOT_SAFE, SLOT_STATUS, SLOT_RETAINED),
        *(SLOT_UNCONFIRMED, SLOT_INACTIVE, SLOT_DECODED, SLOT_SPILLED),
        *SUBSCRIPTION_METRICS,
    )
    settings_model = ReplicationSettings

    def __init__(self, source: PostgresServer, settings: ReplicationSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._current_at: float | None = None
        self._unused_since: dict[str, float] = {}

    async def collect(self) -> Findings:
        """One row for a server that stands alone; more questions only where there is more."""
        batch = Batch(self.clock.now())
        gaps: list[Gap] = []
        (row,) = await self.source.fetch(_STATE)
        batch.add(IS_REPLICA, row["standby"])
        batch.add(STANDBYS, row["standbys"])
        if row["standby"]:
            gaps += self._as_standby(batch, row)
            _add_conflicts(batch, await self.source.fetch(_CONFLICTS), self.source)
        else:
            self._current_at = None
            batch.add(LAG, 0)
            batch.add(LAST_REPLAY, 0)
        standbys = await self.source.fetch(_STANDBYS) if row["standbys"] else []
        gaps += _add_standbys(batch, standbys)
        if not row["standby"]:
            batch.add(SYNC_WANTED, wanted_standbys(row["synchronous"]))
            if all(one["state"] is not None for one in standbys):
                batch.add(SYNC_STANDBYS, sum(one["sync_state"] in {"sync", "quorum"} for one in standbys))
        slots = await self.source.fetch(_SLOTS) if row["slots"] else []
        _add_slots(batch, slots, self._unused(slots))
        if row["subscriptions"]:
            gaps += add_subscriptions(batch, await self.source.fetch(SUBSCRIPTIONS), self.source.databases)
        return Findings(samples=batch.samples, gaps=tuple(gaps))

    def _unused(self, slots: list[Any]) -> dict[str, float]:
        """How long each slot has not been used. A server before 17 does not say: since when we have seen it.

        One from 17 on knows better than we: a slot that it keeps in step with its primary's is in use by nobody there.
        """
        at = self.clock.monotonic()
        idle = {row["slot_name"] for row in slots if not row["active"]}
        self._unused_since = {name: self._unused_since.get(name, at) for name in idle}
        seen = {name: at - since for name, since in self._unused_since.items()}
        return {row["slot_name"]: row.get("inactive_seconds", seen.get(row["slot_name"])) or 0.0 for row in slots}

    def _as_standby(self, batch: Batch, row: Any) -> list[Gap]:  # noqa: ANN401 - asyncpg ships no types
        standby = _standby(row)
        at = self.clock.monotonic()
        if current(standby):
            self._current_at = at
        batch.add(LAG, lag_seconds(standby, None if self._current_at is None else at - self._current_at))
        batch.add(LAST_REPLAY, _not_negative(standby.replay_age_seconds))
        batch.add(REPLAY_PAUSED, row["pause_state"] != "not paused")
        batch.add(REPLAY_BACKLOG, backlog_bytes(standby))
        batch.add(RECEIVER_STREAMING, standby.receiving)
        batch.add(RECEIVER_SILENCE, _not_negative(standby.message_age_seconds))
        return [_hidden("WAL receiver", 1)] if row["receiving"] and row["receiver_status"] is None else []


def _standby(row: Any) -> Standby:  # noqa: ANN401 - asyncpg ships no types
    return Standby(
        replay_age_seconds=row["replay_age_seconds"],
        replayed_bytes=row["replayed_bytes"],
        received_bytes=row["received_bytes"],
        announced_bytes=row["announced_bytes"],
        receiving=row["receiving"] and row["receiver_status"] in {None, "streaming"},
        message_age_seconds=row["message_age_seconds"],
        silence_seconds=row["silence_seconds"],
    )


def _add_conflicts(batch: Batch, rows: list[Any], source: PostgresServer) -> None:
    for row in rows:
        if source.databases.chosen(row["datname"]):
            for reason, count in list(row.items())[1:]:
                batch.add(CONFLICTS, count, row["datname"], reason)


def _add_standbys(batch: Batch, rows: list[Any]) -> list[Gap]:
    """Two standbys may bear one name at one address; of equal series the one further behind counts."""
    worst: dict[tuple[Metric, tuple[str, ...]], float] = {}
    visible = [row for row in rows if row["state"] is not None]
    for row in visible:
        for metric, labels, value in _of_standby(row):
            if value is not None:
                worst[metric, labels] = max(value, worst.get((metric, labels), 0.0))
    for (metric, labels), value in worst.items():
        batch.add(metric, value, *labels)
    return [_hidden("standbys", len(rows) - len(visible))] if len(visible) < len(rows) else []


def _of_standby(row: Any) -> list[tuple[Metric, tuple[str, ...], float | None]]:  # noqa: ANN401 - asyncpg ships no types
    who = (row["application_name"], row["client_addr"])
    found: list[tuple[Metric, tuple[str, ...], float | None]] = [
        (LSN_DIFF, (*who, row["state"], row["slot_name"]), _not_negative(row["replay_bytes"])),
        (STANDBY_STATE, (*who, row["state"], row["sync_state"]), 1.0),
    ]
    for stage in _STAGES:
        behind_bytes, behind_seconds = _not_negative(row[f"{stage}_bytes"]), row[f"{stage}_seconds"]
        if behind_seconds is None and behind_bytes == 0:
            behind_seconds = 0.0  # the server forgets the lag of a standby that has nothing left to do
        found.append((STANDBY_BYTES, (*who, stage), behind_bytes))
        found.append((STANDBY_SECONDS, (*who, stage), behind_seconds))
    return found


def wanted_standbys(names: str) -> int:
    """How many standbys `synchronous_standby_names` makes a commit wait for."""
    counted = re.match(r"\s*(?:(?:FIRST|ANY)\s+)?(\d+)\s*\(", names, re.IGNORECASE)
    return int(counted[1]) if counted else int(bool(names.strip()))


def _add_slots(batch: Batch, rows: list[Any], unused_seconds: dict[str, float]) -> None:
    for row in rows:
        slot = (row["slot_name"], row["slot_type"])
        batch.add(SLOT_ACTIVE, row["active"], *slot)
        batch.add(SLOT_DIFF, row["retained_bytes"], *slot)
        batch.add(SLOT_RETAINED, _not_negative(row["retained_bytes"]), *slot)
        batch.add(SLOT_SAFE, row["safe_wal_size"], *slot)
        batch.add(SLOT_UNCONFIRMED, _not_negative(row["unconfirmed_bytes"]), *slot)
        batch.add(SLOT_INACTIVE, unused_seconds[row["slot_name"]], *slot)
        batch.add(SLOT_DECODED, row["decoded_bytes"], *slot)
        batch.add(SLOT_SPILLED, row["spilled_bytes"], *slot)
        if row["wal_status"] is not None:
            batch.add(SLOT_STATUS, 1, *slot, row["wal_status"])


def _not_negative(value: float | None) -> float | None:
    """Two clocks, or two looks a moment apart, may disagree by a little."""
    return None if value is None else max(value, 0.0)


def _hidden(what: str, count: int) -> Gap:
    detail = "hidden from a role without pg_read_all_stats"
    return Gap(what=what, reason=Reason.PRIVILEGE, count=count, detail=detail, hint=SETUP_HINT)
