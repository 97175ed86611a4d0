"""The book as the daemon holds it: one writer, many pages a transaction, and never an exception for a disk.

Whoever writes learns whether it was kept. While the file cannot be used, `trouble` says why and it is tried again.
`renewed` grows when what was kept before may be missing: then whoever has something open writes it again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, TypeVar

import structlog

from history.book.contract import Found, Page
from history.book.store import BookStore, found_unwritten
from history.retention import present
from history.statefile import FAILURES, RETRY_SECONDS, StateFile
from toban.alerts import Notice
from toban.clock import Clock
from toban.outcomes import Failure, Reason

CALL_SECONDS = 10.0  # a disk that takes longer is as good as gone: what is to be told goes out without it
TEND_SECONDS = 3600.0
STEP_PAUSE_SECONDS = 0.1
CLOSE_SECONDS = 3.0
MOST_FOUND = 100_000  # notices in memory
MOST_PAGES = 1000  # of one transaction
_PRESENT = "present_at"
_DONE: Final = object()
T = TypeVar("T")

logger = structlog.get_logger(__name__)


def book_path(state: Path) -> Path:
    """Where the book of a state file is."""
    return state.with_name(f"{state.name}.alerts")


class Book:
    """What is remembered of alerts. One daemon writes; anybody may read the file (see `reader`)."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self.path = path
        self._clock = clock
        self._file = StateFile(path, clock, BookStore, call_seconds=CALL_SECONDS)
        self._waiting: deque[tuple[Page, asyncio.Future[bool]]] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._refused = False  # something was not kept since the file was last in use
        self._resumed = 0  # how often it was taken into use again after that
        self._tended_at: float | None = None
        self._closed = False

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> "Book":
        """The book on this file, in whatever state the file is."""
        book = cls(path, clock)
        async with book._file.turn:
            await book._file.opened()
        return book

    @property
    def trouble(self) -> Failure | None:
        """Why the file cannot be used at present; else, until the next start, why an earlier one was left."""
        return self._file.failure or self._file.replaced

    @property
    def usable(self) -> bool:
        """Whether the last write was kept: for saying so, not for asking before a write."""
        return self._file.failure is None

    @property
    def renewed(self) -> int:
        """Grows when what was kept may be missing: a file was begun anew, or takes pages again after refusals."""
        return self._file.replacements + self._resumed

    async def load(self) -> Found:
        """What is to be taken up again; nothing while the file cannot even be read."""
        found = await self._ask(lambda store: store.load(MOST_FOUND, self._clock.now()))
        return found or await self._unwritten()

    async def _unwritten(self) -> Found:
        """Out of a file that cannot be written: who has acknowledged something is not woken by a full disk."""
        if self._file.failure is not None and self._file.failure.reason is Reason.UNANSWERED:
            return Found()  # it would only be waited for once more
        try:
            return await self._file.call(found_unwritten, self.path, MOST_FOUND, self._clock.now())
        except FAILURES:
            return Found()

    async def write(self, page: Page) -> bool:
        """Commit a page, with whatever else waits, in one transaction. False where it could not be kept."""
        if self._closed:
            return False
        kept = asyncio.get_running_loop().create_future()
        self._waiting.append((page, kept))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_on())
        return await asyncio.shield(kept)

    async def pending(self, known: frozenset[str], most: int) -> tuple[Notice, ...]:
        """The oldest notices that wait to be told and are not known."""
        return await self._ask(lambda store: store.pending(known, most)) or ()

    async def members(self, digest: str) -> tuple[Notice, ...]:
        """What was taken into the digest of this key."""
        return await self._ask(lambda store: store.members(digest)) or ()

    async def run(self) -> None:
        """Keep house, and try a file again that is out of use, until cancelled."""
        while True:
            try:
                await self.tend()
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("book_fault")
            for _ in range(int(TEND_SECONDS / RETRY_SECONDS)):
                await asyncio.sleep(RETRY_SECONDS)
                await self.retry()

    async def retry(self) -> None:
        """Try a file again that is out of use, when its time has come."""
        async with self._file.turn:
            await self._opened()

    async def tend(self) -> None:
        """One round of housekeeping, in small steps with pauses."""
        steps: Iterator[None] | None = None
        while True:
            async with self._file.turn:
                store = await self._opened()
                if store is None:
                    return
                try:
                    if steps is None:
                        steps = await self._file.call(self._begin_chores, store)
                    if not await self._file.call(_step, steps):
                        return
                except FAILURES as error:
                    await self._file.give_up(error)
                    return
            await asyncio.sleep(STEP_PAUSE_SECONDS)

    async def close(self) -> None:
        """Commit what waits and part from the file, within three seconds."""
        self._closed = True
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._writer is not None:
                    await asyncio.shield(self._writer)
                async with self._file.turn:
                    await self._file.part()
        except TimeoutError:
            logger.warning("book_not_closed", path=str(self.path))
        finally:
            self._file.stop()

    async def _write_on(self) -> None:
        """All that waits, a transaction at a time; what comes meanwhile goes into the next."""
        while self._waiting:
            async with self._file.turn:
                batch = [self._waiting.popleft() for _ in range(min(len(self._waiting), MOST_PAGES))]
                try:
                    kept = await self._commit([page for page, _ in batch])
                except Exception:  # one bad page must not take the others of its batch along
                    logger.exception("book_fault")
                    await self._one_by_one(batch)
                    continue
            for _, answer in batch:
                answer.set_result(kept)

    async def _commit(self, pages: list[Page]) -> bool:
        """Whether these were kept. A file that was beyond use is replaced, and the new one takes them."""
        for _ in range(2):
            store, before = await self._opened(), self._file.replacements
            if store is None:
                break
            try:
                await self._file.call(store.write, pages, self._clock.now())
            except FAILURES as error:
                await self._file.give_up(error)
                if self._file.replacements == before:
                    break
            else:
                return True
        self._refused = True
        return False

    async def _one_by_one(self, batch: list[tuple[Page, "asyncio.Future[bool]"]]) -> None:
        """A fault of our own in one page costs that page alone."""
        for page, answer in batch:
            try:
                kept = await self._commit([page])
            except Exception:  # a fault in one page is told, and the next is written
                logger.exception("book_page_lost")
                kept = False
            answer.set_result(kept)

    async def _opened(self) -> BookStore | None:
        store = await self._file.opened()
        if store is not None and self._refused:
            self._refused = False
            self._resumed += 1
        return store

    async def _ask(self, question: Callable[[BookStore], T]) -> T | None:
        async with self._file.turn:
            for _ in range(2):
                store, before = await self._opened(), self._file.replacements
                if store is None:
                    return None
                try:
                    return await self._file.call(question, store)
                except FAILURES as error:
                    await self._file.give_up(error)
                    if self._file.replacements == before:
                        return None
        return None

    def _begin_chores(self, store: BookStore) -> Iterator[None]:
        now, monotonic = self._clock.now(), self._clock.monotonic()
        started = self._tended_at is None
        elapsed = 0.0 if self._tended_at is None else monotonic - self._tended_at
        present_at = present(store.fact(_PRESENT), now, elapsed, started=started)
        store.remember(_PRESENT, present_at)
        self._tended_at = monotonic
        return store.chores(min(present_at, now))


def _step(steps: Iterator[None]) -> bool:
    return next(steps, _DONE) is not _DONE
