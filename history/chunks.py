"""Reading and placing the packed stretches, and what is still in the journal.

A stretch whose bytes a disk has spoilt is told in the log and passed over: it is hours of one series, and no reason to
part from a year of all of them. SQLite itself finds nothing wrong with such a file.
"""

import sqlite3
from array import array
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from typing import TypeVar

import structlog

from history.entries import ids_of, unpack_entry
from history.packing import PackingError, pack_readings, pack_slots, unpack_readings, unpack_slots
from history.rates import LONGEST_GAP_SECONDS, Reading
from history.readings import overlay, settle
from history.retention import COARSE, FINE, RAW, Resolution
from history.slots import Slot, counter_slots, gauge_slots, merge_slots, overlay_slots
from history.sql import query

T = TypeVar("T")
logger = structlog.get_logger(__name__)


class Arrived:
    """A series' readings out of the journal, compact, in the order of arrival."""

    __slots__ = ("moments", "values")

    def __init__(self) -> None:
        self.moments = array("q")
        self.values = array("d")

    def readings(self) -> list[Reading]:
        """In the order of time."""
        return settle(list(zip(self.moments, self.values, strict=True)))


def journal(
    connection: sqlite3.Connection, begin_ms: int, end_ms: int, wanted: AbstractSet[int] | None = None
) -> tuple[dict[int, Arrived], int]:
    """What arrived for a stretch of time by series, and the last journal id among it."""
    found: defaultdict[int, Arrived] = defaultdict(Arrived)
    last_id = 0
    for row_id, at_ms, body in connection.execute(query("journal_between"), (begin_ms, end_ms)):
        last_id = row_id
        if wanted is not None and wanted.isdisjoint(ids_of(body)):
            continue
        for series_id, value in unpack_entry(body):
            if wanted is None or series_id in wanted:
                arrived = found[series_id]
                arrived.moments.append(at_ms)
                arrived.values.append(value)
    return found, last_id


def lay_readings(connection: sqlite3.Connection, series_id: int, start: int, readings: list[Reading]) -> None:
    """Put an hour's readings of a series into their chunk, over what it has."""
    row = connection.execute(query("chunk_get"), (RAW.seconds, start, series_id)).fetchone()
    whole = overlay(_unpacked(unpack_readings, row[0]), readings) if row else readings
    connection.execute(query("chunk_put"), (RAW.seconds, start, series_id, pack_readings(whole)))


def lay_slots(
    connection: sqlite3.Connection, resolution: Resolution, series_id: int, start: int, slots: list[Slot]
) -> None:
    """Put a stretch's slots of a series into their chunk, over what it has."""
    row = connection.execute(query("chunk_get"), (resolution.seconds, start, series_id)).fetchone()
    whole = overlay_slots(_unpacked(unpack_slots, row[0]), slots) if row else slots
    connection.execute(query("chunk_put"), (resolution.seconds, start, series_id, pack_slots(whole)))


def packed_readings(connection: sqlite3.Connection, series_id: int, begin: int, end: int) -> list[Reading]:
    """The packed readings of a series in the chunks that begin within a span."""
    rows = connection.execute(query("chunk_between"), (RAW.seconds, begin, end, series_id))
    return [reading for (body,) in rows for reading in _unpacked(unpack_readings, body)]


def packed_slots(
    connection: sqlite3.Connection, resolution: Resolution, series_id: int, begin: int, end: int
) -> list[Slot]:
    """The packed slots of a series in the chunks that begin within a span."""
    rows = connection.execute(query("chunk_between"), (resolution.seconds, begin, end, series_id))
    return [slot for (body,) in rows for slot in _unpacked(unpack_slots, body)]


def coarser(connection: sqlite3.Connection, resolution: Resolution, series_id: int, start: int) -> list[Slot]:
    """What becomes of a series' stretch when it moves on to the next resolution."""
    if resolution is not RAW:
        fine = packed_slots(connection, FINE, series_id, start, start + COARSE.chunk_seconds)
        return merge_slots(fine, COARSE.seconds)
    end = start + FINE.chunk_seconds
    readings = packed_readings(connection, series_id, start, end)
    if not _is_counter(connection, series_id):
        return gauge_slots(readings, FINE.seconds)
    span = (RAW.seconds, end, end + int(LONGEST_GAP_SECONDS), series_id)
    row = connection.execute(query("chunk_next"), span).fetchone()
    following = _unpacked(unpack_readings, row[0])[:1] if row else []
    return counter_slots(readings + following, FINE.seconds, end)


def _unpacked(unpack: Callable[[bytes], list[T]], body: bytes) -> list[T]:
    try:
        return unpack(body)
    except PackingError as error:
        logger.warning("history_chunk_spoilt", why=str(error)[:200])
        return []


def _is_counter(connection: sqlite3.Connection, series_id: int) -> bool:
    row = connection.execute(query("series_counter"), (series_id,)).fetchone()
    return bool(row and row[0])
