"""What is offered is remembered, and nothing that happens to the file reaches the watch."""

import asyncio
import math
import sqlite3
from collections import deque
from collections.abc import Iterable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from history import recording as recording_module
from history.entries import Entry
from history.reading import open_reader
from history.recording import History
from history.store import Store
from tests.builders import START, ManualClock, a_collection, a_metric, a_sample
from tests.recorded import FULL_HOUR, LOAD, commits, load, means, read, record, recording
from tests.waiting import eventually
from toban.outcomes import Failure
from toban.samples import Collection
from toban.statements import StatementText, StatementUse


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state file is to be; not even its directory exists."""
    return tmp_path / "toban" / "state.db"


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a full hour."""
    return ManualClock(now=FULL_HOUR)


def trouble_of(history: History) -> Failure:
    """What it says is wrong."""
    assert history.trouble is not None
    return history.trouble


async def test_history_makes_its_directory_and_file_for_its_own_eyes(state: Path, clock: ManualClock) -> None:
    """0700 and 0600, the write-ahead log included."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        modes = {path.name: path.stat().st_mode & 0o777 for path in [state.parent, *state.parent.iterdir()]}
    assert modes == {"toban": 0o700, "state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}


async def test_history_remembers_a_gauge_and_the_rate_of_a_counter(state: Path, clock: ManualClock) -> None:
    """A gauge as measured, a counter as its growth per second."""
    async with recording(state, clock) as history:
        await record(history, clock, [100.0, 130.0, 175.0])
        assert means(read(state, "toban_host_load1", clock)) == [100.0, 130.0, 175.0]
        assert means(read(state, "pg_stat_database_xact_commit", clock)) == [2.0, 3.0]


async def test_history_keeps_only_what_is_kept_and_is_a_number(state: Path, clock: ManualClock) -> None:
    """Neither a metric that is not marked, nor NaN, nor infinity."""
    other = a_metric("toban_other")
    async with recording(state, clock) as history:
        samples = [a_sample(LOAD, value, taken_at=clock.now()) for value in (math.nan, math.inf)]
        history.offer(a_collection(*samples, a_sample(other, 1.0), a_sample(LOAD, 7.0, taken_at=clock.now())))
        assert await history.flush()
        clock.advance(1)
        with open_reader(state) as reader:
            assert [name.name for name in reader.names("*")] == ["toban_host_load1"]
        assert means(read(state, "toban_host_load1", clock)) == [7.0]


async def test_history_takes_samples_of_several_moments_in_one_collection(state: Path, clock: ManualClock) -> None:
    """Each reading goes to its own moment."""
    async with recording(state, clock) as history:
        samples = [a_sample(LOAD, float(n), taken_at=clock.now() + n) for n in range(3)]
        history.offer(a_collection(*samples))
        assert await history.flush()
        clock.advance(10)
        assert means(read(state, "toban_host_load1", clock, width=10_000)) == [0.0, 1.0, 2.0]


async def test_history_loses_nothing_and_lies_nothing_over_a_restart(state: Path, clock: ManualClock) -> None:
    """What was offered before the stop is there, and the rate across the restart is the mean over the gap."""
    async with recording(state, clock) as history:
        history.offer(commits(clock, 0.0))
    clock.advance(600)
    async with recording(state, clock) as history:
        await record(history, clock, [1200.0, 1230.0])
    assert means(read(state, "pg_stat_database_xact_commit", clock)) == [2.0, 2.0]


async def test_history_knows_no_rate_across_a_reset(state: Path, clock: ManualClock) -> None:
    """The server came back with its counters at zero: no spike, no negative rate."""
    async with recording(state, clock) as history:
        await record(history, clock, [1e9, 1e9 + 15, 0.0, 15.0])
    assert means(read(state, "pg_stat_database_xact_commit", clock)) == [1.0, 1.0]


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -10.0, 86400.0 * 400])
async def test_history_makes_no_false_rate_when_the_clock_is_set(state: Path, clock: ManualClock, jump: float) -> None:
    """An hour or a year forward, an hour or ten seconds back: every rate there is, is the true one."""
    async with recording(state, clock) as history:
        await record(history, clock, [15.0 * n for n in range(20)])
        clock.jump(jump)
        await record(history, clock, [15.0 * n for n in range(20, 40)])
        found = means(read(state, "pg_stat_database_xact_commit", clock, back=4 * 3600.0, width=10_000))
    assert len(found) >= 19
    assert set(found) == {1.0}


async def test_history_makes_no_false_rate_when_an_hour_is_lived_twice(state: Path, clock: ManualClock) -> None:
    """Set back across packed hours, the second life replaces the first; rates stay true at both joints."""
    async with recording(state, clock) as history:
        await record(history, clock, [15.0 * n for n in range(360)])
        clock.advance(120)
        await history.tend()
        clock.jump(-3600.0)
        await record(history, clock, [120.0 + 15.0 * n for n in range(360, 720)])
        clock.advance(3700)
        await history.tend()
        found = means(read(state, "pg_stat_database_xact_commit", clock, back=4 * 3600.0, width=20_000))
    assert set(found) == {1.0}


async def test_history_keeps_a_collector_quiet_only_once_after_the_clock_was_set(
    state: Path, clock: ManualClock
) -> None:
    """The break costs one interval; the next one has its rate."""
    async with recording(state, clock) as history:
        await record(history, clock, [0.0, 15.0])
        clock.jump(3600)
        await record(history, clock, [30.0, 45.0, 60.0])
        found = means(read(state, "pg_stat_database_xact_commit", clock, back=2 * 3600.0, width=10_000))
    assert found == [1.0, 1.0, 1.0]


async def test_history_waits_in_memory_while_there_is_no_disk(tmp_path: Path, clock: ManualClock) -> None:
    """A path that cannot be made: trouble says why, nothing is lost, and it comes right by itself."""
    obstacle = tmp_path / "toban"
    obstacle.write_text("a file where the directory should be")
    async with recording(obstacle / "state.db", clock) as history:
        assert str(obstacle) in trouble_of(history).detail
        history.offer(load(clock, 5.0))
        assert not await history.flush()
        obstacle.unlink()
        clock.advance(60)
        assert await history.flush()
        assert history.trouble is None
        assert means(read(obstacle / "state.db", "toban_host_load1", clock)) == [5.0]


async def test_history_bounds_what_waits(tmp_path: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest goes first, and is counted."""
    monkeypatch.setattr("history.recording.MOST_WAITING", 2000)
    (tmp_path / "toban").write_text("")
    async with recording(tmp_path / "toban" / "state.db", clock) as history:
        many = [a_sample(LOAD, float(n), taken_at=START) for n in range(2000)]
        history.offer(a_collection(*many))
        history.offer(load(clock, 1.0))
        assert history.dropped == 2000


