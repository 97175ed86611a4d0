"""A PostgreSQL server to throw away: on a private socket, without TCP, with settings of its own, gone in the end."""

import asyncio
import re
import signal
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from backup.children import Child, Command
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.programs import account, becoming, enterable
from backup.proof.configuration import PATIENT, PORT, SETTINGS, newer_settings, server_folder
from backup.proof.control import Control, control_of, major_of
from backup.proof.place import private_folder
from backup.proof.verdict import spoiled
from backup.sql import query
from backup.way import Way
from toban.backups import Trouble
from toban.secrets import Dsn

SUPERUSER: Final = "postgres"
START_SECONDS: Final = 60.0
LOOK_SECONDS: Final = 0.1
ENDING_SECONDS: Final = 15.0
STOP_SECONDS: Final = 600.0  # the checkpoint at the end
MOST_LINES: Final = 200
PROGRAMS: Final = "programs"  # copied there, where the servers' account may not enter the place they lie in
READY: Final = "ready"
_ROLE = re.compile(r'rolname = "(.*)"\t\(typeid')


@dataclass(frozen=True, slots=True, kw_only=True)
class ScratchServer:
    """One that runs."""

    dsn: Dsn
    way: Way
    major: int
    data_dir: Path
    bin_dir: Path
    superuser: str
    child: Child
    said: "deque[str]"  # the last lines of its log
    control: Control | None = None  # as it was before it started, where its files were restored

    async def stop(self) -> None:
        """End it orderly, so that its files can be looked at: everybody is sent away, everything is written."""
        ended = await self.child.end(grace_seconds=STOP_SECONDS, by=signal.SIGINT)
        if not ended.ok:
            raise BackupError("scratch server", f"did not stop: {_last(self.said)}", trouble=Trouble.TOOL)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Files:
    """What a server is started on."""

    around: Surroundings
    place: Path
    sockets: Path
    data_dir: Path
    bin_dir: Path
    settings: Mapping[str, str]
    control: Control | None = None

    def words(self) -> tuple[str, ...]:
        """The server's command. What stands in its words beats every file."""
        given = {
            **SETTINGS,
            **self.settings,
            "unix_socket_directories": str(self.sockets),
            "config_file": str(self.sockets / "postgresql.conf"),
            "hba_file": str(self.sockets / "pg_hba.conf"),
            "ident_file": str(self.sockets / "pg_ident.conf"),
        }
        options = [word for name, value in given.items() for word in ("-c", f"{name}={value}")]
        return (*becoming(account()), str(self.bin_dir / "postgres"), "-D", str(self.data_dir), *options)

    @asynccontextmanager
    async def started(self, superuser: str, within_seconds: float) -> AsyncIterator[ScratchServer]:
        """The server, once it takes connections; ended with the block."""
        said: deque[str] = deque(maxlen=MOST_LINES)
        command = Command(words=self.words())
        async with self.around.children.running(
            command, on_line=said.append, grace_seconds=ENDING_SECONDS, end_by=signal.SIGQUIT
        ) as child:
            await _ready(child, self.data_dir, said, within_seconds)
            user, host = (quote(word, safe="") for word in (superuser, str(self.sockets)))
            dsn = Dsn(f"postgresql://{user}@/postgres?host={host}&port={PORT}")
            yield ScratchServer(
                dsn=dsn,
                way=Way(dsn, self.place),
                major=major_of(self.data_dir),
                data_dir=self.data_dir,
                bin_dir=self.bin_dir,
                superuser=superuser,
                child=child,
                said=said,
                control=self.control,
            )


