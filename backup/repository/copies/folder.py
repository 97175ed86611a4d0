"""A copy in another folder, mounted from elsewhere: a repository like the first, which can be restored from itself."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.repository.copies.archive import Send, archived, begin, complete, removed, sent, wanted
from backup.repository.copies.contract import beliefs, sound
from backup.repository.description import identity_of
from backup.repository.digests import copied
from backup.repository.durable import unusable, write_durably
from backup.repository.layout import FOLDER_MODE, below
from backup.repository.partials import Fetch
from backup.repository.repository import Repository
from backup.repository.turns import finished
from toban.backups import BackupRecord, Marks, Status, StoredFile, Trouble

KNOWN: Final = "copies"


class FolderCopy:
    """Another repository. It is known by its identity, so that an empty mount point is not taken for it."""

    def __init__(self, name: str, path: Path, repository: Repository) -> None:
        self.name = name
        self._home = repository
        self._there = Repository(path, around=repository.around, encryption=repository.encryption)

    async def open(self) -> None:
        """See that it is the folder that it was; make it a repository at the first time."""
        known = await asyncio.to_thread(self._known)
        if known is not None:
            await asyncio.to_thread(self._recognise, known)
        await self._there.open(create=True)
        if known is None:
            identity = json.dumps({"identity": self._there.identity}).encode()
            try:
                await asyncio.to_thread(write_durably, self._note, identity)
            except OSError as error:
                raise unusable(self._note.parent, error) from error

    async def push(self, record: BackupRecord, tell: Tell) -> None:
        """Take a backup with all that it builds on, and what is known of it."""
        for one in sound(await asyncio.to_thread(self._home.lineage, record)):
            taken = await self._there.adopt(one.manifest, one.marks, _from(one), tell)
            if beliefs(taken.marks) != beliefs(one.marks):
                await self._there.mark(taken, _always(one.marks))

    async def records(self) -> tuple[BackupRecord, ...]:
        """What is there, newest first."""
        found = await asyncio.to_thread(self._there.records)
        return tuple(record for record in found if record.status is not Status.FAILED)

    async def pull(self, record: BackupRecord, tell: Tell) -> BackupRecord:
        """Bring one back into the repository, with all that it builds on."""
        brought = record
        for one in await asyncio.to_thread(self._there.lineage, record):
            brought = await self._home.adopt(one.manifest, one.marks, _from(one), tell)
        return brought

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one away."""
        await self._there.remove(record, why)

    async def sweep(self) -> tuple[str, ...]:
        """Clear away what was never completed."""
        return await self._there.sweep()

    async def push_wal(self, target: str, tell: Tell) -> int:
        """Send what is archived here and not there."""
        here, there = self._home.wal_place(target), self._there.wal_place(target)
        files = await asyncio.to_thread(archived, here)
        return await sent(files, await self.wal(target), _copier(here, there), f"WAL of {target} in {self.name}", tell)

    async def wal(self, target: str) -> Mapping[str, int]:
        """The archived files that are there."""
        return await asyncio.to_thread(archived, self._there.wal_place(target))

    async def pull_wal(self, target: str, names: Collection[str] | None, tell: Tell) -> int:
        """Bring archived files back."""
        here, there = self._home.wal_place(target), self._there.wal_place(target)
        where = f"WAL of {target} in {self.name}"
        files = await wanted(names, await self.wal(target), where)
        return await sent(files, await asyncio.to_thread(archived, here), _copier(there, here), where, tell)

    async def remove_wal(self, target: str, names: Collection[str]) -> int:
        """Take archived files away."""
        return await finished(asyncio.to_thread(removed, self._there.wal_place(target), names))

    @property
    def _note(self) -> Path:
        return below(self._home.root, KNOWN, f"{self.name}.json")

    def _known(self) -> str | None:
        with suppress(OSError, ValueError, KeyError, TypeError):
            return str(json.loads(self._note.read_bytes())["identity"])
        self._note.parent.mkdir(FOLDER_MODE, exist_ok=True)
        return None

    def _recognise(self, known: str) -> None:
        hint = f"is its disk mounted? if it is meant to begin anew, remove {self._note}"
        try:
            found = identity_of(self._there.root)
        except BackupError as error:
            raise BackupError(f"copy {self.name}", error.why, hint, trouble=Trouble.REPOSITORY) from error
        if found != known:
            why = f"{self._there.root} is another repository than it was"
            raise BackupError(f"copy {self.name}", why, hint, trouble=Trouble.REPOSITORY)


def _from(record: BackupRecord) -> Fetch:
    """Reads a backup's files where they lie."""

    async def fetch(file: StoredFile, path: Path, on_bytes: Callable[[int], None]) -> StoredFile:
        return await copied(Path(record.place) / file.path, path, file.path, on_bytes)

    return fetch


def _always(marks: Marks) -> Callable[[Marks], Marks]:
    return lambda _: marks


def _copier(source: Path, place: Path) -> Send:
    """Copies an archived file by its name: under another one until it is whole."""

    async def send(name: str) -> None:
        try:
            unfinished = await asyncio.to_thread(begin, place, name)
            await copied(source / name, unfinished, name)
            await finished(asyncio.to_thread(complete, unfinished, place / name))
        except OSError as error:
            raise unusable(place, error) from error

    return send
