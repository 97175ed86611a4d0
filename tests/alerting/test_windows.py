import asyncio
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from math import isnan, nan
from threading import Event

import pytest

import alerting.windows
from alerting.rules.functions import HOUR, LOOK_BACK_SECONDS, WEEK, Computed, parse_function
from alerting.windows import STEPS, Remembered, Series, Window, Windows
from history.past import Point
from history.reading import SeriesHistory
from tests.builders import START
from tests.waiting import eventually
from toban.errors import UnavailableError
from toban.samples import Type, Unit

SERIES = Series("main", "toban_test_value", (("mount", "/"),))
MEAN = parse_function("mean(10m)")
RATE = parse_function("rate(10m)")
DEVIATION = parse_function("deviation(2w)")


def a_window(text: str, *readings: tuple[float, float], counter: bool = False) -> Window:
    """A window with readings."""
    window = Window(parse_function(text), counter=counter)
    for at, value in readings:
        window.add(at, value)
    return window


class Past:
    """A history that gives what it is told, and remembers what it was asked."""

    def __init__(self, *, of: Type = Type.GAUGE, value: float = 5.0) -> None:
        self.asked: list[tuple[float, float, int]] = []
        self.error: UnavailableError | None = None
        self._of = of
        self._value = value

    def several(self, metrics: Iterable[str], *, since: float, until: float, width: int) -> tuple[SeriesHistory, ...]:
        """The one series, the same at every point; one that nobody follows beside it."""
        assert set(metrics) == {SERIES.metric}
        self.asked.append((since, until, width))
        return tuple(self._series(mount, since, until, width) for mount in ("/", "/unknown"))

    def _series(self, mount: str, since: float, until: float, width: int) -> SeriesHistory:
        step = (until - since) / width
        value = self._value
        points = tuple(Point(since + n * step, value - 1, value, value + 1) for n in range(width))
        return SeriesHistory(
            name=SERIES.metric,
            target="main",
            labels={"mount": mount},
            type=self._of,
            unit=Unit.NONE,
            since=since,
            until=until,
            points=points,
            lowest=None,
            mean=None,
            highest=None,
            last=None,
        )

    def open(self) -> AbstractContextManager[Remembered]:
        """As a file is opened."""
        return self._opened()

    @contextmanager
    def _opened(self) -> Iterator["Past"]:
        if self.error is not None:
            raise self.error
        yield self


@pytest.mark.parametrize(
    ("text", "value"),
    [("mean(10m)", 2.0), ("max(10m)", 3.0), ("min(10m)", 1.0), ("quantile(0.5, 10m)", 2.0), ("forecast(1, 10m)", 2.0)],
)
def test_window_keeps_one_reading_a_step(text: str, value: float) -> None:
    """The mean, the highest or lowest, or the last, as the function needs."""
    assert a_window(text, (0, 1.0), (1, 3.0), (2, 2.0)).places() == [(2, value)]


def test_window_is_bounded() -> None:
    """A reading each second for an hour leaves sixty steps, the one under way and the one before."""
    window = a_window("mean(10m)", *((float(at), 1.0) for at in range(3600)))
    assert len(window.places()) == STEPS + 2
    assert window.seen_at == 3599


def test_window_keeps_the_reading_before_it_unless_it_is_much_older() -> None:
    """A rate needs it; after a long outage it says nothing."""
    near = a_window("rate(1m)", (0, 1.0), (LOOK_BACK_SECONDS, 2.0), counter=True)
    assert near.places() == [(0, 1.0), (LOOK_BACK_SECONDS, 2.0)]
    far = a_window("rate(1m)", (0, 1.0), (LOOK_BACK_SECONDS + 61, 2.0), counter=True)
    assert far.places() == [(LOOK_BACK_SECONDS + 61, 2.0)]


def test_window_forgets_when_the_clock_is_set_back() -> None:
    """What came before has moments that mean nothing now."""
    assert a_window("mean(10m)", (100, 1.0), (200, 2.0), (50, 3.0)).places() == [(50, 3.0)]


