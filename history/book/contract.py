"""What is written into the book at once, and what is found in it at the start."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from toban.alerts import Alert, Notice, Silence, Transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What belongs together: one transaction, all of it or nothing. Alerts, notices and silences replace their like."""

    alerts: tuple[Alert, ...] = ()
    transitions: tuple[Transition, ...] = ()
    notices: tuple[Notice, ...] = ()
    silences: tuple[Silence, ...] = ()
    evidence: Mapping[str, str] = field(default_factory=dict)  # episode → JSON, bounded by whoever gathers it
    marks: Mapping[str, tuple[str, str]] = field(default_factory=dict)  # episode → (`real` or `false`, by whom)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a daemon that starts takes up again."""

    alerts: tuple[Alert, ...] = ()  # all that are open
    notices: tuple[Notice, ...] = ()  # all that are pending; what was in flight is pending and `perhaps_sent`
    silences: tuple[Silence, ...] = ()  # all that have not ended
    threads: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    """(episode, channel) → the receipt of the first notice that was sent, for the open episodes."""


def in_digest(key: str) -> str:
    """The detail of a notice that was taken into a digest: by it the digest finds its members again."""
    return f"in digest {key}"
