"""Other people's programs, run with bounds: on time, on output, at the lowest priority, and never left behind."""

import asyncio
import os
import shutil
import signal
import sys
from contextlib import suppress
from dataclasses import dataclass

LOWEST_PRIORITY = 19
MOST_BYTES = 4 * 1024 * 1024
PIECE_BYTES = 65536
ENDING_SECONDS = 2.0
LESS_WELL_KNOWN = ("/usr/local/sbin", "/usr/sbin", "/sbin")  # a daemon's PATH often lacks them
PLACES = tuple(os.environ.get("PATH", os.defpath).split(os.pathsep))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How a program ended and what it said."""

    status: int
    output: str
    complaint: str


class TooMuchError(Exception):
    """A program said more than anybody would read."""


class Programs:
    """The programs in some folders."""

    def __init__(self, places: tuple[str, ...] | None = None) -> None:
        beside_python = os.path.dirname(sys.executable)  # noqa: PTH120 - a text among texts
        self._path = os.pathsep.join((*PLACES, *LESS_WELL_KNOWN, beside_python) if places is None else places)

    def find(self, name: str) -> str | None:
        """Where a program is; None when it is not installed."""
        return shutil.which(name, path=self._path)

    async def run(self, *command: str, timeout_seconds: float) -> Ran:
        """Run one to its end. TimeoutError at the deadline; it does not outlive that, nor being given up."""
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": self._path, "LC_ALL": "C", "HOME": os.environ.get("HOME", "/")},
            start_new_session=True,  # so that its children end with it
        )
        ended = False
        try:
            with suppress(OSError):  # it has ended already, or the unit's system call filter has no room for this
                os.setpriority(os.PRIO_PROCESS, process.pid, LOWEST_PRIORITY)
            async with asyncio.timeout(timeout_seconds):
                output, complaint = await _said(process)
                status = await process.wait()
            ended = True
        finally:
            if not ended:  # or it has, and what it started goes on
                await _end(process)
        return Ran(status=status, output=output, complaint=complaint)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it with its children. asyncio calls it ended only when its pipes are empty."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(ENDING_SECONDS):
            await asyncio.gather(_drained(process.stdout), _drained(process.stderr), process.wait())


async def _drained(stream: asyncio.StreamReader | None) -> None:
    while stream is not None and await stream.read(PIECE_BYTES):
        pass


async def _said(process: asyncio.subprocess.Process) -> list[str]:
    readers = [asyncio.ensure_future(_bounded(stream)) for stream in (process.stdout, process.stderr)]
    try:
        return await asyncio.gather(*readers)
    finally:
        for reader in readers:
            reader.cancel()
        await asyncio.wait(readers)


async def _bounded(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None  # noqa: S101 - both were asked for
    said = bytearray()
    while piece := await stream.read(PIECE_BYTES):
        said += piece
        if len(said) > MOST_BYTES:
            raise TooMuchError(f"it said more than {MOST_BYTES} bytes")
    return said.decode("utf-8", "replace")
