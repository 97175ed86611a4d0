"""The open alerts, by key, by episode and by place; bounded, and a memory of those that were over of late."""

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from typing import Final

from toban.alerts import FLAP_WINDOW_SECONDS, Alert, Key, Severity, State

MOST_OPEN: Final = 50_000
MOST_PAST: Final = 10_000
Place = tuple[str, str]
"""A rule's name with a target, or with a host."""


class Roster:
    """All that is open. There is never more than one open episode for a key."""

    def __init__(self, host_of: Callable[[str], str]) -> None:
        self.counts: Counter[Severity] = Counter()
        """How many are firing or acknowledged, by severity."""
        self._host_of = host_of
        self._alerts: dict[Key, Alert] = {}
        self._keys: dict[str, Key] = {}
        self._places: dict[Place, set[Key]] = {}
        self._entered: dict[Key, set[Place]] = {}  # where each stands: a reload may say otherwise before it leaves
        self._caused: dict[str, dict[Key, None]] = {}  # by the cause's episode
        self._past: OrderedDict[Key, Alert] = OrderedDict()

    def __iter__(self) -> Iterator[Alert]:
        return iter(list(self._alerts.values()))

    def __len__(self) -> int:
        return len(self._alerts)

    @property
    def full(self) -> bool:
        """Whether there is no room for another."""
        return len(self._alerts) >= MOST_OPEN

    @property
    def episodes(self) -> Iterator[str]:
        """What the open ones are called."""
        return iter(self._keys)

    def of(self, key: Key) -> Alert | None:
        """The open alert of a key."""
        return self._alerts.get(key)

    def called(self, episode: str) -> Alert | None:
        """The open alert of an episode."""
        key = self._keys.get(episode)
        return None if key is None else self._alerts[key]

    def past(self, key: Key, now: float) -> Alert | None:
        """The last episode of a key, where it was over within the hour."""
        alert = self._past.get(key)
        if alert is None or alert.resolved_at is None or now - alert.resolved_at >= FLAP_WINDOW_SECONDS:
            return None
        return alert

    def at(self, rule: str, *places: str) -> Iterator[Alert]:
        """The open alerts of a rule at a target or a host, each once."""
        keys: set[Key] = set()
        for place in filter(None, places):
            keys |= self._places.get((rule, place), set())
        return (self._alerts[key] for key in keys)

    def caused_by(self, episode: str) -> tuple[Alert, ...]:
        """The open alerts that are put down to this one."""
        return tuple(self._alerts[key] for key in self._caused.get(episode, ()))

    def put(self, alert: Alert) -> None:
        """Take in how an alert is now; one that is over leaves."""
        before = self._alerts.get(alert.key)
        self._count(before, -1)
        self._put_down(before, alert)
        if alert.open:
            if before is None:
                self._enter(alert)
            self._alerts[alert.key] = alert
            self._count(alert, 1)
        else:
            self._leave(alert)

    def remember(self, alert: Alert) -> None:
        """One that is over and did fire may come back soon."""
        self._past[alert.key] = alert
        self._past.move_to_end(alert.key)
        if len(self._past) > MOST_PAST:
            self._past.popitem(last=False)

    def _put_down(self, before: Alert | None, alert: Alert) -> None:
        earlier, cause = before.cause if before else "", alert.cause if alert.open else ""
        if earlier == cause:
            return
        if earlier:
            del self._caused[earlier][alert.key]
            if not self._caused[earlier]:
                del self._caused[earlier]
        if cause:
            self._caused.setdefault(cause, {})[alert.key] = None

    def _enter(self, alert: Alert) -> None:
        self._keys[alert.episode] = alert.key
        self._past.pop(alert.key, None)
        self._entered[alert.key] = self._where(alert)
        for place in self._entered[alert.key]:
            self._places.setdefault(place, set()).add(alert.key)

    def _leave(self, alert: Alert) -> None:
        del self._alerts[alert.key]
        del self._keys[alert.episode]
        for place in self._entered.pop(alert.key):
            self._places[place].discard(alert.key)
            if not self._places[place]:
                del self._places[place]

    def _where(self, alert: Alert) -> set[Place]:
        rule, target, labels = alert.key
        places = {target, self._host_of(target), dict(labels).get("host", "")}
        return {(rule, place) for place in places if place}

    def _count(self, alert: Alert | None, by: int) -> None:
        if alert is not None and alert.state is not State.PENDING:
            self.counts[alert.severity] += by
