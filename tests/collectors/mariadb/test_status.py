"""Counters, sessions and ratios of a real MariaDB, with the conditions that they are for."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from collectors.contract import CollectorSettings
from collectors.mariadb.counters import BY_VARIABLE, Reading, continuous, grown, numbers, share
from collectors.mariadb.server import DownError
from collectors.mariadb.settings import MariadbSettings, SettingsCadence
from collectors.mariadb.status import (
    HIT_RATIO,
    LONGEST_QUERY,
    LONGEST_TRANSACTION,
    REPLICAS,
    ROW_WAITS,
    SESSIONS,
    TRANSACTIONS,
    USED_RATIO,
    VERSION,
    MariadbStatus,
)
from tests.collectors.mariadb.watched import a_server, session, value, watching
from tests.mariadbs import Mariadb, NewMariadb
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration
CACHE_SECONDS = 0.12  # InnoDB shows its transactions anew only to those who have not looked for a tenth of a second


@pytest.fixture
def server(new_mariadb: NewMariadb) -> Mariadb:
    """One whose counters nobody else moves, on a machine in Japan."""
    made = new_mariadb(start=False)
    made.zone = "JST-9"  # InnoDB tells the beginning of a transaction in the time of the machine
    made.start()
    made.sql("create database shop; create table shop.t (id int primary key, x int) engine = innodb")
    made.sql("insert into shop.t values (1, 1), (2, 2)")
    made.sql("create user toban; grant process on *.* to toban")
    return made


@pytest.fixture
async def collector(server: Mariadb) -> AsyncIterator[MariadbStatus]:
    """At work on that server."""
    async with watching(server, user="toban") as source:
        yield MariadbStatus(source, CollectorSettings(), SystemClock())


async def waiting(collector: MariadbStatus, name: str, *labels: str) -> Findings:
    """The findings, once a value is there."""

    async def seen() -> Findings | None:
        await asyncio.sleep(CACHE_SECONDS)
        findings = await collector.collect()
        return findings if value(findings, name, *labels) else None

    findings: Findings | None = await eventually(seen)
    assert findings is not None
    return findings


async def test_counters_are_the_servers_own(server: Mariadb, collector: MariadbStatus) -> None:
    """Each with mysqld_exporter's name; the version beside them; no ratio before there is an interval."""
    findings = await collector.collect()
    named = {sample.metric.name for sample in findings.samples}
    assert {metric.name for metric in BY_VARIABLE.values()} <= named
    (version,) = [s.labelled for s in findings.samples if s.metric is VERSION]
    assert version["version"].startswith(version["short_version"])
    assert value(findings, HIT_RATIO) is None
    assert findings.gaps == ()


async def test_slow_queries_are_counted_exactly(server: Mariadb, collector: MariadbStatus) -> None:
    """Three that take longer than long_query_time, and one that does not."""
    before = value(await collector.collect(), "mysql_global_status_slow_queries")
    server.sql("set long_query_time = 0.3; select sleep(0.35); select sleep(0.35); select sleep(0.35); select 1")
    assert value(await collector.collect(), "mysql_global_status_slow_queries") == (before or 0) + 3


async def test_connections_are_a_share_of_the_limit(server: Mariadb, collector: MariadbStatus) -> None:
    """Nine guests and Toban, of twenty."""
    guests = [a_server(server.dsn()) for _ in range(9)]
    for guest in guests:
        await guest._opened()

    async def settled() -> Findings | None:
        findings = await waiting(collector, "toban_mysql_sessions", "idle")
        return findings if value(findings, USED_RATIO) == 0.5 else None

    findings = await eventually(settled)  # the sessions that made all this need a moment to go
    assert findings is not None
    assert value(findings, SESSIONS, "idle") == 9
    assert value(findings, SESSIONS, "active") == 0
    for guest in guests:
        await guest.close()


async def test_refused_connections_are_counted(server: Mariadb, collector: MariadbStatus) -> None:
    """A wrong role, twice."""
    before = value(await collector.collect(), "mysql_global_status_aborted_connects")
    for _ in range(2):
        with pytest.raises(DownError):
            await a_server(server.dsn(user="nobody"))._opened()

    async def counted() -> bool:
        found = value(await collector.collect(), "mysql_global_status_aborted_connects")
        return found == (before or 0) + 2

    await eventually(counted)  # which the server does after it has said no


async def test_hit_ratio_is_over_the_interval(server: Mariadb, collector: MariadbStatus) -> None:
    """Reading what is cached finds everything, whatever the start cost."""
    server.sql("select * from shop.t")
    await collector.collect()

    async def all_cached() -> bool:
        for _ in range(3):
            server.sql("select * from shop.t")
        return value(await collector.collect(), HIT_RATIO) == 1.0

    await eventually(all_cached)  # in an interval in which the server reads nothing for itself


async def test_longest_query_and_transaction_are_seen(server: Mariadb, collector: MariadbStatus) -> None:
    """A transaction that sits still, and a statement that runs."""
    with session(server, "shop") as idle, session(server) as busy:
        idle.say("start transaction")
        idle.say("update t set x = 5 where id = 1")
        busy.say("select sleep(30)")
        await waiting(collector, "toban_mysql_transactions")
        findings = await waiting(collector, "toban_mysql_longest_query_seconds")
    assert value(findings, TRANSACTIONS) == 1
    assert value(findings, SESSIONS, "active") == 1
    assert 0 < (value(findings, LONGEST_TRANSACTION) or 0) < 30
    assert 0 < (value(findings, LONGEST_QUERY) or 0) < 30
    assert value(findings, REPLICAS) == 0


