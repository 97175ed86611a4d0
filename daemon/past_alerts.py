"""Alerts out of the book, as documents: for the command line and for HTTP, with or without a running daemon."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path
from typing import TypeVar

from daemon.asked import moment_asked
from daemon.asked_alerts import ACTIVE
from daemon.documents import Document
from daemon.documents_alerts import (
    Span,
    alert_documents,
    counts_document,
    notice_document,
    review_document,
    silence_document,
    statistics_document,
    story_document,
)
from history.book.book import book_path
from history.book.reader import BookReader, open_book_reader
from toban.alerts import Severity, Standing, State
from toban.clock import Clock
from toban.errors import UnavailableError
from toban.language import Language

READ_SECONDS = 10.0
ReadT = TypeVar("ReadT")


class PastAlerts:
    """A book that is open, and what is asked of it."""

    def __init__(self, reader: BookReader, now: float, zone: tzinfo, language: Language = Language.EN) -> None:
        self.reader = reader
        self.now = now
        self.zone = zone
        self.language = language

    def alerts(
        self,
        *,
        every: bool = False,
        since: str | None = None,
        target: str | None = None,
        severity: Severity | None = None,
        state: State | None = None,
    ) -> list[Document]:
        """The active ones; with `every`, a span or a state also those that are over."""
        begin = None if since is None else moment_asked(since, self.now, self.zone)
        states = (state,) if state else tuple(State) if every or since is not None else ACTIVE
        found = self.reader.alerts(states=states, since=begin)
        chosen = (one for one in found if target in (None, one.key.target) and severity in (None, one.severity))
        return alert_documents(chosen, self.zone, self.language)

    def counts(self) -> dict[str, int]:
        """How many there are, by severity, as `toban status` has it."""
        return counts_document(self.reader.alerts(states=ACTIVE))

    def story(self, beginning: str) -> Document:
        """One alert with its life, its notices and its evidence."""
        alert = self.reader.alert(beginning)
        return story_document(
            alert,
            self.reader.transitions(alert.episode),
            reversed(self.reader.notices(episode=alert.episode)),
            self.reader.evidence(alert.episode),
            self.reader.mark(alert.episode),
            self.zone,
            self.language,
        )

    def episode(self, beginning: str) -> str:
        """The whole id."""
        return self.reader.alert(beginning).episode

    def silences(self, *, every: bool = False) -> list[Document]:
        """Those that have not ended, or all."""
        found = [silence_document(one, self.now, self.zone) for one in self.reader.silences()]
        return [one for one in found if every or one["standing"]]

    def dead(self) -> list[Document]:
        """What was given up."""
        return [notice_document(one, self.zone) for one in self.reader.notices(standing=Standing.DEAD)]

    def statistics(self, begin: float) -> Document:
        """Counts by severity, and how long people took."""
        return statistics_document(self.reader.statistics(begin, self.now), Span(begin, self.now), self.zone)

    def review(self, begin: float, targets: Iterable[str], goal_ratio: float) -> Document:
        """Per rule how often it fired, was answered, and was marked false; and how long the targets were up."""
        found = self.reader.review(begin, self.now)
        span = Span(begin, self.now)
        return review_document(found, span, self.zone, targets=targets, goal_ratio=goal_ratio)


@contextmanager
def open_past(state_path: Path, clock: Clock, zone: tzinfo, language: Language = Language.EN) -> Iterator[PastAlerts]:
    """The book, for reading."""
    with open_book_reader(book_path(state_path)) as reader:
        yield PastAlerts(reader, clock.now(), zone, language)


async def read_book(state_path: Path, clock: Clock, zone: tzinfo, read: Callable[[PastAlerts], ReadT]) -> ReadT:
    """Read on a thread, bounded: a hanging disk must not hold a request for ever."""

    def reading() -> ReadT:
        with open_past(state_path, clock, zone) as past:
            return read(past)

    try:
        async with asyncio.timeout(READ_SECONDS):
            return await asyncio.to_thread(reading)
    except TimeoutError:
        raise UnavailableError("the book", f"the disk did not answer within {READ_SECONDS:.0f} s") from None
