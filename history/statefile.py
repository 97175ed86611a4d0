"""The state file in use or out of use: opened when it can be, set aside when corrupt, tried again when it fails."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Generic, ParamSpec, Protocol, TypeVar

import structlog

from history.failures import VanishedStateError, explain, is_corrupt
from history.migration import ForeignStateError, NewerStateError
from history.store import set_aside
from history.worker import Worker
from toban.clock import Clock
from toban.outcomes import Failure, Reason

RETRY_SECONDS = 15.0
CALL_SECONDS = 20.0  # a disk that takes longer is as good as gone; nobody but the writer waits for it
SET_ASIDE_SECONDS = 3600.0  # a disk that spoils file after file shall not fill up with them
FAILURES = (
    sqlite3.Error,
    OSError,  # a TimeoutError is one
    NewerStateError,
    ForeignStateError,
    VanishedStateError,
)
P = ParamSpec("P")
T = TypeVar("T")
logger = structlog.get_logger(__name__)


class Closing(Protocol):
    """An open file, whatever is kept in it."""

    def close(self) -> None:
        """Part from it."""
        ...


StoreT = TypeVar("StoreT", bound=Closing)


class StateFile(Generic[StoreT]):
    """The file, the thread that touches it, and what is wrong with it. `store` opens it, on that thread."""

    def __init__(
        self, path: Path, clock: Clock, store: Callable[[Path], StoreT], *, call_seconds: float | None = None
    ) -> None:
        self.path = path
        self.replacements = 0
        """How often an earlier file was left and a new one begun."""
        self.turn = asyncio.Lock()
        """Held by whoever uses the file: the writer or the housekeeping."""
        self.failure: Failure | None = None
        """Why the file cannot be used at present."""
        self.replaced: Failure | None = None
        """Why an earlier file was left and a new one begun."""
        self._clock = clock
        self._call_seconds = call_seconds
        self._open_store = store
        self._worker = Worker("history")
        self._store: StoreT | None = None
        self._retry_at = clock.monotonic()
        self._next_set_aside_at = clock.monotonic()

    async def opened(self) -> StoreT | None:
        """The file, opened if need be; None while it cannot be used."""
        if self._store is None and self._clock.monotonic() >= self._retry_at:
            if self._worker.hangs:
                self._put_off(TimeoutError())
            else:
                await self._open()
        return self._store

    async def call(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """A blocking call, made on the file's thread."""
        return await self._worker.call(self._call_seconds or CALL_SECONDS, function, *args, **kwargs)

    async def give_up(self, error: BaseException) -> None:
        """The open file has failed: part from it, and begin a new one where that is the mend."""
        await self.part()
        if is_corrupt(error) and self._clock.monotonic() >= self._next_set_aside_at:
            await self._set_aside(error)
        elif isinstance(error, VanishedStateError):
            self._replace(explain(error, self.path))
            await self._open()
        else:
            self._put_off(error)

    async def part(self) -> None:
        """Close the file if it is open and answers."""
        store, self._store = self._store, None
        if store is not None:
            within = 0.0 if self._worker.hangs else CALL_SECONDS  # it closes behind what hangs; nobody waits for both
            try:
                await self._worker.call(within, store.close)
            except FAILURES as error:
                logger.warning("state_not_closed", path=str(self.path), why=explain(error, self.path).detail)

    def stop(self) -> None:
        """Let the thread end."""
        self._worker.stop()

    async def _open(self) -> None:
        try:
            self._store = await self.call(self._open_store, self.path)
        except FAILURES as error:
            if is_corrupt(error) and self._clock.monotonic() >= self._next_set_aside_at:
                await self._set_aside(error)
            else:
                self._put_off(error)
        else:
            if self.failure is not None:
                logger.info("state_usable_again", path=str(self.path))
            self.failure = None

    async def _set_aside(self, error: BaseException) -> None:
        self._next_set_aside_at = self._clock.monotonic() + SET_ASIDE_SECONDS
        try:
            aside = await self.call(set_aside, self.path, self._clock.now())
        except FAILURES as obstacle:
            self._put_off(obstacle)
            return
        detail = f"{explain(error, self.path).detail}; set aside as {aside.name}, a new one is begun"
        hint = f"what was recorded until now is in {aside}; `sqlite3 FILE .recover` may read some of it"
        self._replace(Failure(reason=Reason.CORRUPT, detail=detail, hint=hint))
        await self._open()

    def _replace(self, why: Failure) -> None:
        self.replaced = why
        self.replacements += 1
        logger.error("state_replaced", path=str(self.path), why=why.detail, hint=why.hint)

    def _put_off(self, error: BaseException) -> None:
        self._retry_at = self._clock.monotonic() + RETRY_SECONDS
        failure = explain(error, self.path)
        if failure != self.failure:
            logger.error("state_unusable", path=str(self.path), why=failure.detail, hint=failure.hint)
        self.failure = failure
