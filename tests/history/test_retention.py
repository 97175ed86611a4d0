"""Ages are reckoned by a present that a wrong clock cannot drag along."""

from hypothesis import given
from hypothesis import strategies as st

from history.retention import DAY, horizon, present

NOW = 1_795_000_000.0


def test_present_of_a_new_file_is_now() -> None:
    """There is nothing to lose yet."""
    assert present(None, NOW, 0, started=True) == NOW


def test_present_follows_the_clock() -> None:
    """Five minutes later it is five minutes later."""
    assert present(NOW, NOW + 300, 300, started=False) == NOW + 300


def test_present_does_not_leap_with_a_clock_set_a_year_ahead() -> None:
    """It goes at twice the pace of real time at most."""
    assert present(NOW, NOW + 365 * DAY, 300, started=False) == NOW + 600


def test_present_never_goes_back() -> None:
    """A clock set back makes nothing younger."""
    assert present(NOW, NOW - 365 * DAY, 300, started=False) == NOW


def test_present_catches_up_a_day_at_a_start() -> None:
    """After a week out of service the first day is given at once, the rest at double pace."""
    assert present(NOW, NOW + 7 * DAY, 0, started=True) == NOW + DAY


@given(st.lists(st.tuples(st.floats(0, 10**6), st.floats(-(10**9), 10**9)), max_size=30))
def test_present_is_bounded_by_real_time(turns: list[tuple[float, float]]) -> None:
    """Whatever the clock says, twice the real time that passed is the most that anything ages."""
    at, real = NOW, 0.0
    for elapsed, error in turns:
        real += elapsed
        at = present(at, NOW + real + error, elapsed, started=False)
    assert NOW <= at <= NOW + 2 * real + 1


def test_horizon_lies_on_a_chunk_and_not_after_its_age() -> None:
    """Only what is wholly old enough moves on."""
    assert horizon(100_000.0, 10_000.0, 3600) == 86_400 + 3600
