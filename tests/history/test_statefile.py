"""A state file that cannot be used is left alone, set aside or tried again, as its trouble asks for."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from history import statefile
from history.failures import explain
from history.retention import RAW
from history.store import set_aside
from tests.builders import ManualClock
from tests.recorded import FULL_HOUR, load, means, read, record, recording
from tests.waiting import eventually


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state file is to be."""
    return tmp_path / "state.db"


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a full hour."""
    return ManualClock(now=FULL_HOUR)


def fill(state: Path, content: bytes) -> None:
    """Put this into the file."""
    state.write_bytes(content)


def content_of(state: Path) -> bytes:
    """All of it."""
    return state.read_bytes()


async def spoil(state: Path, clock: ManualClock) -> None:
    """A state file with some history whose pages are then overwritten, all but the first."""
    async with recording(state, clock) as history:
        await record(history, clock, [float(n) for n in range(200)])
    content = content_of(state)
    fill(state, content[:4096] + b"\xa5" * (len(content) - 4096))


async def test_statefile_that_is_no_database_is_set_aside(state: Path, clock: ManualClock) -> None:
    """Named by the time, content kept; a new file works at once and trouble says what happened."""
    fill(state, b"not a database at all, " * 100)
    async with recording(state, clock) as history:
        await record(history, clock, [4.0])
        assert history.trouble is not None
        assert history.trouble.reason == "corrupt"
        assert "set aside as state.db.corrupt-" in history.trouble.detail
        assert means(read(state, "toban_host_load1", clock)) == [4.0]
    (aside,) = state.parent.glob("state.db.corrupt-*")
    assert aside.read_bytes().startswith(b"not a database at all")


async def test_statefile_with_spoilt_pages_is_set_aside(state: Path, clock: ManualClock) -> None:
    """What opens well and then proves damaged goes the same way, and what was offered is not lost."""
    await spoil(state, clock)
    async with recording(state, clock) as history:
        history.offer(load(clock, 4.0))
        await history.flush()
        assert await history.flush()
        clock.advance(1)
        assert history.trouble is not None
        assert history.trouble.reason == "corrupt"
        assert means(read(state, "toban_host_load1", clock, back=5)) == [4.0]
    assert len(list(state.parent.glob("state.db.corrupt-*"))) == 1


async def test_statefile_with_a_chunk_that_cannot_be_unpacked_loses_that_alone(state: Path, clock: ManualClock) -> None:
    """SQLite sees nothing wrong with it: the other series, and the other hours of this one, are told as before."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0] * 3)
        store = await history._file.opened()
        assert store is not None
        bad = (
            f"INSERT INTO chunk (resolution, start, series_id, body) VALUES ({RAW.seconds}, {int(FULL_HOUR)}, 1, x'00')"
        )
        await history._file.call(lambda: store.connection.execute(bad).fetchall())
        with capture_logs() as said:
            assert means(read(state, "pg_stat_database_xact_commit", clock, back=60)) == [0.0] * 2
        assert [one["event"] for one in said] == ["history_chunk_spoilt"]
        clock.advance(7200)
        await history.tend()
        assert history.trouble is None
        for metric, told in (("toban_host_load1", [1.0] * 3), ("pg_stat_database_xact_commit", [0.0] * 2)):
            assert means(read(state, metric, clock, back=7260, width=10_000)) == told


async def test_statefile_is_set_aside_once_an_hour_at_most(state: Path, clock: ManualClock) -> None:
    """A disk that spoils file after file does not fill up with them."""
    fill(state, b"x" * 4096)
    async with recording(state, clock) as history:
        for path in state.parent.glob("state.db*"):
            if "corrupt" not in path.name:
                path.unlink()
        fill(state, b"y" * 4096)
        history.offer(load(clock, 1.0))
        assert not await history.flush()
        assert history.trouble is not None
        assert history._file.failure is not None
        clock.advance(3600)
        assert await history.flush()
    assert len(list(state.parent.glob("state.db.corrupt-*"))) == 2


def test_set_aside_never_overwrites(state: Path) -> None:
    """Two within one second have two names, and the write-ahead log goes with its file."""
    names = []
    for _ in range(3):
        state.write_text("spoilt")
        state.with_name("state.db-wal").write_text("its log")
        names.append(set_aside(state, FULL_HOUR).name)
    assert len(set(names)) == 3
    assert {path.name for path in state.parent.iterdir()} == {n + end for n in names for end in ("", "-wal")}


