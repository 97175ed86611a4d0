"""The ways back of MariaDB and MySQL: a dump into new databases of a server, a base backup into a new folder."""

import asyncio
import json
import os
import pwd
import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backup.children import Command
from backup.engines.contract import Contents, Surroundings, Tell
from backup.engines.mariadb import USERS, held_against
from backup.engines.mariadb_base import BACKUP, STREAM, stream_file
from backup.engines.streams.folder import own_folder
from backup.engines.streams.growth import growing, size_of
from backup.engines.streams.packing import unpacking, unreadable
from backup.errors import BackupError
from backup.mariadb.way import MariaDbWay, Server, quoted, release_of
from backup.programs import account
from backup.readers import reader
from backup.repository.turns import finished
from backup.restore.basing.placing import Site, flush, look, settle, staged
from backup.restore.contract import Aim, Preflight, Restored, Wanted
from toban.backups import BackupRecord, Check, Manifest, Progress, Trouble
from toban.units import size_text

LIMIT_SECONDS: Final = 12 * 3600.0
DROP_SECONDS: Final = 3600.0
LOCK_SECONDS: Final = 60
CLIENT: Final = ("mariadb", "mysql")


class MariaDbRestorer:
    """Loads dumps into databases that are not there yet."""

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """Whether the server answers, is new enough, and has no such database yet."""
        told = wanted.record.manifest
        checks = _asked_for(wanted, server=True)
        if all(check.ok for check in checks) and wanted.into is not None:
            async with own_folder(around.workspace, "look") as folder:
                checks += await self._server_checks(MariaDbWay(wanted.into, folder, around.programs), wanted, around)
        needed = sum(one["size_bytes"] for one in chosen_of(wanted))
        return Preflight(checks=tuple(checks), needed_bytes=needed, reaches_at=told.created_at)

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
        """Each database made and loaded; all that are new are dropped when one of them fails."""
        if wanted.into is None:
            raise BackupError(wanted.record.id, "nobody said where to", "--into DSN", trouble=Trouble.CONFIGURATION)
        way, began = MariaDbWay(wanted.into, workspace, around.programs), around.clock.monotonic()
        loading = Loading(wanted=wanted, way=way, around=around, workspace=workspace, tell=tell)
        await way.open(around.children)
        try:
            await loading.all()
        except BaseException:  # raised again, once what was begun is cleared away
            await asyncio.shield(loading.undo())
            raise
        chosen = chosen_of(wanted)
        return Restored(
            phases={"load": around.clock.monotonic() - began},
            restored_bytes=sum(one["size_bytes"] for one in chosen),
            databases=tuple(wanted.rename or one["name"] for one in chosen),
            did=tuple(loading.did),
            left_to_do=tuple(_left(wanted.record)),
        )

    async def _server_checks(self, way: MariaDbWay, wanted: Wanted, around: Surroundings) -> list[Check]:
        try:
            server = await way.open(around.children)
            there = {one.name for one in await way.databases(around.children)}
            known = {row[0] for row in await way.ask(around.children, "SHOW COLLATION")}
        except BackupError as error:
            return [Check(name="server", ok=False, detail=error.reason)]
        checks = [_version(server, wanted.record.manifest), await asyncio.to_thread(_server_room, server, wanted)]
        for one in chosen_of(wanted):
            name = wanted.rename or one["name"]
            if name in there:
                said = f"{name} is there already" + (
                    " and is replaced" if wanted.replace else "; --replace, or another name"
                )
                checks.append(Check(name=f"database {name}", ok=wanted.replace, detail=said))
            else:
                checks.append(Check(name=f"database {name}", ok=True, detail=f"{name} is not there yet"))
            if one["collation"] not in known:
                checks.append(
                    Check(name="collation", ok=False, detail=f"the server has no collation {one['collation']}")
                )
        return checks


