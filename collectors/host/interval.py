"""What is told per interval: differences of counters, absent rather than wrong."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Interval(Generic[T]):
    """Remembers the last reading, to be compared with the next."""

    def __init__(self) -> None:
        self._last: tuple[float, T] | None = None

    def since(self, at: float, reading: T) -> tuple[float, T] | None:
        """Seconds since the last reading, and that reading; None on the first, or when no time has passed."""
        last, self._last = self._last, (at, reading)
        if last is None or at <= last[0]:
            return None
        return at - last[0], last[1]


def grown(then: tuple[int, ...], now: tuple[int, ...]) -> tuple[int, ...] | None:
    """By how much each counter grew; None when one fell, for then they all began anew."""
    growth = tuple(n - t for t, n in zip(then, now, strict=True))
    return None if min(growth) < 0 else growth
