"""The words for one alert: its title, its sentence, its facts and what to type next."""

import shlex
from collections.abc import Callable, Iterator, Mapping

from alerting.escalation import ACTION
from alerting.lines import one_line
from alerting.wording.telling import Telling, named
from alerting.wording.templates import own_words
from toban.alerts import Data, State, What
from toban.catalogue import say
from toban.language import Language
from toban.units import seconds_text, value_text

MOST_LABELS = 6
MOST_NOTE_LETTERS = 300
MOST_NAME_LETTERS, MOST_TARGET_LETTERS = 80, 60  # in a title, so that the value behind them is not cut off


def title(telling: Telling) -> str:
    """`CRITICAL main: connections 97.0 %`."""
    alert, language = telling.alert, telling.language
    severity = telling.severity(alert.severity)
    name = named(alert, MOST_NAME_LETTERS)
    what = name if telling.notice.what is What.RESOLVED else f"{name} {telling.value}"
    words = {"severity": severity, "target": one_line(alert.key.target, MOST_TARGET_LETTERS), "what": what}
    return telling.titled(say(f"alert.title.{telling.notice.what}", language, **words))


def summary(telling: Telling, templates: Mapping[Language, str]) -> str:
    """What has come about, if that is more than the alert itself; then the rule's own sentence, or a plain one."""
    gap = " " if telling.language is Language.EN else ""
    return gap.join(part for part in (_lead(telling), _sentence(telling, templates)) if part)


def _sentence(telling: Telling, templates: Mapping[Language, str]) -> str:
    alert, language = telling.alert, telling.language
    rule = named(alert)
    if not alert.open:
        return say("alert.summary.resolved", language, rule=rule, target=telling.target)
    own = {"value": telling.value, "threshold": telling.threshold, "target": telling.target, "rule": alert.key.rule}
    sentence = own_words(templates, language, {**dict(alert.key.labels), **own})
    if sentence is not None:
        return sentence
    words = {"rule": rule, "target": telling.target, "value": telling.value, "since": telling.at(alert.started_at)}
    if telling.threshold:
        return say("alert.summary.plain", language, **words, threshold=telling.threshold)
    return say("alert.summary.bare", language, **words)


def _lead(telling: Telling) -> str:
    made = _LEADS.get(telling.notice.what)
    return made(telling) if made else ""


def _waited(telling: Telling) -> str:
    alert = telling.alert
    waited = telling.span(alert.started_at if alert.fired_at is None else alert.fired_at)
    return say(f"alert.lead.{telling.notice.what}", telling.language, span=waited)


def _moved(telling: Telling) -> str:
    return say(f"alert.lead.{telling.notice.what}", telling.language)


def _acknowledged(telling: Telling) -> str:
    alert, who = telling.alert, one_line(telling.alert.acknowledged_by) or "?"
    if alert.acknowledged_until is None:
        return say("alert.lead.acknowledged", telling.language, who=who)
    until = telling.at(alert.acknowledged_until)
    return say("alert.lead.acknowledged.until", telling.language, who=who, until=until)


def _lapsed(telling: Telling) -> str:
    return say("alert.lead.lapsed", telling.language, why=_why_lapsed(telling))


def _why_lapsed(telling: Telling) -> str:
    """The lease's end or the value's growth where the alert still knows of them, else the reason that was given."""
    alert = telling.alert
    if alert.acknowledged_until is not None and alert.acknowledged_until <= telling.notice.created_at:
        return say("alert.lapsed.time", telling.language)
    if alert.acknowledged_value is not None and alert.acknowledged_value != alert.value:
        before = value_text(alert.acknowledged_value, alert.unit, telling.language)
        return say("alert.lapsed.worse", telling.language, before=before, value=telling.value)
    return one_line(alert.reason) or say("alert.lapsed.time", telling.language)


def _unheard(telling: Telling) -> str:
    return say("alert.lead.no_data", telling.language, since=telling.at(telling.alert.seen_at))


def _over(telling: Telling) -> str:
    return say("alert.lead.resolved", telling.language, span=_lasted(telling), value=telling.value)


