"""The history's size at full retention, projected."""

import random
from pathlib import Path

import pytest

from bench.projection import Measured, bodies, carried_on, chunks_kept, full_size_bytes, steps
from history.entries import Entry, Shape
from history.packing import unpack_readings, unpack_slots
from history.retention import COARSE, FINE, RAW, Retention
from history.store import Store
from toban.samples import Metric, Type
from toban.statements import StatementUse

COUNTER = Metric(name="test_total", help="A counter", type=Type.COUNTER, kept=True)
GAUGE = Metric(name="test_ratio", help="A gauge", labels=("datname",), kept=True)
DRAW = random.Random(1)  # noqa: S311 - drawn for a size, not for a secret
READINGS = [(15_000 * n, float(10 * n)) for n in range(20)]


def measured(*, counter: bool) -> Measured:
    """A series that was read every 15 s."""
    return Measured(counter=counter, series=2, readings=READINGS)


def test_steps_of_a_counter_are_its_growth_and_a_reset_is_none() -> None:
    """A fall is no negative growth."""
    assert steps([(0, 5.0), (1, 7.0), (2, 1.0)], counter=True) == [2.0, 0.0]


def test_steps_of_a_gauge_are_its_values() -> None:
    """A gauge may stand anywhere it stood."""
    assert steps([(0, 5.0), (1, 7.0)], counter=False) == [5.0, 7.0]


def test_counter_carried_on_grows_at_the_pace_that_was_measured() -> None:
    """Ten more every 15 seconds is 2,400 in an hour."""
    found = carried_on(measured(counter=True), 3600, DRAW)
    assert (found[-1][0], found[-1][1]) == (3_600_000, 2400.0)


def test_gauge_carried_on_stands_only_where_it_stood() -> None:
    """What is drawn was measured."""
    found = carried_on(measured(counter=False), 3600, DRAW)
    assert {value for _, value in found} <= {value for _, value in READINGS}
    assert len(found) == 240


def test_series_read_once_is_carried_on_at_five_minutes() -> None:
    """Nothing is known of its cadence but that it is slow."""
    once = Measured(counter=False, series=1, readings=[(0, 1.0)])
    assert len(carried_on(once, 3600, DRAW)) == 12


@pytest.mark.parametrize("counter", [True, False])
def test_bodies_are_full_chunks_of_each_resolution(counter: bool) -> None:  # noqa: FBT001 - a parameter of pytest
    """An hour of readings, half a day of 5-minute slots, five days of hours: what a chunk holds when it is full."""
    found = bodies(measured(counter=counter), DRAW)
    assert len(unpack_readings(found[RAW])) in {239, 240}
    assert len(unpack_slots(found[FINE])) == 144
    assert len(unpack_slots(found[COARSE])) in {120, 121}


def test_chunks_kept_cover_the_retention_and_what_waits_to_move_on() -> None:
    """48 hours and half a day of hours; 33 days and five of half days; 365 days and one chunk of five days."""
    assert chunks_kept(Retention()) == {RAW: 60, FINE: 76, COARSE: 74}


def test_full_size_grows_with_the_series_that_are_kept(tmp_path: Path) -> None:
    """Ten databases take more room than one, statements included; no file is smaller than its log's limit."""
    few = full_size_bytes(state(tmp_path / "few", databases=1), tmp_path / "few-full")
    many = full_size_bytes(state(tmp_path / "many", databases=10), tmp_path / "many-full")
    assert 8e6 < few < many < 100e6


def state(path: Path, *, databases: int) -> Path:
    """A state file with a few minutes in it, as the daemon leaves it."""
    keys = ((COUNTER, ()), *((GAUGE, (f"database{n}",)) for n in range(databases)))
    shape = Shape("main", keys)
    store = Store(path)
    for at_ms, value in READINGS:
        uses = tuple(use(n) for n in range(databases)) if at_ms % 60_000 == 0 else ()
        store.write([Entry(shape=shape, at_ms=at_ms, values=(value,) * len(keys), uses=uses)])
    store.close()
    return path


def use(number: int) -> StatementUse:
    """What one statement cost in a minute."""
    costs = dict.fromkeys(("calls", "seconds", "rows", "hit_blocks", "read_blocks", "temp_blocks"), 1.0)
    return StatementUse(queryid=str(number), datname="a", usename="b", interval_seconds=60.0, **costs)
