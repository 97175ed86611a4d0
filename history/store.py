"""The open state file, as one thread sees it: made safely, written in groups, set aside when it is beyond use.

Everything here blocks and may raise; `recording.History` calls it on the worker's thread and turns what it raises
into values.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

from history.catalogue import Catalogue
from history.entries import Entry, pack_entry
from history.failures import OURS, VanishedStateError
from history.housekeeping import chores
from history.migration import STATE, Line, check_version, migrate, transaction
from history.rates import BREAK
from history.retention import Retention
from history.sql import query
from toban.clock import moment
from toban.events import Event
from toban.statements import StatementUse

BUSY_SECONDS = 2.0
MOST_LETTERS = 2000  # of each text of an event
WAL_LIMIT_BYTES = 8 * 1024**2
_HEADER_BYTES = 64
_VERSION_AT = slice(60, 64)  # where SQLite's header has user_version
_PRAGMAS = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # counts only before the first table
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",  # a power cut may cost the last seconds, never the file
    f"PRAGMA journal_size_limit = {WAL_LIMIT_BYTES}",
)


class Store:
    """One connection, for one thread."""

    def __init__(self, path: Path) -> None:
        self.path = path
        prepare(path)
        self.connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            for pragma in _PRAGMAS:
                self.connection.execute(pragma)
            migrate(self.connection)
            self.catalogue = Catalogue(self.connection)
            self._identity = identity(path)
        except BaseException:  # raised again, once what was begun is cleared away
            self.connection.close()
            raise

    def write(self, entries: Iterable[Entry]) -> int:
        """Commit these entries together. Returns how many readings there was no room for."""
        if identity(self.path) != self._identity:
            raise VanishedStateError
        try:
            with transaction(self.connection):
                return sum(self._write(entry) for entry in entries)
        except OURS as error:
            self.catalogue.forget()
            raise ValueError(f"an entry that cannot be written: {error}") from error
        except BaseException:  # raised again, once what was begun is cleared away
            self.catalogue.forget()  # ids given in a transaction that was rolled back belong to nobody
            raise

    def chores(self, now: float, present_at: float, retention: Retention) -> Iterator[None]:
        """The housekeeping that is due, in small steps."""
        return chores(self.connection, self.catalogue.forget, now, present_at, retention)

    def fact(self, name: str) -> float | None:
        """A remembered number."""
        row = self.connection.execute(query("fact_get"), (name,)).fetchone()
        return None if row is None else float(row[0])

    def remember(self, name: str, value: float) -> None:
        """Remember a number."""
        self.connection.execute(query("fact_put"), (name, value))

    def recall(self, target: str, name: str) -> str | None:
        """What a collector has said to be remembered."""
        row = self.connection.execute(query("memory_get"), (target, name)).fetchone()
        return None if row is None else str(row[0])

    def close(self) -> None:
        """Part from the file; what is committed goes into it."""
        self.connection.close()

    def _write(self, entry: Entry) -> int:
        ids = self.catalogue.series(entry)
        readings = [(i, value) for i, value in zip(ids, entry.values, strict=True) if i is not None]
        if readings:
            known, values = zip(*readings, strict=True)
            if entry.broken:
                self._append(entry.at_ms - 1, known, (BREAK,) * len(known))
            self._append(entry.at_ms, known, values)
        self._write_statements(entry)
        self._write_events(entry)
        return len(ids) - len(readings)

    def _append(self, at_ms: int, ids: Iterable[int], values: Iterable[float]) -> None:
        self.connection.execute(query("journal_append"), (at_ms, pack_entry(ids, values)))

    def _write_statements(self, entry: Entry) -> None:
        target, at = entry.shape.target, entry.at_ms // 1000
        if entry.uses:
            rows = [(at, self.catalogue.statement(target, use), *_costs(use)) for use in entry.uses]
            self.connection.executemany(query("statement_use_add"), rows)
        if entry.texts:
            self.connection.executemany(
                query("statement_text_add"), [(target, text.queryid, text.text) for text in entry.texts]
            )

    def _write_events(self, entry: Entry) -> None:
        target = entry.shape.target
        if entry.events:
            rows = [_written(round(event.at * 1000), target, event) for event in entry.events]
            self.connection.executemany(query("event_add"), rows)
        if entry.memories:
            words = [(target, memory.name, entry.at_ms, _writable(memory.body)) for memory in entry.memories]
            self.connection.executemany(query("memory_put"), words)


def _written(at: float, target: str, event: Event) -> tuple[float | str, ...]:
    texts = (str(event.kind), event.subject, event.before, event.after, event.detail)
    return (at, target, *(_writable(text[:MOST_LETTERS]) for text in texts))


def _writable(text: str) -> str:
    """A file's name may have bytes that are no text."""
    return text.encode("utf-8", "backslashreplace").decode()


def set_aside(path: Path, now: float) -> Path:
    """Move a file that is beyond use out of the way, its write-ahead log with it; nothing is deleted."""
    aside = path.with_name(f"{path.name}.corrupt-{moment(now):%Y%m%dT%H%M%SZ}")
    number = 1
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.corrupt-{moment(now):%Y%m%dT%H%M%SZ}-{number}")
    for suffix in ("-wal", "-shm", ""):
        companion = path.with_name(path.name + suffix)
        if companion.exists():
            companion.rename(aside.with_name(aside.name + suffix))
    return aside


def _costs(use: StatementUse) -> tuple[float, ...]:
    costs = (use.interval_seconds, use.calls, use.seconds, use.rows)
    return (*costs, use.hit_blocks, use.read_blocks, use.temp_blocks)


def prepare(path: Path, line: Line = STATE) -> None:
    """The directory, a file that nobody else may read, and a look at its version before SQLite touches it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        header = os.read(descriptor, _HEADER_BYTES)
    finally:
        os.close(descriptor)
    if header.startswith(b"SQLite format 3\0"):
        check_version(int.from_bytes(header[_VERSION_AT], "big"), line)


def identity(path: Path) -> tuple[int, int]:
    """Which file this is: a path may lead to another one by now."""
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise VanishedStateError from error
    return found.st_dev, found.st_ino
