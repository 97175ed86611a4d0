"""When a job is due: pure functions of cron lines, the last run and the time now.

A cron line's moments are those of Debian's cron: what summer time skips comes right after the gap, and what it repeats
comes once. Moments are compared as epoch seconds, so a wall clock that shows 02:30 twice confuses nobody.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final

from cronsim import CronSim

from backup.settings import Window

MOST_ATTEMPTS: Final = 3  # of one moment's run, each ended by our own end: a run that kills us must not do so for ever
AHEAD_SECONDS: Final = 3600.0  # a run that lies farther in the future than that was made by a clock that went wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """When a job runs next, for which of its moments, and why then."""

    at: float
    moment: float
    reason: str


def moments_around(line: str, now: float, zone: tzinfo) -> tuple[float | None, float | None]:
    """The last moment up to now, and the first one after it; None where there is none within fifty years."""
    here = datetime.fromtimestamp(now, zone)
    last = _first(CronSim(line, here, reverse=True))
    following = CronSim(line, here if last is None else datetime.fromtimestamp(last, zone))
    for moment in following:
        at = moment.timestamp()
        if at > now:
            return last, at
        last = at
    return last, None


def is_open(window: Window | None, at: float, zone: tzinfo) -> bool:
    """Whether a run may begin then."""
    if window is None:
        return True
    opened, _ = moments_around(window.cron, at, zone)
    return opened is not None and at < opened + window.for_


def next_due(  # noqa: PLR0913 - all that it hangs on
    line: str,
    *,
    now: float,
    zone: tzinfo,
    last_begun: float | None,
    known_since: float,
    window: Window | None = None,
    attempts: Callable[[float], int] = lambda _: 0,
    first_at: float | None = None,
) -> Due | None:
    """When it runs next. One moment that was missed is caught up, however many were; at once, or when it may begin.

    What something else waits for, and has never run, does so `first_at`, without waiting for a moment of its own.
    """
    last, following = moments_around(line, now, zone)
    since = known_since if last_begun is None or last_begun > now + AHEAD_SECONDS else last_begun
    if last is not None and last > since and attempts(last) < MOST_ATTEMPTS:
        return _opened(Due(at=now, moment=last, reason="missed, and caught up"), window, zone)
    moment = now if last is None else last
    if first_at is not None and last_begun is None and attempts(moment) < MOST_ATTEMPTS:
        return _opened(Due(at=max(now, first_at), moment=moment, reason="the first one"), window, zone)
    if following is None:
        return None
    return _opened(Due(at=following, moment=following, reason="its time has come"), window, zone)


def _opened(due: Due, window: Window | None, zone: tzinfo) -> Due | None:
    if window is None or is_open(window, due.at, zone):
        return due
    _, opens = moments_around(window.cron, due.at, zone)
    if opens is None:
        return None
    return Due(at=opens, moment=due.moment, reason=f"{due.reason}, in its window")


def _first(moments: CronSim) -> float | None:
    try:
        return next(moments).timestamp()
    except StopIteration:
        return None
