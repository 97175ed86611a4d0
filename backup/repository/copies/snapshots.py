"""Restic's snapshots carried from one folder to another by restic itself, which looks through what it hands on.

A backup of files is its own folder and a snapshot in the restic repository beside it. The snapshot goes first: a folder
without one would look like a backup, and give nothing back.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

from backup.engines.contract import Surroundings, Tell
from backup.engines.files import KEY, READ_SECONDS, REPOSITORY, Restic, forget_gone, freed, restic_for, snapshot_in
from backup.engines.streams.folder import own_folder
from backup.engines.streams.growth import growing
from backup.errors import BackupError
from backup.repository.durable import make_folders, write_durably
from toban.backups import BackupRecord, Trouble
from toban.secrets import Secret


async def carried(record: BackupRecord, into: Path, around: Surroundings, tell: Tell, secret: Secret | None) -> None:
    """See that the snapshot of a backup is in the restic repository of another folder too, made where there is none."""
    async with own_folder(around.workspace, "restic") as folder:
        source = await asyncio.to_thread(restic_for, record.place, record.manifest, folder, around, secret)
        there = await asyncio.to_thread(_beside, source, into, keyed=secret is None and _has_key(record))
        known = ("--from-repo", str(source.place), "--from-password-file", str(source.password_file))
        if not await asyncio.to_thread((there.place / "config").exists):
            await there.run("init", *known, "--copy-chunker-params")
        else:
            await freed(there)
            if await _is_in(there, record):
                return
        async with growing(there.place, tell, "copy", what=record.id):
            await there.run("copy", *known, await snapshot_in(source, record.manifest), within_seconds=READ_SECONDS)


async def forgotten(record: BackupRecord, folder: Path, around: Surroundings, secret: Secret | None) -> int:
    """Let the snapshots in a folder go whose backups have gone from it; how many there were. `record` lies in it."""
    async with own_folder(around.workspace, "restic") as private:
        restic = await asyncio.to_thread(restic_for, record.place, record.manifest, private, around, secret)
        return await forget_gone(restic, folder, keep=record.id)


async def _is_in(restic: Restic, record: BackupRecord) -> bool:
    try:
        await snapshot_in(restic, record.manifest)
    except BackupError as error:
        if error.trouble is not Trouble.MISSING:
            raise
        return False
    return True


def _has_key(record: BackupRecord) -> bool:
    return bool(record.manifest.detail.get("key"))


def _beside(source: Restic, into: Path, *, keyed: bool) -> Restic:
    """The restic repository in a folder, opened by its own key where such a one lies beside each."""
    key, place = into / KEY, into / REPOSITORY
    if keyed and not key.exists():
        if (place / "config").exists():
            why, hint = "the key of its repository is gone", f"bring back {key}"
            raise BackupError(str(place), why, hint, trouble=Trouble.MISSING)
        make_folders(into)
        write_durably(key, source.password_file.read_bytes())
    return replace(source, place=place, password_file=key if keyed else source.password_file)
