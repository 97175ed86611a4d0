"""Rules about PgBouncer, MariaDB and SQLite files: each fires and clears on the real thing."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import CollectorSettings
from collectors.mariadb.replication import BEHIND, IO_RUNNING, SQL_RUNNING, MariadbReplication
from collectors.mariadb.status import MariadbStatus
from collectors.pgbouncer.console import PgBouncerConsole
from collectors.pgbouncer.databases import PgBouncerDatabases, PgBouncerDatabasesSettings
from collectors.pgbouncer.pools import Pools, PoolsSettings
from collectors.pgbouncer.process import Process, ProcessSettings
from collectors.sqlite.check import SqliteCheckCollector, SqliteCheckSettings
from collectors.sqlite.database import SqliteCollector, SqliteSettings
from collectors.sqlite.file import SqliteFile
from tests.alerting.shipped.judging import Judging, Look, judging
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.mariadb.watched import session, watching
from tests.collectors.pgbouncer.test_pools import asked, passing
from tests.mariadbs import Mariadb, NewMariadb
from tests.pgbouncers import NewPgBouncer
from tests.sqlite_files import WAL, a_database, application, flip_byte, held
from tests.waiting import eventually
from toban.alerts import Severity
from toban.clock import SystemClock
from toban.samples import Metric
from toban.secrets import Dsn

pytestmark = pytest.mark.integration
ONLY = ("", "127.0.0.1")  # connection_name, master_host


def looking(judge: Judging, collector: Any, before: Callable[[], Any] | None = None) -> Look:  # noqa: ANN401 - any collector
    """A look with it, after something that happens each time."""

    async def look() -> None:
        if before is not None:
            before()
        await judge.look(collector)

    return look


async def reached(collector: Any, metric: Metric | str, is_so: Callable[[float | None], bool]) -> None:  # noqa: ANN401 - any collector
    """Wait until a metric is so, without the rule."""
    name = metric if isinstance(metric, str) else metric.name

    async def probe() -> bool:
        found = [s.value for s in (await collector.collect()).samples if s.metric.name == name]
        return is_so(max(found, default=None))

    await eventually(probe)


async def test_clients_that_wait_for_a_server_fire_and_clear(
    postgres15: Cluster, new_pgbouncer: NewPgBouncer, manual_clock: ManualClock
) -> None:
    """A pool of one server that a session holds; a tenth of a second instead of five."""
    pgbouncer = new_pgbouncer(postgres15, settings={"default_pool_size": "1"})
    pools = Pools(PgBouncerConsole(Dsn(pgbouncer.dsn()), manual_clock), PoolsSettings(), manual_clock)
    judge = judging("pgbouncer_waiting", manual_clock, warning="> 100ms")
    look = looking(judge, pools)
    await judge.stays_quiet(look)
    holder = asked(pgbouncer)
    waiting = asyncio.create_task(asyncio.to_thread(passing, pgbouncer))
    await reached(pools, "toban_pgbouncer_max_wait_seconds", lambda waited: (waited or 0) > 0.1)
    await judge.fires(look, Severity.WARNING)
    holder.close()
    await waiting
    await judge.clears(look)
    await pools.source.close()


async def test_pool_that_is_full_fires_and_clears(
    postgres15: Cluster, new_pgbouncer: NewPgBouncer, manual_clock: ManualClock
) -> None:
    """Its only server is at work; then it is free."""
    pgbouncer = new_pgbouncer(postgres15, settings={"default_pool_size": "1"})
    pools = Pools(PgBouncerConsole(Dsn(pgbouncer.dsn()), manual_clock), PoolsSettings(), manual_clock)
    judge = judging("pgbouncer_pool_full", manual_clock)
    look = looking(judge, pools)
    await judge.stays_quiet(look)
    with asked(pgbouncer):
        await judge.fires(look, Severity.WARNING, "postgres", "postgres")
    await reached(pools, "toban_pgbouncer_fullest_pool_ratio", lambda used: used == 0)
    await judge.clears(look)
    await pools.source.close()


async def test_paused_database_fires_and_clears(
    postgres15: Cluster, new_pgbouncer: NewPgBouncer, manual_clock: ManualClock
) -> None:
    """PAUSE, and RESUME."""
    pgbouncer = new_pgbouncer(postgres15)
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), manual_clock)
    judge = judging("pgbouncer_paused", manual_clock)
    look = looking(judge, PgBouncerDatabases(console, PgBouncerDatabasesSettings(), manual_clock))
    await judge.stays_quiet(look)
    pgbouncer.command("PAUSE postgres")
    await judge.fires(look, Severity.WARNING)
    pgbouncer.command("RESUME postgres")
    await judge.clears(look)
    await console.close()


async def test_places_for_clients_that_run_out_fire_and_clear(
    postgres15: Cluster, new_pgbouncer: NewPgBouncer, manual_clock: ManualClock
) -> None:
    """Nine of ten are taken, Toban's among them."""
    pgbouncer = new_pgbouncer(postgres15, settings={"max_client_conn": "10"})
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), manual_clock)
    process = Process(console, ProcessSettings(), manual_clock)
    judge = judging("pgbouncer_clients", manual_clock)
    look = looking(judge, process)
    await judge.stays_quiet(look)
    clients = [asked(pgbouncer) for _ in range(8)]
    await judge.fires(look, Severity.WARNING)
    for client in clients:
        client.close()
    await reached(process, "toban_pgbouncer_clients_used_ratio", lambda used: (used or 1) < 0.5)
    await judge.clears(look)
    await console.close()


