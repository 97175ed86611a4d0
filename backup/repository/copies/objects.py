"""A copy in object storage: a key for each file, the manifest's last. Without that one a backup is not there."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.repository.copies.archive import archived, begin, complete, sent, wanted
from backup.repository.copies.contract import another_owner, is_archived, is_news, learned, sound
from backup.repository.copies.store import Store
from backup.repository.description import described
from backup.repository.durable import unusable
from backup.repository.forms import MOST_BYTES, FormError, parsed_manifest, placeholder, written, written_manifest
from backup.repository.layout import DESCRIPTION, FILE_MODE, KEPT_METHODS, MANIFEST, MARKS, OWN_FILES, WAL, is_id
from backup.repository.listing import parsed_marks, stamp_of, with_marks
from backup.repository.partials import Fetch
from backup.repository.repository import Repository
from backup.repository.turns import finished
from backup.wal.place import IDENTITY, read_document
from toban.backups import BackupRecord, Manifest, Marks, Method, Progress, Status, StoredFile, Trouble
from toban.secrets import Secret

PIECE_BYTES: Final = 1024 * 1024
RANGE_BYTES: Final = 4 * 1024 * 1024  # a request each
UNCOMPLETED_SECONDS: Final = 2 * 86400.0  # nothing is sent for so long: what has no manifest by then gets none
Sizes = dict[str, int]
logger = structlog.get_logger(__name__)


class ObjectCopy:
    """A bucket, or a part of one."""

    def __init__(self, name: str, store: Store, repository: Repository) -> None:
        self.name = name
        self._home = repository
        self._store = store
        self._closed: BackupError | None = None  # why it is only to be read

    async def open(self) -> None:
        """See that it answers, and let it describe itself; what is another repository's is only read."""
        ours, now = self._home.identity or "", self._home.around.clock.now()
        said = await self._store.read(DESCRIPTION, most_bytes=MOST_BYTES)
        if said is None:
            said = described(ours, now)
            await self._store.write(DESCRIPTION, said, new=False)
        self._closed = another_owner(self.name, said, ours, f"remove {DESCRIPTION} there")

    async def push(self, record: BackupRecord, tell: Tell, secret: Secret | None = None) -> None:  # noqa: ARG002 - of restic, which has its own way there
        """Take a backup with all that it builds on, and what is known of it."""
        self._must_be_open()
        if record.manifest.method is Method.FILES:
            why = f"lies in restic's repository, which does not go to {self.name}"
            raise BackupError(record.id, why, "let `restic copy` do that", trouble=Trouble.CONFIGURATION)
        for one in sound(await asyncio.to_thread(self._home.lineage, record)):
            await self._push(one, tell)

    async def records(self) -> tuple[BackupRecord, ...]:
        """What is there, newest first; one whose files are not all there, or not whole, is damaged."""
        found: list[BackupRecord] = []
        for target in await self._store.folders(""):
            for method in KEPT_METHODS:
                for key, sizes in (await self._backups(target, method)).items():
                    if MANIFEST in sizes:
                        found.append(await self._record(target, method, key, sizes))
        return tuple(sorted(found, key=lambda one: (one.manifest.created_at, one.id), reverse=True))

    async def pull(self, record: BackupRecord, tell: Tell, secret: Secret | None = None) -> BackupRecord:  # noqa: ARG002 - likewise
        """Bring one back into the repository, with all that it builds on."""
        there = {(one.manifest.target, one.id): one for one in await self.records()}
        line = [record]
        while (parent := line[0].manifest.parent) is not None:
            older = there.get((record.manifest.target, parent))
            if older is None or len(line) > len(there):
                why = f"builds on {parent}, which is not in {self.name}"
                raise BackupError(line[0].id, why, trouble=Trouble.MISSING)
            line.insert(0, older)
        brought = record
        for one in line:
            brought = await self._home.adopt(one.manifest, one.marks, self._fetch_from(one), tell)
        return brought

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one away, its manifest first."""
        self._must_be_open()
        logger.info("copy_removed", copy=self.name, backup=record.id, why=why)
        await self._store.delete([f"{record.place}/{MANIFEST}"])
        await self._store.delete(sorted((await self._store.sizes(record.place)).keys()))

    async def sweep(self) -> tuple[str, ...]:
        """Clear away what has had no manifest for long."""
        self._must_be_open()
        done: list[str] = []
        before = self._home.around.clock.now() - UNCOMPLETED_SECONDS
        for target in await self._store.folders(""):
            for method in KEPT_METHODS:
                for name, sizes in (await self._backups(target, method)).items():
                    place = f"{target}/{method}/{name}"
                    if MANIFEST not in sizes and await self._store.newest(place) < before:
                        await self._store.delete([f"{place}/{file}" for file in sizes])
                        done.append(f"{place} in {self.name}: it was never completed")
        return tuple(done)

    # --- WAL ----------------------------------------------------------------------------------------------------------

    async def push_wal(self, target: str, tell: Tell) -> int:
        """Send what is archived here and not there."""
        self._must_be_open()
        place = self._home.wal_place(target)

        async def send(name: str) -> None:
            await self._store.send(f"{target}/{WAL}/{name}", _pieces(place / name), here[name], new=True)

        here = await asyncio.to_thread(archived, place)
        await self._must_be_of_our_server(target, place)
        return await sent(here, await self.wal(target), send, f"WAL of {target} in {self.name}", tell)

    async def wal(self, target: str) -> Mapping[str, int]:
        """The archived files that are there."""
        found = await self._store.sizes(f"{target}/{WAL}")
        sizes = {key.rpartition("/")[2]: size for key, size in found.items()}
        return {name: size for name, size in sizes.items() if is_archived(name)}

    async def pull_wal(self, target: str, names: Collection[str] | None, tell: Tell) -> int:
        """Bring archived files back."""
        place, where = self._home.wal_place(target), f"WAL of {target} in {self.name}"
        files = await wanted(names, await self.wal(target), where)

        async def fetch(name: str) -> None:
            try:
                unfinished = await asyncio.to_thread(begin, place, name)
                file = StoredFile(path=name, size_bytes=files[name], sha256="")
                await self._written(f"{target}/{WAL}/{name}", file, unfinished, lambda _: None)
                await finished(asyncio.to_thread(complete, unfinished, place / name))
            except OSError as error:
                raise unusable(place, error) from error

        return await sent(files, await asyncio.to_thread(archived, place), fetch, where, tell)

    async def remove_wal(self, target: str, names: Collection[str]) -> int:
        """Take archived files away."""
        self._must_be_open()
        there = [name for name in await self.wal(target) if name in names]
        await self._store.delete([f"{target}/{WAL}/{name}" for name in there])
        return len(there)

    # --- inside -------------------------------------------------------------------------------------------------------

    def _must_be_open(self) -> None:
        if self._closed is not None:
            raise self._closed

    async def _must_be_of_our_server(self, target: str, place: Path) -> None:
        """Segments of two servers have the same names: nothing tells them apart once they lie side by side."""
        theirs = await self._store.read(f"{target}/{WAL}/{IDENTITY}", most_bytes=MOST_BYTES)
        ours = await asyncio.to_thread(read_document, str(place / IDENTITY))
        if theirs is not None and ours is not None and _document(theirs) != ours:
            why = f"the WAL of {target} there is of another server"
            hint = "remove it there, or name another place"
            raise BackupError(f"copy {self.name}", why, hint, trouble=Trouble.CONFIGURATION)

    async def _push(self, record: BackupRecord, tell: Tell) -> None:
        place = f"{record.manifest.target}/{record.manifest.method}/{record.id}"
        known = await self._store.read(f"{place}/{MANIFEST}", most_bytes=MOST_BYTES)
        if known is not None and not _is_of(record.manifest, known):
            why = f"another backup of that id is in {self.name}"
            raise BackupError(record.id, why, "remove that one first", trouble=Trouble.REPOSITORY)
        if known is None:
            await self._push_files(record, place, tell)
        there = await self._marks(place)
        if is_news(there, record.marks):
            await self._store.write(f"{place}/{MARKS}", written(learned(there, record.marks)), new=False)
        if known is None:
            await self._store.write(f"{place}/{MANIFEST}", written_manifest(record.manifest), new=True)

    async def _push_files(self, record: BackupRecord, place: str, tell: Tell) -> None:
        total, done = record.manifest.size_bytes, 0
        there = await self._store.sizes(place)
        for file in record.manifest.files:

            def told(sent_bytes: int, before: int = done, what: str = file.path) -> None:
                tell(Progress(phase="copy", done_bytes=before + sent_bytes, total_bytes=total, what=what))

            pieces = _checked(Path(record.place) / file.path, file, told)
            await self._store.send(f"{place}/{file.path}", pieces, file.size_bytes, new=False)
            done += file.size_bytes
        expected = {f"{place}/{file.path}" for file in record.manifest.files}
        await self._store.delete([key for key in there if key not in expected])

    async def _backups(self, target: str, method: Method) -> dict[str, Sizes]:
        """The sizes of the files of each backup, by its id."""
        found: dict[str, Sizes] = {}
        beginning = f"{target}/{method}/"
        for key, size in (await self._store.sizes(beginning)).items():
            name, _, file = key.removeprefix(beginning).partition("/")
            if is_id(name) and file:
                found.setdefault(name, {})[file] = size
        return found

    async def _record(self, target: str, method: Method, name: str, sizes: Sizes) -> BackupRecord:
        place = f"{target}/{method}/{name}"
        content = await self._store.read(f"{place}/{MANIFEST}", most_bytes=MOST_BYTES)
        try:
            manifest = parsed_manifest(content or b"", target, method, name)
        except FormError as error:
            unknown = placeholder(target, method, name, stamp_of(name))
            return _damaged(BackupRecord(manifest=unknown, status=Status.OK, place=place), f"its {MANIFEST} {error}")
        marks = await self._marks(place) if MARKS in sizes else Marks()
        record = with_marks(BackupRecord(manifest=manifest, status=Status.OK, place=place), marks)
        wrong = _wrong(manifest.files, sizes)
        return _damaged(record, wrong) if wrong else record

    async def _marks(self, place: str) -> Marks:
        content = await self._store.read(f"{place}/{MARKS}", most_bytes=MOST_BYTES)
        return Marks() if content is None else parsed_marks(content)

    def _fetch_from(self, record: BackupRecord) -> Fetch:
        async def fetch(file: StoredFile, path: Path, on_bytes: Callable[[int], None]) -> StoredFile:
            return await self._written(f"{record.place}/{file.path}", file, path, on_bytes)

        return fetch

    async def _written(self, key: str, file: StoredFile, path: Path, on_bytes: Callable[[int], None]) -> StoredFile:
        """An object as a new file, piece by piece; what it was."""
        digest, size = hashlib.sha256(), 0
        handle = await asyncio.to_thread(os.open, path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            async for piece in self._store.pieces(key, file.size_bytes, RANGE_BYTES):
                await asyncio.to_thread(_write, handle, piece, digest.update)
                size += len(piece)
                on_bytes(size)
        finally:
            os.close(handle)
        return StoredFile(path=file.path, size_bytes=size, sha256=digest.hexdigest())


def _document(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None


def _is_of(manifest: Manifest, content: bytes) -> bool:
    """Whether a manifest there is this one, however it was written: another version of Toban writes more or less."""
    try:
        return parsed_manifest(content, manifest.target, manifest.method, manifest.id) == manifest
    except FormError:
        return False


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    """A file, piece by piece."""
    try:
        with await asyncio.to_thread(path.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
                yield piece
    except OSError as error:
        raise unusable(path, error) from error


async def _checked(path: Path, file: StoredFile, on_bytes: Callable[[int], None]) -> AsyncIterator[bytes]:
    """The same of a backup's file. One that is not what was written raises before its last piece is out."""
    digest, size, held = hashlib.sha256(), 0, b""
    async for piece in _pieces(path):
        await asyncio.to_thread(digest.update, piece)
        size += len(piece)
        if held:
            yield held
        held = piece
        on_bytes(size)
    if (size, digest.hexdigest()) != (file.size_bytes, file.sha256):
        raise BackupError(str(path), "is not what was written, and is not copied", trouble=Trouble.DAMAGED)
    if held:
        yield held


def _write(handle: int, piece: bytes, hear: Callable[[bytes], None]) -> None:
    hear(piece)
    rest = memoryview(piece)
    while rest:
        rest = rest[os.write(handle, rest) :]


def _wrong(files: Sequence[StoredFile], sizes: Mapping[str, int]) -> str:
    """What of a backup's files is not there as it should be."""
    missing = [file.path for file in files if file.path not in sizes]
    short = [file.path for file in files if sizes.get(file.path, file.size_bytes) != file.size_bytes]
    beside = [name for name in sizes if name not in OWN_FILES and name not in {file.path for file in files}]
    words = (("missing", missing), ("of another size", short), ("none of its files", beside))
    return "; ".join(f"{names[0]} is {word}" for word, names in words if names)


def _damaged(record: BackupRecord, reason: str) -> BackupRecord:
    return replace(record, status=Status.DAMAGED, reason=reason, trouble=Trouble.DAMAGED)
