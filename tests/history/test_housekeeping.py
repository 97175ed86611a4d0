"""Readings move on by age, each in one place only; what is too old goes; a wrong clock wipes nothing."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from history import housekeeping
from history import recording as recording_module
from history.reading import open_reader
from history.recording import History
from history.retention import Retention
from tests.builders import ManualClock, a_collection, a_sample
from tests.recorded import FULL_HOUR, HOUR, commits, load, means, read, record, recording
from toban.samples import Sample
from toban.statements import StatementText, StatementUse

DAY = 24 * HOUR
SHORT = Retention(raw_seconds=2 * HOUR, fine_seconds=DAY, coarse_seconds=10 * DAY)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state file is to be."""
    return tmp_path / "state.db"


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a full hour."""
    return ManualClock(now=FULL_HOUR)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Housekeeping without its pauses between steps."""
    monkeypatch.setattr(recording_module, "STEP_PAUSE_SECONDS", 0.0)


@contextmanager
def opened(state: Path) -> Iterator[sqlite3.Connection]:
    """A look into the file itself."""
    with closing(sqlite3.connect(state)) as connection:
        yield connection


def counts(state: Path) -> dict[object, int]:
    """Rows of the journal, and chunks by resolution."""
    with opened(state) as connection:
        rows = connection.execute("SELECT resolution, count(*) FROM chunk GROUP BY 1").fetchall()
        return dict(rows) | {"journal": connection.execute("SELECT count(*) FROM journal").fetchone()[0]}


async def live(history: History, clock: ManualClock, seconds: float, *, every: float = 60.0, rate: float = 2.0) -> None:
    """Time passes with a counter that grows at a steady rate and a gauge that stands, and a daemon that tends."""
    for n in range(int(seconds / every)):
        history.offer(commits(clock, clock.monotonic() * rate))
        history.offer(load(clock, 5.0))
        clock.advance(every)
        if n % 30 == 29:
            assert await history.flush()
            await history.tend()
    assert await history.flush()
    await history.tend()


async def test_housekeeping_packs_an_hour_that_is_over(state: Path, clock: ManualClock) -> None:
    """The journal holds the running hour; the values read the same before and after."""
    async with recording(state, clock) as history:
        await record(history, clock, [15.0 * n for n in range(240)])
        before = read(state, "*load1", clock).points
        await history.tend()
        assert counts(state) == {"journal": 480}
        clock.advance(60)
        await history.tend()
        assert counts(state) == {"journal": 0, 0: 2}
        assert [p.mean for p in read(state, "*load1", clock, back=HOUR + 60).points] == [p.mean for p in before]