@dataclass(frozen=True, slots=True, kw_only=True)
class Loading:
    """One restore into a server, and what it has made there so far."""

    wanted: Wanted
    way: MariaDbWay
    around: Surroundings
    workspace: Path
    tell: Tell
    made: list[str] = field(default_factory=list)
    did: list[str] = field(default_factory=list)

    async def all(self) -> None:
        """One database after the other. What is there is dropped only once all that replaces it was seen to load."""
        there = {one.name for one in await self.way.databases(self.around.children)}
        named = [(one, self.wanted.rename or one["name"]) for one in chosen_of(self.wanted)]
        taken = [(one, name) for one, name in named if name in there]
        for one, name in taken:
            await self._try_out(one, name)
        for one, name in sorted(named, key=lambda pair: pair[1] in there):  # what can be undone comes first
            if name in there:
                await self._replace(one, name)
            else:
                await self._load(one, name)
            self.did.append(f"loaded {one['name']} into the new database {name}")

    async def undo(self) -> None:
        """Drop all that was made, as far as the server still listens."""
        for name in self.made:
            with suppress(BackupError):
                await self._drop(name)

    async def _try_out(self, one: dict[str, Any], name: str) -> None:
        """See that the dump of what replaces a database loads: into one that goes again."""
        if not self.wanted.replace:
            hint = "--replace, or another name"
            raise BackupError(f"database {name}", "is there already", hint, trouble=Trouble.CONFIGURATION)
        trial = f"toban_trial_{self.wanted.record.id[:15]}_{os.getpid()}"
        await self._load(one, trial)
        await self._drop(trial)
        self.made.remove(trial)

    async def _replace(self, one: dict[str, Any], name: str) -> None:
        """Drop what is there, and load. What has taken its place is not undone, whatever comes after it."""
        await self._drop(name)
        self.did.append(f"dropped the database {name} that was there, once the dump was seen to load")
        try:
            await self._load(one, name)
        except BackupError as error:
            why = f"{error.why}; {name} that was there is dropped already"
            raise BackupError(error.what, why, "restore it once more", trouble=error.trouble) from error
        self.made.remove(name)

    async def _load(self, one: dict[str, Any], name: str) -> None:
        """Make the database, and load its dump: whole to its last line, or it has failed."""
        children, told = self.around.children, self.wanted.record
        created = f"CREATE DATABASE {quoted(name)} CHARACTER SET {one['character_set']} COLLATE {one['collation']}"
        await self.way.ask(children, created)
        self.made.append(name)
        source, unsealing = self.wanted.lineage[-1][1].source(one["file"])
        report = self.workspace / f"{one['file']}.json"
        commands = (
            *unsealing,
            *unpacking(self.around.programs, one["file"]),
            reader("mariadb_dump", "pass", report),
            self.way.command(CLIENT, "--batch", "--default-character-set=utf8mb4", "--", name),
        )
        self.tell(Progress(phase="load", total_bytes=one["size_bytes"], what=name))
        done = await children.run(*commands, source=source, within_seconds=LIMIT_SECONDS)
        client, before = done.ended[-1], done.ended[:-1]
        if any(not ended.ok and not ended.cut_off for ended in before):
            raise unreadable(told.id, done)
        check = await asyncio.to_thread(_whole, one, report)
        if check.ok is False:
            raise BackupError(told.id, check.detail, "restore another one", trouble=Trouble.DAMAGED)
        if not client.ok:
            raise self.way.failure(client.why, client.said)
        done.checked(told.id)

    async def _drop(self, name: str) -> None:
        """It must not wait for others and drop later, when nobody expects it any more."""
        sql = f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}; DROP DATABASE IF EXISTS {quoted(name)}"
        await self.way.ask(self.around.children, sql, within_seconds=DROP_SECONDS)


