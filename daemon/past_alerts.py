"""Alerts out of the book, as documents: for the command line and for HTTP, with or without a running daemon."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import tzinfo
from pathlib import Path

from daemon.asked import moment_asked
from daemon.asked_alerts import ACTIVE
from daemon.documents import Document
from daemon.documents_alerts import (
    Span,
    alert_documents,
    notice_document,
    review_document,
    silence_document,
    statistics_document,
    story_document,
)
from history.book.book import book_path
from history.book.reader import MOST, BookReader, open_book_reader
from toban.alerts import Alert, Severity, Standing, State
from toban.clock import Clock
from toban.language import Language

MOST_OPEN = 20_000  # a storm is counted as it is


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
        most = MOST_OPEN if states == ACTIVE else MOST
        found = self.reader.alerts(states=states, since=begin, target=target, severity=severity, most=most)
        return alert_documents(found, self.zone, self.language)

    def active(self) -> Sequence[Alert]:
        """All that are not over."""
        return self.reader.alerts(states=ACTIVE, most=MOST_OPEN)

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
