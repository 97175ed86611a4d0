"""Which settings have changed since they were last seen, as events: pure, and without a secret in any of them."""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from typing import NamedTuple

from toban.events import Event, EventKind
from toban.secrets import MASK, blot

DEFAULT = "DEFAULT"  # as ALTER SYSTEM has it: no file names the setting any more
_SECRETIVE = re.compile(
    r"conninfo|command|passw|passphrase|secret|token|credential|key(?!_?file)|\bdsn|\burl", re.IGNORECASE
)
_DIGITS = 4  # sixteen bits: enough to see that it is another, too few to guess it by


class Pending(NamedTuple):
    """What waits for a restart: the value, and the file and line it stands in. Empty where the role may not look."""

    value: str = ""
    place: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Present:
    """The settings now: as SHOW writes those that can be set, what waits for a restart, and which may be secrets."""

    values: Mapping[str, str]
    pending: Mapping[str, Pending]
    hidden: frozenset[str]

    def shown(self, name: str, value: str) -> str:
        """A value for people; that there is none is no secret."""
        return MASK if value and name in self.hidden else blot(value)

    def mark(self, name: str, value: str) -> str:
        """What of a value is remembered."""
        if value and name in self.hidden:
            return sha256(value.encode("utf-8", "backslashreplace")).hexdigest()[:_DIGITS]
        return blot(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The settings as they were last seen. A secret is there as a few digits that only tell it from another."""

    values: Mapping[str, str]
    pending: Mapping[str, str] = field(default_factory=dict)
    changes: int = 0
    """How many changes were seen in all."""
    changed_at: float | None = None
    """When the last one was seen."""

    @property
    def body(self) -> str:
        """As it is remembered."""
        return json.dumps(asdict(self))


def recalled(body: str | None) -> Seen | None:
    """What was remembered; None where nothing was, or nothing that can be read."""
    try:
        told = json.loads(body or "")
        return Seen(**{**told, "values": _shared(told["values"]), "pending": _shared(told["pending"])})
    except (ValueError, TypeError, LookupError, AttributeError):
        return None


def may_be_secret(name: str, vartype: str) -> bool:
    """Whether a setting may hold a password. Of an extension's or an application's own text anything may be true."""
    return vartype == "string" and ("." in name or _SECRETIVE.search(name) is not None)


def first(present: Present) -> Seen:
    """What is seen for the first time: nothing has happened."""
    return Seen(values=_marked(present), pending=_marked_pending(present))


def compared(before: Seen, present: Present, at: float) -> tuple[Seen, tuple[Event, ...]]:
    """What is seen now, and what has happened since."""
    changed = tuple(_changed(before, present, at))
    seen = Seen(
        values={**before.values, **_marked(present)},  # what cannot be seen at the moment may come back
        pending=_marked_pending(present),
        changes=before.changes + len(changed),
        changed_at=at if changed else before.changed_at,
    )
    return seen, (*changed, *_waiting(before, present, at))


def _changed(before: Seen, present: Present, at: float) -> Iterator[Event]:
    for name, value in present.values.items():
        earlier = before.values.get(name)
        if earlier is not None and earlier != present.mark(name, value):
            old, new = present.shown(name, earlier), present.shown(name, value)
            yield Event(kind=EventKind.SETTING_CHANGED, subject=name, before=old, after=new, at=at)


def _waiting(before: Seen, present: Present, at: float) -> Iterator[Event]:
    for name, waiting in present.pending.items():
        if before.pending.get(name) != present.mark(name, waiting.value):
            old, new = present.shown(name, present.values.get(name, "")), present.shown(name, waiting.value)
            kind = EventKind.RESTART_PENDING
            yield Event(kind=kind, subject=name, before=old, after=new, detail=waiting.place, at=at)


def _marked(present: Present) -> dict[str, str]:
    return _shared({name: present.mark(name, value) for name, value in present.values.items()})


def _marked_pending(present: Present) -> dict[str, str]:
    return _shared({name: present.mark(name, waiting.value) for name, waiting in present.pending.items()})


def _shared(values: Mapping[str, str]) -> dict[str, str]:
    """The same with every string held once: a hundred servers have the same hundreds of settings."""
    return {sys.intern(name): sys.intern(value) for name, value in values.items()}
