import pytest

from collectors.contract import CollectorSettings
from collectors.postgresql.databases import (
    ACTIVE,
    CACHE_HIT,
    CHECKSUM_FAILURES,
    COMPATIBLE,
    FREEZE_AGE,
    MULTIXACT_WRAPAROUND,
    SERVER_CACHE_HIT,
    SESSIONS,
    SESSIONS_LOST,
    WRAPAROUND,
    Blocks,
    DatabaseActivity,
    hit_ratio,
    server_hit_ratio,
)
from collectors.postgresql.server import Databases, PostgresServer
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server, found, the_value
from tests.conftest import NewCluster
from tests.installations import run
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.samples import Findings, Metric

COMMITS = COMPATIBLE["xact_commit"]


def a_collector(server: PostgresServer) -> DatabaseActivity:
    """The collector under test."""
    return DatabaseActivity(server, CollectorSettings(), SystemClock())


def databases_of(findings: Findings, metric: Metric) -> set[str]:
    """The databases that a metric speaks of."""
    return {sample.labelled["datname"] for sample in findings.samples if sample.metric is metric}


def some_blocks(hit: int, read: int, *, since: float | None = 5.0, started: float = 1.0) -> Blocks:
    """A reading of block counters."""
    return Blocks(hit=hit, read=read, since=(since, started))


@pytest.mark.integration
async def test_databases_have_the_exporters_names_and_values(postgres: Cluster, unique_database: str) -> None:
    """Every column that postgres_exporter made known is there with its value, labelled by id and name, untyped."""
    server = a_server(postgres)
    findings = await a_collector(server).collect()
    await server.close()
    oid = postgres.psql(f"select oid from pg_database where datname = '{unique_database}'")
    for column, metric in COMPATIBLE.items():
        assert metric.compatible
        assert metric.name == f"pg_stat_database_{column}"
        assert the_value(findings, metric, datid=oid, datname=unique_database) >= 0
    settled = postgres.psql(f"select tup_inserted from pg_stat_database where datname = '{unique_database}'")
    assert the_value(findings, COMPATIBLE["tup_inserted"], datname=unique_database) == float(settled)


@pytest.mark.integration
async def test_databases_have_a_row_for_the_shared_objects(postgres: Cluster) -> None:
    """What belongs to no database has id 0 and no name, as with postgres_exporter."""
    server = a_server(postgres)
    findings = await a_collector(server).collect()
    await server.close()
    assert the_value(findings, COMPATIBLE["blks_hit"], datid="0", datname="") > 0


@pytest.mark.integration
async def test_databases_come_and_go(postgres: Cluster, unique_database: str) -> None:
    """A new database is there with the next reading, a dropped one is gone with it."""
    server = a_server(postgres)
    collector = a_collector(server)
    assert unique_database in databases_of(await collector.collect(), COMMITS)
    postgres.psql(f'drop database "{unique_database}"')
    assert unique_database not in databases_of(await collector.collect(), COMMITS)
    postgres.psql(f'create database "{unique_database}"')
    findings = await collector.collect()
    assert unique_database in databases_of(findings, COMMITS)
    assert found(findings, CACHE_HIT, datname=unique_database) == []  # another one under the same name
    await server.close()


@pytest.mark.integration
async def test_databases_left_out_have_no_counters_but_their_wraparound(new_cluster: NewCluster) -> None:
    """Templates and excluded databases are not counted; the whole server stops at the wraparound of any of them."""
    cluster = new_cluster()
    for name in ("app", "scratch_1"):
        cluster.psql(f"create database {name}")
    server = a_server(cluster, databases=Databases(exclude=("scratch*",)))
    findings = await a_collector(server).collect()
    await server.close()
    for metric in (*COMPATIBLE.values(), SESSIONS, SESSIONS_LOST, ACTIVE):
        assert databases_of(findings, metric) == {"", "postgres", "app"}
    assert databases_of(findings, WRAPAROUND) == {"postgres", "app", "scratch_1", "template0", "template1"}
    assert all(0 <= ratio < 0.001 for ratio in found(findings, WRAPAROUND))


@pytest.mark.integration
async def test_databases_wraparound_is_the_nearer_of_both_limits(new_cluster: NewCluster) -> None:
    """Transaction ids and multixact ids run out apart; the ratio is that of whichever is further on."""
    cluster = new_cluster()
    ages = "greatest(age(datfrozenxid), mxid_age(datminmxid))::float8"
    sql = f"select {ages} / 2^31 from pg_database where datname = 'app'"
    cluster.psql("create database app")
    for _ in range(20):
        cluster.psql("select txid_current()")
    server = a_server(cluster)
    findings = await a_collector(server).collect()
    await server.close()
    assert the_value(findings, WRAPAROUND, datname="app") == pytest.approx(float(cluster.psql(sql)))
    assert the_value(findings, WRAPAROUND, datname="app") >= 20 / 2**31


