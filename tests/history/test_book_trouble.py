"""No disk brings an exception to whoever writes into the book; what can be kept is kept."""

import asyncio
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from history import statefile
from history.book import book as book_module
from history.book.book import book_path
from history.book.contract import Found, Page
from history.book.store import BookStore
from history.failures import VanishedStateError
from history.migration import APPLICATION_ID
from tests.alerting.notices import a_notice, an_alert
from tests.builders import ManualClock
from tests.history.books import book_at
from tests.mounts import read_only, small
from tests.waiting import eventually
from toban.alerts import Standing, State, What

DAY = 86400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the book is to be; not even its directory exists."""
    return book_path(tmp_path / "toban" / "state.db")


def fill(path: Path, content: bytes) -> None:
    """Put this into the file."""
    path.write_bytes(content)


def spoil(path: Path) -> None:
    """Overwrite every page but the first."""
    content = path.read_bytes()
    fill(path, content[:4096] + b"\xa5" * (len(content) - 4096))


async def test_book_page_is_whole_or_absent(path: Path) -> None:
    """What cannot be written costs its own page, all of it, and not its neighbours'."""
    bad = Page(alerts=(an_alert("0000000b"),), evidence={"0000000b": object()})  # type: ignore[dict-item] # the fault
    async with book_at(path, ManualClock()) as book:
        good = Page(alerts=(an_alert(),))
        assert list(await asyncio.gather(book.write(good), book.write(bad))) == [True, False]
        assert (await book.load()).alerts == (an_alert(),)


async def test_book_on_a_full_disk_says_so_and_goes_on(path: Path) -> None:
    """False, a reason, no exception; fifteen seconds later it is kept again, and whoever has something open hears."""
    clock = ManualClock()
    async with book_at(path, clock) as book:
        assert await book.write(Page(alerts=(an_alert(),)))
        store = await book._file.opened()
        assert store is not None
        await book._file.call(lambda: store.connection.execute("PRAGMA max_page_count = 1").fetchall())
        many = tuple(an_alert(f"{n:08}") for n in range(200))
        assert not await book.write(Page(alerts=many))
        assert book.trouble is not None
        assert (book.trouble.reason, book.usable, book.renewed) == ("full", False, 0)
        assert not await book.write(Page(alerts=many))
        clock.advance(15)
        await book.retry()
        assert book.renewed == 1
        assert await book.write(Page(alerts=many))
        assert len((await book.load()).alerts) == 201


async def test_book_that_may_not_be_written_says_so(path: Path) -> None:
    """A directory in which nothing can be made: every write is refused, loading finds nothing."""
    path.parent.parent.joinpath("toban").write_text("a file where the directory should be")
    async with book_at(path, ManualClock()) as book:
        assert not await book.write(Page(alerts=(an_alert(),)))
        assert book.trouble is not None
        assert await book.load() == Found()
        assert await book.pending(frozenset(), 1) == ()
        await book.tend()


async def a_known_book(path: Path) -> None:
    """One with an alert that somebody has acknowledged, a message in flight and an action in flight."""
    async with book_at(path, ManualClock()) as book:
        alerts = (an_alert(state=State.ACKNOWLEDGED, acknowledged_by="ops"),)
        notices = (a_notice(standing=Standing.INFLIGHT), a_notice(what=What.ACTION, standing=Standing.INFLIGHT))
        assert await book.write(Page(alerts=alerts, notices=notices))


def told_again(found: Found) -> tuple[list[str], list[tuple[Standing, bool]]]:
    """Who had acknowledged, and how the notices stand."""
    return [one.acknowledged_by for one in found.alerts], [(one.standing, one.perhaps_sent) for one in found.notices]


KNOWN = (["ops"], [(Standing.PENDING, True), (Standing.INFLIGHT, False)])