def test_window_sees_a_reset_inside_one_step() -> None:
    """A counter that fell and grew beyond where it was is not taken for growth."""
    window = a_window("rate(10m)", (0, 100.0), (300, 400.0), (301, 5.0), (302, 500.0), counter=True)
    assert [at for at, value in window.places() if isnan(value)] == [300]
    assert window.places()[-1] == (302, 500.0)


def test_window_breaks_off_where_it_is_told() -> None:
    """At its end, or at a moment; and once is enough."""
    window = a_window("rate(10m)", (0, 1.0), (60, 2.0), (120, 9e9), counter=True)
    window.break_off(100.0)
    window.break_off(100.0)
    assert [at for at, value in window.places() if isnan(value)] == [60]
    window.add(180, nan)
    window.break_off()
    assert [at for at, value in window.places() if isnan(value)] == [60, 120]
    empty = Window(RATE, counter=True)
    empty.break_off()
    assert empty.places() == []
    assert empty.seen_at == 0.0


def test_window_is_preceded_by_what_the_file_knows() -> None:
    """The overlap counts once; a counter has a break between, since nobody saw what happened there."""
    gauge = a_window("mean(10m)", (600, 9.0))
    gauge.precede([(0, 1.0), (300, 2.0), (599, 3.0)])
    assert gauge.places() == [(0, 1.0), (300, 2.0), (600, 9.0)]
    counter = a_window("rate(10m)", (600, 9.0), counter=True)
    counter.precede([(0, 1.0), (300, 2.0)])
    assert [at for at, value in counter.places() if isnan(value)] == [300]
    fresh = Window(MEAN, counter=False)
    fresh.precede([(0, 1.0)])
    assert fresh.places() == [(0, 1.0)]


async def test_windows_are_filled_from_the_file_once() -> None:
    """After a restart a mean is known with its first reading."""
    past = Past()
    windows = Windows(past.open)
    window = windows.of(SERIES, MEAN, counter=False)
    assert window is not None
    window.add(START, 5.0)
    assert windows.computed(SERIES, MEAN, window, START) == Computed(None, "1s of 10m seen so far")
    assert await windows.tend(START + 1)
    assert windows.computed(SERIES, MEAN, window, START + 1) == Computed(5.0)
    assert await windows.tend(START + 2)
    assert len(past.asked) == 1


@pytest.mark.parametrize(("text", "value"), [("max(10m)", 6.0), ("min(10m)", 4.0), ("mean(10m)", 5.0)])
async def test_windows_take_of_each_stretch_what_the_function_needs(text: str, value: float) -> None:
    """Highest, lowest or mean."""
    windows = Windows(Past().open)
    function = parse_function(text)
    window = windows.of(SERIES, function, counter=False)
    assert window is not None
    await windows.tend(START)
    assert windows.computed(SERIES, function, window, START) == Computed(value)


async def test_windows_of_a_counter_are_filled_by_its_rates() -> None:
    """What it grew by a second in the file is what it grew by; the first live interval joins in."""
    windows = Windows(Past(of=Type.COUNTER).open)
    window = windows.of(SERIES, RATE, counter=True)
    assert window is not None
    window.add(START, 1000.0)
    await windows.tend(START)
    window.add(START + 60, 1300.0)
    found = windows.computed(SERIES, RATE, window, START + 60).value
    assert found == pytest.approx(5.0)


async def test_windows_without_a_file_know_what_comes() -> None:
    """Nothing is read, and that is no trouble."""
    windows = Windows()
    window = windows.of(SERIES, MEAN, counter=False)
    assert window is windows.of(SERIES, MEAN, counter=False)
    assert await windows.tend(START)


async def test_windows_try_again_when_the_file_cannot_be_read() -> None:
    """Unknown until then."""
    past = Past()
    past.error = UnavailableError("history", "disk full")
    windows = Windows(past.open)
    windows.of(SERIES, MEAN, counter=False)
    assert not await windows.tend(START)
    assert not await windows.tend(START)
    past.error = None
    assert await windows.tend(START)
    assert len(past.asked) == 1


