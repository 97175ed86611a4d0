import asyncio
import hashlib
from pathlib import Path
from typing import Any

import pytest

from backup.children import Children
from backup.engines.dumping.counting import Table
from backup.engines.dumping.growing import growing
from backup.engines.dumping.listening import Listener
from backup.engines.dumping.packing import Packing, packing_for, unpacker
from backup.engines.dumping.progress import Course, share_of, within
from backup.engines.dumping.properties import Grant, Properties, Setting, creation, dressing, settings
from backup.engines.dumping.reading import told_by
from backup.errors import BackupError
from backup.programs import Programs
from tests.backup.dump.dumps import a_job
from tests.daemon.answers.kept import a_manifest
from tests.waiting import eventually
from toban.backups import Progress, Trouble


@pytest.mark.parametrize(
    ("packing", "major", "words", "file", "compression"),
    [
        (Packing(format="custom", pipe="zstd", level=3), 15, "--compress=0", "2-a_b.dump.zst", "zstd:3"),
        (Packing(format="custom", own="zstd", level=3), 16, "--compress=zstd:3", "2-a_b.dump", "zstd:3"),
        (Packing(format="custom", own="lz4"), 17, "--compress=lz4", "2-a_b.dump", "lz4"),
        (Packing(format="custom", own="gzip", level=1), 15, "--compress=1", "2-a_b.dump", "gzip:1"),
        (Packing(format="directory", own="gzip"), 15, "--compress=6", "2-a_b.dump", "gzip"),
        (Packing(format="plain", pipe="lz4"), 15, "--compress=0", "2-a_b.sql.lz4", "lz4"),
        (Packing(format="plain"), 15, "--compress=0", "2-a_b.sql", "none"),
    ],
)
def test_packing_says_what_pg_dump_does_and_what_a_pipe(
    packing: Packing, major: int, words: str, file: str, compression: str
) -> None:
    """In the words of each version; the file's name tells how to read it."""
    assert packing.words(major) == (f"--format={packing.format}", words)
    assert (packing.file(2, "a/b"), packing.compression) == (file, compression)


def test_packing_makes_safe_names_of_any() -> None:
    """Nothing of a database's name leads out of the folder, hides the file, or makes the name too long."""
    packing = Packing(format="custom")
    names = ["../../etc/passwd", ".hidden", "店", "x" * 63, "a b'\"", "-rf"]
    assert [packing.file(1, name) for name in names] == [
        "1-_.._etc_passwd.dump",
        "1-hidden.dump",
        "1-_.dump",
        f"1-{'x' * 40}.dump",
        "1-a_b_.dump",
        "1--rf.dump",
    ]


def a_pg_dump(folder: Path, *, built: bool) -> Path:
    """A program that says what a pg_dump says of `--compress`."""
    path = folder / "pg_dump"
    said = "could not connect" if built else "this build does not support compression with ZSTD"
    path.write_text(f"#!/bin/sh\necho 'pg_dump: error: {said}' >&2; exit 1\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("options", "major", "built", "expected"),
    [
        ({}, 15, True, Packing(format="custom", pipe="zstd")),
        ({"compress": "zstd:5"}, 16, True, Packing(format="custom", own="zstd", level=5)),
        ({"compress": "zstd:5"}, 16, False, Packing(format="custom", pipe="zstd", level=5)),
        ({"compress": "none", "format": "directory"}, 16, True, Packing(format="directory")),
        ({"compress": "gzip"}, 15, True, Packing(format="custom", own="gzip")),
        ({"format": "plain"}, 17, True, Packing(format="plain", pipe="zstd")),
        ({"format": "directory"}, 15, True, Packing(format="directory", own="gzip", level=1)),
        ({"format": "directory"}, 17, True, Packing(format="directory", own="zstd")),
        (
            {"format": "directory", "compress": "zstd"},
            15,
            True,
            Packing(
                format="directory",
                own="gzip",
                level=1,
                notes=("this pg_dump 15 has no zstd for the directory format: gzip at level 1 was taken",),
            ),
        ),
        ({"bandwidth": "1MB"}, 15, True, Packing(format="custom", pipe="zstd", bytes_a_second=1024**2)),
        (
            {"bandwidth": "1MB", "format": "directory", "compress": "gzip"},
            15,
            True,
            Packing(
                format="directory", own="gzip", notes=("bandwidth was not limited: the directory format has none",)
            ),
        ),
    ],
)
async def test_packing_takes_what_this_pg_dump_has(
    options: dict[str, str],
    major: int,
    built: bool,  # noqa: FBT001 - a property of the program
    expected: Packing,
    tmp_path: Path,
) -> None:
    """Its own compression where it was built with it, else a pipe, else what there is; and says so."""
    children = Children()
    program = a_pg_dump(tmp_path, built=built)
    assert await packing_for(a_job(**options), program, major, packers(tmp_path), children) == expected
    await children.close()


