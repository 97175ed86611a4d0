"""One rule at one series: how it stands with it, and what it makes of each value that comes."""

import operator
from dataclasses import dataclass
from math import isnan

from alerting.rules.bounds import Compare
from alerting.rules.functions import COVERED, Kind
from alerting.rules.rule import Rule, Verdict
from alerting.thresholds import Judgement, bounds, judge
from alerting.windows import Series, Window, Windows
from toban.alerts import Data, Key, Severity
from toban.config import format_duration


class Standing:
    """How a key stands. It is open from its first breach until it is told that its alert is over: no time says so."""

    __slots__ = ("broken_at", "fired", "open", "severity")

    def __init__(self) -> None:
        self.severity: Severity | None = None
        self.open = False
        self.fired = False
        self.broken_at: float | None = None

    def resume(self, severity: Severity | None, *, fired: bool) -> None:
        """Take up what stood before a restart or a reload."""
        self.severity, self.open, self.fired = severity, True, fired

    def judged(self, rule: Rule, value: float, at: float) -> Judgement:
        """What a value makes of it. Until the breach has lasted for `for` there is no hysteresis: it may be a spike."""
        judgement = judge(rule, value, self.severity if self.fired else None)
        self.severity = judgement.severity
        if judgement.severity is None:
            self.calm()
            return judgement
        self.open = True
        if self.broken_at is None:
            self.broken_at = at
        self.fired = self.fired or at - self.broken_at >= rule.for_seconds
        return judgement

    def calm(self) -> None:
        """All is well; whoever keeps its alert wants to hear that until it is over."""
        self.severity, self.broken_at = None, None

    def settle(self) -> None:
        """Its alert is over."""
        self.severity, self.open, self.fired, self.broken_at = None, False, False, None


class Watch:
    """One rule at one series. While it is `quiet`, a value for which `compare` is false needs no further look."""

    __slots__ = (
        "begun_at",
        "compare",
        "counter",
        "limit",
        "line",
        "missed_at",
        "plain",
        "quiet",
        "rule",
        "series",
        "standing",
        "turn",
        "value",
        "window",
        "windows",
    )

    def __init__(self, rule: Rule, series: Series, windows: Windows, *, counter: bool) -> None:
        self.rule = rule
        self.series = series
        self.standing = Standing()
        self.windows = windows
        self.counter = counter
        self.window: Window | None = None
        if rule.function is not None:
            self.window = windows.of(series, rule.function, counter=counter)
        mildest = bounds(rule)[-1][1]
        self.compare, self.limit = mildest.compare, mildest.value
        self.line = _mildest_says_all(rule)
        self.plain = self.line and rule.function is None
        self.quiet = self.plain
        self.turn = 0
        self.begun_at: float | None = None  # of what it looks back on
        self.missed_at: float | None = None  # since when its collector works without bringing it
        self.value = 0.0

    @property
    def key(self) -> Key:
        """What its alert is known by."""
        return Key(self.rule.name, self.series.target, self.series.labels)

    def judged(self, value: float, at: float) -> Verdict | None:
        """What a value makes of it; None where nobody needs to know."""
        if self.rule.function is not None:
            self.window = self.window or self.windows.of(self.series, self.rule.function, counter=self.counter)
            if self.window is None:
                return None  # there is no more room for what it would look back on
            self.window.add(at, value)
            self.begun_at = at if self.begun_at is None else min(self.begun_at, at)
            computed = self.windows.computed(self.series, self.rule.function, self.window, at)
            if computed.value is None:
                soon = at - self.begun_at < COVERED * self.rule.function.window_seconds  # it cannot be known yet
                return None if soon else self._unknown(at, f"{self.rule.function} is not known: {computed.reason}")
            value = computed.value
            if self.line and not self.standing.open and not self.compare(value, self.limit):
                return None
        elif isnan(value):
            return self._unknown(at, "it is no number")
        judgement = self.standing.judged(self.rule, value, at)
        self.value = value
        self.quiet = self.plain and not self.standing.open
        if judgement.severity is None and not self.standing.open:
            return None
        return _verdict(self, judgement, at)

    def resume(self, severity: Severity | None, *, fired: bool) -> None:
        """Take up how it stood."""
        self.standing.resume(severity, fired=fired)
        self.quiet = False

    def settle(self) -> None:
        """Its alert is over."""
        self.standing.settle()
        self.quiet = self.plain

    def gone(self, at: float) -> Verdict:
        """Its collector works, but brings it no more."""
        if self.rule.vanish or self.standing.severity is None:
            self.standing.calm()
        if not self.rule.vanish:
            return self.unheard(at, Data.NONE, "the collector brings it no more")
        return _verdict(self, Judgement(None, "", "no longer there"), at)

    def unheard(self, at: float, data: Data, reason: str) -> Verdict:
        """Nothing is known of it: it stands as it stood."""
        return _verdict(self, Judgement(self.standing.severity, "", reason), at, data)

    def _unknown(self, at: float, reason: str) -> Verdict | None:
        """There is no value. A rule whose series may vanish must not take that for its end."""
        if not self.standing.open or self.rule.vanish:
            return None
        return self.unheard(at, Data.NONE, reason)


def _mildest_says_all(rule: Rule) -> bool:
    """Whether a value that the mildest threshold lets pass is well by all of them: they point the same way."""
    first, *others = [bound for _, bound in reversed(bounds(rule))]
    return all(first.holds(other.value) and other.way is first.way for other in others)


@dataclass(slots=True)
class Absence:
    """One rule that looks for nothing: how long nothing has come."""

    rule: Rule
    key: Key
    seen_at: float
    standing: Standing

    def seen(self, at: float) -> Verdict | None:
        """Something has come."""
        self.seen_at = max(self.seen_at, at)
        if not self.standing.open:
            return None
        self.standing.calm()
        return Verdict(key=self.key, rule=self.rule, severity=None, value=0.0, at=at, reason="it comes again")

    def overdue(self, now: float) -> Verdict | None:
        """Nothing has come until now."""
        assert self.rule.function is not None  # noqa: S101 - it is one that looks for nothing
        self.seen_at = min(self.seen_at, now)
        seconds = now - self.seen_at
        if seconds < self.rule.function.window_seconds:
            return None
        judgement = self.standing.judged(self.rule, seconds, now)
        reason = f"nothing came for {format_duration(max(1.0, round(seconds)))}"
        return (
            None
            if judgement.severity is None
            else Verdict(
                key=self.key,
                rule=self.rule,
                severity=judgement.severity,
                value=seconds,
                bound=judgement.bound,
                at=now,
                reason=reason,
            )
        )


@dataclass(slots=True)
class Presence:
    """What an absence has of a series: it is there."""

    absence: Absence
    quiet: bool = False
    compare: Compare = operator.ne
    limit: float = 0.0
    turn: int = 0

    def judged(self, value: float, at: float) -> Verdict | None:  # noqa: ARG002 - as a Watch has it
        """A value has come, whatever it is."""
        return self.absence.seen(at)


def looks_for_nothing(rule: Rule) -> bool:
    """Whether it is the absence of series that it judges."""
    return rule.function is not None and rule.function.kind is Kind.ABSENT


def _verdict(watch: Watch, judgement: Judgement, at: float, data: Data = Data.OK) -> Verdict:
    return Verdict(
        key=watch.key,
        rule=watch.rule,
        severity=judgement.severity,
        value=watch.value,
        bound=judgement.bound,
        at=at,
        reason=judgement.reason,
        data=data,
    )
