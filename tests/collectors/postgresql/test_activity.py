import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from collectors.postgresql.activity import (
    CONNECTIONS,
    COUNT,
    LIMIT,
    LONGEST_IDLE,
    LONGEST_QUERY,
    LONGEST_TRANSACTION,
    MAX_TX_DURATION,
    OLDEST_XMIN,
    OTHER_SETS,
    OWN,
    USED_RATIO,
    Activity,
    ActivitySettings,
)
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask
from tests.collectors.postgresql.sources import a_server, found, the_value
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Findings
from toban.statements import RunningQuery

pytestmark = pytest.mark.integration


class Sessions:
    """Client sessions in known states, on a server that nobody else uses."""

    def __init__(self, cluster: Cluster, stack: AsyncExitStack) -> None:
        self.cluster = cluster
        self._stack = stack

    async def open(
        self, *statements: str, user: str = "postgres", database: str = "postgres", name: str = "app"
    ) -> int:
        """A session that has run these; its process id."""
        connection = await self.cluster.connect(database, user, server_settings={"application_name": name})
        self._stack.callback(connection.terminate)
        for statement in statements:
            await connection.execute(statement)
        return int(connection.get_server_pid())

    async def begin(self, statement: str, *before: str, name: str = "app") -> int:
        """A session that is at a statement which does not end by itself; its process id."""
        connection = await self.cluster.connect(server_settings={"application_name": name})
        for earlier in before:
            await connection.execute(earlier)
        pid = int(connection.get_server_pid())
        task = asyncio.create_task(connection.execute(statement))
        self._stack.push_async_callback(asyncio.wait, [task])
        self._stack.callback(task.cancel)
        self._stack.callback(connection.terminate)
        return pid


@pytest.fixture
async def sessions(new_cluster: NewCluster, request: pytest.FixtureRequest) -> AsyncIterator[Sessions]:
    """A server of the test's own; of the oldest major version unless the test is given one."""
    major = getattr(request, "param", None)
    async with AsyncExitStack() as stack:
        yield Sessions(new_cluster(major), stack)


async def look(cluster: Cluster, *, user: str = "postgres", settings: ActivitySettings | None = None) -> Findings:
    """One look at a server's sessions, once those of psql are gone: it does not wait for their end."""
    left = "select count(*) = 0 from pg_stat_activity where application_name = 'psql'"
    await eventually(lambda: ask(cluster, left))
    server = a_server(cluster, user=user)
    findings = await Activity(server, settings or ActivitySettings(), SystemClock()).collect()
    await server.close()
    return findings


async def sleeping(cluster: Cluster, *pids: int) -> None:
    """Wait until these sessions are at work or wait."""
    listed = ",".join(map(str, pids))
    sql = f"select count(*) from pg_stat_activity where pid in ({listed}) and state = 'active'"
    await eventually(lambda: cluster.psql(sql) == str(len(pids)))


def states(findings: Findings) -> dict[str, float]:
    """Connections by state."""
    return {s.labelled["state"]: s.value for s in findings.samples if s.metric is CONNECTIONS}


@pytest.mark.parametrize("sessions", [15, 16, 18], indirect=True)
async def test_activity_counts_each_client_once(sessions: Sessions) -> None:
    """Every client is in one state: at work, waiting for a lock, idle, idle in a transaction; Toban is in none."""
    cluster = sessions.cluster
    cluster.psql("create table held ()")
    await sessions.open()
    await sessions.open("begin", "lock table held")
    at_work = await sessions.begin("select pg_sleep(600)")
    waiting = await sessions.begin("select * from held")
    await sleeping(cluster, at_work, waiting)
    await eventually(lambda: cluster.psql("select count(*) from pg_locks where not granted") == "1")
    findings = await look(cluster)
    assert states(findings) == {"active": 1, "waiting": 1, "idle": 1, "idle_in_transaction": 1, "other": 0}
    assert the_value(findings, OWN) == 1
    assert findings.gaps == ()


