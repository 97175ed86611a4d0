"""The readings that functions look back on: in memory, bounded, and filled from the history after a restart.

A window is cut into `STEPS` steps of time, each with one reading: a mean, the highest or lowest where that is what is
asked for, or the last where growth is. What is read from the file comes in a thread; until it has come, the window
says that it has seen too little.
"""

import asyncio
from array import array
from bisect import bisect_left
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from math import isnan, nan
from typing import Final, NamedTuple, Protocol

import structlog

from alerting.rules.functions import (
    HOUR,
    LOOK_BACK_SECONDS,
    WEEK,
    Computed,
    Function,
    Kind,
    compute,
    deviation,
    rate_of,
)
from history.reading import SeriesHistory
from history.trends import Place
from toban.config import format_duration
from toban.errors import UnavailableError
from toban.samples import Type

STEPS: Final = 60
MOST_WINDOWS: Final = 10_000  # of all targets; about 1.2 kB each
DEVIATION_WINDOW_SECONDS: Final = 300.0  # what a counter grew in is held against its hours
READ_SECONDS: Final = 30.0
WAIT_SECONDS: Final = 5.0  # between two looks whether something is to be read
MOST_WEEKS: Final = 12

logger = structlog.get_logger(__name__)


class Series(NamedTuple):
    """Which series."""

    target: str
    metric: str
    labels: tuple[tuple[str, str], ...]


class Remembered(Protocol):
    """What is asked of the history."""

    def several(self, metrics: Iterable[str], *, since: float, until: float, width: int) -> tuple[SeriesHistory, ...]:
        """The series of several metrics, of all targets."""
        ...


OpenPast = Callable[[], AbstractContextManager[Remembered]]
Found = tuple[dict[str, list[SeriesHistory]], dict[tuple[Series, int], tuple[float, ...]]]
"""The past by the text of the function, and the hours of earlier weeks by series and number of weeks."""


