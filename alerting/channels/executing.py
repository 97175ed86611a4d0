"""A program of the operator's own: it is given the webhook's document on its standard input.

Its exit status says what became of it: 0 sent, 75 (EX_TEMPFAIL) later, anything else never. One that is ended by a
signal, as by a machine out of memory, has said nothing: it is run again.
"""

import asyncio
import errno
import os
import signal
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from alerting.channels.contract import Channel, ChannelSettings
from alerting.channels.http import encoded
from alerting.channels.webhook import document
from alerting.lines import one_line
from alerting.messages import Letter
from toban.alerts import Delivery, Outcome
from toban.config import misfit
from toban.secrets import Secret, blot

EX_TEMPFAIL: Final = 75
TIME_SHARE: Final = 0.85  # of the channel's timeout; the rest is for ending what hangs
MOST_OUTPUT_BYTES: Final = 4096
MOST_DETAIL_LETTERS: Final = 300
LAST_WORDS_SECONDS: Final = 0.5
POLL_SECONDS: Final = 0.05
_PASSING = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY})
"""The machine is full just now, or the program is just being written."""
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def _is_program(run: tuple[str, ...]) -> tuple[str, ...]:
    if not run[0].startswith("/"):
        raise misfit("begins with the program's path from the root", 0)
    if any("\0" in word for word in run):
        raise misfit("holds a zero byte, which no program can be given")
    return run


class ExecSettings(ChannelSettings):
    """The program with its arguments, as a list; no shell reads them."""

    kind: Literal["exec"] = "exec"
    run: Annotated[tuple[str, ...], Field(min_length=1, max_length=100), AfterValidator(_is_program)]
    environment: dict[Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")], Secret] = Field(default_factory=dict)


class Exec(Channel[ExecSettings]):
    """Whatever the operator wrote."""

    kind = "exec"
    settings_model = ExecSettings
    per_second: ClassVar[float] = 5.0
    burst: ClassVar[int] = 5

    async def send(self, letter: Letter) -> Delivery:
        """Run it once; it and all that it started end with the time that it has."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self.settings.run,
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                cwd="/",
                env=self._environment(),
                start_new_session=True,
            )
        except OSError as error:
            outcome = Outcome.RETRY if error.errno in _PASSING else Outcome.REFUSED
            return Delivery(outcome=outcome, detail=self._told(error.strerror or str(error)))
        readers = [asyncio.create_task(_read(stream)) for stream in (process.stderr, process.stdout) if stream]
        try:
            return await self._run(process, readers, encoded(document(letter)))
        finally:
            if process.returncode is None or not all(reader.done() for reader in readers):
                _end(process)
                await asyncio.wait([asyncio.ensure_future(process.wait()), *readers], timeout=LAST_WORDS_SECONDS)
            for reader in readers:
                reader.cancel()

    async def _run(self, process: Process, readers: list[asyncio.Task[bytes]], told: bytes) -> Delivery:
        seconds = self.settings.timeout * TIME_SHARE
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await _tell(process, told)
                await _ended(process)
        if process.returncode is None:
            detail = f"did not end within {seconds:.3g} s, and was killed"
            return Delivery(outcome=Outcome.RETRY, detail=detail, unsure=True)
        await asyncio.wait(readers, timeout=LAST_WORDS_SECONDS)
        said = next((reader.result() for reader in readers if reader.done() and reader.result().strip()), b"")
        return self._judged(process.returncode, said)

    def _judged(self, status: int, said: bytes) -> Delivery:
        words = self._told(said.decode(errors="replace").strip())
        how = f"exit {status}" if status >= 0 else f"ended by signal {-status}"
        detail = f"{how}: {words}" if words else how
        if status == 0:
            return Delivery(outcome=Outcome.SENT, detail=detail, receipt={"said": words} if words else {})
        if status < 0:
            return Delivery(outcome=Outcome.RETRY, detail=detail, unsure=True)
        return Delivery(outcome=Outcome.RETRY if status == EX_TEMPFAIL else Outcome.REFUSED, detail=detail)

    def _environment(self) -> dict[str, str]:
        """Nothing of the daemon's own: its credentials are nobody else's."""
        own = {name: value.reveal() for name, value in self.settings.environment.items()}
        return {"PATH": _PATH, "LC_ALL": "C.UTF-8", **own}

    def _told(self, text: str) -> str:
        secrets = (value.reveal() for value in self.settings.environment.values())
        return one_line(blot(text, *secrets), MOST_DETAIL_LETTERS)

    @classmethod
    def secrets(cls, settings: ExecSettings) -> tuple[Secret, ...]:
        """The values of the environment."""
        return tuple(settings.environment.values())


async def _tell(process: Process, told: bytes) -> None:
    """A program may end without reading what it is told."""
    assert process.stdin is not None  # noqa: S101 - it was asked for
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(told)
        await process.stdin.drain()
    process.stdin.close()


async def _ended(process: Process) -> None:
    """When it has ended itself: `wait` would wait for whomever it left behind with its output open, too."""
    while process.returncode is None:  # noqa: ASYNC110 - nothing else tells of it
        await asyncio.sleep(POLL_SECONDS)


async def _read(stream: asyncio.StreamReader) -> bytes:
    """The beginning of what it says; the rest is taken from it and dropped."""
    kept = b""
    while piece := await stream.read(65536):
        kept = (kept + piece)[:MOST_OUTPUT_BYTES]
    return kept


def _end(process: Process) -> None:
    """The whole group that it leads."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