async def test_activity_on_an_idle_server_is_all_zeros(sessions: Sessions) -> None:
    """No client at all: every state is there and zero, nothing runs, and only Toban's own session is listed."""
    findings = await look(sessions.cluster)
    assert states(findings) == dict.fromkeys(("active", "waiting", "idle", "idle_in_transaction", "other"), 0.0)
    for metric in (LONGEST_QUERY, LONGEST_TRANSACTION, LONGEST_IDLE, OLDEST_XMIN, OTHER_SETS):
        assert the_value(findings, metric) == 0
    assert found(findings, COUNT) == [1.0]
    assert findings.rows == ()


@pytest.mark.parametrize(
    ("major", "settings", "limit"),
    [
        (15, {"superuser_reserved_connections": "4"}, 16),
        (16, {"superuser_reserved_connections": "4", "reserved_connections": "6"}, 10),
        (18, {"superuser_reserved_connections": "4", "reserved_connections": "6"}, 10),
    ],
)
async def test_activity_measures_against_what_ordinary_roles_can_open(
    new_cluster: NewCluster, major: int, settings: dict[str, str], limit: int
) -> None:
    """Reserved slots are no room: those of superusers, and from 16 on those of pg_use_reserved_connections."""
    cluster = new_cluster(major, settings={"max_connections": "20", **settings})
    guests = [await cluster.connect() for _ in range(3)]
    findings = await look(cluster)
    assert the_value(findings, LIMIT) == limit
    assert the_value(findings, USED_RATIO) == pytest.approx(4 / limit)  # ours takes a slot as well
    for guest in guests:
        await guest.close()


async def test_activity_ages_are_those_of_clients(sessions: Sessions) -> None:
    """The oldest statement, transaction and idleness are measured on their own sessions; Toban's name hides one."""
    cluster = sessions.cluster
    idle = await sessions.open("begin", "select 1")
    at_work = await sessions.begin("select pg_sleep(600)", "begin")
    await sessions.begin("select pg_sleep(600)", name="toban")
    await sleeping(cluster, at_work)
    ages = await eventually(lambda: _aged(cluster))
    assert ages is not None
    assert the_value(ages, LONGEST_TRANSACTION) >= the_value(ages, LONGEST_IDLE) >= 0.3
    assert the_value(ages, LONGEST_TRANSACTION) >= the_value(ages, LONGEST_QUERY) >= 0.3
    assert {row.pid for row in ages.rows if isinstance(row, RunningQuery)} == {idle, at_work}


async def _aged(cluster: Cluster) -> Findings | None:
    findings = await look(cluster, settings=ActivitySettings(slow=0.3))
    ages = [the_value(findings, metric) for metric in (LONGEST_QUERY, LONGEST_IDLE)]
    return findings if min(ages) >= 0.3 else None


async def test_activity_rows_name_the_query_by_its_id_alone(sessions: Sessions) -> None:
    """A long-running session is shown with who and how long, and never with its text."""
    cluster = sessions.cluster
    pid = await sessions.begin("select pg_sleep(600), 'my secret'", "set compute_query_id = on", name="batch")
    await sleeping(cluster, pid)
    findings = await look(cluster, settings=ActivitySettings(slow=0.000001))
    (row,) = findings.rows
    assert isinstance(row, RunningQuery)
    assert (row.pid, row.datname, row.usename) == (pid, "postgres", "postgres")
    assert (row.application_name, row.state, row.wait_event) == ("batch", "active", "Timeout:PgSleep")
    assert row.query_seconds is not None
    assert row.query_seconds > 0
    assert row.queryid.lstrip("-").isdigit()
    assert "secret" not in repr(findings)


async def test_activity_rows_are_bounded_and_the_oldest_stay(sessions: Sessions) -> None:
    """Of many long-running sessions the oldest are shown."""
    first = await sessions.open("begin", "select 1")
    for _ in range(3):
        await sessions.open("begin", "select 1")
    findings = await look(sessions.cluster, settings=ActivitySettings(slow=0.000001, shown=1))
    assert [row.pid for row in findings.rows if isinstance(row, RunningQuery)] == [first]


