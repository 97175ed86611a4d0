"""How fast a receiver is spoken to."""

from hypothesis import given
from hypothesis import strategies as st

from alerting.pace import Bucket, bounded_wait, full_jitter

NOW = 1_795_000_000.0  # Wed, 18 Nov 2026 11:06:40 GMT


def test_bucket_lets_a_burst_through_and_then_a_rate() -> None:
    """Two at once, then one every two seconds; idle time is saved up to the burst and no further."""
    bucket = Bucket(0.5, 2, 0.0)
    assert bucket.wait_seconds(0.0) == 0
    bucket.take(0.0)
    bucket.take(0.0)
    assert bucket.wait_seconds(0.0) == 2.0
    assert bucket.wait_seconds(1.0) == 1.0
    assert bucket.wait_seconds(2.0) == 0
    assert bucket.wait_seconds(1000.0) == 0
    bucket.take(1000.0)
    bucket.take(1000.0)
    assert bucket.wait_seconds(1000.0) == 2.0


def test_bucket_without_a_rate_is_no_limit() -> None:
    """Zero a second means as fast as it goes."""
    bucket = Bucket(0.0, 1, 0.0)
    for _ in range(3):
        bucket.take(0.0)
        assert bucket.wait_seconds(0.0) == 0


def test_jitter_doubles_its_bound_up_to_ten_minutes() -> None:
    """At the top of the range: 2, 4, 8 … 600 seconds; at the bottom 0."""
    assert [full_jitter(n, 1.0) for n in (0, 1, 2, 3, 8, 9, 10, 10_000)] == [2, 2, 4, 8, 256, 512, 600, 600]
    assert full_jitter(5, 0.0) == 0
    assert full_jitter(9, 1.0, longest_seconds=60.0) == 60


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_jitter_stays_within_its_bounds(attempts: int, share: float) -> None:
    """Whatever comes in."""
    assert 0 <= full_jitter(attempts, share) <= 600


def test_what_a_receiver_asks_for_is_bounded() -> None:
    """An hour at most."""
    assert [bounded_wait(s) for s in (-1.0, 5.0, 1e9)] == [0, 5, 3600]
