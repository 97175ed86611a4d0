"""The spread of a number: exact while there are few, within a hundredth when there are many, bounded always."""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain

EXACT_MAX = 300
_GROWTH = math.log(1.02)  # a bin is two hundredths wide: its middle is at most one away
_SMALLEST = 1e-9


@dataclass(slots=True)
class Values:
    """The numbers of some minutes."""

    count: int = 0
    total: float = 0.0
    largest: float = -math.inf
    exact: list[float] = field(default_factory=list)
    bins: Counter[int] = field(default_factory=Counter)

    def add(self, value: float) -> None:
        """Take one in."""
        self.count += 1
        self.total += value
        self.largest = max(self.largest, value)
        if not self.bins and len(self.exact) < EXACT_MAX:
            self.exact.append(value)
            return
        self.bins.update(map(_bin, (*self.exact, value)))
        self.exact.clear()

    def document(self) -> dict[str, object]:
        """As JSON has it."""
        largest = self.largest if self.count else None
        return {"count": self.count, "total": self.total, "largest": largest, "exact": self.exact, "bins": self.bins}

    @classmethod
    def read(cls, document: dict[str, object]) -> "Values":
        """Out of JSON, whose keys are texts."""
        found: dict[str, object] = dict(document)
        largest = found["largest"]
        return cls(
            count=int(str(found["count"])),
            total=float(str(found["total"])),
            largest=-math.inf if largest is None else float(str(largest)),
            exact=[float(value) for value in found["exact"]],  # type: ignore[attr-defined]  # our own list
            bins=Counter({int(key): n for key, n in found["bins"].items()}),  # type: ignore[attr-defined]  # our own
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """What is told of many numbers."""

    count: int
    mean: float
    p50: float
    p95: float
    largest: float


def spread(parts: Iterable[Values]) -> Spread | None:
    """Of all parts together; None if they are empty."""
    found = [part for part in parts if part.count]
    if not found:
        return None
    bins: Counter[int] = Counter()
    weighted: Counter[float] = Counter()
    for part in found:
        weighted.update(part.exact)
        bins.update(part.bins)
    for number, many in bins.items():
        weighted[_middle(number)] += many
    largest = max(part.largest for part in found)
    ordered = sorted(weighted.items())
    count = sum(part.count for part in found)
    return Spread(
        count=count,
        mean=math.fsum(chain.from_iterable(part.exact or (part.total,) for part in found)) / count,
        p50=min(largest, _quantile(ordered, count, 0.50)),
        p95=min(largest, _quantile(ordered, count, 0.95)),
        largest=largest,
    )


def _quantile(ordered: list[tuple[float, int]], count: int, share: float) -> float:
    """Between the two nearest, in proportion: as percentile_cont does."""
    place = share * (count - 1)
    low = _at(ordered, math.floor(place))
    high = _at(ordered, math.ceil(place))
    return low + (high - low) * (place - math.floor(place))


def _at(ordered: list[tuple[float, int]], place: int) -> float:
    for value, many in ordered:
        place -= many
        if place < 0:
            return value
    return ordered[-1][0]


def _bin(value: float) -> int:
    """0 for nothing, and growing away from it on both sides."""
    size = abs(value)
    if size < _SMALLEST:
        return 0
    number = 1 + math.floor(math.log(size / _SMALLEST) / _GROWTH)
    return number if value > 0 else -number


def _middle(number: int) -> float:
    if number == 0:
        return 0.0
    size = _SMALLEST * math.exp((abs(number) - 0.5) * _GROWTH)
    return size if number > 0 else -size
