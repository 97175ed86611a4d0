"""The open book, as one thread sees it. Everything here blocks and may raise; `book.Book` makes values of it."""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path

from history.book import forms
from history.book.contract import Found, Page, in_digest
from history.failures import OURS, VanishedStateError
from history.migration import Line, migrate, transaction
from history.reading import connect_for_reading
from history.sql import query as any_query
from history.store import BUSY_SECONDS, WAL_LIMIT_BYTES, identity, prepare
from toban.alerts import Notice, Standing, What

BOOK = Line("history.book", 0x546F6241)  # "TobA"
DAY = 86400.0
EPISODE_SECONDS = 400 * DAY
EVIDENCE_SECONDS = 90 * DAY
MOST_EPISODES = 200_000
MOST_NOTICES = 1_000_000
MOST_EVIDENCE = 10_000
ROWS_PER_STEP = 500
PAGES_PER_STEP = 64
_PRAGMAS = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # counts only before the first table
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",  # what was committed outlives a power cut
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
)
query = partial(any_query, of="history.book")


class BookStore:
    """One connection, for one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        prepare(path, BOOK)
        self.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            for pragma in _PRAGMAS:
                self.connection.execute(pragma)
            migrate(self.connection, BOOK)
            self._identity = identity(path)
        except BaseException:  # raised again, once what was begun is cleared away
            self.connection.close()
            raise

    def write(self, pages: Iterable[Page], now: float) -> None:
        """Commit all of these pages at once, in their order."""
        if identity(self.path) != self._identity:
            raise VanishedStateError
        try:
            with transaction(self.connection):
                for page in pages:
                    self._write(page, now)
        except OURS as error:
            raise ValueError(f"a page that cannot be written: {error}") from error

    def load(self, most_notices: int, now: float) -> Found:
        """What a daemon that starts takes up again. What was in flight is pending from now on, perhaps sent.

        A full disk, one that may only be read, or a file that somebody has locked is no reason to forget what is known.
        """
        with suppress(sqlite3.OperationalError), transaction(self.connection):
            self.connection.execute(query("notice_take_up"))
        return _found(self.connection, most_notices, now)

    def pending(self, known: frozenset[str], most: int) -> tuple[Notice, ...]:
        """The oldest notices that wait to be told and are not known."""
        keys = (key for (key,) in self.connection.execute(query("notice_waiting_keys")) if key not in known)
        rows = [self.connection.execute(query("notice_get"), (key,)).fetchone() for key in list(islice(keys, most))]
        return tuple(forms.notices_read(rows))

    def members(self, digest: str) -> tuple[Notice, ...]:
        """What was taken into a digest."""
        return tuple(forms.notices_read(self.connection.execute(query("notice_members"), (in_digest(digest),))))

    def fact(self, name: str) -> float | None:
        """A remembered number."""
        row = self.connection.execute(query("fact_get"), (name,)).fetchone()
        return None if row is None else float(row[0])

    def remember(self, name: str, value: float) -> None:
        """Remember a number."""
        self.connection.execute(query("fact_put"), (name, value))

    def chores(self, present_at: float) -> Iterator[None]:
        """The housekeeping that is due, in small steps."""
        episodes = {"before": present_at - EPISODE_SECONDS, "most": MOST_EPISODES, "step": ROWS_PER_STEP}
        while self._expire_episodes(episodes):
            yield
        evidence = {"before": present_at - EVIDENCE_SECONDS, "most": MOST_EVIDENCE}
        for name, bounds in (
            ("notice_expire", episodes | {"most": MOST_NOTICES}),
            ("evidence_expire", episodes | evidence),
            ("silence_expire", episodes),
        ):
            while self.connection.execute(query(name), bounds).rowcount == ROWS_PER_STEP:
                yield
            yield
        self.connection.execute(f"PRAGMA incremental_vacuum({PAGES_PER_STEP})").fetchall()
        yield

    def close(self) -> None:
        """Part from the file; what is committed goes into it."""
        self.connection.close()

    def _write(self, page: Page, now: float) -> None:
        put = self.connection.executemany
        put(query("alert_put"), map(forms.alert_row, page.alerts))
        put(query("transition_put"), map(forms.transition_row, page.transitions))
        put(query("silence_put"), map(forms.silence_row, page.silences))
        put(query("evidence_put"), [(episode, now, body) for episode, body in page.evidence.items()])
        put(query("mark_put"), [(episode, now, *mark) for episode, mark in page.marks.items()])
        fresh = [notice for notice in page.notices if _fresh(notice)]
        put(query("notice_add"), map(forms.notice_row, fresh))
        for notice in page.notices:
            if not _fresh(notice):
                self._move(notice)

    def _move(self, notice: Notice) -> None:
        """Mostly it is there, and its body need not be written again."""
        moved = self.connection.execute(query("notice_move"), forms.moved_row(notice))
        if not moved.rowcount:
            self.connection.execute(query("notice_add"), forms.notice_row(notice))

    def _expire_episodes(self, bounds: Mapping[str, float]) -> bool:
        """One step; False when it was the last."""
        with transaction(self.connection):
            gone = self.connection.execute(query("alert_expire"), bounds).fetchall()
            self.connection.executemany(query("transition_expire"), gone)
            self.connection.executemany(query("mark_expire"), gone)
        return len(gone) == ROWS_PER_STEP


def found_unwritten(path: Path, most_notices: int, now: float) -> Found:
    """What a daemon takes up again out of a book that cannot be written, such as one on a disk mounted read-only."""
    with closing(connect_for_reading(path, BOOK)) as connection:
        return _found(connection, most_notices, now)


def _found(connection: sqlite3.Connection, most_notices: int, now: float) -> Found:
    threads: dict[tuple[str, str], Mapping[str, str]] = {}
    for episode, channel, receipt, _ in connection.execute(query("notice_threads")):
        threads.setdefault((episode, channel), forms.receipt_read(receipt))
    waiting = forms.notices_read(connection.execute(query("notice_waiting"), (most_notices,)))
    return Found(
        alerts=tuple(forms.alerts_read(connection.execute(query("alert_open")))),
        notices=tuple(map(_taken_up, waiting)),
        silences=tuple(forms.silences_read(connection.execute(query("silence_living"), (now,)))),
        threads=threads,
    )


def _taken_up(notice: Notice) -> Notice:
    """As `notice_take_up` has it, where that could not be written."""
    if notice.standing is not Standing.INFLIGHT or notice.what is What.ACTION:
        return notice
    return replace(notice, standing=Standing.PENDING, perhaps_sent=True)


def _fresh(notice: Notice) -> bool:
    return notice.standing is Standing.PENDING and notice.attempts == 0 and not notice.perhaps_sent
