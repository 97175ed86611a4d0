"""How long turns take, as a histogram by collector that hands out the same samples until a turn changes them.

prometheus-client's own writes every bucket of every collector anew at each scrape; of a hundred collectors a few have
turned since the last one.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from prometheus_client.core import HistogramMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as RegistryCollector
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, float("inf"))
BOUNDS: Final = tuple(floatToGoString(bound) for bound in BUCKETS)


@dataclass(slots=True)
class _Timed:
    """What one collector's turns took."""

    counts: list[int] = field(default_factory=lambda: [0] * len(BUCKETS))
    seconds: float = 0.0
    samples: tuple[Sample, ...] = ()
    changed: bool = False


class Durations(RegistryCollector):
    """`toban_collect_duration_seconds`."""

    def __init__(self) -> None:
        self._timed: dict[str, _Timed] = {}

    def note(self, collector: str, seconds: float) -> None:
        """Count one turn."""
        timed = self._timed.setdefault(collector, _Timed())
        timed.counts[bisect_left(BUCKETS, seconds)] += 1
        timed.seconds += seconds
        timed.changed = True

    def keep(self, collectors: Collection[str]) -> None:
        """What was measured of other collectors is forgotten."""
        self._timed = {name: timed for name, timed in self._timed.items() if name in collectors}

    def collect(self) -> Iterable[Family]:
        """The one family."""
        family = _family()
        for name, timed in self._timed.items():
            if timed.changed:
                timed.samples, timed.changed = _samples(name, timed), False
            family.samples += timed.samples
        yield family


def _family() -> HistogramMetricFamily:
    text = "How long a turn of a collector took, over all targets."
    return HistogramMetricFamily("toban_collect_duration_seconds", text, labels=("collector",))


def _samples(collector: str, timed: _Timed) -> tuple[Sample, ...]:
    """The samples of now; one whose value is what it was stays the object that it was."""
    family = _family()
    family.add_metric((collector,), list(zip(BOUNDS, accumulate(timed.counts), strict=True)), timed.seconds)
    if not timed.samples:
        return tuple(family.samples)
    pairs = zip(timed.samples, family.samples, strict=True)
    return tuple(before if before.value == now.value else now for before, now in pairs)
