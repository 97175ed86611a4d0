"""Readings put in order: what arrived when the clock was set back, and what was packed before. Pure.

The newest reading owns its time. Where an hour is lived twice, the second time replaces the first, and a break at
the joint keeps a rate from being taken across it.
"""

from collections.abc import Sequence
from itertools import pairwise

from history.rates import BREAK, Reading


def settle(arrived: Sequence[Reading]) -> list[Reading]:
    """Readings in the order of arrival, brought into the order of time."""
    if all(before[0] < after[0] for before, after in pairwise(arrived)):
        return list(arrived)
    settled: list[Reading] = []
    for reading in arrived:
        lived_twice = False
        while settled and settled[-1][0] >= reading[0]:
            settled.pop()
            lived_twice = True
        if lived_twice and settled:
            _add_break(settled, reading[0])
        settled.append(reading)
    return settled


def overlay(older: Sequence[Reading], newer: Sequence[Reading]) -> list[Reading]:
    """Newer readings laid over older ones: they own the stretch from their first to their last."""
    if not older or not newer:
        return list(older or newer)
    first, last = newer[0][0], newer[-1][0]
    replaced = [reading for reading in older if first <= reading[0] <= last]
    whole = [reading for reading in older if reading[0] < first]
    if whole and replaced and not _same(replaced, newer):
        _add_break(whole, first)
    whole.extend(newer)
    whole.extend(reading for reading in older if reading[0] > last)
    return whole


def _same(replaced: Sequence[Reading], newer: Sequence[Reading]) -> bool:
    """Whether the newer readings hold all that they replace: then nothing was lived twice, only packed twice."""
    known = {at for at, _ in newer}
    return all(at in known for at, _ in replaced)


def _add_break(readings: list[Reading], before_ms: int) -> None:
    if readings[-1][0] < before_ms - 1:
        readings.append((before_ms - 1, BREAK))
    else:
        readings[-1] = (readings[-1][0], BREAK)
