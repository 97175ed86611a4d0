"""Holding a turn while something is done: taken from the dead, renewed meanwhile, given back whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import structlog

from backup.errors import BackupError
from backup.repository.durable import unusable
from backup.repository.holders import Holder
from backup.repository.leases import (
    RENEW_SECONDS,
    STALE_SECONDS,
    WATCH_SECONDS,
    HeldError,
    Lease,
    Said,
    SilentError,
    take,
)
from toban.backups import Trouble
from toban.clock import Clock, moment

AGAIN_SECONDS: Final = 0.2
T = TypeVar("T")
Pause = Callable[[float], Awaitable[None]]
logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Takes turns in the name of one process."""

    holder: Holder
    clock: Clock
    pause: Pause = asyncio.sleep

    @asynccontextmanager
    async def holding(self, path: Path, what: str, *, tries: int = 0) -> AsyncIterator[Lease]:
        """A turn for as long as the block takes; who has it already, after so many tries more, is named.

        The work ends when the turn is lost.
        """
        limit = asyncio.timeout(None)

        def lose() -> None:
            limit.reschedule(asyncio.get_running_loop().time())

        async with self.kept(path, what, tries=tries, lose=lose) as lease:
            try:
                async with limit:
                    yield lease
            except TimeoutError:
                if limit.expired():
                    raise lost(path) from None
                raise

    @asynccontextmanager
    async def kept(
        self, path: Path, what: str, *, tries: int = 0, lose: Callable[[], None] = lambda: None
    ) -> AsyncIterator[Lease]:
        """The same for work that goes on when it is lost; `lose` hears of that."""
        lease = await self._taken(path, what, tries=tries)
        renewing = asyncio.create_task(self._renew(lease, lose))
        try:
            yield lease
        finally:
            renewing.cancel()
            await finished(asyncio.to_thread(_released, lease))

    async def held_by(self, path: Path) -> Said | None:
        """Who has it and lives; None when nobody has: what the dead left is gone then."""
        try:
            lease = await self._taken(path, "sweeping", tries=0)
        except BusyError as error:
            return error.said
        await finished(asyncio.to_thread(_released, lease))
        return None

    async def _taken(self, path: Path, what: str, *, tries: int) -> Lease:
        silent: Said | None = None
        for turn in range(tries + 2):
            try:
                return await self._take(path, what, silent)
            except SilentError as error:
                logger.info("turn_watched", path=str(path), holder=error.said.holder.words, seconds=WATCH_SECONDS)
                silent = error.said
                await self.pause(WATCH_SECONDS)
            except HeldError as error:
                if turn >= tries:
                    raise BusyError(path, error.said) from None
                await self.pause(AGAIN_SECONDS)
            except OSError as error:
                raise unusable(path.parent, error) from error
        raise BusyError(path, silent or Said())

    async def _take(self, path: Path, what: str, silent: Said | None) -> Lease:
        taking = asyncio.create_task(asyncio.to_thread(take, path, self.holder, what, self.clock.now(), silent=silent))
        try:
            return await asyncio.shield(taking)
        except asyncio.CancelledError:
            with suppress(HeldError, OSError):
                await finished(asyncio.to_thread(_released, await finished(taking)))
            raise

    async def _renew(self, lease: Lease, lose: Callable[[], None]) -> None:
        seen = self.clock.monotonic()
        while True:
            await self.pause(RENEW_SECONDS)
            try:
                ours = await asyncio.to_thread(lease.renew, self.clock.now())
            except OSError as error:
                logger.warning("turn_not_renewed", path=str(lease.path), why=error.strerror or str(error))
                ours = self.clock.monotonic() - seen < STALE_SECONDS
            else:
                seen = self.clock.monotonic()
            if not ours:
                lose()
                return


class BusyError(BackupError):
    """Somebody else has the turn."""

    def __init__(self, path: Path, said: Said) -> None:
        why = f"{said.holder.words} is at work there: {said.what or 'something unknown'}"
        if said.renewed_at:
            why += f" (last heard of at {moment(said.renewed_at).isoformat(timespec='seconds')})"
        super().__init__(path.stem, why, trouble=Trouble.BUSY)
        self.said = said


def lost(path: Path) -> BackupError:
    """Somebody else has taken our turn, or the storage did not answer for so long that somebody may have."""
    why = "lost its turn: the repository did not answer for too long, or another daemon has taken it over"
    return BackupError(path.stem, why, "are two daemons at work on one repository?", trouble=Trouble.REPOSITORY)


async def finished(awaitable: Awaitable[T]) -> T:
    """Its end, whatever asks us to stop meanwhile: that is heard afterwards."""
    task = asyncio.ensure_future(awaitable)
    asked: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            if task.cancelled():
                raise
            asked = error
        except Exception:  # noqa: BLE001, S110 - it is raised by the task's result, below
            pass
    if asked is not None:
        task.exception()  # heard: the cancellation matters more
        raise asked
    return task.result()


def _released(lease: Lease) -> None:
    """Give it back; where the storage does not take that, the kernel does, and the file is found stale."""
    with suppress(OSError):
        lease.release()
