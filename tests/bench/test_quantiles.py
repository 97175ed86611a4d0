"""The bench's arithmetic."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.quantiles import per_further_item, per_minute, percentile, spread, throughput_ratio


def test_percentile_of_two_hundred_leaves_two_above_the_99th() -> None:
    """Of 200 requests the 99th percentile is the third slowest: nearest rank, nothing interpolated."""
    assert percentile(list(range(1, 201)), 0.99) == 198


def test_percentile_of_an_odd_number_is_the_one_in_the_middle() -> None:
    """The median of three is the second, in whatever order they come."""
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0.01, 1))
def test_percentile_is_always_a_value_that_was_seen(values: list[float], share: float) -> None:
    """Whatever share is asked for, the answer is one of the values."""
    assert percentile(values, share) in values


@pytest.mark.parametrize(("values", "share"), [([], 0.5), ([1.0], 0.0), ([1.0], 1.1)])
def test_percentile_refuses_what_has_none(values: list[float], share: float) -> None:
    """No values, or a share outside 0 to 1, is a mistake of the caller."""
    with pytest.raises(ValueError, match="percentile"):
        percentile(values, share)


def test_throughput_ratio_is_of_the_medians() -> None:
    """One run that went wrong does not move it."""
    assert throughput_ratio([99.0, 98.0, 10.0], [100.0, 100.0, 500.0]) == 0.98


def test_spread_is_the_distance_of_the_extremes_over_the_median() -> None:
    """Runs of 90, 100 and 110 are a fifth apart."""
    assert spread([110.0, 90.0, 100.0]) == 0.2


def test_per_minute_scales_a_window_to_sixty_seconds() -> None:
    """Half a second spent in 300 seconds is a tenth of a second a minute."""
    assert per_minute(0.5, 300) == 0.1


def test_per_further_item_divides_the_growth_by_what_was_added() -> None:
    """Thirty more bytes for ten more databases are three each."""
    assert per_further_item(100, 130, 10) == 3
