"""The worker's thread answers, refuses to make anybody wait for ever, and does not outlive its use."""

import threading

import pytest

from history.worker import Worker
from tests.waiting import eventually


async def test_worker_answers_with_the_result() -> None:
    """The call runs on another thread."""
    worker = Worker("test")
    assert await worker.call(5, threading.get_ident) != threading.get_ident()
    worker.stop()


async def test_worker_hands_on_the_error() -> None:
    """What the call raises, the caller gets; the thread goes on."""
    worker = Worker("test")
    with pytest.raises(ZeroDivisionError):
        await worker.call(5, lambda: 1 / 0)
    assert await worker.call(5, lambda: 1) == 1
    worker.stop()


async def test_worker_that_hangs_is_left_and_says_so() -> None:
    """The caller goes on after its bound; the worker is of use again once the call has ended."""
    worker, gate = Worker("test"), threading.Event()
    with pytest.raises(TimeoutError):
        await worker.call(0.01, gate.wait, 30)
    assert worker.hangs
    gate.set()
    assert await eventually(lambda: not worker.hangs)
    worker.stop()


async def test_worker_thread_does_not_hold_up_the_end_of_the_process() -> None:
    """It is a daemon thread, and ends when told."""
    worker = Worker("toban-test-end")
    (thread,) = [t for t in threading.enumerate() if t.name == "toban-test-end"]
    assert thread.daemon
    worker.stop()
    assert await eventually(lambda: not thread.is_alive())
