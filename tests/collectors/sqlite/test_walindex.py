"""The counts of a database in WAL mode without a lock: what SQLite says, out of its own index."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from collectors.sqlite import survey as surveying
from collectors.sqlite import walindex
from collectors.sqlite.looking import Look
from collectors.sqlite.survey import Counts, query, survey
from tests import sqlite_files
from tests.sqlite_files import Writer, a_database, application, can_write, held

pytestmark = pytest.mark.integration
TIDY = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('select 1 from trade'); c.close()"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of SQLite in a transaction of ours, which takes its turn among its locks."""
    names: list[str] = []
    real = surveying.rows_of

    def rows_of(connection: sqlite3.Connection, name: str) -> object:
        names.append(name)
        return real(connection, name)

    monkeypatch.setattr(surveying, "rows_of", rows_of)
    return names


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """A database in WAL mode that another process has open."""
    made = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with held(made, "PRAGMA wal_autocheckpoint=0", "SELECT 1 FROM trade"):
        yield made


def by_sqlite(path: Path) -> Counts:
    """What SQLite says in this moment."""
    with closing(application(path, sqlite_files.WAL)) as connection:
        size, pages, free, schema, user = connection.execute(query("counts")).fetchone()
    return Counts(page_size_bytes=size, pages=pages, free_pages=free, schema_version=schema, user_version=user)


