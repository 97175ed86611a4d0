"""Claims about an SQLite file as a source: what cannot be read and why, rights, locks kept, looks ended."""

import asyncio
import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collectors.sqlite import survey
from collectors.sqlite.database import USER_VERSION, SqliteCollector, SqliteSettings
from collectors.sqlite.file import SqliteFile
from collectors.sqlite.locks import descriptor_of
from collectors.sqlite.looking import Look, UnusableError
from collectors.sqlite.survey import query
from tests import sqlite_files
from tests.builders import ManualClock
from tests.sqlite_files import a_database, application, can_write, contents, held
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration
NOBODY = 65534


def user_version(findings: Findings) -> float | None:
    """The application's own number, if it could be read."""
    return next((s.value for s in findings.samples if s.metric is USER_VERSION), None)


def a_collector(path: Path, clock: ManualClock) -> SqliteCollector:
    """A collector of that file."""
    return SqliteCollector(SqliteFile(path), SqliteSettings(), clock)


async def looked(path: Path, clock: ManualClock) -> Findings:
    """One look by a collector of its own."""
    return await a_collector(path, clock).collect()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users can enter too; those of pytest they cannot."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """Without root's right to read everything."""
    if os.geteuid() != 0:
        yield
        return
    for name in ("counts", "quick_check"):
        query(name)  # nobody may not enter a checkout below /root, where the SQL would be read when it is first wanted
    os.seteuid(NOBODY)
    yield
    os.seteuid(0)


