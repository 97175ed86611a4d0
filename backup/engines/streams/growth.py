"""Progress of a program that says nothing: how large what it writes has grown."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final

from backup.engines.contract import Tell
from toban.backups import Progress

LOOK_SECONDS: Final = 1.0


@asynccontextmanager
async def growing(
    path: Path, tell: Tell, phase: str, *, total_bytes: int | None = None, what: str = ""
) -> AsyncIterator[None]:
    """While the block runs, tell how large the file is, or all files in the folder."""

    async def watch() -> None:
        while True:
            done = await asyncio.to_thread(size_of, path)
            tell(Progress(phase=phase, done_bytes=done, total_bytes=total_bytes, what=what))
            await asyncio.sleep(LOOK_SECONDS)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        await asyncio.wait({watching})


def size_of(path: Path) -> int:
    """The bytes of a file, or of all below a folder; what vanishes meanwhile counts for nothing."""
    with suppress(OSError):
        if not path.is_dir():
            return path.stat().st_size
    total = 0
    for one in path.rglob("*"):
        with suppress(OSError):
            total += one.lstat().st_size
    return total