@pytest.mark.integration
async def test_databases_tell_how_far_multixacts_and_freezing_are(new_cluster: NewCluster) -> None:
    """Multixacts apart from transactions, and the age as a share of what makes autovacuum freeze."""
    cluster = new_cluster(settings={"autovacuum_freeze_max_age": "100000"})
    cluster.psql("create table t (a int); insert into t values (1)")
    holder, other = await cluster.connect(), await cluster.connect()
    for session in (holder, other):  # two that lock one row share a multixact
        await session.execute("begin")
        await session.execute("select from t for share")
    for session in (holder, other):
        await session.close()
    server = a_server(cluster)
    findings = await a_collector(server).collect()
    await server.close()
    multixacts = int(cluster.psql("select mxid_age(datminmxid) from pg_database where datname = 'postgres'"))
    assert multixacts >= 1
    assert the_value(findings, MULTIXACT_WRAPAROUND, datname="postgres") == multixacts / 2**31
    age = int(cluster.psql("select age(datfrozenxid) from pg_database where datname = 'postgres'"))
    assert the_value(findings, FREEZE_AGE, datname="postgres") == pytest.approx(age / 100000)


@pytest.mark.integration
async def test_databases_count_sessions_and_how_they_ended(new_cluster: NewCluster) -> None:
    """A killed session is counted as killed, and its time as active."""
    cluster = new_cluster()
    cluster.psql("create database app")
    guest = await cluster.connect("app")
    await guest.execute("select pg_sleep(0.05)")
    cluster.psql(f"select pg_terminate_backend({guest.get_server_pid()}, 5000)")
    server = a_server(cluster)
    collector = a_collector(server)

    async def killed() -> Findings | None:
        findings = await collector.collect()
        return findings if the_value(findings, SESSIONS_LOST, datname="app", how="killed") == 1 else None

    findings = await eventually(killed)
    assert findings is not None
    assert the_value(findings, SESSIONS, datname="app") == 1
    assert the_value(findings, ACTIVE, datname="app") >= 0.05
    assert the_value(findings, SESSIONS_LOST, datname="app", how="abandoned") == 0
    await server.close()


@pytest.mark.integration
async def test_databases_checksum_failures_are_absent_without_checksums(new_cluster: NewCluster) -> None:
    """Where pages have no checksums nothing is claimed about them; where they have, no failure is a zero."""
    cluster = new_cluster()
    server = a_server(cluster)
    findings = await a_collector(server).collect()
    await server.close()
    on = cluster.psql("show data_checksums") == "on"
    assert found(findings, CHECKSUM_FAILURES, datname="postgres") == ([0.0] if on else [])
    cluster.stop()
    switch = "--disable" if on else "--enable"
    _pg_checksums(cluster, switch)
    cluster.start()
    findings = await a_collector(server).collect()
    await server.close()
    assert found(findings, CHECKSUM_FAILURES, datname="postgres") == ([] if on else [0.0])


def _pg_checksums(cluster: Cluster, switch: str) -> None:
    run(cluster.bin_dir / "pg_checksums", switch, "--no-sync", "-D", cluster.data_dir, cwd=cluster.socket_dir)


@pytest.mark.integration
async def test_databases_cache_hits_are_those_between_two_readings(new_cluster: NewCluster) -> None:
    """The first reading has no ratio; the second has that of what happened in between; a reset begins anew."""
    cluster = new_cluster()
    cluster.psql("create database app")
    cluster.psql("create table t as select generate_series(1, 1000) as n", "app")
    server = a_server(cluster)
    collector = a_collector(server)
    first = await collector.collect()
    assert found(first, CACHE_HIT) == found(first, SERVER_CACHE_HIT) == []
    cluster.psql("select count(*) from t; select count(*) from t", "app")

    async def measured() -> list[float]:
        return found(await collector.collect(), CACHE_HIT, datname="app")

    async def measured_over_all() -> list[float]:
        return found(await collector.collect(), SERVER_CACHE_HIT)

    (ratio,) = await eventually(measured)
    assert 0 < ratio <= 1
    cluster.psql("select count(*) from t", "app")
    (whole,) = await eventually(measured_over_all)
    assert 0 < whole <= 1
    cluster.psql("select pg_stat_reset()", "app")
    cluster.psql("select count(*) from t", "app")
    assert await measured() == []
    await server.close()


def test_hit_ratio_of_the_server_weighs_each_database_by_its_accesses() -> None:
    """Not the mean of the ratios; a database that was reset, and one that is new, say nothing this time."""
    before = {1: some_blocks(0, 0), 2: some_blocks(50, 50), 3: some_blocks(7, 7)}
    now = {1: some_blocks(90, 10), 2: some_blocks(50, 350), 3: some_blocks(1, 1), 4: some_blocks(9, 9)}
    assert server_hit_ratio(before, now) == 90 / 400
    assert server_hit_ratio({}, now) is None


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        (None, some_blocks(90, 10), None),
        (some_blocks(0, 0), some_blocks(90, 10), 0.9),
        (some_blocks(1000, 500), some_blocks(1000, 600), 0.0),
        (some_blocks(1000, 500), some_blocks(1010, 500), 1.0),
        (some_blocks(10, 5), some_blocks(10, 5), None),
        (some_blocks(10, 5), some_blocks(20, 4), None),
        (some_blocks(10, 5), some_blocks(9, 6), None),
        (some_blocks(10, 5), some_blocks(20, 6, since=9.0), None),
        (some_blocks(10, 5), some_blocks(20, 6, started=2.0), None),
        (some_blocks(10, 5, since=None), some_blocks(13, 6, since=None), 0.75),
    ],
    ids=["first", "some", "none", "all", "idle", "read fell", "hit fell", "reset", "restart", "never reset"],
)
def test_hit_ratio_needs_two_readings_of_one_count(before: Blocks | None, now: Blocks, expected: float | None) -> None:
    """A ratio over the interval, and none where the counters began anew or nothing was accessed."""
    assert hit_ratio(before, now) == expected
