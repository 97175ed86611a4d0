"""A real primary and its replica: following, stopped, broken, and what each side says of it."""

from collections.abc import Iterator

import pytest

from collectors.contract import CollectorSettings
from collectors.mariadb.replication import (
    BEHIND,
    IO_RUNNING,
    REPLICA,
    SEQUENCE,
    SQL_RUNNING,
    UNAPPLIED,
    MariadbReplication,
    positions,
    renamed,
    unapplied,
)
from collectors.mariadb.server import MariadbServer
from collectors.mariadb.status import REPLICAS, MariadbStatus
from tests.collectors.mariadb.watched import a_server, value, watching
from tests.mariadbs import Mariadb, NewMariadb
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Findings

ONLY = ("127.0.0.1", "")


@pytest.fixture
def primary(new_mariadb: NewMariadb) -> Mariadb:
    """One that keeps a binary log."""
    made = new_mariadb(server_id="1", log_bin="binlog", binlog_format="STATEMENT")
    made.sql("create user copy; grant replication slave on *.* to copy")
    made.sql("create user toban; grant process, slave monitor on *.* to toban")
    made.sql("create database shop; create table shop.t (id int primary key)")
    return made


@pytest.fixture
def replica(new_mariadb: NewMariadb, primary: Mariadb) -> Iterator[Mariadb]:
    """One that follows it from the first transaction on, by GTID."""
    made = new_mariadb(server_id="2", rpl_semi_sync_slave_enabled="ON")
    primary.sql("set global rpl_semi_sync_master_enabled = on")
    made.sql(
        f"change master to master_host = '127.0.0.1', master_port = {primary.port}, master_user = 'copy',"
        " master_use_gtid = slave_pos; start slave"
    )
    yield made
    made.kill()


async def looking(source: MariadbServer) -> Findings:
    """One turn."""
    return await MariadbReplication(source, CollectorSettings(), source.clock).collect()


async def following(server: Mariadb, primary: Mariadb) -> MariadbServer:
    """The way into the replica, once it has all that the primary has."""
    await eventually(lambda: server.sql("select @@gtid_slave_pos") == primary.sql("select @@gtid_binlog_pos"))
    await eventually(lambda: server.sql("show tables in shop") == "t")
    return a_server(server.dsn(user="toban"))


@pytest.mark.integration
async def test_replica_that_follows_is_not_behind(primary: Mariadb, replica: Mariadb) -> None:
    """Both threads run, nothing waits, and both sides are at the same transaction."""
    source = await following(replica, primary)
    findings = await looking(source)
    assert value(findings, REPLICA) == 1
    assert value(findings, IO_RUNNING, *ONLY) == 1
    assert value(findings, SQL_RUNNING, *ONLY) == 1
    assert value(findings, BEHIND, *ONLY) == 0
    assert value(findings, UNAPPLIED, *ONLY) == 0
    assert value(findings, "mysql_slave_status_last_sql_errno", *ONLY) == 0
    assert findings.gaps == ()
    await source.close()
    async with watching(primary, user="toban") as other:
        seen = await looking(other)
        status = await MariadbStatus(other, CollectorSettings(), SystemClock()).collect()
    assert value(seen, REPLICA) == 0
    assert value(seen, SEQUENCE, "0") == value(findings, SEQUENCE, "0")
    assert value(status, REPLICAS) == 1
    assert value(status, "mysql_global_status_rpl_semi_sync_master_clients") == 1
    assert value(status, "mysql_global_status_rpl_semi_sync_master_status") == 1


@pytest.mark.integration
async def test_replica_that_does_not_apply_says_so(primary: Mariadb, replica: Mariadb) -> None:
    """With the SQL thread stopped three transactions wait, and the lag is a gap: the server has no number for it."""
    source = await following(replica, primary)
    replica.sql("stop slave sql_thread")
    for number in (1, 2, 3):
        primary.sql(f"insert into shop.t values ({number})")

    async def fetched() -> Findings | None:
        findings = await looking(source)
        return findings if value(findings, UNAPPLIED, *ONLY) == 3 else None

    findings = await eventually(fetched)
    assert findings is not None
    assert value(findings, IO_RUNNING, *ONLY) == 1
    assert value(findings, SQL_RUNNING, *ONLY) == 0
    assert value(findings, BEHIND, *ONLY) is None
    assert [(gap.what, gap.reason, gap.detail) for gap in findings.gaps] == [
        ("seconds behind the primary", Reason.UNEXPECTED, "the replica is not applying")
    ]
    await source.close()