def packers(folder: Path) -> Programs:
    """Every program that packs or holds back, as a machine has them that has all of them."""
    there = folder / "packers"
    there.mkdir()
    for name in ("pv", "zstd", "lz4", "gzip"):
        (there / name).touch()
    return Programs((there,))


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"format": "tar"}, "a dump of PostgreSQL has no format tar; it is one of custom, directory, plain"),
        ({"compress": "zstd:20"}, "zstd has levels from 1 to 19, and zstd:20 asks for 20"),
        ({"compress": "gzip:0"}, "gzip has levels from 1 to 9, and gzip:0 asks for 0"),
    ],
)
async def test_packing_refuses_what_there_is_not(options: dict[str, str], why: str, tmp_path: Path) -> None:
    """As a mistake of the configuration."""
    with pytest.raises(BackupError) as caught:
        await packing_for(a_job(**options), a_pg_dump(tmp_path, built=True), 16, Programs(), Children())
    assert (caught.value.why, caught.value.trouble) == (why, Trouble.CONFIGURATION)


def test_packing_does_without_what_is_not_on_the_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Where nobody asked for anything."""
    monkeypatch.setattr(Programs, "has", lambda _self, *names: not {"zstd", "pv"} & set(names))
    job = a_job(bandwidth=1000)
    packing = asyncio.run(packing_for(job, a_pg_dump(tmp_path, built=True), 15, Programs(), Children()))
    note = "bandwidth was not limited: pv is not on this machine"
    assert packing == Packing(format="custom", own="gzip", level=1, notes=(note,))


def test_packing_is_held_back_by_a_program_of_its_own(tmp_path: Path) -> None:
    """Before it is packed: what is limited is what is read from the server."""
    packing = Packing(format="custom", pipe="zstd", level=3, bytes_a_second=5000)
    words = [(Path(command.words[0]).name, *command.words[1:]) for command in packing.packer(packers(tmp_path))]
    assert words == [("pv", "-q", "-L", "5000"), ("zstd", "-q", "-3", "-c")]


def test_unpacker_reads_what_a_packer_wrote(tmp_path: Path) -> None:
    """By the same program, quiet; nothing where nothing was packed behind pg_dump."""
    programs = packers(tmp_path)
    assert [command.words[1:] for command in unpacker("zstd", programs)] == [("-q", "-d", "-c")]
    assert [command.words[1:] for command in unpacker("gzip", programs)] == [("-d", "-c")]
    assert unpacker(None, programs) == ()


def test_properties_come_back_from_json_as_they_were() -> None:
    """Whatever is in them; what a later version adds is passed by."""
    properties = Properties(
        owner="o'neill",
        grants=(Grant(grantee=None, privilege="CONNECT"), Grant(grantee="r", privilege="TEMPORARY", grantable=True)),
        settings=(Setting(name="work_mem", value="5MB"), Setting(name="search_path", value="a", role="r")),
        roles=("o'neill", "r"),
        extensions={"hstore": "1.8"},
        tablespaces=("fast",),
    )
    assert Properties.from_json({**properties.as_json(), "later": 1}) == properties
    assert Properties.from_json(Properties().as_json()).grants is None


@pytest.mark.parametrize(
    ("properties", "version", "rest"),
    [
        (Properties(), 140010, "LC_COLLATE 'C' LC_CTYPE 'C'"),
        (Properties(), 150001, "LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"),
        (
            Properties(provider="i", locale="ja-JP", rules="&a<b"),
            160000,
            "LOCALE_PROVIDER icu LC_COLLATE 'C' LC_CTYPE 'C' ICU_LOCALE 'ja-JP' ICU_RULES '&a<b'",
        ),
        (
            Properties(provider="b", locale="C.UTF-8", tablespace="fast"),
            170000,
            "LOCALE_PROVIDER builtin LC_COLLATE 'C' LC_CTYPE 'C' BUILTIN_LOCALE 'C.UTF-8' TABLESPACE \"fast\"",
        ),
    ],
)
def test_properties_make_a_database_in_the_words_of_each_version(
    properties: Properties, version: int, rest: str
) -> None:
    """Always from the empty template."""
    beginning = 'CREATE DATABASE "a ""b""" TEMPLATE template0 ENCODING \'UTF8\' '
    assert creation('a "b"', properties, version=version) == beginning + rest


def test_properties_quote_whatever_they_say() -> None:
    """Lists of names are quoted each for itself; an empty list is no name."""
    properties = Properties(
        comment="it's \\ so",
        settings=(Setting(name="search_path", value='"$user", a b, "x ""y"""'), Setting(name="search_path", value="")),
    )
    assert list(dressing("d", properties)) == ["COMMENT ON DATABASE \"d\" IS E'it''s \\\\ so'"]
    assert list(settings("d", properties)) == [
        "ALTER DATABASE \"d\" SET \"search_path\" TO '$user', 'a', 'b', 'x \"y\"'",
        'ALTER DATABASE "d" SET "search_path" TO \'\'',
    ]


