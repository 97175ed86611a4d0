"""A backup while it is made: a folder that looks like none, until all of it is synced and one rename makes it whole."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.repository.digests import digest
from backup.repository.durable import (
    close_and_sync,
    files_below,
    make_folders,
    remove_tree,
    rename_durably,
    sync_folder,
    trouble_of,
    unusable,
    write_durably,
)
from backup.repository.forms import without_files, written, written_manifest
from backup.repository.layout import FILE_MODE, FOLDER_MODE, MANIFEST, MARKS, OWN_FILES, REMOVING
from backup.repository.leases import Lease
from backup.repository.listing import Folder, record_of
from backup.repository.sealing import seal
from backup.repository.turns import finished, lost
from backup.settings import Encryption
from toban.backups import BackupRecord, Manifest, Marks, Progress, StoredFile, Trouble

Fetch = Callable[[StoredFile, Path, Callable[[int], None]], Awaitable[StoredFile]]
"""Writes one file of a backup to a path that is not there yet, and says what it has written."""


@dataclass(kw_only=True)
class Partial:
    """What an engine fills, under an id that is nobody else's."""

    draft: Manifest
    place: Path  # the folder to fill: it exists, is empty and ours alone
    said: Path  # where those who look read what it is going to be
    lease: Lease
    around: Surroundings
    encryption: Encryption | None = None
    began: float = 0.0  # by the clock that never jumps
    inode: int = 0  # of the folder: by it, it is known under whatever name
    record: BackupRecord | None = None

    @property
    def id(self) -> str:
        """The id that it has; another than was asked for when that was taken."""
        return self.draft.id

    def begin(self) -> None:
        """The draft for those who look, then the empty folder. It blocks."""
        write_durably(self.said, written(without_files(self.draft)))
        make_folders(self.place.parent)
        self.place.mkdir(FOLDER_MODE)
        self.inode = self.place.stat().st_ino
        sync_folder(self.place.parent)

    def end(self) -> None:
        """Nothing half-made stays; what cannot be removed now is swept later, no backup by its name. It blocks."""
        away = self.place.with_name(self.id + REMOVING)
        with suppress(OSError):
            for place in (self.place, self.place.with_name(self.id)) if self.record is None else ():
                if place.exists() and place.stat().st_ino == self.inode:  # else it is another's
                    rename_durably(place, away)
                    remove_tree(away)
                    sync_folder(away.parent)
        with suppress(OSError):
            self.said.unlink()

    async def finish(self, manifest: Manifest, digests: Mapping[str, StoredFile] | None = None) -> BackupRecord:
        """Make it whole: sealed, hashed, synced, its manifest last, one rename. After that it can be relied on.

        `digests` are those of files as the engine wrote them, known already. When it is done, and how long this took,
        is filled in here: a clock that was set meanwhile does not make it last longer or end before it began.
        """
        if self.record is not None:
            raise BackupError(self.id, "is finished already", trouble=Trouble.INTERNAL)
        try:
            self.record = await self._finished(manifest, digests or {})
        except OSError as error:
            raise unusable(self.place, error) from error
        return self.record

    async def adopt(self, manifest: Manifest, marks: Marks, fetch: Fetch, tell: Tell) -> BackupRecord:
        """Fill it with a backup from elsewhere, whose every file must be what its manifest says."""
        total, done = manifest.size_bytes, 0
        for file in manifest.files:

            def told(read: int, before: int = done, what: str = file.path) -> None:
                tell(Progress(phase="copy", done_bytes=before + read, total_bytes=total, what=what))

            path = self.place / file.path
            await asyncio.to_thread(make_folders, path.parent)
            if await fetch(file, path, told) != file:
                why = f"{file.path} is not what was written"
                raise BackupError(manifest.id, why, "verify it where it comes from", trouble=Trouble.DAMAGED)
            done += file.size_bytes
        await close_and_sync(self.place)
        if marks != Marks():
            await asyncio.to_thread(write_durably, self.place / MARKS, written(marks))
        self.record = await finished(asyncio.to_thread(self._rename, manifest))
        return self.record

    async def _finished(self, manifest: Manifest, digests: Mapping[str, StoredFile]) -> BackupRecord:
        clock = self.around.clock
        at = clock.monotonic()
        known = await self._known(digests)
        sealed = clock.monotonic()
        if self.encryption is not None:
            await self._seal(sorted(known), self.encryption)
            known = await self._known({})
        hashing = clock.monotonic()
        files = [found or await digest(self.place / name, name) for name, found in sorted(known.items())]
        syncing = clock.monotonic()
        await close_and_sync(self.place)
        done = clock.monotonic()
        phases = {"digest": syncing - hashing, "sync": done - syncing}
        if self.encryption is not None:
            phases["seal"] = hashing - sealed
        whole = replace(
            manifest,
            id=self.draft.id,
            created_at=self.draft.created_at,
            finished_at=self.draft.created_at + max(0.0, done - min(self.began, at)),
            files=tuple(files),
            encryption=self.encryption.method if self.encryption is not None else None,
            phases={**manifest.phases, **{name: round(spent, 3) for name, spent in phases.items()}},
        )
        return await finished(asyncio.to_thread(self._rename, whole))

    async def _known(self, digests: Mapping[str, StoredFile]) -> dict[str, StoredFile | None]:
        """Every file there, with its digest where that is known and speaks of a file of that size."""
        there = await asyncio.to_thread(lambda: {name: found.st_size for name, found in files_below(self.place)})
        own = OWN_FILES & set(there)
        if own:
            raise BackupError(self.id, f"{min(own)} is a name that is not the engine's", trouble=Trouble.INTERNAL)
        if not there:
            raise BackupError(self.id, "there is nothing in it", trouble=Trouble.INTERNAL)
        gone = [name for name in digests if name not in there]
        if gone:
            raise BackupError(self.id, f"{gone[0]} was written and is gone", trouble=Trouble.MISSING)
        for name, file in digests.items():
            if (file.path, file.size_bytes) != (name, there[name]):
                why = f"{name} has {there[name]} bytes, and {file.size_bytes} were written"
                raise BackupError(self.id, why, trouble=Trouble.DAMAGED)
        return {name: digests.get(name) for name in there}

    async def _seal(self, names: Sequence[str], encryption: Encryption) -> None:
        for name in names:
            sealed = await seal(self.place / name, encryption, self.around.programs, self.around.children)
            sealed.chmod(FILE_MODE)

    def _rename(self, manifest: Manifest) -> BackupRecord:
        """The manifest, then the name: nothing after that can fail any more but the naming of it."""
        if not self.lease.renew(self.around.clock.now()):
            raise lost(self.place)
        write_durably(self.place / MANIFEST, written_manifest(manifest))
        whole = self.place.with_name(manifest.id)
        rename_durably(self.place, whole)
        return record_of(Folder(path=whole, target=manifest.target, method=manifest.method))


def as_failure(error: BaseException) -> tuple[Trouble, str]:
    """Why a making came to nothing: by its trouble, and in a sentence."""
    if isinstance(error, BackupError):
        return error.trouble, error.reason
    if isinstance(error, asyncio.CancelledError):
        return Trouble.CANCELLED, "it was stopped before it was done"
    if isinstance(error, TimeoutError):
        return Trouble.TIMEOUT, "it was not done within its time"
    if isinstance(error, OSError):
        return trouble_of(error), unusable(Path(error.filename or "the repository"), error).reason
    return Trouble.INTERNAL, f"a fault of Toban's own: {type(error).__name__}"
