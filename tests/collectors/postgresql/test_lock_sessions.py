"""Who blocks whom on real servers: chains, fans, prepared transactions, parallel workers, a standby's replay."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from collectors.postgresql.activity import CONNECTIONS, Activity, ActivitySettings
from collectors.postgresql.locks import LONGEST, ROOTS, WAITERS, WAITING, Locks, LocksSettings
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask
from tests.collectors.postgresql.sources import a_server, found, the_value
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.locks import LockNode, LockSession, lock_forest
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration


class Guests:
    """Sessions of a test, gone with it."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack

    async def open(
        self, cluster: Cluster, database: str = "postgres", *, user: str = "postgres", name: str = ""
    ) -> Any:  # noqa: ANN401 - asyncpg ships no types
        """A session that does nothing yet."""
        guest = await cluster.connect(database, user, server_settings={"application_name": name})
        self._stack.callback(guest.terminate)
        return guest

    def wait(self, guest: Any, statement: str) -> None:  # noqa: ANN401 - asyncpg ships no types
        """A statement that will wait."""
        task = asyncio.create_task(guest.execute(statement))
        self._stack.push_async_callback(asyncio.wait, [task])
        self._stack.callback(task.cancel)


@pytest.fixture
async def guests() -> AsyncIterator[Guests]:
    """Sessions of the test's own."""
    async with AsyncExitStack() as stack:
        yield Guests(stack)


async def look(cluster: Cluster, *, user: str = "postgres", database: str = "postgres", shown: int = 100) -> Findings:
    """One look at the locks."""
    server = a_server(cluster, database, user=user)
    try:
        return await Locks(server, LocksSettings(shown=shown), SystemClock()).collect()
    finally:
        await server.close()


def sessions(findings: Findings) -> dict[str, LockSession]:
    """Who waits or is in the way, by key."""
    return {row.key: row for row in findings.rows if isinstance(row, LockSession)}


def drawn(findings: Findings) -> list[tuple[int, int, tuple[str, ...], int]]:
    """Each node's pid, depth, blockers and victims, in the order of drawing."""
    return [(n.session.pid, n.depth, n.session.blocked_by, n.victims) for n in nodes(findings)]


def nodes(findings: Findings) -> tuple[LockNode, ...]:
    """The trees."""
    return lock_forest(sessions(findings).values())


async def waiting(look_again: Callable[[], Any], count: int) -> Findings:
    """The look in which so many are blocked by somebody."""

    async def probe() -> Findings | None:
        findings: Findings = await look_again()
        return findings if sum(bool(s.blocked_by) for s in sessions(findings).values()) == count else None

    at_last = await eventually(probe)
    assert at_last is not None
    return at_last


async def blocked(cluster: Cluster, pid: int, by: int) -> None:
    """Wait until one session waits for the other."""
    await eventually(lambda: ask(cluster, f"select {by} = any(pg_blocking_pids({pid}))"))


async def test_nobody_waits_and_nothing_more_is_asked(postgres: Cluster, guests: Guests, unique_database: str) -> None:
    """A lock that is held is no concern: zeros, no rows, and pg_blocking_pids is not called."""
    guest = await guests.open(postgres, unique_database)
    await guest.execute("create table held ()")
    await guest.execute("begin; lock table held")
    server = a_server(postgres)
    collector = Locks(server, LocksSettings(), SystemClock())
    collector.__dict__["sessions"] = None  # asking would fail
    findings = await collector.collect()
    await server.close()
    assert [the_value(findings, metric) for metric in (WAITERS, ROOTS, LONGEST)] == [0, 0, 0]
    assert (findings.rows, findings.gaps) == ((), ())


