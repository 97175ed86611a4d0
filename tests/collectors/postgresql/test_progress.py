"""Progress of real commands, caught while they run: slowed down, or held up at a known point."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from collectors.postgresql.activity import OLDEST_XMIN, Activity, ActivitySettings
from collectors.postgresql.progress import (
    COMMANDS,
    RATIO,
    RUNNING,
    SECONDS,
    ProgressCollector,
    ProgressSettings,
    _add,
)
from collectors.postgresql.replication import STANDBYS, Replication, ReplicationSettings
from collectors.postgresql.server import Databases
from collectors.postgresql.sql import Query
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.collectors.postgresql.sources import a_server
from tests.conftest import NewCluster
from tests.installations import as_account, environment
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.progress import Progress
from toban.samples import Batch, Findings

pytestmark = pytest.mark.integration


class Slow:
    """Commands that take their time, ended with the test."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack

    async def session(self, cluster: Cluster, database: str, *before: str) -> Any:  # noqa: ANN401 - asyncpg ships no types
        """A session that has run these."""
        guest = await cluster.connect(database)
        self.stack.callback(guest.terminate)
        for statement in before:
            await guest.execute(statement)
        return guest

    async def begin(self, cluster: Cluster, database: str, statement: str, *before: str) -> int:
        """A session that is at a statement; its pid."""
        guest = await self.session(cluster, database, *before)
        self.under_way(guest.execute(statement))
        return int(guest.get_server_pid())

    def under_way(self, awaitable: Any) -> None:  # noqa: ANN401 - whatever can be awaited
        """Something that will not be done by itself."""
        task = asyncio.ensure_future(awaitable)
        self.stack.push_async_callback(asyncio.wait, [task])
        self.stack.callback(task.cancel)


@pytest.fixture
async def slow() -> AsyncIterator[Slow]:
    """Slow commands of the test's own."""
    async with AsyncExitStack() as stack:
        yield Slow(stack)


async def look(
    cluster: Cluster,
    *,
    database: str = "postgres",
    user: str = "postgres",
    databases: Databases | None = None,
    shown: int = 30,
) -> Findings:
    """One look."""
    server = a_server(cluster, database, user=user, databases=databases)
    try:
        return await ProgressCollector(server, ProgressSettings(shown=shown), SystemClock()).collect()
    finally:
        await server.close()


async def caught(
    cluster: Cluster, fits: Callable[[Progress], bool], *, database: str = "postgres", user: str = "postgres"
) -> tuple[Progress, Findings]:
    """The look that sees a command of this description."""

    async def probe() -> tuple[Progress, Findings] | None:
        findings = await look(cluster, database=database, user=user)
        found = [row for row in findings.rows if isinstance(row, Progress) and fits(row)]
        return (found[0], findings) if found else None

    seen = await eventually(probe)
    assert seen is not None
    return seen


async def test_nothing_in_progress_is_all_zeros(postgres: Cluster) -> None:
    """Every kind of command is there, and runs nowhere; each floor of the SQL is executed."""
    findings = await look(postgres)
    running = series(findings, RUNNING)
    assert running.keys() == {(command,) for command in COMMANDS}
    assert findings.gaps == ()


async def test_vacuum_is_caught_in_its_scan(postgres: Cluster, slow: Slow, unique_database: str) -> None:
    """A vacuum with a cost delay: its table, its phase, the blocks behind and before it."""
    postgres.psql(
        "create table big with (autovacuum_enabled = off) as"
        " select n, repeat('x', 500) from generate_series(1, 20000) n;"
        "delete from big where n % 2 = 0",
        unique_database,
    )
    pid = await slow.begin(
        postgres,
        unique_database,
        "vacuum (index_cleanup off) big",
        "set vacuum_cost_delay = '50ms'; set vacuum_cost_limit = 20; set vacuum_cost_page_hit = 10",
    )
    labels = ("vacuum", unique_database, "public.big")
    one, findings = await caught(
        postgres,
        lambda p: p.pid == pid and p.phase == "scanning heap" and (p.done or 0) > 0,
        database=unique_database,
    )
    blocks = int(postgres.psql("select pg_relation_size('big') / 8192", unique_database))
    assert (one.command, one.datname, one.relname, one.unit) == (*labels, "blocks")
    assert (one.total, one.usename, one.autovacuum) == (blocks, "postgres", False)
    assert one.ratio == (one.done or 0) / blocks
    assert 0 < one.ratio < 1
    assert value(findings, RUNNING, "vacuum") == 1
    postgres.psql("do 'begin for n in 1..10 loop perform pg_current_xact_id(); commit; end loop; end'")
    async with watching(postgres, SystemClock()) as server:
        beside = await Activity(server, ActivitySettings(), SystemClock()).collect()
    assert (value(beside, OLDEST_XMIN) or 0) < 10  # a vacuum's own snapshot keeps nobody's rows
    assert value(findings, RATIO, *labels, "scanning heap") == one.ratio
    assert value(findings, SECONDS, *labels) == one.seconds