def changed(path: Path, *statements: str) -> None:
    """Commits of another connection, which stay in the log."""
    with closing(application(path, sqlite_files.WAL)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        for statement in statements:
            connection.execute(statement)


@pytest.mark.parametrize(
    "statements",
    [
        ("PRAGMA user_version=99", "CREATE TABLE more (a)"),  # page 1 is in the log
        ("INSERT INTO trade (note) SELECT hex(randomblob(1500)) FROM trade",),
        ("PRAGMA wal_checkpoint(RESTART)", "UPDATE trade SET note = 'x' WHERE id = 1"),  # page 1 is in the file alone
        ("UPDATE trade SET note = note || 'y'", "DELETE FROM trade", "PRAGMA incremental_vacuum"),
    ],
)
def test_sqlite_counts_without_a_lock_are_those_of_sqlite(
    statements: tuple[str, ...], path: Path, asked: list[str]
) -> None:
    """Wherever the first page lies, and however the log has grown."""
    changed(path, *statements)
    found = survey(Look(path))
    assert asked == []
    assert found.counts == by_sqlite(path)


def test_sqlite_first_page_is_found_beyond_the_first_block_of_the_index(path: Path, asked: list[str]) -> None:
    """A log of more than four thousand frames has several; it is searched from its end."""
    changed(path, "PRAGMA synchronous=off", "PRAGMA user_version=5")
    with closing(application(path, sqlite_files.WAL)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        connection.execute("CREATE TABLE large (a)")
        connection.execute(
            "INSERT INTO large WITH n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
            " SELECT randomblob(4000) FROM n"
        )
        connection.execute("UPDATE large SET a = randomblob(4000) WHERE rowid < 5000")
    assert (path.with_name("ledger.db-wal")).stat().st_size > 9000 * 4096
    found = survey(Look(path))
    assert asked == []
    assert found.counts == by_sqlite(path)
    assert found.counts is not None
    assert found.counts.user_version == 5


def test_sqlite_look_takes_no_part_in_the_locks_of_a_restless_writer(tmp_path: Path, asked: list[str]) -> None:
    """None of three hundred looks asks SQLite, so that none can stand in the way."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with Writer(path) as writer:
        for _ in range(300):
            found = survey(Look(path))
            assert found.counts is not None
            assert (found.counts.user_version, found.counts.page_size_bytes) == (7, 4096)
    assert writer.commits > 0
    assert writer.refused == 0
    assert asked == []


def test_sqlite_index_that_nobody_has_open_is_left_to_sqlite(tmp_path: Path, asked: list[str]) -> None:
    """After a crash it may be wrong, and there is nobody to be refused."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL, rows=2)
    with held(path, "PRAGMA user_version=99"):
        pass
    found = survey(Look(path))
    assert asked == ["counts"]
    assert found.counts is not None
    assert found.counts.user_version == 99


@pytest.mark.parametrize(
    ("at", "what"), [(8, b"\xff\xff\xff\xff"), (0, b"\1\0\0\0"), (12, b"\0"), (16, b"\xff\xff\xff\x7f")]
)
def test_sqlite_index_that_cannot_be_made_out_is_left_to_sqlite(
    at: int, what: bytes, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is being changed, of another version, not begun, or beyond reason."""
    changed(path, "PRAGMA user_version=99")
    real = walindex._raw
    copies = (0,) if at == 8 else (0, walindex.COPY_BYTES)  # one alone: in the middle of a change

    def raw(descriptor: int) -> bytes:
        found = bytearray(real(descriptor))
        for copy in copies:
            found[copy + at : copy + at + len(what)] = what
        return bytes(found)

    monkeypatch.setattr(walindex, "_raw", raw)
    monkeypatch.setattr(walindex, "PAUSE_SECONDS", 0.0)
    shared, log = path.with_name("ledger.db-shm"), path.with_name("ledger.db-wal")
    assert walindex.found_in(shared, log, lambda: pytest.fail("not asked")) is None
    found = survey(Look(path))
    assert found.counts is not None
    assert found.counts.user_version == 99


def test_sqlite_frame_of_an_earlier_log_is_not_believed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log began anew between two reads: its salt is another one."""
    changed(path, "PRAGMA user_version=99")
    monkeypatch.setattr(walindex, "PAUSE_SECONDS", 0.0)
    shared, log = path.with_name("ledger.db-shm"), path.with_name("ledger.db-wal")
    foreign = log.with_name("other")
    foreign.write_bytes(log.read_bytes().replace(log.read_bytes()[16:24], b"saltsalt"))
    assert walindex.found_in(shared, foreign, lambda: pytest.fail("not asked")) is None
    assert walindex.found_in(shared, log.with_name("gone"), lambda: pytest.fail("not asked")) is None
    assert walindex.found_in(log.with_name("gone"), log, lambda: pytest.fail("not asked")) is None


def test_sqlite_index_is_parted_from_once_it_is_deleted(tmp_path: Path) -> None:
    """Its descriptor is kept from look to look, and not for ever."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with held(path, "SELECT 1 FROM trade"):
        survey(Look(path))
        survey(Look(path))
        status = path.with_name("ledger.db-shm").stat()
        key = (status.st_dev, status.st_ino)
        assert key in walindex._kept
    path.with_name("ledger.db-shm").unlink()
    other = a_database(tmp_path / "other.db", sqlite_files.WAL)
    with held(other, "SELECT 1 FROM trade"):
        survey(Look(other))
    assert key not in walindex._kept


@pytest.mark.parametrize("ending", ["stopped", "killed"])
def test_index_that_nobody_has_open_is_parted_from(tmp_path: Path, ending: str) -> None:
    """Its disk is to be unmounted one day: an application that has gone, in order or not, leaves us no descriptor."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with held(path, "SELECT 1 FROM trade"):
        survey(Look(path))
        assert open_below(tmp_path) == ["ledger.db-shm"]
    if ending == "stopped":
        subprocess.run([sys.executable, "-c", TIDY, path], check=True)
    survey(Look(path))
    assert (open_below(tmp_path), (tmp_path / "ledger.db-shm").exists()) == ([], ending == "killed")


def test_index_that_this_process_has_open_is_not_closed_under_its_locks(tmp_path: Path) -> None:
    """Toban's own state may be watched: to close any descriptor of its index would drop the locks of its writer."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with closing(application(path, sqlite_files.WAL)) as own:
        own.execute("BEGIN IMMEDIATE")
        survey(Look(path))
        assert not can_write(path)
        own.execute("ROLLBACK")
        assert can_write(path)


def open_below(folder: Path) -> list[str]:
    """The files in a folder that this process has open, those that are deleted among them."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            found.append(link.readlink())
    return [path.name.removesuffix(" (deleted)") for path in found if path.parent == folder]
