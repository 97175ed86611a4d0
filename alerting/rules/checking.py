"""What is wrong with rules that read well each by itself: all mistakes, each with its key's path and a sentence.

That a name is given twice is told where the files are merged, for every list alike.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import combinations
from typing import Final

from alerting.rules.bounds import UNITS, Bound, Way
from alerting.rules.functions import Function, Kind
from alerting.rules.matching import literal, matchers
from alerting.rules.written import Alerts, Notify, RuleSettings, StepSettings
from alerting.settings import DASHBOARD, changed, merged, shipped_rules
from history.trends import BELIEVED_AHEAD, LONG_SECONDS
from toban.alerts import Severity
from toban.config import format_duration
from toban.samples import Metric, Unit

Path = tuple[str | int, ...]
Problem = tuple[Path, str]
CONDITIONS: Final = ("info", "warning", "critical", "clear")
TARGET: Final = "target"
_UNBOUNDED: Final = frozenset({Kind.RATE, Kind.DELTA, Kind.DEVIATION})
"""A ratio's growth and its distance from what is usual are no ratio."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What there is besides the rules. `backups` and `maintenance` are None while nobody knows of them yet."""

    channels: Collection[str]
    metrics: Mapping[str, Metric]
    targets: Collection[str]
    prefixes: tuple[str, ...] = ()
    """Beginnings of the names of metrics that only a running target knows: settings, custom SQL."""
    backups: Collection[str] | None = None
    maintenance: Collection[str] | None = None
    ours: tuple[RuleSettings, ...] = field(default_factory=shipped_rules)


def problems(  # noqa: PLR0913 - each is another thing that rules may name
    alerts: Alerts,
    *,
    channels: Iterable[str],
    metrics: Mapping[str, Metric],
    targets: Iterable[str],
    prefixes: tuple[str, ...] = (),
    backups: Collection[str] | None = None,
    maintenance: Collection[str] | None = None,
    ours: tuple[RuleSettings, ...] | None = None,
) -> Iterator[Problem]:
    """Everything that is wrong, in the order of the file; paths begin below `alerts`."""
    known = Known(
        channels=(*channels, DASHBOARD),
        metrics=metrics,
        targets=tuple(targets),
        prefixes=prefixes,
        backups=backups,
        maintenance=maintenance,
        ours=shipped_rules() if ours is None else ours,
    )
    yield from _channels(alerts.notify, ("notify",), known)
    yield from _steps(alerts.escalation, ("escalation",), known)
    based = {rule.name: rule for rule in known.ours}
    for place, rule in enumerate(alerts.rules):
        path = ("rules", place)
        whole = changed(based[rule.name], rule) if not rule.metric and rule.name in based else rule
        if whole.metric:
            yield from _rule(whole, path, known, alerts)
        else:
            yield from _nameless(rule, path, based)
    yield from _references(alerts, known)
    yield from _overlaps(alerts, known)


def _rule(rule: RuleSettings, path: Path, known: Known, alerts: Alerts) -> Iterator[Problem]:
    yield from _channels(rule.notify, (*path, "notify"), known)
    yield from _steps(rule.escalation, (*path, "escalation"), known)
    yield from _actions(rule, path, known, alerts)
    yield from _targets(rule, path, known)
    yield from _order(rule, path)
    if rule.enabled and not rule.bounds and not (rule.function and rule.function.kind is Kind.ABSENT):
        yield path, "has no threshold left; write info, warning or critical, or enabled: false"
    metric = known.metrics.get(rule.metric)
    if metric is None:
        if not rule.metric.startswith(known.prefixes or ("\0",)):
            yield (*path, "metric"), f"no collector brings {rule.metric}{_near(rule.metric, known.metrics)}"
        return
    yield from _labels(rule, path, metric)
    if rule.function is not None:
        yield from _function(rule.function, path, metric)
    for key in CONDITIONS:
        bound: Bound | None = getattr(rule, key)
        if bound is not None:
            yield from _fitting(rule, key, bound, path, metric)


def _nameless(rule: RuleSettings, path: Path, based: Mapping[str, RuleSettings]) -> Iterator[Problem]:
    """A rule without a metric is a change of a shipped one, so it has the name of one."""
    why = "is missing, and no shipped rule has this name" if rule.enabled else "no shipped rule has this name"
    yield (*path, "metric" if rule.enabled else "name"), f"{why}{_near(rule.name, based)}"


