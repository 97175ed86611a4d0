"""The digest of a file that is still being written: taken along while it is fresh in memory, done when the file is."""

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from toban.backups import StoredFile

PIECE_BYTES: Final = 1024 * 1024
PAUSE_SECONDS: Final = 0.1


class Growing:
    """One file that somebody else appends to and nobody changes; read on a thread of its own, never on the loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = threading.Event()
        self._abandoned = threading.Event()
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        """How far it has been read."""

    async def stored(self, name: str) -> StoredFile:
        """What it came to, once all of it is written."""
        self._written.set()
        await self._reading
        return StoredFile(path=name, size_bytes=self.size_bytes, sha256=self._digest.hexdigest())

    def begin(self) -> None:
        """Follow it from now on."""
        thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="digest")  # hours long: not one of the loop's few
        self._reading = asyncio.get_running_loop().run_in_executor(thread, self._follow)
        thread.shutdown(wait=False)

    async def end(self) -> None:
        """Whatever has become of the file, the thread goes."""
        self._abandoned.set()
        self._written.set()
        await asyncio.wait([self._reading])

    def _follow(self) -> None:
        while not self._path.exists():
            if self._written.wait(PAUSE_SECONDS) and not self._path.exists():
                return
        with self._path.open("rb", buffering=0) as file:
            while not self._abandoned.is_set():
                last = self._written.is_set()
                piece = file.read(PIECE_BYTES)
                self._digest.update(piece)
                self.size_bytes += len(piece)
                if not piece and last:
                    return
                if not piece:
                    self._written.wait(PAUSE_SECONDS)


@asynccontextmanager
async def growing(path: Path) -> AsyncIterator[Growing]:
    """Follow a file while the block writes it; `await it.stored(name)` once it is whole."""
    found = Growing(path)
    found.begin()
    try:
        yield found
    finally:
        await found.end()
