"""What a rule may judge instead of the value itself: how it is written, and what each makes of its window. Pure.

A reading that is NaN is a break: what came before it and what comes after do not belong together. A counter that falls
was reset, which is a break too: the rate of that interval is not known, and neither zero nor a spike is made of it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import fsum, inf, isfinite, isnan
from statistics import median
from typing import Any, Final, NamedTuple

from alerting.rules.bounds import Form, parse_quantity
from history.trends import Place, seconds_to, trend
from toban.config import format_duration, parse_duration
from toban.samples import Unit

HOUR: Final = 3600.0
WEEK: Final = 7 * 86400.0
COVERED: Final = 0.5  # the share of its window that must have been seen
LOOK_BACK_SECONDS: Final = HOUR  # the reading before the window counts for a rate when it is not older by more
FEWEST_MEANS: Final = 4
SPREAD_OF_MAD: Final = 1.4826  # makes the median of the deviations comparable to a standard deviation
SPREAD_FLOOR: Final = 0.01  # of the median: what hardly ever varied is not a deviation at its first breath


class Kind(StrEnum):
    """The functions there are."""

    RATE = "rate"
    DELTA = "delta"
    MEAN = "mean"
    MAX = "max"
    MIN = "min"
    QUANTILE = "quantile"
    FORECAST = "forecast"
    ABSENT = "absent"
    DEVIATION = "deviation"


@dataclass(frozen=True, slots=True)
class Function:
    """One function. `share` is of a quantile; `limit` is what a forecast runs into, from below where it `rises`."""

    kind: Kind
    window_seconds: float
    text: str
    share: float = 0.0
    limit: float = 0.0
    rises: bool = True
    limit_form: Form = Form.PLAIN

    def unit(self, unit: Unit) -> Unit:
        """The unit of what it makes of values of a unit."""
        if self.kind in (Kind.FORECAST, Kind.ABSENT):
            return Unit.SECONDS
        if self.kind is Kind.DEVIATION or (self.kind is Kind.RATE and unit is Unit.SECONDS):
            return Unit.NONE  # seconds a second have no unit, nor has a number of spreads
        return unit

    def __str__(self) -> str:
        return self.text


class Computed(NamedTuple):
    """A value, or why there is none."""

    value: float | None
    reason: str = ""


_CALL = re.compile(r"\s*(?P<name>\w+)\s*\(\s*(?P<given>[^()]*?)\s*\)\s*")
_FORMS: Final[Mapping[Kind, str]] = {
    Kind.QUANTILE: "quantile(0.95, 1h)",
    Kind.FORECAST: "forecast(100%, 6h)",
}
_LIMIT = re.compile(r"(?P<comparison>[<>]?=?)(?P<quantity>.*)")


def parse_function(written: Any) -> Function:  # noqa: ANN401 - whatever YAML held
    """`rate(5m)` as a function."""
    if isinstance(written, Function):
        return written
    match = _CALL.fullmatch(written) if isinstance(written, str) else None
    if match is None or match["name"] not in set(Kind):
        raise ValueError(f"{written!r} is no function; there are {', '.join(f'{kind}(…)' for kind in Kind)}")
    kind = Kind(match["name"])
    first, _, window = match["given"].rpartition(",")
    if bool(first) is not (kind in _FORMS):
        raise ValueError(f"{written!r} is not how it is written; write {_FORMS.get(kind, f'{kind}(5m)')}")
    try:
        seconds = parse_duration(window.strip())
    except ValueError:
        raise ValueError(f"{written!r} has no window; write {_FORMS.get(kind, f'{kind}(5m)')}") from None
    if kind is Kind.DEVIATION and seconds < 2 * WEEK:
        raise ValueError(f"{written!r} looks back too short a time; a deviation takes 2w or more")
    text = written.strip()
    if kind is Kind.QUANTILE:
        return Function(kind, seconds, text, share=_share(first.strip(), written))
    return _forecast(seconds, text, first.strip()) if kind is Kind.FORECAST else Function(kind, seconds, text)


def _share(text: str, written: str) -> float:
    try:
        value, form = parse_quantity(text)
    except ValueError:
        value, form = -1.0, Form.PLAIN
    if not 0 <= value <= 1 or form not in (Form.PLAIN, Form.SHARE):
        raise ValueError(f"{written!r} has no share between 0 and 1; write {_FORMS[Kind.QUANTILE]}")
    return value


def _forecast(seconds: float, text: str, limit: str) -> Function:
    """A bare limit is run into from below; 0 from above, since that is where things run out."""
    match = _LIMIT.fullmatch(limit)
    try:
        value, form = parse_quantity(match["quantity"] if match else "")
    except ValueError:
        raise ValueError(f"{text!r} has no bound to reach; write {_FORMS[Kind.FORECAST]}") from None
    falls = match is not None and match["comparison"].startswith("<")
    bare_zero = match is not None and not match["comparison"] and value == 0
    return Function(Kind.FORECAST, seconds, text, limit=value, rises=not (falls or bare_zero), limit_form=form)


def compute(function: Function, places: Sequence[Place], now: float, *, counter: bool) -> Computed:
    """The function over the readings of its window and the one before it, in order of time."""
    if function.kind in (Kind.RATE, Kind.DELTA):
        return _grown(function, places, now, counter=counter)
    known = [place for place in places if place[1] == place[1]]  # NaN alone differs from itself
    begin = now - function.window_seconds
    if not known or known[0][0] > now - COVERED * function.window_seconds:
        return _too_little(function, known, now)
    if function.kind is Kind.FORECAST:
        return _ahead(function, known)
    inside = [value for at, value in known if at > begin]
    if not inside:
        return Computed(None, f"no reading within {format_duration(function.window_seconds)}")
    return Computed(_OVER[function.kind](function, inside))


def rate_of(places: Sequence[Place]) -> float | None:
    """What a counter grew by a second from each reading to the next, as far as that is known."""
    grown = seconds = 0.0
    for before, after in _intervals(places, counter=True):
        grown += after[1] - before[1]
        seconds += after[0] - before[0]
    return grown / seconds if seconds > 0 else None


def deviation(value: float, means: Sequence[float]) -> Computed:
    """By how many of its usual spreads a value is away from what it is at this hour of the week."""
    usual = [mean for mean in means if isfinite(mean)]
    if len(usual) < FEWEST_MEANS:
        return Computed(None, f"{len(usual)} hours of earlier weeks are known; it takes {FEWEST_MEANS}")
    middle = median(usual)
    spread = SPREAD_OF_MAD * median(abs(mean - middle) for mean in usual)
    spread = max(spread, SPREAD_FLOOR * abs(middle))
    if value == middle:
        return Computed(0.0)
    if spread <= 0:
        return Computed(None, "it never varied at this hour, so nothing says how far is far")
    return Computed((value - middle) / spread)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which this share of them lies, in between two by their distance."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


_OVER: Final[Mapping[Kind, Callable[[Function, Sequence[float]], float]]] = {
    Kind.MEAN: lambda _, values: fsum(values) / len(values),
    Kind.MAX: lambda _, values: max(values),
    Kind.MIN: lambda _, values: min(values),
    Kind.QUANTILE: lambda function, values: quantile(values, function.share),
}


def _grown(function: Function, places: Sequence[Place], now: float, *, counter: bool) -> Computed:
    """The growth over the window: of the intervals that are known, the newest among them."""
    intervals = list(_intervals(places, counter=counter))
    if not intervals or intervals[-1][1] != places[-1]:
        why = "it was reset, restarted or broken off at the last reading" if len(places) > 1 else "one reading so far"
        return Computed(None, why)
    seconds = sum(after[0] - before[0] for before, after in intervals)
    if seconds < COVERED * function.window_seconds:
        return _too_little(function, [intervals[0][0]], now)
    grown = sum(after[1] - before[1] for before, after in intervals)
    return Computed(grown / seconds if function.kind is Kind.RATE else grown)


def _intervals(places: Sequence[Place], *, counter: bool) -> Iterator[tuple[Place, Place]]:
    """From each reading to the next; not across a break, a reset, or a clock that stood or went back."""
    for before, after in pairwise(places):
        if isnan(before[1]) or isnan(after[1]) or after[0] <= before[0]:
            continue
        if not (counter and after[1] < before[1]):
            yield before, after


def _ahead(function: Function, places: Sequence[Place]) -> Computed:
    """Seconds until the limit. What grows too slowly to be believed so far ahead is told as never, and why."""
    sign = 1.0 if function.rises else -1.0
    course = [(at, sign * value) for at, value in places]
    found = trend(course)
    seconds = seconds_to(sign * function.limit, course[-1][1], (found,))
    if seconds is not None:
        return Computed(seconds)
    if found is None:
        return Computed(None, f"{len(places)} readings are too few for a trend")
    return Computed(inf, f"farther ahead than {format_duration(max(1.0, round(found.span_seconds)))} of readings tell")


def _too_little(function: Function, known: Sequence[Place], now: float) -> Computed:
    seen = format_duration(max(1.0, round(now - known[0][0]))) if known else "nothing"
    return Computed(None, f"{seen} of {format_duration(function.window_seconds)} seen so far")
