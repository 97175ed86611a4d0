"""Time as an argument: the only module that reads the machine's clocks."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What the rest of the house asks for the time."""

    def now(self) -> float:
        """Seconds since the epoch: for people, files and other machines. It may jump."""
        ...

    def monotonic(self) -> float:
        """Seconds since some start: for cadences, deadlines and ages. It never jumps."""
        ...


class SystemClock:
    """The machine's own clocks."""

    def now(self) -> float:
        """Seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that only ever grow, at the pace of real time."""
        return time.monotonic()


def moment(at: float) -> datetime:
    """An epoch second as an aware datetime in UTC."""
    return datetime.fromtimestamp(at, tz=UTC)
