"""Alerts as JSON-ready dictionaries: what `toban alerts … --json` prints and `/api/v1/alerts` answers."""

import json
import math
from collections.abc import Iterable
from datetime import tzinfo
from typing import Any, NamedTuple

from alerting.wording import own_sentence
from daemon.documents import Document, stamp
from history.book.reader import Review, RuleReview, Statistics
from toban.alerts import Alert, Delivery, Notice, Severity, Silence, State, Transition
from toban.catalogue import say
from toban.language import Language
from toban.printable import printable
from toban.units import value_text

COUNTED = (State.FIRING, State.ACKNOWLEDGED)


class Span(NamedTuple):
    """From one moment to another."""

    since: float
    until: float


def summary_of(alert: Alert, language: Language) -> str:
    """The rule's own sentence; else what, where, its value and the threshold. One line, and it acts on nobody."""
    own = own_sentence(alert, language)
    if own is not None:
        return printable(own)
    labels = ", ".join(f"{name}={value}" for name, value in alert.key.labels)
    return say(
        "alerts.summary",
        language,
        rule=alert.key.rule,
        where=printable(f"{alert.key.target} ({labels})" if labels else alert.key.target),
        value=value_text(alert.value, alert.unit, language),
        threshold=alert.threshold,
    )


def alert_document(alert: Alert, zone: tzinfo, language: Language = Language.EN) -> Document:
    """One alert: the fields of the contract first, then ours."""
    return {
        "id": alert.episode,
        "rule": alert.key.rule,
        "target": alert.key.target,
        "labels": dict(alert.key.labels),
        "severity": str(alert.severity),
        "state": str(alert.state),
        "value": number(alert.value),
        "threshold": alert.threshold,
        "started_at": stamp(alert.started_at, zone),
        "summary": summary_of(alert, language),
        "escalation_level": alert.level,
        "acknowledged_by": alert.acknowledged_by,
        "episode": alert.episode,
        "metric": alert.metric,
        "unit": str(alert.unit),
        "fired_at": stamp(alert.fired_at, zone),
        "changed_at": stamp(alert.changed_at, zone),
        "resolved_at": stamp(alert.resolved_at, zone),
        "acknowledged_at": stamp(alert.acknowledged_at, zone),
        "acknowledged_until": stamp(alert.acknowledged_until, zone) if alert.state is State.ACKNOWLEDGED else None,
        "note": alert.note,
        "reason": alert.reason,
        "data": str(alert.data),
        "flapping": alert.flapping,
        "muted": alert.muted,
        "cause": alert.cause,
        "told": list(alert.told),
        "left_seconds": alert.left_seconds,
        "runbook": alert.runbook,
        "test": alert.test,
    }


def alert_documents(alerts: Iterable[Alert], zone: tzinfo, language: Language = Language.EN) -> list[Document]:
    """The worst first, then the oldest; what is a symptom right behind its cause."""
    ordered = sorted(alerts, key=lambda one: (-one.severity.rank, one.started_at, one.episode))
    known = {one.episode for one in ordered}
    below: dict[str, list[Alert]] = {}
    for one in ordered:
        below.setdefault(one.cause if one.cause in known - {one.episode} else "", []).append(one)
    drawn: list[Alert] = []
    stack = below.pop("", [])[::-1]
    while stack:
        drawn.append(stack.pop())
        stack += below.pop(drawn[-1].episode, [])[::-1]
    drawn += [one for rest in below.values() for one in rest]  # what explains each other in a ring
    return [alert_document(one, zone, language) for one in drawn]


def transition_document(one: Transition, zone: tzinfo) -> Document:
    """One step of an alert's life."""
    return {
        "at": stamp(one.at, zone),
        "before": None if one.before is None else str(one.before),
        "after": str(one.after),
        "severity": str(one.severity),
        "value": number(one.value),
        "what": None if one.what is None else str(one.what),
        "reason": one.reason,
        "by": one.by,
    }


def notice_document(one: Notice, zone: tzinfo) -> Document:
    """One row of the outbox: what was to be told where, and what became of it."""
    return {
        "key": one.key,
        "alert": one.alert.episode,
        "rule": one.alert.key.rule,
        "target": one.alert.key.target,
        "channel": one.channel,
        "what": str(one.what),
        "step": one.step,
        "standing": str(one.standing),
        "attempts": one.attempts,
        "created_at": stamp(one.created_at, zone),
        "settled_at": stamp(one.settled_at, zone),
        "detail": one.detail,
        "receipt": dict(one.receipt),
        "perhaps_sent": one.perhaps_sent,
    }