async def test_chain_of_three_is_one_tree(postgres: Cluster, guests: Guests, unique_database: str) -> None:
    """The idle session in whose transaction all began is the root; each node tells who, what, since when."""
    first, second, third = [await guests.open(postgres, unique_database, name=n) for n in ("web", "batch", "admin")]
    await first.execute("create table accounts (id int primary key, owner text); insert into accounts values (1), (2)")
    await first.execute("begin; update accounts set owner = 'a secret' where id = 1")
    await second.execute("begin; update accounts set owner = 'x' where id = 2")
    one, two, three = [guest.get_server_pid() for guest in (first, second, third)]
    guests.wait(second, "update accounts set owner = 'my secret' where id = 1")
    await blocked(postgres, two, one)
    guests.wait(third, "delete from accounts -- a comment\n where id = 2")
    await blocked(postgres, three, two)
    findings = await look(postgres, database=unique_database)
    assert drawn(findings) == [(one, 0, (), 2), (two, 1, (str(one),), 1), (three, 2, (str(two),), 0)]
    assert [the_value(findings, metric) for metric in (WAITERS, ROOTS)] == [2, 1]
    root, middle, leaf = (node.session for node in nodes(findings))
    assert (root.database, root.user, root.application) == (unique_database, "postgres", "web")
    assert (root.state, root.wait_seconds, root.lock_type, root.relation) == ("idle in transaction", None, "", "")
    assert root.query == "begin; update accounts set owner = ? where id = ?"
    assert (middle.state, middle.wait_event, middle.lock_type) == ("active", "Lock:transactionid", "transactionid")
    assert (middle.lock_mode, middle.relation) == ("ShareLock", "public.accounts")
    assert middle.query == "update accounts set owner = ? where id = ?"
    assert leaf.query == "delete from accounts where id = ?"
    assert 0 < (leaf.wait_seconds or 0) < (middle.wait_seconds or 0) <= the_value(findings, LONGEST)
    assert (root.transaction_seconds or 0) > (middle.transaction_seconds or 0) > (leaf.transaction_seconds or 0)
    assert "secret" not in repr(findings)


async def test_fan_has_one_root_and_equal_leaves(postgres: Cluster, guests: Guests, unique_database: str) -> None:
    """Three readers wait for one who locked the table, and not for each other."""
    holder, *readers = [await guests.open(postgres, unique_database) for _ in range(4)]
    await holder.execute("create table held ()")
    await holder.execute("begin; lock table held")
    for reader in readers:
        guests.wait(reader, "select * from held")
        await blocked(postgres, reader.get_server_pid(), holder.get_server_pid())
    findings = await look(postgres, database=unique_database)
    root = holder.get_server_pid()
    assert drawn(findings) == [
        (root, 0, (), 3),
        *((reader.get_server_pid(), 1, (str(root),), 0) for reader in readers),  # the longest waiter first
    ]
    assert {n.session.lock_mode for n in nodes(findings)[1:]} == {"AccessShareLock"}
    assert {n.session.relation for n in nodes(findings)[1:]} == {"public.held"}
    assert [the_value(findings, metric) for metric in (WAITERS, ROOTS)] == [3, 1]


