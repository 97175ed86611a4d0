"""Rates are silent rather than wrong."""

import math

from hypothesis import given
from hypothesis import strategies as st

from history.rates import BREAK, Rate, rates


def test_rates_of_a_growing_counter_are_per_second() -> None:
    """Thirty more in fifteen seconds are two a second, from the first of the two readings on."""
    assert rates([(0, 100.0), (15_000, 130.0)]) == [Rate(0, 15.0, 2.0)]


def test_rates_leave_out_a_reset() -> None:
    """A fall gives neither zero nor a spike: that interval is unknown, and the next one is right."""
    assert rates([(0, 1000.0), (15_000, 15.0), (30_000, 30.0)]) == [Rate(15_000, 15.0, 1.0)]


def test_rates_over_a_gap_are_its_mean() -> None:
    """Toban was away for ten minutes: the counter's growth is spread over them."""
    assert rates([(0, 0.0), (600_000, 1200.0)]) == [Rate(0, 600.0, 2.0)]


def test_rates_stop_at_a_gap_of_more_than_a_day() -> None:
    """Past a day nobody can say that the counter was not reset in between."""
    assert rates([(0, 0.0), (86_400_001, 1200.0)]) == []


def test_rates_are_not_taken_across_a_break() -> None:
    """The clock was set: how long the interval lasted is not known."""
    assert rates([(0, 0.0), (14_999, BREAK), (15_000, 1e9), (30_000, 1e9)]) == [Rate(15_000, 15.0, 0.0)]


def test_rates_of_too_few_readings_are_none() -> None:
    """One reading has no interval."""
    assert rates([]) == rates([(0, 5.0)]) == []


@given(st.lists(st.tuples(st.integers(1, 10**6), st.floats(0, 1e15)), max_size=50))
def test_rates_are_never_negative(steps: list[tuple[int, float]]) -> None:
    """Whatever a counter does, no rate is below zero or not a number."""
    at, readings = 0, []
    for step_ms, value in steps:
        at += step_ms
        readings.append((at, value))
    assert all(rate.per_second >= 0 and math.isfinite(rate.per_second) for rate in rates(readings))
