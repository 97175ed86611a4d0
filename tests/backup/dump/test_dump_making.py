import hashlib
from dataclasses import replace

import pytest

from backup.engines import ENGINES, engine_for, engine_named, engine_of
from backup.engines.contract import Estimate, Origin
from backup.engines.dump import Dump
from backup.engines.dumping.reading import told_by
from backup.errors import BackupError
from backup.restore import RESTORERS, restorer_for, restorer_of
from backup.restore.dump import DumpRestorer
from backup.settings import Job
from tests.backup.dump.dumps import Bench, a_job, content_of, file_of, record_of
from tests.clusters import Cluster
from toban.backups import BackupRecord, Trouble

pytestmark = pytest.mark.integration


@pytest.fixture
def shop(elsewhere: Cluster) -> Cluster:
    """A server with a database `shop` of three tables: one analyzed, one never, one empty."""
    elsewhere.psql("CREATE DATABASE shop")
    sql = """
        CREATE TABLE stock WITH (autovacuum_enabled = off) AS SELECT n FROM generate_series(1, 2000) AS n;
        ANALYZE stock;
        CREATE TABLE fresh WITH (autovacuum_enabled = off) AS SELECT n FROM generate_series(1, 10) AS n;
        CREATE TABLE log_1 (n int); DELETE FROM stock WHERE n > 1500;
    """
    elsewhere.psql(sql, "shop")
    return elsewhere


def rows_of(record: BackupRecord) -> dict[str, tuple[int, bool]]:
    """Its tables: how many rows, and whether they were counted."""
    return {row.table: (row.rows, row.exact) for row in record.manifest.rows}


async def test_rows_can_be_estimated_or_left_out(shop: Cluster, bench: Bench) -> None:
    """By statistics as a planner has them; what was never analyzed is not known, which is noted."""
    estimated = await bench.dumped(shop, a_job(rows="estimate"))
    assert rows_of(estimated) == {"stock": (2000, False), "log_1": (0, False)}
    assert estimated.manifest.notes == ("shop: rows unknown, since never analyzed: public.fresh",)
    none = await bench.dumped(shop, a_job(rows="none"))
    assert (none.manifest.rows, none.manifest.notes) == ((), ())


async def test_rows_of_large_tables_are_estimated(shop: Cluster, bench: Bench) -> None:
    """Those above the size that is configured; the others are counted."""
    record = await bench.dumped(shop, a_job(rows_exact_below=30_000))
    assert rows_of(record) == {"stock": (2000, False), "fresh": (10, True), "log_1": (0, True)}


async def test_tables_whose_rows_are_left_out_are_not_counted(shop: Cluster, bench: Bench) -> None:
    """They come back empty."""
    record = await bench.dumped(shop, a_job(exclude_tables=("st*", "public.log_?")))
    assert rows_of(record) == {"fresh": (10, True)}
    await bench.restored(record, shop.dsn(), rename="again")
    assert shop.psql("SELECT (SELECT count(*) FROM stock), (SELECT count(*) FROM fresh)", "again") == "0|10"


PATTERNS = (
    "lo?s",
    '"Q.x"."c ""d$"""',
    "other.[[:digit:]]+",
    "店*",
    "a$b",
    "shop.other.t_[ab]",
    "elsewhere",
    "O*.Plain",
)


async def test_patterns_mean_what_they_mean_to_pg_dump(shop: Cluster, bench: Bench) -> None:
    """Case is folded outside of quotes, `*`, `?` and expressions are live; without a schema it goes by search_path."""
    tables = ["logs", "lots", '"Logs"', '"Q.x"."c ""d$"""', '"Q.x".c', 'other."12"', 'other."1b"', '"店の"', '"a$b"']
    tables += ["other.t_b", "other.t_c", "other.elsewhere", "other.plain", '"Other".plain']
    made = [f"CREATE TABLE {name} AS SELECT 1 AS one" for name in tables]
    shop.psql('CREATE SCHEMA other; CREATE SCHEMA "Other"; CREATE SCHEMA "Q.x";' + ";".join(made), "shop")
    record = await bench.dumped(shop, a_job(exclude_tables=PATTERNS))
    counted = {(row.schema, row.table) for row in record.manifest.rows}
    await bench.restored(record, shop.dsn(), rename="again")
    holding = """SELECT string_agg(concat(n.nspname, '/', c.relname), ',') FROM pg_class AS c
        JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'r' AND c.oid >= 16384
        AND pg_relation_size(c.oid) > 0 AND n.nspname !~ '^pg_'"""
    held = {tuple(name.split("/")) for name in shop.psql(holding, "again").split(",")}
    empty = {("public", "log_1")}
    assert counted == held | empty
    assert {table for _, table in counted} == {
        "stock",
        "fresh",
        "log_1",
        "Logs",
        "c",
        "1b",
        "t_c",
        "elsewhere",
        "plain",
    }
    assert ("Other", "plain") in counted