async def test_book_that_is_locked_at_the_start_is_read_all_the_same(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else is writing: what is known is taken up, and nobody is woken twice."""
    monkeypatch.setattr("history.book.store.BUSY_SECONDS", 0.01)
    await a_known_book(path)
    async with book_at(path, ManualClock()) as book:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            assert told_again(await book.load()) == KNOWN
            assert book.trouble is None
        assert told_again(await book.load()) == KNOWN


@pytest.mark.integration
async def test_book_on_a_disk_that_is_read_only_is_read_all_the_same(path: Path) -> None:
    """After an error the kernel mounts the disk read-only, and somebody starts the daemon again."""
    await a_known_book(path)
    with read_only(path.parent):
        async with book_at(path, ManualClock()) as book:
            assert told_again(await book.load()) == KNOWN
            assert not await book.write(Page(alerts=(an_alert(),)))
            assert book.trouble is not None
            assert book.trouble.reason == "privilege"


@pytest.mark.integration
async def test_book_on_a_full_disk_is_read_at_the_start(tmp_path: Path) -> None:
    """Killed while the disk was full, and started again: what was acknowledged stays so."""
    with small(tmp_path / "disk", "1M") as disk:
        path = book_path(disk / "state.db")
        await a_known_book(path)
        with closing(sqlite3.connect(path)) as reader:  # as a daemon that was killed, it leaves the log behind
            assert reader.execute("SELECT count(*) FROM alert").fetchone() == (1,)
            (disk / "rest").write_bytes(b"x" * shutil.disk_usage(disk).free)
            async with book_at(path, ManualClock()) as book:
                assert told_again(await book.load()) == KNOWN
                assert not await book.write(Page(alerts=tuple(an_alert(f"{n:08}") for n in range(50))))


async def test_book_that_is_corrupt_is_set_aside_and_takes_the_page(path: Path) -> None:
    """The page that met the fault is in the new file; the old one lies beside it; `renewed` says so."""
    clock = ManualClock()
    async with book_at(path, clock) as book:
        assert await book.write(Page(alerts=tuple(an_alert(f"{n:08}") for n in range(500))))
    spoil(path)
    async with book_at(path, clock) as book:
        assert await book.write(Page(alerts=(an_alert(),)))
        assert book.trouble is not None
        assert (book.trouble.reason, book.renewed) == ("corrupt", 1)
        assert (await book.load()).alerts == (an_alert(),)
    assert len(list(path.parent.glob("state.db.alerts.corrupt-*"))) == 1


async def test_book_that_is_corrupt_at_the_start_is_begun_anew(path: Path) -> None:
    """Loading finds nothing, and says why."""
    path.parent.mkdir()
    fill(path, b"not a database at all, " * 100)
    async with book_at(path, ManualClock()) as book:
        assert await book.load() == Found()
        assert book.trouble is not None
        assert book.trouble.reason == "corrupt"
        assert await book.write(Page(alerts=(an_alert(),)))


async def test_book_that_proves_corrupt_while_it_is_asked_is_begun_anew(path: Path) -> None:
    """What opens well and cannot be read is set aside by the question that meets it."""
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=tuple(an_alert(f"{n:08}") for n in range(500))))
    spoil(path)
    async with book_at(path, ManualClock()) as book:
        assert await book.load() == Found()
        assert book.renewed == 1


async def test_book_removed_underneath_is_begun_anew(path: Path) -> None:
    """The page goes into a new file at once."""
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(an_alert("0000000b"),)))
        for file in path.parent.iterdir():
            file.unlink()
        assert await book.write(Page(alerts=(an_alert(),)))
        assert book.trouble is not None
        assert (book.trouble.reason, book.renewed) == ("not_found", 1)
        assert (await book.load()).alerts == (an_alert(),)


async def test_book_replaced_underneath_is_begun_anew(path: Path) -> None:
    """Another file is there by now; it is Toban's as well, and takes the page."""
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(an_alert("0000000b"),)))
        for file in path.parent.iterdir():
            file.unlink()
        async with book_at(path, ManualClock()) as other:
            assert await other.write(Page(alerts=(an_alert("0000000c"),)))
        assert await book.write(Page(alerts=(an_alert(),)))
        assert [alert.episode for alert in (await book.load()).alerts] == ["0000000c", "0000000a"]