class MariaDbBaseRestorer:
    """Lays out a data directory and prepares it: then a server can be started on it."""

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """Whether the place is free and large enough, and the programs are here."""
        told = wanted.record.manifest
        size = int(told.source_bytes or 0)
        checks = _asked_for(wanted, server=False)
        if all(check.ok for check in checks) and wanted.data_dir is not None:
            checks += await asyncio.to_thread(_folder_checks, wanted.data_dir, wanted, size)
            checks += _programs(wanted, around)
        return Preflight(checks=tuple(checks), needed_bytes=size, reaches_at=told.finished_at)

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:  # noqa: ARG002 - it is made on the disk where it will lie
        """Unpack beside the place, prepare there, and put it in place by one rename."""
        for check in (await self.preflight(wanted, around)).checks:
            if check.ok is False:
                raise BackupError(check.name, check.detail, trouble=Trouble.CONFIGURATION)
        told, clock = wanted.record.manifest, around.clock
        place = wanted.data_dir or Path()
        site, began = await asyncio.to_thread(look, place), clock.monotonic()
        async with staged(site) as made:
            await self._unpack(wanted.lineage[-1][1], told, around, made, tell)
            unpacked_at = clock.monotonic()
            tell(Progress(phase="prepare", total_bytes=told.source_bytes, what=place.name))
            words = (str(around.programs.other(*BACKUP)), "--prepare", f"--target-dir={made}")
            done = await around.children.run(Command(words=words), within_seconds=LIMIT_SECONDS)
            done.checked(told.id, "restore another one")
            prepared_at = clock.monotonic()
            size = await asyncio.to_thread(size_of, made)
            await finished(asyncio.to_thread(_put_folder, made, site, wanted))
        return Restored(
            phases={"unpack": unpacked_at - began, "prepare": prepared_at - unpacked_at},
            restored_bytes=size,
            databases=told.databases,
            did=(f"laid out {told.id} in {place}", "prepared it: what was not committed is undone"),
            left_to_do=(f"start a server of version {told.server_version} on it: mariadbd --datadir={place}",),
        )

    async def _unpack(self, contents: Contents, told: Manifest, around: Surroundings, made: Path, tell: Tell) -> None:
        name = stream_file(told)
        source, unsealing = contents.source(name)
        extract = Command(words=(str(around.programs.other(*STREAM)), "-x", "-C", str(made)))
        commands = (*unsealing, *unpacking(around.programs, name), extract)
        async with growing(made, tell, "unpack", total_bytes=told.source_bytes):
            done = await around.children.run(*commands, source=source, within_seconds=LIMIT_SECONDS)
        if not done.ok:
            raise unreadable(told.id, done)


def chosen_of(wanted: Wanted) -> list[dict[str, Any]]:
    """The databases of the backup that are wanted, as its manifest tells of them."""
    there: list[dict[str, Any]] = list(wanted.record.manifest.detail.get("databases", ()))
    return [one for one in there if wanted.database is None or one["name"] == wanted.database]


def _whole(one: dict[str, Any], report: Path) -> Check:
    """Whether what went to the server was all that was dumped. Without a report it was cut off, by whichever end."""
    try:
        read = json.loads(report.read_bytes())
    except FileNotFoundError:
        return Check(name=one["name"], ok=None)
    report.unlink()
    return held_against(one, read)


def _asked_for(wanted: Wanted, *, server: bool) -> list[Check]:
    """Whether it is asked for what this can do."""
    found = []
    if server and wanted.into is None:
        found.append(Check(name="place", ok=False, detail="a dump goes into a server: --into mysql://…"))
    if not server and (wanted.data_dir is None or not wanted.data_dir.is_absolute()):
        found.append(
            Check(name="place", ok=False, detail="a base backup goes into a folder: --data-dir, from the root")
        )
    if wanted.moment.aim not in (Aim.BACKUP, Aim.LATEST):
        found.append(Check(name="moment", ok=False, detail="this backup has one moment, its own"))
    if wanted.tables:
        found.append(Check(name="tables", ok=False, detail="tables cannot be had alone: restore beside, and copy"))
    if server and not chosen_of(wanted):
        found.append(Check(name="database", ok=False, detail=f"there is no database {wanted.database} in it"))
    if wanted.rename and len(chosen_of(wanted)) > 1:
        found.append(Check(name="database", ok=False, detail="one name for several databases: choose one of them"))
    return found


