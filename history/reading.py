"""Reading the history, from any process and while the daemon writes: series and statements over a span of time."""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

from history.chunks import Arrived, journal
from history.failures import PRIMARY_CODE, explain
from history.migration import STATE, Line, check_ours, version_of
from history.past import Point, condense, past
from history.sql import query
from history.statefile import FAILURES
from toban.errors import NotFoundError, UnavailableError
from toban.events import Event, EventKind
from toban.outcomes import Failure, Reason
from toban.samples import Type, Unit
from toban.statements import StatementUse

BUSY_SECONDS = 2.0
WIDTH = 240  # points, where nobody asks for more or less
VERSION_WITH_EVENTS = 2
_KINDS = frozenset(EventKind)  # a later Toban may have written others


class SeriesName(NamedTuple):
    """One series of the file."""

    id: int
    target: str
    name: str
    labels: str  # canonical JSON
    type: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHistory:
    """A series over a span. A counter is told as its rate per second. Without any point the figures are None."""

    name: str
    target: str
    labels: dict[str, str]
    type: Type
    unit: Unit
    since: float
    until: float
    points: tuple[Point, ...]
    lowest: float | None
    mean: float | None
    highest: float | None
    last: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementHistory:
    """What a statement cost over a span, and its text where that is known."""

    target: str
    use: StatementUse
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent:
    """One thing that happened, and at which target."""

    target: str
    event: Event


