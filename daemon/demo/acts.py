"""What was to happen in the demonstration, and whether it did; and the commands that it types as a person would."""

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path

WHO = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """One thing that was to happen, and whether it did."""

    key: str
    done: bool
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """How a command ended."""

    status: int
    printed: str
    complaint: str


async def typed(config: Path, *words: str, within_seconds: float) -> Typed:
    """`toban …`, in a process of its own: it finds the daemon by its local socket."""
    command = (sys.executable, "-m", "daemon", "-c", str(config), *words)
    environment = {**os.environ, "USER": WHO, "LOGNAME": WHO}
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE, env=environment)
    try:
        async with asyncio.timeout(within_seconds):
            printed, complaint = await process.communicate()
    except TimeoutError:
        return Typed(status=1, printed="", complaint="no answer")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Typed(
        status=process.returncode or 0,
        printed=printed.decode(errors="replace"),
        complaint=complaint.decode(errors="replace").strip(),
    )
