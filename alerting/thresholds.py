"""What a rule makes of a value: how bad it is, by which threshold, and why. Pure.

Hysteresis: while an alert stands it is milder once its own threshold no longer holds, but well only when `clear` holds.
"""

from math import isnan
from typing import NamedTuple

from alerting.rules.bounds import Bound
from alerting.rules.rule import Rule
from toban.alerts import Severity
from toban.language import Language
from toban.units import value_text


class Judgement(NamedTuple):
    """How bad, the threshold that says so as it is written, and the reason."""

    severity: Severity | None
    bound: str
    reason: str


def bounds(rule: Rule) -> list[tuple[Severity, Bound]]:
    """A rule's thresholds, the worst first."""
    every = ((Severity.CRITICAL, rule.critical), (Severity.WARNING, rule.warning), (Severity.INFO, rule.info))
    return [(severity, bound) for severity, bound in every if bound is not None]


def judge(rule: Rule, value: float, standing: Severity | None) -> Judgement:
    """How bad a value is, while an alert of this severity stands (None: none does)."""
    said = value_text(value, rule.unit, Language.EN)
    for severity, bound in (
        (Severity.CRITICAL, rule.critical),
        (Severity.WARNING, rule.warning),
        (Severity.INFO, rule.info),
    ):  # `bounds` would make a list, and in a storm this is asked very often
        if bound is not None and bound.holds(value):
            return Judgement(severity, bound.text, f"{said} is {bound.text}")
    declared = bounds(rule)
    if not declared:
        return Judgement(None, "", said)
    mildest = declared[-1]
    if isnan(value):
        return Judgement(standing, mildest[1].text, "it is no number")
    if standing is not None and rule.clear is not None and not rule.clear.holds(value):
        severity = min(standing, mildest[0], key=lambda one: one.rank)
        return Judgement(severity, mildest[1].text, f"{said} is not {mildest[1].text}, but not yet {rule.clear.text}")
    over = rule.clear if standing is not None and rule.clear is not None else None
    return Judgement(None, mildest[1].text, f"{said} is {over.text}" if over else f"{said} is not {mildest[1].text}")
