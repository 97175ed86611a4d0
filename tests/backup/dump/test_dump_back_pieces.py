import hashlib
from dataclasses import replace
from typing import Any

import pytest

from backup.children import Command, Ended, Output
from backup.engines.dumping.properties import Properties
from backup.engines.dumping.reading import Entry, Told
from backup.errors import BackupError
from backup.restore.dumping.filling import _checked
from backup.restore.dumping.looking import lost_tablespaces, major_of, of_names, of_room, of_server, of_wants
from backup.restore.dumping.naming import Destination, chosen_entries, destinations, way_in_for
from backup.restore.dumping.roles import lacking, script
from backup.restore.dumping.selection import listed, selection
from backup.restore.dumping.site import Facts, There, named_database
from tests.daemon.answers.kept import a_manifest
from toban.backups import Check, Trouble
from toban.secrets import Dsn

GLOBALS = """--
-- PostgreSQL database cluster dump
--

\\restrict KeY

SET default_transaction_read_only = off;
SET client_encoding = 'UTF8';

--
-- Roles
--

CREATE ROLE postgres;
ALTER ROLE postgres WITH SUPERUSER PASSWORD 'SCRAM';
CREATE ROLE "o'neill";
ALTER ROLE "o'neill" WITH LOGIN PASSWORD 'a;b''c';
COMMENT ON ROLE "o'neill" IS 'reads;
CREATE ROLE mallory;';
CREATE ROLE readers;
ALTER ROLE readers WITH NOLOGIN;
CREATE ROLE "a ""b"" c";

--
-- User Config "o'neill"
--

ALTER ROLE "o'neill" SET work_mem TO '5MB';
ALTER ROLE "o'neill" IN DATABASE shop SET work_mem TO '6MB';

GRANT readers TO "o'neill" WITH INHERIT TRUE GRANTED BY postgres;
GRANT "a ""b"" c" TO readers GRANTED BY gone;
GRANT elsewhere TO readers GRANTED BY postgres;

CREATE TABLESPACE fast OWNER postgres LOCATION '/fast';

\\unrestrict KeY
"""


def test_roles_are_found_in_what_pg_dumpall_writes() -> None:
    """Whatever stands in quotes; those that are there are not lacking."""
    assert lacking(GLOBALS, {"postgres"}) == ("o'neill", "readers", 'a "b" c')
    assert lacking(GLOBALS, {"postgres", "readers"}) == ("o'neill", 'a "b" c')
    assert lacking("", {"postgres"}) == ()


def test_roles_that_are_needed_bring_those_they_are_members_of() -> None:
    """Through which they have their rights."""
    assert lacking(GLOBALS, {"postgres"}, needed={"o'neill"}) == ("o'neill", "readers", 'a "b" c')
    assert lacking(GLOBALS, {"postgres"}, needed={'a "b" c'}) == ('a "b" c',)


def test_the_script_of_roles_makes_these_and_touches_no_other() -> None:
    """Within the restriction of psql, in its encoding; no databases' settings, tablespaces, or grants of strangers."""
    assert script(GLOBALS, ("o'neill", "readers"), {"postgres"}) == (
        "\\restrict KeY\n"
        "SET client_encoding = 'UTF8';\n"
        'CREATE ROLE "o\'neill";\n'
        "ALTER ROLE \"o'neill\" WITH LOGIN PASSWORD 'a;b''c';\n"
        "COMMENT ON ROLE \"o'neill\" IS 'reads;\nCREATE ROLE mallory;';\n"
        "CREATE ROLE readers;\n"
        "ALTER ROLE readers WITH NOLOGIN;\n"
        "ALTER ROLE \"o'neill\" SET work_mem TO '5MB';\n"
        'GRANT readers TO "o\'neill" WITH INHERIT TRUE;\n'
        "\\unrestrict KeY\n"
    )


def an_entry(name: str = "shop", **values: Any) -> Entry:  # noqa: ANN401 - what properties have
    """One database of a dump."""
    return Entry(name=name, file=f"1-{name}.dump", properties=replace(Properties(), **values))


@pytest.mark.parametrize(
    ("names", "rename", "way_in", "expected"),
    [
        (["shop"], None, "postgres", ["shop"]),
        (["shop"], None, None, ["shop"]),
        (["shop"], None, "scratch", ["scratch"]),
        (["shop"], "again", "scratch", ["again"]),
        (["shop", "web"], None, "scratch", ["shop", "web"]),
        (["postgres"], None, "postgres", ["postgres"]),
    ],
)
def test_one_database_goes_where_it_is_told_to(
    names: list[str], rename: str | None, way_in: str | None, expected: list[str]
) -> None:
    """By its new name, else to what the DSN names unless that is only a way in; several under their own names."""
    found = destinations([an_entry(name) for name in names], rename=rename, way_in=way_in)
    assert [one.name for one in found] == expected


def test_several_databases_cannot_have_one_name() -> None:
    """One of them must be chosen."""
    with pytest.raises(BackupError) as caught:
        destinations([an_entry("a"), an_entry("b")], rename="c", way_in=None)
    assert (caught.value.line, caught.value.trouble) == (
        "toban: restore: one name for 2 databases (name one of them with --database)",
        Trouble.CONFIGURATION,
    )
    assert chosen_entries([an_entry("a"), an_entry("b")], "b", "x") == (an_entry("b"),)


