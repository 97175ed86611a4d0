"""Programs started for backups: in groups of their own, piped together, bounded, and ended whole, also when we die.

A guardian, a small shell of its own, holds the other end of our pipe: when we are gone, however we went, it ends every
group of processes that was still at work.
"""

import asyncio
import fcntl
import os
import re
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Final

from backup.errors import BackupError
from backup.guardian import Guardian
from toban.backups import Trouble
from toban.secrets import blot

TERM_SECONDS: Final = 5.0
LOOK_SECONDS: Final = 0.5  # asyncio tells of an end only when the pipes are closed, which others may hold
AFTERMATH_SECONDS: Final = 10.0  # for the other programs of a pipeline once one of them has failed
MOST_OUTPUT_BYTES: Final = 16 * 1024 * 1024
MOST_SAID_BYTES: Final = 16 * 1024
LONGEST_LINE_BYTES: Final = 64 * 1024
PIPE_BYTES: Final = 1024 * 1024
MODE: Final = 0o600
# How programs begin what went wrong; what is only called so, as a table error_log, says nothing.
_TELLING = re.compile(r"\b(error|fatal|panic):|\[error\]|^error \d+ ", re.IGNORECASE)
NO_SPACE: Final = ("No space left on device", "Disk quota exceeded", "could not extend file")


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One program with its words; no shell reads them, and no secret stands in them or in the environment."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: tuple[str, ...] = ()  # blotted out of what it says
    good: frozenset[int] = frozenset({0})  # exit statuses that are no failure

    @property
    def program(self) -> str:
        """Its name alone."""
        return Path(self.words[0]).name


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one program ended, and the last that it said on stderr."""

    command: Command
    status: int  # negative: by that signal
    said: str

    @property
    def ok(self) -> bool:
        """Whether it says that it succeeded."""
        return self.status in self.command.good

    @property
    def cut_off(self) -> bool:
        """Whether it failed only because the next program of its pipeline was gone."""
        return self.status in (-signal.SIGPIPE, 128 + signal.SIGPIPE) or "Broken pipe" in self.said

    @property
    def why(self) -> str:
        """Its last words, or how it ended."""
        lines = [line.strip() for line in self.said.splitlines() if line.strip()]
        telling = [line for line in lines if _TELLING.search(line)] or lines[-1:]
        how = f"ended by signal {-self.status}" if self.status < 0 else f"ended with status {self.status}"
        return f"{self.command.program} {how}" + (f": {telling[0]}" if telling else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What a pipeline brought."""

    stdout: bytes
    ended: tuple[Ended, ...]

    @property
    def text(self) -> str:
        """As text."""
        return self.stdout.decode(errors="replace")

    @property
    def said(self) -> str:
        """All that was said on stderr: after a success these are warnings."""
        return "\n".join(one.said for one in self.ended if one.said)

    @property
    def ok(self) -> bool:
        """Whether every program of it succeeded."""
        return all(one.ok for one in self.ended)

    def checked(self, what: str, hint: str = "") -> "Output":
        """Itself, when every program succeeded; else the first cause, by the earliest that was not only cut off."""
        failed = [one for one in self.ended if not one.ok]
        if not failed:
            return self
        cause = next((one for one in failed if not one.cut_off), failed[0])
        trouble = Trouble.SPACE if any(words in one.said for one in failed for words in NO_SPACE) else Trouble.TOOL
        raise BackupError(what, cause.why, hint, trouble=trouble)


class Child:
    """One program that runs on: a receiver of WAL, a scratch server."""

    def __init__(self, process: Process, command: Command, listening: "asyncio.Task[str]") -> None:
        self.process = process
        self.command = command
        self._listening = listening
        self._over = False

    @property
    def pid(self) -> int:
        """Its process, which is its group too."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.process.returncode is None

    async def wait(self) -> Ended:
        """Until it ends by itself. What it leaves behind is ended: it would hold our pipes, and work on alone."""
        waiting = asyncio.ensure_future(self.process.wait())
        try:
            while self.running and not waiting.done():
                await asyncio.wait([waiting], timeout=LOOK_SECONDS)
            self._clear()
            status = await waiting
        finally:
            waiting.cancel()
        return Ended(command=self.command, status=status, said=await self._listening)

    def send(self, number: signal.Signals) -> None:
        """A signal to it alone."""
        with suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self, *, grace_seconds: float = TERM_SECONDS, by: signal.Signals = signal.SIGTERM) -> Ended:
        """Ask it and all that it started to end, then see to it."""
        if self.running:
            _signal_group(self.pid, by)
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_seconds):
                    await self.process.wait()
        self._clear()
        return await self.wait()

    def _clear(self) -> None:
        """End all of its group. Once it has ended itself only once more: its number may be a stranger's later."""
        if not self._over:
            self._over = not self.running
            _signal_group(self.pid, signal.SIGKILL)