async def test_housekeeping_leaves_what_comes_late_in_the_journal(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reading that arrives while its hour is being packed is not cleared with it."""
    late = clock.now() + 100
    async with recording(state, clock) as history:
        await record(history, clock, [1.0, 2.0])
        clock.advance(2 * HOUR)
        store = await history._file.opened()
        assert store is not None
        steps = await history._file.call(history._begin_chores, store)
        await history._file.call(next, steps)
        history.offer(a_collection(a_sample(load(clock, 0.0).samples[0].metric, 9.0, taken_at=late)))
        assert await history.flush()
        while await history._file.call(next, steps, "done") != "done":
            pass
        assert means(read(state, "*load1", clock, back=3 * HOUR)) == [1.0, 2.0, 9.0]
        await history.tend()
        assert counts(state)["journal"] == 0
        assert means(read(state, "*load1", clock, back=3 * HOUR)) == [1.0, 2.0, 9.0]


async def test_housekeeping_moves_readings_on_by_age(state: Path, clock: ManualClock) -> None:
    """After some days there are readings, 5-minute slots and hourly slots, and each tells the same of a steady load."""
    async with recording(state, clock, retention=SHORT) as history:
        await live(history, clock, 9 * DAY, every=300.0)
        found = counts(state)
        assert min(found.get(resolution, 0) for resolution in (0, 300, 3600)) > 0
        for metric, steady in (("*load1", 5.0), ("*commit", 2.0)):
            series = read(state, metric, clock, back=9 * DAY, width=9 * 24)
            assert {round(mean, 6) for mean in means(series)} == {steady}
            assert len(series.points) >= 9 * 24 - 1
            assert (series.lowest, series.highest) == (steady, steady)


async def test_housekeeping_leaves_no_hole_where_chunks_meet(state: Path, clock: ManualClock) -> None:
    """The rate from a chunk's last reading to the next chunk's first is kept: every 5 minutes of a day have theirs."""
    async with recording(state, clock, retention=SHORT) as history:
        await live(history, clock, 1.2 * DAY, every=300.0)
        assert counts(state)[300] > 2
        with open_reader(state) as reader:
            (series,) = reader.series("*commit", since=FULL_HOUR, until=FULL_HOUR + DAY, width=288)
    assert len(series.points) == 288


async def test_housekeeping_makes_slots_that_keep_to_the_span_asked_for(state: Path, clock: ManualClock) -> None:
    """What lies before the span, in the same chunk, has no part in it."""
    async with recording(state, clock, retention=SHORT) as history:
        clock.advance(-FULL_HOUR % (DAY / 2))
        begin = clock.now()
        for value in (1000.0, 1.0, 1.0):
            for _ in range(12):
                history.offer(load(clock, value))
                clock.advance(300)
        assert await history.flush()
        clock.advance(DAY)
        await history.tend()
        assert counts(state) == {"journal": 0, 300: 1}
        with open_reader(state) as reader:
            (series,) = reader.series("*load1", since=begin + HOUR, until=clock.now(), width=240)
    assert (series.highest, series.mean) == (1.0, 1.0)


async def test_housekeeping_expires_what_is_too_old(state: Path, clock: ManualClock) -> None:
    """Nothing outlives its retention by more than a chunk, and a series without anything left is forgotten."""
    async with recording(state, clock, retention=SHORT) as history:
        history.offer(commits(clock, 1.0, "dropped long ago"))
        for _ in range(18):
            await live(history, clock, DAY, every=1800.0)
        with open_reader(state) as reader:
            (series,) = reader.series("*commit", since=clock.now() - 30 * DAY, until=clock.now(), width=30 * 24)
        assert series.labels == {"datname": "shop"}
        assert clock.now() - 15 * DAY <= series.points[0].at <= clock.now() - 9 * DAY
        history.offer(commits(clock, 1.0, "dropped long ago"))
        assert await history.flush()
        with open_reader(state) as reader:
            assert len(reader.names("*commit")) == 2


async def test_housekeeping_wipes_nothing_when_the_clock_leaps(state: Path, clock: ManualClock) -> None:
    """A year ahead for an hour, then right again: all of yesterday is still there."""
    async with recording(state, clock) as history:
        await live(history, clock, DAY, every=300.0)
        clock.jump(365 * DAY)
        await live(history, clock, HOUR, every=300.0)
        clock.jump(-365 * DAY)
        await live(history, clock, HOUR, every=300.0)
        series = read(state, "*load1", clock, back=26 * HOUR, width=26 * 12)
    assert len(series.points) >= 25 * 12


async def test_housekeeping_survives_being_killed_between_two_steps(state: Path, clock: ManualClock) -> None:
    """At whichever step the process ends, the next one reads and goes on with exactly the same values."""
    wanted = [15.0 * n for n in range(240)]
    async with recording(state, clock) as history:
        await record(history, clock, wanted)
        clock.advance(600)
    for taken in range(4):
        async with recording(state, clock) as history:
            store = await history._file.opened()
            assert store is not None
            steps = await history._file.call(history._begin_chores, store)
            for _ in range(taken):
                await history._file.call(next, steps, None)
        assert means(read(state, "*load1", clock, back=2 * HOUR, width=5000)) == wanted
        assert set(means(read(state, "*commit", clock, back=2 * HOUR, width=5000))) == {1.0}
    async with recording(state, clock) as history:
        await history.tend()
    assert means(read(state, "*load1", clock, back=2 * HOUR, width=5000)) == wanted
    assert counts(state) == {"journal": 0, 0: 2}


async def test_housekeeping_sums_statements_up_by_the_hour(state: Path, clock: ManualClock) -> None:
    """The sums are those of the intervals, before and after; then they expire, and their texts with them."""
    async with recording(state, clock, retention=SHORT) as history:
        for _ in range(180):
            clock.advance(60)
            rows = (_use(), StatementText(queryid="7", text="select $1"))
            history.offer(a_collection(a_sample(), collector="statements", taken_at=clock.now(), rows=rows))
        assert await history.flush()
        clock.advance(1)
        await history.tend()
        for _ in range(2):
            clock.advance(2 * HOUR)
            await history.tend()
            with open_reader(state) as reader:
                (one,) = reader.statements(since=FULL_HOUR, until=clock.now())
            assert (one.use.calls, one.use.interval_seconds, one.text) == (180.0, 10_800.0, "select $1")
        with opened(state) as connection:
            assert connection.execute("SELECT count(*) FROM statement_hour").fetchone()[0] > 0
            assert connection.execute("SELECT count(*) FROM statement_use").fetchone()[0] == 0
        for _ in range(3):
            clock.advance(DAY)
            await history.tend()
        with opened(state) as connection:
            tables = ("statement", "statement_text", "statement_use", "statement_hour")
            left = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    assert left == [0, 0, 0, 0]


async def test_housekeeping_gives_pages_back(state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was freed leaves the file, but for what the next hour will take."""
    monkeypatch.setattr(housekeeping, "FREE_PAGES", 5)
    async with recording(state, clock, retention=SHORT) as history:
        for n in range(100):
            history.offer(a_collection(*_many(clock, n)))
            clock.advance(30)
        assert await history.flush()
        clock.advance(HOUR)
        await history.tend()
        with opened(state) as connection:
            assert connection.execute("PRAGMA freelist_count").fetchone()[0] <= 5


async def test_housekeeping_ends_when_the_file_was_changed_for_another(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps that belong to a file which is no longer open are not taken."""
    async with recording(state, clock) as history:
        await record(history, clock, [15.0 * n for n in range(240)])
        clock.advance(600)

        async def replace(_seconds: float) -> None:
            await history._file.part()

        monkeypatch.setattr("history.recording.asyncio.sleep", replace)
        await history.tend()
        assert counts(state) == {"journal": 480}


def _use() -> StatementUse:
    return StatementUse(
        queryid="7",
        datname="shop",
        usename="app",
        interval_seconds=60.0,
        calls=1.0,
        seconds=1.0,
        rows=1.0,
        hit_blocks=1.0,
        read_blocks=1.0,
        temp_blocks=1.0,
    )


def _many(clock: ManualClock, n: int) -> list[Sample]:
    return [commits(clock, float(n), f"db{number}").samples[0] for number in range(200)]


async def test_housekeeping_sweeps_again_after_it_did_so_under_a_wrong_clock(state: Path, clock: ManualClock) -> None:
    """What was swept in ten years is no reason to leave everything lying until then."""
    async with recording(state, clock) as history:
        store = await history._file.opened()
        assert store is not None
        await history._file.call(store.remember, "swept_at", clock.now() + 3650 * DAY)
        await history.tend()
        assert await history._file.call(store.fact, "swept_at") == clock.now()