def test_names_put_aside_and_partial_fit_into_a_name() -> None:
    """Sixty-three bytes, and no half letter."""
    one = Destination(entry=an_entry(), name="店" * 21)
    stamp = "20261121T020000Z"
    assert one.aside(stamp) == "店" * 10 + f"-{hashlib.sha256(one.name.encode()).hexdigest()[:6]}-replaced-{stamp}"
    assert Destination(entry=an_entry(), name="x" * 37).aside(stamp) == f"{'x' * 37}-replaced-{stamp}"
    alike = [Destination(entry=an_entry(), name=f"{'x' * 37}{number}").aside(stamp) for number in (1, 2)]
    assert (len(set(alike)), {len(name) for name in alike}) == (2, {63})
    assert len(one.partial) == 30
    assert one.partial != Destination(entry=an_entry(), name="店").partial


@pytest.mark.parametrize(
    ("names", "there", "asked", "expected"),
    [
        ({"shop"}, {"postgres", "template1"}, "postgres", "postgres"),
        ({"postgres"}, {"postgres", "template1", "template0"}, "postgres", "template1"),
        ({"shop"}, {"shop", "app", "template0"}, "shop", "app"),
        ({"shop"}, {"shop", "template0"}, None, None),
    ],
)
def test_the_way_in_is_a_database_that_nothing_is_done_to(
    names: set[str], there: set[str], asked: str | None, expected: str | None
) -> None:
    """The one asked for, else one that is always there, else any."""
    assert way_in_for(names, there, asked) == expected


@pytest.mark.parametrize(
    ("dsn", "name"),
    [
        ("postgresql://h/a%20b", "a b"),
        ("postgresql://h", None),
        ("postgresql://h/", None),
        ("postgresql://h/a?dbname=b", "b"),
    ],
)
def test_the_database_that_a_dsn_names(dsn: str, name: str | None) -> None:
    """Decoded; the query's wins."""
    assert named_database(Dsn(dsn)) == name


FACTS = Facts(
    version_number=150020,
    standby=False,
    role="keeper",
    superuser=True,
    creates_databases=True,
    data_directory=None,
)
MANIFEST = a_manifest(server_version="15.20 (Debian)")


def test_a_server_is_looked_at_for_what_it_is_and_lets_us_do() -> None:
    """Its version, whether it takes writes, our rights."""
    assert list(of_server(FACTS, MANIFEST)) == [
        Check(name="version", ok=True, detail="PostgreSQL 15; the dump is of 15.20 (Debian)")
    ]
    low = replace(FACTS, standby=True, creates_databases=False)
    assert [(check.name, check.ok) for check in of_server(low, replace(MANIFEST, server_version=""))] == [
        ("version", True),
        ("server", False),
        ("privilege", False),
    ]
    assert (major_of("18.4"), major_of("18beta1"), major_of("")) == (18, 18, None)


def test_names_are_free_empty_replaced_or_in_the_way() -> None:
    """And never too long."""
    ones = [Destination(entry=an_entry(), name=name) for name in ("new", "empty", "full", "x" * 64, "")]
    there = There(databases=frozenset({"empty", "full"}))
    held = {"empty": 0, "full": 3}
    assert [check.ok for check in of_names(ones, there, held, replace=False)] == [True, True, False, False, False]
    assert [check.ok for check in of_names(ones, there, held, replace=True)] == [True, True, True, False, False]


def test_what_a_dump_wants_is_looked_for() -> None:
    """Roles, extensions, locale, tablespaces: what is not there, and what cannot be told from outside."""
    entry = an_entry(roles=("a", "b"), extensions={"hstore": "1"}, collate="ja_JP.UTF-8", ctype="ja_JP.UTF-8")
    one = Destination(entry=entry, name="shop")
    told = Told(format="custom", dumped_by=15, globals=None, passwords=False, entries=(entry,))
    bare = {check.name: (check.ok, check.detail) for check in of_wants([one], There(roles=frozenset({"a"})), told, ())}
    assert bare["roles"] == (False, "not there: b; CREATE ROLE them first")
    assert bare["extensions"] == (False, "not installed there: hstore")
    assert bare["locale of shop"][0] is None
    there = There(roles=frozenset({"a", "b"}), extensions=frozenset({"hstore"}), locales=frozenset({"ja_JP.utf8", "C"}))
    assert [check.ok for check in of_wants([one], there, told, ())] == [True, True, True]
    icu = Destination(entry=an_entry(provider="i", tablespace="fast"), name="shop")
    found = {check.name: check.ok for check in of_wants([icu], there, told, ())}
    assert found == {"roles": True, "extensions": True, "locale of shop": False, "tablespaces": None}
    assert lost_tablespaces([icu], There(tablespaces=frozenset({"fast"}))) == frozenset()


def test_room_that_cannot_be_seen_cannot_be_told() -> None:
    """Elsewhere than on this machine."""
    assert of_room("room", 10, None).ok is None
    assert (of_room("room", 10, 10).ok, of_room("room", 10, 9).ok) == (True, False)


