"""A copy in another folder, mounted from elsewhere: a repository like the first, which can be restored from itself."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.repository.copies.archive import Send, archived, begin, complete, removed, sent, wanted
from backup.repository.copies.contract import another_owner, is_news, learned, sound
from backup.repository.copies.snapshots import carried, forgotten
from backup.repository.description import identity_of
from backup.repository.digests import copied
from backup.repository.durable import make_folders, unusable, write_durably
from backup.repository.layout import below
from backup.repository.listing import folders
from backup.repository.partials import Fetch
from backup.repository.repository import Repository
from backup.repository.turns import finished
from backup.wal.place import owner
from toban.backups import BackupRecord, Marks, Method, Status, StoredFile, Trouble
from toban.secrets import Secret

KNOWN: Final = "copies"
OWNER: Final = "copy-of.json"


class FolderCopy:
    """Another repository. It is known by its identity, so that an empty mount point is not taken for it.

    It is one repository's: another one's retention would let go there of what it has not sent.
    """

    def __init__(self, name: str, path: Path, repository: Repository) -> None:
        self.name = name
        self._home = repository
        self._there = Repository(path, around=repository.around, encryption=repository.encryption)
        self._memory = repository.memory.of_copy(name) if repository.memory is not None else None
        self._closed: BackupError | None = None  # why it is only to be read

    async def open(self) -> None:
        """See that it is the folder that it was; make it a repository at the first time.

        One that cannot be written to is read all the same.
        """
        known = await asyncio.to_thread(self._known)
        if known is not None:
            await asyncio.to_thread(self._recognise, known)
        self._closed = None
        try:
            await self._there.open(create=True)
        except BackupError as error:
            if known is None or error.trouble is not Trouble.REPOSITORY:
                raise
            await self._there.open(create=False)
            self._closed = error
        else:
            await asyncio.to_thread(self._noted)

    async def push(self, record: BackupRecord, tell: Tell, secret: Secret | None = None) -> None:
        """Take a backup with all that it builds on, and what is known of it."""
        self._must_be_open()
        for one in sound(await asyncio.to_thread(self._home.lineage, record)):
            taken = await self._taken(one, tell, secret)
            if is_news(taken.marks, one.marks):
                await self._there.mark(taken, _learning(one.marks))

    async def records(self) -> tuple[BackupRecord, ...]:
        """What is there, newest first."""
        found = await asyncio.to_thread(self._there.records)
        return tuple(record for record in found if record.status is not Status.FAILED)

    async def pull(self, record: BackupRecord, tell: Tell, secret: Secret | None = None) -> BackupRecord:
        """Bring one back into the repository, with all that it builds on."""
        brought, line = record, await asyncio.to_thread(self._there.lineage, record)
        async with self._there.held(line, f"bringing back {record.id}"):
            for one in line:
                if one.manifest.method is Method.FILES:
                    await carried(one, _shelf(self._home, one), self._home.around, tell, secret)
                brought = await self._home.adopt(one.manifest, one.marks, _from(one), tell)
        return brought

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one away."""
        self._must_be_open()
        await self._there.remove(record, why)

    async def sweep(self) -> tuple[str, ...]:
        """Clear away what was never completed."""
        self._must_be_open()
        return await self._there.sweep()

    async def push_wal(self, target: str, tell: Tell) -> int:
        """Send what is archived here and not there."""
        self._must_be_open()
        await self._there.open(create=False)  # it is there still: all of it would be sent to an empty mount point
        here, there = self._home.wal_place(target), self._there.wal_place(target)
        files = await asyncio.to_thread(archived, here)
        await asyncio.to_thread(_of_one_server, here, there)
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
        self._must_be_open()
        return await finished(asyncio.to_thread(removed, self._there.wal_place(target), names))

    async def _taken(self, record: BackupRecord, tell: Tell, secret: Secret | None) -> BackupRecord:
        """One backup. Of files its snapshot first, in the target's turn there: nobody else lets it go meanwhile."""
        if record.manifest.method is not Method.FILES:
            return await self._there.adopt(record.manifest, record.marks, _from(record), tell)
        shelf, around = _shelf(self._there, record), self._home.around
        async with self._there.turn(record.manifest.target, f"taking {record.id}"):
            await carried(record, shelf, around, tell, secret)
            taken = await self._there.adopt(record.manifest, record.marks, _from(record), tell)
            await forgotten(taken, shelf, around, secret)
        return taken

    @property
    def _note(self) -> Path:
        return below(self._home.root, KNOWN, f"{self.name}.json")

    @property
    def _owner(self) -> Path:
        return below(self._there.root, OWNER)

    def _known(self) -> str | None:
        """Which repository it was, by the first one or by what lies beside the state; None for a new one."""
        try:
            return str(json.loads(self._note.read_bytes())["identity"])
        except FileNotFoundError:
            remembered = self._memory.identity(self._there.root) if self._memory is not None else ""
            return remembered or None
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = f"which one it was cannot be read: {error}"
            hint = f"if it is the right one: rm {self._note}"
            raise BackupError(f"copy {self.name}", why, hint, trouble=Trouble.REPOSITORY) from error

    def _noted(self) -> None:
        """Remember it, here and beside the state; and there whose it is. One with backups already is somebody's."""
        identity, ours = self._there.identity or "", self._home.identity or ""
        try:
            if not self._note.exists():
                make_folders(self._note.parent)
                write_durably(self._note, json.dumps({"identity": identity}).encode())
            if not self._owner.exists() and (identity == ours or not any(folders(self._there.root))):
                write_durably(self._owner, json.dumps({"identity": ours}).encode())
            said = self._owner.read_bytes() if self._owner.exists() else b""
        except OSError as error:
            raise unusable(Path(error.filename or self._note), error) from error
        if self._memory is not None:
            self._memory.keep(self._there.root, identity)
        self._closed = another_owner(self.name, said, ours, f'echo \'{{"identity": "{ours}"}}\' > {self._owner}')

    def _must_be_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    def _recognise(self, known: str) -> None:
        remembered = f" {self._memory.path}" if self._memory is not None else ""
        hint = f"is its disk mounted? if it is meant to begin anew: rm -f {self._note}{remembered}"
        try:
            found = identity_of(self._there.root)
        except BackupError as error:
            raise BackupError(f"copy {self.name}", error.why, hint, trouble=Trouble.REPOSITORY) from error
        if found != known:
            why = f"{self._there.root} is another repository than it was"
            raise BackupError(f"copy {self.name}", why, hint, trouble=Trouble.REPOSITORY)


def _shelf(repository: Repository, record: BackupRecord) -> Path:
    """Where the backups of its kind lie."""
    return repository.root / record.manifest.target / record.manifest.method


def _of_one_server(here: Path, there: Path) -> None:
    """Segments of two servers have the same names: nothing tells them apart once they lie side by side."""
    ours, theirs = owner(str(here)), owner(str(there))
    if ours is not None and theirs is not None and ours != theirs:
        why = f"is of the server {theirs[0]}, and ours is {ours[0]}"
        raise BackupError(str(there), why, "move it away, or name another place", trouble=Trouble.CONFIGURATION)


def _from(record: BackupRecord) -> Fetch:
    """Reads a backup's files where they lie."""

    async def fetch(file: StoredFile, path: Path, on_bytes: Callable[[int], None]) -> StoredFile:
        return await copied(Path(record.place) / file.path, path, file.path, on_bytes)

    return fetch


def _learning(here: Marks) -> Callable[[Marks], Marks]:
    return lambda there: learned(there, here)


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
