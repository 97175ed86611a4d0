"""The way back of an SQLite file: made beside its place, looked through there, and put in place whole."""

import asyncio
import os
import pwd
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from backup.engines.contract import Surroundings, Tell
from backup.engines.sqlite import COPY, checks_against, examined
from backup.engines.streams.growth import growing
from backup.engines.streams.packing import unpacking, unreadable
from backup.errors import BackupError
from backup.repository.turns import finished
from backup.restore.basing.placing import Site, staged
from backup.restore.contract import Aim, Preflight, Restored, Wanted
from backup.restore.holders import holders_of
from toban.backups import Check, Progress, Trouble
from toban.units import size_text

LIMIT_SECONDS: Final = 12 * 3600.0
FILE_MODE: Final = 0o600
SIBLINGS: Final = ("-wal", "-shm", "-journal")


class SqliteRestorer:
    """Puts a file back. Its application must be stopped: it would go on with the file that it has open."""

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """Whether there is a place for it, free and with room, and whether it can be unpacked."""
        told = wanted.record.manifest
        size = told.source_bytes or 0
        checks = _asked_for(wanted)
        if not checks:
            checks = await asyncio.to_thread(_place_checks, place_of(wanted), wanted, size)
            checks.append(_unpacked(wanted, around))
        return Preflight(checks=tuple(checks), needed_bytes=size, reaches_at=told.created_at)

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:  # noqa: ARG002 - it is made on the disk where it will lie
        """Unpack, look through, put in place."""
        told, clock = wanted.record.manifest, around.clock
        (await self.preflight_failures(wanted, around))
        place = place_of(wanted)
        began = clock.monotonic()
        async with staged(Site(path=place)) as stage:
            made = stage / COPY
            await self._unpack(wanted, around, made, tell)
            unpacked_at = clock.monotonic()
            tell(Progress(phase="check", total_bytes=told.source_bytes, what=place.name))
            rows = "exact" if told.rows else "none"
            found = await examined(around.children, made, rows=rows, within_seconds=LIMIT_SECONDS)
            checks = (found.integrity, *checks_against(told.detail, told.rows, found))
            for check in checks:
                if check.ok is False:
                    raise BackupError(told.id, check.detail, "restore another one", trouble=Trouble.DAMAGED)
            checked_at = clock.monotonic()
            replaced = await finished(asyncio.to_thread(_put, made, place, wanted))
        did = [f"restored {told.id} to {place}", "; ".join(check.detail for check in checks)]
        if replaced:
            did.append("removed what was there before, with its -wal, -shm and -journal")
        return Restored(
            phases={
                "unpack": unpacked_at - began,
                "check": checked_at - unpacked_at,
                "place": clock.monotonic() - checked_at,
            },
            restored_bytes=told.source_bytes or 0,
            databases=told.databases,
            did=tuple(did),
            left_to_do=("start the application that uses it",),
            detail={
                "path": str(place),
                "rows": {one.table: one.rows for one in found.rows},
                "unchecked": found.unchecked,
                "looked": found.looked,
            },
        )

    async def preflight_failures(self, wanted: Wanted, around: Surroundings) -> None:
        """Look again, in the last moment: what speaks against it is raised."""
        for check in (await self.preflight(wanted, around)).checks:
            if check.ok is False:
                raise BackupError(check.name, check.detail, trouble=Trouble.CONFIGURATION)

    async def _unpack(self, wanted: Wanted, around: Surroundings, made: Path, tell: Tell) -> None:
        record, contents = wanted.lineage[-1]
        name = str(record.manifest.detail.get("file", COPY))
        source, unsealing = contents.source(name)
        commands = (*unsealing, *unpacking(around.programs, name))
        async with growing(made, tell, "unpack", total_bytes=record.manifest.source_bytes):
            if not commands:
                await asyncio.to_thread(_copied, source, made)
                return
            done = await around.children.run(*commands, source=source, into=made, within_seconds=LIMIT_SECONDS)
        if not done.ok:
            raise unreadable(record.id, done)


def place_of(wanted: Wanted) -> Path:
    """Where it goes: the file that is named, or one of its own name in a folder that is there."""
    if wanted.data_dir is None:
        raise BackupError(wanted.record.id, "nobody said where to", "--data-dir FILE", trouble=Trouble.CONFIGURATION)
    name = wanted.rename or str(wanted.record.manifest.detail.get("name", COPY))
    place = wanted.data_dir / Path(name).name if wanted.data_dir.is_dir() else wanted.data_dir
    return Path(os.path.realpath(place)) if place.is_symlink() else place  # SQLite keeps its log beside the file itself


