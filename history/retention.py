"""How long what is kept, and by which clock: pure.

A reading is kept as it was measured for `raw_seconds`, then as a 5-minute slot, then as an hourly one. It moves on in
whole chunks, so each age is a minimum; the most it can be exceeded by is one chunk of the next resolution.
"""

from dataclasses import dataclass
from typing import NamedTuple

DAY = 86400
LEAP_SECONDS = float(DAY)
PACE = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The ages at which readings, 5-minute slots and hourly slots move on; those of statements follow them.

    Events go by their age, and by their number where something happens over and over.
    """

    raw_seconds: float = 2.0 * DAY
    fine_seconds: float = 35.0 * DAY
    coarse_seconds: float = 400.0 * DAY
    event_seconds: float = 400.0 * DAY
    most_events: int = 50_000


class Resolution(NamedTuple):
    """One fineness of the packed history."""

    seconds: int  # a slot; 0 for the readings themselves
    chunk_seconds: int


RAW = Resolution(0, 3600)
FINE = Resolution(300, DAY // 2)
COARSE = Resolution(3600, DAY * 5)


def present(stored: float | None, now: float, elapsed_seconds: float, *, started: bool) -> float:
    """The moment by which ages are reckoned: the clock's, but not when the clock has leapt.

    A clock set wrongly into the future would expire everything at once. So the present moves on at twice the pace of
    real time at most, and by at most one more day at a start (`started`): after a week out of service it catches up
    within a week, and a wrong clock costs a day's age at the far end. It never goes back; whoever reckons ages takes
    the clock where that is behind, or a file begun under a wrong clock would find all that it is given too old.
    """
    if stored is None:
        return now
    leap = LEAP_SECONDS if started else 0.0
    return max(stored, min(now, stored + PACE * elapsed_seconds + leap))


def horizon(present_at: float, kept_seconds: float, chunk_seconds: int) -> int:
    """Before this moment (a chunk's beginning) everything is old enough to move on."""
    return int(present_at - kept_seconds) // chunk_seconds * chunk_seconds
