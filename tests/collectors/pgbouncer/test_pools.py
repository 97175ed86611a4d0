import asyncio
from contextlib import ExitStack

import pytest

from collectors.pgbouncer.console import PgBouncerConsole
from collectors.pgbouncer.pools import Pools, PoolsSettings
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.pgbouncer.consoles import Shown, a_database, a_pool, values
from tests.pgbouncers import Client, NewPgBouncer, PgBouncer
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Findings
from toban.secrets import Dsn

POOL = ("postgres", "postgres")


def over(console: PgBouncerConsole, top: int = 30) -> Pools:
    """The collector."""
    return Pools(console, PoolsSettings(top=top), ManualClock())


def asked(pgbouncer: PgBouncer) -> Client:
    """A client that has asked something, and so has a server."""
    client = pgbouncer.client()
    client.execute("select 1")
    return client


def passing(pgbouncer: PgBouncer) -> None:
    """A client that asks once and leaves: in session mode the next one waits for that."""
    asked(pgbouncer).close()


@pytest.mark.integration
async def test_pools_see_who_waits(postgres15: Cluster, new_pgbouncer: NewPgBouncer) -> None:
    """A pool of one server that a session holds: two others wait, and wait longer and longer; then nobody does."""
    pgbouncer = new_pgbouncer(postgres15, settings={"default_pool_size": "1"})
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), SystemClock())
    pools = over(console)

    async def two_wait() -> Findings | None:
        findings = await pools.collect()
        return findings if values(findings)["toban_pgbouncer_waiting_clients"] == 2 else None

    with ExitStack() as stack:
        holder = stack.enter_context(asked(pgbouncer))
        waiting = [asyncio.create_task(asyncio.to_thread(passing, pgbouncer)) for _ in range(2)]
        found = await eventually(two_wait)
        later = await pools.collect()
        holder.close()
        await asyncio.gather(*waiting)
    assert found is not None
    pool, whole = values(found, *POOL), values(found)
    assert pool["pgbouncer_pools_client_active_connections"] == 1
    assert pool["pgbouncer_pools_client_waiting_connections"] == 2
    assert pool["pgbouncer_pools_server_active_connections"] == 1
    assert pool["toban_pgbouncer_pool_used_ratio"] == whole["toban_pgbouncer_fullest_pool_ratio"] == 1
    assert whole["toban_pgbouncer_busy_servers"] == 1
    waited = pool["pgbouncer_pools_client_maxwait_seconds"]
    assert 0 < waited == whole["toban_pgbouncer_max_wait_seconds"]
    assert values(later)["toban_pgbouncer_max_wait_seconds"] > waited
    assert found.gaps == ()

    async def free() -> bool:
        now = values(await pools.collect())
        return now["toban_pgbouncer_waiting_clients"] == now["toban_pgbouncer_max_wait_seconds"] == 0

    await eventually(free)
    await console.close()


@pytest.mark.integration
async def test_pools_are_quiet_before_anybody_comes(postgres15: Cluster, new_pgbouncer: NewPgBouncer) -> None:
    """Without a client there is no pool: nobody waits, and nothing is full. The console's own pool does not count."""
    console = PgBouncerConsole(Dsn(new_pgbouncer(postgres15).dsn()), SystemClock())
    findings = await over(console).collect()
    assert {s.metric.name: s.value for s in findings.samples} == {
        "toban_pgbouncer_other_pools": 0,
        "toban_pgbouncer_waiting_clients": 0,
        "toban_pgbouncer_max_wait_seconds": 0,
        "toban_pgbouncer_fullest_pool_ratio": 0,
        "toban_pgbouncer_busy_servers": 0,
    }
    await console.close()


async def test_pools_beyond_the_top_are_summed_up() -> None:
    """The busiest pools have series; the others are one, whose wait and fullness are the worst among them."""
    console = Shown(
        DATABASES=[a_database("a", pool_size=10), a_database("b", pool_size=4), a_database("c", pool_size=2)],
        POOLS=[
            a_pool("a", cl_active=9, sv_active=9),
            a_pool("b", cl_waiting=1, maxwait=2, maxwait_us=500_000, sv_login=1),
            a_pool("c", sv_active=3, sv_idle=1),
            a_pool("gone", maxwait=1),
        ],
    )
    findings = await over(console, top=1).collect()
    assert values(findings, "a", "app")["toban_pgbouncer_pool_used_ratio"] == pytest.approx(0.9)
    other, whole = values(findings, "other", "other"), values(findings)
    assert other["pgbouncer_pools_server_active_connections"] == 3
    assert other["pgbouncer_pools_client_waiting_connections"] == 1
    assert other["pgbouncer_pools_client_maxwait_seconds"] == 2.5
    assert other["toban_pgbouncer_pool_used_ratio"] == 1  # three servers of two: a reserve is at work
    assert whole["toban_pgbouncer_other_pools"] == 3
    assert whole["toban_pgbouncer_busy_servers"] == 13
    assert values(findings, "b", "app") == {}


async def test_pools_keep_their_series_until_clearly_outweighed() -> None:
    """Two pools that take turns at being a little busier do not take turns at having series."""
    console = Shown(DATABASES=[], POOLS=[a_pool("a", cl_active=3), a_pool("b", cl_active=2)])
    pools = over(console, top=1)
    await pools.collect()
    console.views["POOLS"] = [a_pool("a", cl_active=2), a_pool("b", cl_active=3)]
    assert values(await pools.collect(), "a", "app")
    console.views["POOLS"] = [a_pool("a", cl_active=2), a_pool("b", cl_active=5)]
    assert values(await pools.collect(), "b", "app")


async def test_pools_of_other_versions_are_read_by_name() -> None:
    """A column that is new is passed over; one that is missing is a gap with its name, and no value."""
    older = {"database": "a", "user": "u", "cl_active": "1", "cl_waiting": 0, "sv_active": 1, "maxwait": 3}
    findings = await over(Shown(DATABASES=[], POOLS=[{**older, "load_balance_hosts": None}])).collect()
    assert values(findings, "a", "u") == {
        "pgbouncer_pools_client_active_connections": 1,
        "pgbouncer_pools_client_waiting_connections": 0,
        "pgbouncer_pools_server_active_connections": 1,
        "pgbouncer_pools_client_maxwait_seconds": 3,
    }
    (gap,) = findings.gaps
    assert (gap.reason, gap.count) == (Reason.VERSION, 8)
    assert "sv_login" in gap.detail


async def test_pool_called_other_is_told_from_the_rest() -> None:
    """Its series does not clash with the sum of the others."""
    pools = [a_pool("other", "other", sv_active=9), a_pool("a", sv_active=1)]
    findings = await over(Shown(DATABASES=[], POOLS=pools), top=1).collect()
    servers = "pgbouncer_pools_server_active_connections"
    assert values(findings, '"other"', "other")[servers] == 9
    assert values(findings, "other", "other")[servers] == 1
