"""One rule at one series: how it stands with it, and what it makes of each value that comes."""

import operator
from dataclasses import dataclass
from typing import Final

from alerting.rules.bounds import Compare
from alerting.rules.functions import Kind
from alerting.rules.rule import Rule, Verdict
from alerting.thresholds import Judgement, bounds, judge
from alerting.windows import Series, Window, Windows
from toban.alerts import Data, Key, Severity
from toban.config import format_duration

LINGER_SECONDS: Final = 60.0
LONGEST_KEEP_SECONDS: Final = 3600.0  # so long the life of an alert that flaps keeps it firing, and wants to hear of it


class Standing:
    """How a key stands. It is open from its first breach until its alert is over, as far as can be told from here."""

    __slots__ = ("broken_at", "calm_at", "fired", "open", "severity")

    def __init__(self) -> None:
        self.severity: Severity | None = None
        self.open = False
        self.fired = False
        self.broken_at: float | None = None
        self.calm_at: float | None = None

    def resume(self, severity: Severity | None, *, fired: bool) -> None:
        """Take up what stood before a restart or a reload."""
        self.severity, self.open, self.fired = severity, True, fired

    def judged(self, rule: Rule, value: float, at: float) -> Judgement:
        """What a value makes of it. Until the breach has lasted for `for` there is no hysteresis: it may be a spike."""
        judgement = judge(rule, value, self.severity if self.fired else None)
        self.severity = judgement.severity
        if judgement.severity is None:
            self.calm(rule, at)
            return judgement
        self.open, self.calm_at = True, None
        if self.broken_at is None:
            self.broken_at = at
        self.fired = self.fired or at - self.broken_at >= rule.for_seconds
        return judgement

    def calm(self, rule: Rule, at: float) -> None:
        """All is well; after a while nobody wants to hear of it any more."""
        if self.calm_at is None:
            self.calm_at = at
        kept = max(rule.keep_seconds, LONGEST_KEEP_SECONDS) if self.fired else 0.0
        self.severity, self.broken_at = None, None
        if at - self.calm_at > kept + LINGER_SECONDS:
            self.settle()

    def settle(self) -> None:
        """Its alert is over."""
        self.severity, self.open, self.fired = None, False, False
        self.broken_at = self.calm_at = None


class Watch:
    """One rule at one series. While it is `quiet`, a value for which `compare` is false needs no further look."""

    __slots__ = (
        "compare",
        "limit",
        "line",
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
        self.window: Window | None = None
        if rule.function is not None:
            self.window = windows.of(series, rule.function, counter=counter)
        mildest = bounds(rule)[-1][1]
        self.compare, self.limit = mildest.compare, mildest.value
        self.line = _mildest_says_all(rule)
        self.plain = self.line and rule.function is None
        self.quiet = self.plain
        self.turn = 0
        self.value = 0.0

    @property
    def key(self) -> Key:
        """What its alert is known by."""
        return Key(self.rule.name, self.series.target, self.series.labels)

    def judged(self, value: float, at: float) -> Verdict | None:
        """What a value makes of it; None where nobody needs to know."""
        if self.rule.function is not None:
            if self.window is None:
                return None  # there is no more room for what it would look back on
            self.window.add(at, value)
            computed = self.windows.computed(self.series, self.rule.function, self.window, at)
            if computed.value is None:
                return self._unknown(at, computed.reason)
            value = computed.value
            if self.line and not self.standing.open and not self.compare(value, self.limit):
                return None
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
            self.standing.calm(self.rule, at)
            self.quiet = self.plain and not self.standing.open
        if not self.rule.vanish:
            return self.unheard(at, Data.NONE, "the collector brings it no more")
        return _verdict(self, Judgement(None, "", "no longer there"), at)

    def unheard(self, at: float, data: Data, reason: str) -> Verdict:
        """Nothing is known of it: it stands as it stood."""
        return _verdict(self, Judgement(self.standing.severity, "", reason), at, data)

    def _unknown(self, at: float, reason: str) -> Verdict | None:
        """The function has no value. A rule whose series may vanish must not take that for its end."""
        if not self.standing.open or self.rule.vanish:
            return None
        return self.unheard(at, Data.NONE, f"{self.rule.function} is not known: {reason}")


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
        self.standing.calm(self.rule, at)
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