async def failed(path: Path, clock: ManualClock) -> tuple[Reason, bool]:
    """The reason of a look that fails, and whether the target is down."""
    collector = a_collector(path, clock)
    with pytest.raises(Exception) as caught:  # noqa: PT011 - its meaning is what is looked at
        await collector.collect()
    failure = collector.source.explain(caught.value)
    assert failure.detail
    return failure.reason, failure.down


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, Reason.NOT_FOUND),
        (b"short", Reason.CORRUPT),
        (b"\x1f\x8b encrypted or something else" * 200, Reason.CORRUPT),
    ],
)
async def test_sqlite_file_that_is_none_is_down(
    content: bytes | None, reason: Reason, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """Missing, cut short, or something else: each has its word."""
    if content is not None:
        (tmp_path / "ledger.db").write_bytes(content)
    assert await failed(tmp_path / "ledger.db", manual_clock) == (reason, True)
    assert set(contents(tmp_path)) == ({"ledger.db"} if content else set())


async def test_sqlite_path_that_is_no_file_is_down(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A directory, a pipe (which would hang), a path through a file."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "pipe", tmp_path / "file" / "ledger.db"):
        assert await failed(path, manual_clock) == (Reason.NOT_FOUND, True)


async def test_sqlite_file_that_may_not_be_read_says_so(
    open_folder: Path, manual_clock: ManualClock, request: pytest.FixtureRequest
) -> None:
    """A matter of rights, with a hint; the database itself is not called down."""
    path = a_database(open_folder / "ledger.db")
    path.chmod(0)
    request.getfixturevalue("as_nobody")
    assert await failed(path, manual_clock) == (Reason.PRIVILEGE, False)


async def test_sqlite_wal_can_be_read_where_nothing_may_be_written(
    open_folder: Path, manual_clock: ManualClock, request: pytest.FixtureRequest
) -> None:
    """Another user's WAL database, in a directory we may only read, while its application runs."""
    path = a_database(open_folder / "ledger.db", sqlite_files.WAL)
    with held(path, "PRAGMA user_version=8"):
        for name in contents(open_folder):
            (open_folder / name).chmod(0o444)
        request.getfixturevalue("as_nobody")
        findings = await looked(path, manual_clock)
    assert user_version(findings) == 8
    assert not findings.gaps


async def test_sqlite_damaged_wal_page_is_down(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A first page that is no longer one, seen through the WAL reader."""
    path = a_database(tmp_path / "ledger.db", sqlite_files.WAL)
    with closing(application(path, sqlite_files.WAL)) as connection:
        connection.execute("SELECT count(*) FROM trade").fetchone()
        sqlite_files.flip_byte(path, 21)  # a constant of the format
        assert await failed(path, manual_clock) == (Reason.CORRUPT, True)


async def test_sqlite_look_keeps_the_locks_of_this_process(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Toban's own state may be watched: closing a descriptor must not drop the locks its own connection holds."""
    path = a_database(tmp_path / "state.db")
    with closing(application(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        for _ in range(3):
            await looked(path, manual_clock)
        assert not can_write(path)
    assert can_write(path)


async def test_sqlite_reader_disturbed_by_a_writer_asks_again(tmp_path: Path) -> None:
    """READONLY, which SQLite says when the -shm header is in motion, passes; any other refusal stands at once."""
    connection = StubbornConnection(sqlite3.SQLITE_READONLY_RECOVERY, refusals=2)
    assert survey.rows_of(connection, "counts") == [(1,)]
    for code, refusals in ((sqlite3.SQLITE_BUSY, 1), (sqlite3.SQLITE_READONLY, survey.ATTEMPTS)):
        with pytest.raises(sqlite3.OperationalError):
            survey.rows_of(StubbornConnection(code, refusals=refusals), "counts")


class StubbornConnection(sqlite3.Connection):
    """A connection that refuses some times with this code: no test can make SQLite do so at will."""

    def __init__(self, code: int, *, refusals: int) -> None:
        super().__init__(":memory:")
        self._code, self._refusals = code, refusals

    def execute(self, *_: object) -> sqlite3.Cursor:
        """Refuse, or answer."""
        if self._refusals == 0:
            return super().execute("SELECT 1")
        self._refusals -= 1
        error = sqlite3.OperationalError("refused")
        error.sqlite_errorcode = self._code
        raise error


async def test_sqlite_file_replaced_in_mid_look_is_not_misread(
    tmp_path: Path, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between stat and open a restore may put another file there; the next look reads that."""
    path = a_database(tmp_path / "ledger.db")
    monkeypatch.setattr("collectors.sqlite.survey.descriptor_of", lambda _: None)
    assert await failed(path, manual_clock) == (Reason.NOT_FOUND, True)


async def test_sqlite_source_ends_what_runs_when_abandoned(tmp_path: Path) -> None:
    """A long query stops at once, and its thread comes back."""
    source = SqliteFile(a_database(tmp_path / "ledger.db"))
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    reading = asyncio.Event()
    loop = asyncio.get_running_loop()

    def read(look: Look) -> None:
        with look.connection() as connection:
            loop.call_soon_threadsafe(reading.set)
            connection.execute(endless).fetchone()

    task = asyncio.create_task(source.look("endless", read, timeout_seconds=60))
    async with asyncio.timeout(60):
        await reading.wait()
        await source.close()
        with pytest.raises(sqlite3.OperationalError) as caught:
            await task
    assert source.explain(caught.value).reason is Reason.TIMEOUT
    assert source.blocking.under_way == 0


def test_sqlite_unknown_failure_is_our_own_fault() -> None:
    """What nobody thought of is called internal, with its type."""
    failure = SqliteFile(Path("ledger.db")).explain(ZeroDivisionError())
    assert (failure.reason, failure.detail) == (Reason.INTERNAL, "ZeroDivisionError: ZeroDivisionError")


def test_sqlite_closed_connection_needs_no_end(tmp_path: Path) -> None:
    """Its thread may close it in the very moment that the loop ends it."""
    look = Look(a_database(tmp_path / "ledger.db"))
    with look.connection() as connection:
        connection.close()
        look.end()


CLOSED = 10_000_000  # a number beyond what any process may open


@pytest.mark.parametrize("closes", [1, survey.ATTEMPTS])
async def test_descriptor_that_another_look_closes_tells_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, closes: int
) -> None:
    """What was read through it may be of any file: once more, a bounded number of times."""
    path = a_database(tmp_path / "ledger.db")
    others: list[int] = []

    def another_looks(found: os.stat_result) -> int | None:
        if len(others) < closes:
            others.append(os.open("/dev/zero", os.O_RDONLY) if len(others) % 2 else CLOSED)
            return others[-1]
        return descriptor_of(found)

    monkeypatch.setattr(survey, "descriptor_of", another_looks)
    source = SqliteFile(path)
    try:
        if closes == 1:
            assert (await source.look("it", survey.survey, timeout_seconds=10)).size_bytes == path.stat().st_size
        else:
            with pytest.raises(UnusableError, match="closed during every attempt") as error:
                await source.look("it", survey.survey, timeout_seconds=10)
            assert source.explain(error.value).reason is Reason.LOCKED
    finally:
        for descriptor in others[1::2]:
            os.close(descriptor)


def test_what_a_foreign_descriptor_told_counts_for_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number was given away before it was used; the next one is the file's own."""
    path = a_database(tmp_path / "ledger.db")
    with path.open("rb") as own, Path("/dev/zero").open("rb") as foreign:
        numbers = [foreign.fileno(), own.fileno()]
        monkeypatch.setattr(survey, "descriptor_of", lambda _: numbers.pop(0))
        assert survey.through(path.stat(), lambda descriptor: os.pread(descriptor, 6, 0)) == b"SQLite"
    assert numbers == []


def test_log_that_nobody_shares_is_not_locked(tmp_path: Path) -> None:
    """There is nothing to hold a lock on."""
    assert not survey._log_locked(a_database(tmp_path / "ledger.db"))
