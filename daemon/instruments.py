"""What Toban measures of itself, in prometheus-client's own instruments."""

import platform
from collections.abc import Collection, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as RegistryCollector

from daemon.durations import Durations
from daemon.turns import Turned
from toban import __version__

disable_created_metrics()  # when a counter began is nobody's question, and would double its lines


class Instruments:
    """The instruments that the daemon's parts write to."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self.durations = Durations()
        self.registry.register(self.durations)
        self.loop_lag = Gauge(
            "toban_loop_lag_seconds",
            "The longest that the event loop came late within the last fifteen seconds.",
            registry=self.registry,
        )
        self.reloads = Counter(
            "toban_reloads_total",
            "Attempts to take over a changed configuration, by their result.",
            ("result",),
            registry=self.registry,
        )
        build = Gauge(
            "toban_build_info",
            "Which Toban this is; the value is always 1.",
            ("version", "python"),
            registry=self.registry,
        )
        build.labels(__version__, platform.python_version()).set(1)

    def note(self, turned: Turned) -> None:
        """Count one ended turn."""
        self.durations.note(turned.collection.collector, turned.collection.duration_seconds)

    def keep(self, collectors: Collection[str]) -> None:
        """Only these collectors run from now on: what was measured of others leaves the page."""
        self.durations.keep(collectors)


def history_families(*, dropped: int, trouble: bool, duplicates: int) -> Iterable[Family]:
    """How the memory fares, and what the page had to leave out."""
    yield CounterMetricFamily("toban_history_dropped", "Values that the history could not take in.", value=dropped)
    yield GaugeMetricFamily(
        "toban_history_trouble", "Whether the history is off or only in memory.", value=float(trouble)
    )
    yield CounterMetricFamily(
        "toban_samples_duplicate",
        "Values left off the page because their series was there already.",
        value=duplicates,
    )


class Joined(RegistryCollector):
    """Several sources of families as one."""

    def __init__(self, *sources: RegistryCollector) -> None:
        self._sources = sources

    def collect(self) -> Iterable[Family]:
        """All of them, in order."""
        for source in self._sources:
            yield from source.collect()
