"""Bloat, as estimated, beside what pgstattuple counts on a real server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from collectors.postgresql.bloat import (
    INDEX_BYTES,
    INDEX_RATIO,
    SKIPPED,
    TABLE_BYTES,
    TABLE_RATIO,
    TOTAL,
    BloatCollector,
    BloatSettings,
)
from collectors.postgresql.bloat_exact import count_all
from collectors.postgresql.server import Databases, PostgresServer, Visit
from collectors.postgresql.sql import Query
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.bloat import Bloat
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration


@asynccontextmanager
async def measured(
    cluster: Cluster, clock: ManualClock, *names: str, user: str = "postgres", top: int = 20
) -> AsyncIterator[BloatCollector]:
    """The collector on some databases."""
    async with watching(cluster, clock, user=user, databases=Databases(include=names)) as server:
        yield BloatCollector(server, BloatSettings(top=top, pause=0.0), clock)


async def found(cluster: Cluster, clock: ManualClock, database: str, *, user: str = "postgres") -> Findings:
    """One turn at one database."""
    async with measured(cluster, clock, database, user=user) as collector:
        return await collector.collect()


FILLED = """
CREATE TABLE t (a int, b bigint, c text, d timestamptz, e text);
INSERT INTO t SELECT g, g, repeat('x', g % 50), now(), CASE WHEN g % 3 = 0 THEN 'abc' END
FROM generate_series(1, 50000) g;
CREATE INDEX t_a ON t (a); CREATE INDEX t_c ON t (c); CREATE INDEX t_bd ON t (b, d); CREATE UNIQUE INDEX t_b ON t (b);
CREATE INDEX t_low ON t (lower(c)); CREATE INDEX t_some ON t (a) WHERE a % 2 = 0
"""
EXACT_TABLE = "SELECT dead_tuple_len + free_space FROM pgstattuple('t')"
EXACT_INDEX = "SELECT index_size - leaf_pages * 8192 * avg_leaf_density / 90 FROM pgstatindex('{}')"
INDEXES = ("t_a", "t_c", "t_bd", "t_b", "t_low", "t_some")


async def _analyzed(cluster: Cluster, database: str) -> None:
    """The server has told how many rows live."""
    await cluster.execute("ANALYZE t", database)
    sql = "SELECT last_analyze IS NOT NULL FROM pg_stat_user_tables WHERE relname = 't'"
    await eventually(lambda: ask(cluster, sql, database))


async def test_what_was_just_written_is_not_bloated(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """At most a tenth of it is taken for bloat, whatever its columns and indexes."""
    await postgres.execute(FILLED, unique_database)
    await _analyzed(postgres, unique_database)
    findings = await found(postgres, manual_clock, unique_database)
    ratios = {
        key[-1]: ratio for metric in (TABLE_RATIO, INDEX_RATIO) for key, ratio in series(findings, metric).items()
    }
    assert ratios.keys() == {"t", *INDEXES}
    assert {name: ratio for name, ratio in ratios.items() if ratio > 0.1} == {}
    assert findings.gaps == ()


@pytest.mark.parametrize("vacuumed", [True, False])
async def test_bloat_of_a_mass_delete_is_near_what_pgstattuple_counts(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock, *, vacuumed: bool
) -> None:
    """Within a tenth of the size, before a vacuum saw it and after."""
    await postgres15.execute("CREATE EXTENSION pgstattuple;" + FILLED, unique_database)
    await _analyzed(postgres15, unique_database)
    await postgres15.execute("DELETE FROM t WHERE a % 5 <> 0", unique_database)
    await eventually(
        lambda: ask(
            postgres15, "SELECT n_dead_tup >= 40000 FROM pg_stat_user_tables WHERE relname = 't'", unique_database
        )
    )
    if vacuumed:
        await postgres15.execute("VACUUM t", unique_database)
    findings = await found(postgres15, manual_clock, unique_database)
    exact = float(await ask(postgres15, EXACT_TABLE, unique_database))
    size = float(await ask(postgres15, "SELECT pg_relation_size('t')", unique_database))
    key = (unique_database, "public", "t")
    assert exact > 0.5 * size
    assert value(findings, TABLE_BYTES, *key) == pytest.approx(exact, abs=0.1 * size)
    assert value(findings, TABLE_RATIO, *key) == pytest.approx(exact / size, abs=0.1)
    await postgres15.execute("VACUUM t", unique_database)  # pgstatindex counts entries, dead ones too
    for index in ("t_a", "t_bd", "t_b"):
        exact = float(await ask(postgres15, EXACT_INDEX.format(index), unique_database))
        size = float(await ask(postgres15, f"SELECT pg_relation_size('{index}')", unique_database))
        assert exact > 0.5 * size
        assert value(findings, INDEX_BYTES, *key, index) == pytest.approx(exact, abs=0.1 * size), index
        assert value(findings, INDEX_RATIO, *key, index) == pytest.approx(exact / size, abs=0.1), index


async def test_bloat_is_summed_up_and_the_rest_is_one_row(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """The sum counts all, the rows those that take most, `other` the rest."""
    await postgres15.execute(
        ";".join(
            f"CREATE TABLE t{n} WITH (autovacuum_enabled = off) AS SELECT g AS a FROM generate_series(1, 20000) g;"
            f"CREATE INDEX i{n} ON t{n} (a); ANALYZE t{n}; DELETE FROM t{n} WHERE a > {n * 1000}; ANALYZE t{n}"
            for n in range(1, 13)
        ),
        unique_database,
    )
    async with measured(postgres15, manual_clock, unique_database, top=10) as collector:
        findings = await collector.collect()
    tables, indexes = series(findings, TABLE_BYTES), series(findings, INDEX_BYTES)
    assert {key[2] for key in tables} == {f"t{n}" for n in range(1, 11)} | {"other"}
    assert {key[3] for key in indexes} == {f"i{n}" for n in range(1, 11)} | {"other"}
    assert value(findings, TOTAL, unique_database, "table") == sum(tables.values())
    assert value(findings, TOTAL, unique_database, "index") == sum(indexes.values())
    whole = await ask(
        postgres15, "SELECT sum(pg_relation_size(x)) FROM unnest('{t11,t12}'::regclass[]) x", unique_database
    )
    other = (unique_database, "", "other")
    assert value(findings, TABLE_RATIO, *other) == pytest.approx(tables[other] / float(whole))
    rows = [row for row in findings.rows if isinstance(row, Bloat)]
    assert {(row.table, row.index) for row in rows} >= {("t1", ""), ("t1", "i1"), ("t12", "i12")}


async def test_a_table_without_statistics_is_a_gap_and_not_zero(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Never analyzed, nobody knows; one of fixed widths alone needs only its number of rows."""
    await postgres.execute(
        "CREATE TABLE fresh (a int) WITH (autovacuum_enabled = off); INSERT INTO fresh VALUES (1); CHECKPOINT;"
        "CREATE TABLE wide (a int, b text) WITH (autovacuum_enabled = off); INSERT INTO wide VALUES (1, 'x');",
        unique_database,
    )
    await postgres.execute("VACUUM wide", unique_database)
    await postgres.execute("UPDATE pg_class SET relpages = 1 WHERE relname = 'fresh'", unique_database)
    findings = await found(postgres, manual_clock, unique_database)
    assert series(findings, TABLE_BYTES) == {}
    assert series(findings, TOTAL) == {(unique_database, "index"): 0}
    assert {(gap.reason, gap.count) for gap in findings.gaps} == {(Reason.NOT_FOUND, 1), (Reason.PRIVILEGE, 1)}
    assert series(findings, SKIPPED) == {(unique_database, "not_found"): 1, (unique_database, "privilege"): 1}


