"""The write-ahead log on real servers: names for each version, an archiver that fails, listings that cost."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collectors.postgresql.wal import (
    ARCHIVE_AGE,
    ARCHIVE_FAILED,
    ARCHIVE_FAILING,
    ARCHIVED,
    CHECKPOINT_AGE,
    FAILURE_AGE,
    FILES_SECONDS,
    POSITION,
    READY,
    SEGMENTS,
    SIZE,
    Wal,
    WalSettings,
)
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, names, value, watching
from tests.collectors.postgresql.sources import Asking
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration

EVERYWHERE = {
    "pg_stat_archiver_archived_count",
    "pg_stat_archiver_failed_count",
    "pg_wal_segments",
    "pg_wal_size_bytes",
    "pg_stat_bgwriter_buffers_alloc",
    "pg_stat_bgwriter_buffers_alloc_total",
    "pg_stat_bgwriter_buffers_clean_total",
    "pg_stat_bgwriter_maxwritten_clean_total",
    "toban_pg_wal_bytes_total",
    "toban_pg_wal_records_total",
    "toban_pg_wal_writes_total",
    "toban_pg_wal_syncs_total",
    "toban_pg_wal_write_seconds_total",
}
BEFORE_17 = {
    f"pg_stat_bgwriter_{column}_total"
    for column in (
        "checkpoints_timed",
        "checkpoints_req",
        "checkpoint_write_time",
        "checkpoint_sync_time",
        "buffers_checkpoint",
        "buffers_backend",
        "buffers_backend_fsync",
    )
}
FROM_17 = {
    f"pg_stat_checkpointer_{column}_total"
    for column in ("num_timed", "num_requested", "write_time", "sync_time", "buffers_written")
}


@asynccontextmanager
async def measured(cluster: Cluster, clock: ManualClock, *, user: str = "postgres") -> AsyncIterator[Wal]:
    """The collector on a cluster."""
    async with watching(cluster, clock, user=user) as server:
        yield Wal(server, WalSettings(), clock)


async def test_wal_has_the_names_of_its_version(postgres: Cluster, manual_clock: ManualClock) -> None:
    """Checkpoints count under the names that postgres_exporter gives them, before 17 and from 17 on."""
    async with measured(postgres, manual_clock) as collector:
        found = names(await collector.collect())
    assert found >= EVERYWHERE
    assert found >= (FROM_17 if postgres.major >= 17 else BEFORE_17)
    assert not found & (BEFORE_17 if postgres.major >= 17 else FROM_17)


async def test_wal_position_grows_with_what_is_written(postgres: Cluster, manual_clock: ManualClock) -> None:
    """The position is a counter of bytes, and the last checkpoint has an age."""
    async with measured(postgres, manual_clock) as collector:
        before = await collector.collect()
        await postgres.execute("SELECT pg_logical_emit_message(true, 'toban', repeat('x', 100000))")
        after = await collector.collect()
    assert (value(after, POSITION) or 0) - (value(before, POSITION) or 0) >= 100000
    assert 0 <= (value(after, CHECKPOINT_AGE) or -1) < 86400 * 30


async def test_wal_position_of_a_standby_is_what_it_replayed(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """On a standby, and over its promotion, the position goes on."""
    primary = new_cluster()
    standby = standby_of(primary)
    async with measured(standby, manual_clock) as collector:
        before = value(await collector.collect(), POSITION) or 0
        await standby.execute("SELECT pg_promote()")
        after = value(await collector.collect(), POSITION) or 0
        assert 0 < before <= after


async def test_archiver_that_fails_is_seen(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Failures count, files wait; once the command works, they are archived and the failing ends."""
    cluster = new_cluster(settings={"archive_mode": "on", "archive_command": "false"})
    async with measured(cluster, manual_clock) as collector:
        assert value(await collector.collect(), FAILURE_AGE) is None
        await cluster.execute("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', 'y')")
        await eventually(lambda: _failing(collector, manual_clock))
        findings = await collector.collect()
        assert (value(findings, ARCHIVE_FAILED) or 0) >= 1
        assert (value(findings, READY) or 0) >= 1
        assert value(findings, ARCHIVED) == 0
        assert value(findings, ARCHIVE_AGE) is None
        assert value(findings, FAILURE_AGE) is not None

        cluster.configure(archive_command="true")
        await cluster.execute("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', 'y')")
        await eventually(lambda: _archived(collector, manual_clock), within_seconds=90)


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_files_that_wait_behind_a_failing_archiver_are_counted_exactly(
    major: int, new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """Three segments are finished while the command fails: three wait, and none has been archived."""
    cluster = new_cluster(major, settings={"archive_mode": "on", "archive_command": "false", "autovacuum": "off"})
    async with measured(cluster, manual_clock) as collector:
        before = value(await collector.collect(), READY)
        assert before == 0
        for _ in range(3):
            await cluster.execute("SELECT pg_logical_emit_message(true, 'x', 'y')")
            await cluster.execute("SELECT pg_switch_wal()")
        await eventually(lambda: _failing(collector, manual_clock))
        manual_clock.advance(FILES_SECONDS)
        findings = await collector.collect()
        assert value(findings, READY) == 3
        assert value(findings, ARCHIVED) == 0


async def test_archiver_that_is_switched_off_fails_no_more(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """The server remembers its last failure over a restart: nothing is to be archived, so nothing fails or is late."""
    cluster = new_cluster(settings={"archive_mode": "on", "archive_command": "test ! -e wal-is-refused"})
    async with measured(cluster, manual_clock) as collector:
        await cluster.execute("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', 'y')")
        await eventually(lambda: _archived(collector, manual_clock))
        (cluster.data_dir / "wal-is-refused").touch()
        await cluster.execute("SELECT pg_switch_wal(), pg_logical_emit_message(false, 'x', 'y')")
        await eventually(lambda: _failing(collector, manual_clock))
        cluster.configure(archive_mode="off")
        cluster.stop()
        cluster.start()
        findings = await collector.collect()
        assert value(findings, ARCHIVE_FAILING) == 0
        assert value(findings, ARCHIVE_AGE) is None
        assert value(findings, FAILURE_AGE) is not None


async def test_wal_that_cannot_be_listed_hides_nothing_else(
    postgres15: Cluster, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder so large that its listing does not end is a gap, asked for again after a minute; the rest is seen."""
    with monkeypatch.context() as broken:
        broken.setattr("collectors.postgresql.wal._FILES", Asking("select 1 / 0"))
        async with measured(postgres15, manual_clock) as collector:
            findings = await collector.collect()
            assert [(gap.what, gap.reason) for gap in findings.gaps] == [("WAL files", Reason.UNEXPECTED)]
            assert value(findings, ARCHIVE_FAILING) == 0
            assert value(findings, SEGMENTS) is None
            broken.undo()
            assert (await collector.collect()).gaps == findings.gaps
            manual_clock.advance(FILES_SECONDS)
            mended = await collector.collect()
            assert mended.gaps == ()
            assert (value(mended, SEGMENTS) or 0) > 0


async def _failing(collector: Wal, clock: ManualClock) -> bool:
    clock.advance(FILES_SECONDS)
    findings = await collector.collect()
    return value(findings, ARCHIVE_FAILING) == 1 and (value(findings, READY) or 0) >= 1


async def _archived(collector: Wal, clock: ManualClock) -> bool:
    clock.advance(FILES_SECONDS)
    findings = await collector.collect()
    done = value(findings, ARCHIVE_FAILING) == 0 and value(findings, READY) == 0
    return done and value(findings, ARCHIVE_AGE) is not None and (value(findings, ARCHIVED) or 0) >= 1


async def test_wal_files_are_listed_once_a_minute(postgres15: Cluster, manual_clock: ManualClock) -> None:
    """Between two listings the last stands, with the time at which it was made; it says what the folder holds."""
    async with measured(postgres15, manual_clock) as collector:
        first = await collector.collect()
        listed = await ask(postgres15, "SELECT count(*) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'")
        assert value(first, SEGMENTS) == listed
        assert value(first, SIZE) == listed * 16 * 1024 * 1024
        manual_clock.advance(FILES_SECONDS - 1)
        assert _listed_at(await collector.collect()) == _listed_at(first)
        manual_clock.advance(1)
        assert _listed_at(await collector.collect()) == manual_clock.now()


def _listed_at(findings: Findings) -> float:
    (at,) = [s.taken_at for s in findings.samples if s.metric is SEGMENTS]
    return at


async def test_wal_files_need_a_privilege(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """A plain role gets everything but the listings, is told how to mend that, and leaves no error in the log."""
    cluster = new_cluster()
    await cluster.execute("CREATE ROLE plain LOGIN")
    async with measured(cluster, manual_clock, user="plain") as collector:
        findings = await collector.collect()
        (gap,) = findings.gaps
        assert (gap.what, gap.reason) == ("WAL files", Reason.PRIVILEGE)
        assert "toban setup postgresql" in gap.hint
        assert value(findings, SEGMENTS) is None
        assert value(findings, POSITION) is not None
        assert "ERROR" not in cluster.log_text()
        await cluster.execute("GRANT pg_monitor TO plain")
        assert value(await collector.collect(), SEGMENTS) is not None