async def test_mariadb_connections_fire_and_clear(new_mariadb: NewMariadb, manual_clock: ManualClock) -> None:
    """Nine of ten."""
    server = new_mariadb(max_connections="10")
    judge = judging("mariadb_connections", manual_clock)
    async with watching(server, clock=manual_clock) as source:
        status = MariadbStatus(source, CollectorSettings(), manual_clock)
        look = looking(judge, status)
        await judge.stays_quiet(look)
        guests = [server.session() for _ in range(8)]
        await reached(status, "toban_mysql_connections_used_ratio", lambda used: used == 0.9)
        await judge.fires(look, Severity.WARNING)
        for guest in guests:
            guest.kill()
            guest.communicate()
        await reached(status, "toban_mysql_connections_used_ratio", lambda used: (used or 1) < 0.5)
        await judge.clears(look)


async def test_mariadb_statement_that_runs_long_fires_and_clears(
    new_mariadb: NewMariadb, manual_clock: ManualClock
) -> None:
    """A tenth of a second instead of five."""
    server = new_mariadb()
    judge = judging("mariadb_query_running", manual_clock, warning="> 100ms")
    async with watching(server, clock=manual_clock) as source:
        status = MariadbStatus(source, CollectorSettings(), manual_clock)
        look = looking(judge, status)
        await judge.stays_quiet(look)
        with session(server) as busy:
            busy.say("select sleep(60)")
            await reached(status, "toban_mysql_longest_query_seconds", lambda age: (age or 0) > 0.1)
            alert = await judge.fires(look, Severity.WARNING)
            assert alert.policy.first[Severity.WARNING] == ("dashboard",)
            number = server.sql("select id from information_schema.processlist where info like 'select sleep%'")
            server.sql(f"kill {number}")
        await reached(status, "toban_mysql_longest_query_seconds", lambda age: age == 0)
        await judge.clears(look)


class WallOnly(ManualClock):
    """A test turns the wall clock; the other one is real, since a server's uptime is held against it."""

    def monotonic(self) -> float:
        """The real one."""
        return SystemClock().monotonic()


async def test_mariadb_buffer_pool_that_misses_fires_and_clears(
    new_mariadb: NewMariadb,
) -> None:
    """A table of 13 MB is read here and there through a pool of 6 MB; then a small one is."""
    server = new_mariadb(innodb_buffer_pool_size="6M")
    server.sql("create database shop")
    server.sql("create table small select seq as n from seq_1_to_500", "shop")
    server.sql("create table big (n int primary key, t char(250) not null)", "shop")
    server.sql("insert into big select (seq * 7919) % 50000, repeat('x', 250) from seq_0_to_49999", "shop")
    clock = WallOnly()
    judge = judging("mariadb_buffer_pool", clock)
    async with watching(server, clock=clock) as source:
        status = MariadbStatus(source, CollectorSettings(), clock)
        often = ";".join(["select count(*) from shop.small"] * 500)  # what the server reads for itself must not show
        small = looking(judge, status, lambda: server.sql(often))
        await status.collect()
        await judge.stays_quiet(small)
        places = iter(range(10**6))

        def scattered() -> None:
            begin = next(places)
            rows = range(begin, begin + 50000, 250)
            server.sql(";".join(f"select t from big where n = {n * 7919 % 50000}" for n in rows), "shop")

        await judge.fires(looking(judge, status, scattered), Severity.CRITICAL)
        await judge.clears(small)


@pytest.fixture
def primary(new_mariadb: NewMariadb) -> Mariadb:
    """One that keeps a binary log."""
    made = new_mariadb(server_id="1", log_bin="binlog", binlog_format="STATEMENT")
    made.sql("create user copy; grant replication slave on *.* to copy")
    made.sql("create database shop; create table shop.t (id int primary key)")
    return made


@pytest.fixture
def replica(new_mariadb: NewMariadb, primary: Mariadb) -> Iterator[Mariadb]:
    """One that follows it by GTID."""
    made = new_mariadb(server_id="2")
    made.sql(
        f"change master to master_host = '127.0.0.1', master_port = {primary.port}, master_user = 'copy',"
        " master_use_gtid = slave_pos, master_connect_retry = 1; start slave"
    )
    yield made
    made.kill()


