"""Killed at any moment, the file opens again with everything that was committed."""

import asyncio
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from history.reading import open_reader
from tests.builders import ManualClock
from tests.recorded import FULL_HOUR, record, recording

pytestmark = pytest.mark.integration

WRITER = """
import asyncio, sys
from pathlib import Path
from history import recording
from history.recording import History
from history.retention import Retention
from tests.builders import ManualClock
from tests.recorded import commits, load

recording.STEP_PAUSE_SECONDS = 0

async def write(path, start):
    clock = ManualClock(now=start)
    history = await History.open(path, clock, retention=Retention(raw_seconds=7200.0))
    for n in range(100_000):
        history.offer(commits(clock, float(n)))
        history.offer(load(clock, float(n)))
        clock.advance(60)
        assert await history.flush()
        print(clock.now(), flush=True)
        if n % 10 == 9:
            await history.tend()

asyncio.run(write(Path(sys.argv[1]), float(sys.argv[2])))
"""


def run_and_kill(state: Path, start: float, lines: int) -> float:
    """A writer that is killed after so many commits were reported; the last of them."""
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(state), str(start)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as writer:
        assert writer.stdout is not None
        for _ in range(lines):
            assert writer.stdout.readline()
        writer.send_signal(signal.SIGKILL)
        rest = writer.stdout.read().split("\n")
    complete = [float(line) for line in rest[:-1] if line]
    return max([start + lines * 60, *complete])


async def test_history_killed_at_random_moments_keeps_what_was_committed(tmp_path: Path) -> None:
    """Several rounds, some in the middle of housekeeping: each minute that was reported is there, once."""
    state, start, rounds = tmp_path / "state.db", FULL_HOUR, random.Random(7)  # noqa: S311 - no secret
    for _ in range(5):
        start = await asyncio.to_thread(run_and_kill, state, start, rounds.randrange(20, 260))
        clock = ManualClock(now=start)
        minutes = int((start - FULL_HOUR) / 60)
        with open_reader(state) as reader:
            (series,) = reader.series("*load1", since=FULL_HOUR, until=start, width=minutes)
            fine = reader.series("*load1", since=max(FULL_HOUR, start - 3600), until=start, width=60)[0]
        assert series.points[0].at < FULL_HOUR + 60
        assert len(fine.points) == min(60, minutes)
        assert len(series.points) >= minutes / 5
        async with recording(state, clock) as history:
            assert history.trouble is None
            await record(history, clock, [1.0], every=60.0)
        start = clock.now()
