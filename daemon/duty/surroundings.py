"""What the daemon knows besides the values that a rule judges; all of it is at hand, nothing here waits."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

from alerting.evidence import Witness
from alerting.own import TARGET
from collectors.postgresql.progress import RUNNING
from collectors.trends import TIME_TO_FULL
from daemon.configuration.targets import HostTarget
from daemon.configuration.tree import Configuration
from history.current import Current
from toban.alerts import Alert
from toban.clock import Clock
from toban.events import Event
from toban.samples import Collection, Sample
from toban.secrets import Dsn

RowT = TypeVar("RowT")
MOST_EVENTS = 50  # of each target
MOST_REMEMBERED = 500
KINDS = {
    "toban_host_disk_": "disk",
    "toban_host_inodes_": "inodes",
    "pg_database_size_bytes": "database",
    "toban_pg_slot_": "slot",
    "pg_replication_slots_": "slot",
    "pg_wraparound_ratio": "xid",
    "toban_pg_freeze_age_ratio": "xid",
    "toban_pg_multixact_": "multixact",
    "toban_pg_sequence_": "sequence",
    "toban_sqlite_size_bytes": "database",
    "toban_mysql_schema_size_bytes": "database",
}
"""What runs full where a metric of this name rises."""


class Scene:
    """What is going on at a target, out of memory."""

    def __init__(self, current: Current, clock: Clock, host_of: Callable[[str], str]) -> None:
        self._current = current
        self._clock = clock
        self._host_of = host_of
        self._events: dict[str, deque[Event]] = {}

    def note(self, collection: Collection) -> None:
        """Remember what happened."""
        for row in collection.rows:
            if isinstance(row, Event):
                self._events.setdefault(collection.target, deque(maxlen=MOST_EVENTS)).append(row)

    def forget(self, target: str) -> None:
        """It is watched no more."""
        self._events.pop(target, None)

    def rows(self, target: str, kind: type[RowT]) -> Iterable[RowT]:
        """The typed rows of one kind."""
        return (row for _, row in self._current.rows(self._clock.monotonic(), kind, target=target))

    def host(self, target: str) -> Iterable[Sample]:
        """The values of the host that a target runs on, where that is this one."""
        name = self._host_of(target)
        return (sample for _, sample in self._current.samples(self._clock.monotonic(), target=name)) if name else ()

    def events(self, target: str, since: float) -> Iterable[Event]:
        """What has happened there since."""
        return (event for event in self._events.get(target, ()) if event.at >= since)


class DaemonSurroundings:
    """Answers the desk."""

    def __init__(self, current: Current, clock: Clock) -> None:
        self._current = current
        self._clock = clock
        self._hosts: Mapping[str, str] = {}
        self.scene = Scene(current, clock, self.host_of)
        self._witness = Witness(self.scene, clock)
        self._evidence: dict[str, str] = {}

    def renew(self, configuration: Configuration) -> None:
        """Learn where the targets are."""
        self._hosts = hosts_of(configuration)

    def host_of(self, target: str) -> str:
        """The host that a target runs on: this one by its target's name, another by its address."""
        return self._hosts.get(target, "")

    def evidence(self, alert: Alert) -> str | None:
        """What was going on; what was told of an alert is at hand for its next messages."""
        found = self._witness.document(alert.key.target)
        while len(self._evidence) >= MOST_REMEMBERED:
            self._evidence.pop(next(iter(self._evidence)))
        self._evidence[alert.episode] = found
        return found

    def remember(self, evidence: Mapping[str, str]) -> None:
        """What an earlier process gathered of alerts that are still open."""
        self._evidence.update(evidence)

    def evidence_of(self, episode: str) -> str | None:
        """The evidence that was gathered when it fired, by this process."""
        return self._evidence.get(episode)

    def progress(self, target: str) -> tuple[str, ...]:
        """The commands under way that tell how far they have come."""
        found = self._current.samples(self._clock.monotonic(), pattern=RUNNING.name, target=target)
        return tuple(sample.labels[0].replace(" ", "_") for _, sample in found if sample.value > 0)

    def left_seconds(self, alert: Alert) -> float | None:
        """Until what fills up is full: the alert's own value, or the forecast of what its metric is about."""
        if alert.metric == TIME_TO_FULL.name:
            return alert.value
        kind = next((kind for beginning, kind in KINDS.items() if alert.metric.startswith(beginning)), None)
        if kind is None:
            return None
        labels = {value for _, value in alert.key.labels}
        samples = self._current.samples(self._clock.monotonic(), pattern=TIME_TO_FULL.name, target=alert.key.target)
        times = [s.value for _, s in samples if s.labels[0] == kind and labels.issuperset(_parts(s.labels[1], labels))]
        return min(times, default=None)


def _parts(name: str, labels: set[str]) -> set[str]:
    """What a forecast is about: one label, or several joined by dots."""
    return {name} if name in labels else set(name.split("."))


def hosts_of(configuration: Configuration) -> Mapping[str, str]:
    """Each target's host. One that is reached over loopback, every file, and Toban itself are on this one."""
    here = next((target.name for target in configuration.targets if isinstance(target, HostTarget)), "")
    found = {TARGET: here}
    for target in configuration.targets:
        dsn = getattr(target, "dsn", None)
        if isinstance(dsn, Dsn) and not dsn.local:
            found[target.name] = dsn.parts.hostname or ""
        elif not isinstance(target, HostTarget):
            found[target.name] = here
        else:
            found[target.name] = target.name
    return found
