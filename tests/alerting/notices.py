"""Alerts and notices with everything filled in, so that a test names only what it is about."""

from hashlib import sha256
from typing import Any

from tests.builders import START
from toban.alerts import Alert, Key, Notice, Policy, Severity, State, Step, Transition, What
from toban.samples import Unit

POLICY = Policy(
    first={Severity.WARNING: ("mail",), Severity.CRITICAL: ("mail", "pager")},
    steps=(Step(after_seconds=900.0, channels=("slack",), severities=(Severity.CRITICAL,)),),
    repeat_seconds=3600.0,
    lease_seconds=28_800.0,
    worse_ratio=0.2,
)


def an_alert(episode: str = "0000000a", **overrides: Any) -> Alert:  # noqa: ANN401 - of any field
    """A disk that is too full, firing since the clock's start."""
    fields: dict[str, Any] = {
        "key": Key("disk_full", "main", (("mount", "/srv"),)),
        "severity": Severity.WARNING,
        "state": State.FIRING,
        "value": 0.91,
        "unit": Unit.RATIO,
        "threshold": "> 90%",
        "metric": "toban_host_disk_used_ratio",
        "reason": "0.91 > 90%",
        "started_at": START - 60,
        "fired_at": START,
        "changed_at": START,
        "seen_at": START,
        "sequence": 2,
        "policy": POLICY,
    }
    return Alert(episode=episode, **{**fields, **overrides})


def a_notice(episode: str = "0000000a", channel: str = "slack", what: What = What.FIRED, **overrides: Any) -> Notice:  # noqa: ANN401 - of any field
    """A notice that waits since the clock's start; its key is that of an alert's second transition."""
    alert = overrides.pop("alert", None) or an_alert(episode, **overrides.pop("of", {}))
    step = overrides.get("step", 0)
    key = sha256(f"{alert.episode}/{alert.sequence}/{step}/{channel}/{what}".encode()).hexdigest()
    return Notice(**{"key": key, "channel": channel, "what": what, "alert": alert, "created_at": START, **overrides})


def a_transition(episode: str = "0000000a", sequence: int = 1, **overrides: Any) -> Transition:  # noqa: ANN401 - of any field
    """The moment it began to fire."""
    fields: dict[str, Any] = {
        "at": START,
        "before": State.PENDING,
        "after": State.FIRING,
        "severity": Severity.WARNING,
        "value": 0.91,
        "what": What.FIRED,
        "reason": "beyond its threshold for 60 s",
    }
    return Transition(episode=episode, sequence=sequence, **{**fields, **overrides})
