"""What is kept with an alert: who ran, who blocked whom, what cost most, how the host was, what had changed. Bounded.

Everything in it is made fit to be shown: one line, printable, of bounded length, and SQL without its literals.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

MOST_BYTES = 16_384
VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A session that was at work."""

    pid: int
    database: str
    user: str
    application: str
    state: str
    query_seconds: float | None
    transaction_seconds: float | None
    wait_event: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A session at its place in the lock tree, in the order of drawing."""

    pid: int
    prepared: str
    depth: int
    victims: int
    cycle: bool
    database: str
    user: str
    application: str
    state: str
    wait_seconds: float | None
    transaction_seconds: float | None
    lock: str
    thing: str
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Costly:
    """A statement, and what it cost in the last interval."""

    queryid: str
    database: str
    user: str
    calls: float
    seconds: float
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One value of the host."""

    name: str
    value: float
    unit: str
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that had happened at the target, or to its settings."""

    kind: str
    subject: str
    before: str
    after: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All of it, for one target at one moment. `left_out` counts what the bounds kept out, by section."""

    version: int = VERSION
    target: str
    at: float
    locks: tuple[Locked, ...] = ()
    running: tuple[Running, ...] = ()
    statements: tuple[Costly, ...] = ()
    figures: tuple[Figure, ...] = ()
    happenings: tuple[Happening, ...] = ()
    left_out: dict[str, int]

    def section(self, name: str) -> Sequence[Any]:
        """The rows of one section."""
        rows: Sequence[Any] = getattr(self, name)
        return rows


SECTIONS = ("locks", "running", "statements", "figures", "happenings")


def written(evidence: Evidence) -> str:
    """As JSON, of at most `MOST_BYTES`: the longest sections lose their last rows until it fits."""
    document = msgspec.json.encode(evidence)
    while len(document) > MOST_BYTES:
        longest = max(SECTIONS, key=lambda name: len(msgspec.json.encode(evidence.section(name))))
        rows = evidence.section(longest)
        dropped = max(1, len(rows) // 4)
        left_out = {**evidence.left_out, longest: evidence.left_out.get(longest, 0) + dropped}
        kept: dict[str, Any] = {longest: tuple(rows[:-dropped]), "left_out": left_out}
        evidence = replace(evidence, **kept)
        document = msgspec.json.encode(evidence)
    return document.decode()


def read(document: str) -> Evidence | None:
    """What was kept; None where it is damaged or of a later version."""
    try:
        found = msgspec.json.decode(document, type=Evidence)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return found if found.version == VERSION else None