def story_document(
    alert: Alert,
    transitions: Iterable[Transition],
    notices: Iterable[Notice],
    evidence: str | None,
    mark: tuple[str, str] | None,
    zone: tzinfo,
    language: Language = Language.EN,
) -> Document:
    """All that the book knows of one alert."""
    return alert_document(alert, zone, language) | {
        "transitions": [transition_document(one, zone) for one in transitions],
        "notices": [notice_document(one, zone) for one in notices],
        "evidence": evidence_of(evidence),
        "mark": mark and {"verdict": mark[0], "by": mark[1]},
    }


def evidence_of(text: str | None) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """The evidence as it was kept; None where there is none, or it was damaged."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def silence_document(one: Silence, now: float, zone: tzinfo) -> Document:
    """One silence, and whether it has not ended."""
    return {
        "id": one.id,
        "match": matched(one.match),
        "begins_at": stamp(one.begins_at, zone),
        "ends_at": stamp(one.ends_at, zone),
        "cron": one.cron,
        "for_seconds": one.for_seconds,
        "why": one.why,
        "who": one.who,
        "created_at": stamp(one.created_at, zone),
        "ended_by": one.ended_by,
        "standing": not one.ended_by and now < one.ends_at,
    }


def matched(match: Iterable[tuple[str, str]]) -> dict[str, str | list[str]]:
    """Names with their pattern; with several where any of them is meant."""
    found: dict[str, list[str]] = {}
    for name, pattern in match:
        found.setdefault(name, []).append(pattern)
    return {name: patterns[0] if len(patterns) == 1 else patterns for name, patterns in found.items()}


def delivery_document(channel: str, delivery: Delivery) -> Document:
    """What became of one message."""
    return {
        "channel": channel,
        "outcome": str(delivery.outcome),
        "detail": delivery.detail,
        "receipt": dict(delivery.receipt),
    }


def statistics_document(found: Statistics, span: Span, zone: tzinfo) -> Document:
    """`toban alerts stats`."""
    return {
        "total": found.total,
        "critical": found.critical,
        "warning": found.warning,
        "info": found.info,
        "mtta_seconds": found.mtta_seconds,
        "mttr_seconds": found.mttr_seconds,
        "since": stamp(span.since, zone),
        "until": stamp(span.until, zone),
    }


def review_document(found: Review, span: Span, zone: tzinfo, *, targets: Iterable[str], goal_ratio: float) -> Document:
    """`toban alerts review`: the rules, the busiest first; and each target against the goal."""
    up = {**dict.fromkeys(targets, 1.0), **found.availability}
    return {
        "since": stamp(span.since, zone),
        "until": stamp(span.until, zone),
        "rules": [_rule_document(one) for one in found.rules],
        "incidents": sum(one.fired for one in found.rules),
        "incidents_per_day": found.incidents_per_day,
        "goal_ratio": goal_ratio,
        "targets": [
            {
                "target": target,
                "up_ratio": ratio,
                "down_seconds": (1 - ratio) * (span.until - span.since),
                "attained": ratio >= goal_ratio,
            }
            for target, ratio in sorted(up.items())
        ],
    }


def _rule_document(one: RuleReview) -> Document:
    marked = one.false + one.real
    return {
        "rule": one.rule,
        "fired": one.fired,
        "acknowledged": one.acknowledged,
        "real": one.real,
        "false": one.false,
        "unmarked": one.unmarked,
        "false_ratio": one.false / marked if marked else None,
        "mtta_seconds": one.mean_acknowledge_seconds,
        "mttr_seconds": one.mean_seconds,
    }


def counts_document(alerts: Iterable[Alert]) -> dict[str, int]:
    """How many fire, by severity, as `toban status` has it; those that are a test of ours are none."""
    found = {str(severity): 0 for severity in reversed(Severity)}
    for one in alerts:
        if one.state in COUNTED and not one.test:
            found[str(one.severity)] += 1
    return found


def number(value: float | None) -> float | None:
    """JSON knows no infinity."""
    return value if value is not None and math.isfinite(value) else None
