"""Readings are in the order of time, whatever the clock did."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from history.rates import rates
from history.readings import overlay, settle

SOME = st.lists(st.tuples(st.integers(0, 40), st.floats(0, 100)), max_size=30)


def moments(readings: list[tuple[int, float]]) -> list[int]:
    """When there was a reading, breaks left out."""
    return [at for at, value in readings if not math.isnan(value)]


def test_settle_leaves_what_is_in_order() -> None:
    """Nothing is to be done where the clock went on."""
    assert settle([(1, 1.0), (2, 2.0)]) == [(1, 1.0), (2, 2.0)]


def test_settle_lets_the_second_life_of_an_hour_replace_the_first() -> None:
    """After a step back the newer readings own the time, and what was recorded ahead of it goes."""
    assert moments(settle([(10, 1.0), (20, 2.0), (30, 3.0), (15, 9.0), (25, 10.0)])) == [10, 15, 25]


def test_settle_breaks_the_rate_at_the_joint() -> None:
    """From the first life to the second the counter grew for longer than the clock shows: no spike."""
    settled = settle([(0, 0.0), (10_000, 10.0), (3_600_000, 3600.0), (20_000, 3620.0), (30_000, 3630.0)])
    assert [rate.per_second for rate in rates(settled)] == [1.0, 1.0]


def test_settle_marks_the_last_reading_where_there_is_no_room_for_a_break() -> None:
    """A joint within a millisecond costs the older reading."""
    settled = settle([(1, 1.0), (5, 2.0), (2, 3.0)])
    assert moments(settled) == [2]
    assert math.isnan(settled[0][1])


def test_settle_begins_anew_when_everything_is_lived_twice() -> None:
    """There is nothing before the joint, so no break."""
    assert settle([(10, 1.0), (5, 2.0)]) == [(5, 2.0)]


@given(SOME)
def test_settled_readings_strictly_ascend(arrived: list[tuple[int, float]]) -> None:
    """Whatever the order of arrival, no moment comes twice and none comes late; the last arrival is always there."""
    settled = settle(arrived)
    assert all(before[0] < after[0] for before, after in pairwise(settled))
    assert settled[-1:] == arrived[-1:]


def test_overlay_of_the_same_readings_changes_nothing() -> None:
    """Packed twice, after a crash in between, is not lived twice."""
    older = [(1000, 1.0), (2000, 2.0), (3000, 3.0)]
    assert overlay(older, older[1:]) == older


def test_overlay_adds_what_comes_late() -> None:
    """A late reading finds its place among the older ones."""
    assert overlay([(1, 1.0), (9, 9.0)], [(5, 5.0)]) == [(1, 1.0), (5, 5.0), (9, 9.0)]


def test_overlay_replaces_and_breaks() -> None:
    """The newer readings own their stretch; a rate is not taken into it."""
    found = overlay([(0, 0.0), (10, 10.0), (20, 20.0), (30, 30.0)], [(9, 100.0), (21, 101.0)])
    assert moments(found) == [0, 9, 21, 30]
    assert math.isnan(found[1][1])


def test_overlay_with_nothing_is_the_other() -> None:
    """Either side may be empty."""
    assert overlay([], [(1, 1.0)]) == overlay([(1, 1.0)], []) == [(1, 1.0)]
