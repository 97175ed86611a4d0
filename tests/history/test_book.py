"""What is written into the book is found again."""

import asyncio
import math
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest

from history.book import book as book_module
from history.book.book import book_path
from history.book.contract import Page
from history.book.store import BOOK, BookStore
from history.migration import APPLICATION_ID, migrations
from tests.alerting.notices import a_notice, a_transition, an_alert
from tests.builders import START, ManualClock
from tests.history.books import book_at
from tests.waiting import eventually
from toban.alerts import Action, Severity, Silence, Standing, State, What

DAY = 86400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the book is to be; not even its directory exists."""
    return book_path(tmp_path / "toban" / "state.db")


def a_silence(**overrides: object) -> Silence:
    """Of one target, for an hour."""
    fields = {"id": "s1", "match": (("target", "main"),), "begins_at": START, "ends_at": START + 3600}
    return Silence(**{**fields, "why": "disk is being replaced", "who": "ops", "created_at": START, **overrides})  # type: ignore[arg-type] # of any field


async def test_book_makes_its_own_file_for_its_own_eyes(path: Path) -> None:
    """Beside the state, 0600, fully synced, with a mark that is not the state file's."""
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(an_alert(),)))
        store = await book._file.opened()
        assert store is not None
        asked = [f"PRAGMA {name}" for name in ("journal_mode", "synchronous", "application_id", "user_version")]
        execute = store.connection.execute
        told = await book._file.call(lambda: [execute(one).fetchone()[0] for one in asked])
        modes = {p.name: p.stat().st_mode & 0o777 for p in [path.parent, *path.parent.iterdir()]}
    assert told == ["wal", 2, BOOK.application_id, len(migrations(BOOK))]
    assert BOOK.application_id != APPLICATION_ID
    names = ["state.db.alerts", "state.db.alerts-shm", "state.db.alerts-wal"]
    assert modes == {"toban": 0o700, **dict.fromkeys(names, 0o600)}


async def test_book_finds_again_what_is_open(path: Path) -> None:
    """Open alerts, waiting notices and silences come back exactly as they were written; what is over does not."""
    alert = an_alert(value=math.inf)
    other = an_alert("0000000b", state=State.PENDING, fired_at=None, flaps=(START,), left_seconds=60.0)
    over = an_alert("0000000c", state=State.RESOLVED, resolved_at=START)
    notice = a_notice(alert=alert, action=Action(kind="backup", name="nightly"), next_at=START + 5)
    sent = a_notice("0000000b", standing=Standing.SENT, receipt={"ts": "1.2"}, settled_at=START)
    silences = (a_silence(), a_silence(id="s2", ends_at=START - 1), a_silence(id="s3", ended_by="ops"))
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(alert, other, over), notices=(notice, sent), silences=silences))
    async with book_at(path, ManualClock()) as book:
        found = await book.load()
    assert found.alerts == (alert, other)
    assert found.notices == (notice,)
    assert found.silences == silences[:1]
    assert found.threads == {("0000000b", "slack"): {"ts": "1.2"}}


async def test_book_knows_what_was_in_flight(path: Path) -> None:
    """It is pending again, under the same key, and perhaps sent; an action is left for whoever starts to settle."""
    flying = a_notice(standing=Standing.INFLIGHT, attempts=1)
    action = a_notice(what=What.ACTION, standing=Standing.INFLIGHT, attempts=1)
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(notices=(flying, action)))
    for _ in range(2):
        async with book_at(path, ManualClock()) as book:
            first, second = (await book.load()).notices
        assert (first.key, first.standing, first.perhaps_sent) == (flying.key, Standing.PENDING, True)
        assert (second.key, second.standing, second.perhaps_sent) == (action.key, Standing.INFLIGHT, False)


async def test_book_tells_the_first_receipt_of_each_channel(path: Path) -> None:
    """The thread hangs on the first message; a digest counts as told, without one."""
    first = a_notice(standing=Standing.SENT, receipt={"ts": "1"}, settled_at=START)
    later = a_notice(what=What.REPEATED, standing=Standing.SENT, receipt={"ts": "2"}, settled_at=START)
    digest = a_notice("0000000c", channel="mail", what=What.DIGEST, standing=Standing.SENT, receipt={"id": "9"})
    member = a_notice(channel="mail", standing=Standing.DROPPED, detail=f"in digest {digest.key}", settled_at=START)
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(an_alert(),), notices=(first, later, digest, member)))
        found = await book.load()
        assert await book.members(digest.key) == (member,)
    assert found.threads == {("0000000a", "slack"): {"ts": "1"}, ("0000000a", "mail"): {}}