async def test_index_build_that_waits_is_caught_waiting(postgres: Cluster, slow: Slow, unique_database: str) -> None:
    """Built concurrently, it waits for the writers that are there: for one, and none of them has gone."""
    postgres.psql("create table written (n int)", unique_database)
    await slow.session(postgres, unique_database, "begin", "insert into written values (1)")
    pid = await slow.begin(postgres, unique_database, "create index concurrently slowly on written (n)")
    one, findings = await caught(postgres, lambda p: p.pid == pid and p.total == 1, database=unique_database)
    assert (one.command, one.phase) == ("create index concurrently", "waiting for writers before build")
    assert (one.relname, one.done, one.ratio, one.unit) == ("public.written", 0, 0, "lockers")
    assert value(findings, RUNNING, "create index") == 1
    assert value(findings, RATIO, "create index", unique_database, "public.written", one.phase) == 0


async def test_index_build_is_caught_scanning(postgres: Cluster, slow: Slow, unique_database: str) -> None:
    """An index over a slow expression scans its table block by block."""
    postgres.psql(
        "create function dear(int) returns int immutable language plpgsql as "
        "$$begin perform pg_sleep(0.01); return $1; end$$;"
        "create table scanned as select n, repeat('x', 1000) as wide from generate_series(1, 4000) n",
        unique_database,
    )
    pid = await slow.begin(
        postgres, unique_database, "create index on scanned (dear(n))", "set max_parallel_maintenance_workers = 0"
    )
    # At its very first block the server says that all are done.
    one, _ = await caught(
        postgres, lambda p: p.pid == pid and 0 < (p.done or 0) < (p.total or 0), database=unique_database
    )
    blocks = int(postgres.psql("select pg_relation_size('scanned') / 8192", unique_database))
    assert (one.phase, one.unit, one.total) == ("building index: scanning table", "blocks", blocks)
    assert 0 < (one.ratio or 0) < 1


async def test_copies_are_caught_with_and_without_an_end(postgres: Cluster, slow: Slow, unique_database: str) -> None:
    """Out of a pipe nobody knows how much will come; of another database only the oid is known."""
    postgres.psql("create table filled (t text)", unique_database)

    async def drips() -> AsyncIterator[bytes]:
        yield b"one line\n" * 10000
        await asyncio.Event().wait()

    guest = await slow.session(postgres, unique_database)
    slow.under_way(guest.copy_to_table("filled", source=drips()))
    pid = guest.get_server_pid()
    one, findings = await caught(postgres, lambda p: p.pid == pid and (p.done or 0) > 0)
    oid = postgres.psql("select 'filled'::regclass::oid", unique_database)
    assert (one.command, one.phase, one.relname) == ("copy", "from pipe", oid)
    assert (one.total, one.ratio, one.unit) == (None, None, "bytes")
    assert value(findings, SECONDS, "copy", unique_database, oid) == one.seconds
    assert series(findings, RATIO) == {}


