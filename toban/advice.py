"""Advice: one thing that a person may do, the statement or line that does it, and why. Worded by the catalogue."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One recommendation. `reason` names a sentence of the catalogue (`advice.REASON`), told with `values`."""

    target: str
    subject: str
    """What it is about: an index, a setting, a pool."""
    action: str
    """What is to be done, in a word for programs: `drop`, `create`, `rebuild`, `set`, …"""
    reason: str
    values: Mapping[str, str] = field(default_factory=dict)
    database: str = ""
    run: str = ""
    """The statement or the line of configuration that does it; empty where only a person can."""
    present: str = ""
    wanted: str = ""
    gain_bytes: float | None = None