async def test_activity_label_sets_are_bounded_and_nothing_is_lost(sessions: Sessions) -> None:
    """Beyond the budget the smallest sets go into `other`, whose count says how many sets it took in."""
    for number in range(6):
        await sessions.open(name=f"app {number}")
    for _ in range(3):
        await sessions.open(name="pool")
    findings = await look(sessions.cluster, settings=ActivitySettings(label_sets=2))
    assert found(findings, COUNT, application_name="pool") == [3.0]
    assert len(found(findings, COUNT)) == len(found(findings, MAX_TX_DURATION)) == 3
    assert the_value(findings, OTHER_SETS) == 6  # five sessions named app, and Toban's own
    assert found(findings, COUNT, application_name="other", datname="other") == [6.0]
    assert sum(found(findings, COUNT)) == 10


async def test_activity_leaves_walsenders_out(new_cluster: NewCluster, standby_of: StandbyOf) -> None:
    """A standby that streams is no client and no long transaction."""
    primary = new_cluster()
    standby_of(primary)
    await eventually(lambda: primary.psql("select count(*) from pg_stat_replication") == "1")
    findings = await look(primary)
    assert sum(states(findings).values()) == 0
    assert the_value(findings, LONGEST_TRANSACTION) == 0
    assert the_value(findings, USED_RATIO) == pytest.approx(1 / the_value(findings, LIMIT))


async def test_activity_on_a_standby_works(new_cluster: NewCluster, standby_of: StandbyOf) -> None:
    """Nothing of it needs a primary."""
    findings = await look(standby_of(new_cluster()))
    assert the_value(findings, OWN) == 1


@pytest.mark.parametrize("holder", ["session", "prepared transaction", "slot"])
async def test_activity_oldest_xmin_sees_every_holder(new_cluster: NewCluster, holder: str) -> None:
    """What keeps dead rows from being removed may be a session, a prepared transaction or a slot."""
    cluster = new_cluster(settings={"max_prepared_transactions": "2", "wal_level": "logical"})
    cluster.psql("create table counted (n int)")
    guest = await cluster.connect()
    if holder == "session":
        await guest.execute("begin isolation level repeatable read")
        await guest.execute("select 1")
    elif holder == "prepared transaction":
        await guest.execute("begin; insert into counted values (0); prepare transaction 'kept'")
    else:
        await guest.execute("select pg_create_logical_replication_slot('kept', 'pgoutput')")
    for number in range(5):
        cluster.psql(f"insert into counted values ({number})")
    assert the_value(await look(cluster), OLDEST_XMIN) >= 5
    await guest.close()


async def test_activity_of_others_is_a_gap_without_the_privilege(sessions: Sessions) -> None:
    """A role that may not see others still counts them, and says what it cannot tell and how that is mended."""
    cluster = sessions.cluster
    cluster.psql("create role blind login")
    await sessions.open("begin")
    await sessions.open()
    findings = await look(cluster, user="blind")
    assert states(findings)["other"] == 2
    assert the_value(findings, USED_RATIO) == pytest.approx(3 / the_value(findings, LIMIT))
    (gap,) = findings.gaps
    assert gap.reason is Reason.PRIVILEGE
    assert gap.count >= 2
    assert "toban setup postgresql" in gap.hint


async def test_activity_sees_all_with_pg_monitor(sessions: Sessions) -> None:
    """pg_monitor is privilege enough."""
    cluster = sessions.cluster
    cluster.psql("create role watcher login in role pg_monitor")
    await sessions.open("begin")
    findings = await look(cluster, user="watcher")
    assert states(findings)["idle_in_transaction"] == 1
    assert findings.gaps == ()


async def test_activity_takes_any_name(sessions: Sessions) -> None:
    """Names with quotes, newlines and emoji arrive as they are."""
    strange = 'we"ird\n🐘'
    await sessions.cluster.execute(f'create database "{strange.replace(chr(34), chr(34) * 2)}"')
    await sessions.open(database=strange, name='it\'s "me"')
    findings = await look(sessions.cluster)
    assert found(findings, COUNT, datname=strange, application_name='it\'s "me"', state="idle") == [1.0]