@pytest.mark.parametrize("name", ["mariadb_replica_io_stopped", "mariadb_replica_sql_stopped"])
async def test_mariadb_replica_that_stops_fires_and_clears(
    name: str, replica: Mariadb, manual_clock: ManualClock
) -> None:
    """One of its threads is stopped, and started again."""
    judge, severity, thread, metric = {
        "mariadb_replica_io_stopped": (
            judging("mariadb_replica_io_stopped", manual_clock), Severity.WARNING, "io_thread", IO_RUNNING),
        "mariadb_replica_sql_stopped": (
            judging("mariadb_replica_sql_stopped", manual_clock), Severity.CRITICAL, "sql_thread", SQL_RUNNING),
    }[name]  # fmt: skip
    async with watching(replica, clock=manual_clock) as source:
        collector = MariadbReplication(source, CollectorSettings(), manual_clock)
        await reached(collector, metric, lambda runs: runs == 1)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        replica.sql(f"stop slave {thread}")
        await judge.fires(look, severity, *ONLY)
        replica.sql(f"start slave {thread}")
        await reached(collector, metric, lambda runs: runs == 1)
        await judge.clears(look)


async def test_mariadb_replica_that_lags_fires_and_clears(
    primary: Mariadb, replica: Mariadb, manual_clock: ManualClock
) -> None:
    """A row that somebody holds there keeps it waiting: for a second instead of thirty."""
    judge = judging("mariadb_replication_lag", manual_clock, warning="> 0", clear="< 1")
    async with watching(replica, clock=manual_clock) as source:
        collector = MariadbReplication(source, CollectorSettings(), manual_clock)
        primary.sql("insert into shop.t values (1)")
        await eventually(lambda: replica.sql("show tables in shop") == "t")
        await eventually(lambda: replica.sql("select count(*) from shop.t") == "1")
        await reached(collector, BEHIND, lambda behind: behind == 0)
        look = looking(judge, collector)
        await judge.stays_quiet(look)
        with session(replica, "shop") as holder:
            holder.say("start transaction; select * from t for update; select get_lock('held', 0)")
            await eventually(lambda: replica.sql("select is_used_lock('held') is not null") == "1")
            primary.sql("delete from shop.t where id = 1")
            await reached(collector, BEHIND, lambda behind: (behind or 0) > 0)
            await judge.fires(look, Severity.WARNING, *ONLY)
            holder.say("rollback")
            await eventually(lambda: replica.sql("select count(*) from shop.t") == "0")
        await reached(collector, BEHIND, lambda behind: behind == 0)
        await judge.clears(look)


async def test_damaged_file_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A byte is turned over, and turned back."""
    path = a_database(tmp_path / "ledger.db")
    judge = judging("sqlite_damaged", manual_clock)
    look = looking(judge, SqliteCheckCollector(SqliteFile(path), SqliteCheckSettings(), manual_clock))
    await judge.stays_quiet(look)
    flip_byte(path, 4096)
    await judge.fires(look, Severity.CRITICAL)
    flip_byte(path, 4096)
    await judge.clears(look)


async def test_file_that_is_always_locked_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Another process holds the write lock at every look of ten minutes; then it is gone."""
    path = a_database(tmp_path / "ledger.db")
    judge = judging("sqlite_busy", manual_clock)
    judge.step_seconds = 60.0
    look = looking(judge, SqliteCollector(SqliteFile(path), SqliteSettings(), manual_clock))
    await judge.stays_quiet(look)
    with held(path, "BEGIN EXCLUSIVE"):
        await judge.fires(look, Severity.WARNING)
    await judge.clears(look)


@pytest.mark.parametrize("name", ["sqlite_wal_large", "sqlite_freelist"])
async def test_file_with_room_to_spare_fires_and_clears(name: str, tmp_path: Path, manual_clock: ManualClock) -> None:
    """A WAL of a megabyte instead of 256, free pages of a megabyte instead of a thousand; then they are taken in."""
    path = a_database(tmp_path / "ledger.db", WAL)
    judge, severity = {
        "sqlite_wal_large": (judging("sqlite_wal_large", manual_clock, warning="> 1MB"), Severity.WARNING),
        "sqlite_freelist": (judging("sqlite_freelist", manual_clock, info="> 1MB"), Severity.INFO),
    }[name]
    look = looking(judge, SqliteCollector(SqliteFile(path), SqliteSettings(), manual_clock))
    await judge.stays_quiet(look)
    with closing(application(path, WAL)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO trade (note) VALUES (?)", (("x" * 3000,) for _ in range(900)))
        connection.execute("DELETE FROM trade")
        connection.execute("COMMIT")
        await judge.fires(look, severity)
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        await judge.clears(look)
