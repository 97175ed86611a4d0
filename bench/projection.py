"""How large the history becomes: what was measured in a few minutes, carried on to the full retention.

The method: every kept metric is carried on by drawing from the steps that its liveliest series really took, so each
database counts as busy as the busiest; drawn steps are more random than real ones, and pack worse. They are packed
by the history's own code into a file with the history's own schema, one chunk for each stretch that the retention
keeps, one row for each statement and interval. The size is the file's, with its write-ahead log and the pages it
keeps free at their limits.
"""

import math
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from pathlib import Path

from history.chunks import journal, packed_readings
from history.housekeeping import FREE_PAGES
from history.migration import migrate
from history.packing import pack_readings, pack_slots
from history.rates import Reading
from history.retention import COARSE, FINE, RAW, Resolution, Retention
from history.slots import counter_slots, gauge_slots, merge_slots
from history.store import WAL_LIMIT_BYTES

SEED = 20
FOREVER = 2**40
PAGE_BYTES = 4096
POINT_BYTES = 12  # a reading in the journal
HOUR_SECONDS = 3600
COUNTER = "counter"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The liveliest series of one metric, and how many like it there are."""

    counter: bool
    series: int
    readings: Sequence[Reading]


@dataclass(frozen=True, slots=True, kw_only=True)
class Uses:
    """What the statements left behind."""

    rows_per_interval: int
    interval_seconds: float
    statements: int


def full_size_bytes(state: Path, scratch: Path) -> int:
    """The size at full retention of the history that this state file has the beginning of."""
    with closing(sqlite3.connect(f"file:{state}?mode=ro", uri=True)) as measured:
        metrics = list(_metrics(measured))
        uses = _uses(measured)
    with closing(sqlite3.connect(scratch)) as full:
        migrate(full)
        _fill_chunks(full, metrics, Retention())
        _fill_statements(full, uses, Retention())
        full.commit()
    hour_bytes = sum(len(m.readings) / _lasted(m.readings) * m.series for m in metrics) * HOUR_SECONDS * POINT_BYTES
    return scratch.stat().st_size + round(hour_bytes) + WAL_LIMIT_BYTES + FREE_PAGES * PAGE_BYTES


def _metrics(state: sqlite3.Connection) -> Iterator[Measured]:
    arrived, _ = journal(state, 0, FOREVER * 1000)
    by_metric: dict[str, list[tuple[str, list[Reading]]]] = {}
    for number, metric, type_ in state.execute("SELECT id, metric, type FROM series"):
        late = arrived[number].readings() if number in arrived else []
        readings = packed_readings(state, number, 0, FOREVER) + late
        known = [reading for reading in readings if not math.isnan(reading[1])]  # a break
        by_metric.setdefault(metric, []).append((type_, known))
    for series in by_metric.values():
        type_, liveliest = max(series, key=lambda each: len(set(steps(each[1], counter=each[0] == COUNTER))))
        yield Measured(counter=type_ == COUNTER, series=len(series), readings=liveliest)


def _uses(state: sqlite3.Connection) -> Uses:
    intervals = state.execute("SELECT at, count(*) FROM statement_use GROUP BY at ORDER BY at").fetchall()
    (statements,) = state.execute("SELECT count(*) FROM statement").fetchone()
    if len(intervals) < 2:  # noqa: PLR2004 - an interval has two ends
        return Uses(
            rows_per_interval=max((n for _, n in intervals), default=0), interval_seconds=60, statements=statements
        )
    seconds = (intervals[-1][0] - intervals[0][0]) / (len(intervals) - 1)
    return Uses(rows_per_interval=max(n for _, n in intervals), interval_seconds=seconds, statements=statements)


def steps(readings: Sequence[Reading], *, counter: bool) -> list[float]:
    """What a series did from one reading to the next: a counter's growth, a gauge's new value."""
    if counter:
        return [max(after - before, 0.0) for (_, before), (_, after) in pairwise(readings)] or [0.0]
    return [value for _, value in readings] or [0.0]


def carried_on(measured: Measured, seconds: int, draw: random.Random) -> list[Reading]:
    """So many seconds of readings, drawn from the intervals and steps that were measured."""
    gaps = [after - before for (before, _), (after, _) in pairwise(measured.readings)] or [300_000]
    number = round(seconds * 1000 / (sum(gaps) / len(gaps)))
    drawn = draw.choices(steps(measured.readings, counter=measured.counter), k=number)
    values = accumulate(drawn, initial=measured.readings[0][1] if measured.readings else 0.0)
    moments = accumulate(draw.choices(gaps, k=number))
    return list(zip(moments, list(values)[1:] if measured.counter else drawn, strict=True))


def bodies(measured: Measured, draw: random.Random) -> Mapping[Resolution, bytes]:
    """One packed chunk of each resolution."""
    readings = carried_on(measured, COARSE.chunk_seconds, draw)
    if measured.counter:
        slots = counter_slots(readings, FINE.seconds, COARSE.chunk_seconds)
    else:
        slots = gauge_slots(readings, FINE.seconds)
    return {
        RAW: pack_readings([reading for reading in readings if reading[0] < RAW.chunk_seconds * 1000]),
        FINE: pack_slots([slot for slot in slots if slot.at < FINE.chunk_seconds]),
        COARSE: pack_slots(merge_slots(slots, COARSE.seconds)),
    }


def chunks_kept(retention: Retention) -> Mapping[Resolution, int]:
    """The most chunks a series has of each resolution: its age, and what waits for a whole chunk of the next."""
    return {
        RAW: round(retention.raw_seconds + FINE.chunk_seconds) // RAW.chunk_seconds,
        FINE: round(retention.fine_seconds - retention.raw_seconds + COARSE.chunk_seconds) // FINE.chunk_seconds,
        COARSE: round(retention.coarse_seconds - retention.fine_seconds) // COARSE.chunk_seconds + 1,
    }


def _fill_chunks(full: sqlite3.Connection, metrics: Sequence[Measured], retention: Retention) -> None:
    draw = random.Random(SEED)  # noqa: S311 - drawn for a size, not for a secret
    packed = list(chain.from_iterable([bodies(measured, draw)] * measured.series for measured in metrics))
    for resolution, kept in chunks_kept(retention).items():
        for place in range(kept):  # in the order in which time would write them
            rows = [
                (resolution.seconds, place * resolution.chunk_seconds, number, each[resolution])
                for number, each in enumerate(packed)
            ]
            full.executemany("INSERT INTO chunk (resolution, start, series_id, body) VALUES (?, ?, ?, ?)", rows)


def _fill_statements(full: sqlite3.Connection, uses: Uses, retention: Retention) -> None:
    intervals = round((retention.raw_seconds + RAW.chunk_seconds) / uses.interval_seconds)
    hours = round(retention.fine_seconds - retention.raw_seconds) // HOUR_SECONDS
    for table, moments, width, rows in (
        ("statement_use", intervals, uses.interval_seconds, uses.rows_per_interval),
        ("statement_hour", hours, HOUR_SECONDS, uses.statements),
    ):
        costs = (width, 123.0, 0.123456789, 1234.0, 12345.0, 12.0, 0.0)
        full.executemany(
            f"INSERT INTO {table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            ((round(moment * width), statement, *costs) for moment in range(moments) for statement in range(rows)),
        )


def _lasted(readings: Sequence[Reading]) -> float:
    return max(readings[-1][0] - readings[0][0], 1000) / 1000 if readings else float(HOUR_SECONDS)
