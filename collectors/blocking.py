"""Calls that may block for ever (a hung NFS mount, a dying disk), kept away from the event loop and from the exit.

`asyncio.to_thread` will not do: its threads are joined when the interpreter ends, so that one hung call would hold up
the stop of the whole daemon. Here each call has a daemon thread of its own. Whoever waits may go away, at the deadline
or by being cancelled; the thread is then left behind, but counted: it keeps its place among the few at once, and the
same call is not begun again before it has come back.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


class StuckError(Exception):
    """An earlier call of this name has not come back; another would only hang beside it."""

    def __init__(self, name: str) -> None:
        super().__init__(f"an earlier look at {name} has not come back")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Returned(Generic[T]):
    """What a call came back with."""

    value: T


class Blocking:
    """The blocking calls of one source, of which at most `limit` are under way at once."""

    def __init__(self, *, limit: int = 4) -> None:
        self._slots = asyncio.Semaphore(limit)
        self._names: set[str] = set()

    @property
    def under_way(self) -> int:
        """How many threads are at work or left behind."""
        return len(self._names)

    async def run(self, name: str, call: Callable[[], T], *, timeout_seconds: float) -> T:
        """The call's result; TimeoutError at the deadline, StuckError while an earlier one of this name still hangs."""
        async with asyncio.timeout(timeout_seconds):
            self._refuse_a_second(name)
            await self._slots.acquire()
            try:
                self._refuse_a_second(name)  # another may have begun while this one waited
            except StuckError:
                self._slots.release()
                raise
            return await self._start(name, call)

    def _refuse_a_second(self, name: str) -> None:
        if name in self._names:
            raise StuckError(name)

    def _start(self, name: str, call: Callable[[], T]) -> asyncio.Future[T]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()

        def work() -> None:
            outcome = _attempt(call)
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(self._ended, name, future, outcome)

        self._names.add(name)
        try:
            threading.Thread(target=work, name=f"blocking {name}", daemon=True).start()
        except RuntimeError:  # no thread to be had
            self._release(name)
            raise
        return future

    def _ended(self, name: str, future: asyncio.Future[T], outcome: _Returned[T] | BaseException) -> None:
        self._release(name)
        if future.done():
            return  # whoever asked has left
        if isinstance(outcome, _Returned):
            future.set_result(outcome.value)
        else:
            future.set_exception(outcome)

    def _release(self, name: str) -> None:
        self._names.discard(name)
        self._slots.release()


def _attempt(call: Callable[[], T]) -> _Returned[T] | BaseException:
    try:
        return _Returned(value=call())
    except BaseException as error:  # noqa: BLE001 - handed on, whatever it is, to the one who waits
        return error
