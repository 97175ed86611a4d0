"""Slots: a stretch of time summed up as how many, minimum, mean, maximum and last. Pure.

A gauge's slot sums up its readings. A counter's slot sums up the rates per second of the intervals that begin in it
(so that a slot can be made once the next reading is there), and its `last` is the counter itself.
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from history.rates import Rate, Reading, rates

_SINGLE = struct.Struct("<f")
UNKNOWN = float("nan")


class Slot(NamedTuple):
    """One stretch. `counted` is of readings or rates; where it is 0, only `last` is known."""

    at: int  # epoch seconds, the beginning
    counted: int
    lowest: float
    mean: float
    highest: float
    last: float


def gauge_slots(readings: Iterable[Reading], seconds: int) -> list[Slot]:
    """A gauge's readings by the slot they fall into."""
    return [_gauge_slot(at, values) for at, values in _by_slot(readings, seconds).items()]


def counter_slots(readings: Sequence[Reading], seconds: int, end: int) -> list[Slot]:
    """A counter's rates by the slot they begin in. Readings from `end` on serve the rates that reach up to them."""
    inside = (reading for reading in readings if reading[0] < end * 1000)
    values = _by_slot(inside, seconds)
    found: defaultdict[int, list[Rate]] = defaultdict(list)
    for rate in rates(readings):
        found[_slot(rate.at_ms, seconds)].append(rate)
    return [_counter_slot(at, found.get(at, []), values[at][-1]) for at in values]


def merge_slots(slots: Iterable[Slot], seconds: int) -> list[Slot]:
    """Fine slots as coarser ones."""
    found: defaultdict[int, list[Slot]] = defaultdict(list)
    for slot in slots:
        found[slot.at - slot.at % seconds].append(slot)
    return [merge(at, group) for at, group in found.items()]


def merge(at: int, slots: Sequence[Slot]) -> Slot:
    """Several slots as one; the means weigh by their counts."""
    known = [slot for slot in slots if slot.counted]
    last = slots[-1].last
    if not known:
        return Slot(at, 0, UNKNOWN, UNKNOWN, UNKNOWN, last)
    count = sum(slot.counted for slot in known)
    mean = sum(slot.mean * slot.counted for slot in known) / count
    lowest, highest = min(slot.lowest for slot in known), max(slot.highest for slot in known)
    return Slot(at, count, lowest, min(max(shorten(mean), lowest), highest), highest, last)


def overlay_slots(older: Iterable[Slot], newer: Iterable[Slot]) -> list[Slot]:
    """Newer slots in the place of older ones of the same time."""
    whole = {slot.at: slot for slot in older} | {slot.at: slot for slot in newer}
    return [whole[at] for at in sorted(whole)]


def shorten(value: float) -> float:
    """What was computed, not measured, to seven digits: half the bytes once it is packed."""
    try:
        return float(_SINGLE.unpack(_SINGLE.pack(value))[0])
    except OverflowError:
        return value


def _slot(at_ms: int, seconds: int) -> int:
    return at_ms // 1000 // seconds * seconds


def _by_slot(readings: Iterable[Reading], seconds: int) -> dict[int, list[float]]:
    found: defaultdict[int, list[float]] = defaultdict(list)
    width_ms = seconds * 1000
    for at_ms, value in readings:
        if value == value:  # noqa: PLR0124 - no break: NaN alone differs from itself, and this runs for every reading
            found[at_ms // width_ms].append(value)
    return {index * seconds: values for index, values in found.items()}


def _gauge_slot(at: int, values: list[float]) -> Slot:
    lowest, highest = min(values), max(values)
    mean = min(max(shorten(sum(values) / len(values)), lowest), highest)
    return Slot(at, len(values), lowest, mean, highest, values[-1])


def _counter_slot(at: int, found: list[Rate], last: float) -> Slot:
    if not found:
        return Slot(at, 0, UNKNOWN, UNKNOWN, UNKNOWN, last)
    seconds = sum(rate.seconds for rate in found)
    mean = shorten(sum(rate.per_second * rate.seconds for rate in found) / seconds)
    lowest = shorten(min(rate.per_second for rate in found))
    highest = shorten(max(rate.per_second for rate in found))
    return Slot(at, len(found), lowest, min(max(mean, lowest), highest), highest, last)
