"""Cause before symptom: what an open alert at the same place explains is kept quiet, and listed under it. Pure."""

from collections.abc import Iterable
from typing import Final

from alerting.escalation import ACTION
from alerting.settings import DASHBOARD
from toban.alerts import Alert, Data, State

DOWN: Final = ("target_down", "host_down")
"""What is about all of its place, and explains for every rule that nothing is heard of an alert there."""
AFTER_SECONDS: Final = 30.0  # so long a symptom may outlive its cause before it counts as trouble of its own


def cause_of(alert: Alert, candidates: Iterable[Alert], *, host: str = "") -> Alert | None:
    """The open alert that explains this one: one that fires before one that is pending, then the oldest.

    It is at the same target and about the same thing there, or it is about the host that the target runs on, by its
    target or its label `host`.
    """
    explaining = [other for other in candidates if other.episode != alert.episode and explains(other, alert, host)]
    return min(explaining, key=_order, default=None)


def explains(cause: Alert, alert: Alert, host: str) -> bool:
    """Whether one is open at the place of the other, and whoever would be told of the other is told of it.

    One of which nobody hears, or only others, or that is pending and not heard of, must not keep another quiet.
    """
    heard = cause.state is not State.PENDING or cause.data is Data.OK
    if not (cause.open and heard and _reaches_all(cause, alert)):
        return False
    same_target = cause.key.target == alert.key.target and _speak_of_the_same(cause, alert)
    same_host = bool(host) and host in (cause.key.target, dict(cause.key.labels).get("host"))
    return same_target or same_host


def _reaches_all(cause: Alert, alert: Alert) -> bool:
    """A cause that only mail hears of, or as a warning, keeps nothing critical from the pager.

    What is for the dashboard alone keeps nobody waiting, and is shown there anyway.
    """
    hearing = {*cause.policy.first.get(cause.severity, ()), *(one for one in cause.told if not one.startswith(ACTION))}
    wanted = {*alert.policy.first.get(alert.severity, ())} - {DASHBOARD}
    as_loud = cause.severity.rank >= alert.severity.rank and wanted <= hearing
    return bool(hearing) and (as_loud or not wanted)


def _speak_of_the_same(cause: Alert, alert: Alert) -> bool:
    """What both name is the same: one subscription that stopped explains nothing of another."""
    if cause.key.rule in DOWN:
        return True  # its `kind` is that of a target, and not of what runs full
    ours, theirs = dict(alert.key.labels), dict(cause.key.labels)
    return all(ours[name] == theirs[name] for name in ours.keys() & theirs.keys())


def why_muted(cause: Alert) -> str:
    """What is said of a symptom: it waits while its cause may yet come to nothing."""
    if cause.state is State.PENDING:
        return f"waits for {cause.episode}"
    return f"caused by {cause.episode}"


def _order(cause: Alert) -> tuple[bool, float, str]:
    return cause.state is State.PENDING, cause.started_at, cause.episode