def ended(program: str, status: int, said: str = "") -> Ended:
    """How a program of a restore ended."""
    return Ended(command=Command(words=(program,)), status=status, said=said)


SERVER = """pg_restore: error: COPY failed for table "stock": ERROR:  value too long for type character varying(3)
CONTEXT:  COPY stock, line 2, column mark: "corrupt"
"""
SPOILED = "pg_restore: error: could not read from input file: end of file\n"
CLOSED = "gpg: [stdout]: write error: Broken pipe\ngpg: decryption failed\n"


@pytest.mark.parametrize(
    ("programs", "trouble", "why"),
    [
        ([ended("pg_restore", 1, SPOILED)], Trouble.DAMAGED, "pg_restore ended with status 1"),
        ([ended("zstd", 1, "zstd: checksum"), ended("pg_restore", 1, SPOILED)], Trouble.DAMAGED, "zstd ended with"),
        ([ended("pg_restore", 1, SERVER)], Trouble.TOOL, "pg_restore ended with status 1"),
        ([ended("gpg", 2, CLOSED), ended("pg_restore", 1, SERVER)], Trouble.TOOL, "pg_restore ended with status 1"),
        ([ended("zstd", -13), ended("pg_restore", 1, SERVER)], Trouble.TOOL, "pg_restore ended with status 1"),
        ([ended("zstd", -9), ended("pg_restore", 1, SPOILED)], Trouble.CANCELLED, "zstd ended by signal 9"),
        ([ended("pg_restore", 1, "could not decompress data: Restored data")], Trouble.TOOL, "pg_restore ended"),
        ([ended("pg_restore", 1, "pg_restore: error: could not decompress data: x")], Trouble.DAMAGED, "pg_restore"),
        ([ended("pg_restore", 1, 'ERROR:  could not extend file "x"')], Trouble.SPACE, "pg_restore ended with"),
        ([ended("pg_restore", 1, "could not send: Broken pipe")], Trouble.TOOL, "pg_restore ended with status 1"),
    ],
)
def test_a_restore_that_fails_blames_the_dump_for_what_is_in_it_alone(
    programs: list[Ended], trouble: Trouble, why: str
) -> None:
    """Not for what the server says of a row, nor for a program that was ended, nor for one that was only cut off."""
    with pytest.raises(BackupError) as caught:
        _checked(Destination(entry=an_entry(), name="shop"), Output(stdout=b"", ended=tuple(programs)))
    assert (caught.value.trouble, caught.value.why[: len(why)]) == (trouble, why)


LIST = """;
; Archive created at 2026-11-21 17:52:14 UTC
;
3386; 0 0 ENCODING - ENCODING
2; 3079 1 EXTENSION - hstore
6; 2615 16384 SCHEMA - S X postgres
845; 1247 16386 TYPE S X mood postgres
;	depends on: 6
10; 1259 1 TABLE S X my tab postgres
;	depends on: 845 6
11; 1259 1 TABLE S X my tab postgres too postgres
;	depends on: 6
12; 1259 1 TABLE public a.b postgres
13; 0 1 TABLE DATA S X my tab postgres
;	depends on: 10
14; 0 1 TABLE DATA public a.b postgres
;	depends on: 12
15; 0 0 SEQUENCE S X seq postgres
;	depends on: 10
16; 0 0 SEQUENCE SET S X seq postgres
;	depends on: 15
17; 2606 1 FK CONSTRAINT S X my tab fk postgres
;	depends on: 10 12
18; 0 0 ACL S X TABLE my tab postgres
;	depends on: 10
19; 0 0 COMMENT - SCHEMA S X postgres
;	depends on: 6
20; 0 0 VIEW public v postgres
;	depends on: 10
"""


@pytest.mark.parametrize(
    ("tables", "chosen"),
    [
        (["S X.my tab"], (2, 6, 845, 10, 13, 15, 16, 18, 19)),
        (['"S X"."my tab"'], (2, 6, 845, 10, 13, 15, 16, 18, 19)),
        (['"S X".my tab'], (2, 6, 845, 10, 13, 15, 16, 18, 19)),
        (['S X."my tab"'], (2, 6, 845, 10, 13, 15, 16, 18, 19)),
        (["a.b"], (2, 12, 14)),
        (["public.a.b", "S X.my tab"], (2, 6, 845, 10, 12, 13, 14, 15, 16, 17, 18, 19)),
    ],
)
def test_a_selection_takes_what_tables_need_and_what_belongs_to_them(
    tables: list[str], chosen: tuple[int, ...]
) -> None:
    """No other table's rows, no view, no key to a table that is not chosen; in the order of the list."""
    assert selection(listed(LIST), tables, {"postgres"}) == chosen


def test_a_selection_knows_a_table_by_its_whole_name() -> None:
    """Not by its beginning: what follows must be an owner."""
    with pytest.raises(BackupError) as caught:
        selection(listed(LIST), ["S X.my"], {"postgres"})
    assert caught.value.line == "toban: table S X.my: is not in this dump (name it as schema.table)"
