"""How fast a receiver is spoken to: a token bucket, and full jitter between attempts. Pure."""

LONGEST_WAIT_SECONDS = 3600.0  # what a receiver may ask for
FIRST_BACKOFF_SECONDS = 2.0
LONGEST_BACKOFF_SECONDS = 600.0
_MOST_DOUBLINGS = 16


class Bucket:
    """So many messages at once, and then so many a second. Moments are of a clock that never jumps."""

    def __init__(self, per_second: float, burst: int, now: float) -> None:
        self._per_second = per_second
        self._burst = max(1.0, float(burst))
        self._tokens = self._burst
        self._filled_at = now

    def wait_seconds(self, now: float) -> float:
        """How long until the next message may go; 0 when it may go now."""
        self._fill(now)
        if self._tokens >= 1.0 or self._per_second <= 0:  # no rate, no limit
            return 0.0
        return (1.0 - self._tokens) / self._per_second

    def take(self, now: float) -> None:
        """One message goes."""
        self._fill(now)
        self._tokens = max(0.0, self._tokens - 1.0)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + max(0.0, now - self._filled_at) * self._per_second)
        self._filled_at = now


def full_jitter(attempts: int, share: float, *, longest_seconds: float = LONGEST_BACKOFF_SECONDS) -> float:
    """How long to wait after so many attempts that failed; `share` is a random number from 0 to 1.

    Any moment up to a bound that doubles: those who failed together do not come back together.
    """
    doublings = min(max(0, attempts - 1), _MOST_DOUBLINGS)
    return share * min(longest_seconds, FIRST_BACKOFF_SECONDS * 2.0**doublings)


def bounded_wait(seconds: float) -> float:
    """What a receiver asks for, within reason."""
    return min(max(0.0, seconds), LONGEST_WAIT_SECONDS)
