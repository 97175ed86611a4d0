"""From what is written under `alerts:` to the rules in force: shipped and own ones, presets and policies worked in."""

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Final

from pydantic import TypeAdapter

from alerting.rules.bounds import UNITS, Bound, Form
from alerting.rules.functions import Function, Kind
from alerting.rules.matching import matchers
from alerting.rules.rule import Rule
from alerting.rules.written import Alerts, Preset, RuleSettings, StepSettings
from alerting.shipped import shipped
from toban.alerts import Action, Policy, Severity, Step
from toban.config import WRITTEN, format_duration
from toban.language import Language
from toban.samples import Metric, Unit

__all__ = ["DASHBOARD", "Alerts", "RuleSettings", "compiled", "merged", "policy_of", "read", "shipped_rules"]
DASHBOARD: Final = "dashboard"
"""The channel that is always there."""
_RULES: Final = TypeAdapter(tuple[RuleSettings, ...])


def read(written: Iterable[Mapping[str, Any]]) -> tuple[RuleSettings, ...]:
    """Shipped rules out of their files' form."""
    return _RULES.validate_python([dict(one) for one in written], context=WRITTEN)


@cache
def shipped_rules() -> tuple[RuleSettings, ...]:
    """The rules that Toban ships, as they are written."""
    return read(shipped())


def merged(alerts: Alerts, ours: Iterable[RuleSettings]) -> tuple[RuleSettings, ...]:
    """The rules that are to be in force: those shipped, replaced or changed by name, then the operator's own."""
    known = {rule.name: _preset(rule, alerts.preset) for rule in ours}
    found = dict(known) if alerts.defaults else {}
    for rule in alerts.rules:
        based = known.get(rule.name) if not rule.metric else None
        found[rule.name] = _preset(rule, alerts.preset) if based is None else changed(based, rule)
    return tuple(rule for rule in found.values() if rule.enabled and rule.metric)


def changed(based: RuleSettings, rule: RuleSettings) -> RuleSettings:
    """A shipped rule with what is said otherwise."""
    return based.model_copy(update={"enabled": True, **rule.said})


def compiled(
    alerts: Alerts,
    channels: Iterable[str],
    metrics: Mapping[str, Metric],
    *,
    ours: tuple[RuleSettings, ...] | None = None,
) -> tuple[Rule, ...]:
    """The rules as the engine takes them. `ours` are those that Toban ships, unless a test says otherwise."""
    ours = shipped_rules() if ours is None else ours
    known = tuple(dict.fromkeys((*channels, DASHBOARD)))
    names = {rule.name for rule in ours}
    return tuple(_compiled(rule, alerts, known, metrics, names) for rule in merged(alerts, ours))


def policy_of(alerts: Alerts, channels: Iterable[str]) -> Policy:
    """Whom a rule tells that has no wishes of its own: what a drill walks."""
    return _policy(RuleSettings(name="drill"), alerts, tuple(dict.fromkeys((*channels, DASHBOARD))))


def _preset(rule: RuleSettings, preset: Preset) -> RuleSettings:
    if preset == "standard":
        return rule
    other = getattr(rule.presets, preset)
    return rule.model_copy(update={key: getattr(other, key) for key in other.model_fields_set})


def _compiled(
    rule: RuleSettings, alerts: Alerts, channels: tuple[str, ...], metrics: Mapping[str, Metric], ours: set[str]
) -> Rule:
    return Rule(
        name=rule.name,
        metric=rule.metric,
        unit=_unit(rule, metrics),
        function=rule.function,
        where=matchers(rule.where),
        info=rule.info,
        warning=rule.warning or _by_itself(rule),
        critical=rule.critical,
        for_seconds=rule.for_ or 0.0,
        clear=rule.clear,
        keep_seconds=rule.keep or 0.0,
        vanish=rule.vanish,
        symptom_of=rule.symptom_of,
        excused_by=rule.excused_by,
        summary=_summary(rule),
        runbook=rule.runbook or (f"docs/rules/{rule.name}.md" if rule.name in ours else ""),
        policy=_policy(rule, alerts, channels),
    )


def _unit(rule: RuleSettings, metrics: Mapping[str, Metric]) -> Unit:
    """The metric's; of one that has none, what its thresholds are written in, so that people read `25 MB`."""
    declared = metrics[rule.metric].unit if rule.metric in metrics else Unit.NONE
    unit = declared if rule.function is None else rule.function.unit(declared)
    written = {UNITS.get(bound.form, Unit.NONE) for bound in rule.bounds.values()}
    return written.pop() if unit is Unit.NONE and len(written) == 1 else unit


def _by_itself(rule: RuleSettings) -> Bound | None:
    """What looks for nothing needs no threshold: its window is one."""
    function: Function | None = rule.function
    if rule.bounds or function is None or function.kind is not Kind.ABSENT:
        return None
    return Bound(">=", function.window_seconds, f">= {format_duration(function.window_seconds)}", Form.DURATION)


def _summary(rule: RuleSettings) -> Mapping[Language, str]:
    if rule.summary is None:
        return {}
    return {Language.EN: rule.summary.en, Language.JA: rule.summary.ja or rule.summary.en}


def _policy(rule: RuleSettings, alerts: Alerts, channels: tuple[str, ...]) -> Policy:
    lease = alerts.acknowledgement
    repeat = rule.repeat if "repeat" in rule.model_fields_set else alerts.repeat
    steps = rule.escalation if "escalation" in rule.model_fields_set else alerts.escalation
    return Policy(
        first={severity: _first(severity, rule, alerts, channels) for severity in Severity},
        steps=tuple(step for one in _by_time(steps) if (step := _step(one, channels)).channels),
        repeat_seconds=repeat or 0.0,
        lease_seconds=lease.for_ or 0.0,
        worse_ratio=lease.worse or 0.0,
        actions={
            severity: tuple(
                Action(kind=kind, name=name)
                for one in getattr(rule.actions, severity.value)
                for kind, name in one.named
            )
            for severity in Severity
        },
    )


def _first(severity: Severity, rule: RuleSettings, alerts: Alerts, channels: tuple[str, ...]) -> tuple[str, ...]:
    """Whom the rule names, else the section, else everybody; of what is only for information nobody."""
    for notify in (rule.notify, alerts.notify):
        named = notify.of(severity)
        if named is not None:
            return named
    return () if severity is Severity.INFO else channels


def _by_time(steps: Iterable[StepSettings]) -> list[StepSettings]:
    """From the lowest rung: a rung that was taken is never gone back to."""
    return sorted(steps, key=lambda step: step.after)


def _step(step: StepSettings, channels: tuple[str, ...]) -> Step:
    everybody = tuple(channel for channel in channels if channel != DASHBOARD)
    return Step(after_seconds=step.after, channels=step.notify or everybody, severities=step.severities)