async def test_statefile_that_cannot_be_set_aside_is_tried_again(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory lets nothing be renamed: the history is off, and says so."""

    def refuse(path: Path, now: float) -> Path:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(statefile, "set_aside", refuse)
    fill(state, b"x" * 4096)
    async with recording(state, clock) as history:
        assert history.trouble is not None
        assert history.trouble.reason == "privilege"
        assert not await history.flush()


async def test_statefile_of_a_newer_toban_is_not_touched(state: Path, clock: ManualClock) -> None:
    """The history is off, trouble names both versions, and not a byte has changed."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
    with closing(sqlite3.connect(state)) as connection:
        connection.execute("PRAGMA user_version = 999")
    before = content_of(state)
    async with recording(state, clock) as history:
        history.offer(load(clock, 1.0))
        assert not await history.flush()
        assert history.trouble is not None
        assert (history.trouble.reason, "999" in history.trouble.detail) == ("version", True)
    assert content_of(state) == before
    assert [path.name for path in state.parent.iterdir()] == ["state.db"]


async def test_statefile_of_another_program_is_not_touched(state: Path, clock: ManualClock) -> None:
    """Somebody's invoices are neither migrated nor set aside."""
    with closing(sqlite3.connect(state)) as connection:
        connection.execute("CREATE TABLE invoices (id)")
        connection.commit()
    async with recording(state, clock) as history:
        assert history.trouble is not None
        assert history.trouble.reason == "unsupported"
    with closing(sqlite3.connect(state)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("invoices",)]


async def test_statefile_held_by_another_process_is_waited_for_without_loss(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody has a write transaction open: what waits is written after it."""
    monkeypatch.setattr("history.store.BUSY_SECONDS", 0.05)
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        with closing(sqlite3.connect(state, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            history.offer(load(clock, 2.0))
            assert not await history.flush()
            assert history.trouble is not None
            assert history.trouble.reason == "locked"
        clock.advance(60)
        assert await history.flush()
        assert means(read(state, "toban_host_load1", clock)) == [1.0, 2.0]


async def test_statefile_on_a_disk_that_hangs_holds_nobody_up(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that does not come back is given up; when it has, the file is opened again."""
    gate = threading.Event()
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        store = await history._file.opened()
        assert store is not None
        with monkeypatch.context() as patched:
            patched.setattr(statefile, "CALL_SECONDS", 0.05)
            patched.setattr(store, "write", lambda _entries: gate.wait(30))
            history.offer(load(clock, 2.0))
            assert not await history.flush()
            assert history.trouble is not None
            assert history.trouble.reason == "unanswered"
            clock.advance(60)
            assert not await history.flush()
        gate.set()
        await eventually(lambda: not history._file._worker.hangs)
        clock.advance(60)
        assert await history.flush()
        assert means(read(state, "toban_host_load1", clock)) == [1.0, 2.0]


async def test_statefile_that_fails_during_housekeeping_is_tried_again(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk under the housekeeping is trouble, not an exception."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        monkeypatch.setattr(history, "_begin_chores", _full)
        await history.tend()
        assert history.trouble is not None
        assert history.trouble.reason == "unreachable"
        await history.tend()


async def test_close_is_bounded_while_the_disk_hangs(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon's stop does not wait for a disk that does not answer."""
    monkeypatch.setattr("history.recording.CLOSE_SECONDS", 0.05)
    gate = threading.Event()
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        store = await history._file.opened()
        assert store is not None
        monkeypatch.setattr(store, "write", lambda _entries: gate.wait(30) and 0)
        history.offer(load(clock, 2.0))
    gate.set()
    await eventually(lambda: not history._file._worker.hangs)


def _full(_store: object) -> object:
    raise sqlite3.OperationalError("disk I/O error")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), "privilege"),
        (FileNotFoundError(2, "No such file or directory"), "unreachable"),
        (OSError(28, "No space left on device"), "full"),
        (OSError(30, "Read-only file system"), "privilege"),
        (TimeoutError(), "unanswered"),
    ],
)
def test_failures_of_the_system_have_their_reason(error: OSError, reason: str) -> None:
    """Each has a word, and the path in its sentence."""
    failure = explain(error, Path("/srv/state.db"))
    assert failure.reason == reason
    assert failure.detail.startswith("/srv/state.db: ")


def test_failures_name_a_read_only_file(state: Path) -> None:
    """What SQLite itself says of a file that may not be written."""
    state.touch()
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as connection:
        with pytest.raises(sqlite3.OperationalError) as raised:
            connection.execute("CREATE TABLE one (id)")
        assert explain(raised.value, state).reason == "privilege"
