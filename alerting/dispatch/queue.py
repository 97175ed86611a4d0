"""What waits for one channel: in order within an episode, the worst first among episodes. Pure."""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import chain

from alerting.dispatch.entries import LONE, Entry
from toban.alerts import Notice, What


class Queue:
    """Lanes, one an episode. Only the head of a lane may go, and none whose episode an unsent digest holds."""

    def __init__(self) -> None:
        self._lanes: dict[str, deque[Entry]] = {}
        self._held: dict[str, Entry] = {}
        self._ended: set[str] = set()
        self._count = 0
        self._lone = 0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Entry]:
        return chain.from_iterable(self._lanes.values())

    @property
    def digestible(self) -> int:
        """How many could go into a digest."""
        return self._count - self._lone

    def add(self, entry: Entry) -> None:
        """At the end of its lane."""
        self._lanes.setdefault(entry.lane, deque()).append(entry)
        self._count += 1
        self._lone += entry.notice.what in LONE
        if entry.notice.what in (What.RESOLVED, What.ACKNOWLEDGED):
            self._ended.add(entry.lane)
        for member in _held_by(entry):
            self._held[member.alert.episode] = entry

    def remove(self, entry: Entry) -> None:
        """It is settled."""
        lane = self._lanes[entry.lane]
        lane.remove(entry)
        if not lane:
            del self._lanes[entry.lane]
        self._count -= 1
        self._lone -= entry.notice.what in LONE
        for member in _held_by(entry):
            if self._held.get(member.alert.episode) is entry:
                del self._held[member.alert.episode]

    def holder(self, episode: str) -> Entry | None:
        """The unsent digest that an episode is in."""
        return self._held.get(episode)

    def ended(self) -> list[tuple[Entry, ...]]:
        """The lanes in which something was answered since the last time."""
        lanes = [tuple(self._lanes[name]) for name in self._ended if name in self._lanes]
        self._ended.clear()
        return lanes

    def next(self, now: float) -> Entry | None:
        """Whose turn it is."""
        due = [entry for entry in self._heads() if entry.due <= now]
        return min(due, key=lambda entry: entry.turn, default=None)

    def next_due(self) -> float | None:
        """When the next one may go; None where none can."""
        return min((entry.due for entry in self._heads()), default=None)

    def many(self, most: int) -> list[Entry]:
        """What a digest would take in, the worst first."""
        free = [entry for entry in self if entry.notice.what not in LONE and entry.lane not in self._held]
        return sorted(free, key=lambda entry: entry.turn)[:most]

    def _heads(self) -> Iterator[Entry]:
        return (lane[0] for name, lane in self._lanes.items() if name not in self._held)


def _held_by(entry: Entry) -> Sequence[Notice]:
    """A digest tells of its members; an UNDELIVERED only names what another channel was to tell."""
    return (entry.members or ()) if entry.notice.what is What.DIGEST else ()