class Window:
    """One series as one function sees it."""

    __slots__ = ("_count", "_function", "_moments", "_step", "_step_seconds", "_values", "counter", "filled")

    def __init__(self, function: Function, *, counter: bool) -> None:
        self._function = function
        self.counter = counter
        seconds = DEVIATION_WINDOW_SECONDS if function.kind is Kind.DEVIATION else function.window_seconds
        self._step_seconds = seconds / STEPS
        self._moments = array("d")
        self._values = array("d")
        self._step = -1
        self._count = 0
        self.filled = False

    @property
    def seen_at(self) -> float:
        """When the last reading was taken."""
        return self._moments[-1] if self._moments else 0.0

    def add(self, at: float, value: float) -> None:
        """One reading. Where the clock was set back, what came before is forgotten: its moments mean nothing now."""
        if self._moments and at < self._moments[-1]:
            self._forget()
        if isnan(value):
            self.break_off()
            return
        step = int(at // self._step_seconds)
        if self.counter and self._values and value < self._values[-1]:
            self.break_off()  # a reset: what it grows to within this step must not hide it
        if step != self._step or isnan(self._values[-1]):
            self._append(at, value)
            self._step, self._count = step, 1
            return
        self._moments[-1], self._values[-1] = at, self._merged(value)
        self._count += 1

    def break_off(self, at: float | None = None) -> None:
        """What comes next, or came since a moment, does not belong to what came before."""
        place = len(self._moments) if at is None else bisect_left(self._moments, at)
        if place and not isnan(self._values[place - 1]):
            self._moments.insert(place, self._moments[place - 1])
            self._values.insert(place, nan)

    def precede(self, places: Iterable[Place]) -> None:
        """What the file knows of the time before the first reading."""
        first = self._moments[0] if self._moments else float("inf")
        before = [place for place in places if place[0] < first - self._step_seconds / 2]
        if self.counter and before and self._moments:
            before.append((before[-1][0], nan))  # whether it was reset in between, nobody saw
        self._moments = array("d", [at for at, _ in before]) + self._moments
        self._values = array("d", [value for _, value in before]) + self._values
        self._drop_old()

    def places(self) -> list[Place]:
        """The readings, in order of time."""
        return list(zip(self._moments, self._values, strict=True))

    def computed(self, now: float) -> Computed:
        """What the function makes of them."""
        return compute(self._function, self.places(), now, counter=self.counter)

    def recent(self) -> float | None:
        """The last value, or the rate of late where it counts."""
        if self.counter:
            return rate_of(self.places())
        return None if not self._values or isnan(self._values[-1]) else self._values[-1]

    def _merged(self, value: float) -> float:
        match self._function.kind:
            case Kind.MAX:
                return max(self._values[-1], value)
            case Kind.MIN:
                return min(self._values[-1], value)
            case Kind.MEAN | Kind.QUANTILE:
                return (self._values[-1] * self._count + value) / (self._count + 1)
            case _:
                return value

    def _append(self, at: float, value: float) -> None:
        self._moments.append(at)
        self._values.append(value)
        self._drop_old()

    def _drop_old(self) -> None:
        """Keep the readings of the window and the one before it, if that is not much older."""
        begin = self._moments[-1] - self._step_seconds * STEPS if self._moments else 0.0
        old = 0
        while old + 1 < len(self._moments) and self._moments[old + 1] <= begin:
            old += 1
        if self._moments and self._moments[old] < begin - LOOK_BACK_SECONDS:
            old += 1
        old = max(old, len(self._moments) - 2 * STEPS)  # breaks take a place each
        del self._moments[:old]
        del self._values[:old]

    def _forget(self) -> None:
        self._moments, self._values, self._step = array("d"), array("d"), -1


class Windows:
    """All windows that rules need, the hours of earlier weeks among them."""

    def __init__(self, open_past: OpenPast | None = None) -> None:
        self.dropped = 0
        """How often a series found no room, since there were too many."""
        self._open_past = open_past
        self._windows: dict[Series, dict[str, Window]] = {}
        self._count = 0
        self._functions: dict[str, Function] = {}
        self._hours: dict[Series, dict[int, tuple[float, ...]]] = {}
        self._hours_read: dict[tuple[str, int], int] = {}
        self._reading: asyncio.Future[Found] | None = None
        self._told: str | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def full(self) -> bool:
        """Whether there is no more room."""
        return self._count >= MOST_WINDOWS

    def of(self, series: Series, function: Function, *, counter: bool) -> Window | None:
        """The window of a series, begun where there is none; None where there is no more room."""
        windows = self._windows.get(series, {})
        window = windows.get(function.text)
        if window is None:
            if self._count >= MOST_WINDOWS:
                self.dropped += 1
                return None
            window = windows[function.text] = Window(function, counter=counter)
            self._windows[series] = windows
            self._functions[function.text] = function
            self._count += 1
        return window

    def computed(self, series: Series, function: Function, window: Window, now: float) -> Computed:
        """What a function makes of a series now."""
        if function.kind is not Kind.DEVIATION:
            return window.computed(now)
        recent = window.recent()
        if recent is None:
            return Computed(None, "one reading so far")
        means = self._hours.get(series, {}).get(_weeks(function))
        if means is None:
            return Computed(None, "the hours of earlier weeks have not been read yet")
        return deviation(recent, means)

    def forget(self, series: Series) -> None:
        """A series has gone."""
        self._count -= len(self._windows.pop(series, {}))
        self._hours.pop(series, None)

    def part(self, target: str) -> None:
        """A target has gone, with all its series."""
        for series in [series for series in self._windows if series.target == target]:
            self.forget(series)

    def retain(self, functions: Container[str]) -> None:
        """Only these are asked for any more."""
        for series, windows in list(self._windows.items()):
            kept = {text: window for text, window in windows.items() if text in functions}
            self._count -= len(windows) - len(kept)
            self._windows[series] = kept
            if not kept:
                self.forget(series)

    def break_off(self, target: str, at: float | None = None) -> None:
        """A target was restarted, promoted or out of reach: what it counts since is not what it counted before."""
        for series, windows in self._windows.items():
            if series.target == target:
                for window in windows.values():
                    if window.counter:
                        window.break_off(at)

    async def run(self, now: Callable[[], float]) -> None:
        """Read what is wanted, for ever."""
        while True:
            try:
                await self.tend(now())
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("windows_fault")  # a fault of our own costs what lies back, never the watch
            await asyncio.sleep(WAIT_SECONDS)

    async def tend(self, now: float) -> bool:
        """Read once what is wanted of the file, in a thread; False where it could not be read."""
        if self._open_past is None:
            return True
        if self._reading is not None and not self._reading.done():
            return False  # an earlier look has not come back; one thread is enough
        fresh = {place: window for place, window in self._each() if not window.filled}
        hours = self._wanted_hours(now)
        if not fresh and not hours:
            return True
        functions = {text: self._functions[text] for text in {text for _, text in fresh}}
        metrics = {text: {series.metric for series, of in fresh if of == text} for text in functions}
        read = partial(_read, self._open_past, functions, metrics, hours, now)
        self._reading = asyncio.ensure_future(asyncio.to_thread(read))
        done, _ = await asyncio.wait({self._reading}, timeout=READ_SECONDS)
        if not done:
            return self._tell(f"not read within {format_duration(READ_SECONDS)}")
        try:
            past, found = self._reading.result()
        except UnavailableError as error:
            return self._tell(error.why)
        self._told = None
        self._fill(fresh, past)
        self._remember_hours(hours, found, now)
        return True

    def _tell(self, why: str) -> bool:
        if why != self._told:  # changes are said, not states
            logger.warning("past_not_read", why=why)
        self._told = why
        return False

    def _each(self) -> Iterator[tuple[tuple[Series, str], Window]]:
        for series, windows in self._windows.items():
            for text, window in windows.items():
                yield (series, text), window

    def _fill(self, fresh: dict[tuple[Series, str], Window], past: dict[str, list[SeriesHistory]]) -> None:
        for text, found in past.items():
            for history in found:
                window = fresh.get((_series(history), text))
                if window is not None and history.points:
                    window.precede(readings(history, self._functions[text], (history.until - history.since) / STEPS))
        for window in fresh.values():
            window.filled = True

    def _wanted_hours(self, now: float) -> set[tuple[str, int]]:
        """The metrics and numbers of weeks whose hours are not those of this hour."""
        hour = int(now // HOUR)
        return {
            (series.metric, weeks)
            for series, weeks in self._deviating()
            if weeks not in self._hours.get(series, {}) or self._hours_read.get((series.metric, weeks)) != hour
        }

    def _deviating(self) -> Iterator[tuple[Series, int]]:
        for (series, text), _ in self._each():
            if self._functions[text].kind is Kind.DEVIATION:
                yield series, _weeks(self._functions[text])

    def _remember_hours(
        self, hours: set[tuple[str, int]], found: dict[tuple[Series, int], tuple[float, ...]], now: float
    ) -> None:
        for series, weeks in self._deviating():
            if (series.metric, weeks) in hours:
                self._hours.setdefault(series, {})[weeks] = found.get((series, weeks), ())
        self._hours_read.update(dict.fromkeys(hours, int(now // HOUR)))


def _weeks(function: Function) -> int:
    return min(MOST_WEEKS, int(function.window_seconds // WEEK))


def _series(history: SeriesHistory) -> Series:
    return Series(history.target, history.name, tuple(sorted(history.labels.items())))


def readings(history: SeriesHistory, function: Function, step: float) -> list[Place]:
    """Points of the file as readings: a counter's rates are summed up again, with a break where some are missing."""
    if history.type is not Type.COUNTER:
        of = {Kind.MAX: 3, Kind.MIN: 1}.get(function.kind, 2)
        return [(point.at + step / 2, point[of]) for point in history.points]
    places: list[Place] = []
    total = 0.0
    for point in history.points:
        if not places or point.at > places[-1][0] + step / 2:
            places += [(places[-1][0], nan)] if places else []
            places.append((point.at, total))
        total += max(0.0, point.mean) * step
        places.append((point.at + step, total))
    return places


def _read(
    open_past: OpenPast,
    functions: dict[str, Function],
    metrics: dict[str, set[str]],
    hours: set[tuple[str, int]],
    now: float,
) -> Found:
    """What the file knows, for a thread. Hours: this one, the one before and the one after, of each earlier week."""
    past: dict[str, list[SeriesHistory]] = {}
    found: dict[tuple[Series, int], tuple[float, ...]] = {}
    with open_past() as reader:
        for text, function in functions.items():
            if function.kind is not Kind.DEVIATION:
                since = now - function.window_seconds * (1 + 1 / STEPS)
                past[text] = list(reader.several(metrics[text], since=since, until=now, width=STEPS))
        for weeks in {number for _, number in hours}:
            wanted = [metric for metric, number in hours if number == weeks]
            for week in range(1, weeks + 1):
                begin = now // HOUR * HOUR - week * WEEK - HOUR
                for history in reader.several(wanted, since=begin, until=begin + 3 * HOUR, width=3):
                    place = (_series(history), weeks)
                    found[place] = (*found.get(place, ()), *(point.mean for point in history.points))
    return past, found