async def test_a_role_that_may_only_monitor_estimates_what_it_can(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """pg_stats hides what the role may not read: fixed widths are known all the same, the rest is a gap."""
    cluster = new_cluster()
    await cluster.execute(
        "CREATE ROLE watcher LOGIN IN ROLE pg_monitor;"
        "CREATE TABLE fixed AS SELECT g AS a, g::bigint AS b FROM generate_series(1, 10000) g;"
        "CREATE INDEX f ON fixed (a);"
        "CREATE TABLE text AS SELECT g::text AS c FROM generate_series(1, 10000) g; ANALYZE fixed; ANALYZE text"
    )
    limited = await found(cluster, manual_clock, "postgres", user="watcher")
    full = await found(cluster, manual_clock, "postgres")
    assert series(limited, TABLE_BYTES) == {
        key: size for key, size in series(full, TABLE_BYTES).items() if key[2] == "fixed"
    }
    assert {key[3] for key in series(limited, INDEX_BYTES)} == {"f"}
    (gap,) = limited.gaps
    assert (gap.reason, gap.count) == (Reason.PRIVILEGE, 1)
    assert "pg_read_all_data" in gap.hint
    await cluster.execute("GRANT SELECT ON text TO watcher")
    assert (await found(cluster, manual_clock, "postgres", user="watcher")).gaps == ()


async def test_locked_tables_are_left_out_of_bloat(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """With their indexes, counted and not waited for; partitions of a locked parent too."""
    await postgres.execute(
        "CREATE TABLE held AS SELECT g AS a FROM generate_series(1, 5000) g; CREATE INDEX held_a ON held (a);"
        "CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p DEFAULT;"
        "INSERT INTO p SELECT g FROM generate_series(1, 5000) g;"
        'CREATE TABLE "空 き""1" AS SELECT g AS a FROM generate_series(1, 5000) g;'
        'ANALYZE held; ANALYZE p; ANALYZE "空 き""1"',
        unique_database,
    )
    holder = await postgres.connect(unique_database)
    await holder.execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE; LOCK TABLE ONLY p IN ACCESS EXCLUSIVE MODE")
    findings = await found(postgres, manual_clock, unique_database)
    await holder.close()
    assert {key[2] for key in series(findings, TABLE_BYTES)} == {'空 き"1'}
    assert value(findings, SKIPPED, unique_database, "locked") == 3
    assert [(gap.reason, gap.count) for gap in findings.gaps] == [(Reason.LOCKED, 3)]


COUNTED = """
CREATE EXTENSION pgstattuple;
CREATE TABLE held AS SELECT g AS a FROM generate_series(1, 5000) g; CREATE INDEX held_a ON held (a);
CREATE TABLE "空 き""1" AS SELECT g AS a FROM generate_series(1, 5000) g; CREATE INDEX "索 引" ON "空 き""1" (a);
ANALYZE; DELETE FROM "空 き""1" WHERE a % 2 = 0
"""
HIDDEN = "CREATE TABLE hidden AS SELECT g::text AS a FROM generate_series(1, 9000) g; ANALYZE hidden"


async def test_exact_bloat_is_what_pgstattuple_counts(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Whatever the names; what is locked is left out, told, and not waited for."""
    await postgres15.execute(COUNTED, unique_database)
    holder = await postgres15.connect(unique_database)
    await holder.execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE")
    async with watching(postgres15, manual_clock) as server:
        counted = await count_all(server, [unique_database], 10)
    await holder.close()
    exact = """SELECT dead_tuple_len + free_space FROM pgstattuple('"空 き""1"')"""
    found_now = {one.index or one.table: one for one in counted.found}
    assert found_now.keys() == {'空 き"1', "索 引"}
    assert found_now['空 き"1'].bloat_bytes == await ask(postgres15, exact, unique_database)
    assert all(one.exact for one in counted.found)
    assert [(gap.reason, gap.count) for gap in counted.gaps] == [(Reason.LOCKED, 2)]


async def test_exact_bloat_is_counted_where_nobody_can_estimate(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """A role that may only monitor sees no statistics; pgstattuple counts for it all the same, the largest first."""
    cluster = new_cluster(15)
    await cluster.execute("CREATE ROLE watcher LOGIN IN ROLE pg_monitor;" + COUNTED + ";" + HIDDEN)
    async with watching(cluster, manual_clock, user="watcher") as server:
        counted = await count_all(server, ["postgres"], 1)
    assert counted.gaps == ()
    assert [one.table for one in counted.found if not one.index] == ["hidden"]


async def test_exact_bloat_that_cannot_be_counted_is_told_one_by_one(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """A role that may not, a database that is not there; where the extension is, that one is counted."""
    cluster = new_cluster(15)
    await cluster.execute("CREATE ROLE plain LOGIN")
    await cluster.execute(COUNTED)
    async with watching(cluster, manual_clock, user="plain") as server:
        refused = await count_all(server, ["postgres"], 1)
    assert refused.found == ()
    assert {gap.reason for gap in refused.gaps} == {Reason.PRIVILEGE}
    assert len(refused.gaps) == 2
    await cluster.execute("CREATE DATABASE bare")
    async with watching(cluster, manual_clock) as server:
        assert {gap.reason for gap in (await count_all(server, ["nowhere"], 1)).gaps} == {Reason.NOT_FOUND}
        everywhere = await count_all(server, None, 1)
    assert {one.database for one in everywhere.found} == {"postgres"}
    assert [(gap.what, gap.reason) for gap in everywhere.gaps] == [("exact bloat of bare", Reason.EXTENSION_MISSING)]


AIRY = """
CREATE EXTENSION pgstattuple;
CREATE TABLE airy (a int) WITH (fillfactor = 50); INSERT INTO airy SELECT generate_series(1, 20000);
CREATE INDEX airy_a ON airy (a) WITH (fillfactor = 50); VACUUM ANALYZE airy
"""


async def test_room_that_a_fillfactor_keeps_free_is_no_bloat(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """A table and an index of half-filled pages, just built, would be no smaller if they were built again."""
    for statement in AIRY.split(";"):
        await postgres15.execute(statement, unique_database)
    async with watching(postgres15, manual_clock) as server:
        counted = await count_all(server, [unique_database], 10)
    assert {one.index or one.table for one in counted.found if one.ratio < 0.05} == {"airy", "airy_a"}


async def test_bloat_of_a_standby_is_measured_and_not_advised_on(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be rebuilt there. A server that says it is one will do."""
    await postgres15.execute(COUNTED, unique_database)
    monkeypatch.setattr(PostgresServer, "in_recovery", True)
    findings = await found(postgres15, manual_clock, unique_database)
    assert {key[2] for key in series(findings, TABLE_BYTES)} == {"held", '空 き"1'}
    assert findings.rows == ()
    async with watching(postgres15, manual_clock) as server:
        counted = await count_all(server, [unique_database], 1)
    assert [one.standby for one in counted.found] == [True, True]


async def test_exact_bloat_that_was_counted_outlives_the_connection(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Minutes of reading are not thrown away; what follows is not tried, and why is told once."""
    await postgres15.execute(COUNTED, unique_database)
    fetch, read = Visit.fetch, list[str]()

    async def breaking(visit: Visit, query: Query, *args: object, **names: str) -> list[Any]:
        if query.name.startswith("bloat_exact"):
            read.append(query.name)
            if len(read) > 1:
                raise asyncpg.InterfaceError("connection is closed")
        return await fetch(visit, query, *args, **names)

    monkeypatch.setattr(Visit, "fetch", breaking)
    async with watching(postgres15, manual_clock) as server:
        counted = await count_all(server, [unique_database], 2)
    assert [one.table for one in counted.found] == ['空 き"1']
    assert [gap.reason for gap in counted.gaps] == [Reason.UNREACHABLE]
    assert len(read) == 2
