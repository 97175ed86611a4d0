"""What a collector wants to find again after a restart of the daemon: its own words, kept by the history."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """It travels among a collection's `rows` and replaces what was remembered under this name at the same target.

    It is committed together with the events of the same collection: both are remembered, or neither. No secrets.
    """

    name: str
    body: str
