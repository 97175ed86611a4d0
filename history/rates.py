"""From a counter's readings to rates per second: pure, and rather silent than wrong.

A fall is a reset: nobody knows what the counter did in between, so that interval has no rate, neither zero nor a
spike. A gap (Toban or the server was down) over which the counter only grew has the mean over the gap; past a day
it has none. A reading of NaN is a break: the clock was set, and the interval's length is not to be trusted.
"""

from collections.abc import Iterable
from itertools import pairwise
from typing import NamedTuple

Reading = tuple[int, float]
"""When (epoch milliseconds) and how much."""

BREAK = float("nan")
LONGEST_GAP_SECONDS = 86400.0


class Rate(NamedTuple):
    """What a counter grew by a second, from `at_ms` on for `seconds`."""

    at_ms: int
    seconds: float
    per_second: float


def rates(readings: Iterable[Reading]) -> list[Rate]:
    """The rate of each interval that has one. Readings come in order of time, no two at the same moment."""
    found: list[Rate] = []
    for (begin, before), (end, after) in pairwise(readings):
        seconds = (end - begin) / 1000
        if after >= before and seconds <= LONGEST_GAP_SECONDS:  # false as well beside a break: NaN compares to nothing
            found.append(Rate(begin, seconds, (after - before) / seconds))
    return found
