"""The book is read from outside, while it is written, and tells what was, what is, and what it was worth."""

import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from history.book.book import Book
from history.book.contract import Page
from history.book.reader import Review, RuleReview, Statistics, down_seconds, open_book_reader
from tests.alerting.notices import a_notice, a_transition, an_alert
from tests.builders import START, ManualClock
from toban.alerts import Alert, Key, Severity, Silence, Standing, State, What
from toban.errors import NotFoundError, UnavailableError

DAY = 86400.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the book is."""
    return tmp_path / "state.db.alerts"


@pytest.fixture
async def book(path: Path) -> AsyncIterator[Book]:
    """A book that stays open while it is read."""
    opened = await Book.open(path, ManualClock())
    yield opened
    await opened.close()


def over(episode: str, *, after: float, taken: float | None = None, **fields: Any) -> Alert:  # noqa: ANN401 - any field
    """An alert that fired at the start and was over so many seconds later."""
    times = {"resolved_at": START + after, "acknowledged_at": None if taken is None else START + taken}
    return an_alert(episode, state=State.RESOLVED, **times, **fields)


async def test_reader_tells_alerts_by_state_and_time(book: Book, path: Path) -> None:
    """The latest first; what was over before the span, or began after it, is left out."""
    early = over("early000", after=60, started_at=START - 10)
    late = an_alert("late0000", started_at=START + 500, state=State.PENDING, fired_at=None)
    alerts = (early, an_alert("open0000"), late)
    assert await book.write(Page(alerts=alerts))
    with open_book_reader(path) as reader:
        told = [
            [alert.episode for alert in found]
            for found in (
                reader.alerts(),
                reader.alerts(states=[State.FIRING, State.PENDING]),
                reader.alerts(since=START + 61),
                reader.alerts(until=START + 500),
                reader.alerts(rule="disk_full", target="main", most=1),
                reader.alerts(rule="other"),
                reader.alerts(severity=Severity.CRITICAL),
                reader.alerts(severity=Severity.WARNING, most=2),
                reader.alerts(states=[]),
            )
        ]
        assert reader.alerts()[1] == early
    assert told == [
        ["late0000", "early000", "open0000"],
        ["late0000", "open0000"],
        ["late0000", "open0000"],
        ["early000", "open0000"],
        ["late0000"],
        [],
        [],
        ["late0000", "early000"],
        [],
    ]


async def test_reader_finds_an_alert_by_the_beginning_of_its_id(book: Book, path: Path) -> None:
    """Any case, letters that look like digits taken for those; ambiguous and unknown ones are said to be."""
    names = ("4f7k2m1x", "4f7k9999", "4f7kaaaa", "4f7kbbbb", "0z111111")
    assert await book.write(Page(alerts=tuple(map(an_alert, names))))
    with open_book_reader(path) as reader:
        assert reader.alert("4f7k2").episode == "4f7k2m1x"
        assert reader.alert(" 4F7K2M1X ").episode == "4f7k2m1x"
        assert reader.alert("OzIl").episode == "0z111111"
        with pytest.raises(NotFoundError, match="several ids begin like this: 4f7k2m1x, 4f7k9999, 4f7kaaaa …"):
            reader.alert("4f7k")
        with pytest.raises(NotFoundError) as unknown:
            reader.alert("4f7k2m1z")
        assert unknown.value.hint == "the nearest: 4f7k2m1x, 4f7kbbbb, 4f7kaaaa"
        for nonsense in ("", "%", "*", "'; --", "é"):
            with pytest.raises(NotFoundError):
                reader.alert(nonsense)


async def test_reader_tells_the_life_of_an_alert(book: Book, path: Path) -> None:
    """Transitions in order, evidence, the mark, what was told, the dead letters, the silences."""
    steps = tuple(a_transition(sequence=n, before=None if n == 1 else State.PENDING, what=None) for n in (2, 1, 3))
    dead = a_notice(what=What.REPEATED, standing=Standing.DEAD, detail="refused: status 400", settled_at=START)
    silence = Silence(
        id="s1", match=(), begins_at=START, ends_at=START, why="x", who="ops", created_at=START, ended_by="ops"
    )
    page = Page(
        alerts=(an_alert(),),
        transitions=steps,
        notices=(a_notice(), dead, a_notice("0000000b")),
        silences=(silence,),
        evidence={"0000000a": '{"locks": []}'},
        marks={"0000000a": ("false", "ops")},
    )
    assert await book.write(page)
    with open_book_reader(path) as reader:
        assert reader.transitions("0000000a") == (steps[1], steps[0], steps[2])
        assert (reader.evidence("0000000a"), reader.evidence("0000000b")) == ('{"locks": []}', None)
        assert (reader.mark("0000000a"), reader.mark("0000000b")) == (("false", "ops"), None)
        assert reader.notices(episode="0000000a") == (dead, a_notice())
        assert reader.notices(standing=Standing.DEAD) == (dead,)
        assert len(reader.notices(most=2)) == 2
        assert reader.silences() == (silence,)


async def test_reader_leaves_out_what_cannot_be_read(book: Book, path: Path) -> None:
    """A transition with a NaN is told as one; a receipt that is no JSON is none; an unknown word costs its row."""
    assert await book.write(
        Page(transitions=(a_transition(value=float("nan")), a_transition(sequence=2)), notices=(a_notice(),))
    )
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE transition SET after = 'levitating' WHERE sequence = 2")
        connection.execute("UPDATE notice SET receipt = '{'")
        connection.commit()
    with open_book_reader(path) as reader:
        (step,) = reader.transitions("0000000a")
        assert str(step.value) == "nan"
        assert reader.notices() == (a_notice(),)


async def test_statistics_count_what_fired(book: Book, path: Path) -> None:
    """By the worst that each was; means of what was acknowledged and of what is over; no drills, nothing pending."""
    critical: dict[str, Any] = {"severity": Severity.CRITICAL}
    info: dict[str, Any] = {"severity": Severity.INFO}
    alerts = (
        over("a", after=100, taken=10, **critical),
        over("b", after=300),
        an_alert("c", acknowledged_at=START + 30, acknowledged_by="ops"),
        over("d", after=500, **info),
        over("drill", after=9999, taken=9999, test=True),
        an_alert("pending", state=State.PENDING, fired_at=None),
        an_alert("later", fired_at=START + DAY),
    )
    assert await book.write(Page(alerts=(an_alert("b", severity=Severity.CRITICAL),)))
    assert await book.write(Page(alerts=alerts))
    with open_book_reader(path) as reader:
        told = reader.statistics(START, START + DAY)
        nothing = reader.statistics(START - DAY, START)
    assert told == Statistics(total=4, critical=2, warning=1, info=1, mtta_seconds=20.0, mttr_seconds=300.0)
    assert nothing == Statistics(total=0, critical=0, warning=0, info=0, mtta_seconds=None, mttr_seconds=None)


async def test_review_tells_what_each_rule_was_worth(book: Book, path: Path) -> None:
    """The busiest first, with its marks; incidents a day; and the share of time that targets were up."""
    down: dict[str, Any] = {"key": Key("target_down", "replica"), "started_at": START}
    alerts = (
        over("a", after=100, taken=10),
        over("b", after=300),
        an_alert("c"),
        over("down1", after=DAY / 10, **down),
        over("down2", after=DAY / 5, **{**down, "key": Key("target_down", "replica", (("database", "x"),))}),
        an_alert("down3", key=Key("target_down", "main"), started_at=START - DAY, fired_at=START - DAY),
        over("drill", after=DAY, test=True, **{**down, "key": Key("target_down", "other")}),
    )
    marks = {"a": ("real", "ops"), "b": ("false", "ops")}
    assert await book.write(Page(alerts=alerts, marks=marks))
    with open_book_reader(path) as reader:
        told = reader.review(START, START + 2 * DAY)
    disk = RuleReview(
        rule="disk_full",
        fired=3,
        acknowledged=1,
        false=1,
        real=1,
        unmarked=1,
        mean_seconds=200.0,
        mean_acknowledge_seconds=10.0,
    )
    lost = RuleReview(
        rule="target_down",
        fired=2,
        acknowledged=0,
        false=0,
        real=0,
        unmarked=2,
        mean_seconds=DAY * 0.15,
        mean_acknowledge_seconds=None,
    )
    availability = {"main": 0.0, "replica": 0.9}
    assert told == Review(rules=(disk, lost), incidents_per_day=2.5, availability=availability)


def test_outages_that_overlap_count_once() -> None:
    """One inside another, one that goes on, one apart."""
    spans = [("main", 0.0, 10.0), ("main", 2.0, 5.0), ("main", 8.0, 12.0), ("main", 20.0, 21.0), ("other", 0.0, 1.0)]
    assert down_seconds(spans) == {"main": 13.0, "other": 1.0}


async def test_reader_reads_while_the_daemon_writes_and_writes_nothing(book: Book, path: Path) -> None:
    """It sees each commit, and cannot change anything."""
    with open_book_reader(path) as reader:
        assert reader.alerts() == ()
        assert await book.write(Page(alerts=(an_alert(),)))
        assert reader.alerts() == (an_alert(),)
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader._connection.execute("DELETE FROM alert")


def test_reader_of_no_book_says_so(path: Path) -> None:
    """None there, none of ours, none that can be read."""
    with pytest.raises(UnavailableError, match="does not exist"), open_book_reader(path):
        pass
    path.write_bytes(b"not a database at all, " * 100)
    with pytest.raises(UnavailableError) as spoilt, open_book_reader(path):
        pass
    assert spoilt.value.hint == "the daemon sets it aside and begins a new one"
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE invoices (id)")
    with pytest.raises(UnavailableError, match="another program"), open_book_reader(path):
        pass