async def test_book_gives_what_is_not_in_memory(path: Path) -> None:
    """The oldest notices that wait and that nobody knows."""
    notices = tuple(a_notice(f"0000000{n}") for n in range(5))
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(notices=notices))
        known = frozenset({notices[0].key, notices[2].key})
        assert await book.pending(known, 2) == (notices[1], notices[3])
        assert await book.pending(known, 10) == (notices[1], notices[3], notices[4])


async def test_book_keeps_how_bad_it_was_and_when_it_was_taken_up(path: Path) -> None:
    """An alert that eases and whose acknowledgement lapses was still critical, and acknowledged then."""
    bad = an_alert(severity=Severity.CRITICAL, acknowledged_at=START + 60, acknowledged_by="ops")
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(bad,)))
        assert await book.write(Page(alerts=(an_alert(),)))
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT severity, worst, acknowledged_at FROM alert").fetchall() == [
            ("warning", 2, START + 60)
        ]


async def test_book_reads_what_a_later_toban_has_added(path: Path) -> None:
    """Unknown fields are passed over, missing ones have their default, and an unreadable row costs itself alone."""
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(an_alert(), an_alert("0000000b"), an_alert("0000000c"))))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alert SET body = json_set(body, '$.moon', 'full') WHERE episode = '0000000a'")
        connection.execute("UPDATE alert SET body = json_remove(body, '$.muted') WHERE episode = '0000000a'")
        connection.execute("UPDATE alert SET body = json_set(body, '$.state', 'levitating') WHERE episode = '0000000b'")
        connection.commit()
    async with book_at(path, ManualClock()) as book:
        assert (await book.load()).alerts == (an_alert(), an_alert("0000000c"))


async def test_book_writes_text_that_is_no_text(path: Path) -> None:
    """A label with half a character is kept as its escape."""
    alert = an_alert(note="half \udce4 letter", reason="a\udcff")
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(alert,), transitions=(a_transition(reason="\udcff"),)))
        (found,) = (await book.load()).alerts
    assert found.note == "half \\udce4 letter"


