"""Replication on real servers: a standby that lags, loses its primary and is promoted; slots that hold WAL back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collectors.postgresql.replication import (
    CONFLICTS,
    IS_REPLICA,
    LAG,
    LAST_REPLAY,
    LSN_DIFF,
    RECEIVER_STREAMING,
    REPLAY_BACKLOG,
    REPLAY_PAUSED,
    SLOT_ACTIVE,
    SLOT_DIFF,
    SLOT_RETAINED,
    SLOT_SAFE,
    SLOT_STATUS,
    STANDBY_BYTES,
    STANDBY_SECONDS,
    STANDBY_STATE,
    STANDBYS,
    SYNC_STANDBYS,
    Replication,
    ReplicationSettings,
)
from collectors.postgresql.server import Databases
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.outcomes import Gap, Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration

NAMED = {"cluster_name": "second", "wal_receiver_status_interval": "1s", "hot_standby_feedback": "off"}


@asynccontextmanager
async def measured(
    cluster: Cluster, clock: ManualClock, *, user: str = "postgres", databases: Databases | None = None
) -> AsyncIterator[Replication]:
    """The collector on a cluster."""
    async with watching(cluster, clock, user=user, databases=databases) as server:
        yield Replication(server, ReplicationSettings(), clock)


async def write(cluster: Cluster) -> None:
    """Some WAL, and a commit."""
    await cluster.execute("CREATE TABLE IF NOT EXISTS t (a int); INSERT INTO t SELECT generate_series(1, 1000)")


def found(findings: Findings | None) -> Findings:
    """What was waited for."""
    assert findings is not None
    return findings


async def eventually_found(collector: Replication, **expected: float) -> Findings:
    """The findings of the first turn in which the metrics (by their constant's name) have these values."""
    metrics = {"lag": LAG, "backlog": REPLAY_BACKLOG, "streaming": RECEIVER_STREAMING, "replica": IS_REPLICA}

    async def probe() -> Findings | None:
        findings = await collector.collect()
        fits = all(value(findings, metrics[name]) == number for name, number in expected.items())
        return findings if fits else None

    return found(await eventually(probe))


async def test_replication_of_a_lonely_server_is_at_rest(postgres: Cluster, manual_clock: ManualClock) -> None:
    """No standby, no slot, no lag; every version answers."""
    async with measured(postgres, manual_clock) as collector:
        findings = await collector.collect()
    assert value(findings, IS_REPLICA) == 0
    assert value(findings, LAG) == 0
    assert value(findings, LAST_REPLAY) == 0
    assert value(findings, STANDBYS) == 0
    assert findings.gaps == ()


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_replication_lag_follows_a_paused_replay(
    major: int, new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """Idle is no lag; paused with new WAL is; replayed again it is none; promoted it is a primary's."""
    primary = new_cluster(major)
    await write(primary)
    standby = standby_of(primary, settings=NAMED)
    async with measured(standby, manual_clock) as collector:
        findings = await eventually_found(collector, lag=0, backlog=0, streaming=1, replica=1)
        assert value(findings, REPLAY_PAUSED) == 0
        assert series(findings, CONFLICTS)[("postgres", "lock")] == 0
        assert findings.gaps == ()

        await standby.execute("SELECT pg_wal_replay_pause()")
        await write(primary)
        await eventually(lambda: _behind(collector))
        manual_clock.advance(5)
        findings = await collector.collect()
        assert 0 < (value(findings, LAG) or 0) <= 5
        assert value(findings, REPLAY_PAUSED) == 1

        await standby.execute("SELECT pg_wal_replay_resume()")
        await eventually_found(collector, lag=0, backlog=0)

        await standby.execute("SELECT pg_promote()")
        findings = await eventually_found(collector, replica=0, lag=0)
        assert value(findings, REPLAY_BACKLOG) is None
        assert value(findings, RECEIVER_STREAMING) is None


async def _behind(collector: Replication) -> bool:
    return (value(await collector.collect(), REPLAY_BACKLOG) or 0) > 0


async def test_replication_lag_of_a_standby_without_its_primary_is_not_zero(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """All that was received is replayed, yet nothing is known of what the primary did since: the lag grows."""
    primary = new_cluster()
    await write(primary)
    standby = standby_of(primary, settings=NAMED)
    async with measured(standby, manual_clock) as collector:
        await eventually_found(collector, lag=0, streaming=1)
        primary.stop("immediate")
        await eventually_found(collector, streaming=0)
        manual_clock.advance(60)
        findings = await collector.collect()
        assert 0 < (value(findings, LAG) or 0) <= 60


async def test_primary_tells_of_each_standby(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """Bytes and seconds behind, by stage, by the name that the standby bears; a base backup is no standby."""
    primary = new_cluster()
    standby = standby_of(primary, settings=NAMED)
    async with measured(primary, manual_clock) as collector:
        await eventually(lambda: _flushed(collector))
        await standby.execute("SELECT pg_wal_replay_pause()")
        await write(primary)
        await eventually(lambda: _replay_behind(collector))
        findings = await collector.collect()
        who = ("second", "127.0.0.1")
        assert value(findings, STANDBYS) == 1
        assert series(findings, STANDBY_BYTES).keys() == {(*who, stage) for stage in ("write", "flush", "replay")}
        assert value(findings, STANDBY_STATE, *who, "streaming", "async") == 1
        assert (value(findings, LSN_DIFF, *who, "streaming", "") or 0) > 0
        await standby.execute("SELECT pg_wal_replay_resume()")
        await eventually(lambda: _caught_up(collector))


async def _flushed(collector: Replication) -> bool:
    return value(await collector.collect(), STANDBY_BYTES, "second", "127.0.0.1", "flush") == 0


async def _replay_behind(collector: Replication) -> bool:
    return (value(await collector.collect(), STANDBY_BYTES, "second", "127.0.0.1", "replay") or 0) > 0


async def _caught_up(collector: Replication) -> bool:
    findings, who = await collector.collect(), ("second", "127.0.0.1")
    seconds = value(findings, STANDBY_SECONDS, *who, "replay")
    return value(findings, STANDBY_BYTES, *who, "replay") == 0 and seconds == 0


async def test_standbys_of_one_name_are_one_series(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """Two that nobody named are both `walreceiver`: no series comes twice, and the one further behind counts."""
    primary = new_cluster()
    standbys = [standby_of(primary, settings={"wal_receiver_status_interval": "1s"}) for _ in range(2)]
    async with measured(primary, manual_clock) as collector:
        await eventually(lambda: _both(collector))
        await standbys[0].execute("SELECT pg_wal_replay_pause()")
        await write(primary)
        findings = found(await eventually(lambda: _one_behind(collector)))
        assert value(findings, STANDBYS) == 2
        assert len(series(findings, STANDBY_BYTES)) == 3


async def _both(collector: Replication) -> bool:
    findings = await collector.collect()
    states = {labels[2] for labels in series(findings, STANDBY_STATE)}
    return value(findings, STANDBYS) == 2 and states == {"streaming"}


async def _one_behind(collector: Replication) -> Findings | None:
    findings = await collector.collect()
    behind = series(findings, STANDBY_BYTES)
    flushed = behind[("walreceiver", "127.0.0.1", "flush")] == 0
    return findings if flushed and behind[("walreceiver", "127.0.0.1", "replay")] > 0 else None


async def test_slot_tells_what_it_holds_back(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """A slot that nobody uses holds WAL back; where slots are limited, what is left is told; a lost one has no WAL."""
    cluster = new_cluster(settings={"max_slot_wal_keep_size": "48MB", "max_wal_size": "32MB", "min_wal_size": "32MB"})
    await cluster.execute("SELECT pg_create_physical_replication_slot('kept', true)")
    slot = ("kept", "physical")
    async with measured(cluster, manual_clock) as collector:
        first = await collector.collect()
        await write(cluster)
        second = await collector.collect()
        assert value(second, SLOT_ACTIVE, *slot) == 0
        assert value(second, SLOT_STATUS, *slot, "reserved") == 1
        assert (value(second, SLOT_RETAINED, *slot) or 0) > (value(first, SLOT_RETAINED, *slot) or 0)
        assert value(second, SLOT_DIFF, *slot) == value(second, SLOT_RETAINED, *slot)
        assert (value(second, SLOT_SAFE, *slot) or 0) > 0
        for _ in range(6):
            await cluster.execute("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', 'y')")
        await cluster.execute("CHECKPOINT")
        assert value(await collector.collect(), SLOT_STATUS, *slot, "lost") == 1


async def test_slot_in_use_is_joined_to_its_standby(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """An active slot says so, and its name is on the standby's series."""
    primary = new_cluster()
    await primary.execute("SELECT pg_create_physical_replication_slot('kept')")
    standby_of(primary, settings={**NAMED, "primary_slot_name": "kept"})
    async with measured(primary, manual_clock) as collector:
        await eventually(lambda: _slot_in_use(collector))


async def _slot_in_use(collector: Replication) -> bool:
    findings = await collector.collect()
    named = {labels[3] for labels in series(findings, LSN_DIFF)} == {"kept"}
    return named and value(findings, SLOT_ACTIVE, "kept", "physical") == 1


async def test_replication_without_privilege_says_so(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """A plain role sees lag and counts, not who: each side says what is missing and how to mend it."""
    primary = new_cluster()
    await primary.execute("CREATE ROLE plain LOGIN")
    standby = standby_of(primary, settings=NAMED)
    async with measured(primary, manual_clock, user="plain") as collector:
        (gap,) = await eventually(lambda: _gaps(collector))
        assert (gap.what, gap.reason, gap.count) == ("standbys", Reason.PRIVILEGE, 1)
        assert series(await collector.collect(), SYNC_STANDBYS) == {}  # hidden, and so not to be missed
        assert "toban setup postgresql" in gap.hint
    async with measured(standby, manual_clock, user="plain") as collector:
        findings = await eventually_found(collector, lag=0, streaming=1)
        assert [gap.what for gap in findings.gaps] == ["WAL receiver"]
    assert "ERROR" not in primary.log_text() + standby.log_text()


async def _gaps(collector: Replication) -> tuple[Gap, ...]:
    return (await collector.collect()).gaps


async def test_conflicts_count_by_reason(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """A query that replay had to cancel is counted under what it was cancelled for, in the databases looked at."""
    primary = new_cluster()
    await write(primary)
    await primary.execute("CREATE DATABASE scratch")
    standby = standby_of(primary, settings={**NAMED, "max_standby_streaming_delay": "0"})
    await eventually(lambda: ask(standby, "SELECT EXISTS (SELECT FROM pg_stat_wal_receiver)"))
    reader = await standby.connect()
    await reader.execute("BEGIN; SELECT count(*) FROM t")
    await primary.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE; DROP TABLE t")
    async with measured(standby, manual_clock, databases=Databases(exclude=("scratch",))) as collector:
        await eventually(lambda: _conflicts(collector))
        assert {labels[0] for labels in series(await collector.collect(), CONFLICTS)} == {"postgres"}
    reader.terminate()


async def _conflicts(collector: Replication) -> bool:
    return (value(await collector.collect(), CONFLICTS, "postgres", "lock") or 0) > 0