async def test_copy_from_a_file_is_caught_with_its_share(postgres: Cluster, slow: Slow, unique_database: str) -> None:
    """The file's size is the whole; a slow trigger keeps it busy."""
    postgres.psql(
        "create table filled (t text);"
        "create function slowly() returns trigger language plpgsql as"
        " $$begin perform pg_sleep(0.01); return new; end$$;"
        "create trigger slowly before insert on filled for each row execute function slowly()",
        unique_database,
    )
    file = postgres.socket_dir / f"{unique_database}.txt"
    await asyncio.to_thread(file.write_text, "a line of the file\n" * 20000)
    pid = await slow.begin(postgres, unique_database, f"copy filled from '{file}'")
    one, _ = await caught(postgres, lambda p: p.pid == pid and (p.done or 0) > 0, database=unique_database)
    assert (one.phase, one.relname, one.total) == ("from file", "public.filled", 19 * 20000)
    assert one.ratio == (one.done or 0) / (19 * 20000)


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_base_backup_is_caught_streaming(major: int, new_cluster: NewCluster, slow: Slow) -> None:
    """A rate-limited pg_basebackup: the bytes streamed of those estimated; neither it nor its WAL is a standby."""
    cluster = new_cluster(major)
    program = str(cluster.bin_dir / "pg_basebackup")
    command = [program, "--max-rate=32k", "--checkpoint=fast", "--format=tar", "-X", "stream"]
    backup = subprocess.Popen(  # noqa: ASYNC220 - it is not waited for
        [*command, "-D", str(cluster.data_dir.parent / "copy"), "-d", cluster.dsn()],
        cwd="/",
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **as_account(),
    )
    slow.stack.callback(backup.wait)
    slow.stack.callback(backup.kill)
    one, findings = await caught(cluster, lambda p: p.phase == "streaming database files" and (p.done or 0) > 0)
    assert (one.command, one.datname, one.relname, one.unit) == ("basebackup", "", "", "bytes")
    assert (one.total or 0) > 10_000_000
    assert one.ratio == (one.done or 0) / (one.total or 0)
    assert value(findings, RUNNING, "basebackup") == 1
    assert value(findings, RATIO, "basebackup", "", "", one.phase) == one.ratio
    await eventually(lambda: ask(cluster, "select count(*) = 2 from pg_stat_replication"))
    async with watching(cluster, SystemClock()) as server:
        beside = await Replication(server, ReplicationSettings(), SystemClock()).collect()
        assert await server.fetch(Query("standbys")) == []
    assert value(beside, STANDBYS) == 0


def test_the_least_advanced_of_equal_commands_counts_and_the_longest_at_work() -> None:
    """Two copies into one table: neither their sum nor whichever came last."""
    told = {"command": "copy", "datname": "shop", "relname": "public.t", "phase": "from file", "unit": "bytes"}
    found = tuple(
        Progress(**told, pid=pid, ratio=ratio, done=None, total=None, seconds=seconds, usename="app", autovacuum=False)
        for pid, ratio, seconds in ((1, 0.5, 3.0), (2, 0.25, 9.0), (3, 0.75, 1.0), (4, None, None))
    )
    batch = Batch(0.0)
    _add(batch, found)
    assert {s.metric: s.value for s in batch.samples if s.metric is not RUNNING} == {RATIO: 0.25, SECONDS: 9.0}


async def test_two_alike_are_one_series_and_the_least_advanced_counts(
    postgres15: Cluster, slow: Slow, unique_database: str
) -> None:
    """Two builds on one table in one phase: no series comes twice; a database that is left out is left out."""
    postgres15.psql("create table written (n int)", unique_database)
    await slow.session(postgres15, unique_database, "begin", "insert into written values (1)")
    for _ in range(2):
        guest = await slow.session(postgres15, unique_database)

        async def never() -> AsyncIterator[bytes]:
            yield b"1\n" * 50000
            await asyncio.Event().wait()

        slow.under_way(guest.copy_to_table("written", source=never()))
    labels = ("copy", unique_database, "public.written")

    async def both() -> Findings | None:
        findings = await look(postgres15, database=unique_database)
        return findings if value(findings, RUNNING, "copy") == 2 else None

    findings = await eventually(both)
    assert findings is not None
    assert series(findings, SECONDS).keys() == {labels}
    assert len((await look(postgres15, shown=1)).rows) == 1
    elsewhere = await look(postgres15, databases=Databases(exclude=(unique_database,)))
    assert (elsewhere.rows, value(elsewhere, RUNNING, "copy")) == ((), 0)


async def test_progress_of_others_is_a_gap_without_the_privilege(
    postgres: Cluster, slow: Slow, unique_database: str
) -> None:
    """That something runs is to be seen, not what it is at; the mend is told."""
    postgres.psql("create table written (n int)", unique_database)
    await slow.session(postgres, unique_database, "begin", "insert into written values (1)")
    await slow.begin(postgres, unique_database, "create index concurrently on written (n)")
    role = f"plain_{unique_database}"
    postgres.psql(f"create role {role} login")
    try:
        one, findings = await caught(postgres, lambda p: p.datname == unique_database, user=role)
    finally:
        postgres.psql(f"drop role {role}")
    assert (one.command, one.phase, one.ratio, one.seconds) == ("create index", "", None, None)
    assert value(findings, RUNNING, "create index") == 1
    (gap,) = findings.gaps
    assert (gap.what, gap.reason, gap.count) == ("commands of other roles", Reason.PRIVILEGE, 1)
    assert "toban setup postgresql" in gap.hint
