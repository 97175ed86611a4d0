"""Rules about replication, WAL, wraparound, indexes and sequences: each fires and clears on real servers."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import asyncpg
import pytest

from collectors.contract import CollectorSettings
from collectors.postgresql.databases import DatabaseActivity
from collectors.postgresql.identity import Identity
from collectors.postgresql.indexes import Indexes, IndexesSettings
from collectors.postgresql.replication import (
    LAG,
    RECEIVER_STREAMING,
    SLOT_STATUS,
    STANDBYS,
    Replication,
    ReplicationSettings,
)
from collectors.postgresql.sequences import Sequences, SequencesSettings
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.subscriptions import WORKING
from collectors.postgresql.wal import ARCHIVE_AGE, ARCHIVE_FAILING, READY, Wal, WalSettings
from tests.alerting.shipped.judging import Judging, Look, judging
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, value, watching
from tests.conftest import NewCluster, StandbyOf
from tests.installations import account, run
from tests.waiting import eventually
from toban.alerts import Severity
from toban.samples import Metric

pytestmark = pytest.mark.integration
QUIET = {"autovacuum": "off"}
NAMED = {"cluster_name": "second", "wal_receiver_status_interval": "1s"}
SWITCH = "select pg_logical_emit_message(true, 'x', 'y'); select pg_switch_wal()"
FAR = 600_000_000  # of 2^31: 28 %
SEGMENT_BYTES = 262_144


def replication(server: PostgresServer) -> Replication:
    """The collector of both sides."""
    return Replication(server, ReplicationSettings(), server.clock)


def looking(judge: Judging, collector: Any) -> Look:  # noqa: ANN401 - any collector
    """A look with it."""

    async def look() -> None:
        await judge.look(collector)

    return look


async def reached(judge: Judging, collector: Any, metric: Metric, is_so: Callable[[float | None], bool]) -> None:  # noqa: ANN401 - any collector
    """Wait until a metric is so, without the rule."""

    async def probe() -> bool:
        judge.clock.advance(61)
        found = [s.value for s in (await collector.collect()).samples if s.metric is metric]
        return is_so(max(found, default=None))

    await eventually(probe)


async def write(cluster: Cluster) -> None:
    """Some WAL, and a commit."""
    await cluster.execute("create table if not exists t (a int); insert into t select generate_series(1, 1000)")


async def test_paused_replay_fires_and_clears(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """Paused while the primary writes: it is told, and so is the lag, which grows by the test's clock."""
    primary = new_cluster(settings=QUIET)
    await write(primary)
    standby = standby_of(primary, settings=NAMED)
    late, paused = judging("replication_lag", manual_clock), judging("replay_paused", manual_clock)
    async with watching(standby, manual_clock) as server:
        collector = replication(server)
        await reached(late, collector, RECEIVER_STREAMING, lambda streaming: streaming == 1)
        await reached(late, collector, LAG, lambda lag: lag == 0)
        for judge in (late, paused):
            await judge.stays_quiet(looking(judge, collector))
        await standby.execute("select pg_wal_replay_pause()")
        await write(primary)
        await reached(late, collector, LAG, lambda lag: (lag or 0) > 0.01)
        await late.fires(looking(late, collector), Severity.CRITICAL)
        await paused.fires(looking(paused, collector), Severity.WARNING)
        await standby.execute("select pg_wal_replay_resume()")
        await reached(late, collector, LAG, lambda lag: lag == 0)
        for judge in (late, paused):
            await judge.clears(looking(judge, collector))