def _asked_for(wanted: Wanted) -> list[Check]:
    """What it is asked for that this cannot do."""
    if wanted.into is not None:
        return [Check(name="place", ok=False, detail="an SQLite file goes into no server: --data-dir names its place")]
    if wanted.data_dir is None or not wanted.data_dir.is_absolute():
        return [
            Check(name="place", ok=False, detail="name the file, or the folder for it, by --data-dir, from the root")
        ]
    if wanted.moment.aim not in (Aim.BACKUP, Aim.LATEST):
        return [Check(name="moment", ok=False, detail="a copy of an SQLite file has one moment, its own")]
    if wanted.tables:
        return [Check(name="tables", ok=False, detail="an SQLite file comes back whole: restore it beside, and copy")]
    return []


def _place_checks(place: Path, wanted: Wanted, size: int) -> list[Check]:
    """Whether the place is free, has room, and is nobody's who is at work on it."""
    if not place.parent.is_dir():
        return [Check(name="place", ok=False, detail=f"{place.parent} is no folder that is there")]
    checks = [_room(place, size)]
    if wanted.owner is not None and not _is_account(wanted.owner):
        checks.append(Check(name="owner", ok=False, detail=f"there is no account {wanted.owner}"))
    if not os.access(place.parent, os.W_OK | os.X_OK):
        checks.append(Check(name="place", ok=False, detail=f"{place.parent} cannot be written to"))
    there = [one for one in (place, *_siblings(place)) if one.exists() or one.is_symlink()]
    if place.is_dir():
        checks.append(Check(name="place", ok=False, detail=f"{place} is a folder"))
    elif there and not wanted.replace:
        names = ", ".join(str(one) for one in there)
        checks.append(
            Check(name="place", ok=False, detail=f"{names}: something is there; --replace puts it in its place")
        )
    elif there:
        checks.append(_nobody_there(place))
    else:
        checks.append(Check(name="place", ok=True, detail=f"{place} is free"))
    return checks


def _room(place: Path, size: int) -> Check:
    free = shutil.disk_usage(place.parent).free
    return Check(name="space", ok=free > size, detail=f"{size_text(free)} are free, it takes {size_text(size)}")


def _is_account(name: str) -> bool:
    with suppress(KeyError):
        return bool(pwd.getpwnam(name))
    return False


def _nobody_there(place: Path) -> Check:
    """Whoever has the old file open would go on writing to it, and lose all that."""
    open_by, complete = holders_of([place, *_siblings(place)])
    if open_by:
        said = f"{place} is open in {', '.join(open_by)}: stop the application first"
        return Check(name="application", ok=False, detail=said)
    if not complete:
        return Check(name="application", ok=None, detail="whether somebody else's program has it open cannot be seen")
    return Check(name="application", ok=True, detail=f"nobody has {place} open")


def _unpacked(wanted: Wanted, around: Surroundings) -> Check:
    name = str(wanted.record.manifest.detail.get("file", COPY))
    try:
        unpacking(around.programs, name)
    except BackupError as error:
        return Check(name="programs", ok=False, detail=error.reason)
    return Check(name="programs", ok=True, detail="what unpacks it is here")


def _siblings(place: Path) -> list[Path]:
    return [place.with_name(place.name + suffix) for suffix in SIBLINGS]


def _copied(source: Path, made: Path) -> None:
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    with os.fdopen(handle, "wb") as into, source.open("rb") as out:
        shutil.copyfileobj(out, into, 1024 * 1024)


def _put(made: Path, place: Path, wanted: Wanted) -> bool:
    """Sync it, step the old one aside, put it in place; whether there was an old one.

    A log of the old file beside the new one would be played into it: aside it goes before the new one comes. Until that
    stands, the old one can be put back whole.
    """
    _owned(made, place, wanted)
    handle = os.open(made, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    aside: list[tuple[Path, Path]] = []
    try:
        for old in (place, *_siblings(place)):
            if old.exists() or old.is_symlink():
                stand_in = place.with_name(f"{made.parent.parent.name}.before{old.name[len(place.name) :]}")
                old.rename(stand_in)
                aside.append((old, stand_in))
        os.link(made, place)  # which fails where somebody has put something there meanwhile
    except OSError:
        for old, stand_in in reversed(aside):
            with suppress(OSError):
                stand_in.rename(old)
        raise
    _sync_folder(place.parent)
    for _, stand_in in aside:
        stand_in.unlink(missing_ok=True)
    _sync_folder(place.parent)
    return bool(aside)


def _owned(made: Path, place: Path, wanted: Wanted) -> None:
    """To whom it belongs and who may read it: as the one that it replaces, else as somebody says, else as it was."""
    if place.exists():
        status = place.stat()
        if os.geteuid() == 0:
            os.chown(made, status.st_uid, status.st_gid)
        made.chmod(status.st_mode & 0o777)
        return
    if wanted.owner is not None:
        entry = pwd.getpwnam(wanted.owner)
        os.chown(made, entry.pw_uid, entry.pw_gid)
    made.chmod(int(wanted.record.manifest.detail.get("mode", FILE_MODE)) & 0o777)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
