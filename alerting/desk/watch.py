"""What keeps the desk at work: a look at both clocks, and turns that no fault ends."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from toban.clock import Clock

CLOCK_STEP_SECONDS: Final = 2.0  # the two clocks drift apart by less, unless one was set or the machine slept
PAUSE_SECONDS: Final = 1.0

logger = structlog.get_logger(__name__)


class ClockWatch:
    """Whether the wall clock went another way than the time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset = clock.now() - clock.monotonic()

    def jumped(self) -> float:
        """By how many seconds the wall clock was set since the last look; 0 where it was not. A suspend is a jump."""
        offset = self._clock.now() - self._clock.monotonic()
        by_seconds = offset - self._offset
        self._offset = offset
        return by_seconds if abs(by_seconds) > CLOCK_STEP_SECONDS else 0.0


async def supervised(turn: Callable[[], Awaitable[object]]) -> None:
    """One turn after another. A fault of our own is said loudly and costs that turn alone, never the alerts."""
    while True:
        try:
            await turn()
        except Exception:  # a loop of its own: it must outlive any fault
            logger.exception("desk_fault")
            await asyncio.sleep(PAUSE_SECONDS)
