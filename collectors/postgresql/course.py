"""How far counters have come between two readings: unknown after a reset, a restart or a failover, never a spike."""

from collections.abc import Mapping
from dataclasses import dataclass

Counters = tuple[int, ...]
Epoch = tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters of many things (by oid) at one moment, and what they have been counted since."""

    epoch: Epoch
    at: float
    counters: Mapping[int, Counters]


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """What came on top, over so many seconds. What is not in it is unknown."""

    seconds: float = 0.0
    by_oid: Mapping[int, Counters]

    def of(self, oid: int) -> Counters | None:
        """One thing's growth."""
        return self.by_oid.get(oid)


class Course:
    """The last reading of each database."""

    def __init__(self) -> None:
        self._before: dict[str, Reading] = {}

    def enter(self, database: str, reading: Reading) -> Growth:
        """Take a reading in; what came on top of the one before it."""
        before, self._before[database] = self._before.get(database), reading
        if before is None or before.epoch != reading.epoch:
            return Growth(by_oid={})
        return Growth(seconds=reading.at - before.at, by_oid=_grown(before.counters, reading.counters))

    def forget(self, present: list[str]) -> None:
        """Drop databases that are not among those present."""
        self._before = {name: reading for name, reading in self._before.items() if name in present}


def _grown(before: Mapping[int, Counters], now: Mapping[int, Counters]) -> dict[int, Counters]:
    """Of those in both readings of which no counter fell."""
    found = {
        oid: tuple(b - a for a, b in zip(before[oid], counters, strict=True))
        for oid, counters in now.items()
        if oid in before
    }
    return {oid: grown for oid, grown in found.items() if min(grown) >= 0}


def part(share: int, whole: int) -> float | None:
    """A ratio; none where there was nothing."""
    return share / whole if whole > 0 else None
