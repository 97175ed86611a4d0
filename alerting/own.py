"""What the daemon tells the rules of itself: as collections of a collector `toban`, like any other's.

A metric about a target stands in a collection of that target; one about Toban as a whole in one of the target `toban`.
"""

from collections import Counter
from typing import Final

from toban.events import Event, EventKind
from toban.samples import Batch, Collection, Metric, Sample, Type, Unit

COLLECTOR: Final = "toban"
TARGET: Final = "toban"
"""What stands for the target where a value is about Toban as a whole."""

TARGET_UP: Final = Metric(name="toban_target_up", help="Whether the target answers", labels=("kind",))
SERVER_UP: Final = {
    "postgresql": Metric(name="pg_up", help="Whether the PostgreSQL server answers", compatible=True),
    "mariadb": Metric(name="mysql_up", help="Whether the MariaDB server answers", compatible=True),
}
"""The same by the names that people bring with them, by kind of target."""
HOST_REACHABLE: Final = Metric(
    name="toban_host_reachable",
    help="Whether anything answers at an address; 0 when every target there is silent as only a dead host is",
    labels=("host",),
)
FAILING: Final = Metric(
    name="toban_collect_failing_seconds",
    help="Since when a collector's turns come back empty, 0 while they do not; what is not offered there does not fail",
    unit=Unit.SECONDS,
    labels=("collector",),
)
STRETCH: Final = Metric(
    name="toban_target_cadence_stretch", help="By how much the budget draws out every cadence of the target"
)
EVENTS: Final = Metric(
    name="toban_events_total",
    help="What happened at the target since the start, by kind; every kind is there from the beginning",
    type=Type.COUNTER,
    labels=("kind",),
)
LOOP_LAG: Final = Metric(
    name="toban_loop_lag_seconds",
    help="The longest that the event loop came late within the last fifteen seconds",
    unit=Unit.SECONDS,
)
HISTORY_TROUBLE: Final = Metric(name="toban_history_trouble", help="Whether the history is off or only in memory")
BOOK_TROUBLE: Final = Metric(name="toban_book_trouble", help="Whether alerts cannot be kept on disk")
OUTBOX_OLDEST: Final = Metric(
    name="toban_outbox_oldest_seconds", help="How long the oldest message has waited to be sent", unit=Unit.SECONDS
)
DEAD: Final = Metric(
    name="toban_notifications_dead_total",
    help="Messages that were given up, by channel; every channel is there from the beginning",
    type=Type.COUNTER,
    labels=("channel",),
)
OWN_METRICS: Final = (
    *(TARGET_UP, *SERVER_UP.values(), HOST_REACHABLE, FAILING, STRETCH, EVENTS),
    *(LOOP_LAG, HISTORY_TROUBLE, BOOK_TROUBLE, OUTBOX_OLDEST, DEAD),
)
"""What rules may need of the daemon. Those of the first line but `toban_host_reachable` are about a target."""
SHOWN: Final = (HOST_REACHABLE, FAILING, EVENTS, DEAD)
"""Those of them that `/metrics` does not have already, by the daemon's instruments."""


class EventCounts:
    """How often each kind of thing has happened at each target: events are rows, rules judge numbers."""

    def __init__(self) -> None:
        self._counts: dict[str, Counter[EventKind]] = {}

    def note(self, collection: Collection) -> None:
        """Take in what a collection tells of."""
        counts = self._counts.setdefault(collection.target, Counter())
        counts.update(row.kind for row in collection.rows if isinstance(row, Event))

    def forget(self, target: str) -> None:
        """It is watched no more."""
        self._counts.pop(target, None)

    def samples(self, target: str, at: float) -> tuple[Sample, ...]:
        """One series a kind, also for what never happened: the first time is a growth, too."""
        batch, counts = Batch(at), self._counts.get(target, Counter())
        for kind in EventKind:
            batch.add(EVENTS, counts[kind], kind)
        return batch.samples