class Children:
    """Starts programs and sees them end. One of these serves a whole daemon, or one command."""

    def __init__(self, *, nice: int = 0, guardian: Guardian | None = None) -> None:
        self._nice = nice
        self._guardian = guardian or Guardian()

    def standing_back(self, nice: int) -> "Children":
        """The same, whose programs stand back for others: processor and disk."""
        return Children(nice=nice, guardian=self._guardian)

    async def run(
        self,
        *commands: Command,
        within_seconds: float,
        source: Path | None = None,
        into: Path | IO[bytes] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        on_start: Callable[[tuple[int, ...]], None] | None = None,
        most_output_bytes: int = MOST_OUTPUT_BYTES,
    ) -> Output:
        """Run programs piped one into the next: from `source` or nothing, into a new file, an open one, or memory.

        `on_line` hears each line of every stderr. A file is made with mode 0600 and must not exist; it is not synced.
        Raises for what could not be started, for the time limit, and for too much output; how the programs ended is in
        the answer, to be `checked`.
        """
        children: list[Child] = []
        try:
            async with asyncio.timeout(within_seconds):
                reader = await self._start_all(commands, children, source, into, cwd, on_line)
                if on_start is not None:
                    on_start(tuple(child.pid for child in children))
                collecting = asyncio.create_task(_collected(reader, most_output_bytes))
                ended = await self._ended(children)
                stdout = await collecting
        except TimeoutError:
            names = " | ".join(command.program for command in commands)
            raise BackupError(names, f"not done within {within_seconds:.0f} s", trouble=Trouble.TIMEOUT) from None
        finally:
            await self._end_all(children)
        return Output(stdout=stdout, ended=ended)

    @asynccontextmanager
    async def running(
        self,
        command: Command,
        *,
        cwd: Path | None = None,
        stdout: IO[bytes] | int = DEVNULL,
        on_line: Callable[[str], None] | None = None,
        grace_seconds: float = TERM_SECONDS,
        end_by: signal.Signals = signal.SIGTERM,
    ) -> AsyncIterator[Child]:
        """A program that runs on until the block is left; then it is ended whole."""
        child = await self._start(command, DEVNULL, stdout, cwd, on_line)
        try:
            yield child
        finally:
            await asyncio.shield(self._part(child, grace_seconds, end_by))

    async def close(self) -> None:
        """No more children: those that still run are ended, and what wants to be started is refused."""
        await self._guardian.close()

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _start_all(
        self,
        commands: Sequence[Command],
        children: list[Child],
        source: Path | None,
        into: Path | IO[bytes] | None,
        cwd: Path | None,
        on_line: Callable[[str], None] | None,
    ) -> asyncio.StreamReader | None:
        """Start every program of a pipeline; what the last one writes, when it goes nowhere else."""
        opened: list[int] = []
        try:
            reading = DEVNULL
            if source is not None:
                reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
                opened.append(reading)
            for place, command in enumerate(commands):
                following: int = DEVNULL
                if place < len(commands) - 1:
                    following, writing = wide_pipe()
                    opened += [following, writing]
                elif isinstance(into, Path):
                    writing = os.open(into, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
                    opened.append(writing)
                else:
                    writing = PIPE if into is None else into.fileno()  # noqa: ASYNC240 - a number of ours, no disk
                children.append(await self._start(command, reading, writing, cwd, on_line))
                reading = following
        finally:
            for handle in opened:
                os.close(handle)
        return children[-1].process.stdout

    async def _start(
        self,
        command: Command,
        stdin: int,
        stdout: IO[bytes] | int,
        cwd: Path | None,
        on_line: Callable[[str], None] | None,
    ) -> Child:
        self._refuse_after_close(command)
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words(command),
                stdin=stdin,
                stdout=stdout,
                stderr=PIPE,
                cwd=cwd or "/",
                env=bare_environment() | dict(command.environment),
                start_new_session=True,
                limit=LONGEST_LINE_BYTES,
            )
        except OSError as error:
            why = f"cannot be started: {error.strerror or error}"
            raise BackupError(command.program, why, trouble=Trouble.PROGRAM) from error
        try:
            await self._guardian.note("+", process.pid)
        except BaseException:  # nobody would end it: whoever wanted it was stopped before he had it
            _signal_group(process.pid, signal.SIGKILL)
            raise
        if self._guardian.closed:  # meanwhile
            _signal_group(process.pid, signal.SIGKILL)
        listening = asyncio.create_task(_heard(process.stderr, command.secrets, on_line))
        return Child(process, command, listening)

    def _refuse_after_close(self, command: Command) -> None:
        if self._guardian.closed:
            raise BackupError(command.program, "is not begun: Toban is stopping", trouble=Trouble.CANCELLED)

    def _words(self, command: Command) -> tuple[str, ...]:
        if not self._nice:
            return command.words
        back = [shutil.which("nice") or "", "-n", str(self._nice)] if shutil.which("nice") else []
        back += [shutil.which("ionice") or "", "-t", "-c", "2", "-n", "7"] if shutil.which("ionice") else []
        return (*back, *command.words)

    async def _ended(self, children: Sequence[Child]) -> tuple[Ended, ...]:
        """How each ended. When one has failed, the others have a moment to notice."""
        waiting = {asyncio.create_task(child.wait()): child for child in children}
        pending = set(waiting)
        within: float | None = None
        while pending:
            done, pending = await asyncio.wait(pending, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                await self._guardian.note("-", waiting[task].pid)
            if not done:
                for task in pending:
                    _signal_group(waiting[task].pid, signal.SIGKILL)
                within = None
            elif any(not task.result().ok for task in done):
                within = AFTERMATH_SECONDS
        return tuple(task.result() for task in waiting)

    async def _end_all(self, children: Sequence[Child]) -> None:
        if children:
            parting = (self._part(child, TERM_SECONDS, signal.SIGTERM) for child in children)
            await asyncio.shield(asyncio.gather(*parting))

    async def _part(self, child: Child, grace_seconds: float, by: signal.Signals) -> None:
        await child.end(grace_seconds=grace_seconds, by=by)
        await self._guardian.note("-", child.pid)


def wide_pipe() -> tuple[int, int]:
    """A pipe that much may stand in: on a busy machine its two ends wait half as long for each other."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    with suppress(OSError):  # an ordinary user has only so much
        fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return reading, writing


def bare_environment() -> dict[str, str]:
    """What every program is given: nothing of ours but where things are; messages in English."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "TZ") if name in os.environ}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C.UTF-8"}


def quieter(command: Command, *secrets: str) -> Command:
    """The same program, with more to blot out of what it says."""
    return replace(command, secrets=(*command.secrets, *secrets))


async def _heard(
    stream: asyncio.StreamReader | None, secrets: tuple[str, ...], on_line: Callable[[str], None] | None
) -> str:
    """The end of what a program says, and each line of it to whoever listens."""
    said = bytearray()
    while stream is not None:
        try:
            line = await stream.readline()
        except ValueError:  # a line without an end
            continue
        if not line:
            break
        said += line
        del said[:-MOST_SAID_BYTES]
        if on_line is not None:
            on_line(blot(line.decode(errors="replace").rstrip(), *secrets))
    return blot(said.decode(errors="replace"), *secrets)


async def _collected(stream: asyncio.StreamReader | None, most_bytes: int) -> bytes:
    found = bytearray()
    while stream is not None:
        piece = await stream.read(LONGEST_LINE_BYTES)
        if not piece:
            break
        if len(found) <= most_bytes:
            found += piece
    if len(found) > most_bytes:
        raise BackupError("output", f"more than {most_bytes} bytes", trouble=Trouble.INTERNAL)
    return bytes(found)


def _signal_group(group: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)