def _channels(notify: Notify, path: Path, known: Known) -> Iterator[Problem]:
    for severity in Severity:
        for place, channel in enumerate(notify.of(severity) or ()):
            if channel not in known.channels:
                yield (*path, severity.value, place), f"no channel is called {channel}{_near(channel, known.channels)}"


def _steps(steps: Sequence[StepSettings], path: Path, known: Known) -> Iterator[Problem]:
    for place, step in enumerate(steps):
        for nth, channel in enumerate(step.notify):
            if channel not in known.channels:
                why = f"no channel is called {channel}{_near(channel, known.channels)}"
                yield (*path, place, "notify", nth), why
    for (first, one), (second, other) in combinations(enumerate(steps), 2):
        if one.after == other.after and _climbing(one) & _climbing(other):
            yield (*path, second, "after"), f"step {first + 1} is taken then, too; name all channels in one step"


def _climbing(step: StepSettings) -> set[Severity]:
    return set(step.severities) or set(Severity) - {Severity.INFO}


def _actions(rule: RuleSettings, path: Path, known: Known, alerts: Alerts) -> Iterator[Problem]:
    there = {
        "backup": known.backups,
        "command": [command.name for command in alerts.commands],
        "maintenance": known.maintenance,
    }
    for severity in Severity:
        for place, action in enumerate(getattr(rule.actions, severity.value)):
            for kind, name in action.named:
                names = there[kind]
                at = (*path, "actions", severity.value, place, kind)
                if names is None:
                    yield at, f"{kind} actions are not in this version; write command"
                elif name not in names:
                    yield at, f"no {kind} is called {name}{_near(name, names)}"


def _targets(rule: RuleSettings, path: Path, known: Known) -> Iterator[Problem]:
    for name in literal(matchers(rule.where), TARGET):
        if name not in known.targets:
            yield (*path, "where", TARGET), f"no target is called {name}{_near(name, known.targets)}"


def _labels(rule: RuleSettings, path: Path, metric: Metric) -> Iterator[Problem]:
    for name in rule.where:
        if name != TARGET and name not in metric.labels:
            there = ", ".join((TARGET, *metric.labels))
            yield (*path, "where", name), f"{metric.name} has no label {name}; it has {there}"


def _function(function: Function, path: Path, metric: Metric) -> Iterator[Problem]:
    at = (*path, "function")
    if function.kind is Kind.DEVIATION and not metric.kept:
        yield at, f"{metric.name} is not kept in the history, so nothing is known of its earlier weeks"
    wanted = UNITS.get(function.limit_form)
    if function.kind is Kind.FORECAST and wanted and metric.unit not in (wanted, Unit.NONE):
        yield at, f"{metric.name} is measured in {metric.unit}, which {function.limit_form.value} is not"


def _order(rule: RuleSettings, path: Path) -> Iterator[Problem]:
    """Warning before critical, and `clear` on the side that is well."""
    for (mild, before), (bad, beyond) in combinations(rule.bounds.items(), 2):
        if Way.AT in (before.way, beyond.way):
            continue
        if before.way is not beyond.way:
            why = f"{beyond.text} looks {beyond.way.value} its value, {mild} ({before.text}) {before.way.value}"
            yield (*path, bad.value), why
        elif _further(before, beyond):
            why = f"{beyond.text} is reached before {mild} ({before.text}); {bad} lies beyond {mild}"
            yield (*path, bad.value), why
        elif (before.value, before.comparison) == (beyond.value, beyond.comparison):
            yield (*path, mild.value), f"{before.text} can never be told: {bad} has the same threshold"
    if rule.clear is not None and rule.bounds:
        yield from _clearing(rule, rule.clear, path)


def _clearing(rule: RuleSettings, clear: Bound, path: Path) -> Iterator[Problem]:
    severity, mildest = next(iter(rule.bounds.items()))
    if mildest.holds(clear.value):
        yield (*path, "clear"), f"{clear.text} lies where {severity} ({mildest.text}) still holds; write what is well"
    elif Way.AT not in (mildest.way, clear.way) and clear.way is mildest.way:
        yield (*path, "clear"), f"{clear.text} points the same way as {severity} ({mildest.text}); write what is well"


