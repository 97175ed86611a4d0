"""Claims about the cheap look at an SQLite file."""

import os
from contextlib import closing
from pathlib import Path

import pytest

from collectors.sqlite.database import (
    BUSY,
    FREELIST,
    FREELIST_RATIO,
    INFO,
    MODIFIED_AGE,
    PAGE_SIZE,
    PAGES,
    SCHEMA_VERSION,
    SIZE,
    USER_VERSION,
    WAL,
    WRITE_LOCKED,
    SqliteCollector,
    SqliteSettings,
)
from collectors.sqlite.file import SqliteFile
from collectors.sqlite.looking import UnusableError
from tests import sqlite_files
from tests.builders import ManualClock
from tests.sqlite_files import ROLLBACK, Writer, a_database, application, contents, held
from toban.outcomes import Reason
from toban.samples import Findings, Metric

pytestmark = pytest.mark.integration


def value(findings: Findings, metric: Metric) -> float | None:
    """The one value of a metric, if it is there."""
    found = [s.value for s in findings.samples if s.metric is metric]
    assert len(found) <= 1
    return found[0] if found else None


def mode(findings: Findings) -> str:
    """The journal mode."""
    return next(s.labels[0] for s in findings.samples if s.metric is INFO)


def a_collector(path: Path, clock: ManualClock) -> SqliteCollector:
    """A collector of that file."""
    return SqliteCollector(SqliteFile(path), SqliteSettings(), clock)


async def looked(path: Path, clock: ManualClock) -> Findings:
    """One look by a collector of its own."""
    return await a_collector(path, clock).collect()


def names(folder: Path) -> set[str]:
    """What lies in a folder."""
    return {entry.name for entry in folder.iterdir()}


def asked(path: Path, pragma: str) -> int:
    """What SQLite itself says."""
    with closing(application(path)) as connection:
        (number,) = connection.execute(f"PRAGMA {pragma}").fetchone()
    return int(number)


async def test_sqlite_numbers_are_those_of_sqlite(tmp_path: Path, manual_clock: ManualClock) -> None:
    """In rollback mode they come out of the header, and agree with the pragmas."""
    path = a_database(tmp_path / "ledger.db")
    findings = await looked(path, manual_clock)
    size, free = asked(path, "page_size"), asked(path, "freelist_count")
    assert value(findings, SIZE) == path.stat().st_size
    assert value(findings, PAGE_SIZE) == size
    assert value(findings, PAGES) == asked(path, "page_count")
    assert free > 0
    assert value(findings, FREELIST) == free * size
    assert value(findings, FREELIST_RATIO) == free / asked(path, "page_count")
    assert value(findings, SCHEMA_VERSION) == asked(path, "schema_version")
    assert value(findings, USER_VERSION) == 7
    assert value(findings, WAL) == 0
    assert mode(findings) == "rollback"


@pytest.mark.parametrize("size", [0, 3, 1000])
async def test_sqlite_page_size_that_is_none_is_damage(tmp_path: Path, manual_clock: ManualClock, size: int) -> None:
    """A header with the right first words and nonsense behind them is no fault of Toban's own."""
    path = a_database(tmp_path / "ledger.db")
    content = path.read_bytes()
    path.write_bytes(content[:16] + size.to_bytes(2, "big") + content[18:92] + bytes(4) + content[96:])
    collector = a_collector(path, manual_clock)
    with pytest.raises(UnusableError) as caught:
        await collector.collect()
    failure = collector.source.explain(caught.value)
    assert failure.reason is Reason.CORRUPT
    assert f"a page has {size} bytes" in failure.detail


