"""From the desk to the book, and then to the dispatcher: what belongs together is kept together, before it is told.

Many small pages are written as one. What the book cannot take is told all the same, marked as not kept, and written
once the book can be used again.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Final

import structlog

from alerting.desk.surroundings import Book, Dispatcher
from history.book.contract import Page
from toban.alerts import Alert, Silence, Transition

MOST_ALERTS: Final = 500  # of one page: a commit of that size is no long wait for those behind it
MOST_UNKEPT: Final = 50_000
RETRY_SECONDS: Final = 5.0

logger = structlog.get_logger(__name__)


@dataclass(slots=True)
class Unkept:
    """What the book still has to learn: the last state of each alert, and the transitions, the oldest lost first."""

    lost: int = 0
    _alerts: dict[str, Alert] = field(default_factory=dict)
    _transitions: deque[Transition] = field(default_factory=deque)
    _silences: dict[str, Silence] = field(default_factory=dict)
    _evidence: dict[str, str] = field(default_factory=dict)
    _marks: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self._alerts or self._transitions or self._silences or self._marks)

    def put(self, page: Page) -> None:
        """A page that could not be kept; its notices are out already. It is newer than what is here."""
        self.outdate(page)
        self._alerts.update((alert.episode, alert) for alert in page.alerts)
        self._transitions.extend(page.transitions)
        self._silences.update((silence.id, silence) for silence in page.silences)
        self._marks.update(page.marks)
        self._evidence.update(islice(page.evidence.items(), max(0, MOST_ALERTS - len(self._evidence))))
        self._bound()

    def put_back(self, page: Page) -> None:
        """What was taken could not be kept either: it is the oldest."""
        self._alerts = {alert.episode: alert for alert in page.alerts} | self._alerts
        self._transitions.extendleft(reversed(page.transitions))
        self._silences = {silence.id: silence for silence in page.silences} | self._silences
        self._marks = {**page.marks, **self._marks}
        self._evidence = {**page.evidence, **self._evidence}

    def outdate(self, page: Page) -> None:
        """A later page was kept: what it says need not be said again."""
        for alert in page.alerts:
            self._alerts.pop(alert.episode, None)
        for silence in page.silences:
            self._silences.pop(silence.id, None)
        for episode in page.marks:
            self._marks.pop(episode, None)

    def take(self) -> Page:
        """As much of it as one page holds."""
        alerts = [self._alerts.pop(episode) for episode in list(islice(self._alerts, MOST_ALERTS))]
        count = min(len(self._transitions), 4 * MOST_ALERTS)
        page = Page(
            alerts=tuple(alerts),
            transitions=tuple(self._transitions.popleft() for _ in range(count)),
            silences=tuple(self._silences.values()),
            evidence=self._evidence,
            marks=self._marks,
        )
        self._silences, self._evidence, self._marks = {}, {}, {}
        return page

    def _bound(self) -> None:
        while len(self._alerts) > MOST_UNKEPT:
            del self._alerts[next(iter(self._alerts))]
            self.lost += 1
        while len(self._transitions) > MOST_UNKEPT:
            self._transitions.popleft()
            self.lost += 1


class Outgoing:
    """The pages that wait to be kept, in order."""

    def __init__(self, book: Book, dispatcher: Dispatcher, all_open: Callable[[], Iterable[Page]]) -> None:
        self.unkept = Unkept()
        self._all_open = all_open
        self._renewed = book.renewed
        self._book = book
        self._dispatcher = dispatcher
        self._waiting: deque[Page] = deque()
        self._added = asyncio.Event()
        self._turn = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, page: Page) -> None:
        """Something to be kept, and told if it holds notices."""
        self._waiting.append(page)
        self._added.set()

    async def write_on(self) -> None:
        """Wait until there is something, then write all of it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_SECONDS if self.unkept else None):
                await self._added.wait()
        await self.flush()

    async def flush(self) -> bool:
        """Write what waits; False where not all of it could be kept. A page once begun is not cancelled halfway."""
        return await asyncio.shield(asyncio.ensure_future(self._flush()))

    async def _flush(self) -> bool:
        async with self._turn:
            self._added.clear()
            kept = True
            while self._waiting:
                kept = await self._write(self._next_page())
                self._notice_new_book()
            while kept and self.unkept:
                page = self.unkept.take()
                kept = await self._keep(page)
                if not kept:
                    self.unkept.put_back(page)
            return kept

    async def _write(self, page: Page) -> bool:
        kept = await self._keep(page)
        if kept:
            self.unkept.outdate(page)
            notices = page.notices
        else:
            self.unkept.put(page)
            notices = tuple(replace(notice, kept=False) for notice in page.notices)
        if notices:
            self._dispatcher.offer(notices)
        return kept

    async def _keep(self, page: Page) -> bool:
        """Whether the book has it. A fault of the book's own shall not cost a message."""
        try:
            return await self._book.write(page)
        except Exception:  # a book at fault is one that has not kept it: it is offered again
            logger.exception("book_fault")
            return False

    def _notice_new_book(self) -> None:
        """A book that was begun anew knows nothing of what is open."""
        if self._renewed != self._book.renewed:
            self._renewed = self._book.renewed
            self._waiting.extend(self._all_open())

    def _next_page(self) -> Page:
        pages = [self._waiting.popleft()]
        alerts = len(pages[0].alerts)
        while self._waiting and alerts + len(self._waiting[0].alerts) <= MOST_ALERTS:
            pages.append(self._waiting.popleft())
            alerts += len(pages[-1].alerts)
        return merged(pages)


def merged(pages: Iterable[Page]) -> Page:
    """Many pages as one; of each alert and silence the last."""
    alerts: dict[str, Alert] = {}
    silences: dict[str, Silence] = {}
    evidence: dict[str, str] = {}
    marks: dict[str, tuple[str, str]] = {}
    kept = list(pages)
    for page in kept:
        alerts.update((alert.episode, alert) for alert in page.alerts)
        silences.update((silence.id, silence) for silence in page.silences)
        evidence.update(page.evidence)
        marks.update(page.marks)
    return Page(
        alerts=tuple(alerts.values()),
        transitions=tuple(chain.from_iterable(page.transitions for page in kept)),
        notices=tuple(chain.from_iterable(page.notices for page in kept)),
        silences=tuple(silences.values()),
        evidence=evidence,
        marks=marks,
    )