async def test_book_on_a_disk_that_hangs_holds_nobody_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The write is given up after its bound, later ones at once; when the disk answers, it is used again."""
    monkeypatch.setattr(book_module, "CALL_SECONDS", 0.05)
    monkeypatch.setattr(statefile, "CALL_SECONDS", 30.0)  # parting does not wait for it a second time
    clock, gate = ManualClock(), threading.Event()
    async with book_at(path, clock) as book:
        with monkeypatch.context() as patched:
            patched.setattr(BookStore, "write", lambda *_: gate.wait(30))
            assert not await book.write(Page(alerts=(an_alert(),)))
        assert book.trouble is not None
        assert book.trouble.reason == "unanswered"
        assert not await book.write(Page(alerts=(an_alert(),)))
        gate.set()
        await eventually(lambda: not book._file._worker.hangs)
        clock.advance(15)
        assert await book.write(Page(alerts=(an_alert(),)))


async def test_book_of_the_state_files_kind_is_not_touched(path: Path) -> None:
    """A state file in its place is somebody else's: refused, and left as it is."""
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(f"CREATE TABLE invoices (id); PRAGMA application_id = {APPLICATION_ID};")
    async with book_at(path, ManualClock()) as book:
        assert not await book.write(Page(alerts=(an_alert(),)))
        assert book.trouble is not None
        assert book.trouble.reason == "unsupported"
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("invoices",)]


async def test_book_close_is_bounded_while_the_disk_hangs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon's stop does not wait for a disk that does not answer."""
    monkeypatch.setattr(book_module, "CLOSE_SECONDS", 0.05)
    gate = threading.Event()
    async with book_at(path, ManualClock()) as book:
        monkeypatch.setattr(BookStore, "write", lambda *_: gate.wait(30))
        writing = asyncio.create_task(book.write(Page(alerts=(an_alert(),))))
        await eventually(lambda: book._file._worker.hangs)
    gate.set()
    assert await writing


async def test_book_goes_on_when_a_page_alone_fails_for_the_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of our own in one page, and then a disk that fails under the other: False for both, no exception."""
    faults = [ValueError("ours"), sqlite3.OperationalError("disk I/O error"), ValueError("ours")]

    def fail(*_: object) -> None:
        raise faults.pop(0)

    monkeypatch.setattr(BookStore, "write", fail)
    async with book_at(path, ManualClock()) as book:
        pages = (Page(alerts=(an_alert(),)), Page(alerts=(an_alert("0000000b"),)))
        assert list(await asyncio.gather(*map(book.write, pages))) == [False, False]
        assert book.trouble is not None


async def test_book_that_spoils_twice_is_put_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file that was begun anew is spoilt as well: no third one within the hour, and no exception."""

    def spoilt(*_: object) -> None:
        raise corrupt()

    monkeypatch.setattr(BookStore, "write", spoilt)
    monkeypatch.setattr(BookStore, "load", spoilt)
    async with book_at(path, ManualClock()) as book:
        assert not await book.write(Page(alerts=(an_alert(),)))
        assert await book.load() == Found()
        assert book.renewed == 1


async def test_book_removed_between_two_questions_is_asked_once_more(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both files fail to answer: nothing is found, and that is all."""
    monkeypatch.setattr(BookStore, "load", vanish)
    async with book_at(path, ManualClock()) as book:
        assert await book.load() == Found()
        assert book.renewed == 2


def corrupt() -> sqlite3.DatabaseError:
    """What SQLite says of a spoilt page."""
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def vanish(*_: object) -> None:
    """The file is gone."""
    raise VanishedStateError


async def test_book_that_fails_during_housekeeping_is_tried_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that fails under the housekeeping is trouble, not an exception."""
    async with book_at(path, ManualClock()) as book:
        monkeypatch.setattr(book, "_begin_chores", _broken)
        await book.tend()
        assert book.trouble is not None
        assert book.trouble.reason == "unreachable"


def _broken(_store: object) -> None:
    raise sqlite3.OperationalError("disk I/O error")