async def test_row_lock_wait_is_seen(server: Mariadb, collector: MariadbStatus) -> None:
    """One holds a row, another wants it."""
    before = value(await collector.collect(), "mysql_global_status_innodb_row_lock_waits")
    with session(server, "shop") as holder, session(server, "shop") as waiter:
        holder.say("start transaction")
        holder.say("update t set x = 5 where id = 1")
        await waiting(collector, "toban_mysql_transactions")
        waiter.say("update t set x = 6 where id = 1")
        findings = await waiting(collector, "toban_mysql_row_lock_waiting")
    assert value(findings, ROW_WAITS) == 1
    assert value(findings, "mysql_global_status_innodb_row_lock_current_waits") == 1
    assert value(findings, "mysql_global_status_innodb_row_lock_waits") == (before or 0) + 1


async def test_deadlock_is_counted(server: Mariadb, collector: MariadbStatus) -> None:
    """Two that want each other's row: the server gives one of them up."""
    assert value(await collector.collect(), "mysql_global_status_innodb_deadlocks") == 0

    async def both() -> bool:
        return value(await waiting(collector, "toban_mysql_transactions"), TRANSACTIONS) == 2

    with session(server, "shop") as one, session(server, "shop") as other:
        for who, row in ((one, 1), (other, 2)):
            who.say("start transaction")
            who.say(f"update t set x = 9 where id = {row}")
        await eventually(both)
        one.say("update t set x = 9 where id = 2")
        await waiting(collector, "toban_mysql_row_lock_waiting")
        other.say("update t set x = 9 where id = 1")
        findings = await waiting(collector, "mysql_global_status_innodb_deadlocks")
    assert value(findings, "mysql_global_status_innodb_deadlocks") == 1


async def test_table_lock_wait_is_seen(server: Mariadb, collector: MariadbStatus) -> None:
    """Somebody reads a table for long, and somebody else wants to change it."""
    with session(server, "shop") as reader, session(server, "shop") as changer:
        reader.say("start transaction")
        reader.say("select * from t")
        await waiting(collector, "toban_mysql_transactions")
        changer.say("alter table t add column y int")
        assert value(await waiting(collector, "toban_mysql_sessions", "waiting"), SESSIONS, "waiting") == 1


async def test_role_without_process_is_told_what_it_misses(server: Mariadb) -> None:
    """The counters stay; sessions are a gap, not a zero."""
    server.sql("create user poor")
    async with watching(server, user="poor") as source:
        findings = await MariadbStatus(source, CollectorSettings(), source.clock).collect()
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("sessions", Reason.PRIVILEGE)]
    assert "GRANT" in findings.gaps[0].hint
    assert value(findings, SESSIONS, "idle") is None
    assert value(findings, USED_RATIO) is not None


async def test_another_trouble_with_sessions_is_not_swallowed(server: Mariadb, collector: MariadbStatus) -> None:
    """A server that goes in mid-turn is down, not short of a privilege."""
    await collector.collect()
    collector.source.limits = collector.source.limits.model_copy(update={"statement_timeout": 1.0})
    original = collector.source.fetch

    async def fetch(query: object, *values: object) -> object:
        if getattr(query, "name", "") == "transactions":
            server.freeze()
        return await original(query, *values)  # type: ignore[arg-type]

    collector.source.fetch = fetch  # type: ignore[method-assign,assignment]
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it is, is the point
        await collector.collect()
    server.thaw()
    assert collector.source.explain(caught.value).reason is Reason.UNANSWERED


async def test_settings_are_numbers(server: Mariadb) -> None:
    """Sizes as they are, switches as 1 and 0."""
    async with watching(server, user="toban") as source:
        findings = await MariadbSettings(source, SettingsCadence(), source.clock).collect()
    assert value(findings, "mysql_global_variables_innodb_buffer_pool_size") == 16 * 1024**2
    assert value(findings, "mysql_global_variables_max_connections") == 20
    assert value(findings, "mysql_global_variables_log_bin") == 0
    assert value(findings, "mysql_global_variables_innodb_file_per_table") == 1
    assert value(findings, "mysql_global_variables_innodb_doublewrite") == 0


def a_reading(at: float, uptime: float, **values: float) -> Reading:
    """Counters at a moment."""
    return Reading(at=at, values={"uptime": uptime, "uptime_since_flush_status": uptime, **values})


def test_growth_is_unknown_across_a_new_start() -> None:
    """A restart, a FLUSH STATUS, a counter that fell or is missing: no number rather than a wrong one."""
    before = a_reading(100, 50, reads=10)
    assert grown(before, a_reading(115, 65, reads=25), "reads") == 15
    assert grown(None, before, "reads") is None
    assert grown(before, a_reading(115, 10, reads=25), "reads") is None
    assert grown(before, a_reading(115, 65, uptime_since_flush_status=3, reads=25), "reads") is None
    assert grown(before, a_reading(115, 65, reads=5), "reads") is None
    assert grown(before, a_reading(115, 65), "reads") is None
    assert grown(a_reading(100, 50), a_reading(115, 65, reads=5), "reads") is None
    assert continuous(before, a_reading(115, 66))
    assert not continuous(None, before)


def test_shares_need_a_whole() -> None:
    """Nothing of nothing is unknown, and no share is more than the whole."""
    assert (share(1, 4), share(5, 4), share(None, 4), share(1, 0), share(1, None)) == (0.25, 1.0, None, None, None)


def test_numbers_leave_out_what_is_none() -> None:
    """ON and OFF are numbers here."""
    assert numbers({"A": "1.5", "B": "ON", "C": "OFF", "D": "shop"}) == {"a": 1.5, "b": 1.0, "c": 0.0}


async def test_turns_do_not_disturb_each_other(collector: MariadbStatus) -> None:
    """Two turns at once share the connection's opening."""
    await asyncio.gather(collector.source._opened(), collector.source._opened())
    assert (await collector.collect()).samples