class Reader:
    """A state file opened for reading alone. Make it with `open_reader`."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def names(self, pattern: str, target: str | None = None) -> tuple[SeriesName, ...]:
        """The series whose metric matches a shell pattern. None at all is an error that names the nearest metric."""
        with _explained(self._path):
            rows = self._connection.execute(query("series_matching"), {"metric": pattern, "target": target})
            found = tuple(map(SeriesName._make, rows))
            if not found:
                raise self._nothing(pattern, target)
        return found

    def series(
        self,
        pattern: str,
        target: str | None = None,
        *,
        since: float,
        until: float,
        width: int = WIDTH,
        most: int | None = None,
    ) -> tuple[SeriesHistory, ...]:
        """The first `most` series that match, each in at most `width` points."""
        names = self.names(pattern, target)[:most]
        with _explained(self._path), _snapshot(self._connection):
            return self._told(names, since, until, width)

    def several(self, metrics: Iterable[str], *, since: float, until: float, width: int) -> tuple[SeriesHistory, ...]:
        """All series of several metrics, out of one pass over what is not packed yet."""
        with _explained(self._path), _snapshot(self._connection):
            rows = (
                row
                for metric in sorted(metrics)
                for row in self._connection.execute(query("series_matching"), {"metric": metric, "target": None})
            )
            return self._told(tuple(map(SeriesName._make, rows)), since, until, width)

    def statements(
        self, target: str | None = None, *, since: float, until: float, by: str = "total", top: int = 10
    ) -> tuple[StatementHistory, ...]:
        """The dearest statements of a span: by `total` or `mean` seconds, or by `calls`."""
        given = {"target": target, "since": since, "until": until, "by": by, "top": top}
        with _explained(self._path):
            return tuple(_statement(*row) for row in self._connection.execute(query("statement_top"), given))

    def events(
        self, target: str | None = None, *, since: float, until: float, kind: EventKind | None = None, most: int = 100
    ) -> tuple[PastEvent, ...]:
        """What happened in a span, the latest first."""
        given = {"target": target, "since": since * 1000, "until": until * 1000, "kind": kind, "most": most}
        with _explained(self._path):
            if version_of(self._connection) < VERSION_WITH_EVENTS:
                return ()  # of an earlier Toban; the daemon brings it up to date when it starts
            rows = self._connection.execute(query("event_list"), given)
            return tuple(_event(*row) for row in rows if row[1] in _KINDS)

    def _told(self, names: tuple[SeriesName, ...], since: float, until: float, width: int) -> tuple[SeriesHistory, ...]:
        wanted = {name.id for name in names}
        arrived, _ = journal(self._connection, int(since * 1000) - 3_600_000, int(until * 1000), wanted)
        return tuple(self._one(name, arrived, since, until, width) for name in names)

    def _one(
        self, name: SeriesName, arrived: dict[int, Arrived], since: float, until: float, width: int
    ) -> SeriesHistory:
        waiting = arrived[name.id].readings() if name.id in arrived else []
        counter = name.type == Type.COUNTER
        slots = past(self._connection, name.id, waiting, since, until, (until - since) / width, counter=counter)
        points, whole = condense(slots, since, until, width)
        return SeriesHistory(
            name=name.name,
            target=name.target,
            labels=json.loads(name.labels),
            type=Type(name.type),
            unit=Unit(name.unit),
            since=since,
            until=until,
            points=points,
            lowest=whole.lowest if whole else None,
            mean=whole.mean if whole else None,
            highest=whole.highest if whole else None,
            last=(points[-1].mean if counter else whole.last) if whole else None,
        )

    def _nothing(self, pattern: str, target: str | None) -> NotFoundError:
        metrics = [row[0] for row in self._connection.execute(query("series_metrics"))]
        nearest = get_close_matches(pattern.strip("*"), metrics, n=3, cutoff=0.4)
        hint = f"the nearest: {', '.join(nearest)}" if nearest else "`toban history '*'` shows all there are"
        of = f" of target {target}" if target else ""
        return NotFoundError(
            f"history of {pattern}", f"no series{of} matches", hint if metrics else "nothing is kept yet"
        )


@contextmanager
def open_reader(path: Path) -> Iterator[Reader]:
    """A reader on the state file; UnavailableError where there is none, or none that can be read."""
    if not path.is_file():
        raise UnavailableError("history", f"{path} does not exist", "it is made by `toban run`")
    with _explained(path):
        connection = connect_for_reading(path)
    with closing(connection):
        yield Reader(connection, path)


def connect_for_reading(path: Path, line: Line = STATE) -> sqlite3.Connection:
    """A connection that cannot write, to a file of this line; raises where it is none.

    Where nothing can be made beside it (a disk mounted read-only) SQLite cannot read a file with a log, but as one that
    nobody changes: which it is while there is no log.
    """
    try:
        return _connected(path, line, "mode=ro")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_CANTOPEN or Path(f"{path.resolve()}-wal").exists():
            raise
    return _connected(path, line, "mode=ro&immutable=1")


def _connected(path: Path, line: Line, how: str) -> sqlite3.Connection:
    url = f"file://{quote(str(path.resolve()))}?{how}"
    connection = sqlite3.connect(url, uri=True, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        check_ours(connection, line)
    except BaseException:  # raised again, once what was begun is cleared away
        connection.close()
        raise
    return connection


@contextmanager
def _snapshot(connection: sqlite3.Connection) -> Iterator[None]:
    """One moment of the file for several queries: what moves on meanwhile is neither missed nor seen twice."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except FAILURES as error:
        failure: Failure = explain(error, path)
        hint = "the daemon sets it aside and begins a new one" if failure.reason is Reason.CORRUPT else failure.hint
        raise UnavailableError("history", failure.detail, hint) from error


def _event(target: str, kind: str, subject: str, before: str, after: str, *rest: Any) -> PastEvent:  # noqa: ANN401 - as SQLite gives them
    detail, at_ms = rest
    event = Event(kind=EventKind(kind), subject=subject, before=before, after=after, detail=detail, at=at_ms / 1000)
    return PastEvent(target=target, event=event)


def _statement(target: str, queryid: str, datname: str, usename: str, *costs: float | str) -> StatementHistory:
    interval, calls, seconds, rows, hit, read, temp, text = costs
    use = StatementUse(
        queryid=queryid,
        datname=datname,
        usename=usename,
        interval_seconds=float(interval),
        calls=float(calls),
        seconds=float(seconds),
        rows=float(rows),
        hit_blocks=float(hit),
        read_blocks=float(read),
        temp_blocks=float(temp),
    )
    return StatementHistory(target=target, use=use, text=str(text))
