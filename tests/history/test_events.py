"""What happened is remembered with what collectors want to find again, and neither outlives its time."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from history.entries import Shapes
from history.migration import APPLICATION_ID, migrations, version_of
from history.reading import PastEvent, open_reader
from history.recording import History
from history.retention import Retention
from history.store import MOST_LETTERS
from tests.builders import ManualClock, a_collection
from tests.recorded import FULL_HOUR, load, means, read, record, recording
from toban.events import Event, EventKind
from toban.memories import Memory

DAY = 86400.0
CHANGED, PENDING = EventKind.SETTING_CHANGED, EventKind.RESTART_PENDING


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state file is to be."""
    return tmp_path / "state.db"


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a full hour."""
    return ManualClock(now=FULL_HOUR)


def an_event(clock: ManualClock, subject: str = "work_mem", kind: EventKind = CHANGED, **texts: str) -> Event:
    """A setting changed, now."""
    told = {"before": "4MB", "after": "8MB", **texts}
    return Event(kind=kind, subject=subject, at=clock.now(), **told)


def happen(history: History, clock: ManualClock, *rows: object, target: str = "main") -> None:
    """A collection that brings these rows."""
    history.offer(a_collection(target=target, collector="settings", taken_at=clock.now(), rows=rows))


def happened(state: Path, clock: ManualClock, target: str | None = None, **asked: object) -> list[PastEvent]:
    """Everything until now, the latest first."""
    span: dict[str, object] = {"since": 0.0, "until": clock.now() + 1, **asked}
    with open_reader(state) as reader:
        return list(reader.events(target, **span))  # type: ignore[arg-type] # whatever a test asks for


def subjects(found: list[PastEvent]) -> list[str]:
    """What they are about."""
    return [one.event.subject for one in found]


async def test_events_come_back_as_they_happened(state: Path, clock: ManualClock) -> None:
    """Kind, subject, both values, where it was written, the moment to the millisecond, and the target."""
    event = an_event(clock, "port", PENDING, before="5432", after="5433", detail="/etc/pg.conf:7")
    async with recording(state, clock) as history:
        happen(history, clock, event)
        assert await history.flush()
        assert happened(state, clock) == [PastEvent(target="main", event=event)]


async def test_events_are_asked_for_by_target_kind_span_and_number(state: Path, clock: ManualClock) -> None:
    """Each narrows the answer; the latest comes first."""
    async with recording(state, clock) as history:
        for name in ("a", "b", "c"):
            happen(history, clock, an_event(clock, name))
            clock.advance(60)
        happen(history, clock, an_event(clock, "d", PENDING), target="other")
    assert subjects(happened(state, clock)) == ["d", "c", "b", "a"]
    assert subjects(happened(state, clock, "other")) == ["d"]
    assert subjects(happened(state, clock, kind=CHANGED)) == ["c", "b", "a"]
    assert subjects(happened(state, clock, most=2)) == ["d", "c"]
    assert subjects(happened(state, clock, since=FULL_HOUR + 60, until=FULL_HOUR + 120)) == ["b"]


async def test_events_of_a_later_toban_are_left_out(state: Path, clock: ManualClock) -> None:
    """A kind that this Toban does not know is no reason to tell nothing."""
    async with recording(state, clock) as history:
        happen(history, clock, an_event(clock))
    with closing(sqlite3.connect(state, isolation_level=None)) as connection:
        connection.execute("INSERT INTO event SELECT 99, at, target, 'ascended', '', '', '', '' FROM event")
    assert subjects(happened(state, clock)) == ["work_mem"]


async def test_events_keep_odd_texts_within_bounds(state: Path, clock: ManualClock) -> None:
    """Bytes that are no text are spelled out; a text without end is cut."""
    async with recording(state, clock) as history:
        happen(history, clock, an_event(clock, "台帳/\udcff.conf", after="x" * 5000))
        assert await history.flush()
    (one,) = happened(state, clock)
    assert one.event.subject == "台帳/\\udcff.conf"
    assert one.event.after == "x" * MOST_LETTERS


async def test_events_expire_by_age(state: Path, clock: ManualClock) -> None:
    """What is older than is kept goes with the housekeeping; the rest stays."""
    async with recording(state, clock, retention=Retention(event_seconds=1.5 * DAY)) as history:
        happen(history, clock, an_event(clock, "old"))
        await history.flush()
        await history.tend()
        clock.advance(DAY)
        happen(history, clock, an_event(clock, "new"))
        await history.flush()
        await history.tend()
        assert subjects(happened(state, clock)) == ["new", "old"]
        clock.advance(DAY)
        await history.tend()
        assert subjects(happened(state, clock)) == ["new"]


async def test_events_are_bounded_in_number(state: Path, clock: ManualClock) -> None:
    """Where something happens over and over the oldest go first, in several steps."""
    async with recording(state, clock, retention=Retention(most_events=3)) as history:
        happen(history, clock, *(an_event(clock, str(number)) for number in range(1203)))
        await history.flush()
        await history.tend()
        assert subjects(happened(state, clock)) == ["1202", "1201", "1200"]


async def test_memories_are_found_again_by_the_next_process(state: Path, clock: ManualClock) -> None:
    """The last word of each name and target, from memory before it is written and from the file afterwards."""
    async with recording(state, clock) as history:
        assert await history.recall("main", "settings") is None
        for body in ("1", "2"):
            happen(history, clock, Memory(name="settings", body=body))
        happen(history, clock, Memory(name="files", body="3"), Memory(name="other", body="4"))
        happen(history, clock, Memory(name="settings", body="5"), target="second")
        assert await history.recall("main", "settings") == "2"
        assert await history.recall("main", "nothing") is None
    async with recording(state, clock) as history:
        assert await history.recall("main", "settings") == "2"
        assert await history.recall("main", "other") == "4"
        assert await history.recall("second", "settings") == "5"
        assert await history.recall("third", "settings") is None


async def test_memories_of_an_unusable_file_are_none(tmp_path: Path, clock: ManualClock) -> None:
    """No disk, no memory, no exception; what is offered meanwhile is remembered all the same."""
    (tmp_path / "toban").write_text("a file where the directory should be")
    async with recording(tmp_path / "toban" / "state.db", clock) as history:
        assert await history.recall("main", "settings") is None
        happen(history, clock, Memory(name="settings", body="1"))
        assert await history.recall("main", "settings") == "1"


async def test_memories_of_a_file_that_fails_are_none(state: Path, clock: ManualClock) -> None:
    """The table is gone: trouble says why, and nobody is held up."""
    async with recording(state, clock) as history:
        await record(history, clock, [1.0])
        with closing(sqlite3.connect(state, isolation_level=None)) as connection:
            connection.execute("DROP TABLE memory")
        assert await history.recall("main", "settings") is None
        assert history.trouble is not None


async def test_memories_go_with_targets_that_have_long_left(state: Path, clock: ManualClock) -> None:
    """What is left of a target keeps its memories; when nothing is, they follow."""
    retention = Retention(raw_seconds=DAY, fine_seconds=2 * DAY, coarse_seconds=5 * DAY, event_seconds=5 * DAY)
    async with recording(state, clock, retention=retention) as history:
        for target in ("gone", "there"):
            happen(history, clock, an_event(clock), Memory(name="settings", body="1"), target=target)
        for _ in range(10):
            clock.advance(4 * DAY)
            happen(history, clock, an_event(clock), target="there")
            await history.flush()
            await history.tend()
        assert await history.recall("gone", "settings") is None
        assert await history.recall("there", "settings") == "1"


def test_events_weigh_in_what_waits() -> None:
    """A flood of them is bounded like readings are."""
    clock = ManualClock()
    rows = (an_event(clock), an_event(clock), Memory(name="settings", body="x" * 1600))
    entries = list(Shapes().entries(a_collection(rows=rows)))
    assert [entry.weight for entry in entries] == [20 + 100]


def version_1(state: Path, clock: ManualClock) -> None:
    """A state file as the first Toban left it: with readings, and no table for events."""
    asyncio.run(_filled(state, clock))
    with closing(sqlite3.connect(state, isolation_level=None)) as connection:
        connection.executescript("DROP TABLE event; DROP TABLE memory; PRAGMA user_version = 1")
        made = {name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")}
    with closing(sqlite3.connect(":memory:")) as first:
        first.executescript(migrations()[0])
        assert made == {name for (name,) in first.execute("SELECT name FROM sqlite_schema WHERE sql IS NOT NULL")}


async def _filled(state: Path, clock: ManualClock) -> None:
    async with recording(state, clock) as history:
        await record(history, clock, [1.0, 2.0])


def test_a_file_of_version_1_is_read_as_it_is(state: Path, clock: ManualClock) -> None:
    """Before the daemon has brought it up to date: its series, and no events; nothing is changed."""
    version_1(state, clock)
    before = state.read_bytes()
    assert means(read(state, "toban_host_load1", clock)) == [1.0, 2.0]
    assert happened(state, clock) == []
    assert state.read_bytes() == before


def test_a_file_of_version_1_is_migrated_and_keeps_everything(state: Path, clock: ManualClock) -> None:
    """The daemon opens it: what was there stays, and events and memories have their place."""
    version_1(state, clock)

    async def go_on() -> None:
        async with recording(state, clock) as history:
            assert history.trouble is None
            history.offer(load(clock, 3.0))
            happen(history, clock, an_event(clock), Memory(name="settings", body="1"))
            assert await history.flush()
            clock.advance(1)
            assert await history.recall("main", "settings") == "1"

    asyncio.run(go_on())
    assert means(read(state, "toban_host_load1", clock)) == [1.0, 2.0, 3.0]
    assert subjects(happened(state, clock)) == ["work_mem"]
    with closing(sqlite3.connect(state)) as connection:
        assert version_of(connection) == len(migrations())
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)


WRITER = """
import asyncio, sys
from pathlib import Path
from history.recording import History
from tests.builders import ManualClock
from tests.history.test_events import an_event, happen
from toban.memories import Memory

async def write(path, start):
    clock = ManualClock(now=start)
    history = await History.open(path, clock)
    first = int(await history.recall("main", "count") or 0)
    for n in range(first, first + 100_000):
        happen(history, clock, an_event(clock, str(n)), Memory(name="count", body=str(n + 1)))
        assert await history.flush()
        print(n, flush=True)

asyncio.run(write(Path(sys.argv[1]), float(sys.argv[2])))
"""


@pytest.mark.integration
def test_events_and_memories_survive_a_kill_together(state: Path, clock: ManualClock) -> None:
    """Killed at any moment and started again: each event is there once, and the memory belongs to the last."""
    for lines in (3, 41, 17):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(state), str(clock.now())],
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path.cwd(),
        ) as writer:
            assert writer.stdout is not None
            told = [writer.stdout.readline() for _ in range(lines)]
            writer.send_signal(signal.SIGKILL)
        found = [int(subject) for subject in subjects(happened(state, clock, most=200_000))][::-1]
        assert found == list(range(len(found)))
        assert found[-1] >= int(told[-1])
        with closing(sqlite3.connect(state)) as connection:
            assert connection.execute("SELECT body FROM memory").fetchall() == [(str(len(found)),)]
