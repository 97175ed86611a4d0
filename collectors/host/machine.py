"""The one way to the host: the kernel's files under /proc and /sys, and what may block, in threads of its own."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from collectors.blocking import Blocking, StuckError
from collectors.checkpoints import Checkpoints
from collectors.contract import Kind, Source
from toban.outcomes import Failure, Gap, Reason

THREADS_AT_ONCE = 32  # few work at a time, since lanes take turns: the others are those that hang
MOUNTS_AT_ONCE = 256  # each that hangs keeps its thread: one server's exports all hang together, and / must be told

# First match wins: the narrow before the wide. A host that Toban itself runs on is never called down.
_MEANINGS: tuple[tuple[type[BaseException], Reason, str], ...] = (
    (StuckError, Reason.STUCK, "a disk or a network file system below it does not answer"),
    (TimeoutError, Reason.TIMEOUT, "a disk or a network file system below it does not answer"),
    (FileNotFoundError, Reason.UNSUPPORTED, "the kernel or the container does not offer it"),
    (PermissionError, Reason.PRIVILEGE, "let Toban's user read it"),
    (OSError, Reason.UNSUPPORTED, ""),
)


class HostMachine(Source):
    """The machine Toban runs on. The places of /proc and /sys are arguments for what no test machine can produce."""

    kind = Kind.HOST

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        sys: Path = Path("/sys"),
        statvfs: Callable[[bytes], os.statvfs_result] = os.statvfs,
        checkpoints: Checkpoints | None = None,
    ) -> None:
        self.checkpoints = checkpoints or Checkpoints()
        self.proc = proc
        self.sys = sys
        self.statvfs = statvfs
        self.blocking = Blocking(limit=THREADS_AT_ONCE)
        self.mounts = Blocking(limit=MOUNTS_AT_ONCE)
        self.errands: set[asyncio.Task[None]] = set()  # what outlasts a turn, and ends with the source

    def read(self, name: str) -> str:
        """A file of /proc. Bytes that are no UTF-8 survive as surrogates."""
        return (self.proc / name).read_bytes().decode("utf-8", "surrogateescape")

    def explain(self, error: BaseException) -> Failure:
        """The typed reason behind an exception."""
        detail = " ".join(str(error).split())[:300] or type(error).__name__
        for kind, reason, hint in _MEANINGS:
            if isinstance(error, kind):
                return Failure(reason=reason, detail=detail, hint=hint)
        return Failure(reason=Reason.INTERNAL, detail=f"{type(error).__name__}: {detail}")

    def gap(self, what: str, error: BaseException) -> Gap:
        """The same for a part of what a collector looks at."""
        failure = self.explain(error)
        return Gap(what=what, reason=failure.reason, detail=failure.detail, hint=failure.hint)

    def abandon(self) -> None:
        """Nothing is held open; a thread that hangs in the kernel cannot be cut, only left behind."""

    async def close(self) -> None:
        """Nothing to say goodbye to; what is still under way for a later turn is called back."""
        for errand in self.errands:
            errand.cancel()
        if self.errands:
            await asyncio.wait(self.errands)
