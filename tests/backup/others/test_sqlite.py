"""SQLite files, copied while somebody writes, and put back: real files, real writers, real damage."""

import gzip
import os
import sqlite3
import stat
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backup.children import Command
from backup.engines.contract import Looking
from backup.engines.sqlite import Sqlite
from backup.errors import BackupError
from backup.programs import Programs
from backup.restore.contract import Wanted
from backup.restore.sqlite import SqliteRestorer
from tests import sqlite_files
from tests.backup.others.making import Plain, Shop, a_shop, faults, file_of, flip, wanted
from tests.sqlite_files import ROLLBACK, Writer, a_database, application, contents, held
from toban.backups import TableRows, Trouble

pytestmark = pytest.mark.integration
ODD = "台帳 'it''s' \"x\" 100%.db"


def shop(tmp_path: Path, path: Path, **keys: Any) -> Shop:  # noqa: ANN401 - any field or key
    """A job for that file."""
    return a_shop(tmp_path, Sqlite(), "sqlite", path=path, **keys)


def rows(path: Path, sql: str = "SELECT id, note FROM trade ORDER BY id") -> list[tuple[object, ...]]:
    """What is in a file, without anything being made beside it."""
    with closing(sqlite3.connect(f"{path.as_uri()}?immutable=1", uri=True)) as connection:
        return connection.execute(sql).fetchall()


@pytest.mark.parametrize(
    ("journal_mode", "compress"),
    [
        (ROLLBACK, "none"),
        (sqlite_files.WAL, "none"),
        (ROLLBACK, "zstd:1"),
        (ROLLBACK, "lz4"),
        (sqlite_files.WAL, "gzip"),
    ],
)
async def test_sqlite_comes_back_as_it_was(journal_mode: str, compress: str, tmp_path: Path) -> None:
    """Rows, version and mode, by each way of packing, in either journal mode, by an awkward name."""
    source = a_database(tmp_path / ODD, journal_mode)
    source.chmod(0o640)
    work = shop(tmp_path, source, compress=compress)
    record = await work.made()
    assert record.manifest.rows == (TableRows(database="main", schema="", table="trade", rows=250),)
    assert [check.ok for check in await work.verified(record)] == [True, True, True]
    place = tmp_path / "back" / "台帳 again.db"
    place.parent.mkdir()
    restored = await SqliteRestorer().restore(
        wanted(record, data_dir=place), work.around, work.workspace(), work.told.append
    )
    assert rows(place) == rows(source)
    assert rows(place, "PRAGMA user_version") == [(7,)]
    assert stat.S_IMODE(place.stat().st_mode) == 0o640
    assert [path.name for path in place.parent.iterdir()] == [place.name]
    assert restored.detail["rows"] == {"trade": 250}
    assert restored.left_to_do == ("start the application that uses it",)
    assert work.leftovers() == []