def _to_do(telling: Telling) -> str:
    action = telling.notice.action
    return say("alert.lead.action", telling.language, action=one_line(f"{action.kind} {action.name}")) if action else ""


_LEADS: Mapping[What, Callable[[Telling], str]] = {
    What.ESCALATED: _waited,
    What.REPEATED: _waited,
    What.ACKNOWLEDGED: _acknowledged,
    What.LAPSED: _lapsed,
    What.NO_DATA: _unheard,
    What.RESOLVED: _over,
    What.WORSENED: _moved,
    What.EASED: _moved,
    What.ACTION: _to_do,
}


def _lasted(telling: Telling) -> str:
    alert = telling.alert
    return telling.span(alert.started_at, alert.resolved_at)


def facts(telling: Telling) -> tuple[tuple[str, str], ...]:
    """Label and value, the most wanted first."""
    alert = telling.alert
    found = [(f"alert.fact.{name}", value) for name, value in _facts(telling) if value]
    labels = [(one_line(name), one_line(value)) for name, value in alert.key.labels[:MOST_LABELS]]
    said = [(say(key, telling.language), value) for key, value in found]
    return (said[0], *labels, *said[1:])


def _facts(telling: Telling) -> Iterator[tuple[str, str]]:
    alert, language = telling.alert, telling.language
    yield "target", telling.target
    yield "value", telling.value
    yield "threshold", telling.threshold
    yield "since", say("alert.since", language, since=telling.at(alert.started_at), span=_lasted(telling))
    if alert.resolved_at is not None:
        yield "over", telling.at(alert.resolved_at)
    elif alert.left_seconds is not None:
        yield "left", seconds_text(alert.left_seconds, language)
    yield "node", one_line(telling.node)
    if alert.level:
        yield "level", _level(telling)
    yield from _people(telling)
    yield from _trouble(telling)


def _level(telling: Telling) -> str:
    steps = len(telling.alert.policy.steps)
    return say("alert.level", telling.language, level=telling.alert.level, levels=max(steps, telling.alert.level))


def _people(telling: Telling) -> Iterator[tuple[str, str]]:
    alert = telling.alert
    yield "told", one_line(", ".join(name for name in alert.told if not name.startswith(ACTION)))
    if alert.acknowledged_by:
        who = one_line(alert.acknowledged_by)
        at = "" if alert.acknowledged_at is None else telling.at(alert.acknowledged_at)
        yield "acknowledged", say("alert.by", telling.language, who=who, at=at) if at else who
    yield "note", one_line(alert.note, MOST_NOTE_LETTERS)


def _trouble(telling: Telling) -> Iterator[tuple[str, str]]:
    alert, language = telling.alert, telling.language
    if not alert.open or telling.notice.what in (What.EASED, What.WORSENED):
        yield "why", one_line(alert.reason)
    if alert.data is Data.NONE:
        yield "data", say("alert.no_data_since", language, since=telling.at(alert.seen_at))
    elif alert.data is Data.FAILING:
        yield "data", say("alert.failing_since", language, since=telling.at(alert.seen_at))
    if alert.flapping:
        yield "flapping", say("alert.flapped", language, count=len(alert.flaps))


def commands(telling: Telling, *, locked: bool) -> tuple[str, ...]:
    """What to type next; each can be copied as it stands. Of a drill's alert nobody else knows."""
    alert = telling.alert
    if alert.test:
        return ()
    typed = [f"toban alerts show {alert.episode}"]
    if alert.state in (State.PENDING, State.FIRING):
        note = say("alert.ack_note", telling.language)
        typed.append(f'toban alerts ack {alert.episode} --note "{note}"')
    if alert.open and (locked or "lock" in f"{alert.metric} {alert.key.rule}"):
        typed.append(f"toban locks --target {shlex.quote(telling.target)}")
    return tuple(typed)


def footer(telling: Telling) -> str:
    """Which daemon, which rule, which episode."""
    alert = telling.alert
    rule, node = one_line(alert.key.rule), one_line(telling.node)
    return telling.footer(say("alert.footer", telling.language, node=node, rule=rule, episode=alert.episode))
