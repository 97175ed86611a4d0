"""One thread on which blocking calls are made in turn, so that the loop never waits on a disk.

aiosqlite would hop to its thread and back for every statement, and keep the process alive while a disk hangs. Here a
whole transaction is one hop, and the thread is a daemon: a process that ends does not wait for it.
"""

import asyncio
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
_Job = Callable[[], None]


class Worker:
    """The thread and its queue. It is used up once told to stop."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._unfinished = 0  # counted on the loop's side alone
        Thread(target=self._work, name=name, daemon=True).start()

    @property
    def hangs(self) -> bool:
        """Whether a call is still under way; asked by the one caller there is, it is one that was given up."""
        return self._unfinished > 0

    async def call(self, within_seconds: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The function's answer. After `within_seconds` the caller goes on with TimeoutError; the call may not."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(result: T | None, error: BaseException | None) -> None:
            self._unfinished -= 1
            if answer.done():
                return  # nobody waits any more
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type] # T may itself be None

        def job() -> None:
            result, raised = None, None
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whatever it is, it belongs to the caller
                raised = error
            if not loop.is_closed():
                loop.call_soon_threadsafe(settle, result, raised)

        self._unfinished += 1
        self._jobs.put(job)
        async with asyncio.timeout(within_seconds):
            return await answer

    def stop(self) -> None:
        """End the thread after what is queued."""
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
