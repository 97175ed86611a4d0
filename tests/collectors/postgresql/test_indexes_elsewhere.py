"""Indexes of partitioned and locked tables, that are missing, on standbys; and the largest, with their use."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from collectors.postgresql.index_advice import index_advice
from collectors.postgresql.indexes import (
    CACHE_HIT,
    FOUND,
    OTHERS,
    SCANS,
    SIZE,
    SKIPPED,
    lacks_index,
)
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.indexing import advised, faults, found, index_names, measured, run_all, scanned, told
from tests.collectors.postgresql.measuring import ask, series, value
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.indexes import Fault, IndexSurvey, MissingIndex
from toban.outcomes import Reason

pytestmark = pytest.mark.integration

PARTITIONED = """
CREATE TABLE p (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (500) TO (1000);
INSERT INTO p SELECT g % 1000, g FROM generate_series(1, 2000) g;
CREATE INDEX p_idle ON p (b); CREATE INDEX p_twin ON p (b); CREATE INDEX p_read ON p (a);
CREATE INDEX p1_own ON p1 (b, a);
ANALYZE p
"""


async def test_an_index_of_a_partitioned_table_speaks_for_its_parts(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Parts cannot be dropped alone; a scan of one of them is use of the whole. What is advised runs."""
    await postgres.execute(PARTITIONED, unique_database)
    assert await scanned(postgres, unique_database, "SELECT a FROM p WHERE a = 7") == "p1_a_idx"
    findings = await found(postgres, manual_clock, unique_database)
    assert faults(findings) == {
        (Fault.DUPLICATE, "p_twin"): "p_idle",
        (Fault.UNUSED, "p_twin"): "",
        (Fault.UNUSED, "p_idle"): "",
        (Fault.UNUSED, "p1_own"): "",
    }
    advice = advised(findings)
    assert {(a.reason, a.run) for a in advice} == {
        ("index_duplicate_partitioned", 'DROP INDEX "public"."p_twin";'),
        ("index_unused", 'DROP INDEX CONCURRENTLY "public"."p1_own";'),
    }
    await run_all(postgres, unique_database, advice)
    assert await index_names(postgres, unique_database) >= {"p_idle", "p_read", "p1_a_idx", "p2_a_idx"}
    left = faults(await found(postgres, manual_clock, unique_database))
    assert left == {(Fault.UNUSED, "p_idle"): ""}


async def test_an_index_that_lacks_a_part_is_for_a_person(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """CREATE INDEX ON ONLY leaves it invalid until every partition's own is attached; no rebuild helps."""
    await postgres15.execute(
        "CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p DEFAULT;"
        "CREATE INDEX p_a ON ONLY p (a)",
        unique_database,
    )
    advice = advised(await found(postgres15, manual_clock, unique_database))
    assert told(advice) == {("check", "public.p_a", "index_parts_missing")}


KEYS = """
CREATE TABLE r (a int PRIMARY KEY, b int, c int, UNIQUE (b, c));
INSERT INTO r SELECT g, g, g FROM generate_series(1, 9000) g;
CREATE TABLE t (bare int REFERENCES r, led int REFERENCES r, most int REFERENCES r, x int, y int, filler text,
    FOREIGN KEY (x, y) REFERENCES r (b, c));
INSERT INTO t SELECT g, g, g, g, g, repeat('x', 900)
FROM generate_series(1, 9000) g;
CREATE INDEX led_first ON t (led, filler); CREATE INDEX known ON t (most) WHERE most IS NOT NULL;
CREATE INDEX bare_part ON t (bare) WHERE bare > 50; CREATE INDEX bare_other ON t (bare) WHERE led IS NOT NULL;
CREATE INDEX y_x ON t (y, x, filler);
CREATE TABLE small (a int REFERENCES r); INSERT INTO small SELECT g FROM generate_series(1, 100) g;
ANALYZE t; ANALYZE small
"""


async def test_a_foreign_key_without_an_index_is_told_what_to_create(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Only of large tables; columns in any order count, a part of the rows does not, all but NULL does."""
    await postgres.execute(KEYS, unique_database)
    findings = await found(postgres, manual_clock, unique_database, enough=1e9)
    keys = [row for row in findings.rows if isinstance(row, MissingIndex) and row.fault is Fault.UNINDEXED_KEY]
    (missing,) = keys
    assert (missing.table.name, missing.columns, missing.constraint) == ("t", ("bare",), "t_bare_fkey")
    assert value(findings, FOUND, unique_database, "unindexed_key") == 1
    (advice,) = [a for a in advised(findings) if a.action == "create"]
    assert advice.run == 'CREATE INDEX CONCURRENTLY ON "public"."t" ("bare");'
    await run_all(postgres, unique_database, [advice])
    size = await ask(postgres, "SELECT pg_relation_size('t_bare_idx')", unique_database)
    assert advice.gain_bytes == pytest.approx(-size, rel=0.1)
    assert value(await found(postgres, manual_clock, unique_database), FOUND, unique_database, "unindexed_key") == 0


async def test_a_partitioned_foreign_key_is_one_finding(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Its partitions are not advised one by one; the statement runs."""
    await postgres15.execute(
        "CREATE TABLE r (a int PRIMARY KEY); INSERT INTO r VALUES (1);"
        "CREATE TABLE p (k int, a int REFERENCES r, f text) PARTITION BY HASH (k);"
        "CREATE TABLE p0 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
        "INSERT INTO p SELECT g, 1, repeat('x', 900) FROM generate_series(1, 9000) g; ANALYZE p",
        unique_database,
    )
    (advice,) = [a for a in advised(await found(postgres15, manual_clock, unique_database)) if a.action == "create"]
    assert (advice.action, advice.run) == ("create", 'CREATE INDEX ON "public"."p" ("a");')
    await run_all(postgres15, unique_database, [advice])
    left = advised(await found(postgres15, manual_clock, unique_database, enough=1e9))
    assert "create" not in {a.action for a in left}


async def test_a_large_table_that_is_read_from_end_to_end_is_found(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """At first by all that was counted, then by the last interval alone; a reset makes it no spike."""
    await postgres.execute(
        "CREATE TABLE t (a int, b text); INSERT INTO t SELECT g, repeat('x', 500) FROM generate_series(1, 20000) g;"
        "ANALYZE t",
        unique_database,
    )
    scan = "SELECT count(*) FROM t WHERE a = 7;" * 12
    async with measured(postgres, manual_clock, unique_database) as collector:
        await postgres.execute(scan, unique_database)
        await _counted(postgres, unique_database, 12)
        first = await collector.collect()
        assert value(first, FOUND, unique_database, "scanned") == 1
        (advice,) = [a for a in advised(first) if a.reason == "index_scanned"]
        assert (advice.action, advice.subject, advice.run) == ("check", "public.t", "")
        assert (advice.values["scans"], advice.values["rows"]) == ("12", "20,000")
        manual_clock.advance(3600)
        assert value(await collector.collect(), FOUND, unique_database, "scanned") == 0
        await postgres.execute(scan, unique_database)
        await _counted(postgres, unique_database, 24)
        manual_clock.advance(3600)
        assert value(await collector.collect(), FOUND, unique_database, "scanned") == 1


async def _counted(cluster: Cluster, database: str, scans: int) -> None:
    """The server counts a session's scans when the session ends, or somewhat later."""
    sql = f"SELECT seq_scan >= {scans} FROM pg_stat_user_tables WHERE relname = 't'"
    await eventually(lambda: ask(cluster, sql, database))


@pytest.mark.parametrize(
    ("scans", "rows_read", "seconds", "lacking"),
    [
        (10, 100_000, 3600.0, True),
        (9, 90_000, 3600.0, False),  # a few dumps
        (10, 99_999, 3600.0, False),  # they stop soon
        (30, 10**9, 31 * 3600.0, False),  # less than once an hour
    ],
)
def test_a_table_lacks_an_index_when_it_is_scanned_often_and_far(
    scans: int, rows_read: int, seconds: float, *, lacking: bool
) -> None:
    """Each of the bounds."""
    assert lacks_index(scans, rows_read, seconds) is lacking


async def test_the_largest_indexes_have_series_and_the_rest_is_one(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Size and scans of the top; the others are summed up and counted; hits are those since the last reading."""
    await postgres.execute(
        ";".join(
            f"CREATE TABLE t{n} AS SELECT g AS a FROM generate_series(1, {1000 * n}) g; CREATE INDEX i{n} ON t{n} (a)"
            for n in range(1, 13)
        ),
        unique_database,
    )
    async with measured(postgres, manual_clock, unique_database, top=10) as collector:
        first = await collector.collect()
        assert await scanned(postgres, unique_database, "SELECT a FROM t12 WHERE a = 7") == "i12"
        manual_clock.advance(3600)
        second = await collector.collect()
    assert {key[3] for key in series(first, SIZE)} == {f"i{n}" for n in range(3, 13)} | {"other"}
    rest = "SELECT sum(pg_relation_size(oid)) FROM pg_class WHERE relname IN ('i1', 'i2')"
    assert value(first, SIZE, unique_database, "", "", "other") == await ask(postgres, rest, unique_database)
    assert value(first, OTHERS, unique_database) == 2
    key = (unique_database, "public", "t12", "i12")
    assert value(second, SCANS, *key) == await ask(
        postgres, "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'i12'", unique_database
    )
    assert series(first, CACHE_HIT) == {}
    hits = "SELECT idx_blks_hit::float / (idx_blks_hit + idx_blks_read) FROM pg_statio_user_indexes"
    expected = await ask(postgres, f"{hits} WHERE indexrelname = 'i12'", unique_database)
    assert series(second, CACHE_HIT) == {key: pytest.approx(expected)}


async def test_locked_indexes_are_left_out_counted_and_not_waited_for(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """A lock on the table, or on its partitioned parent, keeps its indexes out; the others are advised on."""
    await postgres.execute(
        "CREATE TABLE held (a int); CREATE INDEX held_a ON held (a);"
        "CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p1 PARTITION OF p DEFAULT;"
        "CREATE INDEX p1_a ON p1 (a);"
        "CREATE TABLE free (a int); CREATE INDEX free_a ON free (a)",
        unique_database,
    )
    holder = await postgres.connect(unique_database)
    await holder.execute("BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE; LOCK TABLE ONLY p IN ACCESS EXCLUSIVE MODE")
    findings = await found(postgres, manual_clock, unique_database)
    await holder.close()
    assert faults(findings) == {(Fault.UNUSED, "free_a"): ""}
    assert value(findings, SKIPPED, unique_database, "locked") == 2
    assert [(gap.what, gap.reason, gap.count) for gap in findings.gaps] == [
        (f"indexes in {unique_database}", Reason.LOCKED, 2)
    ]


ODD = ('quo"te', "two  words", "表の名前", "semi;colon -- x", "it's", "back\\slash")


async def test_advice_is_quoted_whatever_the_names(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Schemas, tables, columns and indexes may be called anything; what is advised runs as it stands."""
    for name in ODD:
        quoted = '"' + name.replace('"', '""') + '"'
        await postgres15.execute(
            f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} int);"
            f'CREATE INDEX {quoted[:-1]} i" ON {quoted}.{quoted} ({quoted});'
            f'CREATE INDEX {quoted[:-1]} j" ON {quoted}.{quoted} ({quoted})',
            unique_database,
        )
    advice = advised(await found(postgres15, manual_clock, unique_database))
    assert {a.subject for a in advice} == {f"{name}.{name} j" for name in ODD}
    await run_all(postgres15, unique_database, advice)
    assert await index_names(postgres15, unique_database) == {f"{name} i" for name in ODD}


async def test_use_on_standbys_is_asked_for_and_respected(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """Unseen, it is a question; seen, what a standby reads stays, and what none reads goes."""
    primary = new_cluster()
    await primary.execute(
        "CREATE TABLE t (a int, b int); INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g;"
        "CREATE INDEX t_a ON t (a); CREATE INDEX t_b ON t (b); ANALYZE t"
    )
    standby = standby_of(primary)
    await eventually(lambda: ask(primary, "SELECT count(*) FROM pg_stat_replication"))
    rows = [("main", row) for row in (await found(primary, manual_clock, "postgres")).rows]
    unseen = index_advice(rows)
    assert {(a.action, a.subject, a.reason) for a in unseen} == {
        ("check", f"public.{name}", "index_unused_standbys") for name in ("t_a", "t_b")
    }
    assert await ask(standby, unseen[0].run) == 0
    await eventually(lambda: _on_standby(standby))
    there = (await found(standby, manual_clock, "postgres")).rows
    advice = index_advice([*rows, *(("copy", row) for row in there)])
    assert [(a.target, a.action, a.subject, a.reason) for a in advice] == [
        ("main", "drop", "public.t_b", "index_unused_everywhere")
    ]


async def test_standbys_are_counted_one_by_one_and_a_promoted_one_counts_anew(
    new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock, tmp_path: Path
) -> None:
    """One behind its slot, one away from its own, one that streams without any; what only fetches WAL is none.

    What a standby did not read its primary may have read day and night: a new primary has yet to see what it reads.
    """
    primary = new_cluster()
    await primary.execute("CREATE TABLE t (a int); CREATE INDEX t_a ON t (a); CREATE ROLE watcher LOGIN")
    await primary.execute("SELECT pg_create_physical_replication_slot(name) FROM unnest('{own,away,wal}'::text[]) name")
    standby = standby_of(primary, settings={"primary_slot_name": "own"})
    async with AsyncExitStack() as stack:
        for name, which in (("wal", ("-d", primary.dsn(), "-S", "wal")), ("bare", ("-d", f"{primary.dsn()}?{BARE}"))):
            await stack.enter_async_context(_fetching_wal(primary, tmp_path / name, *which))
        await eventually(lambda: ask(primary, "SELECT count(*) = 3 FROM pg_stat_replication"))
        await eventually(lambda: ask(primary, "SELECT count(*) = 2 FROM pg_replication_slots WHERE active"))
        assert (await _surveyed(primary, manual_clock)).standbys == 3
    await _promoted(standby, manual_clock)
    findings = await found(standby, manual_clock, "postgres", user="watcher")
    assert [(gap.reason, gap.what) for gap in findings.gaps] == [
        (Reason.PRIVILEGE, "the last promotion, for unused indexes in postgres")
    ]


BARE = "application_name=bare"  # by its name it could be a standby


@asynccontextmanager
async def _fetching_wal(primary: Cluster, place: Path, *which: str) -> AsyncIterator[None]:
    place.mkdir()  # noqa: ASYNC240 - nobody waits for it
    receiver = await asyncio.create_subprocess_exec(primary.bin_dir / "pg_receivewal", "-D", place, "--no-sync", *which)
    try:
        yield
    finally:
        receiver.kill()
        await receiver.wait()


async def _promoted(standby: Cluster, clock: ManualClock) -> None:
    running = "SELECT extract(epoch from now() - pg_postmaster_start_time())::float8"
    before = await ask(standby, running)
    assert before <= (await _surveyed(standby, clock)).counted_seconds <= await ask(standby, running)
    await standby.execute("SELECT pg_promote()")
    (history,) = (standby.data_dir / "pg_wal").glob("*.history")
    started_at = await ask(standby, "SELECT extract(epoch from pg_postmaster_start_time())::float8")
    promoted_at = int(started_at) + 60  # whole seconds are told, and the test takes none: so it is yet to come
    os.utime(history, (promoted_at, promoted_at))
    least, survey = await ask(standby, running), await _surveyed(standby, clock)
    early = promoted_at - started_at
    assert least - early <= survey.counted_seconds <= await ask(standby, running) - early
    assert (survey.in_recovery, survey.standbys) == (False, 0)


async def _surveyed(cluster: Cluster, clock: ManualClock) -> IndexSurvey:
    findings = await found(cluster, clock, "postgres")
    (survey,) = [row for row in findings.rows if isinstance(row, IndexSurvey)]
    return survey


async def _on_standby(standby: Cluster) -> bool:
    await standby.execute("SET enable_seqscan = off; SELECT b FROM t WHERE a = 5")
    return bool(await ask(standby, "SELECT idx_scan > 0 FROM pg_stat_user_indexes WHERE indexrelname = 't_a'"))


async def test_indexes_of_databases_that_went_are_forgotten(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """A dropped database leaves nothing behind."""
    cluster = new_cluster()
    await cluster.execute("CREATE DATABASE old")
    async with measured(cluster, manual_clock, "*") as collector:
        assert ("old", "unused") in series(await collector.collect(), FOUND)
        await cluster.execute("DROP DATABASE old")
        assert {key[0] for key in series(await collector.collect(), FOUND)} == {"postgres"}
