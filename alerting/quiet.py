"""When nobody is told: silences, quiet windows, and maintenance under way. Pure, and right through summer time.

A window begins at each moment of its cron line in the configured zone and lasts its length in real seconds: a night
with 25 hours has one of it, and one that would begin in the hour that summer time skips begins when that hour is over.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta, tzinfo
from typing import Final, NamedTuple

from cronsim import CronSim, CronSimError

from alerting.rules.matching import Matcher, fits_all, matchers
from toban.alerts import Alert, Silence
from toban.clock import moment

FAR: Final = timedelta(hours=3)  # more than any zone sets its clocks by
Match = tuple[tuple[str, str], ...]
"""Names (a label, or rule, target, severity) with patterns: all names fit, of one any pattern and no `!pattern`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A quiet time that comes again and again, out of the configuration."""

    name: str
    cron: str
    for_seconds: float
    match: Match = ()
    why: str = ""


class Span(NamedTuple):
    """From one moment to another, the last one outside."""

    begins_at: float
    ends_at: float


class Hush(NamedTuple):
    """What is in force now: what it is about, and what to call it."""

    reason: str
    match: tuple[Matcher, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InForce:
    """All that keeps quiet at a moment, and until when that stays so."""

    hushes: tuple[Hush, ...]
    since: float
    until: float

    def mutes(self, alert: Alert) -> str:
        """Why nobody is told of this alert; empty where somebody may be."""
        if not self.hushes:
            return ""
        facts = facts_of(alert)
        return next((hush.reason for hush in self.hushes if fits_all(hush.match, facts)), "")

    def holds(self, now: float) -> bool:
        """Whether it is still what is in force; a clock that was set back makes it doubtful too."""
        return self.since <= now < self.until


def in_force(windows: Iterable[Window], silences: Iterable[Silence], *, now: float, zone: tzinfo) -> InForce:
    """What keeps quiet now."""
    hushes, moments = [], [now + FAR.total_seconds()]
    for window in windows:
        span = window_span(window.cron, window.for_seconds, now=now, zone=zone)
        moments.append(_next_change(span, window.cron, now, zone))
        if span is not None:
            hushes.append(Hush(f"quiet {window.name}", matchers_of(window.match)))
    for silence in silences:
        span = silence_span(silence, now=now, zone=zone)
        moments.extend(at for at in (silence.begins_at, silence.ends_at) if at > now)
        if silence.cron and silence.begins_at <= now < silence.ends_at:
            moments.append(_next_change(span, silence.cron, now, zone))
        if span is not None:
            hushes.append(Hush(f"silence {silence.id}", matchers_of(silence.match)))
    return InForce(hushes=tuple(hushes), since=now, until=min(moments))


def silence_span(silence: Silence, *, now: float, zone: tzinfo) -> Span | None:
    """The time of quiet that a silence is in; None where it is in none."""
    if silence.ended_by or not silence.begins_at <= now < silence.ends_at:
        return None
    if not silence.cron:
        return Span(silence.begins_at, silence.ends_at)
    span = window_span(silence.cron, silence.for_seconds, now=now, zone=zone)
    return span and Span(max(span.begins_at, silence.begins_at), min(span.ends_at, silence.ends_at))


def window_span(cron: str, for_seconds: float, *, now: float, zone: tzinfo) -> Span | None:
    """The window that is open now; None where none is."""
    began = last_start(cron, now=now, zone=zone)
    return Span(began, began + for_seconds) if began is not None and now < began + for_seconds else None


def last_start(cron: str, *, now: float, zone: tzinfo) -> float | None:
    """When a cron line last came true, at or before now.

    The search begins later than now and goes back: in the hour that comes twice, the local time alone would not tell
    which of the two it is.
    """
    ticks = CronSim(cron, (moment(now) + FAR).astimezone(zone), reverse=True)
    return next((at for tick in ticks if (at := tick.timestamp()) <= now), None)


def next_start(cron: str, *, now: float, zone: tzinfo) -> float | None:
    """When a cron line comes true next, after now; None where it never does."""
    ticks = CronSim(cron, (moment(now) - FAR).astimezone(zone))
    return next((at for tick in ticks if (at := tick.timestamp()) > now), None)


def cron_fault(cron: str) -> str:
    """Why this is no cron line that ever comes true; empty where it is one."""
    if len(cron.split()) != 5:  # noqa: PLR2004 - minute, hour, day, month, weekday
        return "is no cron line; write minute hour day month weekday, as in `0 1 * * *`"
    try:
        next(CronSim(cron, moment(0.0)))
    except CronSimError as error:
        return f"is no cron line: {error}"
    except StopIteration:
        return "never comes true"
    return ""


def facts_of(alert: Alert) -> Mapping[str, str]:
    """What may be matched: the labels, and rule, target and severity."""
    own = {"rule": alert.key.rule, "target": alert.key.target, "severity": alert.severity.value}
    return {**dict(alert.key.labels), **own}


def matchers_of(match: Match) -> tuple[Matcher, ...]:
    """The pairs as matchers, one a name."""
    patterns: dict[str, list[str]] = {}
    for name, pattern in match:
        patterns.setdefault(name, []).append(pattern)
    return matchers(patterns)


def maintenance(excused_by: Sequence[str], progress: Sequence[str]) -> str:
    """Which work under way at the target causes what a rule sees; empty where none does."""
    return next((f"maintenance {work}" for work in excused_by if work in progress), "")


def _next_change(span: Span | None, cron: str, now: float, zone: tzinfo) -> float:
    """When a window that is open ends, or one that is closed opens."""
    if span is not None:
        return span.ends_at
    begins_at = next_start(cron, now=now, zone=zone)
    return float("inf") if begins_at is None else begins_at
