"""Indexes that are one too many, of no use or broken, on real servers; what is advised runs as it stands."""

import asyncio
from contextlib import suppress

import asyncpg
import pytest

from collectors.postgresql.indexes import (
    COUNTED,
    FOUND,
    FOUND_BYTES,
)
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.indexing import advised, faults, found, index_names, measured, run_all, scanned, told
from tests.collectors.postgresql.measuring import ask, value
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.indexes import Fault, IndexFinding

pytestmark = pytest.mark.integration

TWINS = """
CREATE TABLE t (a int PRIMARY KEY, b int, c text, d text);
INSERT INTO t SELECT g, g, g::text, g::text FROM generate_series(1, 100) g;
CREATE INDEX b_one ON t (b); CREATE INDEX b_two ON t (b);
CREATE INDEX a_again ON t (a);
CREATE UNIQUE INDEX a_unique ON t (a);
CREATE INDEX b_down ON t (b DESC);
CREATE INDEX b_some ON t (b) WHERE c IS NOT NULL;
CREATE INDEX c_text ON t (c); CREATE INDEX c_pattern ON t (c text_pattern_ops);
CREATE INDEX c_posix ON t (c COLLATE "C");
CREATE INDEX low_one ON t (lower(d)); CREATE INDEX low_two ON t ( lower( d ) ) ;
CREATE INDEX part_one ON t (d) WHERE b > 10 AND a < 5; CREATE INDEX part_two ON t (d)  WHERE  b > 10  AND a < 5;
CREATE INDEX d_hash ON t USING hash (d)
"""