async def test_a_pattern_that_is_none_ends_the_dump(shop: Cluster, bench: Bench) -> None:
    """In the server's words."""
    with pytest.raises(BackupError, match="invalid regular expression"):
        await bench.dumped(shop, a_job(exclude_tables=("t_[ab",)))


async def test_what_cannot_be_dumped_is_noted_and_what_is_no_database_any_more_is_passed_by(
    shop: Cluster, bench: Bench
) -> None:
    """Nobody finds out at three in the morning that the archive was never in it."""
    shop.psql("CREATE DATABASE archive ALLOW_CONNECTIONS false")
    shop.psql("CREATE DATABASE pattern IS_TEMPLATE true")
    shop.psql("CREATE DATABASE broken")
    shop.psql(
        "UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'"
    )  # as a DROP leaves it that was broken off
    try:
        record = await bench.dumped(shop)
        with pytest.raises(BackupError) as caught:
            await bench.dumped(shop, chosen=lambda name: name == "pattern")
    finally:
        shop.psql("ALTER DATABASE archive ALLOW_CONNECTIONS true; ALTER DATABASE pattern IS_TEMPLATE false")
    assert record.manifest.databases == ("shop",)
    assert record.manifest.notes == (
        "database archive is not in it: it takes no connections",
        "database pattern is not in it: it is a template",
    )
    names = "archive (it takes no connections), pattern (it is a template), postgres, shop"
    assert caught.value.why == f"no database is chosen of {names}"


async def test_roles_that_a_database_wants_are_those_that_it_names(shop: Cluster, bench: Bench) -> None:
    """Owners, whoever may do something or has settings there; nobody for what an extension or a session made."""
    shop.psql("CREATE ROLE owner; CREATE ROLE setter; CREATE ROLE guest; ALTER DATABASE shop OWNER TO owner")
    shop.psql("ALTER ROLE setter IN DATABASE shop SET work_mem = '5MB'; GRANT CONNECT ON DATABASE shop TO guest")
    extended = "CREATE TABLE of_it (n int); ALTER EXTENSION plpgsql ADD TABLE of_it; CREATE TEMP TABLE brief (n int)"
    shop.psql(f"ALTER TABLE stock OWNER TO owner; DROP TABLE fresh, log_1; {extended}", "shop")
    [before] = told_by((await bench.dumped(shop)).manifest).entries
    assert before.properties.roles == ("guest", "owner", "setter")
    shop.psql("CREATE FUNCTION one() RETURNS int LANGUAGE sql AS 'SELECT 1'", "shop")
    [after] = told_by((await bench.dumped(shop)).manifest).entries
    assert after.properties.roles == ("guest", "owner", "postgres", "setter")
    shop.psql("ALTER EXTENSION plpgsql DROP TABLE of_it", "shop")


async def test_tables_of_extensions_are_not_counted(shop: Cluster, bench: Bench) -> None:
    """The extension makes them; its name and version are kept for the preflight."""
    extended = "CREATE TABLE of_it (n int); ALTER EXTENSION plpgsql ADD TABLE of_it"
    shop.psql(extended, "shop")
    record = await bench.dumped(shop)
    shop.psql("ALTER EXTENSION plpgsql DROP TABLE of_it", "shop")
    assert "of_it" not in rows_of(record)


