"""The way back of folders: restic's snapshot laid out beside its place, and put there by one rename."""

import asyncio
import json
import shutil
from pathlib import Path

from backup.engines.contract import Surroundings, Tell
from backup.engines.files import READ_SECONDS, Restic, restic_for, snapshot_in
from backup.engines.streams.folder import own_folder
from backup.engines.streams.growth import growing, size_of
from backup.errors import BackupError
from backup.repository.turns import finished
from backup.restore.basing.placing import Site, flush, look, settle, staged
from backup.restore.contract import Aim, Preflight, Restored, Wanted
from toban.backups import Check, Trouble
from toban.units import size_text


class FilesRestorer:
    """Lays out a snapshot in a folder that is empty or not there: each file below its whole old path."""

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """Whether the snapshot is there and can be opened, and there is room for it."""
        told = wanted.record.manifest
        checks, size = _asked_for(wanted), told.source_bytes
        if all(check.ok for check in checks) and wanted.data_dir is not None:
            checks = await asyncio.to_thread(_place_checks, wanted.data_dir, size or 0)
            if all(check.ok for check in checks):
                async with own_folder(around.workspace, "look") as folder:
                    check, size = await self._snapshot(wanted, around, folder)
                checks.append(check)
        return Preflight(checks=tuple(checks), needed_bytes=size, reaches_at=told.created_at)

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
        """Restore beside the place, read all of it again, and rename."""
        told, clock, place = wanted.record.manifest, around.clock, wanted.data_dir or Path()
        for check in _asked_for(wanted) or await asyncio.to_thread(_place_checks, place, told.source_bytes or 0):
            if check.ok is False:
                raise BackupError(check.name, check.detail, trouble=Trouble.CONFIGURATION)
        restic = await asyncio.to_thread(restic_for, wanted.record.place, told, workspace, around, wanted.secret)
        site, began = await asyncio.to_thread(look, place), clock.monotonic()
        async with staged(site) as made:
            words = ("restore", await snapshot_in(restic, told), "--target", str(made), "--verify")
            async with growing(made, tell, "restore", total_bytes=told.source_bytes, what=place.name):
                done = await around.children.run(restic.command(*words), within_seconds=READ_SECONDS)
            if not done.ok:
                raise restic.failure(done)
            restored_at = clock.monotonic()
            size = await asyncio.to_thread(size_of, made)
            await finished(asyncio.to_thread(_put, made, site, durable=wanted.durable))
        return Restored(
            phases={"restore": restored_at - began, "place": clock.monotonic() - restored_at},
            restored_bytes=size,
            did=(f"restored {told.id} below {place}, each file by its whole old path", "read every file again"),
            left_to_do=("move what is needed to its place, with the service that uses it stopped",),
            detail={"path": str(place), "files": told.detail.get("files")},
        )

    async def _snapshot(self, wanted: Wanted, around: Surroundings, folder: Path) -> tuple[Check, int | None]:
        told = wanted.record.manifest
        try:
            restic: Restic = await asyncio.to_thread(
                restic_for, wanted.record.place, told, folder, around, wanted.secret
            )
            snapshot = await snapshot_in(restic, told)
            found = json.loads((await restic.run("stats", "--mode", "restore-size", "--json", snapshot)).text)
        except BackupError as error:
            return Check(name="snapshot", ok=False, detail=error.reason), None
        size = int(found["total_size"])
        return Check(name="snapshot", ok=True, detail=f"{snapshot[:8]} is there: {size_text(size)}"), size


def _asked_for(wanted: Wanted) -> list[Check]:
    found = []
    if wanted.data_dir is None or not wanted.data_dir.is_absolute():
        found.append(Check(name="place", ok=False, detail="files go into a folder: --data-dir, from the root"))
    if wanted.moment.aim not in (Aim.BACKUP, Aim.LATEST):
        found.append(Check(name="moment", ok=False, detail="a snapshot has one moment, its own"))
    if wanted.database is not None or wanted.tables:
        found.append(Check(name="database", ok=False, detail="there are no databases in it: it comes back whole"))
    return found


def _place_checks(place: Path, size: int) -> list[Check]:
    if not place.parent.is_dir():
        return [Check(name="place", ok=False, detail=f"{place.parent} is no folder that is there")]
    checks = []
    if not look(place).is_empty:
        said = f"{place} is not empty; files are never restored over others: choose another place, and move"
        checks.append(Check(name="place", ok=False, detail=said))
    else:
        checks.append(Check(name="place", ok=True, detail=f"{place} is free"))
    free = shutil.disk_usage(place if place.is_dir() else place.parent).free
    checks.append(Check(name="space", ok=free > size, detail=f"{size_text(free)} are free, it takes {size_text(size)}"))
    return checks


def _put(made: Path, site: Site, *, durable: bool) -> None:
    """All of it to disk, then to its place."""
    if durable:
        flush(made)
    settle(made, site, durable=durable)
