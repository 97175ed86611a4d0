from pathlib import Path

from alerting.desk import Desk
from alerting.evaluation import Evaluation
from alerting.windows import Windows
from history.book.book import Book
from tests.alerting.builders import MINUTE, MemoryDispatcher, Quietude, a_rule, a_verdict
from tests.builders import ManualClock, a_collection, a_failure, a_metric, a_sample
from toban.alerts import Alert, Data, Silence, State
from toban.samples import Unit

USED = a_metric("pg_connections_used_ratio", unit=Unit.RATIO)


class Whole:
    """Evaluation, desk and a real book, joined as the daemon joins them."""

    def __init__(self, book: Book, clock: ManualClock, *, keep_seconds: float = 0.0, for_seconds: float = 0.0) -> None:
        self.clock = clock
        self.dispatcher = MemoryDispatcher()
        rule = a_rule(keep_seconds=keep_seconds, for_seconds=for_seconds)
        self.evaluation = Evaluation([rule], Windows(), sources={USED.name: ("activity",)})
        self.desk = Desk(
            [rule],
            book=book,
            dispatcher=self.dispatcher,
            clock=clock,
            surroundings=Quietude(),
            over=self.evaluation.settle,
        )

    async def resume(self, book: Book) -> None:
        """Take up what is in the book."""
        found = await book.load()
        self.desk.resume(found)
        for alert in found.alerts:
            self.evaluation.resume(alert.key, alert.severity, fired=alert.fired_at is not None)

    async def measured(self, value: float | None) -> list[tuple[str, str]]:
        """One turn of a collector, which fails where there is no value; what was told."""
        now = self.clock.now()
        samples = [] if value is None else [a_sample(USED, value, taken_at=now)]
        failure = a_failure() if value is None else None
        self.desk.judged(self.evaluation.accept(a_collection(*samples, taken_at=now, failure=failure)))
        return await self.told()

    async def after(self, seconds: float) -> list[tuple[str, str]]:
        """Time passes; what was told."""
        self.clock.advance(seconds)
        self.desk.judged(self.evaluation.overdue(self.clock.now()))
        self.desk.tick()
        return await self.told()

    async def told(self) -> list[tuple[str, str]]:
        """What was told since the last look."""
        assert await self.desk.flush()
        return self.dispatcher.taken()

    @property
    def alert(self) -> Alert:
        """The only one that is open."""
        (alert,) = self.desk.active()
        return alert


async def test_all_that_is_open_is_the_same_after_a_restart(tmp_path: Path) -> None:
    """Every field of an alert goes through the book: acknowledged, muted, calm, with flaps and its policy."""
    clock = ManualClock()
    book = await Book.open(tmp_path / "state.db.alerts", clock)
    first = Whole(book, clock, keep_seconds=300)
    for target in ("one", "two"):
        first.desk.judged([a_verdict(0.9, rule=a_rule(keep_seconds=300), target=target)])
    first.desk.acknowledge(first.desk.active()[0].episode, who="kim", note="on it")
    assert isinstance(first.desk.silence([("target", "two")], why="a move", who="kim", for_seconds=600), Silence)
    first.desk.tick()
    for value in (0.5, 0.9, 0.5):
        first.desk.judged([a_verdict(value, rule=a_rule(keep_seconds=300), target="one")])
    assert len(await first.told()) == 3
    await book.close()

    book = await Book.open(tmp_path / "state.db.alerts", clock)
    second = Whole(book, clock, keep_seconds=300)
    await second.resume(book)
    assert sorted(second.desk.active(), key=lambda one: one.key) == sorted(first.desk.active(), key=lambda one: one.key)
    assert second.desk.silences() == first.desk.silences()
    await book.close()


async def test_alert_lives_its_life_from_values_to_the_book(tmp_path: Path) -> None:
    """Pending, firing, unheard, kept, over; and the next breach is another episode."""
    clock = ManualClock()
    book = await Book.open(tmp_path / "state.db.alerts", clock)
    whole = Whole(book, clock, keep_seconds=2 * MINUTE, for_seconds=MINUTE)
    assert await whole.measured(0.9) == []
    clock.advance(MINUTE)
    assert await whole.measured(0.9) == [("fired", "mail")]
    episode = whole.alert.episode
    clock.advance(15)
    assert await whole.measured(None) == []
    assert whole.alert.data is Data.FAILING
    assert await whole.after(2 * MINUTE) == [("no_data", "mail")]
    assert await whole.measured(0.5) == []
    told = []
    for _ in range(8):
        clock.advance(15)
        told.append(await whole.measured(0.5))
    assert told == [[]] * 7 + [[("resolved", "mail")]]
    assert (whole.desk.active(), await whole.measured(0.5)) == ((), [])
    assert await whole.measured(0.9) == []
    assert whole.alert.episode != episode
    await book.close()


async def test_daemon_that_dies_takes_up_what_it_had_open(tmp_path: Path) -> None:
    """What was firing and is well by now is resolved by the first values; what was pending fires."""
    clock = ManualClock()
    book = await Book.open(tmp_path / "state.db.alerts", clock)
    whole = Whole(book, clock)
    assert await whole.measured(0.9) == [("fired", "mail")]
    await book.close()
    clock.advance(3600)

    book = await Book.open(tmp_path / "state.db.alerts", clock)
    again = Whole(book, clock)
    await again.resume(book)
    assert again.alert.state is State.FIRING
    assert await again.measured(0.5) == [("resolved", "mail")]
    assert (await book.load()).alerts == ()
    await book.close()
