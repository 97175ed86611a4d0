"""What Toban measures of itself, in prometheus-client's own instruments, and how its targets stand."""

import platform
from collections.abc import Callable, Collection, Iterable, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, UnknownMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as RegistryCollector

from collectors.contract import Kind
from daemon.turns import Turned
from daemon.watch import Watch
from toban import __version__
from toban.samples import Collection as Turn

disable_created_metrics()  # when a counter began is nobody's question, and would double its lines
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Instruments:
    """The instruments that the daemon's parts write to."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=self.registry)
        self.duration = Histogram(
            "toban_collect_duration_seconds",
            "How long a turn of a collector took, over all targets.",
            ("collector",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._timed: set[str] = set()
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
        collection = turned.collection
        self._timed.add(collection.collector)
        self.duration.labels(collection.collector).observe(collection.duration_seconds)

    def keep(self, collectors: Collection[str]) -> None:
        """Only these collectors run from now on: what was measured of others leaves the page."""
        for gone in self._timed - set(collectors):
            self.duration.remove(gone)
        self._timed &= set(collectors)


class Standings(RegistryCollector):
    """How each target and each pair stands, asked at the moment of the scrape."""

    def __init__(self, watches: Callable[[], Iterable[Watch]], gauges: Callable[[], Iterable[Family]]) -> None:
        self._watches = watches
        self._gauges = gauges

    def collect(self) -> Iterable[Family]:
        """Every family with a sample for each target or pair."""
        watches = list(self._watches())
        yield from _targets(watches)
        yield _information(watches)
        yield from _pairs(watches)
        yield from self._gauges()


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


def _targets(watches: Sequence[Watch]) -> Iterable[Family]:
    up = GaugeMetricFamily("toban_target_up", "Whether the target answers.", labels=("target", "kind"))
    postgres_up = UnknownMetricFamily("pg_up", "Whether the PostgreSQL server answers.", labels=("target",))
    mariadb_up = UnknownMetricFamily("mysql_up", "Whether the MariaDB server answers.", labels=("target",))
    spent = CounterMetricFamily(
        "toban_target_spent_seconds", "Time the target spent answering Toban.", labels=("target",)
    )
    used = GaugeMetricFamily(
        "toban_target_budget_used_ratio", "Share of the target's budget spent in the last minute.", labels=("target",)
    )
    stretch = GaugeMetricFamily(
        "toban_target_cadence_stretch", "By how much the budget draws out every cadence.", labels=("target",)
    )
    abandoned = CounterMetricFamily(
        "toban_turns_abandoned", "Turns that could not be cancelled and were left behind.", labels=("target",)
    )
    for watch in watches:
        now = watch.clock.monotonic()
        if watch.up is not None:
            up.add_metric((watch.name, watch.kind), float(watch.up))
            if watch.kind is Kind.POSTGRESQL:
                postgres_up.add_metric((watch.name,), float(watch.up))
            if watch.kind is Kind.MARIADB:
                mariadb_up.add_metric((watch.name,), float(watch.up))
        spent.add_metric((watch.name,), watch.source.spent_seconds)
        if watch.spending.budget_seconds > 0:
            used.add_metric((watch.name,), watch.spending.last_minute(now) / watch.spending.budget_seconds)
        stretch.add_metric((watch.name,), watch.spending.stretch(now))
        abandoned.add_metric((watch.name,), watch.abandoned_total)
    yield from (up, postgres_up, mariadb_up, spent, used, stretch, abandoned)


def _information(watches: Sequence[Watch]) -> Family:
    """What the configuration says of each target, to be joined to its values: `* on(target) group_left(env) …`."""
    names = sorted({name for watch in watches for name in watch.labels} - {"target", "kind"})
    told = GaugeMetricFamily(
        "toban_target_info",
        "The labels that the configuration gives the target; the value is always 1.",
        labels=("target", "kind", *names),
    )
    for watch in watches:
        told.add_metric((watch.name, watch.kind, *(watch.labels.get(name, "") for name in names)), 1.0)
    return told


def _pairs(watches: Sequence[Watch]) -> Iterable[Family]:
    labels = ("target", "collector")
    success_at = GaugeMetricFamily(
        "toban_collect_last_success_timestamp_seconds", "When the collector last succeeded.", labels=labels
    )
    errors = CounterMetricFamily("toban_collect_errors", "Turns that came back empty.", labels=labels)
    state = GaugeMetricFamily(
        "toban_collect_state",
        "Why the collector's last turn came back empty, or ok; the value is always 1.",
        labels=(*labels, "reason"),
    )
    good = UnknownMetricFamily("pg_scrape_collector_success", "Whether the last turn succeeded.", labels=labels)
    took = UnknownMetricFamily("pg_scrape_collector_duration_seconds", "How long the last turn took.", labels=labels)
    gaps = GaugeMetricFamily(
        "toban_collect_gaps",
        "What the last good turn had to leave out, and why.",
        labels=(*labels, "what", "reason"),
    )
    for watch in watches:
        for collector, ledger in watch.ledgers.items():
            pair = (watch.name, collector)
            if ledger.last_success_at is not None:
                success_at.add_metric(pair, ledger.last_success_at)
            errors.add_metric(pair, ledger.errors_total)
            if ledger.last is not None:
                state.add_metric((*pair, ledger.failure.reason if ledger.failure else "ok"), 1.0)
            if watch.kind is Kind.POSTGRESQL and ledger.last is not None:
                good.add_metric(pair, float(ledger.last.failure is None))
                took.add_metric(pair, ledger.last.duration_seconds)
            for (what, reason), count in _gap_counts(ledger.last).items():
                gaps.add_metric((*pair, what, reason), count)
    yield from (success_at, errors, state, good, took, gaps)


def _gap_counts(collection: Turn | None) -> dict[tuple[str, str], int]:
    counts: dict[tuple[str, str], int] = {}
    for gap in collection.gaps if collection else ():
        counts[gap.what, gap.reason] = counts.get((gap.what, gap.reason), 0) + gap.count
    return counts
