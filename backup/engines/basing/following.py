"""Digests of archives while pg_basebackup writes them: read right behind it, from memory rather than from the disk.

It writes each from its beginning to its end. No thread is held while there is nothing to read.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from toban.backups import StoredFile

PIECE_BYTES: Final = 1024 * 1024
TURN_BYTES: Final = 256 * PIECE_BYTES
PAUSE_SECONDS: Final = 0.2


@dataclass(slots=True)
class _Archive:
    path: Path
    digest: Any = field(default_factory=hashlib.sha256)
    read_bytes: int = 0


class Following:
    """Some archives in one folder."""

    def __init__(self, place: Path, names: Iterable[str]) -> None:
        self._archives = [_Archive(place / name) for name in names]
        self._written = asyncio.Event()

    async def done(self) -> dict[str, StoredFile]:
        """All of them are written: what they came to. One that is not there is left out."""
        self._written.set()
        await self._work
        return {
            one.path.name: StoredFile(path=one.path.name, size_bytes=one.read_bytes, sha256=one.digest.hexdigest())
            for one in self._archives
            if one.path.exists()
        }

    def begin(self) -> None:
        """Follow from now on."""
        self._work = asyncio.create_task(self._follow())

    async def end(self) -> None:
        """Whatever became of them."""
        self._work.cancel()
        with suppress(asyncio.CancelledError):
            await self._work

    async def _follow(self) -> None:
        while True:
            last = self._written.is_set()
            if await asyncio.to_thread(self._read):
                continue
            if last:
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(PAUSE_SECONDS):
                    await self._written.wait()

    def _read(self) -> int:
        """Read what has come, but not for ever; how much it was. It blocks."""
        before = sum(one.read_bytes for one in self._archives)
        for one in self._archives:
            with suppress(FileNotFoundError), one.path.open("rb", buffering=0) as file:
                file.seek(one.read_bytes)
                for _ in range(TURN_BYTES // PIECE_BYTES):
                    piece = file.read(PIECE_BYTES)
                    if not piece:
                        break
                    one.digest.update(piece)
                    one.read_bytes += len(piece)
        return sum(one.read_bytes for one in self._archives) - before


@asynccontextmanager
async def following(place: Path, names: Iterable[str]) -> AsyncIterator[Following]:
    """Follow archives while the block makes them."""
    found = Following(place, names)
    found.begin()
    try:
        yield found
    finally:
        await found.end()
