"""What a rule would have done on the stored history: when it would have fired, against what was recorded. Pure.

The history keeps stretches of time, not readings. A rule that waits (`for`) is held against the mean of each stretch,
one that does not against its worst value; a stretch counts from its beginning to its end.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count, pairwise
from typing import Any

from alerting.lifecycle import advance
from alerting.rules.bounds import Way, parse_bound
from alerting.rules.functions import HOUR, LOOK_BACK_SECONDS, WEEK, Computed, Function, Kind, compute, deviation
from alerting.rules.matching import fits_all
from alerting.rules.rule import Rule, Verdict
from alerting.thresholds import bounds
from alerting.watches import Standing
from alerting.windows import readings
from history.past import Point
from history.reading import SeriesHistory
from history.trends import Place
from toban.alerts import Alert, Key, Severity, State
from toban.config import parse_duration
from toban.samples import Type

NEARLY = 0.999  # of a stretch: its end, before the next begins
TIMES = ("for", "keep")
GROWTH = frozenset({Kind.RATE, Kind.DELTA})


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One that was really recorded. `mark` is what a person called it: `real`, `false` or nothing."""

    key: Key
    fired_at: float
    ended_at: float | None = None  # None: it still is
    mark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One that would have fired, and the worst it would have been."""

    severity: Severity
    fired_at: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """One series: what would have fired, until when its history goes, and how finely it is known."""

    key: Key
    spans: tuple[Span, ...]
    since: float
    until: float
    step_seconds: float

    @property
    def seconds(self) -> float:
        """How long it would have fired in all."""
        return sum((self.until if span.ended_at is None else span.ended_at) - span.fired_at for span in self.spans)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """All series of a rule, against what was recorded."""

    rule: Rule
    courses: tuple[Course, ...]
    caught: tuple[Episode, ...] = ()  # recorded, and it would have fired then
    missed: tuple[Episode, ...] = ()  # recorded, and it would not
    new: tuple[tuple[Key, Span], ...] = ()  # it would have fired, and nothing is recorded

    @property
    def fired(self) -> int:
        """How often it would have fired."""
        return sum(len(course.spans) for course in self.courses)

    @property
    def seconds(self) -> float:
        """How long, over all series."""
        return sum(course.seconds for course in self.courses)

    def marked(self, mark: str) -> tuple[int, int]:
        """Of those a person called so: how many it would have caught, and missed."""
        caught, missed = ([one for one in found if one.mark == mark] for found in (self.caught, self.missed))
        return len(caught), len(missed)


def altered(rule: Rule, other: Mapping[str, str | None]) -> Rule:
    """The rule with other thresholds, as they are written: info, warning, critical, clear, for, keep."""
    said = {key: text for key, text in other.items() if text is not None}
    changes: dict[str, Any] = {f"{key}_seconds": parse_duration(said.pop(key)) for key in TIMES if key in said}
    changes |= {key: parse_bound(text) for key, text in said.items()}
    return replace(rule, **changes)


def cannot(rule: Rule, type_: Type) -> str:
    """Why the history of a metric of this type cannot tell what the rule would have done; empty where it can."""
    kind = rule.function.kind if rule.function else None
    if kind is Kind.ABSENT:
        return "the history does not tell a series that was absent from a daemon that did not run"
    if type_ is Type.COUNTER and kind not in GROWTH | {Kind.DEVIATION}:
        return "of a counter the history keeps by how much it grew, not how high it stood"
    return ""


def backtest(rule: Rule, histories: Iterable[SeriesHistory], episodes: Iterable[Episode] = ()) -> Result:
    """What the rule would have done on each series that it is about."""
    about = [
        h for h in histories if fits_all(rule.where, {**h.labels, "target": h.target}) and not cannot(rule, h.type)
    ]
    courses = tuple(course(rule, history) for history in about if history.points)
    seen = {one.key for one in courses}
    recorded = [episode for episode in episodes if episode.key.rule == rule.name and episode.key in seen]
    by_key = {one.key: one for one in courses}
    caught = tuple(one for one in recorded if any(_meet(one, span, by_key[one.key]) for span in by_key[one.key].spans))
    return Result(
        rule=rule,
        courses=courses,
        caught=caught,
        missed=tuple(one for one in recorded if one not in caught),
        new=tuple(
            (one.key, span)
            for one in courses
            for span in one.spans
            if not any(episode.key == one.key and _meet(episode, span, one) for episode in recorded)
        ),
    )


def course(rule: Rule, history: SeriesHistory) -> Course:
    """One series, through the same hysteresis and the same life that an alert has."""
    key = Key(rule.name, history.target, tuple(sorted(history.labels.items())))
    step = _step(history)
    alert: Alert | None = None
    ended: list[Alert] = []
    worst: dict[str, Severity] = {}
    numbers = count(1)
    standing = Standing()
    for verdict in _verdicts(rule, standing, key, history, step):
        change = advance(alert, verdict, now=verdict.at, mint=lambda: f"{next(numbers)}")
        if change is None:
            continue
        alert = change.alert
        if alert.fired_at is not None:
            worst[alert.episode] = max(worst.get(alert.episode, alert.severity), alert.severity, key=_rank)
        if alert.state is State.RESOLVED:
            ended.append(alert)
            standing.settle()  # as the desk says: the next breach has no hysteresis of this one
            alert = None if alert.fired_at is None else alert  # one that has fired counts as a return if it comes back
    still = [alert] if alert is not None and alert.open else []
    spans = tuple(
        Span(severity=worst[one.episode], fired_at=one.fired_at, ended_at=one.resolved_at)
        for one in (*ended, *still)
        if one.fired_at is not None
    )
    until = history.points[-1].at + step
    return Course(key=key, spans=spans, since=history.points[0].at, until=until, step_seconds=step)


def _verdicts(rule: Rule, standing: Standing, key: Key, history: SeriesHistory, step: float) -> Iterator[Verdict]:
    """Several for each stretch: at its beginning, when something that it began has lasted, and at its end."""
    lasting = (rule.for_seconds, rule.keep_seconds, step * NEARLY)
    offsets = sorted({0.0, *(seconds for seconds in lasting if seconds < step)})
    thresholds = [bound for _, bound in bounds(rule)]
    for at, value in _values(rule, history, step):
        if not standing.open and not any(bound.holds(value) for bound in thresholds):
            continue  # nearly all of a long history
        for moment in (at + offset for offset in offsets):
            judgement = standing.judged(rule, value, moment)
            yield Verdict(
                key=key,
                rule=rule,
                severity=judgement.severity,
                value=value,
                bound=judgement.bound,
                at=moment,
                reason=judgement.reason,
            )


def _values(rule: Rule, history: SeriesHistory, step: float) -> Iterator[Place]:
    """What the rule judges, for each stretch in which it is known."""
    if rule.function is None:
        yield from ((point.at, _of(rule, point)) for point in history.points)
        return
    counter = history.type is Type.COUNTER
    places = readings(history, rule.function, step)
    deviates = rule.function.kind is Kind.DEVIATION
    moments = [point.at for point in history.points] if deviates else [at for at, _ in places]
    for point in history.points:
        now = point.at + step
        if deviates:
            found = _deviation(rule.function, point, history.points, moments)
        else:
            window = places[_first(moments, now - rule.function.window_seconds) : bisect_right(moments, now)]
            found = compute(rule.function, window, now, counter=counter)
        if found.value is not None:
            yield point.at, found.value


def _of(rule: Rule, point: Point) -> float:
    """The mean where the rule waits, else the worst there was."""
    if rule.for_seconds > 0:
        return point.mean
    return {Way.ABOVE: point.highest, Way.BELOW: point.lowest}.get(bounds(rule)[-1][1].way, point.mean)


def _first(moments: Sequence[float], begin: float) -> int:
    """The last reading before the window, if it is not much older; else the first in it."""
    first = bisect_right(moments, begin)
    return first - 1 if first and moments[first - 1] >= begin - LOOK_BACK_SECONDS else first


def _deviation(function: Function, point: Point, points: Sequence[Point], moments: Sequence[float]) -> Computed:
    """Against the hours around the same one of the weeks before."""
    weeks = range(1, int(function.window_seconds // WEEK) + 1)
    around = (point.at - week * WEEK for week in weeks)
    near = [
        other.mean
        for hour in around
        for other in points[bisect_left(moments, hour - HOUR) : bisect_right(moments, hour + HOUR)]
    ]
    return deviation(point.mean, near)


def _step(history: SeriesHistory) -> float:
    """How long a stretch is: as far as its closest points are apart."""
    return min((after.at - before.at for before, after in pairwise(history.points)), default=60.0)


def _meet(episode: Episode, span: Span, one: Course) -> bool:
    """Whether both were at the same time, as finely as the history tells."""
    slack = one.step_seconds
    ended = one.until if span.ended_at is None else span.ended_at
    over = one.until if episode.ended_at is None else episode.ended_at
    return span.fired_at - slack <= over and episode.fired_at <= ended + slack


def _rank(severity: Severity) -> int:
    return severity.rank
