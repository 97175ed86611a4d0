"""What is done in the background, in steps of a few milliseconds: pack, roll up, sum up, expire, forget, give back.

`chores` is a generator: each `next` is one bounded transaction, and between two of them the writer has its turn. A
reading is always in one place, and each step moves it in one transaction, so being killed in between costs nothing.
"""

import sqlite3
from collections.abc import Callable, Iterator
from itertools import islice

from history.chunks import Arrived, coarser, journal, lay_readings, lay_slots
from history.migration import transaction
from history.retention import COARSE, DAY, FINE, RAW, Resolution, Retention, horizon
from history.sql import query

GRACE_SECONDS = 60  # a collection that began before the full hour may arrive after it
SERIES_PER_STEP = 8
CHUNKS_PER_STEP = 200
EVENTS_PER_STEP = 500
PAGES_PER_STEP = 64
FREE_PAGES = 1000  # kept for the next hour: giving pages back and taking them again is work for nothing
_SWEPT = "swept_at"


def chores(
    connection: sqlite3.Connection,
    forgotten: Callable[[], None],
    now: float,
    present_at: float,
    retention: Retention,
) -> Iterator[None]:
    """Everything that is due. `forgotten` is called when ids may have become invalid."""
    yield from _pack_journal(connection, now)
    yield from _roll(connection, RAW, FINE, horizon(present_at, retention.raw_seconds, FINE.chunk_seconds))
    yield from _roll(connection, FINE, COARSE, horizon(present_at, retention.fine_seconds, COARSE.chunk_seconds))
    expired = horizon(present_at, retention.coarse_seconds, COARSE.chunk_seconds)
    yield from _expire(connection, COARSE, expired)
    yield from _sum_statements(connection, horizon(present_at, retention.raw_seconds, RAW.chunk_seconds))
    yield from _expire_statements(connection, horizon(present_at, retention.fine_seconds, RAW.chunk_seconds))
    yield from _expire_events(connection, present_at - retention.event_seconds, retention.most_events)
    yield from _sweep(connection, forgotten, present_at, expired)
    yield from _vacuum(connection)


def _pack_journal(connection: sqlite3.Connection, now: float) -> Iterator[None]:
    """Each hour that is over, from the journal into one chunk a series."""
    while (hour := _oldest_hour(connection, "journal_oldest", 1000)) is not None:
        if hour + RAW.chunk_seconds + GRACE_SECONDS > now:
            return
        span = (hour * 1000, (hour + RAW.chunk_seconds) * 1000)
        arrived, last_id = journal(connection, *span)
        yield
        waiting = iter(arrived.items())
        while batch := list(islice(waiting, SERIES_PER_STEP)):
            with transaction(connection):
                for series_id, readings in batch:
                    _pack(connection, series_id, hour, readings)
            yield
        with transaction(connection):
            connection.execute(query("journal_clear"), (*span, last_id))
        yield


def _pack(connection: sqlite3.Connection, series_id: int, hour: int, arrived: Arrived) -> None:
    readings = arrived.readings()
    lay_readings(connection, series_id, hour, readings)
    connection.execute(query("series_seen"), (readings[-1][0], series_id))


def _roll(connection: sqlite3.Connection, fine: Resolution, coarse: Resolution, before: int) -> Iterator[None]:
    """What is old enough moves on, one stretch of one series at a time."""
    while row := connection.execute(query("chunk_oldest"), (fine.seconds, before)).fetchone():
        oldest, series_id = row
        start = oldest - oldest % coarse.chunk_seconds
        with transaction(connection):
            slots = coarser(connection, fine, series_id, start)
            if slots:
                lay_slots(connection, coarse, series_id, start, slots)
            span = (fine.seconds, start, start + coarse.chunk_seconds, series_id)
            connection.execute(query("chunk_drop"), span)
        yield


def _expire(connection: sqlite3.Connection, resolution: Resolution, before: int) -> Iterator[None]:
    while True:
        with transaction(connection):
            gone = connection.execute(query("chunk_expire"), (resolution.seconds, before, CHUNKS_PER_STEP)).rowcount
        if gone == 0:
            return
        yield


def _sum_statements(connection: sqlite3.Connection, before: int) -> Iterator[None]:
    """Intervals past their time become one row an hour and statement."""
    while (hour := _oldest_hour(connection, "statement_oldest", 1)) is not None and hour < before:
        span = {"start": hour, "end": hour + RAW.chunk_seconds}
        with transaction(connection):
            connection.execute(query("statement_sum"), span)
            connection.execute(query("statement_use_drop"), span)
        yield


def _expire_statements(connection: sqlite3.Connection, before: int) -> Iterator[None]:
    while (hour := _oldest_hour(connection, "statement_hour_oldest", 1)) is not None and hour < before:
        with transaction(connection):
            connection.execute(query("statement_hour_drop"), {"start": hour, "end": hour + RAW.chunk_seconds})
        yield


def _expire_events(connection: sqlite3.Connection, before: float, most: int) -> Iterator[None]:
    given = {"before": round(before * 1000), "most": most, "step": EVENTS_PER_STEP}
    while True:
        with transaction(connection):
            gone = connection.execute(query("event_expire"), given).rowcount
        if gone == 0:
            return
        yield


def _sweep(
    connection: sqlite3.Connection, forgotten: Callable[[], None], present_at: float, expired: int
) -> Iterator[None]:
    """Once a day: series and statements of which nothing is left, and what collectors said of targets long gone."""
    row = connection.execute(query("fact_get"), (_SWEPT,)).fetchone()
    if row and 0 <= present_at - row[0] < DAY:
        return
    with transaction(connection):
        connection.execute(query("series_forget"), (expired * 1000,))
        connection.execute(query("statement_forget"))
        connection.execute(query("statement_text_forget"))
        connection.execute(query("memory_forget"), {"before": expired * 1000})
        connection.execute(query("fact_put"), (_SWEPT, present_at))
    forgotten()
    yield


def _vacuum(connection: sqlite3.Connection) -> Iterator[None]:
    """Give pages back to the file system, once there are more than the next hour will take."""
    while connection.execute("PRAGMA freelist_count").fetchone()[0] > FREE_PAGES:
        connection.execute(f"PRAGMA incremental_vacuum({PAGES_PER_STEP})").fetchall()
        yield


def _oldest_hour(connection: sqlite3.Connection, name: str, per_second: int) -> int | None:
    (oldest,) = connection.execute(query(name)).fetchone()
    if oldest is None:
        return None
    at = int(oldest) // per_second
    return at - at % RAW.chunk_seconds
