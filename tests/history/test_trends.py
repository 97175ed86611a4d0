"""Where growth leads: by the median over a lag, so that no single event decides, and only as far as the past bears."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from history.trends import DAY, NEVER_SECONDS, Trend, rises, seconds_to, trend

HOUR = 3600.0
Course = list[tuple[float, float]]


def a_line(hours: int, per_hour: float = 10.0, *, step: float = HOUR) -> Course:
    """Steady growth from nothing."""
    return [(n * step, n * step / HOUR * per_hour) for n in range(hours + 1)]


def rate(points: Course) -> float:
    """What it grows by in an hour."""
    found = trend(points)
    assert found is not None
    return found.per_second * HOUR


@pytest.mark.parametrize("hours", [6, 24, 24 * 4, 24 * 8])
def test_trend_of_steady_growth_is_its_rate(hours: int) -> None:
    """Whether a quarter of an hour or a day is the lag."""
    assert rate(a_line(hours)) == pytest.approx(10.0)


@given(
    hours=st.integers(12, 24 * 8),
    where=st.floats(0, 1),
    size=st.floats(-1e6, 1e6, allow_nan=False),
)
def test_trend_is_not_fooled_by_one_step(hours: int, where: float, size: float) -> None:
    """A delete or a bulk load, at any moment and of any size, leaves the rate as it was."""
    at = where * hours * HOUR
    assert rate([(t, v + (size if t > at else 0.0)) for t, v in a_line(hours)]) == pytest.approx(10.0)


@given(spoiled=st.integers(0, 100))
def test_trend_is_not_fooled_by_one_wild_value(spoiled: int) -> None:
    """A measurement that is nonsense touches two differences only."""
    points = [(t, 1e12 if n == spoiled else v) for n, (t, v) in enumerate(a_line(100))]
    assert rate(points) == pytest.approx(10.0)


def test_trend_of_days_has_the_nightly_batch_in_it() -> None:
    """Nothing all day and 240 at two in the morning is 10 an hour, whatever hour it is asked at."""
    nightly = [(n * HOUR, 240.0 * ((n + 22) // 24)) for n in range(24 * 7)]
    assert rate(nightly) == pytest.approx(10.0)


def test_trend_bridges_a_gap() -> None:
    """A day without measurements leaves the others' differences."""
    assert rate([(t, v) for t, v in a_line(24 * 7) if not 3 * DAY < t < 4 * DAY]) == pytest.approx(10.0)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_trend_of_too_little_is_none(count: int) -> None:
    """Five points tell nothing."""
    assert trend(a_line(10)[:count]) is None


def test_trend_of_scattered_points_is_none() -> None:
    """Two ends without a middle have no differences over a lag."""
    assert trend([(0, 0), (1, 0), (2, 0), (3, 0), (4, 0), (1000, 5)]) is None


def test_rises_leave_the_falls_out() -> None:
    """What freezing gave back was consumed all the same."""
    assert rises([(0, 5), (1, 7), (2, 1), (3, 4)]) == [(0, 0), (1, 2), (2, 2), (3, 5)]
    assert rises([]) == []


def test_rises_of_a_sawtooth_tell_the_rate_of_its_climb() -> None:
    """A value that is given back every ten hours still climbs by ten an hour, but for the hours of the falls."""
    assert rate(rises([(n * HOUR, 10.0 * (n % 10)) for n in range(24 * 7)])) == pytest.approx(9.17, abs=0.5)


def a_trend(per_hour: float, days: float) -> Trend:
    """A rate seen over so many days."""
    return Trend(per_second=per_hour / HOUR, span_seconds=days * DAY)


def test_time_is_room_by_rate() -> None:
    """A hundred to go at ten an hour."""
    assert seconds_to(200, 100, [a_trend(10, 5)]) == pytest.approx(10 * HOUR)


def test_time_of_what_is_full_is_zero() -> None:
    """Whatever the trend."""
    assert seconds_to(100, 100, []) == 0


def test_time_of_what_does_not_grow_is_infinite() -> None:
    """Shrinking or standing, or so slow that nobody alive will see it."""
    assert seconds_to(200, 100, [a_trend(0, 5)]) == inf
    assert seconds_to(200, 100, [a_trend(-3, 0.1)]) == inf
    assert seconds_to(200, 100, [a_trend(100 * HOUR / NEVER_SECONDS, 5)]) == inf


def test_time_without_a_trend_is_unknown() -> None:
    """None is not infinite."""
    assert seconds_to(200, 100, [None, None]) is None


def test_time_beyond_the_reach_of_a_short_past_is_unknown() -> None:
    """An hour of history tells two hours ahead: ten hours are not known, one is."""
    hour = a_trend(10, 1 / 24)
    assert seconds_to(200, 100, [hour]) is None
    assert seconds_to(110, 100, [hour]) == pytest.approx(HOUR)


def test_time_is_the_nearest_that_is_believed() -> None:
    """A sudden rush is told beside a slow week, but only as near as the rush is long."""
    week, rush = a_trend(1, 7), a_trend(50, 0.25)
    assert seconds_to(200, 100, [week, rush]) == pytest.approx(2 * HOUR)
    assert seconds_to(10_000, 100, [week, rush]) == pytest.approx(9900 * HOUR)
