import asyncio
import re
from contextlib import suppress
from dataclasses import replace

import psutil
import pytest

from backup.restore import dump
from backup.restore.dump import DumpRestorer
from backup.restore.dumping.naming import Destination
from backup.restore.dumping.site import Site
from tests.backup.dump.dumps import (
    AWKWARD,
    Bench,
    a_job,
    content_of,
    cut,
    databases_of,
    failure_of,
    file_of,
    flip,
    partial_of,
    properties_of,
)
from tests.clusters import Cluster
from tests.waiting import eventually
from toban.backups import Check, RestoreProof, Status, Trouble, Verdict

pytestmark = pytest.mark.integration
STOCK = "CREATE TABLE stock AS SELECT n, md5(n::text) AS mark FROM generate_series(1, 1000) AS n"


def faults(checks: tuple[Check, ...]) -> dict[str, str]:
    """What speaks against a restore."""
    return {check.name: check.detail for check in checks if check.ok is False}


async def test_a_restore_never_writes_over_what_exists(shop: Cluster, bench: Bench) -> None:
    """Neither preflight nor restore goes on, and the database stays as it was."""
    record = await bench.dumped(shop)
    before = content_of(shop, "shop")
    said = "shop exists there and is not empty: choose another name, or say --replace to put it aside"
    assert faults((await bench.preflight(record, shop.dsn())).checks) == {"database shop": said}
    error = await failure_of(bench.restored(record, shop.dsn()))
    assert error.why == f"database shop: {said}"
    assert content_of(shop, "shop") == before
    assert databases_of(shop) == {"postgres", "shop"}


async def test_replace_puts_the_old_one_aside_whoever_is_in_it(shop: Cluster, bench: Bench) -> None:
    """Whole as it was, under another name, which is told; nobody can be in the way of a rename."""
    record = await bench.dumped(shop)
    shop.psql("DELETE FROM stock WHERE n > 10", "shop")
    someone = await shop.connect("shop")
    restored = await bench.restored(record, shop.dsn(), replace=True)
    assert someone.is_closed() or await eventually(someone.is_closed)
    other = restored.detail["aside"]["shop"]
    assert re.fullmatch(r"shop-replaced-\d{8}T\d{6}Z", other)
    assert shop.psql("SELECT count(*) FROM stock", "shop") == "1000"
    assert shop.psql("SELECT count(*) FROM stock", other) == "10"
    assert restored.did == (
        "restored shop into database shop",
        f"put the database shop that was there aside as {other}",
    )
    assert f'DROP DATABASE "{other}" when nobody misses it' in restored.left_to_do


async def test_a_database_that_is_there_and_empty_is_taken(shop: Cluster, bench: Bench) -> None:
    """As one has who made it for the purpose, and named it in the DSN."""
    record = await bench.dumped(shop)
    shop.psql("CREATE DATABASE made_for_it")
    restored = await bench.restored(record, shop.dsn("made_for_it"))
    assert restored.databases == ("made_for_it",)
    assert content_of(shop, "made_for_it") == content_of(shop, "shop")
    assert databases_of(shop) == {"postgres", "shop", "made_for_it"}


