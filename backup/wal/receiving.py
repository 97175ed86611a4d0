"""Receiving WAL as it is written: pg_receivewal with a slot, watched, begun again, never two of them on one place."""

import asyncio
import fcntl
import os
import re
import signal
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import asyncpg
import structlog

from backup.children import Child, Command
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.sql import query
from backup.wal.manner import Manner
from backup.wal.place import claim, disk_failure, make
from backup.wal.position import Server, ask
from backup.wal.ripening import MOST_AT_ONCE, begin_at, mend, ripen, wanted_next
from backup.wal.segments import lsn_number, segment_at
from backup.way import Way
from toban.backups import Trouble
from toban.secrets import Dsn

LOCK: Final = ".receiver.lock"
PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)  # before it is begun again
STEADY_SECONDS: Final = 60.0  # after which it counts as well, and the next pause is the first
RIPEN_SECONDS: Final = 5.0
SETTLE_SECONDS: Final = 1.0  # a server that refuses it does so at once
CREATE_SECONDS: Final = 60.0
STATUS_SECONDS: Final = 5
ENOUGH: Final = 3
# A server that is gone without a word, or a wire that is cut, would be waited for a quarter of an hour and more. What
# the DSN says of it comes after, and wins.
PATIENCE: Final = "tcp_user_timeout=60000 keepalives_idle=30 keepalives_interval=10 keepalives_count=3"
# The server says the rest in its own language; the names and positions in it are the same everywhere.
GONE: Final = re.compile(r"unexpected termination of replication stream: .*\b([0-9A-F]{24})\b")
REFUSED: Final = re.compile(r'"START_REPLICATION"')
FORKED: Final = re.compile(r"(\d+)\D+([0-9A-F]+/[0-9A-F]+)\D*$")

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What a receiver is to do."""

    target: str
    dsn: Dsn
    slot: str
    place: Path
    manner: Manner
    synchronous: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """How it goes."""

    receiving: bool = False
    since: float | None = None
    reason: str = ""  # why it does not receive
    restarts: int = 0
    packing: str = ""  # why what has come is not compressed or sealed


class Receiver:
    """Receives the WAL of one server for as long as `run` is awaited."""

    def __init__(
        self,
        stream: Stream,
        around: Surroundings,
        *,
        pauses: Sequence[float] = PAUSES,
        ripen_seconds: float = RIPEN_SECONDS,
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        self.stream = stream
        self.state = State()
        self._around = around
        self._pauses = tuple(pauses)
        self._ripen_seconds = ripen_seconds
        self._settle_seconds = settle_seconds
        self._way: Way | None = None
        self._gone: list[str] = []  # the segments that it asked for in vain, one for each life since it last received
        self._forked: tuple[int, int] | None = None
        self._refused = False

    async def run(self) -> None:
        """Receive until cancelled. Whatever goes wrong is said in `state`, and it is begun again."""
        failures = 0
        while True:
            began = self._around.clock.monotonic()
            try:
                await self._once()
            except BackupError as error:
                self._stopped(error.reason)
            except OSError as error:  # the place, or the workspace
                self._stopped(disk_failure(error, str(self.stream.place)).reason)
            except Exception as error:  # who supervises us begins anew; until then nothing is received
                self._stopped(f"internal fault: {type(error).__name__}")
                raise
            steady = self._around.clock.monotonic() - began > STEADY_SECONDS
            failures = 0 if steady else failures + 1
            await asyncio.sleep(self._pauses[min(max(failures - 1, 0), len(self._pauses) - 1)])

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _once(self) -> None:
        """One life of pg_receivewal, from the first question to its end."""
        place = self.stream.place
        with tempfile.TemporaryDirectory(dir=self._around.workspace, prefix="receive-") as folder:
            self._way = Way(self.stream.dsn, Path(folder))
            try:
                server = await ask(self._way, self.stream.slot)
                await asyncio.to_thread(self._claimed, server)
                with alone(place):
                    await self._prepared(server)
                    await self._receive(server)
            finally:
                self._way = None

    def _claimed(self, server: Server) -> None:
        try:
            make(str(self.stream.place))
            owner = claim(str(self.stream.place), server.system_identifier, server.segment_bytes)
        except OSError as error:
            raise disk_failure(error, str(self.stream.place)) from error
        if owner[0] != server.system_identifier:
            why = f"holds the WAL of another server: {owner[0]}, not {server.system_identifier}"
            hint = "give each server a target of its own; one that was made anew is another server"
            raise BackupError(str(self.stream.place), why, hint, trouble=Trouble.CONFIGURATION)

    async def _prepared(self, server: Server) -> None:
        """The slot is there; and where the last life ended at a hole, this one begins behind it."""
        place = self.stream.place
        await asyncio.to_thread(mend, place, server.segment_bytes)
        useless = server.slot_status == "lost"  # it keeps nothing any more; the server may still have what we want next
        wanted = self._gone[-1] if self._gone else ""
        if useless and not wanted:
            wanted = await asyncio.to_thread(wanted_next, place, server.segment_bytes)
        lost = bool(wanted) and await self._is_removed(wanted)
        if (lost or useless) and self._forked is None:
            await self._drop_slot()
        words = self._words(server, "--create-slot", "--if-not-exists")
        done = await self._around.children.run(words, within_seconds=CREATE_SECONDS)
        done.checked(f"replication slot {self.stream.slot}", "its role needs REPLICATION, and a line in pg_hba.conf")
        if self._forked is not None and server.position is not None:
            parent, at = self._forked
            segment = await self._begun(server.position.timeline, at, server)
            logger.warning("wal_timeline_forked", target=self.stream.target, timeline=parent, begins_with=segment)
        elif lost:
            assert self._way is not None  # noqa: S101 - `_once` has made it
            position = (await ask(self._way, self.stream.slot)).position  # what the new slot keeps
            if position is not None:
                await self._begun(position.timeline, position.kept_from or position.written_to, server)
            logger.error("wal_lost", target=self.stream.target, why="the server has removed WAL that never came here")
            self._gone = []
        self._forked = None

    async def _begun(self, timeline: int, at: int, server: Server) -> str:
        segment = segment_at(timeline, at, server.segment_bytes)
        await asyncio.to_thread(begin_at, self.stream.place, segment, self.stream.manner)
        return segment

    async def _is_removed(self, segment: str) -> bool:
        """Whether the server has a segment no more; where our role may not see, often enough in vain tells."""
        try:
            return not await self._asked("has_segment", segment)
        except BackupError:
            return self._gone[-ENOUGH:] == [segment] * ENOUGH

    async def _drop_slot(self) -> None:
        await self._asked("drop_slot", self.stream.slot)

    async def _asked(self, name: str, about: str) -> object:
        assert self._way is not None  # noqa: S101 - `_once` has made it
        async with self._way.connected() as connection:
            try:
                return await connection.fetchval(query(__package__ or "", name), about, timeout=CREATE_SECONDS)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                raise self._way.unreachable(error) from error

    async def _receive(self, server: Server) -> None:
        words = self._words(server, "--no-loop", f"--status-interval={STATUS_SECONDS}", "--verbose")
        if self.stream.synchronous:
            words = replace(words, words=(*words.words, "--synchronous"))
        async with self._around.children.running(words, on_line=self._hear, end_by=signal.SIGINT) as child:
            beside = asyncio.create_task(self._beside())
            try:
                await self._ended(child)
            finally:
                beside.cancel()
                await asyncio.gather(beside, return_exceptions=True)

    async def _ended(self, child: Child) -> None:
        ended = await child.wait()
        telling = [line for line in ended.said.splitlines() if "error:" in line or "ERROR:" in line]
        why = telling[0].removeprefix("pg_receivewal: error: ") if telling else ended.why
        raise BackupError("pg_receivewal", why, trouble=Trouble.UNREACHABLE)

    def _hear(self, line: str) -> None:
        gone = GONE.search(line)
        if gone is not None:
            self._gone = [*self._gone[-ENOUGH:], gone[1]]
        forked = FORKED.search(line) if self._refused else None  # in the line after the refusal
        if forked is not None:
            self._forked = int(forked[1]), lsn_number(forked[2])
        self._refused = REFUSED.search(line) is not None

    async def _beside(self) -> None:
        """While it receives: say so once it has settled, and pack what is finished, now and then."""
        await asyncio.sleep(self._settle_seconds)
        self.state = replace(self.state, receiving=True, since=self._around.clock.now(), reason="")
        self._gone = []
        logger.info("wal_receiving", target=self.stream.target, slot=self.stream.slot)
        while True:
            packed, why = 0, ""
            try:
                packed = await asyncio.to_thread(ripen, self.stream.place, self.stream.manner)
            except BackupError as error:
                why = error.reason
            if why and why != self.state.packing:
                logger.warning("wal_not_packed", target=self.stream.target, why=why)
            self.state = replace(self.state, packing=why)
            await asyncio.sleep(self._ripen_seconds if packed < MOST_AT_ONCE else 0)

    def _words(self, server: Server, *options: str) -> Command:
        assert self._way is not None  # noqa: S101 - `_once` has made it
        program = self._around.programs.postgresql("pg_receivewal", major=server.major, or_newer=True)
        return Command(
            words=(
                *(str(program), "--no-password", f"--dbname={PATIENCE} {self._way.words()}"),
                *(f"--slot={self.stream.slot}", f"--directory={self.stream.place}", *options),
            ),
            environment=self._way.environment,
            secrets=self._way.secrets,
        )

    def _stopped(self, reason: str) -> None:
        if reason != self.state.reason:
            logger.warning("wal_not_receiving", target=self.stream.target, why=reason)
        self.state = replace(self.state, receiving=False, reason=reason, restarts=self.state.restarts + 1)


@contextmanager
def alone(place: Path) -> Iterator[None]:
    """A place for us alone: two receivers on one would write over each other."""
    handle = os.open(place / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            holder = os.pread(handle, 200, 0).decode(errors="replace").strip() or "somebody"
            why = f"another receiver writes here: {holder}"
            raise BackupError(str(place), why, "one daemon at a time", trouble=Trouble.BUSY) from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
