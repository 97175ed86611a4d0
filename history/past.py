"""One series over a span, out of all the forms it has by age, and condensed to as many points as are wanted."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from history.chunks import packed_readings, packed_slots
from history.rates import Reading, rates
from history.readings import overlay
from history.retention import COARSE, FINE, RAW
from history.slots import Slot, counter_slots, gauge_slots, merge

_SUMS_SECONDS = (FINE.seconds, 60)


class Point(NamedTuple):
    """One of the points a span is condensed to; `at` is the beginning of its stretch, in epoch seconds."""

    at: float
    lowest: float
    mean: float
    highest: float


class Instant(NamedTuple):
    """A slot with the exact moment it stands for."""

    at: float
    slot: Slot


def past(
    connection: sqlite3.Connection,
    series_id: int,
    waiting: Sequence[Reading],
    since: float,
    until: float,
    stretch: float,
    *,
    counter: bool,
) -> list[Instant]:
    """Everything of a series within the span. Its forms do not overlap, so they are simply put together.

    `waiting` is what the journal still holds of it; `stretch` is how many seconds a point will stand for.
    """
    found: list[Instant] = []
    for resolution in (COARSE, FINE):
        begin = int(since) // resolution.chunk_seconds * resolution.chunk_seconds
        slots = packed_slots(connection, resolution, series_id, begin, int(until) + 1)
        found.extend(Instant(slot.at, slot) for slot in slots if slot.at + resolution.seconds > since)
    begin = int(since) // RAW.chunk_seconds * RAW.chunk_seconds
    packed = packed_readings(connection, series_id, begin, int(until) + 1)
    readings = [reading for reading in overlay(packed, waiting) if reading[0] >= since * 1000]
    found.extend(_summed(readings, stretch, counter=counter))
    return [instant for instant in found if instant.at < until and instant.slot.counted]


def condense(
    instants: Iterable[Instant], since: float, until: float, width: int
) -> tuple[tuple[Point, ...], Slot | None]:
    """The span in `width` equal stretches, those without any value left out; and the whole span as one slot."""
    stretch = max(until - since, 1.0) / width
    found: defaultdict[int, list[Slot]] = defaultdict(list)
    for instant in instants:
        found[max(int((instant.at - since) / stretch), 0)].append(instant.slot)
    merged = [(index, merge(index, found[index])) for index in sorted(found)]
    points = tuple(Point(since + index * stretch, s.lowest, s.mean, s.highest) for index, s in merged)
    return points, merge(0, [slot for _, slot in merged]) if merged else None


def _summed(readings: list[Reading], stretch: float, *, counter: bool) -> list[Instant]:
    """Readings as they are, or summed up before, where a point will stand for many: that is several times quicker."""
    seconds = next((seconds for seconds in _SUMS_SECONDS if stretch >= 2 * seconds), 0)
    if not seconds or not readings:
        return _rates(readings) if counter else _values(readings)
    end = readings[-1][0] // 1000 + 1
    slots = counter_slots(readings, seconds, end) if counter else gauge_slots(readings, seconds)
    return [Instant(slot.at, slot) for slot in slots]


def _values(readings: Iterable[Reading]) -> list[Instant]:
    return [
        Instant(at_ms / 1000, Slot(at_ms // 1000, 1, value, value, value, value))
        for at_ms, value in readings
        if value == value  # noqa: PLR0124 - no break: NaN alone differs from itself, and this runs for every reading
    ]


def _rates(readings: Sequence[Reading]) -> list[Instant]:
    return [
        Instant(r.at_ms / 1000, Slot(r.at_ms // 1000, 1, r.per_second, r.per_second, r.per_second, r.per_second))
        for r in rates(readings)
    ]
