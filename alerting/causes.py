"""Cause before symptom: what an open alert at the same place explains is kept quiet, and listed under it. Pure."""

from collections.abc import Iterable
from typing import Final

from toban.alerts import Alert, Data, State

AFTER_SECONDS: Final = 30.0  # so long a symptom may outlive its cause before it counts as trouble of its own


def cause_of(alert: Alert, candidates: Iterable[Alert], *, host: str = "") -> Alert | None:
    """The open alert that explains this one: one that fires before one that is pending, then the oldest.

    It is at the same target and about the same thing there, or it is about the host that the target runs on, by its
    target or its label `host`.
    """
    explaining = [other for other in candidates if other.episode != alert.episode and explains(other, alert, host)]
    return min(explaining, key=_order, default=None)


def explains(cause: Alert, alert: Alert, host: str) -> bool:
    """Whether one is open at the place of the other, and somebody is told of it.

    One of which nobody hears, or that is pending and not heard of, must not keep another quiet.
    """
    heard = cause.state is not State.PENDING or cause.data is Data.OK
    spoken_of = bool(cause.told or cause.policy.first.get(cause.severity))
    if not (cause.open and heard and spoken_of):
        return False
    same_target = cause.key.target == alert.key.target and _speak_of_the_same(cause, alert)
    same_host = bool(host) and host in (cause.key.target, dict(cause.key.labels).get("host"))
    return same_target or same_host


def _speak_of_the_same(cause: Alert, alert: Alert) -> bool:
    """What both name is the same: one subscription that stopped explains nothing of another."""
    ours, theirs = dict(alert.key.labels), dict(cause.key.labels)
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def why_muted(cause: Alert) -> str:
    """What is said of a symptom: it waits while its cause may yet come to nothing."""
    if cause.state is State.PENDING:
        return f"waits for {cause.episode}"
    return f"caused by {cause.episode}"


def _order(cause: Alert) -> tuple[bool, float, str]:
    return cause.state is State.PENDING, cause.started_at, cause.episode