async def test_an_estimate_goes_by_the_sizes_and_by_the_last_dump(shop: Cluster, bench: Bench) -> None:
    """Of the same job; without one only the source is known."""
    job = a_job()
    first = await Dump().estimate(bench.making(shop.dsn(), job))
    assert first.size_bytes is None
    record = await bench.dumped(shop, job)
    assert first.source_bytes is not None
    assert record.manifest.source_bytes == pytest.approx(first.source_bytes, rel=0.1)
    doubled = replace(record, manifest=replace(record.manifest, source_bytes=(first.source_bytes or 0) // 2))
    other = replace(record, manifest=replace(record.manifest, name="other"))
    estimate = await Dump().estimate(bench.making(shop.dsn(), job, earlier=(other, doubled)))
    assert estimate.size_bytes == pytest.approx(record.manifest.size_bytes * 2, rel=0.1)
    assert isinstance(estimate, Estimate)
    told = await bench.dumped(shop, job, earlier=(record,))
    assert told.manifest.compression == record.manifest.compression


async def test_progress_ends_with_the_last_database(shop: Cluster, bench: Bench) -> None:
    """Bytes of the whole backup, and the table that is being read."""
    record = await bench.dumped(shop, chosen=lambda _: True)
    assert set(record.manifest.databases) == {"postgres", "shop"}
    dumping = [one for one in bench.told if one.phase == "dump"]
    assert {one.what for one in dumping} == {"shop: public.fresh", "shop: public.log_1", "shop: public.stock"}
    assert all(one.done_bytes <= (one.total_bytes or 0) for one in dumping)
    assert [one.done_bytes for one in dumping] == sorted(one.done_bytes for one in dumping)


async def test_a_dump_without_globals_has_none(shop: Cluster, bench: Bench) -> None:
    """Where nobody wants them."""
    record = await bench.dumped(shop, a_job(globals=False))
    assert [file.path for file in record.manifest.files] == ["1-shop.dump.zst"]
    assert record.manifest.detail["globals"] is None
    assert [check.name for check in await bench.verified(record)] == ["shop read through"]
    await bench.restored(record, shop.dsn(), rename="again")


async def test_a_dump_can_be_held_back(shop: Cluster, bench: Bench) -> None:
    """By pv where there is one; the digest taken along is that of the file, and it comes back."""
    if not bench.programs.has("pv"):
        pytest.skip("this machine cannot: it has no pv")
    making = bench.making(shop.dsn(), a_job(bandwidth="100MB"))
    made = await Dump().make(making)
    assert "pv" in made.tools
    record = record_of(making, made)
    content = file_of(record, "1-shop.dump.zst").read_bytes()
    assert made.digests["1-shop.dump.zst"].sha256 == hashlib.sha256(content).hexdigest()
    await bench.restored(record, shop.dsn(), rename="again")
    assert content_of(shop, "again") == content_of(shop, "shop")


async def test_a_database_that_is_being_restored_is_no_part_of_a_dump(shop: Cluster, bench: Bench) -> None:
    """It is nobody's yet."""
    await shop.execute('CREATE DATABASE "toban-partial-0123456789abcdef"')
    record = await bench.dumped(shop)
    assert record.manifest.databases == ("shop",)


async def test_a_manifest_says_which_server_and_which_programs(shop: Cluster, bench: Bench) -> None:
    """What one needs to know years later."""
    made = await Dump().make(bench.making(shop.dsn()))
    assert made.server_version.startswith("15.")
    assert made.system_identifier == shop.psql("SELECT system_identifier FROM pg_control_system()")
    assert made.timeline == 1
    assert made.start_lsn is not None
    assert set(made.tools) == {"pg_dump", "pg_dumpall", "zstd"}
    assert made.compression == "zstd"
    assert set(made.phases) == {"survey", "globals", "dump"}
    assert set(made.digests) == {"1-shop.dump.zst"}


async def test_no_chosen_database_is_a_mistake_of_the_configuration(shop: Cluster, bench: Bench) -> None:
    """An empty backup would look like one."""
    with pytest.raises(BackupError) as caught:
        await bench.dumped(shop, chosen=lambda name: name == "shob")
    assert (caught.value.why, caught.value.trouble) == (
        "no database is chosen of postgres, shop",
        Trouble.CONFIGURATION,
    )


async def test_a_dump_without_a_way_in_is_a_mistake_of_the_configuration(bench: Bench) -> None:
    """Said before anything is begun."""
    making = replace(bench.making("postgresql://127.0.0.1/x"), origin=Origin(name="main", kind="postgresql"))
    with pytest.raises(BackupError) as caught:
        await Dump().make(making)
    assert caught.value.line == "toban: target main: has no DSN to dump by"


async def test_a_dump_that_takes_too_long_has_failed(shop: Cluster, bench: Bench) -> None:
    """Whatever it was at."""
    with pytest.raises(BackupError) as caught:
        await bench.dumped(shop, a_job(timeout=0.001))
    assert caught.value.trouble is Trouble.TIMEOUT


def test_every_engine_is_listed_and_found() -> None:
    """By job and kind of target, by the name in a manifest; pgBackRest only where a job asks for it."""
    dsn = Origin(name="main", kind="postgresql")
    assert engine_for(a_job(), dsn).name == "dump"
    base = Job.model_validate({"name": "b", "target": "main", "method": "base"})
    assert engine_for(base, dsn).name == "base"
    stanza = Job.model_validate(
        {"name": "b", "target": "main", "method": "base", "engine": "pgbackrest", "stanza": "x"}
    )
    assert engine_for(stanza, dsn).name == "pgbackrest"
    for listed in ENGINES:
        engine = engine_named(listed.name)
        assert (engine.name, engine.method, engine.kinds) == (listed.name, listed.method, listed.kinds)
    with pytest.raises(BackupError) as caught:
        engine_for(a_job(), Origin(name="web", kind="host"))
    assert caught.value.line == (
        "toban: backup nightly: a dump cannot be made of web, which is of kind host (toban config check)"
    )
    with pytest.raises(BackupError, match="is not known to this version"):
        engine_named("magic")


async def test_every_engine_has_its_way_back(shop: Cluster, bench: Bench) -> None:
    """By the engine that a manifest names."""
    record = await bench.dumped(shop)
    assert isinstance(restorer_for(record), DumpRestorer)
    assert engine_of(record.manifest).name == "dump"
    for listed in ENGINES:
        assert restorer_of(replace(record.manifest, engine=listed.name)) is not None
    assert set(RESTORERS) == {listed.name for listed in ENGINES}
    with pytest.raises(BackupError, match="no way back"):
        restorer_of(replace(record.manifest, engine="magic"))
