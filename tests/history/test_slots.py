"""Slots sum up what falls into them, and nothing else."""

import math

from hypothesis import given
from hypothesis import strategies as st

from history.rates import BREAK
from history.slots import Slot, counter_slots, gauge_slots, merge, merge_slots, overlay_slots, shorten


def test_gauge_slots_hold_lowest_mean_highest_and_last() -> None:
    """Three readings of one slot, one of the next."""
    found = gauge_slots([(0, 3.0), (60_000, 1.0), (120_000, 2.0), (300_000, 7.0)], 300)
    assert found == [Slot(0, 3, 1.0, 2.0, 3.0, 2.0), Slot(300, 1, 7.0, 7.0, 7.0, 7.0)]


def test_gauge_slots_know_nothing_of_a_break() -> None:
    """A break is no value."""
    assert gauge_slots([(0, 3.0), (1, BREAK)], 300) == [Slot(0, 1, 3.0, 3.0, 3.0, 3.0)]


def test_counter_slots_hold_rates_and_the_counter() -> None:
    """Rates belong to the slot they begin in; `last` is the counter."""
    readings = [(0, 0.0), (100_000, 100.0), (200_000, 400.0), (300_000, 400.0)]
    assert counter_slots(readings, 300, 300) == [Slot(0, 3, 0.0, shorten(4 / 3), 3.0, 400.0)]


def test_counter_slots_weigh_rates_by_their_length() -> None:
    """A long interval counts for more than a short one."""
    (slot,) = counter_slots([(0, 0.0), (10_000, 100.0), (100_000, 100.0)], 300, 300)
    assert slot.mean == 1.0


def test_counter_slots_without_a_rate_keep_the_counter() -> None:
    """A single reading has no rate, but it is the counter's."""
    (slot,) = counter_slots([(0, 42.0)], 300, 300)
    assert (slot.counted, slot.last) == (0, 42.0)
    assert math.isnan(slot.mean)


def test_merge_weighs_by_count_and_takes_the_outermost() -> None:
    """Three readings of 1 and one of 5 have the mean 2."""
    assert merge(0, [Slot(0, 3, 0.5, 1.0, 1.5, 1.0), Slot(300, 1, 5.0, 5.0, 5.0, 5.0)]) == Slot(
        0, 4, 0.5, 2.0, 5.0, 5.0
    )


def test_merge_of_unknown_slots_is_unknown() -> None:
    """Where nothing was counted there is still the last value."""
    nan = math.nan
    found = merge(0, [Slot(0, 0, nan, nan, nan, 1.0), Slot(300, 0, nan, nan, nan, 2.0)])
    assert (found.counted, found.last) == (0, 2.0)


def test_merge_slots_groups_by_the_coarser_stretch() -> None:
    """Slots of two hours become two."""
    fine = [Slot(at, 1, 1.0, 1.0, 1.0, 1.0) for at in range(0, 7200, 300)]
    assert [(slot.at, slot.counted) for slot in merge_slots(fine, 3600)] == [(0, 12), (3600, 12)]


def test_overlay_slots_puts_newer_in_the_place_of_older() -> None:
    """By time, in order."""
    older = [Slot(0, 1, 1, 1, 1, 1), Slot(300, 1, 2, 2, 2, 2)]
    newer = [Slot(300, 1, 9, 9, 9, 9), Slot(600, 1, 3, 3, 3, 3)]
    assert [slot.last for slot in overlay_slots(older, newer)] == [1, 9, 3]


def test_shorten_leaves_what_single_precision_cannot_hold() -> None:
    """A number too large keeps all its digits instead of becoming infinite."""
    assert shorten(1e300) == 1e300


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=40))
def test_the_mean_of_a_slot_lies_between_its_extremes(values: list[float]) -> None:
    """Rounding never pushes it out."""
    (slot,) = gauge_slots([(n, value) for n, value in enumerate(values)], 300)
    assert slot.lowest <= slot.mean <= slot.highest
