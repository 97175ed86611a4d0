"""Claims about calls that may block for ever."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import pytest

from collectors.blocking import Blocking, StuckError
from tests.waiting import eventually


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe without a writer: opening it hangs in the kernel, as a dead network file system does."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def hanging(path: Path) -> Callable[[], bytes]:
    """A call that hangs until somebody opens the other end."""
    return path.read_bytes


async def released(blocking: Blocking, path: Path) -> None:
    """Let what hangs come back, and wait until it has."""
    path.write_bytes(b"")  # noqa: ASYNC240 - a reader waits: it does not block
    await eventually(lambda: blocking.under_way == 0)


async def test_blocking_hands_back_the_result() -> None:
    """What the call returns is what `run` returns, and nothing stays counted."""
    blocking = Blocking()
    assert await blocking.run("sum", lambda: 1 + 1, timeout_seconds=60) == 2
    assert blocking.under_way == 0


async def test_blocking_hands_on_the_exception() -> None:
    """What the call raises is raised where it was asked for."""
    with pytest.raises(ZeroDivisionError):
        await Blocking().run("division", lambda: 1 // 0, timeout_seconds=60)


async def test_blocking_leaves_a_hung_call_behind_and_counts_it(pipe: Path) -> None:
    """At the deadline the caller goes on; the thread is counted until it comes back, its result then unwanted."""
    blocking = Blocking()
    with pytest.raises(TimeoutError):
        await blocking.run("pipe", hanging(pipe), timeout_seconds=0.05)
    assert blocking.under_way == 1
    await released(blocking, pipe)


async def test_blocking_begins_no_call_that_still_hangs(pipe: Path) -> None:
    """A second call of the same name is refused at once; one of another name is served."""
    blocking = Blocking()
    with pytest.raises(TimeoutError):
        await blocking.run("pipe", hanging(pipe), timeout_seconds=0.05)
    with pytest.raises(StuckError):
        await blocking.run("pipe", hanging(pipe), timeout_seconds=60)
    assert await blocking.run("other", lambda: "served", timeout_seconds=60) == "served"
    await released(blocking, pipe)


async def test_blocking_begins_no_call_that_another_began_while_it_waited(pipe: Path) -> None:
    """Two of one name wait for a place: the first to have it hangs, and the second does not hang beside it."""
    blocking, taken = Blocking(limit=2), threading.Event()
    holding = [asyncio.create_task(blocking.run(f"held {n}", taken.wait, timeout_seconds=60)) for n in range(2)]
    await eventually(lambda: blocking.under_way == 2)
    waiting = [asyncio.create_task(blocking.run("pipe", hanging(pipe), timeout_seconds=60)) for _ in range(2)]
    await asyncio.sleep(0)
    taken.set()
    assert await asyncio.gather(*holding) == [True, True]
    with pytest.raises(StuckError):
        await waiting[1]
    assert blocking.under_way == 1
    assert await blocking.run("other", lambda: "served", timeout_seconds=60) == "served"
    await released(blocking, pipe)
    assert await waiting[0] == b""


async def test_blocking_has_no_more_threads_than_its_limit(pipe: Path) -> None:
    """While a hung call takes the only place, another waits for it and gives up at its own deadline."""
    blocking = Blocking(limit=1)
    with pytest.raises(TimeoutError):
        await blocking.run("pipe", hanging(pipe), timeout_seconds=0.05)
    with pytest.raises(TimeoutError):
        await blocking.run("other", lambda: "served", timeout_seconds=0.05)
    assert blocking.under_way == 1
    await released(blocking, pipe)
    assert await blocking.run("other", lambda: "served", timeout_seconds=60) == "served"


async def test_blocking_survives_being_cancelled(pipe: Path) -> None:
    """Who is cancelled leaves at once; the thread stays counted."""
    blocking = Blocking()
    task = asyncio.create_task(blocking.run("pipe", hanging(pipe), timeout_seconds=60))
    await eventually(lambda: blocking.under_way == 1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert blocking.under_way == 1
    await released(blocking, pipe)


async def test_blocking_gives_its_place_back_when_no_thread_can_start() -> None:
    """A machine out of threads is an error of this call, not of the next."""
    blocking = Blocking(limit=1)
    refused = patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread"))
    with refused, pytest.raises(RuntimeError):
        await blocking.run("sum", lambda: 1, timeout_seconds=60)
    assert await blocking.run("sum", lambda: 1, timeout_seconds=60) == 1


HANG_AND_EXIT = """
import asyncio, sys
from collectors.blocking import Blocking

async def main():
    blocking = Blocking()
    try:
        await blocking.run("pipe", lambda: open(sys.argv[1]).read(), timeout_seconds=0.05)
    except TimeoutError:
        print("left behind:", blocking.under_way)

asyncio.run(main())
"""


@pytest.mark.integration
def test_blocking_holds_up_no_exit(pipe: Path) -> None:
    """A process with a call that never comes back ends all the same."""
    done = subprocess.run(
        [sys.executable, "-c", HANG_AND_EXIT, str(pipe)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "left behind: 1\n", "")


@pytest.mark.integration
def test_blocking_forgets_a_result_that_comes_after_the_loop(pipe: Path) -> None:
    """A call that comes back when its loop is closed troubles nobody."""
    ended: list[Blocking] = []

    async def leave() -> None:
        blocking = Blocking()
        ended.append(blocking)
        with pytest.raises(TimeoutError):
            await blocking.run("late pipe", hanging(pipe), timeout_seconds=0.05)

    asyncio.run(leave())
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "blocking late pipe"]
    pipe.write_bytes(b"")
    thread.join(timeout=60)
    assert not thread.is_alive()
    assert ended[0].under_way == 1
