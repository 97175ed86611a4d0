"""What is read from a disk for somebody who asks: on a thread, bounded, and a few at a time.

A read that takes too long cannot be stopped, only left alone. Were there no limit, those who ask again and again would
take every thread of the process, and with them the names of receivers could no longer be looked up.
"""

import asyncio
from collections.abc import Callable
from typing import Final, TypeVar

from toban.errors import UnavailableError

READ_SECONDS: Final = 10.0
READS_AT_ONCE: Final = 4
ReadT = TypeVar("ReadT")


class Disk:
    """Reads for those who ask."""

    def __init__(self, *, within_seconds: float = READ_SECONDS, at_once: int = READS_AT_ONCE) -> None:
        self._within_seconds = within_seconds
        self._free = asyncio.Semaphore(at_once)

    async def read(self, what: str, reading: Callable[[], ReadT]) -> ReadT:
        """What was read of this; UnavailableError when it is not there in time."""
        try:
            async with asyncio.timeout(self._within_seconds):
                await self._free.acquire()
                work = asyncio.ensure_future(asyncio.to_thread(reading))
                work.add_done_callback(self._ended)
                return await asyncio.shield(work)
        except TimeoutError:
            why = f"the disk did not answer within {self._within_seconds:.0f} s"
            raise UnavailableError(what, why) from None

    def _ended(self, work: "asyncio.Future[ReadT]") -> None:
        self._free.release()
        if not work.cancelled():
            work.exception()  # looked at, also where nobody waits for it any more
