"""When to look at which alert again: a heap by the wall clock, with one moment for each episode."""

import heapq
from typing import Final

_SPARSE: Final = 3  # so many times as many entries as episodes, and the heap is made anew


class Agenda:
    """One moment for each episode; a later word replaces the earlier."""

    def __init__(self) -> None:
        self._moments: dict[str, float] = {}
        self._heap: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._moments)

    def put(self, episode: str, at: float | None) -> None:
        """Look at it then; never, where there is no moment."""
        if at is None:
            self._moments.pop(episode, None)
        elif self._moments.get(episode) != at:
            self._moments[episode] = at
            heapq.heappush(self._heap, (at, episode))
            self._tidy()

    def due(self, now: float, *, most: int) -> list[str]:
        """Whose moment has come, the earliest first; they are off the agenda."""
        found: list[str] = []
        while len(found) < most and (at := self.next_at) is not None and at <= now:
            episode = heapq.heappop(self._heap)[1]
            del self._moments[episode]
            found.append(episode)
        return found

    @property
    def next_at(self) -> float | None:
        """The earliest moment."""
        while self._heap and self._moments.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def _tidy(self) -> None:
        """Replaced moments stay in the heap until they come up: not more of them than matter little."""
        if len(self._heap) > _SPARSE * len(self._moments) + 100:
            self._heap = [(at, episode) for episode, at in self._moments.items()]
            heapq.heapify(self._heap)
