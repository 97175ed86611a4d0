"""The files of a whole MariaDB server, copied while it runs by `mariadb-backup`, as one stream."""

import asyncio
import os
from pathlib import Path
from typing import Any, ClassVar, Final

from backup.children import Children, Command
from backup.engines.contract import Estimate, Looking, Made, Making
from backup.engines.mariadb import way_of
from backup.engines.streams.growth import growing
from backup.engines.streams.packing import Packing, packing, unpacking, unreadable
from backup.errors import BackupError
from backup.mariadb.way import MariaDbWay, Server
from backup.programs import Programs, version_text
from backup.readers import answer, reader
from toban.backups import Check, Manifest, Method, Trouble

BACKUP: Final = ("mariadb-backup", "mariabackup")
STREAM: Final = ("mbstream",)
FILE: Final = "base.mbstream"
READ_SECONDS: Final = 12 * 3600.0
NEEDED: Final = ("ib_logfile0", "backup-my.cnf")
DONE: Final = "completed OK!"
MEBIBYTE: Final = 1024 * 1024
Told = dict[str, Any]


class MariaDbBase:
    """One stream of all files and of the log since; it is prepared when it is restored."""

    name: ClassVar[str] = "mariadb_base"
    method: ClassVar[Method] = Method.BASE
    kinds: ClassVar[frozenset[str]] = frozenset({"mariadb"})

    async def estimate(self, making: Making) -> Estimate:
        """As large as all tables are."""
        async with way_of(making) as way:
            _on_this_machine(making, await way.open(making.around.children))
            size = sum(table.size_bytes for table in await way.tables(making.around.children))
        return Estimate(source_bytes=size, size_bytes=size)

    async def make(self, making: Making) -> Made:
        """Copy, pack, and believe it only when its last line says so."""
        async with way_of(making) as way:
            return await self._make(making, way)

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Read the stream through: every piece has a checksum, every member an end."""
        manifest = looking.record.manifest
        file = stream_file(manifest)
        try:
            told = await _read(looking.around.children, looking.contents.source(file), file, looking.around.programs)
        except BackupError as error:
            if error.trouble is not Trouble.DAMAGED:  # of this machine, and no word about the backup
                raise
            return (Check(name="stream", ok=False, detail=error.reason),)
        found = _members(told)
        if found.ok and told["members"] != manifest.detail.get("members"):
            said = f"{told['members']} files, not {manifest.detail.get('members')}"
            return (Check(name="stream", ok=False, detail=said),)
        return (found,)

    async def _make(self, making: Making, way: MariaDbWay) -> Made:
        around, clock = making.around, making.around.clock
        server = await way.open(around.children)
        _on_this_machine(making, server)
        default = "zstd:1" if around.programs.has("zstd") else "none"
        pack = packing(around.programs, making.job.compress, default)
        file, began = FILE + pack.suffix, clock.monotonic()
        await self._copy(making, way, making.place / file, pack)
        copied_at = clock.monotonic()
        told = await _read(around.children, (making.place / file, ()), file, around.programs)
        check = _members(told)
        if not check.ok:
            raise BackupError(making.origin.name, check.detail, trouble=Trouble.DAMAGED)
        return Made(
            source_bytes=told["size_bytes"],
            server_version=server.version,
            databases=tuple(one.name for one in await way.databases(around.children)),
            tools={"mariadb-backup": await asyncio.to_thread(version_text, around.programs.other(*BACKUP))},
            compression=pack.name,
            phases={"copy": copied_at - began, "check": clock.monotonic() - copied_at},
            detail={"file": file, "members": told["members"], "size_bytes": told["size_bytes"]},
        )

    async def _copy(self, making: Making, way: MariaDbWay, into: Path, pack: Packing) -> None:
        """The program tells thousands of things; the one that counts is the last."""
        scratch, said = way.defaults.with_name("base"), list[str]()
        await asyncio.to_thread(scratch.mkdir, 0o700)
        words = ["--backup", "--stream=mbstream", f"--target-dir={scratch}", f"--parallel={making.job.jobs}"]
        if making.job.bandwidth is not None:
            words.append(f"--throttle={max(1, making.job.bandwidth // (10 * MEBIBYTE))}")
        async with growing(into, making.tell, "copy"):
            done = await making.around.children.run(
                way.command(BACKUP, *words),
                *pack.commands,
                into=into,
                within_seconds=making.job.timeout,
                on_line=lambda line: _keep(said, line),
            )
        if not done.ok:
            raise way.failure_of(done)
        if not said:
            raise BackupError(making.origin.name, "the copy has no end, though its program says it was well")


def stream_file(told: Manifest) -> str:
    """The file of the stream in a backup."""
    return str(told.detail.get("file", FILE))


def _keep(said: list[str], line: str) -> None:
    """The line that says how it ended; the thousands of others are of no use."""
    if DONE in line:
        said.append(line)


async def _read(children: Children, source: tuple[Path, tuple[Command, ...]], file: str, programs: Programs) -> Told:
    path, unsealing = source
    commands = (*unsealing, *unpacking(programs, file), reader("mbstream"))
    done = await children.run(*commands, source=path, within_seconds=READ_SECONDS)
    if not done.ok:
        raise unreadable(file, done)
    return answer(file, done, done.stdout)


def _members(told: Told) -> Check:
    """Whether each file in the stream has its end, and those without which there is no restore are among them."""
    missing = [name for name in NEEDED if name not in told["named"]]
    if told["unended"]:
        return Check(name="stream", ok=False, detail=f"{told['unended'][0]} has no end")
    if missing:
        return Check(name="stream", ok=False, detail=f"{missing[0]} is not in it")
    return Check(name="stream", ok=True, detail=f"{told['members']} files, each to its end, and every sum is right")


def _on_this_machine(making: Making, server: Server) -> None:
    """It reads the server's files: they must be here, and readable."""
    if not server.data_dir.is_dir() or not os.access(server.data_dir, os.R_OK | os.X_OK):
        why = f"its files in {server.data_dir} cannot be read from here"
        hint = "run Toban beside the server as root or as its account, or take dumps: method: dump"
        raise BackupError(making.origin.name, why, hint, trouble=Trouble.PRIVILEGE)
