"""How each target and each pair stands, as `/metrics` tells it, asked at the moment of the scrape.

Of what a pair says, most is as it was: its samples stay the same objects until its next turn changes them, and whoever
writes the page writes only what is new (`daemon/http/instrument_pages.py`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Final, NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, UnknownMetricFamily
from prometheus_client.core import Metric as Family
from prometheus_client.registry import Collector as RegistryCollector
from prometheus_client.samples import Sample

from collectors.contract import Kind
from daemon.watch import Ledger, Watch
from toban.samples import Collection as Turn

PAIR: Final = ("target", "collector")
PairFamily = CounterMetricFamily | GaugeMetricFamily | UnknownMetricFamily
Rows = Iterator[tuple[tuple[str, ...], float]]  # further label values, and the value


class Standings(RegistryCollector):
    """Every family with a sample for each target or pair."""

    def __init__(self, watches: Callable[[], Iterable[Watch]], gauges: Callable[[], Iterable[Family]]) -> None:
        self._watches = watches
        self._gauges = gauges
        self._told: dict[tuple[str, str], _Told] = {}

    def collect(self) -> Iterable[Family]:
        """All of them."""
        watches = list(self._watches())
        yield from _targets(watches)
        yield _information(watches)
        yield from self._pairs(watches)
        yield from self._gauges()

    def _pairs(self, watches: Sequence[Watch]) -> Iterable[Family]:
        known, self._told = self._told, {}
        families = [make() for make, _ in PAIR_FAMILIES]
        for watch in watches:
            for collector, ledger in watch.ledgers.items():
                pair = (watch.name, collector)
                told = known.get(pair)
                if told is not None and told.last is ledger.last:
                    for family, samples in zip(families, told.samples, strict=True):
                        family.samples += samples
                else:
                    told = _Told(ledger.last, tuple(_tell(families, pair, watch.kind, ledger, told)))
                self._told[pair] = told
        yield from families


class _Told(NamedTuple):
    """What was said of one pair after its last turn, family by family."""

    last: Turn | None
    samples: tuple[tuple[Sample, ...], ...]


def _tell(
    families: Sequence[PairFamily], pair: tuple[str, str], kind: Kind, ledger: Ledger, before: _Told | None
) -> Iterator[tuple[Sample, ...]]:
    """Add what is true of a pair now; what was said of it already is said by the same objects."""
    said = before.samples if before else ((),) * len(families)
    for family, (_, rows), old in zip(families, PAIR_FAMILIES, said, strict=True):
        begin = len(family.samples)
        for labels, value in rows(kind, ledger):
            family.add_metric((*pair, *labels), value)
        now = tuple(family.samples[begin:])
        if now == old:
            family.samples[begin:] = old
        yield old if now == old else now


def _succeeded_at(_: Kind, ledger: Ledger) -> Rows:
    if ledger.last_success_at is not None:
        yield (), ledger.last_success_at


def _errors(_: Kind, ledger: Ledger) -> Rows:
    yield (), ledger.errors_total


def _state(_: Kind, ledger: Ledger) -> Rows:
    if ledger.last is not None:
        yield (ledger.failure.reason if ledger.failure else "ok",), 1.0


def _success(kind: Kind, ledger: Ledger) -> Rows:
    if kind is Kind.POSTGRESQL and ledger.last is not None:
        yield (), float(ledger.last.failure is None)


def _took(kind: Kind, ledger: Ledger) -> Rows:
    if kind is Kind.POSTGRESQL and ledger.last is not None:
        yield (), ledger.last.duration_seconds


def _gaps(_: Kind, ledger: Ledger) -> Rows:
    counts: dict[tuple[str, str], int] = {}
    for gap in ledger.last.gaps if ledger.last else ():
        counts[gap.what, gap.reason] = counts.get((gap.what, gap.reason), 0) + gap.count
    yield from counts.items()


PAIR_FAMILIES: Final[tuple[tuple[Callable[[], PairFamily], Callable[[Kind, Ledger], Rows]], ...]] = (
    (
        partial(
            GaugeMetricFamily,
            "toban_collect_last_success_timestamp_seconds",
            "When the collector last succeeded.",
            labels=PAIR,
        ),
        _succeeded_at,
    ),
    (partial(CounterMetricFamily, "toban_collect_errors", "Turns that came back empty.", labels=PAIR), _errors),
    (
        partial(
            GaugeMetricFamily,
            "toban_collect_state",
            "Why the collector's last turn came back empty, or ok; the value is always 1.",
            labels=(*PAIR, "reason"),
        ),
        _state,
    ),
    (
        partial(UnknownMetricFamily, "pg_scrape_collector_success", "Whether the last turn succeeded.", labels=PAIR),
        _success,
    ),
    (
        partial(
            UnknownMetricFamily, "pg_scrape_collector_duration_seconds", "How long the last turn took.", labels=PAIR
        ),
        _took,
    ),
    (
        partial(
            GaugeMetricFamily,
            "toban_collect_gaps",
            "What the last good turn had to leave out, and why.",
            labels=(*PAIR, "what", "reason"),
        ),
        _gaps,
    ),
)


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
