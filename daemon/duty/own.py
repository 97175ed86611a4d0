"""What the daemon tells the rules of itself: up and down, failing collectors, its loop, its book, its outbox."""

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from errno import ECONNREFUSED, ECONNRESET

from alerting.own import (
    BOOK_TROUBLE,
    COLLECTOR,
    DEAD,
    FAILING,
    HISTORY_TROUBLE,
    HOST_REACHABLE,
    LOOP_LAG,
    OUTBOX_OLDEST,
    SERVER_UP,
    SHOWN,
    STRETCH,
    TARGET,
    TARGET_UP,
    EventCounts,
)
from backup.metrics import COLLECTOR as BACKUPS
from collectors.contract import Kind
from daemon.configuration.backing import plan_of
from daemon.configuration.tree import Configuration
from daemon.watch import Ledger, Watch
from toban.alerts import Alert
from toban.outcomes import Failure, Reason
from toban.samples import Batch, Collection
from toban.status import NOT_OFFERED

FEWEST_TARGETS = 2
"""One silent target is a target that is down; only several together speak of their host."""
AS_DEAD = frozenset({Reason.UNREACHABLE, Reason.UNANSWERED})
_REFUSED = re.compile(rf"refused|reset by peer|errno ({ECONNREFUSED}|{ECONNRESET})\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """How Toban itself fares, at one moment."""

    loop_lag_seconds: float
    history_trouble: bool
    book_trouble: bool
    outbox_oldest_seconds: float
    dead: Mapping[str, int]


class OwnTelling:
    """Makes collections of what the watches and the daemon know."""

    def __init__(self, host_of: Callable[[str], str]) -> None:
        self.events = EventCounts()
        self._host_of = host_of
        self._failing_since: dict[tuple[str, str], float] = {}

    def collections(self, watches: Mapping[str, Watch], own: Own, now: float) -> Iterator[Collection]:
        """One for each target, and one for Toban as a whole."""
        for watch in watches.values():
            yield _collection(watch.name, self._of_target(watch, now), now)
        yield _collection(TARGET, self._of_all(watches.values(), own, now), now)

    def resume(self, alerts: Iterable[Alert]) -> None:
        """What an earlier process said to fail has gone on failing until somebody sees that it does not."""
        for alert in alerts:
            if alert.metric == FAILING.name:
                collector = dict(alert.key.labels).get("collector", "")
                self._failing_since[alert.key.target, collector] = alert.seen_at - alert.value

    def forget(self, target: str) -> None:
        """It is watched no more."""
        self.events.forget(target)
        self._failing_since = {pair: at for pair, at in self._failing_since.items() if pair[0] != target}

    def _of_target(self, watch: Watch, now: float) -> Batch:
        batch = Batch(now)
        if watch.up is not None:
            batch.add(TARGET_UP, float(watch.up), watch.kind)
            if watch.kind in SERVER_UP:
                batch.add(SERVER_UP[watch.kind], float(watch.up))
        batch.add(STRETCH, watch.spending.stretch(watch.clock.monotonic()))
        for collector, ledger in watch.ledgers.items():
            if ledger.last is not None:
                fails = self._fails(ledger, (watch.name, collector))
                batch.add(FAILING, self._failing(watch.name, collector, now, fails=fails), collector)
        for sample in self.events.samples(watch.name, now):
            batch.add(sample.metric, sample.value, *sample.labels)
        return batch

    def _fails(self, ledger: Ledger, pair: tuple[str, str]) -> bool:
        """Whether it wants mending. An extension that was never there is for `toban status` to tell, and no alarm."""
        failure = ledger.failure
        if failure is None or failure.reason in NOT_OFFERED:
            return False
        never = ledger.last_success_at is None and pair not in self._failing_since
        return not (failure.reason is Reason.EXTENSION_MISSING and never)

    def _failing(self, target: str, collector: str, now: float, *, fails: bool) -> float:
        if not fails:
            self._failing_since.pop((target, collector), None)
            return 0.0
        return max(0.0, now - self._failing_since.setdefault((target, collector), now))

    def _of_all(self, watches: Iterable[Watch], own: Own, now: float) -> Batch:
        batch = Batch(now)
        for host, reachable in self._hosts(watches):
            batch.add(HOST_REACHABLE, float(reachable), host)
        batch.add(LOOP_LAG, own.loop_lag_seconds)
        batch.add(HISTORY_TROUBLE, float(own.history_trouble))
        batch.add(BOOK_TROUBLE, float(own.book_trouble))
        batch.add(OUTBOX_OLDEST, own.outbox_oldest_seconds)
        for channel, count in own.dead.items():
            batch.add(DEAD, count, channel)
        return batch

    def _hosts(self, watches: Iterable[Watch]) -> Iterator[tuple[str, bool]]:
        """Hosts other than this one, which can only be asked by itself."""
        every = list(watches)
        here = {watch.name for watch in every if watch.kind is Kind.HOST}
        together: dict[str, list[Watch]] = defaultdict(list)
        for watch in every:
            host = self._host_of(watch.name)
            if host and watch.up is not None and host not in here:
                together[host].append(watch)
        for host, several in together.items():
            if len(several) >= FEWEST_TARGETS:
                yield host, not all(watch.failure and _silent(watch.failure) for watch in several)


def _silent(failure: Failure) -> bool:
    """Whether nothing answered. A connection that is refused was refused by somebody, whatever the driver calls it."""
    return failure.reason in AS_DEAD and not _REFUSED.search(failure.detail)


def _collection(target: str, batch: Batch, now: float) -> Collection:
    return Collection(target=target, collector=COLLECTOR, taken_at=now, duration_seconds=0.0, samples=batch.samples)


def backed(configuration: Configuration) -> frozenset[str]:
    """Where values of backups come from: the targets that have jobs, and the repository."""
    if configuration.backups.repository is None:
        return frozenset()
    return frozenset({*plan_of(configuration).targets, TARGET})


def bringing(watches: Mapping[str, Watch], backed_up: Container[str]) -> Mapping[str, frozenset[str]]:
    """The collectors that are at work at each target."""
    found = {name: {COLLECTOR, *watch.ledgers} for name, watch in watches.items()} | {TARGET: {COLLECTOR}}
    return {name: frozenset(titles | {BACKUPS} if name in backed_up else titles) for name, titles in found.items()}


def shown(collection: Collection) -> Collection:
    """What of it the page does not have already."""
    return replace(collection, samples=tuple(sample for sample in collection.samples if sample.metric in SHOWN))
