"""How the few series that fill something up have gone of late: in memory, fed with every collection, a few kB each.

Filled from the file once, when first asked for; from then on the daemon's own collections keep it. To read the file
each time would mean to unpack an hour's journal of every target for a handful of series.
"""

import asyncio
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from itertools import chain
from math import isfinite
from typing import NamedTuple, Protocol

from history.reading import SeriesHistory
from history.trends import DAY, Place
from toban.samples import Collection

MOST_COURSES = 5000  # of all targets; one more is left out until an old one has gone
SWEEP_SECONDS = 3600.0
MISSED_BEATS = 2.5  # of a series measured seldom, after which it is gone

Labels = tuple[tuple[str, str], ...]


class Look(NamedTuple):
    """How far back, and how finely."""

    step_seconds: float
    back_seconds: float

    @property
    def width(self) -> int:
        """How many points that makes."""
        return int(self.back_seconds / self.step_seconds)


LONG = Look(3600.0, 8 * DAY)
SHORT = Look(300.0, DAY / 4)


class SeriesKey(NamedTuple):
    """Which series."""

    target: str
    metric: str
    labels: Labels

    @property
    def name(self) -> str:
        """What people call the thing: its labels, without those that do not tell it apart."""
        return ".".join(value for label, value in self.labels if label not in {"slot_type", "datid"})


class Remembered(Protocol):
    """What is asked of the file."""

    def several(self, metrics: Iterable[str], *, since: float, until: float, width: int) -> tuple[SeriesHistory, ...]:
        """The series of several metrics, of all targets."""
        ...


class Course:
    """One series: its means a step, at their mean moments, so that steady growth stays a straight line."""

    __slots__ = ("_beat_seconds", "_long", "_short", "last", "seen_at")

    def __init__(self) -> None:
        self._long = _Means(LONG)
        self._short = _Means(SHORT)
        self._beat_seconds = 0.0
        self.last = 0.0
        self.seen_at = 0.0

    def add(self, at: float, value: float) -> None:
        """One reading. Where the clock was set back, what came before is forgotten: its moments mean nothing now."""
        if at < self.seen_at:
            self._long, self._short = _Means(LONG), _Means(SHORT)
        self._beat_seconds = max(0.0, at - self.seen_at) if self.seen_at else 0.0
        self._long.add(at, value)
        self._short.add(at, value)
        self.last, self.seen_at = value, at

    def fresh(self, now: float, stale_seconds: float) -> bool:
        """Whether it is measured still: seen within the bound, or within some of its own beats where it is slower."""
        return now - self.seen_at <= max(stale_seconds, MISSED_BEATS * min(self._beat_seconds, DAY))

    def precede(self, look: Look, places: Iterable[Place]) -> None:
        """What the file knows of the time before the first reading."""
        means = self._long if look is LONG else self._short
        means.precede(places)

    def long(self) -> list[Place]:
        """Hours, for eight days."""
        return self._long.places()

    def short(self) -> list[Place]:
        """Five minutes, for six hours."""
        return self._short.places()


class _Means:
    """A mean for each step of time, the step under way among them."""

    __slots__ = ("_count", "_done", "_look", "_moments", "_step", "_values")

    def __init__(self, look: Look) -> None:
        self._look = look
        self._done = array("d")  # moment, value, moment, value …: thousands of courses lie in memory for days
        self._step = -1
        self._clear()

    def _clear(self) -> None:
        self._count, self._moments, self._values = 0, 0.0, 0.0

    def add(self, at: float, value: float) -> None:
        step = int(at // self._look.step_seconds)
        if step != self._step:
            self._put_away()
            self._step = step
        self._count += 1
        self._moments += at
        self._values += value

    def precede(self, places: Iterable[Place]) -> None:
        first = next(iter(self.places()), None)
        before = [place for place in places if first is None or place[0] < first[0] - self._look.step_seconds / 2]
        self._done = array("d", chain.from_iterable(before)) + self._done
        del self._done[: -2 * self._look.width]

    def places(self) -> list[Place]:
        return [*zip(self._done[::2], self._done[1::2], strict=True), *self._under_way()]

    def _put_away(self) -> None:
        for place in self._under_way():
            self._done.extend(place)
        del self._done[: -2 * self._look.width]
        self._clear()

    def _under_way(self) -> Iterator[Place]:
        if self._count:
            yield self._moments / self._count, self._values / self._count


class Courses:
    """The courses of some metrics at all targets."""

    def __init__(self, metrics: Iterable[str], open_past: Callable[[], AbstractContextManager[Remembered]]) -> None:
        self._metrics = frozenset(metrics)
        self._open_past = open_past
        self._courses: dict[tuple[str, str], dict[Labels, Course]] = {}  # by target and metric
        self._count = 0
        self._swept_at = float("-inf")
        self.filling = asyncio.Lock()
        self.filled = False

    def offer(self, collection: Collection) -> None:
        """Take in what is followed of a collection."""
        for sample in collection.samples:
            if sample.metric.name in self._metrics and isfinite(sample.value):
                labels = tuple(zip(sample.metric.labels, sample.labels, strict=True))
                key = SeriesKey(collection.target, sample.metric.name, labels)
                course = self._course(key, sample.taken_at)
                if course is not None:
                    course.add(sample.taken_at, sample.value)

    def read(self, now: float) -> tuple[list[SeriesHistory], list[SeriesHistory]]:
        """What the file knows of the time before now, finely and coarsely. It takes its time: for a thread."""
        until = now + 1  # the end of a span is not part of it
        with self._open_past() as past:
            short, long = (
                past.several(self._metrics, since=until - look.back_seconds, until=until, width=look.width)
                for look in (SHORT, LONG)
            )
        return list(short), list(long)

    def fill(self, short: Iterable[SeriesHistory], long: Iterable[SeriesHistory]) -> None:
        """Bring in what was read."""
        for look, found in ((SHORT, short), (LONG, long)):
            for series in found:
                if series.points:
                    self._precede(look, series)
        self.filled = True

    def _precede(self, look: Look, series: SeriesHistory) -> None:
        key = SeriesKey(series.target, series.name, tuple(series.labels.items()))
        course = self._course(key, series.until)
        if course is not None:
            middle = look.step_seconds / 2
            course.precede(look, [(point.at + middle, point.mean) for point in series.points])
            if not course.seen_at:
                course.last, course.seen_at = series.last or 0.0, series.points[-1].at

    def of(self, target: str | None, metric: str) -> Mapping[SeriesKey, Course]:
        """The courses of a metric, at one target or at all."""
        places = [(target, metric)] if target is not None else [place for place in self._courses if place[1] == metric]
        return {
            SeriesKey(*place, labels): course
            for place in places
            for labels, course in self._courses.get(place, {}).items()
        }

    def _course(self, key: SeriesKey, now: float) -> Course | None:
        """The course of a series, begun where there is none; None where there is no more room."""
        place = (key.target, key.metric)
        course = self._courses.get(place, {}).get(key.labels)
        if course is None:
            if self._count >= MOST_COURSES:
                self._sweep(now)
            if self._count >= MOST_COURSES:
                return None
            course = self._courses.setdefault(place, {})[key.labels] = Course()
            self._count += 1
        return course

    def _sweep(self, now: float) -> None:
        """Let go of what has long gone. It looks at all of them, so it is done once an hour at most."""
        if abs(now - self._swept_at) < SWEEP_SECONDS:
            return
        self._swept_at, since = now, now - LONG.back_seconds
        for place, courses in list(self._courses.items()):
            self._courses[place] = {labels: course for labels, course in courses.items() if course.seen_at > since}
        self._count = sum(map(len, self._courses.values()))
