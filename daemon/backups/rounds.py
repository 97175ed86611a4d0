"""Work that is done again and again for as long as the daemon runs, and outlives its own faults."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

logger = structlog.get_logger(__name__)


async def again_and_again(work: Callable[[], Awaitable[object]], pause: Callable[[], Awaitable[object]]) -> None:
    """The work, a pause, and so on, until it is cancelled."""
    while True:
        try:
            await work()
        except Exception:  # a loop of its own: it must outlive any fault
            logger.exception("backups_fault")
        await pause()


async def bounded(seconds: float, *parting: Coroutine[Any, Any, object]) -> None:
    """Wait for all of them, but no longer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*parting, return_exceptions=True)
