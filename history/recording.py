"""The history as the daemon holds it: offered collections, one writer, and never an exception towards the watch.

While the state file cannot be used, what is offered waits in memory (bounded, the oldest goes first), `trouble` says
why, and the file is tried again until it can be used.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Final

import structlog

from history.catalogue import MOST_SERIES
from history.entries import Entry, Shapes
from history.retention import Retention, present
from history.statefile import FAILURES, StateFile
from history.store import Store
from toban.clock import Clock
from toban.outcomes import Failure
from toban.samples import Collection

COMMIT_SECONDS = 2.0  # what kill -9 may cost; SIGTERM costs nothing
TEND_SECONDS = 300.0  # between two rounds of housekeeping
STEP_PAUSE_SECONDS = 0.1  # between two steps of one
CLOSE_SECONDS = 3.0
CLOCK_STEP_SECONDS = 2.0  # the two clocks drift apart by less, unless one was set
MOST_WAITING = 200_000  # readings in memory: three hours of a large target, some 3 MB
_PRESENT = "present_at"
_DONE: Final = object()

logger = structlog.get_logger(__name__)


class History:
    """What is remembered. One daemon writes; anybody may read the file (see `reading`)."""

    def __init__(self, path: Path, clock: Clock, retention: Retention) -> None:
        self.path = path
        self.dropped = 0
        """Readings lost: no room in memory while the file could not be used, or too many series in it."""
        self._clock = clock
        self._retention = retention
        self._file = StateFile(path, clock, Store)
        self._shapes = Shapes()
        self._waiting: deque[Entry] = deque()
        self._weight = 0
        self._offered = asyncio.Event()
        self._clock_offset = clock.now() - clock.monotonic()
        self._tended_at: float | None = None
        self._told_full = False
        self._closed = False

    @classmethod
    async def open(cls, path: Path, clock: Clock, *, retention: Retention | None = None) -> "History":
        """The history on this file, in whatever state the file is."""
        history = cls(path, clock, retention or Retention())
        async with history._file.turn:
            await history._file.opened()
        return history

    @property
    def trouble(self) -> Failure | None:
        """Why the file cannot be used at present; else, until the next start, why an earlier one was left."""
        return self._file.failure or self._file.replaced

    def offer(self, collection: Collection) -> None:
        """Take in what is kept of a collection. Never waits, never fails."""
        if self._closed:
            return
        self._notice_clock()
        for entry in self._shapes.entries(collection):
            self._waiting.append(entry)
            self._weight += entry.weight
        self._bound()
        if self._waiting:
            self._offered.set()

    async def recall(self, target: str, name: str) -> str | None:
        """The body of the last `Memory` of this name that was offered for a target; None where there is none."""
        return await asyncio.shield(asyncio.ensure_future(self._recall(target, name)))

    async def run(self) -> None:
        """Write and keep house until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_supervised(self._write_on, COMMIT_SECONDS))
            tasks.create_task(_supervised(self._tend_on, TEND_SECONDS))

    async def flush(self) -> bool:
        """Commit what waits; False where it could not be done now. A commit once begun is not cancelled halfway."""
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def tend(self) -> None:
        """One round of housekeeping, in small steps with pauses."""
        first: Store | None = None
        steps: Iterator[None] | None = None
        while True:
            async with self._file.turn:
                store = await self._file.opened()
                if store is None or first not in (None, store):
                    return  # out of use, or another file by now: the next round begins afresh
                try:
                    if steps is None:
                        steps = await self._file.call(self._begin_chores, store)
                    if not await self._file.call(_step, steps):
                        return
                except FAILURES as error:
                    await self._file.give_up(error)
                    return
            first = store
            await asyncio.sleep(STEP_PAUSE_SECONDS)

    async def close(self) -> None:
        """Commit what waits and part from the file, within three seconds."""
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self.flush()
                async with self._file.turn:
                    await self._file.part()
        except TimeoutError:
            logger.warning("history_not_flushed", path=str(self.path))
        finally:
            self._file.stop()

    async def _flush(self) -> bool:
        async with self._file.turn:
            store = await self._file.opened()
            if store is None:
                return False
            batch, self._waiting = self._waiting, deque()
            weight, self._weight = self._weight, 0
            self._offered.clear()
            if not batch:
                return True
            try:
                self._note_lost(await self._file.call(store.write, batch))
            except FAILURES as error:
                self._put_back(batch, weight)
                await self._file.give_up(error)
                return False
            except Exception:  # a fault of our own, and the same batch would meet it again
                logger.exception("history_fault")
                return await self._one_by_one(store, batch)
            return True

    async def _one_by_one(self, store: Store, batch: deque[Entry]) -> bool:
        """What cannot be written costs its own entry, and none of the others."""
        while batch:
            try:
                self._note_lost(await self._file.call(store.write, (batch[0],)))
            except FAILURES as error:
                self._put_back(batch, sum(entry.weight for entry in batch))
                await self._file.give_up(error)
                return False
            except Exception:  # noqa: BLE001 - it was told of the batch as a whole
                self.dropped += len(batch[0].values)
            batch.popleft()
        return True

    def _note_lost(self, readings: int) -> None:
        """There is no room for more series: counted each time, and told once."""
        if readings and not self._told_full:
            self._told_full = True
            logger.warning("history_full_of_series", most=MOST_SERIES, path=str(self.path))
        self.dropped += readings

    async def _recall(self, target: str, name: str) -> str | None:
        async with self._file.turn:  # whatever was being written is in the file by now, or waits again
            for entry in reversed(self._waiting):
                if entry.shape.target == target:
                    for memory in entry.memories:
                        if memory.name == name:
                            return memory.body
            store = await self._file.opened()
            try:
                return None if store is None else await self._file.call(store.recall, target, name)
            except FAILURES as error:
                await self._file.give_up(error)
                return None

    def _put_back(self, batch: deque[Entry], weight: int) -> None:
        batch.extend(self._waiting)
        self._waiting = batch
        self._weight += weight
        self._bound()
        self._offered.set()

    def _bound(self) -> None:
        while self._weight > MOST_WAITING:
            gone = self._waiting.popleft()
            self._weight -= gone.weight
            self.dropped += len(gone.values)

    async def _write_on(self) -> None:
        await self._offered.wait()
        await asyncio.sleep(COMMIT_SECONDS)
        await self.flush()

    async def _tend_on(self) -> None:
        await self.tend()
        await asyncio.sleep(TEND_SECONDS)

    def _notice_clock(self) -> None:
        offset = self._clock.now() - self._clock.monotonic()
        if abs(offset - self._clock_offset) > CLOCK_STEP_SECONDS:
            self._shapes.break_off()
            logger.warning("clock_was_set", by_seconds=round(offset - self._clock_offset, 1))
        self._clock_offset = offset

    def _begin_chores(self, store: Store) -> Iterator[None]:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        started = self._tended_at is None
        elapsed = 0.0 if self._tended_at is None else monotonic - self._tended_at
        present_at = present(store.fact(_PRESENT), now, elapsed, started=started)
        store.remember(_PRESENT, present_at)
        self._tended_at = monotonic
        return store.chores(now, min(present_at, now), self._retention)


def _step(steps: Iterator[None]) -> bool:
    """One step; False when there is none left."""
    return next(steps, _DONE) is not _DONE


async def _supervised(turn: Callable[[], Awaitable[None]], pause_seconds: float) -> None:
    """One turn after another. A fault of our own is said loudly and costs that turn and a pause, never the watch."""
    while True:
        try:
            await turn()
        except Exception:  # a loop of its own: it must outlive any fault
            logger.exception("history_fault")
            await asyncio.sleep(pause_seconds)
