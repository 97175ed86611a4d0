"""A folder for what a command must not leave: its own, gone with it; what others left who were killed goes before."""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from backup.proof.place import sweep
from toban.errors import UnavailableError

PREFIX: Final = "toban-work-"
PASSABLE: Final = 0o711
ATTEMPTS: Final = 3


@asynccontextmanager
async def workspace_in(folder: Path) -> AsyncIterator[Path]:
    """The folder, for as long as the block lasts.

    A scratch server's account must be able to pass through it; what lies in it is closed by itself. A lock on it says
    that it is in use: to the next command, and to a daemon that clears its own folder, where somebody has put this one.
    """
    await _sweep(folder)
    made, lock = await asyncio.to_thread(_made, folder)
    try:
        yield made
    finally:
        try:
            await asyncio.to_thread(shutil.rmtree, made, ignore_errors=True)
        finally:
            os.close(lock)


def _made(folder: Path) -> tuple[Path, int]:
    """A new one, and the lock on it. A sweep that comes in between takes it for left behind: once more."""
    attempts = ATTEMPTS
    while True:
        try:
            return _made_once(folder)
        except FileNotFoundError as error:
            attempts -= 1
            if not attempts or not folder.is_dir():
                raise _unusable(error) from error
        except OSError as error:
            raise _unusable(error) from error


def _made_once(folder: Path) -> tuple[Path, int]:
    made = Path(tempfile.mkdtemp(prefix=PREFIX, dir=folder))
    lock = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)
        made.chmod(PASSABLE)
    except OSError:
        os.close(lock)
        raise
    return made, lock


def _unusable(error: OSError) -> UnavailableError:
    return UnavailableError("workspace", f"{error.filename}: {error.strerror}", "--workspace DIR")


async def _sweep(folder: Path) -> None:
    """What commands left that were killed: a scratch server may be at work in it, and secrets may lie there."""
    for left in await asyncio.to_thread(lambda: sorted(folder.glob(f"{PREFIX}*"))):
        with _held(left) as ours:
            if ours:
                await sweep(left)
                await asyncio.to_thread(shutil.rmtree, left, ignore_errors=True)


@contextmanager
def _held(left: Path) -> Iterator[bool]:
    """Whether it is our account's, and nobody who lives works in it."""
    try:
        lock = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:  # gone meanwhile, another's, or no folder
        yield False
        return
    try:
        yield os.fstat(lock).st_uid == os.geteuid() and _locked(lock)
    finally:
        os.close(lock)


def _locked(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
