"""When a pair's next turn is due: pure functions of what happened, with the reason for what they decide."""

import zlib
from collections import deque
from dataclasses import dataclass

from toban.outcomes import Failure

LONGEST_PAUSE_SECONDS = 600.0
RETRY_SECONDS = 300.0  # what turns seldom does not wait for its next beat to try again
LONGEST_STRETCH = 20.0
LONGEST_DRAWN_OUT_SECONDS = 3600.0  # a dear minute must not put off what comes every few hours by days
MINUTE_SECONDS = 60.0
FIRST_TURN_WITHIN_SECONDS = 0.3
FIRST_TURNS_SECONDS_A_TARGET = 0.2  # a hundred targets that all began at once would be slow by our own doing
SLOW_FIRST_TURNS_SECONDS_A_TARGET = 1.0  # what comes every few minutes is the heavier, and nobody waits for it
SLOW_SECONDS = 60.0
FEW_TARGETS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """The monotonic moment of the next turn, and why then."""

    at: float
    reason: str


def phase(pair: str, every_seconds: float) -> float:
    """A pair's own place within its cadence, the same in each run: a hundred targets do not turn at once."""
    return zlib.crc32(pair.encode()) % 10_000 / 10_000 * every_seconds


def first_turn(pair: str, now: float, targets: int = 1, every_seconds: float = 0.0) -> Due:
    """The first turn comes almost at once: someone waits for the first value. Many that begin together spread a bit."""
    slow = every_seconds > SLOW_SECONDS and targets > FEW_TARGETS
    each = SLOW_FIRST_TURNS_SECONDS_A_TARGET if slow else FIRST_TURNS_SECONDS_A_TARGET
    within = max(FIRST_TURN_WITHIN_SECONDS, each * targets)
    return Due(at=now + phase(pair, within), reason="start")


def next_turn(*, now: float, every_seconds: float, offset: float, stretch: float = 1.0) -> Due:
    """The next moment on the pair's own beat; a beat that a slow turn ran over is skipped, never made up for."""
    beat = stretched(every_seconds, stretch)
    at = now + beat - (now - offset) % beat
    if at - now < beat / 2:  # the turn that just ended belongs to that beat already
        at += beat
    return Due(at=at, reason="cadence" if stretch == 1.0 else f"stretched {stretch:.1f}-fold by the budget")


def stretched(every_seconds: float, stretch: float) -> float:
    """A cadence as the budget draws it out."""
    return every_seconds + min(every_seconds * (stretch - 1.0), LONGEST_DRAWN_OUT_SECONDS)


def after_failure(due: Due, *, now: float, every_seconds: float, failure: Failure, failures: int) -> Due:
    """Later and later while the same thing keeps failing; a target that is down is tried again at its cadence.

    Attempts to connect have a back-off of their own at the source, so a turn at a target that is down costs nothing.
    """
    if failure.down:
        return due
    pause = min(
        min(every_seconds, RETRY_SECONDS) * 2 ** min(failures - 1, 16), max(LONGEST_PAUSE_SECONDS, every_seconds)
    )
    at = max(now + pause, due.at if every_seconds <= RETRY_SECONDS else now)
    return Due(at=at, reason=f"failed {failures} times: {failure.reason}")


class Spending:
    """What a target has spent on us in the last minute, against its budget."""

    def __init__(self, budget_seconds: float) -> None:
        self.budget_seconds = budget_seconds
        self._spent: deque[tuple[float, float]] = deque(maxlen=4096)
        self._total_seconds = 0.0

    def note(self, now: float, total_seconds: float, *, beginning: bool = False) -> None:
        """What the target has spent on us since the start. Lanes side by side share it, so only its growth counts.

        The first round is spent once and is no measure of a minute: what it took at the `beginning` draws nothing out.
        """
        if total_seconds > self._total_seconds and not beginning:
            self._spent.append((now, total_seconds - self._total_seconds))
        self._total_seconds = total_seconds

    def last_minute(self, now: float) -> float:
        """Seconds spent within the minute before now."""
        while self._spent and self._spent[0][0] < now - MINUTE_SECONDS:
            self._spent.popleft()
        return sum(seconds for _, seconds in self._spent)

    def stretch(self, now: float) -> float:
        """By how much every cadence of the target is drawn out: 1 within the budget, in proportion above it."""
        if self.budget_seconds <= 0:
            return 1.0
        return min(max(1.0, self.last_minute(now) / self.budget_seconds), LONGEST_STRETCH)