async def test_book_joins_concurrent_writes_in_one_transaction(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred writers wait for two syncs at most: the one under way and the next."""
    batches = []
    write = BookStore.write

    def counted(store: BookStore, pages: list[Page], now: float) -> None:
        batches.append(len(pages))
        write(store, pages, now)

    monkeypatch.setattr(BookStore, "write", counted)
    async with book_at(path, ManualClock()) as book:
        pages = [Page(alerts=(an_alert(f"{n:08}"),)) for n in range(100)]
        assert await asyncio.gather(*map(book.write, pages)) == [True] * 100
        assert len((await book.load()).alerts) == 100
    assert sum(batches) == 100
    assert len(batches) <= 2


async def test_book_moves_a_notice_without_its_body(path: Path) -> None:
    """What it was about when it was decided stays; its standing changes; one that is not there yet is written whole."""
    notice = a_notice(next_at=START)
    later = a_notice(of={"note": "later"}, standing=Standing.SENT, attempts=1, settled_at=START, receipt={"id": "1"})
    unknown = a_notice("0000000b", standing=Standing.INFLIGHT, attempts=1)
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(notices=(notice,)))
        assert await book.write(Page(notices=(later, unknown)))
    with closing(sqlite3.connect(path)) as connection:
        rows = connection.execute(
            "SELECT standing, attempts, receipt, json_extract(body, '$.alert.note') FROM notice ORDER BY id"
        )
        assert rows.fetchall() == [("sent", 1, '{"id":"1"}', ""), ("inflight", 1, "{}", "")]


async def test_book_takes_nothing_after_its_close(path: Path) -> None:
    """A late page is refused."""
    async with book_at(path, ManualClock()) as book:
        pass
    assert not await book.write(Page(alerts=(an_alert(),)))


async def test_book_commits_for_a_writer_that_is_gone(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is cancelled while it waits leaves its page behind, and it is kept."""
    gate, write = threading.Event(), BookStore.write
    monkeypatch.setattr(BookStore, "write", lambda *given: (gate.wait(30), write(*given))[1])
    async with book_at(path, ManualClock()) as book:
        writing = asyncio.create_task(book.write(Page(alerts=(an_alert(),))))
        await eventually(lambda: book._file._worker.hangs)
        writing.cancel()
        gate.set()
        assert (await book.load()).alerts == (an_alert(),)
        assert writing.cancelled()


async def test_book_keeps_house(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over for 400 days: gone, with all that belongs to it; evidence after 90; what is open or waits stays for ever."""
    monkeypatch.setattr(book_module, "STEP_PAUSE_SECONDS", 0)
    monkeypatch.setattr("history.book.store.ROWS_PER_STEP", 2)
    clock = ManualClock()
    old, times = START - 401 * DAY, {"state": State.RESOLVED}
    alerts = [an_alert(f"old0000{n}", started_at=old, changed_at=old, resolved_at=old, **times) for n in range(5)]
    alerts += [an_alert("kept0000", resolved_at=START - 399 * DAY, **times), an_alert("open0000", started_at=old)]
    notices = [a_notice(a.episode, alert=a, standing=Standing.SENT, settled_at=a.resolved_at) for a in alerts[:6]]
    notices.append(a_notice("open0000", created_at=old))
    silences = (a_silence(ends_at=old), a_silence(id="s2"))
    page = Page(
        alerts=tuple(alerts),
        transitions=tuple(a_transition(alert.episode) for alert in alerts),
        notices=tuple(notices),
        silences=silences,
        marks={"old00000": ("false", "ops"), "kept0000": ("real", "ops")},
    )
    async with book_at(path, clock) as book:
        assert await book.write(page)
        store = await book._file.opened()
        assert store is not None
        for episode, at in (("old00000", START - 91 * DAY), ("kept0000", START - 89 * DAY)):
            await book._file.call(store.write, [Page(evidence={episode: "{}"})], at)
        await book.tend()
        await book.tend()
    with closing(sqlite3.connect(path)) as connection:
        left = {
            table: connection.execute(f"SELECT {column} FROM {table} ORDER BY 1").fetchall()
            for table, column in {
                "alert": "episode",
                "transition": "episode",
                "notice": "episode",
                "evidence": "episode",
                "mark": "episode",
                "silence": "id",
            }.items()
        }
    both = [("kept0000",), ("open0000",)]
    assert left == {
        "alert": both,
        "transition": both,
        "notice": both,
        "evidence": both[:1],
        "mark": both[:1],
        "silence": [("s2",)],
    }


async def test_book_keeps_a_bounded_number(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Past the number the oldest that are over go, however young."""
    monkeypatch.setattr("history.book.store.MOST_EPISODES", 3)
    clock = ManualClock()
    over = tuple(an_alert(f"{n:08}", state=State.RESOLVED, resolved_at=START) for n in range(6))
    async with book_at(path, clock) as book:
        assert await book.write(Page(alerts=(an_alert("zzzzzzzz"), *over)))
        await book.tend()
    with closing(sqlite3.connect(path)) as connection:
        left = [episode for (episode,) in connection.execute("SELECT episode FROM alert ORDER BY id")]
    assert left == ["zzzzzzzz", "00000003", "00000004", "00000005"]


async def test_book_begun_under_a_wrong_clock_keeps_what_it_is_given(path: Path) -> None:
    """The first start was ten years ahead: what is over since is not ten years old."""
    async with book_at(path, ManualClock()) as book:
        store = await book._file.opened()
        assert store is not None
        await book._file.call(store.remember, "present_at", START + 3650 * DAY)
        over = an_alert(state=State.RESOLVED, resolved_at=START)
        assert await book.write(Page(alerts=(over,)))
        await book.tend()
        assert await book._file.call(lambda: store.connection.execute("SELECT count(*) FROM alert").fetchone()) == (1,)


async def test_book_keeps_house_by_itself_and_tries_again(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`run` goes on after a fault of its own, and takes a file into use again that nobody writes to."""
    monkeypatch.setattr(book_module, "RETRY_SECONDS", 0.01)
    monkeypatch.setattr(book_module, "TEND_SECONDS", 0.02)
    clock = ManualClock()
    async with book_at(path, clock) as book:
        monkeypatch.setattr(book, "tend", _fail)
        await book._file.give_up(sqlite3.OperationalError("disk I/O error"))
        running = asyncio.create_task(book.run())
        assert book.trouble is not None
        clock.advance(15)
        await eventually(lambda: book.trouble is None)
        clock.advance(15)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _fail() -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.0, 1e-300])
async def test_book_finds_any_value_again(path: Path, value: float) -> None:
    """What was no number is none after a restart, and no zero."""
    async with book_at(path, ManualClock()) as book:
        assert await book.write(Page(alerts=(an_alert(value=value),), notices=(a_notice(of={"value": value}),)))
        found = await book.load()
    assert [str(one.value) for one in (*found.alerts, found.notices[0].alert)] == [str(value)] * 2