async def test_who_waits_in_the_queue_blocks_those_behind(
    postgres: Cluster, guests: Guests, unique_database: str
) -> None:
    """A reader behind an ALTER TABLE waits for that, and so for the reader in front: the classic."""
    reader, alter, behind = [await guests.open(postgres, unique_database) for _ in range(3)]
    await reader.execute("create table busy ()")
    await reader.execute("begin; select * from busy")
    guests.wait(alter, "alter table busy add column n int")
    await blocked(postgres, alter.get_server_pid(), reader.get_server_pid())
    guests.wait(behind, "select * from busy")
    await blocked(postgres, behind.get_server_pid(), alter.get_server_pid())
    one, two, three = [guest.get_server_pid() for guest in (reader, alter, behind)]
    findings = await look(postgres)
    assert drawn(findings) == [(one, 0, (), 2), (two, 1, (str(one),), 1), (three, 2, (str(two),), 0)]
    oid = await ask(postgres, "select 'busy'::regclass::oid", unique_database)
    assert nodes(findings)[1].session.relation == str(oid)  # a name of another database cannot be had from here


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_prepared_transaction_is_a_root(new_cluster: NewCluster, guests: Guests, major: int) -> None:
    """It has no pid; the one that is in the way is named, not the one that merely exists; also after a restart."""
    cluster = new_cluster(major, settings={"max_prepared_transactions": "4"})
    cluster.psql("create table held (n int)")
    for name, statement in (("innocent", "select * from held"), ("guilty 'one'", "insert into held values (1)")):
        guest = await guests.open(cluster)
        quoted = name.replace("'", "''")
        await guest.execute(f"begin; {statement}; prepare transaction '{quoted}'")
    for _ in range(2):
        waiter = await guests.open(cluster)
        pid = waiter.get_server_pid()
        guests.wait(waiter, "begin; lock table held in share mode")
        await blocked(cluster, pid, 0)
        findings = await look(cluster)
        root, leaf = nodes(findings)
        assert (root.session.key, root.session.pid, root.depth) == ("prepared guilty 'one'", 0, 0)
        assert (root.session.prepared, root.session.state, root.session.user) == (
            "guilty 'one'",
            "prepared",
            "postgres",
        )
        assert (root.session.database, root.session.wait_seconds) == ("postgres", None)
        assert (root.session.transaction_seconds or 0) > 0
        assert (leaf.session.pid, leaf.session.blocked_by) == (pid, ("prepared guilty 'one'",))
        assert [the_value(findings, metric) for metric in (WAITERS, ROOTS)] == [1, 1]
        cluster.stop()
        cluster.start()


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_parallel_worker_that_waits_is_its_leader(new_cluster: NewCluster, guests: Guests, major: int) -> None:
    """A function said to be parallel safe takes a lock in a worker: people know the leader's pid."""
    cluster = new_cluster(major)
    cluster.psql("create table held (); create table big as select generate_series(1, 1000) as n")
    cluster.psql(
        "create function touch(int) returns bigint parallel safe language plpgsql as "
        "$$begin return (select count(*) + $1 from held); end$$"
    )
    holder, leader = await guests.open(cluster), await guests.open(cluster)
    await holder.execute("begin; lock table held")
    forced = "debug_parallel_query" if major >= 16 else "force_parallel_mode"
    await leader.execute(f"set {forced} = on")
    guests.wait(leader, "select max(touch(n)) from big")
    findings = await waiting(lambda: look(cluster), 1)
    root, victim = [guest.get_server_pid() for guest in (holder, leader)]
    assert drawn(findings) == [(root, 0, (), 1), (victim, 1, (str(root),), 0)]
    assert await ask(cluster, "select backend_type from pg_stat_activity where wait_event_type = 'Lock'") == (
        "parallel worker"
    )


async def test_replay_of_a_standby_waits_for_its_reader(
    new_cluster: NewCluster, standby_of: StandbyOf, guests: Guests
) -> None:
    """pg_blocking_pids knows nothing of the startup process; who holds what replay needs is the root all the same."""
    primary = new_cluster()
    primary.psql("create table read_there (n int)")
    standby = standby_of(primary, settings={"max_standby_streaming_delay": "-1", "hot_standby_feedback": "off"})
    reader = await guests.open(standby, name="report")
    await reader.execute("begin; select * from read_there")
    primary.psql("drop table read_there")
    findings = await waiting(lambda: look(standby), 1)
    root, leaf = (node.session for node in nodes(findings))
    assert (root.pid, root.application, root.state) == (reader.get_server_pid(), "report", "idle in transaction")
    assert (leaf.application, leaf.relation, leaf.lock_mode) == ("startup", "public.read_there", "AccessExclusiveLock")
    assert leaf.blocked_by == (root.key,)


async def test_trees_are_bounded_and_the_counts_are_not(
    postgres15: Cluster, guests: Guests, unique_database: str
) -> None:
    """Of many waiters the longest are drawn, all are counted."""
    holder, *readers = [await guests.open(postgres15, unique_database) for _ in range(4)]
    await holder.execute("create table held ()")
    await holder.execute("begin; lock table held")
    for reader in readers:
        guests.wait(reader, "select * from held")
        await blocked(postgres15, reader.get_server_pid(), holder.get_server_pid())
    findings = await look(postgres15, shown=2)
    assert [pid for pid, *_ in drawn(findings)[1:]] == [reader.get_server_pid() for reader in readers[:2]]
    assert the_value(findings, WAITERS) == 3
    undrawn = await look(postgres15, shown=0)
    assert (the_value(undrawn, WAITERS), undrawn.rows, found(undrawn, ROOTS)) == (3, (), [])
    assert the_value(undrawn, LONGEST) > 0