async def test_history_goes_on_after_a_full_disk(state: Path, clock: ManualClock) -> None:
    """SQLite finds no more room: what waits is kept, and written once there is room."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        store = await history._file.opened()
        assert store is not None
        await history._file.call(lambda: store.connection.execute("PRAGMA max_page_count = 1").fetchall())
        for n in range(400):
            history.offer(load(clock, float(n)))
            clock.advance(1)
        assert not await history.flush()
        assert trouble_of(history).reason == "full"
        clock.advance(60)
        assert await history.flush()
        assert history.trouble is None
        assert len(means(read(state, "toban_host_load1", clock, back=1000))) >= 400


async def test_history_begins_anew_when_the_file_is_removed_underneath(state: Path, clock: ManualClock) -> None:
    """What waits goes into a new file, and the loss is told."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        for path in state.parent.iterdir():
            path.unlink()
        history.offer(load(clock, 2.0))
        assert not await history.flush()
        assert await history.flush()
        clock.advance(1)
        assert trouble_of(history).reason == "not_found"
        assert means(read(state, "toban_host_load1", clock)) == [2.0]


async def test_history_writes_by_itself_while_it_runs(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` commits what is offered without being asked."""
    monkeypatch.setattr(recording_module, "COMMIT_SECONDS", 0.01)
    history = await History.open(state, clock)
    running = asyncio.create_task(history.run())
    history.offer(load(clock, 3.0))
    clock.advance(1)
    await eventually(lambda: _count(state) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await history.close()


async def test_history_survives_a_fault_of_its_own(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot even be written costs itself, neither its neighbours nor the writer."""
    monkeypatch.setattr(recording_module, "COMMIT_SECONDS", 0.01)
    history = await History.open(state, clock)
    running = asyncio.create_task(history.run())
    history.offer(load(clock, 2.0))
    history.offer(a_collection(a_sample(LOAD, 1.0, labels=("one too many",), taken_at=clock.now())))
    await eventually(lambda: history.dropped == 1)
    clock.advance(15)
    history.offer(load(clock, 3.0))
    await eventually(lambda: _count(state) == 2)
    clock.advance(1)
    assert means(read(state, "toban_host_load1", clock)) == [2.0, 3.0]
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await history.close()


async def test_history_loses_what_the_file_refuses_and_nothing_else(state: Path, clock: ManualClock) -> None:
    """A cost that is no number: neither a reason to call the disk broken, nor to try it again for ever."""
    async with recording(state, clock) as history:
        history.offer(load(clock, 1.0))
        history.offer(_statements(clock, (_use("1", calls=math.nan),)))
        clock.advance(15)
        history.offer(load(clock, 2.0))
        assert await history.flush()
        assert (history.trouble, history._waiting) == (None, deque())
        clock.advance(1)
        assert means(read(state, "toban_host_load1", clock)) == [1.0, 2.0]


async def test_history_puts_back_what_it_had_no_disk_for_after_a_fault(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault of our own, and then the disk fails under the first entry: both are written when it works again."""
    faults: list[Exception] = [ValueError("ours"), sqlite3.OperationalError("disk I/O error")]
    write = Store.write

    def fail(store: Store, entries: Iterable[Entry]) -> int:
        if faults:
            raise faults.pop(0)
        return write(store, entries)

    monkeypatch.setattr(Store, "write", fail)
    async with recording(state, clock) as history:
        for value in (1.0, 2.0):
            history.offer(load(clock, value))
            clock.advance(15)
        assert not await history.flush()
        assert history._weight == 2
        clock.advance(15)
        assert await history.flush()
        assert means(read(state, "toban_host_load1", clock)) == [1.0, 2.0]
        assert (history.dropped, history._weight) == (0, 0)


async def test_history_begun_under_a_wrong_clock_keeps_what_it_is_given(state: Path, clock: ManualClock) -> None:
    """The first start was ten years ahead: what is measured since is not ten years old."""
    async with recording(state, clock) as history:
        store = await history._file.opened()
        assert store is not None
        await history._file.call(store.remember, "present_at", clock.now() + 3650 * 86400)
        await record(history, clock, [1.0] * 10)
        clock.advance(7200)
        await history.tend()
        assert means(read(state, "toban_host_load1", clock, back=3 * 3600, width=10_000)) == [1.0] * 10


async def test_history_takes_nothing_after_its_close(state: Path, clock: ManualClock) -> None:
    """A late collection is dropped without a word."""
    async with recording(state, clock) as history:
        pass
    history.offer(load(clock, 1.0))
    assert not history._waiting


async def test_history_bounds_the_series_of_a_label_that_explodes(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the bound new series are dropped and counted; the known ones go on."""
    monkeypatch.setattr("history.catalogue.MOST_SERIES", 3)
    async with recording(state, clock) as history:
        for name in ("a", "b", "c", "d", "e", "a"):
            history.offer(commits(clock, 1.0, name))
            clock.advance(1)
        with capture_logs() as said:
            assert await history.flush()
        assert history.dropped == 2
        assert [one["event"] for one in said] == ["history_full_of_series"]
        with open_reader(state) as reader:
            assert [name.labels for name in reader.names("*")] == [f'{{"datname":"{name}"}}' for name in "abc"]


async def test_history_asks_again_for_ids_when_it_remembers_too_many(
    state: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The memory of ids is bounded; forgetting them changes nothing in the file."""
    monkeypatch.setattr("history.catalogue.MOST_REMEMBERED", 1)
    async with recording(state, clock) as history:
        for name in ("a", "b", "a", "b"):
            history.offer(commits(clock, 1.0, name))
            history.offer(a_collection(a_sample(taken_at=clock.now()), rows=(_use(name),)))
            clock.advance(1)
        assert await history.flush()
        with open_reader(state) as reader:
            assert len(reader.names("*")) == 2


@pytest.mark.parametrize("name", ['qu"ote', "new\nline", "🐘", "台" * 21, "broken\udcff"])
async def test_history_keeps_odd_label_values_as_they_are(state: Path, clock: ManualClock, name: str) -> None:
    """Quotes, newlines, emoji, 63 bytes of Japanese, bytes that are no text."""
    async with recording(state, clock) as history:
        history.offer(commits(clock, 1.0, name))
        assert await history.flush()
        clock.advance(1)
        assert read(state, "pg_stat_database_xact_commit", clock).labels == {"datname": name}


async def test_history_remembers_statements_and_their_texts_once(state: Path, clock: ManualClock) -> None:
    """Costs add up over the intervals; the text stands beside them."""
    async with recording(state, clock) as history:
        for _ in range(3):
            clock.advance(60)
            rows: tuple[object, ...] = (_use("1"), _use("2", calls=30.0), StatementText(queryid="1", text="select $1"))
            history.offer(_statements(clock, rows))
        assert await history.flush()
        clock.advance(1)
        with open_reader(state) as reader:
            found = reader.statements("main", since=FULL_HOUR, until=clock.now(), by="calls")
    assert [(one.use.queryid, one.use.calls, one.use.interval_seconds, one.text) for one in found] == [
        ("2", 90.0, 180.0, ""),
        ("1", 30.0, 180.0, "select $1"),
    ]


def _use(queryid: str, *, calls: float = 10.0, seconds: float = 1.0) -> StatementUse:
    return StatementUse(
        queryid=queryid,
        datname="shop",
        usename="app",
        interval_seconds=60.0,
        calls=calls,
        seconds=seconds,
        rows=0.0,
        hit_blocks=0.0,
        read_blocks=0.0,
        temp_blocks=0.0,
    )


def _statements(clock: ManualClock, rows: tuple[object, ...]) -> Collection:
    sample = a_sample(taken_at=clock.now())
    return a_collection(sample, collector="statements", taken_at=clock.now(), rows=rows)


def _count(state: Path) -> int:
    with open_reader(state) as reader:
        return int(reader._connection.execute("SELECT count(*) FROM journal").fetchone()[0])
