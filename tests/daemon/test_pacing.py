from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.pacing import LONGEST_STRETCH, Spending, after_failure, first_turn, next_turn, phase, stretched
from toban.outcomes import Failure, Reason

DENIED = Failure(reason=Reason.PRIVILEGE, detail="no")
DOWN = Failure(reason=Reason.UNREACHABLE, detail="refused")


@given(now=st.floats(0, 1e7), every=st.floats(0.5, 3600), offset=st.floats(0, 3600), stretch=st.floats(1, 20))
def test_next_turn_comes_within_one_and_a_half_beats_and_not_at_once(
    now: float, every: float, offset: float, stretch: float
) -> None:
    """However late a turn ended, the next one is neither immediate nor far: missed beats are skipped."""
    beat = stretched(every, stretch)
    wait = next_turn(now=now, every_seconds=every, offset=offset, stretch=stretch).at - now
    assert beat * 0.49 <= wait <= beat * 1.51


def test_next_turn_keeps_to_the_pairs_own_beat() -> None:
    """Turns of different lengths do not shift the beat."""
    first = next_turn(now=100.0, every_seconds=15, offset=4)
    second = next_turn(now=first.at + 3, every_seconds=15, offset=4)
    assert (first.at - 4) % 15 == 0
    assert second.at - first.at == 15


def test_pairs_of_many_targets_spread_over_the_beat() -> None:
    """A hundred targets do not turn in the same instant."""
    places = sorted(phase(f"target{n}/activity", 15) for n in range(100))
    assert places[0] < 1.5
    assert places[-1] > 13.5
    assert max(b - a for a, b in pairwise(places)) < 2


def test_first_turn_is_almost_at_once() -> None:
    """Someone waits for the first value."""
    assert 100.0 <= first_turn("main/activity", 100.0).at <= 100.3


def test_first_turns_of_many_targets_are_spread() -> None:
    """A hundred that all began at once would be slow by their own number, and be stretched for it by the budget."""
    moments = [first_turn(f"server{number}/activity", 0.0, targets=100).at for number in range(1000)]
    assert 0.0 <= min(moments) < 1.0
    assert 19.0 < max(moments) <= 20.0


def test_a_failing_pair_comes_later_and_later_up_to_ten_minutes() -> None:
    """A missing privilege is asked for less and less often, and never given up on."""
    due = next_turn(now=0.0, every_seconds=15, offset=0)
    waits = [after_failure(due, now=0.0, every_seconds=15, failure=DENIED, failures=n).at for n in range(1, 9)]
    assert waits == [15, 30, 60, 120, 240, 480, 600, 600]


def test_what_turns_seldom_is_tried_again_long_before_its_next_beat() -> None:
    """One timeout of a survey of every six hours is mended before it is told, and what keeps failing is asked less."""
    due = next_turn(now=0.0, every_seconds=21600, offset=0)
    waits = [after_failure(due, now=0.0, every_seconds=21600, failure=DENIED, failures=n).at for n in range(1, 9)]
    assert waits == [300, 600, 1200, 2400, 4800, 9600, 19200, 21600]


def test_a_stretched_pair_that_fails_comes_no_sooner_than_its_beat() -> None:
    """Failing is no way around the budget."""
    due = next_turn(now=0.0, every_seconds=15, offset=0, stretch=20)
    assert after_failure(due, now=0.0, every_seconds=15, failure=DENIED, failures=1).at == due.at == 300


def test_a_target_that_is_down_is_tried_at_its_cadence() -> None:
    """The source backs off its attempts to connect by itself; the pair must not sleep through the return."""
    due = next_turn(now=0.0, every_seconds=15, offset=0)
    assert after_failure(due, now=0.0, every_seconds=15, failure=DOWN, failures=50) == due


def test_spending_within_the_budget_stretches_nothing() -> None:
    """The usual case costs nothing."""
    spending = Spending(0.6)
    spending.note(10.0, 0.5)
    assert spending.stretch(11.0) == 1.0


def test_spending_beyond_the_budget_stretches_in_proportion_and_recovers_after_a_minute() -> None:
    """Twice the budget means half as often, until the minute has passed."""
    spending = Spending(0.6)
    for at, total in ((10.0, 0.4), (20.0, 0.8), (30.0, 1.2)):
        spending.note(at, total)
    assert spending.stretch(31.0) == pytest.approx(2.0)
    assert spending.stretch(71.0) == pytest.approx(0.8 / 0.6)
    assert spending.stretch(100.0) == 1.0


def test_lanes_side_by_side_do_not_count_each_others_time_twice() -> None:
    """Two turns that end together tell the same total: it was spent once."""
    spending = Spending(0.6)
    spending.note(10.0, 0.5)
    spending.note(10.0, 0.5)
    assert spending.last_minute(10.0) == 0.5


def test_stretch_is_bounded() -> None:
    """A runaway query delays the next look, it does not end the watch."""
    spending = Spending(0.6)
    spending.note(0.0, 1000.0)
    assert spending.stretch(1.0) == LONGEST_STRETCH


@pytest.mark.parametrize(("every", "beat"), [(15, 300), (60, 1200), (300, 3900), (21600, 25200)])
def test_stretch_puts_off_no_cadence_by_more_than_an_hour(every: float, beat: float) -> None:
    """One dear minute does not move the next survey of every six hours to next week."""
    assert stretched(every, LONGEST_STRETCH) == beat
    assert stretched(every, 1.0) == every


def test_no_budget_means_no_stretch() -> None:
    """A host has no budget."""
    spending = Spending(0.0)
    spending.note(0.0, 1000.0)
    assert spending.stretch(1.0) == 1.0


def test_first_turns_of_what_is_slow_are_spread_further_among_many_targets() -> None:
    """A hundred surveys of all tables at once would be felt; one target's first survey comes at once all the same."""
    slow = [first_turn(f"server{number}/indexes", 0.0, 100, 600.0).at for number in range(1000)]
    assert 90.0 < max(slow) <= 100.0
    assert first_turn("main/indexes", 0.0, 3, 600.0).at <= 0.6


def test_spending_of_the_first_round_draws_no_cadence_out() -> None:
    """It is spent once, with everything beginning together; what follows counts."""
    spending = Spending(0.6)
    spending.note(0.0, 20.0, beginning=True)
    assert spending.stretch(1.0) == 1.0
    spending.note(10.0, 21.2)
    assert round(spending.stretch(11.0), 6) == 2.0