def _version(server: Server, told: Manifest) -> Check:
    """A dump of a newer server may have what an older one does not know; only trying tells."""
    older = server.release < release_of(told.server_version)
    same = ("MariaDB" in server.version) == ("MariaDB" in told.server_version)
    said = f"the server is {server.version}, the dump is of {told.server_version}"
    return Check(name="version", ok=None if older or not same else True, detail=said)


def _server_room(server: Server, wanted: Wanted) -> Check:
    """Room on the server's disk, where that is this machine."""
    needed = sum(one["size_bytes"] for one in chosen_of(wanted))
    if wanted.into is None or not wanted.into.local or not server.data_dir.is_dir():
        return Check(name="space", ok=None, detail="the server's disk cannot be seen from here")
    free = shutil.disk_usage(server.data_dir).free
    return Check(
        name="space", ok=free > needed, detail=f"{size_text(free)} are free, it takes about {size_text(needed)}"
    )


def _folder_checks(place: Path, wanted: Wanted, size: int) -> list[Check]:
    checks = []
    if not place.parent.is_dir():
        return [Check(name="place", ok=False, detail=f"{place.parent} is no folder that is there")]
    if not look(place).is_empty:
        said = f"{place} is not empty; a data directory is never restored over another: move it away"
        checks.append(Check(name="place", ok=False, detail=said))
    else:
        checks.append(Check(name="place", ok=True, detail=f"{place} is free"))
    free = shutil.disk_usage(place if place.is_dir() else place.parent).free
    checks.append(
        Check(name="space", ok=free > size, detail=f"{size_text(free)} are free, it takes about {size_text(size)}")
    )
    if wanted.owner is not None:
        try:
            pwd.getpwnam(wanted.owner)
        except KeyError:
            checks.append(Check(name="owner", ok=False, detail=f"there is no account {wanted.owner}"))
    return checks


def _programs(wanted: Wanted, around: Surroundings) -> list[Check]:
    try:
        around.programs.other(*BACKUP)
        around.programs.other(*STREAM)
        unpacking(around.programs, stream_file(wanted.record.manifest))
    except BackupError as error:
        return [Check(name="programs", ok=False, detail=error.reason)]
    return [Check(name="programs", ok=True, detail="what unpacks and prepares it is here")]


def _put_folder(made: Path, site: Site, wanted: Wanted) -> None:
    """To the account that the server runs as, synced, and in place."""
    entry = _whose(site.path, wanted.owner)
    if entry is not None:
        for folder, _, files in os.walk(made):
            for name in (".", *files):
                os.chown(Path(folder, name), *entry)
    if wanted.durable:
        flush(made)
    settle(made, site, durable=wanted.durable)


def _whose(place: Path, owner: str | None) -> tuple[int, int] | None:
    """Whose it shall be: as somebody says, as the empty folder there is, else the server's account when we are root."""
    if owner is not None:
        entry = pwd.getpwnam(owner)
        return entry.pw_uid, entry.pw_gid
    if place.is_dir():
        return place.stat().st_uid, place.stat().st_gid
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("mysql")
    except KeyError:
        chosen = account()
        return None if chosen is None else (chosen.uid, chosen.gid)
    return entry.pw_uid, entry.pw_gid


def _left(record: BackupRecord) -> list[str]:
    left = ["give the application's role its rights on the new databases"]
    if record.manifest.detail.get("users"):
        left.append(f"accounts are not touched: {record.place}/{USERS} has those of the old server, as SQL")
    return left