async def test_sqlite_wal_is_counted_in(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Pages that stand only in the WAL yet are seen, and its size is told."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with closing(application(path, sqlite_files.WAL)) as connection:
        connection.executemany("INSERT INTO trade (note) VALUES (?)", (("x" * 3000,) for _ in range(300)))
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        findings = await looked(path, manual_clock)
        assert value(findings, PAGES) == pages > path.stat().st_size / 4096
        assert value(findings, WAL) == (tmp_path / "ledger.db-wal").stat().st_size
    assert mode(findings) == "wal"
    assert value(findings, USER_VERSION) == 7
    assert not findings.gaps


@pytest.mark.parametrize("journal_mode", [ROLLBACK, sqlite_files.WAL])
async def test_sqlite_look_leaves_nothing_beside_the_file(
    journal_mode: str, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """A reader that created -wal or -shm would own them, and lock the application out of its own database."""
    path = a_database(tmp_path / "ledger.db", journal_mode)
    findings = await looked(path, manual_clock)
    assert value(findings, PAGES) is not None
    assert names(tmp_path) == {"ledger.db"}


async def test_sqlite_application_closes_cleanly_after_a_look(tmp_path: Path, manual_clock: ManualClock) -> None:
    """The last one to close takes its WAL away, as ever."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with closing(application(path, sqlite_files.WAL)) as connection:
        connection.execute("INSERT INTO trade (note) VALUES ('x')")
        await looked(path, manual_clock)
    assert names(tmp_path) == {"ledger.db"}


@pytest.mark.parametrize("journal_mode", [ROLLBACK, sqlite_files.WAL])
async def test_sqlite_writer_is_never_refused(journal_mode: str, tmp_path: Path, manual_clock: ManualClock) -> None:
    """A process that commits in a tight loop and waits for nobody meets no lock of ours in 300 looks."""
    path = a_database(tmp_path / "ledger.db", journal_mode)
    collector = a_collector(path, manual_clock)
    with Writer(path) as writer:
        for _ in range(300):
            findings = await collector.collect()
            assert not findings.gaps
            assert value(findings, PAGES) is not None
    assert writer.commits > 0
    assert writer.refused == 0


@pytest.mark.parametrize(
    ("journal_mode", "statements", "locked"),
    [
        (ROLLBACK, ("BEGIN IMMEDIATE",), 1),
        (ROLLBACK, ("BEGIN EXCLUSIVE",), 1),
        (ROLLBACK, ("BEGIN", "SELECT * FROM trade"), 0),
        (sqlite_files.WAL, ("BEGIN IMMEDIATE",), 1),
        (sqlite_files.WAL, ("BEGIN", "SELECT * FROM trade"), 0),
    ],
)
async def test_sqlite_write_lock_of_another_process_is_seen(
    journal_mode: str, statements: tuple[str, ...], locked: int, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """A writer is told from a reader, in both journal modes; numbers are there all the same."""
    path = a_database(tmp_path / "ledger.db", journal_mode)
    collector = a_collector(path, manual_clock)
    with held(path, *statements):
        findings = await collector.collect()
    assert value(findings, WRITE_LOCKED) == locked
    assert value(findings, BUSY) == locked
    assert value(findings, PAGES) is not None
    after = await collector.collect()
    assert value(after, WRITE_LOCKED) == 0
    assert value(after, BUSY) == locked


async def test_sqlite_wal_of_one_alone_is_a_gap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """With locking_mode=exclusive nobody else may read: locked, not down, and the sizes are told."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with held(path, "PRAGMA locking_mode=exclusive", "INSERT INTO trade (note) VALUES ('x')"):
        findings = await looked(path, manual_clock)
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("pages", Reason.LOCKED)]
    assert value(findings, WRITE_LOCKED) == 1
    assert value(findings, PAGES) is None
    assert (value(findings, WAL) or 0) > 0


async def test_sqlite_reader_that_is_refused_says_so(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Somebody took the whole file while its -shm is there: a gap, and counted as busy."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    (tmp_path / "ledger.db-shm").write_bytes(b"")
    with held(path, "PRAGMA locking_mode=exclusive", "INSERT INTO trade (note) VALUES ('x')"):
        findings = await looked(path, manual_clock)
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("pages", Reason.LOCKED)]
    assert value(findings, BUSY) == 1


async def test_sqlite_files_of_a_crash_can_be_read(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A killed application leaves -wal and -shm behind; what it committed is seen, and nothing is touched."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL, rows=2)
    with held(path, "PRAGMA user_version=99"):
        pass
    before = contents(tmp_path)
    findings = await looked(path, manual_clock)
    assert value(findings, USER_VERSION) == 99
    assert contents(tmp_path) == before


async def test_sqlite_empty_file_is_an_empty_database(tmp_path: Path, manual_clock: ManualClock) -> None:
    """SQLite itself makes such files: no pages yet, and no error."""
    (tmp_path / "ledger.db").touch()
    findings = await looked(tmp_path / "ledger.db", manual_clock)
    assert value(findings, SIZE) == 0
    assert value(findings, PAGES) is None
    assert not findings.gaps


@pytest.mark.parametrize("name", ["100%.db", "a b?c#d.db", "台帳 🐘.db", "quote'\"db", "\udcff.db", "file:x?mode=rwc"])
async def test_sqlite_path_may_hold_anything(name: str, tmp_path: Path, manual_clock: ManualClock) -> None:
    """Whatever the name, it is that file that is read, and no other that is made."""
    a_database(tmp_path / "plain.db").rename(tmp_path / name)
    findings = await looked(tmp_path / name, manual_clock)
    assert value(findings, USER_VERSION) == 7
    assert names(tmp_path) == {name}


async def test_sqlite_link_is_followed_to_its_wal(tmp_path: Path, manual_clock: ManualClock) -> None:
    """The WAL lies beside the file, not beside the link."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    (tmp_path / "links").mkdir()
    (tmp_path / "links/here.db").symlink_to(path)
    with closing(application(path, sqlite_files.WAL)) as connection:
        connection.execute("PRAGMA user_version=8")
        findings = await looked(tmp_path / "links/here.db", manual_clock)
    assert value(findings, USER_VERSION) == 8
    assert (value(findings, WAL) or 0) > 0


async def test_sqlite_age_counts_from_the_last_write(tmp_path: Path, manual_clock: ManualClock) -> None:
    """By file or WAL, whichever is later; never negative when the clock is behind."""
    path = a_database(tmp_path / "ledger.db")
    os.utime(path, (manual_clock.now() - 60, manual_clock.now() - 60))
    assert value(await looked(path, manual_clock), MODIFIED_AGE) == pytest.approx(60, abs=1e-3)
    manual_clock.jump(-3600)
    assert value(await looked(path, manual_clock), MODIFIED_AGE) == 0


async def test_sqlite_pages_of_an_old_writer_are_counted(tmp_path: Path, manual_clock: ManualClock) -> None:
    """SQLite before 3.7 keeps no page count up to date; then the size tells."""
    path = a_database(tmp_path / "ledger.db")
    pages = asked(path, "page_count")
    sqlite_files.flip_byte(path, 92)  # the change counter for which the page count holds
    sqlite_files.flip_byte(path, 31)  # the page count
    assert value(await looked(path, manual_clock), PAGES) == pages