async def test_duplicates_are_alike_in_all_that_matters(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Columns, order, operator class, collation, predicate and expressions count, not how they were written."""
    await postgres.execute(TWINS, unique_database)
    findings = await found(postgres, manual_clock, unique_database)
    duplicates = {index: other for (fault, index), other in faults(findings).items() if fault is Fault.DUPLICATE}
    assert duplicates == {
        "b_two": "b_one",
        "a_again": "t_pkey",
        "a_unique": "t_pkey",
        "low_two": "low_one",
        "part_two": "part_one",
    }
    assert value(findings, FOUND, unique_database, "duplicate") == 5
    assert value(findings, FOUND_BYTES, unique_database, "duplicate") == await ask(
        postgres,
        "SELECT sum(pg_relation_size(oid)) FROM pg_class"
        " WHERE relname IN ('b_two', 'a_again', 'a_unique', 'low_two', 'part_two')",
        unique_database,
    )


async def test_advice_on_duplicates_runs_and_leaves_one_of_each(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """What is unique is left to a person, the twin that stays is not called unused, and the rest is dropped."""
    await postgres15.execute(TWINS, unique_database)
    before = await index_names(postgres15, unique_database)
    advice = advised(await found(postgres15, manual_clock, unique_database))
    assert {a.subject: (a.action, a.run) for a in advice if a.reason.startswith("index_duplicate")} == {
        "public.a_unique": ("check", ""),
        "public.a_again": ("drop", 'DROP INDEX CONCURRENTLY "public"."a_again";'),
        "public.b_two": ("drop", 'DROP INDEX CONCURRENTLY "public"."b_two";'),
        "public.low_two": ("drop", 'DROP INDEX CONCURRENTLY "public"."low_two";'),
        "public.part_two": ("drop", 'DROP INDEX CONCURRENTLY "public"."part_two";'),
    }
    assert all(a.gain_bytes == 16384 for a in advice if a.subject in {"public.b_two", "public.low_two"})
    await run_all(postgres15, unique_database, advice)
    gone = before - await index_names(postgres15, unique_database)
    unused = {"b_down", "b_some", "c_text", "c_pattern", "c_posix", "d_hash"}
    assert gone == {"a_again", "b_two", "low_two", "part_two"} | unused


PREFIXES = """
CREATE TABLE t (a int, b int, c int, d text);
INSERT INTO t SELECT g, g, g, g::text FROM generate_series(1, 1000) g;
CREATE INDEX a_only ON t (a); CREATE INDEX a_b ON t (a, b); CREATE INDEX a_b_c ON t (a, b, c);
CREATE INDEX b_first ON t (b);
CREATE UNIQUE INDEX c_d ON t (c, d); CREATE INDEX c_only ON t (c);
CREATE INDEX d_with ON t (d) INCLUDE (a); CREATE INDEX d_wide ON t (d) INCLUDE (a, b);
CREATE UNIQUE INDEX b_unique ON t (b, a)
"""


async def test_a_prefix_of_another_index_is_redundant(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """The widest stays. What is unique is never a prefix of anything; columns that are only stored along count too."""
    await postgres.execute(PREFIXES, unique_database)
    found_now = faults(await found(postgres, manual_clock, unique_database))
    assert {index: other for (fault, index), other in found_now.items() if fault is Fault.REDUNDANT} == {
        "a_only": "a_b_c",
        "a_b": "a_b_c",
        "c_only": "c_d",
        "b_first": "b_unique",
        "d_with": "d_wide",
    }


async def test_advice_on_redundant_indexes_runs_and_never_takes_both(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """One that is read does not give way to one that is not; the unread longer one goes instead."""
    table, rows, alone, *rest = (line for line in PREFIXES.replace("\n", ";").split(";") if line.strip())
    await postgres15.execute(f"{table};{rows};{alone}", unique_database)
    assert await scanned(postgres15, unique_database, "SELECT a FROM t WHERE a = 5") == "a_only"
    await postgres15.execute(";".join(rest), unique_database)
    advice = advised(await found(postgres15, manual_clock, unique_database))
    assert told(advice) == {
        ("drop", "public.c_only", "index_redundant"),
        ("drop", "public.b_first", "index_redundant"),
        ("drop", "public.d_with", "index_redundant"),
        ("drop", "public.a_b", "index_redundant"),
    }
    await run_all(postgres15, unique_database, advice)
    assert await index_names(postgres15, unique_database) == {"a_only", "a_b_c", "c_d", "d_wide", "b_unique"}


NEEDED = """
CREATE TABLE t (a int PRIMARY KEY, b int UNIQUE, c int NOT NULL, d int4range, e int, f int);
CREATE UNIQUE INDEX c_identity ON t (c); ALTER TABLE t REPLICA IDENTITY USING INDEX c_identity;
ALTER TABLE t ADD CONSTRAINT d_apart EXCLUDE USING gist (d WITH &&);
CREATE UNIQUE INDEX e_unique ON t (e);
CREATE INDEX f_idle ON t (f);
INSERT INTO t SELECT g, g, g, int4range(g, g + 1), g, g FROM generate_series(1, 100) g
"""


async def test_unused_indexes_are_those_on_which_nothing_rests(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Primary key, unique, exclusion and replica identity are never among them, used or not."""
    await postgres.execute(NEEDED, unique_database)
    findings = await found(postgres, manual_clock, unique_database)
    assert faults(findings) == {(Fault.UNUSED, "f_idle"): ""}
    (advice,) = advised(findings)
    assert (advice.action, advice.reason) == ("drop", "index_unused")
    assert advice.run == 'DROP INDEX CONCURRENTLY "public"."f_idle";'
    assert advice.gain_bytes == await ask(postgres, "SELECT pg_relation_size('f_idle')", unique_database)
    await run_all(postgres, unique_database, [advice])
    assert "f_idle" not in await index_names(postgres, unique_database)


KEPT = """
CREATE TABLE r (a int PRIMARY KEY, b int, UNIQUE (a, b));
CREATE TABLE t (a int REFERENCES r, b int, c int, d int REFERENCES r, e int, f int REFERENCES r, x int,
    FOREIGN KEY (b, c) REFERENCES r (a, b));
CREATE INDEX a_key ON t (a); CREATE INDEX c_b_key ON t (c, b, x); CREATE INDEX d_hash ON t USING hash (d);
CREATE INDEX f_known ON t (f) WHERE f IS NOT NULL;
CREATE INDEX a_some ON t (a) WHERE x > 5; CREATE INDEX a_other ON t (a) WHERE x IS NOT NULL;
CREATE INDEX b_half ON t (b); CREATE INDEX e_order ON t (e); ALTER TABLE t CLUSTER ON e_order
"""


async def test_an_unread_index_that_a_foreign_key_or_an_order_rests_on_stays(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Dropped, the next DELETE or CLUSTER would miss it; one of half the key, or of some rows, serves neither."""
    await postgres.execute(KEPT, unique_database)
    findings = await found(postgres, manual_clock, unique_database)
    assert faults(findings) == {(Fault.UNUSED, name): "" for name in ("a_some", "a_other", "b_half")}
    assert value(findings, FOUND, unique_database, "unused") == 3


async def test_indexes_of_an_extension_are_left_to_it(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Its next version expects what it made."""
    await postgres15.execute(
        "CREATE EXTENSION pgstattuple; CREATE TABLE t (a int); CREATE INDEX t_a ON t (a); CREATE INDEX t_b ON t (a);"
        "ALTER EXTENSION pgstattuple ADD TABLE t",
        unique_database,
    )
    assert faults(await found(postgres15, manual_clock, unique_database)) == {}


async def test_unused_is_not_said_before_its_time(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """While the counters are young, how many are unread is told, and since when that is counted."""
    await postgres15.execute("CREATE TABLE t (a int); CREATE INDEX t_a ON t (a)", unique_database)
    findings = await found(postgres15, manual_clock, unique_database, enough=7 * 86400.0)
    (advice,) = advised(findings)
    assert (advice.action, advice.reason, advice.run) == ("wait", "index_unused_early", "")
    assert (advice.values["count"], advice.values["enough"]) == ("1", "7")
    assert value(findings, FOUND, unique_database, "unused") == 1
    assert (value(findings, COUNTED, unique_database) or 0) > 0


async def test_nothing_is_unused_where_nothing_is_counted(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Without track_counts no index is ever seen to be read, however often it is."""
    await postgres15.execute("CREATE TABLE t (a int); CREATE INDEX t_a ON t (a)", unique_database)
    await postgres15.execute(f"ALTER DATABASE {unique_database} SET track_counts = off")
    findings = await found(postgres15, manual_clock, unique_database, enough=1e-9)
    assert value(findings, COUNTED, unique_database) == 0
    assert told(advised(findings)) == {("wait", unique_database, "index_unused_early")}


async def test_an_index_made_meanwhile_is_young(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """One that came after the first look could not have been read before; those that were there then are old."""
    await postgres15.execute("CREATE TABLE t (a int, b int); CREATE INDEX t_a ON t (a)", unique_database)
    async with measured(postgres15, manual_clock, unique_database) as collector:
        await collector.collect()
        await postgres15.execute("CREATE INDEX t_b ON t (b)", unique_database)
        manual_clock.advance(3600)
        await collector.collect()
        manual_clock.advance(60)
        findings = await collector.collect()
    ages = {row.index.name: row.young_seconds for row in findings.rows if isinstance(row, IndexFinding)}
    assert ages == {"t_a": None, "t_b": 60.0}


async def test_a_failed_build_is_invalid_and_its_advice_mends_it(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """CREATE UNIQUE INDEX CONCURRENTLY over duplicate rows leaves an index that only costs."""
    await postgres.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1), (2)", unique_database)
    with pytest.raises(asyncpg.UniqueViolationError):
        await postgres.execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)", unique_database)
    findings = await found(postgres, manual_clock, unique_database)
    assert faults(findings) == {(Fault.INVALID, "t_a"): ""}
    assert value(findings, FOUND, unique_database, "invalid") == 1
    (advice,) = advised(findings)
    assert (advice.action, advice.reason) == ("rebuild", "index_invalid_unique")
    await postgres.execute("DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t WHERE a = 1)", unique_database)
    await run_all(postgres, unique_database, [advice])
    assert await ask(postgres, "SELECT indisvalid FROM pg_index WHERE indexrelid = 't_a'::regclass", unique_database)
    assert advised(await found(postgres, manual_clock, unique_database)) == []


async def test_what_a_failed_reindex_left_behind_is_dropped(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Its name tells that it was to replace another one, which serves on; an invalid index that is none is rebuilt."""
    await postgres15.execute("CREATE TABLE t (a int); INSERT INTO t VALUES (1), (1)", unique_database)
    with suppress(asyncpg.UniqueViolationError):
        await postgres15.execute("CREATE UNIQUE INDEX CONCURRENTLY t_a ON t (a)", unique_database)
    with suppress(asyncpg.UniqueViolationError):
        await postgres15.execute("REINDEX INDEX CONCURRENTLY t_a", unique_database)
    advice = advised(await found(postgres15, manual_clock, unique_database))
    assert {(a.action, a.run) for a in advice} == {
        ("rebuild", 'REINDEX INDEX CONCURRENTLY "public"."t_a";'),
        ("drop", 'DROP INDEX CONCURRENTLY "public"."t_a_ccnew";'),
    }


async def test_an_index_under_way_is_waited_for(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """A build that waits for somebody's transaction is no failure."""
    await postgres15.execute("CREATE TABLE t (a int)", unique_database)
    holder, builder = await postgres15.connect(unique_database), await postgres15.connect(unique_database)
    await holder.execute("BEGIN; INSERT INTO t VALUES (1)")
    async with measured(postgres15, manual_clock, unique_database) as collector:
        building = asyncio.create_task(builder.execute("CREATE INDEX CONCURRENTLY t_a ON t (a)"))
        progress = "SELECT count(*) FROM pg_stat_progress_create_index"
        await eventually(lambda: ask(postgres15, progress, unique_database))
        await eventually(lambda: ask(postgres15, "SELECT to_regclass('t_a')", unique_database))
        advice = advised(await collector.collect())
        await holder.execute("COMMIT")
        await building
        assert {(a.action, a.subject, a.reason, a.run) for a in advice} == {
            ("wait", "public.t_a", "index_building", "")
        }
        assert told(advised(await collector.collect())) == {("drop", "public.t_a", "index_unused")}
    for connection in (holder, builder):
        await connection.close()


async def test_a_role_that_may_only_monitor_finds_the_same(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """pg_monitor is enough: no table's content is read."""
    cluster = new_cluster()
    await cluster.execute("CREATE ROLE watcher LOGIN IN ROLE pg_monitor")
    await cluster.execute("CREATE DATABASE app")
    await cluster.execute("REVOKE ALL ON SCHEMA public FROM PUBLIC; " + PREFIXES, "app")
    seen = [faults(await found(cluster, manual_clock, "app", user=user)) for user in ("watcher", "postgres")]
    assert seen[0] == seen[1] != {}
