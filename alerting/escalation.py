"""Who is told next, and when: first channels, rungs of the ladder, repeats. Pure, by the alert's own frozen policy."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final

from toban.alerts import Action, Alert, Notice, State, Step, What
from toban.config import format_duration

ACTION: Final = "action:"
_KNOWING_ONLY: Final = frozenset({What.EASED, What.ACKNOWLEDGED, What.RESOLVED, What.NO_DATA, What.REPEATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be told now, and why."""

    what: What
    step: int
    reason: str


def due(alert: Alert, now: float) -> Due | None:
    """The highest rung that is overdue, else a repeat; nothing while it is calm, muted, acknowledged or not firing."""
    if not _climbing(alert):
        return None
    elapsed = _counted(alert, now)
    overdue = [rung for rung, step in _rungs(alert) if elapsed >= step.after_seconds]
    if overdue:
        rung = overdue[-1]
        return Due(what=What.ESCALATED, step=rung, reason=_why_escalated(alert, rung, now))
    if alert.policy.repeat_seconds and alert.told_at is not None and now >= alert.told_at + alert.policy.repeat_seconds:
        every = format_duration(alert.policy.repeat_seconds)
        return Due(what=What.REPEATED, step=alert.level, reason=f"still so, and nobody answered: again after {every}")
    return None


def next_at(alert: Alert, now: float) -> float | None:
    """When `due` will have something to say, as far as is known now."""
    if not _climbing(alert):
        return None
    elapsed = _counted(alert, now)
    moments = [now + max(0.0, step.after_seconds - elapsed) for _, step in _rungs(alert)]
    if alert.policy.repeat_seconds and alert.told_at is not None:
        moments.append(alert.told_at + alert.policy.repeat_seconds)
    return min(moments, default=None)


def audience(alert: Alert, what: What, step: int = 0) -> tuple[str, ...]:
    """Whose turn it is: a rung's own channels, those that know of the episode, and with new trouble the first ones."""
    if what is What.ESCALATED:
        return alert.policy.steps[step - 1].channels
    knowing = tuple(channel for channel in alert.told if not channel.startswith(ACTION))
    if what in _KNOWING_ONLY:
        return knowing
    passed = _passed(alert) if what is What.WORSENED else ()
    return _each_once((*knowing, *alert.policy.first.get(alert.severity, ()), *passed))


def told(alert: Alert, what: What, *, now: float, step: int = 0) -> tuple[Alert, tuple[Notice, ...]]:
    """The notices of one transition, and the alert that remembers whom it gave them to."""
    channels = audience(alert, what, step)
    actions = _actions(alert) if what in (What.FIRED, What.WORSENED) else {}
    after = replace(
        alert,
        told=_each_once((*alert.told, *channels, *actions)),
        told_at=now if channels else alert.told_at,
        level=max(alert.level, step),
        owed=None,
    )
    messages = [_notice(after, what, channel, now=now, step=step) for channel in channels]
    deeds = [_deed(after, channel, action, now) for channel, action in actions.items()]
    return after, (*messages, *deeds)


def idempotency_key(alert: Alert, what: What, channel: str, step: int) -> str:
    """The same for the same telling over every retry and restart, another for every other."""
    return _key(alert.episode, alert.sequence, step, channel, what)


def _passed(alert: Alert) -> Iterable[str]:
    """The rungs below: some of them may be for this severity alone, and would never be come to again."""
    below = alert.policy.steps[: alert.level]
    return (channel for step in below if step.climbs(alert.severity) for channel in step.channels)


def _climbing(alert: Alert) -> bool:
    return alert.state is State.FIRING and not alert.muted and alert.calm_at is None and alert.fired_at is not None


def _rungs(alert: Alert) -> list[tuple[int, Step]]:
    """The rungs that are left for this severity, with their numbers from 1, by time."""
    rungs = [(n, step) for n, step in enumerate(alert.policy.steps, 1) if step.climbs(alert.severity)]
    return sorted((rung for rung in rungs if rung[0] > alert.level), key=lambda rung: rung[1].after_seconds)


def _counted(alert: Alert, now: float) -> float:
    """How far up the ladder the time is.

    Where what fills up is full before the ladder is climbed, it is moved ahead so that its last rung is taken at half
    of that time, counted from the firing without the time that it rested.
    """
    fired_at = now if alert.fired_at is None else alert.fired_at
    elapsed = max(0.0, now - fired_at - alert.rested_seconds)
    ladder = max((step.after_seconds for step in alert.policy.steps if step.climbs(alert.severity)), default=0.0)
    if alert.left_seconds is None:
        return elapsed
    full_after = max(0.0, alert.seen_at - fired_at - alert.rested_seconds) + alert.left_seconds
    return elapsed + ladder - full_after / 2 if full_after < ladder else elapsed


def _why_escalated(alert: Alert, rung: int, now: float) -> str:
    fired_at = now if alert.fired_at is None else alert.fired_at
    unanswered = format_duration(round(max(1.0, now - fired_at - alert.rested_seconds)))
    after = alert.policy.steps[rung - 1].after_seconds
    if now - fired_at - alert.rested_seconds < after and alert.left_seconds is not None:
        left = format_duration(round(max(1.0, alert.left_seconds)))
        return f"full in {left}, before the ladder would be climbed: rung {rung} at once"
    return f"nobody answered for {unanswered}: rung {rung}, due after {format_duration(after)}"


def _actions(alert: Alert) -> dict[str, Action]:
    """What is to be done now, by the name of its way out, and was not asked for in this episode before."""
    wanted = {f"{ACTION}{action.kind}:{action.name}": action for action in alert.policy.actions.get(alert.severity, ())}
    return {channel: action for channel, action in wanted.items() if channel not in alert.told}


def _notice(alert: Alert, what: What, channel: str, *, now: float, step: int) -> Notice:
    key = idempotency_key(alert, what, channel, step)
    return Notice(key=key, channel=channel, what=what, alert=alert, step=step, created_at=now, next_at=now)


def _deed(alert: Alert, channel: str, action: Action, now: float) -> Notice:
    """An action's key knows no sequence: it is done once in an episode, whatever else happens."""
    return Notice(
        key=_key(alert.episode, 0, 0, channel, What.ACTION),
        channel=channel,
        what=What.ACTION,
        alert=alert,
        created_at=now,
        next_at=now,
        action=action,
    )


def _key(*parts: object) -> str:
    return sha256("/".join(map(str, parts)).encode()).hexdigest()


def _each_once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