def test_a_listener_tells_news_from_complaints() -> None:
    """A table whose name has `error` in it is none; the reason is the first error with what belongs to it."""
    reached: list[str] = []
    listener = Listener(reached.append)
    listener.hear("pg_dump: reading user-defined tables")
    assert not listener.locked.is_set()
    listener.hear("pg_dump: reading user-defined functions")
    assert listener.locked.is_set()
    listener.hear('pg_dump: dumping contents of table "public.error: no"')
    for line in ("pg_dump: warning: careful", "pg_dump: warning: careful", "pg_dump: error: no", "pg_dump: detail: so"):
        listener.hear(line)
    assert reached == ["public.error: no"]
    assert listener.why == "error: no detail: so"
    assert listener.warnings == ("pg_dump: warning: careful", "pg_dump: error: no", "pg_dump: detail: so")
    assert Listener(reached.append).why == ""


def test_a_listener_keeps_the_last_complaints_only() -> None:
    """However many there are, and however long."""
    listener = Listener(lambda _: None)
    for number in range(50):
        listener.hear(f"pg_dump: warning: {number} {'x' * 1000}")
    assert len(listener.complaints) == 30
    assert listener.complaints[-1].startswith("pg_dump: warning: 49 ")
    assert max(map(len, listener.complaints)) == 600


def a_table(name: str, size_bytes: int = 100, **values: Any) -> Table:  # noqa: ANN401 - what a table has
    """A table of some pages."""
    options: dict[str, Any] = {"oid": 1, "rows_then": 10.0, "pages_then": 2, "pages": 4, **values}
    return Table(schema="public", name=name, unlogged=False, size_bytes=size_bytes, **options)


@pytest.mark.parametrize(
    ("values", "estimate"),
    [({}, 20), ({"pages": 0}, 0), ({"rows_then": -1.0}, None), ({"pages_then": 0}, None)],
)
def test_a_table_is_estimated_as_a_planner_would(values: dict[str, Any], estimate: int | None) -> None:
    """By the density of then and the size of now; unknown where nobody has looked yet."""
    assert a_table("a", **values).estimate == estimate


def test_a_course_goes_by_the_tables_it_has_reached() -> None:
    """In terms of the database's size, after those before it; never further than there is."""
    told: list[Progress] = []
    course = Course(tell=told.append, database="d", size_bytes=1000, before_bytes=50, total_bytes=1050, ratio=2.0)
    course.know([a_table("a", 100), a_table("b", 300)])
    course.say(0)
    course.reach("public.a", 0)
    course.say(30)
    course.reach("public.b", 40)
    course.say(1000)
    assert [(one.done_bytes, one.what) for one in told] == [
        (50, "d"),
        (50, "d: public.a"),
        (200, "d: public.a"),
        (300, "d: public.b"),
        (1050, "d: public.b"),
    ]
    assert {one.total_bytes for one in told} == {1050}
    course.know([a_table("a", 100)])
    course.say(10)
    assert (told[-1].done_bytes, told[-1].what) == (50, "d")
    assert (within(10, 100, 3.0), share_of(100, 0, 5)) == (10, 0)


async def test_the_digest_of_a_growing_file_is_that_of_the_whole(tmp_path: Path) -> None:
    """Also of what is written after it has caught up, and of a file that is not there at first."""
    path = tmp_path / "growing"
    async with growing(path) as digest:
        path.write_bytes(b"one")
        await eventually(lambda: digest.size_bytes == 3)
        with path.open("ab") as file:
            file.write(b"two" * 1_000_000)
        stored = await digest.stored("name")
    content = path.read_bytes()
    assert (stored.path, stored.size_bytes, stored.sha256) == (
        "name",
        len(content),
        hashlib.sha256(content).hexdigest(),
    )


async def test_the_digest_of_a_file_that_never_comes_is_given_up(tmp_path: Path) -> None:
    """The block ends, and so does the reading."""
    async with growing(tmp_path / "never") as digest:
        pass
    assert digest.size_bytes == 0
    async with growing(tmp_path / "never") as digest:
        assert (await digest.stored("never")).size_bytes == 0


def test_a_manifest_that_does_not_tell_of_its_files_is_damaged() -> None:
    """Whoever has edited it."""
    manifest = a_manifest(id="x", detail={"format": "custom", "databases": [{"name": "shop"}]})
    with pytest.raises(BackupError) as caught:
        told_by(manifest)
    assert caught.value.trouble is Trouble.DAMAGED
    assert caught.value.line == "toban: backup x: its manifest does not tell of its files (KeyError: 'file')"
