"""How fast a value grows, and when it reaches its bound: pure, and not fooled by one delete or one bulk load.

The rate is the median of differences over a fixed lag: a day where there are days enough, so that a nightly batch is in
every difference alike; else a quarter of what there is. A single step lies in at most a third of them, and the median
does not see it. A short past is believed only a little way ahead; what lies farther is not known, which is said.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf
from statistics import median

DAY = 86400.0
LONG_SECONDS = 4 * DAY  # of history: from here on the lag is a day, and a forecast has no limit but `NEVER_SECONDS`
QUARTERS = 4  # a shorter one is cut into so many lags
BELIEVED_AHEAD = 2.0  # times the span of a shorter one
FEWEST_DIFFERENCES = 5
HARDLY_EARLIER = 0.99
NEVER_SECONDS = 10 * 366 * DAY  # farther away than any server lives

Place = tuple[float, float]
"""When (epoch seconds) and how much."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What a value has grown by lately, and over how long a time that was seen."""

    per_second: float
    span_seconds: float

    @property
    def reach_seconds(self) -> float:
        """How far ahead it is believed."""
        return NEVER_SECONDS if self.span_seconds >= LONG_SECONDS else BELIEVED_AHEAD * self.span_seconds


def trend(points: Sequence[Place]) -> Trend | None:
    """The rate of growth; None where there is too little to tell. Points come in order of time."""
    if len(points) <= FEWEST_DIFFERENCES:
        return None
    span = points[-1][0] - points[0][0]
    lag = DAY if span >= LONG_SECONDS else span / QUARTERS
    rates = list(_rates(points, lag))
    if len(rates) < FEWEST_DIFFERENCES:
        return None
    return Trend(per_second=median(rates), span_seconds=span)


def rises(points: Iterable[Place]) -> list[Place]:
    """The same course with every fall taken out: what was consumed, whatever was given back in between."""
    total = 0.0
    found: list[Place] = []
    for (_, before), (at, value) in pairwise(_doubled(points)):
        total += max(0.0, value - before)
        found.append((at, total))
    return found


def seconds_to(bound: float, last: float, trends: Iterable[Trend | None]) -> float | None:
    """Until `bound` is reached, by the trend that reaches it first; infinite when none does, None when not known.

    A trend is asked only as far ahead as it is believed. Where one grows towards the bound, yet reaches it beyond that,
    nobody knows; a longer one settles it.
    """
    known = [trend for trend in trends if trend is not None]
    if last >= bound:
        return 0.0
    if not known:
        return None
    ahead = [(_ahead(bound - last, trend), trend.reach_seconds) for trend in known]
    near = [seconds for seconds, reach in ahead if seconds < reach]
    if near:
        return min(near)
    longest = max(known, key=lambda trend: trend.span_seconds)
    seconds = _ahead(bound - last, longest)
    return inf if seconds >= NEVER_SECONDS else None


def _ahead(room: float, trend: Trend) -> float:
    return room / trend.per_second if trend.per_second > 0 else inf


def _rates(points: Sequence[Place], lag: float) -> Iterable[float]:
    """The rate from each point to the next that comes a lag later, or where some are missing up to two."""
    moments = [at for at, _ in points]
    for at, value in points:
        place = bisect_left(moments, at + lag * HARDLY_EARLIER)
        if place < len(points) and moments[place] <= at + 2 * lag:
            then, grown = points[place]
            yield (grown - value) / (then - at)


def _doubled(points: Iterable[Place]) -> Iterable[Place]:
    """The first point twice, so that it has a predecessor."""
    for number, point in enumerate(points):
        if number == 0:
            yield point
        yield point
