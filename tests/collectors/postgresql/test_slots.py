"""Slots on real servers: exactly the WAL that was written is retained; what a consumer has not confirmed; idleness."""

import pytest

from collectors.postgresql.replication import (
    SLOT_ACTIVE,
    SLOT_DECODED,
    SLOT_INACTIVE,
    SLOT_RETAINED,
    SLOT_SPILLED,
    SLOT_UNCONFIRMED,
    SYNC_STANDBYS,
    SYNC_WANTED,
    Replication,
    ReplicationSettings,
    wanted_standbys,
)
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.samples import Findings

pytestmark = pytest.mark.integration
QUIET = {"autovacuum": "off", "wal_level": "logical"}
POSITION = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
RESTART = "select pg_wal_lsn_diff(restart_lsn, '0/0')::bigint from pg_replication_slots where slot_name = '{}'"


async def looked(cluster: Cluster, collector: Replication) -> tuple[int, Findings]:
    """A look during which nobody wrote, and the position at which it was made."""

    async def probe() -> tuple[int, Findings] | None:
        before = await ask(cluster, POSITION)
        findings = await collector.collect()
        return (before, findings) if before == await ask(cluster, POSITION) else None

    found = await eventually(probe)
    assert found is not None
    return found


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_slot_retains_exactly_the_wal_written(
    major: int, new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """From where the slot stands to where the server writes, to the byte, before and after a known amount."""
    cluster = new_cluster(major, settings=QUIET)
    await cluster.execute("select pg_create_physical_replication_slot('kept', true)")
    slot = ("kept", "physical")
    async with watching(cluster, manual_clock) as server:
        collector = Replication(server, ReplicationSettings(), manual_clock)
        start = await ask(cluster, RESTART.format("kept"))
        first, findings = await looked(cluster, collector)
        assert value(findings, SLOT_RETAINED, *slot) == first - start
        await cluster.execute("select pg_logical_emit_message(true, 'toban', repeat('x', 3000000))")
        second, findings = await looked(cluster, collector)
        assert second - first > 3_000_000
        assert value(findings, SLOT_RETAINED, *slot) == second - start
        assert value(findings, SLOT_UNCONFIRMED, *slot) is None
        assert value(findings, SLOT_DECODED, *slot) is None


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_logical_slot_tells_what_is_not_confirmed(
    major: int, new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """Unconfirmed until its consumer takes it; what was decoded is counted, and what went to disk for it."""
    cluster = new_cluster(major, settings={**QUIET, "logical_decoding_work_mem": "64kB"})
    await cluster.execute("create publication p for all tables")
    await cluster.execute("select pg_create_logical_replication_slot('feed', 'pgoutput')")
    slot = ("feed", "logical")
    confirmed = "select pg_wal_lsn_diff(confirmed_flush_lsn, '0/0')::bigint from pg_replication_slots"
    async with watching(cluster, manual_clock) as server:
        collector = Replication(server, ReplicationSettings(), manual_clock)
        await cluster.execute("create table written as select generate_series(1, 10000) as n")
        position, findings = await looked(cluster, collector)
        start = await ask(cluster, confirmed)
        assert position - start > 100_000
        assert value(findings, SLOT_UNCONFIRMED, *slot) == position - start
        await cluster.execute(
            "select count(*) from pg_logical_slot_get_binary_changes("
            "'feed', null, null, 'proto_version', '1', 'publication_names', 'p')"
        )
        position, findings = await looked(cluster, collector)
        assert value(findings, SLOT_UNCONFIRMED, *slot) == position - await ask(cluster, confirmed)

        async def counted() -> bool:
            told = await collector.collect()
            return (value(told, SLOT_DECODED, *slot) or 0) > 0 and (value(told, SLOT_SPILLED, *slot) or 0) > 0

        await eventually(counted)


async def test_idle_slot_before_17_counts_from_when_it_was_seen(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """The server does not say; we do: used it is zero, and from the first look without a user on it grows."""
    primary = new_cluster(15)
    await primary.execute("select pg_create_physical_replication_slot('kept')")
    standby = standby_of(primary, settings={"primary_slot_name": "kept"})
    slot = ("kept", "physical")
    async with watching(primary, manual_clock) as server:
        collector = Replication(server, ReplicationSettings(), manual_clock)

        async def active(wanted: float) -> bool:
            findings = await collector.collect()
            return value(findings, SLOT_ACTIVE, *slot) == wanted and value(findings, SLOT_INACTIVE, *slot) == 0

        await eventually(lambda: active(1))
        manual_clock.advance(60)
        await eventually(lambda: active(1))
        standby.stop()
        await eventually(lambda: active(0))
        manual_clock.advance(90)
        assert value(await collector.collect(), SLOT_INACTIVE, *slot) == 90
        standby.start()
        await eventually(lambda: active(1))


async def test_idle_slot_from_17_on_tells_itself(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """The server knows since when, also of the time before Toban looked."""
    cluster = new_cluster(18)
    await cluster.execute("select pg_create_physical_replication_slot('kept')")
    async with watching(cluster, manual_clock) as server:

        async def idle() -> bool:
            findings = await Replication(server, ReplicationSettings(), manual_clock).collect()
            return (value(findings, SLOT_INACTIVE, "kept", "physical") or 0) > 0

        await eventually(idle)


@pytest.mark.parametrize(("inactive_seconds", "told"), [(None, 0.0), (0.0, 0.0), (7.0, 7.0)])
async def test_slot_from_17_on_is_idle_as_long_as_its_server_says(
    postgres15: Cluster, manual_clock: ManualClock, inactive_seconds: float | None, told: float
) -> None:
    """One that a standby keeps in step with its primary's is used by nobody there, and is not forgotten either."""
    async with watching(postgres15, manual_clock) as server:
        collector = Replication(server, ReplicationSettings(), manual_clock)
        slot = {"slot_name": "kept", "active": False, "inactive_seconds": inactive_seconds}
        collector._unused([slot])
        manual_clock.advance(90_000)
        assert collector._unused([slot]) == {"kept": told}


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        ("", 0),
        ("  ", 0),
        ("*", 1),
        ("one, two", 1),
        ("FIRST 2 (a, b, c)", 2),
        ("any 3 (*)", 3),
        ("2 (a, b)", 2),
        ('"FIRST 2"', 1),
    ],
)
def test_wanted_standbys_are_as_many_as_a_commit_waits_for(names: str, wanted: int) -> None:
    """All the ways to write synchronous_standby_names."""
    assert wanted_standbys(names) == wanted


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_synchronous_standby_that_is_gone_is_missed(
    major: int, new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """One is wanted and one is there; then none is, and commits would hang."""
    primary = new_cluster(major)
    standby = standby_of(primary, settings={"cluster_name": "second"})
    async with watching(primary, manual_clock) as server:
        collector = Replication(server, ReplicationSettings(), manual_clock)

        async def counts() -> list[float]:
            findings = await collector.collect()
            return [found[()] for found in (series(findings, SYNC_WANTED), series(findings, SYNC_STANDBYS))]

        async def become(*expected: float) -> None:
            async def are() -> bool:
                return await counts() == list(expected)

            await eventually(are)

        await become(0, 0)
        primary.configure(synchronous_standby_names="FIRST 1 (second)")
        await become(1, 1)
        standby.stop()
        await become(1, 0)
    primary.configure(synchronous_standby_names="")
