"""How old a standby's data may be."""

from typing import Any

import pytest

from collectors.postgresql.lag import Standby, backlog_bytes, current, lag_seconds


def a_standby(**overrides: Any) -> Standby:  # noqa: ANN401 - any field
    """A healthy standby of a primary on which nothing has happened for an hour."""
    healthy = {
        "replay_age_seconds": 3600.0,
        "replayed_bytes": 500.0,
        "received_bytes": 500.0,
        "announced_bytes": 500.0,
        "receiving": True,
        "message_age_seconds": 5.0,
        "silence_seconds": 60.0,
    }
    return Standby(**{**healthy, **overrides})


def test_lag_of_an_idle_cluster_is_zero() -> None:
    """The last commit is an hour old, and nothing is missing."""
    assert lag_seconds(a_standby(), None) == 0


def test_lag_of_a_first_write_after_an_idle_hour_is_no_hour() -> None:
    """One record arrived that is not yet replayed: the standby was current at the last turn."""
    assert lag_seconds(a_standby(received_bytes=600.0), 15.0) == 15


def test_lag_of_a_paused_replay_is_the_age_of_its_last_commit() -> None:
    """Without an earlier turn to go by, the last commit is the bound."""
    assert lag_seconds(a_standby(received_bytes=600.0, replay_age_seconds=40.0), None) == 40


@pytest.mark.parametrize("broken", [{"receiving": False}, {"message_age_seconds": 61.0}, {"received_bytes": None}])
def test_lag_without_a_living_link_is_not_zero(broken: dict[str, Any]) -> None:
    """What is not received cannot be known to be replayed, though all that was received is."""
    assert not current(a_standby(**broken))
    assert lag_seconds(a_standby(**broken), 30.0) == 30


def test_lag_over_a_slow_link_is_not_zero() -> None:
    """All that came is replayed, and the primary's last word was that there is more: it may be minutes ahead."""
    behind = a_standby(announced_bytes=900.0, replay_age_seconds=300.0)
    assert not current(behind)
    assert lag_seconds(behind, 20.0) == 20
    assert lag_seconds(behind, None) == 300


def test_lag_of_a_standby_that_has_heard_no_position_yet_is_not_zero() -> None:
    """It was away for an hour and connected just now: its receiver begins where the segment does."""
    assert not current(a_standby(announced_bytes=None, received_bytes=100.0))
    assert current(a_standby(announced_bytes=None))


def test_lag_is_unknown_without_any_bound() -> None:
    """Never seen to be current, and no commit replayed: nobody can tell."""
    assert lag_seconds(a_standby(receiving=False, replay_age_seconds=None), None) is None


def test_lag_is_never_negative() -> None:
    """The primary's clock may be ahead of the standby's."""
    assert lag_seconds(a_standby(receiving=False, replay_age_seconds=-2.0), None) == 0


def test_a_primary_may_be_silent_for_ever_where_the_timeout_is_off() -> None:
    """wal_receiver_timeout = 0 says so."""
    assert current(a_standby(message_age_seconds=9000.0, silence_seconds=0.0))
    assert current(a_standby(message_age_seconds=None))


def test_backlog_is_what_waits_for_replay() -> None:
    """Received and not replayed; a receiver that starts again at its segment's first byte has none."""
    assert backlog_bytes(a_standby(received_bytes=700.0)) == 200
    assert backlog_bytes(a_standby(received_bytes=100.0)) == 0
    assert backlog_bytes(a_standby(received_bytes=None)) is None
