"""The little arithmetic the bench needs: percentiles, medians, and what a ratio is worth."""

import math
from collections.abc import Sequence
from statistics import median


def percentile(values: Sequence[float], share: float) -> float:
    """The nearest-rank percentile: a value that was really seen, never one in between."""
    if not values or not 0 < share <= 1:
        raise ValueError(f"no {share:.0%} percentile of {len(values)} values")
    rank = math.ceil(share * len(values))
    return sorted(values)[rank - 1]


def throughput_ratio(with_watcher: Sequence[float], without: Sequence[float]) -> float:
    """Median throughput with the watcher running, as a share of the median without."""
    return median(with_watcher) / median(without)


def spread(values: Sequence[float]) -> float:
    """How far apart like runs are, as a share of their median: a difference smaller than this is none."""
    return (max(values) - min(values)) / median(values)


def per_minute(amount: float, seconds: float) -> float:
    """An amount gathered in so many seconds, as a rate per minute."""
    return amount * 60 / seconds


def per_further_item(small: float, large: float, items: int) -> float:
    """What each of the items that were added has cost."""
    return (large - small) / items