async def test_windows_do_not_wait_for_a_file_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread at a time, however long it takes."""
    monkeypatch.setattr(alerting.windows, "READ_SECONDS", 0.01)
    go = Event()
    past = Past()

    @contextmanager
    def slow() -> Iterator[Past]:
        go.wait(120)
        yield past

    windows = Windows(slow)
    windows.of(SERIES, MEAN, counter=False)
    assert not await windows.tend(START)
    assert not await windows.tend(START)
    go.set()
    monkeypatch.setattr(alerting.windows, "READ_SECONDS", 60.0)
    await eventually(lambda: windows._reading is not None and windows._reading.done())
    assert await windows.tend(START)


async def test_deviation_reads_the_hours_of_earlier_weeks_once_an_hour() -> None:
    """Unknown until they have come; then the hour before and after count too."""
    past = Past()
    windows = Windows(past.open)
    window = windows.of(SERIES, DEVIATION, counter=False)
    assert window is not None
    assert windows.computed(SERIES, DEVIATION, window, START) == Computed(None, "one reading so far")
    window.add(START, 10.0)
    assert windows.computed(SERIES, DEVIATION, window, START) == Computed(
        None, "the hours of earlier weeks have not been read yet"
    )
    await windows.tend(START)
    hour = START // HOUR * HOUR
    assert past.asked == [(hour - k * WEEK - HOUR, hour - k * WEEK + 2 * HOUR, 3) for k in (1, 2)]
    assert windows.computed(SERIES, DEVIATION, window, START).value == pytest.approx(100.0)
    await windows.tend(START + 60)
    assert len(past.asked) == 2
    await windows.tend(START + HOUR)
    assert len(past.asked) == 4
    three = parse_function("deviation(3w)")
    windows.of(SERIES._replace(labels=()), three, counter=False)
    await windows.tend(START + HOUR)
    assert len(past.asked) == 7


async def test_deviation_of_a_counter_is_of_its_rate() -> None:
    """It is held against what it grew by a second."""
    windows = Windows(Past(of=Type.COUNTER).open)
    window = windows.of(SERIES, DEVIATION, counter=True)
    assert window is not None
    for number in range(3):
        window.add(START + number * 60, number * 600.0)
    await windows.tend(START)
    assert windows.computed(SERIES, DEVIATION, window, START).value == pytest.approx(100.0)


async def test_windows_forget_a_series_with_its_hours() -> None:
    """And make room."""
    windows = Windows(Past().open)
    windows.of(SERIES, DEVIATION, counter=False)
    windows.of(SERIES, MEAN, counter=False)
    await windows.tend(START)
    assert len(windows) == 2
    windows.retain({MEAN.text})
    assert len(windows) == 1
    windows.forget(SERIES)
    windows.forget(SERIES)
    assert len(windows) == 0


def test_windows_break_off_the_counters_of_one_target() -> None:
    """Not its gauges, nor what others count."""
    windows = Windows()
    other = SERIES._replace(target="other")
    kept = [
        windows.of(SERIES, RATE, counter=True),
        windows.of(SERIES, MEAN, counter=False),
        windows.of(other, RATE, counter=True),
    ]
    for window in kept:
        assert window is not None
        window.add(START, 1.0)
    windows.break_off("main")
    assert [len(window.places()) for window in kept if window] == [2, 1, 1]


async def test_windows_are_tended_whatever_goes_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault of our own is said, and costs one turn."""
    monkeypatch.setattr(alerting.windows, "WAIT_SECONDS", 0.0)
    turns = 0

    def now() -> float:
        nonlocal turns
        turns += 1
        if turns == 1:
            raise ZeroDivisionError
        return START

    task = asyncio.create_task(Windows().run(now))
    await eventually(lambda: turns > 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
