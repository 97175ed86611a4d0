"""What was remembered can be read: by any process, while it is written, and with one clear line where it cannot."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from history.past import Point, condense
from history.reading import open_reader
from tests.builders import ManualClock
from tests.recorded import FULL_HOUR, commits, load, read, record, recording
from toban.errors import NotFoundError, UnavailableError
from toban.samples import Type


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state file is to be."""
    return tmp_path / "state.db"


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a full hour."""
    return ManualClock(now=FULL_HOUR)


async def test_reading_tells_a_series_with_its_figures(state: Path, clock: ManualClock) -> None:
    """Name, target, labels, unit and type; lowest, mean, highest and last; a counter as its rate."""
    async with recording(state, clock) as history:
        await record(history, clock, [0.0, 15.0, 60.0])
        gauge, counter = read(state, "*load1", clock), read(state, "*commit", clock)
    assert (gauge.name, gauge.target, gauge.labels) == ("toban_host_load1", "main", {})
    assert (gauge.lowest, gauge.mean, gauge.highest, gauge.last) == (0.0, 25.0, 60.0, 60.0)
    assert (counter.type, counter.labels) == (Type.COUNTER, {"datname": "shop"})
    assert (counter.lowest, counter.mean, counter.highest, counter.last) == (1.0, 2.0, 3.0, 3.0)


async def test_reading_condenses_to_the_width_asked_for(state: Path, clock: ManualClock) -> None:
    """Four points over a minute of readings each second, none lost in the extremes."""
    async with recording(state, clock) as history:
        await record(history, clock, [float(n) for n in range(60)], every=1.0)
        series = read(state, "*load1", clock, back=60.0, width=4)
    assert [(p.lowest, p.highest) for p in series.points] == [(0.0, 14.0), (15.0, 29.0), (30.0, 44.0), (45.0, 59.0)]


async def test_reading_keeps_to_its_span(state: Path, clock: ManualClock) -> None:
    """Nothing before `since`, nothing from `until` on."""
    async with recording(state, clock) as history:
        await record(history, clock, [float(n) for n in range(20)], every=60.0)
        with open_reader(state) as reader:
            (series,) = reader.series("*load1", since=FULL_HOUR + 120, until=FULL_HOUR + 240, width=100)
    assert [point.mean for point in series.points] == [2.0, 3.0]


async def test_reading_a_span_without_values_says_so(state: Path, clock: ManualClock) -> None:
    """The series is there, its figures are not."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        clock.advance(7200)
        series = read(state, "*load1", clock)
    assert (series.points, series.lowest, series.mean, series.highest, series.last) == ((), None, None, None, None)


async def test_reading_filters_by_target_and_bounds_the_number(state: Path, clock: ManualClock) -> None:
    """One target's series alone, and of those at most so many."""
    async with recording(state, clock) as history:
        for name in ("a", "b", "c"):
            history.offer(commits(clock, 1.0, name))
        assert await history.flush()
        clock.advance(1)
        with open_reader(state) as reader:
            assert len(reader.names("pg_*", "main")) == 3
            assert len(reader.series("pg_*", "main", since=0, until=clock.now(), most=2)) == 2
            with pytest.raises(NotFoundError, match="target elsewhere"):
                reader.names("pg_*", "elsewhere")


async def test_reading_an_unknown_metric_names_the_nearest(state: Path, clock: ManualClock) -> None:
    """A slip of the finger gets a suggestion, and exit status 1."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        with open_reader(state) as reader, pytest.raises(NotFoundError) as raised:
            reader.names("toban_host_lod")
    assert "toban_host_load1" in raised.value.hint
    assert raised.value.exit_status == 1


@pytest.mark.parametrize(("pattern", "filled", "hint"), [("xyzzy", True, "shows all"), ("x", False, "nothing is kept")])
async def test_reading_something_far_off_still_gives_a_hint(
    state: Path, clock: ManualClock, pattern: str, hint: str, *, filled: bool
) -> None:
    """Where nothing is near, how to see what there is; where there is nothing, that."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0] if filled else [])
        with open_reader(state) as reader, pytest.raises(NotFoundError) as raised:
            reader.names(pattern)
    assert hint in raised.value.hint


def test_reading_without_a_file_is_unavailable(state: Path) -> None:
    """One line, exit status 3, and no file is made by looking."""
    with pytest.raises(UnavailableError, match="does not exist") as raised, open_reader(state):
        pass
    assert raised.value.exit_status == 3
    assert not state.exists()


def test_reading_a_file_that_is_no_database_is_unavailable(state: Path) -> None:
    """The same for a file that is something else."""
    state.write_bytes(b"x" * 4096)
    with pytest.raises(UnavailableError, match="not a database") as raised, open_reader(state):
        pass
    assert "sets it aside" in raised.value.hint


def test_reading_a_database_of_another_program_is_unavailable(state: Path) -> None:
    """The same for somebody else's database."""
    with closing(sqlite3.connect(state)) as connection:
        connection.execute("CREATE TABLE invoices (id)")
        connection.commit()
    with pytest.raises(UnavailableError, match="another program"), open_reader(state):
        pass


async def test_reading_goes_on_while_the_daemon_writes(state: Path, clock: ManualClock) -> None:
    """A reader that is open sees each commit, and holds up none."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        with open_reader(state) as reader:
            for number in range(2, 5):
                history.offer(load(clock, float(number)))
                clock.advance(15)
                assert await history.flush()
                (series,) = reader.series("*load1", since=FULL_HOUR, until=clock.now(), width=1000)
                assert len(series.points) == number


def test_condense_without_anything_is_nothing() -> None:
    """No point and no figure."""
    assert condense([], 0.0, 60.0, 10) == ((), None)


def test_points_know_when_their_stretch_begins() -> None:
    """A point's time is the beginning of its stretch."""
    assert Point(1.0, 2.0, 3.0, 4.0).at == 1.0