@asynccontextmanager
async def fresh_server(
    around: Surroundings,
    place: Path,
    *,
    major: int,
    encoding: str = "UTF8",
    locale: str = "C",
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[ScratchServer]:
    """An empty one of this major version, or of the nearest newer one there is. `place` is a `scratch_place`."""
    initdb = around.programs.postgresql("initdb", major=major, or_newer=True)
    bin_dir = await entered(initdb.parent, around)
    data_dir = private_folder(place, "data", account())
    words = (
        *(*becoming(account()), str(bin_dir / "initdb"), "--no-sync", "--auth=trust", f"--username={SUPERUSER}"),
        *(f"--encoding={encoding}", f"--locale={locale}", f"--pgdata={data_dir}"),
    )
    output = await around.children.run(Command(words=words), within_seconds=START_SECONDS)
    output.checked("initdb")
    own = {"wal_level": "minimal", "max_wal_senders": "0", **(settings or {})}
    files = _Files(
        around=around, place=place, sockets=server_folder(place), data_dir=data_dir, bin_dir=bin_dir, settings=own
    )
    async with files.started(SUPERUSER, START_SECONDS) as server:
        yield server


@asynccontextmanager
async def restored_server(
    around: Surroundings,
    place: Path,
    data_dir: Path,
    *,
    within_seconds: float,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[ScratchServer]:
    """One on restored files, once it has recovered and takes connections. `place` is a `scratch_place`."""
    major = major_of(data_dir)
    bin_dir = await entered(around.programs.postgresql("postgres", major=major).parent, around)
    control = await control_of(data_dir, bin_dir, around)
    own = {
        **{name: str(least) for name, least in control.limits.items()},
        "recovery_target_action": "promote",
        **newer_settings(major),
        **(settings or {}),
    }
    files = _Files(
        around=around,
        place=place,
        sockets=server_folder(place),
        data_dir=data_dir,
        bin_dir=bin_dir,
        settings=own,
        control=control,
    )
    async with files.started(SUPERUSER, within_seconds) as server:
        if await _rules(server):
            yield server
            return
        await server.stop()
    async with files.started(await _superuser(files), START_SECONDS) as server:
        yield server


async def entered(folder: Path, around: Surroundings) -> Path:
    """A folder of programs where the servers' account may run them."""
    around.workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    return await asyncio.to_thread(enterable, folder, around.workspace / PROGRAMS)


async def _ready(child: Child, data_dir: Path, said: "deque[str]", within_seconds: float) -> None:
    """Wait until it takes connections. What it says when it ends decides what that means."""
    try:
        async with asyncio.timeout(within_seconds):
            while not await asyncio.to_thread(_is_ready, child, data_dir):
                if not child.running:
                    raise await _not_started(child, said)
                await asyncio.sleep(LOOK_SECONDS)
    except TimeoutError:
        why = f"not ready within {within_seconds:.0f} s: {_last(said)}"
        raise BackupError("scratch server", why, trouble=Trouble.TIMEOUT) from None


def _is_ready(child: Child, data_dir: Path) -> bool:
    with suppress(OSError):
        lines = (data_dir / "postmaster.pid").read_text().splitlines()
        return lines[:1] == [str(child.pid)] and [line.strip() for line in lines[7:8]] == [READY]
    return False


async def _not_started(child: Child, said: "deque[str]") -> BackupError:
    await child.wait()  # all that it had to say is heard then
    why = f"did not start: {_last(said)}"
    trouble = Trouble.DAMAGED if spoiled(_last(said)) else Trouble.TOOL
    return BackupError("scratch server", why, trouble=trouble)


def _last(said: "deque[str]") -> str:
    """What a server's log says of its end: the first word of a fault, with what stands under it."""
    lines = list(said)
    for place, line in enumerate(lines):
        if line.startswith(("PANIC:", "FATAL:")):
            below = [more for more in lines[place + 1 : place + 3] if more.startswith(("DETAIL:", "HINT:"))]
            return " ".join(" ".join([line, *below]).split())
    return lines[-1] if lines else "it said nothing"


async def _rules(server: ScratchServer) -> bool:
    """Whether the usual superuser is there, and is one."""
    try:
        async with server.way.connected("template1", settings=PATIENT) as connection:
            return bool(await connection.fetchval(query(__package__, "superuser")))
    except BackupError:  # there is none of that name, or it may not set what only a superuser may
        return False


async def _superuser(files: _Files) -> str:
    """The name of the role that initdb made, asked of the files themselves: nobody else is known to be one."""
    asked = files.place / "superuser.sql"
    asked.write_text("SELECT rolname FROM pg_catalog.pg_authid WHERE oid = 10\n", encoding="ascii")
    words = (*becoming(account()), str(files.bin_dir / "postgres"), "--single", "-D", str(files.data_dir))
    places = [f"{name}={files.sockets / file}" for name, file in (("config_file", "postgresql.conf"),)]
    options = [word for one in (*places, *(f"{k}={v}" for k, v in SETTINGS.items())) for word in ("-c", one)]
    output = await files.around.children.run(
        Command(words=(*words, *options, "template1")), within_seconds=START_SECONDS, source=asked
    )
    named = _ROLE.search(output.checked("scratch server").text)
    if named is None:
        raise BackupError("scratch server", "its superuser is not to be found", trouble=Trouble.TOOL)
    return named[1]