async def test_sqlite_rows_that_stand_only_in_the_log_are_in_the_copy(tmp_path: Path) -> None:
    """Copying the main file alone would lose them, and integrity_check would call it well."""
    source = a_database(tmp_path / "ledger.db", sqlite_files.WAL, rows=2)
    with closing(application(source, sqlite_files.WAL)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.executemany("INSERT INTO trade (note) VALUES (?)", ((str(n),) for n in range(1000)))
        work = shop(tmp_path, source)
        record = await work.made()
        before = sorted(path.name for path in tmp_path.glob("ledger*"))  # noqa: ASYNC240 - nothing waits
        assert before == ["ledger.db", "ledger.db-shm", "ledger.db-wal"]
    assert record.manifest.rows[0].rows == 1001
    assert record.manifest.detail["journal_mode"] == "wal"


@pytest.mark.parametrize("journal_mode", [ROLLBACK, sqlite_files.WAL])
async def test_sqlite_under_a_busy_writer_is_copied_in_one_pass(journal_mode: str, tmp_path: Path) -> None:
    """Page by page the copy would begin anew with every commit; each of three is whole, and the writer gets on."""
    source = a_database(tmp_path / "ledger.db", journal_mode, rows=4000)
    work = shop(tmp_path, source)
    with Writer(source) as writer:
        records = [await work.made() for _ in range(3)]
    for record in records:
        assert faults(await work.verified(record)) == {}
        assert record.manifest.rows[0].rows == 2000
    assert writer.commits > 3


async def test_sqlite_of_one_moment_though_two_tables_change_together(tmp_path: Path) -> None:
    """What one transaction moves from here to there is never seen twice, and never nowhere."""
    source = tmp_path / "ledger.db"
    with closing(application(source, sqlite_files.WAL)) as connection:
        connection.execute("CREATE TABLE trade (id integer PRIMARY KEY, note text, here int)")
        connection.executemany("INSERT INTO trade VALUES (?, 'x', 0)", ((n,) for n in range(100)))
        connection.execute("CREATE TABLE total (number int)")
        connection.execute("INSERT INTO total VALUES (0)")
        connection.execute(
            "CREATE TRIGGER both AFTER UPDATE OF note ON trade BEGIN"
            " UPDATE trade SET here = here + 1 WHERE id = new.id; UPDATE total SET number = number + 1; END"
        )
    work = shop(tmp_path, source)
    with Writer(source):
        records = [await work.made() for _ in range(3)]
    for record in records:
        copied = file_of(record, "database.sqlite3")
        assert rows(copied, "SELECT sum(here) FROM trade") == rows(copied, "SELECT number FROM total")


@pytest.mark.parametrize("journal_mode", [ROLLBACK, sqlite_files.WAL])
async def test_sqlite_backup_leaves_nothing_beside_the_file(journal_mode: str, tmp_path: Path) -> None:
    """A -wal or -shm of ours would lock the application out."""
    (tmp_path / "app").mkdir()
    source = a_database(tmp_path / "app" / "ledger.db", journal_mode)
    before = contents(source.parent)
    await shop(tmp_path, source).made()
    assert contents(source.parent) == before


async def test_sqlite_left_by_a_crash_is_copied_with_its_log(tmp_path: Path) -> None:
    """A killed application leaves -wal and -shm; what it committed is in the copy, and nothing is touched."""
    (tmp_path / "app").mkdir()
    source = a_database(tmp_path / "app" / "ledger.db", sqlite_files.WAL, rows=2)
    with held(source, "PRAGMA user_version=99"):
        pass
    before = contents(source.parent)
    record = await shop(tmp_path, source).made()
    assert record.manifest.detail["user_version"] == 99
    assert contents(source.parent) == before


async def test_sqlite_keeps_counts_of_odd_tables_and_broken_references(tmp_path: Path) -> None:
    """Names with quotes, tables without rowid, full-text search; a foreign key that leads nowhere is only noted."""
    source = tmp_path / "ledger.db"
    with closing(application(source)) as connection:
        connection.execute('CREATE TABLE "it\'s ""odd"" 表" (a PRIMARY KEY) WITHOUT ROWID')
        connection.execute('INSERT INTO "it\'s ""odd"" 表" VALUES (1), (2)')
        connection.execute("CREATE TABLE child (parent REFERENCES nowhere (id))")
        connection.execute("CREATE TABLE nowhere (id integer PRIMARY KEY)")
        connection.execute("INSERT INTO child VALUES (7)")
        connection.execute("CREATE VIRTUAL TABLE search USING fts5 (words)")
    work = shop(tmp_path, source)
    record = await work.made()
    counts = {one.table: one.rows for one in record.manifest.rows}
    assert counts['it\'s "odd" 表'] == 2
    assert "search" not in counts
    assert record.manifest.notes == ("1 rows break a foreign key, which SQLite minds with PRAGMA foreign_keys alone",)
    assert faults(await work.verified(record)) == {}


async def test_sqlite_with_a_collation_of_its_own_is_looked_at_as_far_as_can_be(tmp_path: Path) -> None:
    """Its indexes cannot be held against their tables by anybody else: kept, and noted."""
    source = tmp_path / "ledger.db"
    with closing(application(source)) as connection:
        connection.create_collation("own", lambda a, b: (a > b) - (a < b))
        connection.execute("CREATE TABLE word (text text COLLATE own PRIMARY KEY)")
        connection.execute("INSERT INTO word VALUES ('a'), ('b')")
    record = await shop(tmp_path, source).made()
    assert record.manifest.notes == ("indexes could not be held against their tables: no such collation sequence: own",)


@pytest.mark.parametrize("what", ["page", "index"])
async def test_sqlite_that_is_damaged_is_not_kept_as_a_backup(what: str, tmp_path: Path) -> None:
    """Neither a spoiled page nor an index that lacks a row, which quick_check would not see."""
    source = a_database(tmp_path / "ledger.db", rows=4000)
    if what == "page":
        flip(source, 4096 * 5 + 3)
    else:
        with closing(application(source)) as connection:
            connection.execute("PRAGMA writable_schema=on")
            connection.execute("UPDATE sqlite_master SET sql = sql || ' WHERE id < 5' WHERE name = 'trade_note'")
    with pytest.raises(BackupError, match="is damaged") as failed:
        await shop(tmp_path, source).made()
    assert failed.value.trouble is Trouble.DAMAGED
    assert "restore an earlier one" in failed.value.hint


@pytest.mark.parametrize(
    ("made_of", "trouble", "words"),
    [
        ("nothing", Trouble.MISSING, "is not there"),
        ("folder", Trouble.CONFIGURATION, "is no file"),
        ("text", Trouble.DAMAGED, "the file is no SQLite database"),
        ("exclusive", Trouble.LOCKED, "its write-ahead log cannot be shared"),
        ("locked", Trouble.LOCKED, "database is locked"),
    ],
)
async def test_sqlite_that_cannot_be_read_says_why(made_of: str, trouble: Trouble, words: str, tmp_path: Path) -> None:
    """One sentence, and what kind of trouble it is."""
    source = tmp_path / "ledger.db"
    work = shop(tmp_path, source, lock_wait="100ms")
    if made_of == "folder":
        source.mkdir()
    elif made_of == "text":
        source.write_text("no database\n" * 100)
    elif made_of in ("exclusive", "locked"):
        a_database(source, sqlite_files.WAL if made_of == "exclusive" else ROLLBACK)
    holding = {
        "exclusive": ("PRAGMA locking_mode=exclusive", "INSERT INTO trade (note) VALUES ('x')"),
        "locked": ("BEGIN EXCLUSIVE",),
    }.get(made_of)
    with held(source, *holding) if holding else nullcontext(), pytest.raises(BackupError, match=words) as failed:
        await work.made()
    assert failed.value.trouble is trouble


@pytest.mark.parametrize(
    ("compress", "how"),
    [("none", "flipped"), ("none", "truncated"), ("zstd:1", "flipped"), ("lz4", "flipped"), ("gzip", "truncated")],
)
async def test_sqlite_copy_that_was_spoiled_is_found_out(compress: str, how: str, tmp_path: Path) -> None:
    """A byte turned over, half of it gone: by verifying, and by a restore, which leaves nothing behind."""
    source = a_database(tmp_path / "ledger.db", rows=2000)
    work = shop(tmp_path, source, compress=compress)
    record = await work.made()
    copied = file_of(record, record.manifest.detail["file"])
    if how == "flipped":
        flip(copied, 4096 * 3 + 3 if compress == "none" else copied.stat().st_size // 2)
    else:
        os.truncate(
            copied, copied.stat().st_size // 2 // 4096 * 4096 if compress == "none" else copied.stat().st_size // 2
        )
    assert faults(await work.verified(record))
    place = tmp_path / "back" / "ledger.db"
    place.parent.mkdir()
    with pytest.raises(BackupError):
        await SqliteRestorer().restore(wanted(record, data_dir=place), work.around, work.workspace(), work.told.append)
    assert list(place.parent.iterdir()) == []


async def test_sqlite_copy_with_a_row_less_is_found_out(tmp_path: Path) -> None:
    """A file that is whole in itself and is not what was backed up."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"))
    record = await work.made()
    with closing(application(file_of(record, "database.sqlite3"))) as connection:
        connection.execute("DELETE FROM trade WHERE id = 1")
    assert faults(await work.verified(record)) == {"rows": "trade has 249, not 250"}


async def test_sqlite_path_with_two_slashes_is_the_same_file(tmp_path: Path) -> None:
    """As a URI it would name a host; `sqlite:////srv/x` for the state makes such paths."""
    a_database(tmp_path / "ledger.db")
    (tmp_path / "home").mkdir()
    work = shop(Path(f"/{tmp_path}/home"), Path(f"/{tmp_path}/ledger.db"), compress="zstd:1")
    assert str(work.home).startswith("//")
    assert faults(await work.verified(await work.made())) == {}


async def test_sqlite_behind_a_link_is_copied_with_the_log_beside_the_file_itself(tmp_path: Path) -> None:
    """Beside the link there is none: taken for a file at rest, it would lose what its application has committed."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "app").mkdir()
    source = a_database(tmp_path / "disk" / "ledger.db", sqlite_files.WAL, rows=2)
    link = tmp_path / "app" / "ledger.db"
    link.symlink_to(source)
    work = shop(tmp_path, link)
    with held(source, "PRAGMA wal_autocheckpoint=0", "PRAGMA user_version=99"):
        log = source.with_name("ledger.db-wal").stat().st_size
        assert (await Sqlite().estimate(work.making())).size_bytes == source.stat().st_size + log
        record = await work.made()
    assert record.manifest.detail["user_version"] == 99
    assert record.manifest.detail["journal_mode"] == "wal"


@pytest.mark.parametrize(
    ("script", "trouble"),
    [
        ("echo 'zstd: error 70 : Write error : No space left on device' >&2; exit 1", Trouble.SPACE),
        ("kill -9 $$", Trouble.CANCELLED),
    ],
)
async def test_sqlite_copy_that_this_machine_cannot_unpack_is_not_called_damaged(
    script: str, trouble: Trouble, tmp_path: Path
) -> None:
    """No room in the workspace, a program that is gone or was killed: all of that says nothing about the backup."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"), compress="zstd:1")
    record = await work.made()
    program = tmp_path / "bin" / "zstd"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    around = replace(work.around, programs=Programs((program.parent,)))
    contents = Plain(place=Path(record.place))
    looking = Looking(
        record=record,
        contents=contents,
        lineage=((record, contents),),
        around=around,
        tell=work.told.append,
        workspace=work.workspace(),
    )
    with pytest.raises(BackupError) as failed:
        await Sqlite().verify(looking)
    assert failed.value.trouble is trouble


async def test_sqlite_is_estimated_with_its_log(tmp_path: Path) -> None:
    """What stands in the log only is copied too."""
    source = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    work = shop(tmp_path, source)
    assert (await Sqlite().estimate(work.making())).source_bytes == source.stat().st_size
    with held(source, "PRAGMA wal_autocheckpoint=0", "UPDATE trade SET note = 'x'"):
        log = source.with_name("ledger.db-wal").stat().st_size
        assert log > 0
        assert (await Sqlite().estimate(work.making())).size_bytes == source.stat().st_size + log
    nowhere = a_shop(tmp_path / "home", Sqlite(), "sqlite")
    (tmp_path / "home").mkdir()
    with pytest.raises(BackupError, match="names no file"):
        await Sqlite().estimate(nowhere.making())


class Sealed(Plain):
    """A backup whose files lie there sealed; gzip stands in for the seal."""

    def source(self, name: str) -> tuple[Path, tuple[Command, ...]]:
        """The sealed file, and what opens it."""
        return self.place / f"{name}.sealed", (Command(words=("/bin/gzip", "-dc")),)


@pytest.mark.parametrize("compress", ["none", "zstd:1"])
async def test_sqlite_copy_that_lies_there_sealed_is_read_through_its_seal(compress: str, tmp_path: Path) -> None:
    """By verifying and by a restore; what is in the repository stays sealed."""
    work = shop(tmp_path, a_database(tmp_path / "ledger.db"), compress=compress)
    record = await work.made()
    copied = file_of(record, record.manifest.detail["file"])
    copied.with_name(f"{copied.name}.sealed").write_bytes(gzip.compress(copied.read_bytes()))
    copied.unlink()
    contents = Sealed(place=copied.parent)
    looking = Looking(
        record=record,
        contents=contents,
        lineage=((record, contents),),
        around=work.around,
        tell=work.told.append,
        workspace=work.workspace(),
    )
    assert faults(await Sqlite().verify(looking)) == {}
    asked = Wanted(record=record, lineage=((record, contents),), data_dir=tmp_path / "back.db")
    await SqliteRestorer().restore(asked, work.around, work.workspace(), work.told.append)
    assert len(rows(tmp_path / "back.db")) == 250
    assert [path.name for path in copied.parent.iterdir()] == [f"{copied.name}.sealed"]