@pytest.mark.parametrize("template", [False, True])
async def test_who_waits_for_what_all_databases_share_is_seen(
    postgres: Cluster, guests: Guests, unique_database: str, *, template: bool
) -> None:
    """A role, a database: their locks belong to no database; whoever waits does so in the own one, or a template."""
    first = await guests.open(postgres, unique_database)
    second = await guests.open(postgres, "template1" if template else unique_database)
    one, two = first.get_server_pid(), second.get_server_pid()
    role = f"shared_{unique_database}"
    await first.execute(f"create role {role}")
    try:
        await first.execute(f"begin; comment on role {role} is 'mine'")
        guests.wait(second, f"comment on role {role} is 'yours'")
        await blocked(postgres, two, one)
        findings = await look(postgres)
        assert drawn(findings) == [(one, 0, (), 1), (two, 1, (str(one),), 0)]
        assert nodes(findings)[1].session.lock_type == "object"
        assert [the_value(findings, metric) for metric in (WAITERS, ROOTS)] == [1, 1]
        assert the_value(findings, WAITING, datname=unique_database) == (0 if template else 1)
    finally:
        await first.execute("rollback")
        await eventually(lambda: ask(postgres, f"select state = 'idle' from pg_stat_activity where pid = {two}"))
        await first.execute(f"drop role {role}")


async def test_statement_in_another_encoding_is_no_obstacle(postgres: Cluster, guests: Guests) -> None:
    """A database of EUC_JP shows its statements in it to all others: what cannot be read costs its letters alone."""
    name = f"legacy_{postgres.major}"
    postgres.psql(f"create database {name} encoding 'EUC_JP' lc_collate 'C' lc_ctype 'C' template template0")
    holder, waiter = [await guests.open(postgres, name) for _ in range(2)]
    await holder.execute('create table "表" ()')
    await holder.execute('begin; lock table "表"')
    guests.wait(waiter, 'select * from "表" where true')
    await blocked(postgres, waiter.get_server_pid(), holder.get_server_pid())
    findings = await look(postgres)
    server = a_server(postgres)
    running = await Activity(server, ActivitySettings(), SystemClock()).collect()
    await server.close()
    for guest in (holder, waiter):
        guest.terminate()
    await eventually(
        lambda: ask(postgres, f"select not exists (select from pg_stat_activity where datname = '{name}')")
    )
    postgres.psql(f"drop database {name}")
    leaf = nodes(findings)[1].session
    assert leaf.query.startswith('select * from "')
    assert leaf.query.endswith('" where true')
    assert the_value(running, CONNECTIONS, state="waiting") == 1


async def test_others_are_a_gap_without_the_privilege(postgres: Cluster, guests: Guests, unique_database: str) -> None:
    """Who waits for whom is open to all; what they do is not, and the mend is told."""
    holder, reader = [await guests.open(postgres, unique_database, name="app") for _ in range(2)]
    await holder.execute("create table held ()")
    await holder.execute("begin; lock table held")
    guests.wait(reader, "select * from held")
    await blocked(postgres, reader.get_server_pid(), holder.get_server_pid())
    role = f"plain_{unique_database}"
    postgres.psql(f"create role {role} login")
    try:
        findings = await look(postgres, user=role)
    finally:
        postgres.psql(f"drop role {role}")
    assert [(pid, depth) for pid, depth, *_ in drawn(findings)] == [
        (holder.get_server_pid(), 0),
        (reader.get_server_pid(), 1),
    ]
    assert {(s.query, s.state, s.transaction_seconds) for s in sessions(findings).values()} == {("", "", None)}
    (gap,) = findings.gaps
    assert (gap.what, gap.reason, gap.count) == ("sessions of other roles", Reason.PRIVILEGE, 2)
    assert "toban setup postgresql" in gap.hint
