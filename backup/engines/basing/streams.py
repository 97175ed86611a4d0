"""A file of a backup read as a stream in a thread, behind the programs that open and unpack it."""

import asyncio
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, TypeVar

from backup.children import PIPE_BYTES, Children, Command, Output, wide_pipe
from backup.errors import BackupError
from toban.backups import Trouble

T = TypeVar("T")
STOPPED: Final = (-signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT, -signal.SIGHUP)


async def through(
    children: Children,
    commands: Sequence[Command],
    source: Path,
    take: Callable[[BinaryIO], T],
    *,
    within_seconds: float,
    what: str,
) -> T:
    """What `take` makes of a file that was piped through programs. It runs in a thread, and sees only the stream."""
    if not commands:
        return await asyncio.to_thread(_taken, os.open(source, os.O_RDONLY | os.O_CLOEXEC), take)
    reading, writing = wide_pipe()
    taking = asyncio.ensure_future(asyncio.to_thread(_taken, reading, take))
    try:
        with os.fdopen(writing, "wb", buffering=0) as into:
            output = await children.run(*commands, source=source, into=into, within_seconds=within_seconds)
    finally:  # the other end is closed: the thread comes to an end
        with suppress(asyncio.CancelledError):
            await asyncio.wait([taking])
    return _result(taking, output, what)


def _result(taking: "asyncio.Future[T]", output: Output, what: str) -> T:
    """What came of it. Where a program failed, what was taken is of no worth; that it was cut off is not its fault."""
    fault = taking.exception()
    if fault is not None and all(one.ok or one.cut_off for one in output.ended):
        raise fault
    undisturbed(output, what).checked(what)
    return taking.result()


def undisturbed(output: Output, what: str) -> Output:
    """Itself; raises where a program failed because somebody ended it: that says nothing of what it read."""
    failed = [one for one in output.ended if not one.ok and not one.cut_off]
    if failed and all(one.status in STOPPED for one in failed):
        raise BackupError(what, failed[0].why, trouble=Trouble.CANCELLED)
    return output


def _taken(handle: int, take: Callable[[BinaryIO], T]) -> T:
    with os.fdopen(handle, "rb", buffering=PIPE_BYTES) as stream:
        return take(stream)