def _further(before: Bound, beyond: Bound) -> bool:
    """Whether the milder one lies farther out."""
    return before.value > beyond.value if before.way is Way.ABOVE else before.value < beyond.value


def _fitting(rule: RuleSettings, key: str, bound: Bound, path: Path, metric: Metric) -> Iterator[Problem]:
    """Whether the threshold can be held against the values, and whether any of them could ever be beyond it."""
    at = (*path, key)
    unit = metric.unit if rule.function is None else rule.function.unit(metric.unit)
    of = metric.name if rule.function is None else rule.function.text
    if not bound.fits(unit):
        yield at, f"{of} is measured in {unit}; {bound.text} compares it with {bound.form.value}"
    elif key != "clear" and _never(rule.function, bound, unit):
        yield at, f"{bound.text} can never be: {of} {_range(unit)}"
    elif key != "clear" and rule.function is not None and _too_far(rule.function, bound):
        believed = format_duration(BELIEVED_AHEAD * rule.function.window_seconds)
        yield at, f"{bound.text} is farther ahead than {rule.function.text} is believed, {believed}; widen its window"


def _never(function: Function | None, bound: Bound, unit: Unit) -> bool:
    """Whether no value can be beyond it: a ratio is 0 to 1, a time and a size are not negative."""
    if function is not None and function.kind in _UNBOUNDED:
        return False
    if bound.way is Way.BELOW and unit is not Unit.NONE:
        return not bound.holds(0.0)
    if unit is not Unit.RATIO:
        return False
    return not bound.holds(1.0) if bound.way is Way.ABOVE else bound.comparison == "==" and not 0 <= bound.value <= 1


def _range(unit: Unit) -> str:
    return "lies between 0 and 1" if unit is Unit.RATIO else "is never below 0"


def _too_far(function: Function, bound: Bound) -> bool:
    short = function.kind is Kind.FORECAST and function.window_seconds < LONG_SECONDS
    return short and bound.way is Way.BELOW and bound.value > BELIEVED_AHEAD * function.window_seconds


def _references(alerts: Alerts, known: Known) -> Iterator[Problem]:
    """`symptom_of` names rules that are there; none is the cause of itself, by whatever way."""
    there = {rule.name: rule for rule in known.ours} | {rule.name: rule for rule in alerts.rules}
    causes = {rule.name: rule.symptom_of for rule in merged(alerts, known.ours)}
    for place, rule in enumerate(alerts.rules):
        for nth, name in enumerate(rule.symptom_of):
            at = ("rules", place, "symptom_of", nth)
            if name == rule.name:
                yield at, "a rule is no symptom of itself"
            elif name not in there:
                yield at, f"no rule is called {name}{_near(name, there)}"
            else:
                way = _way(causes, name, rule.name)
                if way:
                    yield at, f"goes in a circle: {' → '.join((rule.name, *way))}"


def _way(causes: Mapping[str, tuple[str, ...]], begin: str, end: str) -> tuple[str, ...]:
    """How one leads to the other; empty where it does not."""
    ways: list[tuple[str, ...]] = [(begin,)]
    seen = {begin}
    for way in ways:  # it grows while it is gone through
        for name in causes.get(way[-1], ()):
            if name == end:
                return (*way, name)
            if name not in seen:
                seen.add(name)
                ways.append((*way, name))
    return ()


def _overlaps(alerts: Alerts, known: Known) -> Iterator[Problem]:
    """Two rules that judge the same series the same way would tell everything twice."""
    places = {rule.name: place for place, rule in enumerate(alerts.rules)}
    seen: dict[object, str] = {}
    for rule in merged(alerts, known.ours):
        series = (rule.metric, rule.function and rule.function.text, tuple(sorted(rule.where.items())))
        for severity, bound in rule.bounds.items():
            earlier = seen.setdefault((*series, severity, bound.way), rule.name)
            if earlier != rule.name and rule.name in places:
                mend = (
                    "give one of them another where" if earlier in places else f"name it {earlier} to replace that one"
                )
                why = f"{earlier} judges the same series for {severity} already; {mend}"
                yield ("rules", places[rule.name], severity.value), why
                break


def _near(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""
