"""A pipe of programs, without asyncio and without subprocess: for the fast path, and for threads that read WAL.

The daemon starts its programs through `backup.children`; a push that lives for some milliseconds cannot afford that.
"""

from __future__ import annotations

import fcntl
import os
import select

from backup.wal.place import failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WITHIN_SECONDS = 300.0  # for one segment: a disk that takes longer is as good as gone
PIECE_BYTES = 1024 * 1024
MOST_SAID_BYTES = 4096
F_SETPIPE_SZ = 1031  # Linux; elsewhere refused
SIGPIPE = 13  # which Python ignores, and programs would with it
_NO_SPACE = "No space left on device"


class Pipe:
    """Programs piped one into the next. `close` it whatever happens: it ends what still runs."""

    def __init__(self, commands: Sequence[Sequence[str]], source: int, into: int | None = None) -> None:
        self._names = [os.path.basename(words[0]) for words in commands]
        self._saying = os.memfd_create("said", os.MFD_CLOEXEC)
        self._running: dict[int, int] = {}  # process -> its handle
        self._statuses: list[int] = []
        self.reading: int | None = None
        """Where what the last one writes is to be read, when it goes nowhere else."""
        try:
            self._start(commands, source, into)
        except BaseException:  # raised again, once what was begun is cleared away
            self.close()
            raise

    def pieces(self) -> Iterator[bytes]:
        """What comes out, until its end; raises when a program failed."""
        while self.reading is not None:
            if not _stirs(self.reading):
                raise failure(" | ".join(self._names), f"silent for {WITHIN_SECONDS:.0f} s", "", "timeout")
            piece = os.read(self.reading, PIECE_BYTES)
            if not piece:
                break
            yield piece
        self.ended()

    def ended(self) -> None:
        """Wait until all have ended; raises when one of them failed."""
        while self._running:
            process, handle = next(iter(self._running.items()))
            if not _stirs(handle):
                raise failure(" | ".join(self._names), f"not done within {WITHIN_SECONDS:.0f} s", "", "timeout")
            self._reap(process)
        failed = [(name, status) for name, status in zip(self._names, self._statuses, strict=True) if status]
        if failed:
            said = self._said()
            name, status = failed[0]
            why = f"ended with status {status}" + (f": {said[0]}" if said else "")
            raise failure(name, why, "", "space" if any(_NO_SPACE in line for line in said) else "tool")

    def close(self) -> None:
        """End what still runs."""
        if self.reading is not None:
            os.close(self.reading)
            self.reading = None
        for process in list(self._running):
            os.kill(process, 9)
            self._reap(process)
        if self._saying >= 0:
            os.close(self._saying)
            self._saying = -1

    def _start(self, commands: Sequence[Sequence[str]], source: int, into: int | None) -> None:
        incoming, opened = source, []
        try:
            for words in commands:
                if words is commands[-1] and into is not None:
                    following, writing = -1, into
                else:
                    following, writing = os.pipe2(os.O_CLOEXEC)
                    opened += [following, writing]
                actions = [(os.POSIX_SPAWN_DUP2, h, n) for n, h in enumerate((incoming, writing, self._saying))]
                process = os.posix_spawn(
                    words[0], list(words), _environment(), file_actions=actions, setsigdef=[SIGPIPE]
                )
                self._running[process] = os.pidfd_open(process)
                incoming = following
            if into is None:
                self.reading = incoming
                opened.remove(incoming)
                _widen(incoming)
        finally:
            for handle in opened:
                os.close(handle)

    def _reap(self, process: int) -> None:
        _, status = os.waitpid(process, 0)
        os.close(self._running.pop(process))
        self._statuses.append(os.waitstatus_to_exitcode(status))

    def _said(self) -> list[str]:
        """What the programs said, a line each."""
        text = os.pread(self._saying, MOST_SAID_BYTES, 0).decode(errors="replace")
        return [line.strip() for line in text.splitlines() if line.strip()]


def _stirs(handle: int) -> bool:
    """Whether there is something to read, or an end, in time."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(WITHIN_SECONDS * 1000))


def _widen(pipe: int) -> None:
    """Let more stand in a pipe, so that the two ends wait less for each other; an ordinary user has only so much."""
    try:
        fcntl.fcntl(pipe, F_SETPIPE_SZ, PIECE_BYTES)
    except OSError:
        return


def _environment() -> dict[str, str]:
    kept = {name: os.environ[name] for name in ("HOME", "TMPDIR") if name in os.environ}
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", **kept}