async def test_standby_without_its_primary_fires_and_clears(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """The primary is gone; then it is back."""
    primary = new_cluster(settings=QUIET)
    standby = standby_of(primary, settings={**NAMED, "wal_retrieve_retry_interval": "100ms"})
    judge = judging("wal_receiver_stopped", manual_clock)
    async with watching(standby, manual_clock) as server:
        collector = replication(server)
        await reached(judge, collector, RECEIVER_STREAMING, lambda streaming: streaming == 1)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        primary.stop("immediate")
        await reached(judge, collector, RECEIVER_STREAMING, lambda streaming: streaming == 0)
        await judge.fires(look, Severity.WARNING)
        primary.start()
        await reached(judge, collector, RECEIVER_STREAMING, lambda streaming: streaming == 1)
        await judge.clears(look)


async def test_standby_that_is_gone_fires_and_clears(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """It was connected, is stopped, and comes back."""
    primary = new_cluster(settings=QUIET)
    standby = standby_of(primary, settings=NAMED)
    judge = judging("standby_missing", manual_clock)
    async with watching(primary, manual_clock) as server:
        collector = replication(server)
        await reached(judge, collector, STANDBYS, lambda connected: connected == 1)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        standby.stop()
        await reached(judge, collector, STANDBYS, lambda connected: connected == 0)
        await judge.fires(look, Severity.WARNING)
        standby.start()
        await reached(judge, collector, STANDBYS, lambda connected: connected == 1)
        await judge.clears(look)


async def test_failover_fires_and_clears_by_itself(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """The standby is promoted."""
    primary = new_cluster(settings=QUIET)
    standby = standby_of(primary)
    judge = judging("role_changed", manual_clock)
    async with watching(standby, manual_clock) as server:
        collector = replication(server)

        async def look() -> None:
            await judge.look(Identity(server, CollectorSettings(), manual_clock), collector)

        await judge.stays_quiet(look)
        await standby.execute("select pg_promote()")
        await judge.fires(look, Severity.WARNING)
        await judge.clears(look)


@pytest.mark.parametrize("name", ["slot_retained", "slot_inactive"])
async def test_slot_that_nobody_uses_fires_and_clears(
    name: str, new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """It keeps WAL (a megabyte instead of ten gigabytes) for an hour of the test's clock; then it is dropped."""
    cluster = new_cluster(15, settings=QUIET)
    judge = {
        "slot_retained": judging("slot_retained", manual_clock, warning="> 1MB", clear="< 1MB"),
        "slot_inactive": judging("slot_inactive", manual_clock),
    }[name]
    async with watching(cluster, manual_clock) as server:
        look = looking(judge, replication(server))
        await judge.stays_quiet(look)
        await cluster.execute("select pg_create_physical_replication_slot('kept', true)")
        await cluster.execute("select pg_logical_emit_message(true, 'toban', repeat('x', 3000000))")
        await judge.fires(look, Severity.WARNING, "kept", "physical")
        await cluster.execute("select pg_drop_replication_slot('kept')")
        await judge.clears(look)


async def test_slot_that_lost_its_wal_fires_and_clears(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """More was written than slots may keep; it is dropped."""
    limited = {"max_slot_wal_keep_size": "48MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    cluster = new_cluster(settings={**QUIET, **limited})
    await cluster.execute("select pg_create_physical_replication_slot('kept', true)")
    judge = judging("slot_lost", manual_clock)
    async with watching(cluster, manual_clock) as server:
        collector = replication(server)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        for _ in range(6):
            await cluster.execute("select pg_switch_wal(), pg_logical_emit_message(false, 'x', 'y')")
        await cluster.execute("checkpoint")
        assert value(await collector.collect(), SLOT_STATUS, "kept", "physical", "lost") == 1
        await judge.fires(look, Severity.CRITICAL, "kept", "physical", "lost")
        await cluster.execute("select pg_drop_replication_slot('kept')")
        await judge.clears(look)


@pytest.fixture
async def subscriber(new_cluster: NewCluster) -> Any:  # noqa: ANN401 - an async fixture
    """A server that subscribes to another one's table, and has copied it; and the other."""
    publisher = new_cluster(15, settings={"wal_level": "logical"})
    made = new_cluster(15, settings={"wal_retrieve_retry_interval": "100ms", "autovacuum": "off"})
    for cluster in (publisher, made):
        await cluster.execute("create table fed (n int primary key)")
    await publisher.execute("create publication p for table fed")
    await made.execute(f"create subscription feed connection '{publisher.dsn()}' publication p")
    working = "select count(*) = 1 from pg_stat_subscription where pid is not null and relid is null"
    await eventually(lambda: ask(made, working))
    yield made, publisher
    await made.execute("alter subscription feed disable")
    await made.execute("alter subscription feed set (slot_name = none)")
    await made.execute("drop subscription feed")


async def test_subscription_that_stops_fires_and_clears(subscriber: Any, manual_clock: ManualClock) -> None:  # noqa: ANN401 - the fixture's pair
    """It is disabled, and enabled again."""
    cluster, _ = subscriber
    working = WORKING
    judge = judging("subscription_stopped", manual_clock)
    async with watching(cluster, manual_clock) as server:
        collector = replication(server)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        await cluster.execute("alter subscription feed disable")
        await reached(judge, collector, working, lambda runs: runs == 0)
        await judge.fires(look, Severity.WARNING, "postgres", "feed")
        await cluster.execute("alter subscription feed enable")
        await reached(judge, collector, working, lambda runs: runs == 1)
        await judge.clears(look)


async def test_subscription_that_meets_an_error_fires_and_clears(subscriber: Any, manual_clock: ManualClock) -> None:  # noqa: ANN401 - the fixture's pair
    """A row that is there already; it is removed, and a quarter of an hour later nothing has failed."""
    cluster, publisher = subscriber
    errors = "select apply_error_count > {} from pg_stat_subscription_stats"
    judge = judging("subscription_errors", manual_clock)
    async with watching(cluster, manual_clock) as server:
        look = looking(judge, replication(server))
        await judge.stays_quiet(look)
        await cluster.execute("insert into fed values (2)")
        await publisher.execute("insert into fed values (2)")
        await eventually(lambda: ask(cluster, errors.format(0)))
        await judge.fires(look, Severity.WARNING, "postgres", "apply", "feed")
        await cluster.execute("delete from fed where n = 2")
        await eventually(lambda: ask(cluster, "select count(*) = 1 from fed"))
        await judge.clears(look)


@pytest.mark.parametrize("name", ["archiver_failing", "wal_ready_files"])
async def test_archive_that_does_not_follow_fires_and_clears(
    name: str, new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """The command fails, and files wait (three instead of eleven); then it works."""
    cluster = new_cluster(settings={**QUIET, "archive_mode": "on", "archive_command": "false"})
    judge = {
        "archiver_failing": judging("archiver_failing", manual_clock),
        "wal_ready_files": judging("wal_ready_files", manual_clock, warning="> 2", clear="< 1"),
    }[name]
    async with watching(cluster, manual_clock) as server:
        collector = Wal(server, WalSettings(), manual_clock)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        for _ in range(3):
            await cluster.execute(SWITCH)
        await reached(judge, collector, ARCHIVE_FAILING, lambda fails: fails == 1)
        await reached(judge, collector, READY, lambda files: files == 3)
        await judge.fires(look, Severity.WARNING)
        cluster.configure(archive_command="true")
        await cluster.execute(SWITCH)
        await reached(judge, collector, READY, lambda files: files == 0)
        await judge.clears(look)


async def test_archive_that_rests_fires_and_clears(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Nothing was archived for two seconds, instead of an hour; then something is."""
    cluster = new_cluster(settings={**QUIET, "archive_mode": "on", "archive_command": "true"})
    judge = judging("archiver_late", manual_clock, info="> 2s")
    async with watching(cluster, manual_clock) as server:
        collector = Wal(server, WalSettings(), manual_clock)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        await cluster.execute(SWITCH)
        await reached(judge, collector, ARCHIVE_AGE, lambda age: (age or 0) > 2)
        await judge.fires(look, Severity.INFO)

        async def archiving() -> None:
            await cluster.execute(SWITCH)
            await reached(judge, collector, ARCHIVE_AGE, lambda age: (age or 9) < 2)
            await judge.look(collector)

        await judge.clears(archiving)


@pytest.mark.parametrize("name", ["wraparound", "multixact_wraparound"])
async def test_wraparound_fires_and_clears(name: str, new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """The counter is set 600 million further, at the real threshold; freezing brings it back."""
    cluster = new_cluster(15, settings={"autovacuum": "off", "autovacuum_freeze_max_age": "2000000000",
                                        "autovacuum_multixact_freeze_max_age": "2000000000"})  # fmt: skip
    judge = {
        "wraparound": judging("wraparound", manual_clock, where={"datname": "postgres"}),
        "multixact_wraparound": judging("multixact_wraparound", manual_clock, where={"datname": "postgres"}),
    }[name]
    async with watching(cluster, manual_clock) as server:
        look = looking(judge, DatabaseActivity(server, CollectorSettings(), manual_clock))
        await judge.stays_quiet(look)
        set_next(cluster, "xid" if name == "wraparound" else "multixact", FAR)
        await judge.fires(look, Severity.WARNING, "postgres")
        await cluster.execute("vacuum freeze")
        await judge.clears(look)


def set_next(cluster: Cluster, kind: str, number: int) -> None:
    """Stop the server, set its next number, and start it; the file that would hold the number has to be there."""
    cluster.stop()
    if kind == "xid":
        place, option = cluster.data_dir / "pg_xact" / f"{number // 1_048_576:04X}", ("-x", str(number))
    else:
        place = cluster.data_dir / "pg_multixact" / "offsets" / f"{number // 65_536:04X}"
        option = ("-m", f"{number},1")
    place.write_bytes(bytes(SEGMENT_BYTES))
    os.chown(place, account().pw_uid, account().pw_gid)
    run(cluster.bin_dir / "pg_resetwal", *option, "-D", cluster.data_dir, cwd=cluster.socket_dir)
    cluster.start()


async def test_invalid_index_fires_and_clears(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """A build over duplicate rows failed; what it left is dropped."""
    cluster = new_cluster(settings=QUIET)
    await cluster.execute("create table t (a int); insert into t values (1), (1)")
    judge = judging("invalid_index", manual_clock)
    async with watching(cluster, manual_clock) as server:
        look = looking(judge, Indexes(server, IndexesSettings(pause=0.0), manual_clock))
        await judge.stays_quiet(look)
        with suppress(asyncpg.UniqueViolationError):
            await cluster.execute("create unique index concurrently t_a on t (a)")
        await judge.fires(look, Severity.WARNING, "postgres", "invalid")
        await cluster.execute("drop index t_a")
        await judge.clears(look)


async def test_sequence_near_its_end_fires_and_clears(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """At 80 % of its values, then at 95 %; its end is moved away."""
    cluster = new_cluster(settings=QUIET)
    await cluster.execute("create sequence s as smallint")
    judge = judging("sequence", manual_clock)
    async with watching(cluster, manual_clock) as server:
        look = looking(judge, Sequences(server, SequencesSettings(pause=0.0), manual_clock))
        await judge.stays_quiet(look)
        await cluster.execute("select setval('s', 26214)")
        await judge.fires(look, Severity.WARNING, "postgres", "public", "s")
        await cluster.execute("select setval('s', 31129)")
        await judge.fires(look, Severity.CRITICAL, "postgres", "public", "s")
        await cluster.execute("alter sequence s as bigint")
        await judge.clears(look)
