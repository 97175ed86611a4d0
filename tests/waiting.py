"""Waiting for a thing by asking for it, with a bound; never by sleeping through a guess."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")
PAUSE_SECONDS = 0.02
LONGEST_SECONDS = 60.0  # on a loaded machine; what holds is seen at once


@overload
async def eventually(probe: Callable[[], Awaitable[T]], *, within_seconds: float = LONGEST_SECONDS) -> T: ...
@overload
async def eventually(probe: Callable[[], T], *, within_seconds: float = LONGEST_SECONDS) -> T: ...
async def eventually(probe: Callable[[], Any], *, within_seconds: float = LONGEST_SECONDS) -> Any:
    """The probe's first truthy answer; fails with the last answer when the bound has passed."""
    deadline = time.monotonic() + within_seconds
    while True:
        answer = probe()
        seen = await answer if inspect.isawaitable(answer) else answer
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within_seconds} s; last seen: {seen!r}"
        await asyncio.sleep(PAUSE_SECONDS)


def eventually_sync(probe: Callable[[], T], *, within_seconds: float = LONGEST_SECONDS) -> T:
    """The same for tests without an event loop."""
    deadline = time.monotonic() + within_seconds
    while True:
        seen = probe()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"not within {within_seconds} s; last seen: {seen!r}"
        time.sleep(PAUSE_SECONDS)