@pytest.mark.integration
async def test_replica_that_lags_is_behind(primary: Mariadb, replica: Mariadb) -> None:
    """A row that somebody holds on the replica keeps the SQL thread waiting: it runs, and falls behind."""
    source = await following(replica, primary)
    primary.sql("insert into shop.t values (1)")
    await eventually(lambda: replica.sql("select count(*) from shop.t") == "1")
    with replica.session("shop") as holder:
        assert holder.stdin is not None
        holder.stdin.write(b"start transaction; select * from t for update; select get_lock('held', 0);\n")
        holder.stdin.flush()
        await eventually(lambda: replica.sql("select is_used_lock('held') is not null") == "1")
        primary.sql("delete from shop.t where id = 1")

        async def behind() -> Findings | None:
            findings = await looking(source)
            return findings if (value(findings, BEHIND, *ONLY) or 0) > 0 else None

        findings = await eventually(behind)
        holder.kill()
        holder.communicate()
    assert findings is not None
    assert value(findings, SQL_RUNNING, *ONLY) == 1
    assert value(findings, UNAPPLIED, *ONLY) == 1
    await source.close()


@pytest.mark.integration
async def test_replica_that_broke_tells_the_number_only(primary: Mariadb, replica: Mariadb) -> None:
    """A row that is there already: 1062. The statement, with its literals, stays on the server."""
    source = await following(replica, primary)
    replica.sql("insert into shop.t values (4711)")
    primary.sql("insert into shop.t values (4711)")

    async def broken() -> Findings | None:
        findings = await looking(source)
        return findings if value(findings, SQL_RUNNING, *ONLY) == 0 else None

    findings = await eventually(broken)
    assert findings is not None
    assert value(findings, "mysql_slave_status_last_sql_errno", *ONLY) == 1062
    (gap,) = findings.gaps
    assert gap.detail == "the replica is not applying: error 1062"
    assert "4711" not in str(findings)
    await source.close()


@pytest.mark.integration
async def test_replica_whose_primary_is_gone_is_not_fetching(primary: Mariadb, replica: Mariadb) -> None:
    """The IO thread tries again and again: that is not running."""
    source = await following(replica, primary)
    primary.kill()

    async def alone() -> Findings | None:
        findings = await looking(source)
        return findings if value(findings, IO_RUNNING, *ONLY) == 0 and findings.gaps else None

    findings = await eventually(alone)
    assert findings is not None
    assert findings.gaps[0].detail.startswith("the replica is not fetching")
    await source.close()


@pytest.mark.integration
async def test_role_without_slave_monitor_is_told(primary: Mariadb) -> None:
    """The privilege, and where the GRANT stands."""
    primary.sql("create user poor")
    async with watching(primary, user="poor") as source:
        with pytest.raises(Exception) as caught:  # noqa: PT011 - what it means, is the point
            await looking(source)
        failure = source.explain(caught.value)
    assert (failure.reason, failure.down, "GRANT" in failure.hint) == (Reason.PRIVILEGE, False, True)


def test_positions_are_read_by_domain() -> None:
    """Nothing, one domain, several."""
    assert positions(None) == positions("") == {}
    assert positions("0-1-20, 1-2-5") == {"0": 20, "1": 5}


def test_unapplied_needs_gtid() -> None:
    """Without it nobody counts transactions; a domain that is not applied at all counts from its start."""
    assert unapplied({"using_gtid": "No"}) is None
    row = {"using_gtid": "Slave_Pos", "gtid_io_pos": "0-1-20,1-2-5", "gtid_slave_pos": "0-1-21"}
    assert unapplied(row) == 5


def test_mysql_words_are_mariadbs_words() -> None:
    """SHOW REPLICA STATUS by its manual: no MySQL has answered it here."""
    row = {"channel_name": "c", "source_host": "h", "replica_io_running": "Yes", "seconds_behind_source": 3}
    assert renamed(row) == {
        "connection_name": "c",
        "channel_name": "c",
        "master_host": "h",
        "slave_io_running": "Yes",
        "seconds_behind_master": 3,
    }
