"""Reads for those who ask: bounded in time and in number."""

import asyncio
import gc
import threading

import pytest

from daemon.disk import Disk
from tests.waiting import eventually
from toban.errors import UnavailableError


async def test_a_disk_that_hangs_keeps_nobody_waiting_and_takes_no_more_threads_than_it_may() -> None:
    """Whoever asks meanwhile is told so, and does not begin another read; once it answers, all is well again."""
    let_go, begun = threading.Event(), []

    def hang() -> None:
        begun.append(1)
        let_go.wait(60)

    disk = Disk(within_seconds=0.05, at_once=2)
    try:
        for _ in range(5):
            with pytest.raises(UnavailableError, match="history: the disk did not answer within 0 s"):
                await disk.read("history", hang)
        assert await eventually(lambda: len(begun) == 2)
    finally:
        let_go.set()
    assert await eventually(lambda: reads(disk)) == "read"


async def reads(disk: Disk) -> str:
    """What it reads; nothing while it does not answer."""
    try:
        return await disk.read("history", lambda: "read")
    except UnavailableError:
        return ""


async def test_a_read_that_fails_late_is_nobodys_news() -> None:
    """Nobody waits for it any more; asyncio would call it an exception that was never retrieved."""
    let_go = threading.Event()
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))

    def fail() -> None:
        let_go.wait(60)
        raise OSError("gone")

    disk = Disk(within_seconds=0.05, at_once=1)
    with pytest.raises(UnavailableError):
        await disk.read("history", fail)
    let_go.set()
    assert await eventually(lambda: reads(disk)) == "read"
    gc.collect()
    assert complaints == []


async def test_an_error_of_the_read_is_handed_on() -> None:
    """As it was raised."""

    def refuse() -> None:
        raise UnavailableError("history", "does not exist")

    with pytest.raises(UnavailableError, match="does not exist"):
        await Disk().read("history", refuse)
