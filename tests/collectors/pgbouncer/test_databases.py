from contextlib import closing

import pytest

from collectors.pgbouncer.console import PgBouncerConsole
from collectors.pgbouncer.databases import PgBouncerDatabases, PgBouncerDatabasesSettings
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.pgbouncer.consoles import Shown, a_database, stats_of, values
from tests.pgbouncers import NewPgBouncer
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.secrets import Dsn

XACTS = "pgbouncer_stats_totals_sql_transactions_pooled_total"


def over(console: PgBouncerConsole, top: int = 30) -> PgBouncerDatabases:
    """The collector."""
    return PgBouncerDatabases(console, PgBouncerDatabasesSettings(top=top), ManualClock())


@pytest.mark.integration
async def test_databases_count_what_passes(postgres15: Cluster, new_pgbouncer: NewPgBouncer) -> None:
    """Three queries of a client are three queries; its server counts against the database's limit."""
    pgbouncer = new_pgbouncer(postgres15, settings={"max_db_connections": "4", "reserve_pool_size": "2"})
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), SystemClock())
    databases = over(console)
    with closing(pgbouncer.client()) as client:
        before = values(await databases.collect(), "postgres")
        for _ in range(3):
            client.execute("select pg_sleep(0.01)")
        findings = await databases.collect()
    after = values(findings, "postgres")
    grown = {name: after[name] - before.get(name, 0) for name in after}
    assert grown[XACTS] == grown["pgbouncer_stats_totals_queries_pooled_total"] == 3
    assert grown["pgbouncer_stats_totals_queries_duration_seconds_total"] > 0.03
    assert grown["pgbouncer_stats_totals_received_bytes_total"] > 0
    assert after["toban_pgbouncer_database_connections_used_ratio"] == 0.25
    place = ("postgres", "127.0.0.1", str(postgres15.port), "postgres", "", "")
    assert values(findings, *place) == {
        "pgbouncer_databases_pool_size": 20,
        "pgbouncer_databases_reserve_pool": 2,
        "pgbouncer_databases_max_connections": 4,
        "pgbouncer_databases_current_connections": 1,
        "pgbouncer_databases_paused": 0,
        "pgbouncer_databases_disabled": 0,
    }
    assert findings.gaps == ()
    await console.close()


@pytest.mark.integration
async def test_databases_show_which_is_paused(postgres15: Cluster, new_pgbouncer: NewPgBouncer) -> None:
    """A database that an administrator has paused is told as such, until it is resumed."""
    pgbouncer = new_pgbouncer(postgres15)
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), SystemClock())
    databases = over(console)
    seen = []
    for command in ("PAUSE postgres", "RESUME postgres", "DISABLE postgres"):
        pgbouncer.command(command)
        findings = await databases.collect()
        one = {s.metric.name: s.value for s in findings.samples if s.labels[:1] == ("postgres",)}
        marks = (one["pgbouncer_databases_paused"], one["pgbouncer_databases_disabled"])
        seen.append((*marks, values(findings)["toban_pgbouncer_paused_databases"]))
    assert seen == [(1, 0, 1), (0, 0, 0), (0, 1, 1)]
    await console.close()


@pytest.mark.integration
async def test_databases_counters_begin_anew_with_pgbouncer(postgres15: Cluster, new_pgbouncer: NewPgBouncer) -> None:
    """After a restart the counters are PgBouncer's new ones: lower, as a counter's reset is."""
    pgbouncer = new_pgbouncer(postgres15)
    console = PgBouncerConsole(Dsn(pgbouncer.dsn()), SystemClock())
    databases = over(console)
    with closing(pgbouncer.client()) as client:
        for _ in range(5):
            client.execute("select 1")
    assert values(await databases.collect(), "postgres")[XACTS] >= 5
    pgbouncer.stop()
    pgbouncer.start()
    with closing(pgbouncer.client()) as client:
        client.execute("select 1")
    assert values(await databases.collect(), "postgres")[XACTS] == 1
    await console.close()


async def test_databases_beyond_the_top_only_ever_grow() -> None:
    """`other` is what the rest has used since the first look: no restart, newcomer or leaver makes it fall."""
    console = Shown(
        DATABASES=[a_database("a"), a_database("b"), a_database("pgbouncer")],
        STATS=[stats_of("a", total_xact_count=100), stats_of("b", total_xact_count=40), stats_of("pgbouncer")],
    )
    databases = over(console, top=1)

    async def other(**counts: int) -> float:
        if counts:
            console.views["STATS"] = [stats_of(name, total_xact_count=count) for name, count in counts.items()]
        findings = await databases.collect()
        assert values(findings, "a")[XACTS] == (counts or {"a": 100})["a"]
        return values(findings, "other")[XACTS]

    assert await other() == 0
    assert await other(a=101, b=45) == 5
    assert await other(a=101, b=2) == 7  # b began anew
    assert await other(a=101, b=2, c=10) == 17
    assert await other(a=101, c=11) == 18  # b has left, for STATS at least
    assert values(await databases.collect())["toban_pgbouncer_other_databases"] == 2


async def test_databases_of_other_versions_are_read_by_name() -> None:
    """What 1.24 added and renamed is understood; what is missing is named."""
    newer = {**a_database("a"), "reserve_pool_size": 7, "server_lifetime": 60}
    del newer["reserve_pool"]
    stats = {**stats_of("a", total_bind_count=3, total_server_assignment_count=2)}
    findings = await over(Shown(DATABASES=[newer], STATS=[stats])).collect()
    assert values(findings, "a")["pgbouncer_stats_totals_binds_total"] == 3
    assert values(findings, "a")["pgbouncer_stats_totals_server_assignments_total"] == 2
    assert values(findings, "a", "127.0.0.1", "5432", "a", "", "")["pgbouncer_databases_reserve_pool"] == 7
    assert findings.gaps == ()
    del stats["total_wait_time"]
    (gap,) = (await over(Shown(DATABASES=[newer], STATS=[stats])).collect()).gaps
    assert (gap.what, gap.reason) == ("columns of SHOW STATS", Reason.VERSION)
    assert "total_wait_time" in gap.detail


async def test_databases_need_not_stand_in_both_lists() -> None:
    """A database that was just removed has statistics yet; one that is new has none."""
    findings = await over(Shown(DATABASES=[a_database("new")], STATS=[stats_of("old", total_xact_count=3)])).collect()
    assert values(findings, "old")[XACTS] == 3
    assert XACTS not in values(findings, "new")


async def test_database_called_other_is_told_from_the_rest() -> None:
    """Its series does not clash with the sum of the others."""
    stats = [stats_of("other", total_xact_count=9), stats_of("a", total_xact_count=1)]
    databases = over(Shown(DATABASES=[], STATS=stats), top=1)
    await databases.collect()
    databases.source.views["STATS"] = [stats[0], stats_of("a", total_xact_count=3)]  # type: ignore[attr-defined] # a table
    findings = await databases.collect()
    assert values(findings, '"other"')[XACTS] == 9
    assert values(findings, "other")[XACTS] == 2