async def test_a_database_that_the_dsn_names_and_is_not_there_is_made(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way in is then another one, and not the template, of which nobody could make a database meanwhile."""
    record = await bench.dumped(shop)
    ways, dress = [], Site.dress

    async def by_way_of(site: Site, one: Destination) -> tuple[str, ...]:
        ways.append(site.database)
        return await dress(site, one)

    monkeypatch.setattr(Site, "dress", by_way_of)
    restored = await bench.restored(record, shop.dsn("to be 'made'"))
    assert (restored.databases, ways) == (("to be 'made'",), ["postgres"])
    assert content_of(shop, "to be 'made'") == content_of(shop, "shop")


async def test_all_databases_come_back_with_all_roles(source: Cluster, elsewhere: Cluster, bench: Bench) -> None:
    """Also `postgres`, which is there and empty; and a role that none of the databases mentions."""
    own = source
    await own.execute("CREATE TABLE notes AS SELECT 1 AS one")
    record = await bench.dumped(own, chosen=lambda _: True)
    restored = await bench.restored(record, elsewhere.dsn())
    assert set(restored.databases) == {"postgres", AWKWARD}
    for name in restored.databases:
        assert content_of(elsewhere, name) == content_of(own, name)
        assert properties_of(elsewhere, name) == properties_of(own, name)
    asked = "SELECT rolname, rolpassword, shobj_description(oid, 'pg_authid'), rolcanlogin FROM pg_authid ORDER BY 1"
    assert elsewhere.psql(asked) == own.psql(asked)
    members = "SELECT roleid::regrole, member::regrole FROM pg_auth_members WHERE member >= 16384"
    assert elsewhere.psql(members) == own.psql(members) == 'readers|"o\'neill"'
    assert restored.did[0] == "made the roles bystander, o'neill, readers"
    await own.execute("DROP TABLE notes")
    await elsewhere.execute("DROP TABLE notes")


async def test_roles_that_are_there_are_left_alone(source: Cluster, elsewhere: Cluster, bench: Bench) -> None:
    """With their passwords and rights; those that one database alone does not want are not made."""
    record = await bench.dumped(source)
    elsewhere.psql('CREATE ROLE "o\'neill" NOLOGIN CONNECTION LIMIT 3')
    await bench.restored(record, elsewhere.dsn(), database=AWKWARD)
    asked = "SELECT rolname, rolcanlogin, rolconnlimit FROM pg_roles WHERE oid >= 16384 ORDER BY 1"
    assert elsewhere.psql(asked) == "o'neill|f|3\nreaders|f|-1"


async def test_without_its_roles_a_restore_names_those_that_are_missing(
    source: Cluster, elsewhere: Cluster, bench: Bench
) -> None:
    """Before anything is made."""
    record = await bench.dumped(source)
    seen = await bench.preflight(record, elsewhere.dsn(), with_roles=False)
    assert faults(seen.checks) == {
        "roles": "not there: o'neill, readers; CREATE ROLE them first, or let those of the dump be made"
    }


async def test_a_restore_that_fails_half_way_leaves_nothing(source: Cluster, elsewhere: Cluster, bench: Bench) -> None:
    """No database under any name, no role: cut after the first tables, as pg_restore finds out in the middle."""
    record = await bench.dumped(source, a_job(compress="none"))
    cut(file_of(record, "*.dump"), 0.9)
    error = await failure_of(bench.restored(record, elsewhere.dsn()))
    assert error.trouble is Trouble.DAMAGED
    assert databases_of(elsewhere) == {"postgres"}
    assert elsewhere.psql("SELECT count(*) FROM pg_roles WHERE oid >= 16384") == "0"
    assert [path.name for path in bench.home.iterdir() if path.is_dir()] == ["dump-1", "workspace"]


async def test_a_dump_whose_compressed_file_is_spoiled_is_called_damaged(shop: Cluster, bench: Bench) -> None:
    """By the program that unpacks it, whatever pg_restore made of the rest."""
    record = await bench.dumped(shop)
    flip(file_of(record, "1-shop.dump.zst"), 0.5)
    error = await failure_of(bench.restored(record, shop.dsn(), rename="again"))
    assert error.trouble is Trouble.DAMAGED
    assert databases_of(shop) == {"postgres", "shop"}


async def _filling(cluster: Cluster) -> psutil.Process:
    """The pg_restore that fills a database there, once it is in it."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname ~ '^toban-partial-' AND wait_event = 'PgSleep'"
    await eventually(lambda: cluster.psql(asked) != "0")
    found = await eventually(lambda: [one for one in psutil.Process().children(recursive=True) if _restores(one)])
    return found[0]


def _restores(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):  # others come and go
        return process.name() == "pg_restore"
    return False


@pytest.mark.parametrize("how", ["cancelled", "killed", "disconnected"])
async def test_a_restore_that_is_ended_from_outside_leaves_nothing(how: str, shop: Cluster, bench: Bench) -> None:
    """Whoever ends it: us, a killed pg_restore, or the server that sends it away."""
    slow = "CHECK (CASE WHEN n = 500 THEN pg_sleep(300) IS NOT NULL ELSE true END) NOT VALID"
    shop.psql(f"ALTER TABLE stock ADD {slow}; UPDATE pg_constraint SET convalidated = true", "shop")
    record = await bench.dumped(shop)
    restoring = asyncio.create_task(bench.restored(record, shop.dsn(), rename="again"))
    process = await _filling(shop)
    if how == "cancelled":
        restoring.cancel()
        with pytest.raises(asyncio.CancelledError):
            await restoring
    elif how == "killed":
        process.kill()
        error = await failure_of(restoring)
        assert error.line == "toban: restore of shop: pg_restore ended by signal 9"
    else:
        ask = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname ~ '^toban-partial-'"
        assert shop.psql(ask) == "1"
        assert (await failure_of(restoring)).trouble is Trouble.TOOL
    assert databases_of(shop) == {"postgres", "shop"}
    assert not process.is_running()


async def test_what_a_restore_that_died_has_left_goes_with_the_next(shop: Cluster, bench: Bench) -> None:
    """Its half database has a name of no consequence, under which the next one begins, whoever is still in there."""
    record = await bench.dumped(shop)
    restored = await bench.restored(record, shop.dsn(), rename="again")
    partial = partial_of(record, "again")
    shop.psql(f'ALTER DATABASE again RENAME TO "{partial}"')
    assert restored.databases == ("again",)
    still_there = await shop.connect(partial)
    await bench.restored(record, shop.dsn(), rename="again")
    assert databases_of(shop) == {"postgres", "shop", "again"}
    still_there.terminate()


async def test_chosen_tables_come_with_what_makes_them(source: Cluster, elsewhere: Cluster, bench: Bench) -> None:
    """Schema, type, trigger's function, sequence, rows, comments, privileges; no other rows, no key to elsewhere."""
    record = await bench.dumped(source)
    await bench.restored(record, elsewhere.dsn(), database=AWKWARD, tables=('s x.注文 "o" 1',), rename="some")
    asked = """SELECT count(*), max(note), (SELECT count(*) FROM pg_trigger), (SELECT count(*) FROM pg_constraint
        WHERE contype = 'f'), nextval('"s x"."注文 ""o"" 1_id_seq"') FROM "s x"."注文 ""o"" 1" """
    assert elsewhere.psql(asked, "some") == "40|line\n\\.\ttab|1|0|41"
    assert elsewhere.psql("SELECT to_regclass('days'), to_regclass('users')", "some") == "|"


async def test_chosen_tables_bring_their_partitions_and_keys_among_themselves(
    source: Cluster, elsewhere: Cluster, bench: Bench
) -> None:
    """A partitioned table has its rows in others; a key whose both ends are chosen comes along."""
    record = await bench.dumped(source, a_job(format="directory"))
    chosen = ("days", "public.users", '"s x"."注文 ""o"" 1"')
    restored = await bench.restored(record, elsewhere.dsn(), tables=chosen, rename="some")
    assert elsewhere.psql("SELECT count(*) FROM days", "some") == "31"
    assert elsewhere.psql("SELECT count(*) FROM pg_constraint WHERE contype = 'f'", "some") == "1"
    assert elsewhere.psql("SELECT count(*) FROM pg_class WHERE relname IN ('parent', 'named')", "some") == "0"
    assert restored.did[-1].startswith("restored tables days, public.users")


async def test_a_table_that_is_not_in_the_dump_is_said_so(shop: Cluster, bench: Bench) -> None:
    """And nothing is left."""
    record = await bench.dumped(shop)
    error = await failure_of(bench.restored(record, shop.dsn(), tables=("public.stok",), rename="some"))
    assert (error.what, error.why, error.trouble) == ("table public.stok", "is not in this dump", Trouble.MISSING)
    assert databases_of(shop) == {"postgres", "shop"}


async def test_tables_of_a_plain_dump_cannot_be_chosen(shop: Cluster, bench: Bench) -> None:
    """The preflight says so, and what to do."""
    record = await bench.dumped(shop, a_job(format="plain"))
    seen = await bench.preflight(record, shop.dsn(), tables=("stock",), rename="some")
    assert faults(seen.checks) == {
        "tables": "a plain dump comes back whole: restore it under another name, and copy the tables"
    }


async def test_the_preflight_looks_at_what_the_dump_wants_of_the_server(shop: Cluster, bench: Bench) -> None:
    """An older server, an extension, a locale, a tablespace that is not there; and how long it took the last time."""
    record = await bench.dumped(shop)
    told = dict(record.manifest.detail)
    properties = told["databases"][0]["properties"]
    properties |= {"extensions": {"postgis": "3"}, "collate": "xx_XX.UTF-8", "tablespaces": ["fast"]}
    manifest = replace(record.manifest, server_version="99.1", detail=told)
    proof = RestoreProof(backup="", proved_at=0, verdict=Verdict.PROVEN, reason="", phases={"restore": 12.5})
    record = replace(record, manifest=manifest, marks=replace(record.marks, proof=proof))
    seen = await bench.preflight(record, shop.dsn(), rename="again")
    assert faults(seen.checks) == {
        "version": "PostgreSQL 15; the dump is of 99.1: restore into that version or a newer one",
        "extensions": "not installed there: postgis",
    }
    unknown = {check.name for check in seen.checks if check.ok is None}
    assert unknown == {"locale of again", "tablespaces"}
    assert (seen.forecast_seconds, seen.reaches_at, seen.needed_bytes) == (
        12.5,
        record.manifest.created_at,
        told["databases"][0]["source_bytes"],
    )


async def test_the_room_for_unpacking_is_looked_at_too(shop: Cluster, bench: Bench) -> None:
    """Where a dump packed by a pipe is restored in parallel."""
    record = await bench.dumped(shop)
    one = await bench.preflight(record, shop.dsn(), rename="again")
    many = await bench.preflight(record, shop.dsn(), rename="again", jobs=2)
    assert {check.name for check in many.checks} - {check.name for check in one.checks} == {"workspace"}
    assert many.ok


async def test_a_role_without_rights_is_told_which_it_needs(shop: Cluster, bench: Bench) -> None:
    """Before anything is made."""
    record = await bench.dumped(shop)
    shop.psql("CREATE ROLE keeper LOGIN")
    seen = await bench.preflight(record, shop.dsn(user="keeper"), rename="again")
    said = "role keeper may not make databases; ALTER ROLE … CREATEDB, or come as a superuser"
    assert faults(seen.checks) == {"privilege": said}
    assert next(check for check in seen.checks if check.name == "room").ok is None


async def test_a_dump_of_a_newer_version_does_not_go_into_an_older_one(
    postgres18: Cluster, unique_database: str, shop: Cluster, bench: Bench
) -> None:
    """The other way round it does: dumps are how one gets to a newer version."""
    postgres18.psql(STOCK, unique_database)
    newer = await bench.dumped(postgres18, chosen=lambda name: name == unique_database)
    assert "version" in faults((await bench.preflight(newer, shop.dsn(), rename="x")).checks)
    older = await bench.dumped(shop, chosen=lambda name: name == "shop")
    await bench.restored(older, postgres18.dsn(), rename=f"{unique_database}_old")
    rows = postgres18.psql("SELECT count(*), min(mark) FROM stock", f"{unique_database}_old")
    postgres18.psql(f'DROP DATABASE "{unique_database}_old"')
    assert rows == shop.psql("SELECT count(*), min(mark) FROM stock", "shop")


async def test_a_restore_without_a_server_or_that_names_no_database_of_it_is_refused(
    shop: Cluster, bench: Bench
) -> None:
    """With what it has."""
    record = await bench.dumped(shop)
    error = await failure_of(bench.preflight(record, shop.dsn(), database="shob"))
    assert (error.why, error.hint, error.trouble) == ("has no database shob", "it has: shop", Trouble.MISSING)
    error = await failure_of(bench.preflight(record, "postgresql://127.0.0.1:1/postgres"))
    assert error.trouble is Trouble.UNREACHABLE
    assert record.status is Status.OK


async def test_a_role_that_may_not_make_roles_is_told_which_are_missing(
    source: Cluster, elsewhere: Cluster, bench: Bench
) -> None:
    """Before anything is made."""
    record = await bench.dumped(source)
    elsewhere.psql("CREATE ROLE keeper LOGIN CREATEDB")
    seen = await bench.preflight(record, elsewhere.dsn(user="keeper"), database=AWKWARD)
    said = "role keeper may not make roles: o'neill, readers; come as a superuser"
    assert faults(seen.checks) == {"privilege": said}


async def test_programs_that_are_not_here_are_missed_before_anything_is_made(shop: Cluster, bench: Bench) -> None:
    """With the mend of whoever looks for programs."""
    record = await bench.dumped(shop)
    told = dict(record.manifest.detail) | {"dumped_by": 99}
    record = replace(record, manifest=replace(record.manifest, detail=told))
    seen = await bench.preflight(record, shop.dsn(), rename="again")
    assert "none of PostgreSQL 99 or newer" in faults(seen.checks)["programs"]
    [rows, _] = await bench.verified(record)
    assert rows.ok is None


async def test_roles_too_many_to_be_read_at_once_are_not_made_by_half(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather none, and what to do."""
    record = await bench.dumped(shop)
    monkeypatch.setattr(dump, "MOST_GLOBALS_BYTES", 100)
    error = await failure_of(bench.preflight(record, shop.dsn(), rename="again"))
    assert error.line == (
        "toban: globals.sql: is larger than 100 bytes (make the roles by psql, and restore without those of the dump)"
    )


async def test_a_database_of_types_alone_is_not_empty(shop: Cluster, bench: Bench) -> None:
    """Nothing that somebody has made goes with it."""
    record = await bench.dumped(shop)
    shop.psql("CREATE DATABASE made")
    shop.psql("CREATE TYPE mood AS ENUM ('well')", "made")
    assert set(faults((await bench.preflight(record, shop.dsn(), rename="made")).checks)) == {"database made"}
    shop.psql("DROP TYPE mood; CREATE EXTENSION IF NOT EXISTS plpgsql", "made")
    assert (await bench.preflight(record, shop.dsn(), rename="made")).ok


async def test_a_restore_wants_a_server(bench: Bench, shop: Cluster) -> None:
    """A dump goes nowhere else; and a server without another database to connect to cannot be worked in."""
    record = await bench.dumped(shop)
    wanted = replace(bench.wanted(record, shop.dsn()), into=None)
    error = await failure_of(DumpRestorer().preflight(wanted, bench.around))
    assert (error.why, error.hint, error.trouble) == (
        "wants a server",
        "--into postgresql://…",
        Trouble.CONFIGURATION,
    )
