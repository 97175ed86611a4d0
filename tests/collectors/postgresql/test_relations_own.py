"""What is told of tables beyond postgres_exporter: parts of the size, ratios over the interval, ages."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from collectors.postgresql.relations import CACHE_HIT, FREEZE_AGE, HOT, OTHERS, Relations, RelationsSettings
from collectors.postgresql.server import Databases
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, series, value, watching
from tests.conftest import NewCluster
from tests.waiting import eventually

pytestmark = pytest.mark.integration
OWN = {metric.name.removeprefix("toban_pg_table_"): metric for metric in Relations.metrics}
SIZE = next(metric for metric in Relations.metrics if metric.name.endswith("table_size_bytes"))


@asynccontextmanager
async def measured(cluster: Cluster, clock: ManualClock, *names: str, top: int = 100) -> AsyncIterator[Relations]:
    """The collector on some databases."""
    async with watching(cluster, clock, databases=Databases(include=names)) as server:
        yield Relations(server, RelationsSettings(top=top, pause=0.0), clock)


async def test_a_table_tells_what_its_size_is_made_of(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Rows, what is stored out of line, and since when it was vacuumed and analyzed; never is absent."""
    await postgres.execute(
        "CREATE TABLE t (a int, b text) WITH (autovacuum_enabled = off); ALTER TABLE t ALTER b SET STORAGE EXTERNAL;"
        "INSERT INTO t SELECT g, repeat('x', 9000) FROM generate_series(1, 100) g;"
        "CREATE TABLE bare (a int) WITH (autovacuum_enabled = off)",
        unique_database,
    )
    await postgres.execute("VACUUM t", unique_database)
    await postgres.execute("ANALYZE t", unique_database)
    sql = "SELECT last_analyze IS NOT NULL AND last_vacuum IS NOT NULL FROM pg_stat_user_tables WHERE relname = 't'"
    await eventually(lambda: ask(postgres, sql, unique_database))
    async with measured(postgres, manual_clock, unique_database) as collector:
        findings = await collector.collect()
    key = (unique_database, "public", "t")
    toast = "SELECT pg_total_relation_size(reltoastrelid) FROM pg_class WHERE relname = 't'"
    assert value(findings, OWN["heap_bytes"], *key) == await ask(
        postgres, "SELECT pg_relation_size('t')", unique_database
    )
    assert value(findings, OWN["toast_bytes"], *key) == await ask(postgres, toast, unique_database)
    for metric in ("vacuum_age_seconds", "analyze_age_seconds"):
        assert series(findings, OWN[metric]).keys() == {key}
        assert 0 <= (value(findings, OWN[metric], *key) or 0) < 300
    assert value(findings, OWN["toast_bytes"], unique_database, "public", "bare") is None


async def test_ratios_are_those_of_the_interval_and_unknown_after_a_reset(
    postgres: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """Not since the reset; after one, the first interval has none; a table without accesses has none either."""
    await postgres.execute(
        "CREATE TABLE t (a int, b int, PRIMARY KEY (a)) WITH (fillfactor = 50, autovacuum_enabled = off);"
        "INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g; CREATE TABLE idle (a int)",
        unique_database,
    )
    key = (unique_database, "public", "t")
    async with measured(postgres, manual_clock, unique_database) as collector:
        assert series(await collector.collect(), HOT) == {}
        for update, share in (("b = b + 1 WHERE a <= 100", 1.0), ("a = a + 5000 WHERE a <= 100", 0.0)):
            before = await _updates(postgres, unique_database)
            await postgres.execute(f"UPDATE t SET {update}", unique_database)
            await eventually(lambda before=before: _grown(postgres, unique_database, before))  # type: ignore[misc] # bound now
            manual_clock.advance(600)
            findings = await collector.collect()
            assert series(findings, HOT) == {key: share}
            assert 0.5 < (value(findings, CACHE_HIT, *key) or 0) <= 1
            assert series(findings, CACHE_HIT).keys() == {key}
        await postgres.execute("SELECT pg_stat_reset()", unique_database)
        await postgres.execute("UPDATE t SET b = 1 WHERE a < 300", unique_database)
        await eventually(lambda: _grown(postgres, unique_database, 0))
        after = await collector.collect()
        assert series(after, HOT) == series(after, CACHE_HIT) == {}


async def _updates(cluster: Cluster, database: str) -> int:
    return int(await ask(cluster, "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 't'", database))


async def _grown(cluster: Cluster, database: str, before: int) -> bool:
    return await _updates(cluster, database) > before


async def test_the_oldest_tables_are_told_by_their_share_of_the_limit(
    new_cluster: NewCluster, manual_clock: ManualClock
) -> None:
    """A table's own lower limit counts; so do its TOAST rows, and what a session keeps. Five of each database."""
    cluster = new_cluster()
    await cluster.execute(
        "CREATE TABLE hurried (a int) WITH (autovacuum_freeze_max_age = 100000, fillfactor = 50);"
        "CREATE TABLE plain (a int, b text)"
    )
    session = await cluster.connect()
    await session.execute("CREATE TEMP TABLE kept (a int) WITH (autovacuum_freeze_max_age = 100000)")
    for _ in range(5):
        await cluster.execute("SELECT pg_current_xact_id()")
    async with measured(cluster, manual_clock, "postgres") as collector:
        found = series(await collector.collect(), FREEZE_AGE)
    assert len(found) == 5
    assert "kept" in {relname for _, schema, relname in found if schema.startswith("pg_temp_")}
    age = await ask(cluster, "SELECT age(relfrozenxid) FROM pg_class WHERE relname = 'hurried'")
    await session.close()
    assert age >= 5
    assert found[("postgres", "public", "hurried")] == pytest.approx(age / 100000)
    assert max(found, key=lambda key: found[key]) == ("postgres", "public", "hurried")


async def test_fifty_tables_are_ten_rows_and_the_others_together(
    postgres15: Cluster, unique_database: str, manual_clock: ManualClock
) -> None:
    """A view on all of them: the ten largest, and a row that sums up the other forty, TOAST and all."""
    await postgres15.execute(
        ";".join(
            f"CREATE TABLE t{n} (a int, b text) WITH (autovacuum_enabled = off);"
            f"ALTER TABLE t{n} ALTER b SET STORAGE EXTERNAL;"
            f"INSERT INTO t{n} SELECT g, repeat('x', 2500) FROM generate_series(1, {n * 4}) g"
            for n in range(1, 51)
        ),
        unique_database,
    )
    await postgres15.execute("VACUUM", unique_database)
    async with measured(postgres15, manual_clock, unique_database, top=10) as collector:
        findings = await collector.collect()
    other = (unique_database, "", "other")
    assert {key[2] for key in series(findings, SIZE)} == {f"t{n}" for n in range(41, 51)} | {"other"}
    assert value(findings, OTHERS, unique_database) == 40
    pages = (
        "SELECT sum({}) * 8192 FROM pg_class c JOIN pg_class t ON t.oid = c.reltoastrelid"
        " WHERE c.relname ~ '^t[0-9]+$' AND substr(c.relname, 2)::int <= 40"
    )
    parts = {"heap_bytes": "c.relpages", "toast_bytes": "t.relpages"}
    for metric, column in parts.items():
        assert value(findings, OWN[metric], *other) == await ask(postgres15, pages.format(column), unique_database)
    whole = sum(value(findings, OWN[metric], *other) or 0 for metric in parts)
    assert value(findings, SIZE, *other) == whole > 0
