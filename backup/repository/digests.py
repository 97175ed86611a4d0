"""SHA-256 of files in slices of a thread's time, and the comparison of a backup's files with its manifest."""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.repository.durable import TEMPORARY, files_below
from backup.repository.forms import FormError, read_manifest
from backup.repository.layout import FILE_MODE, MANIFEST, OWN_FILES
from toban.backups import BackupRecord, Check, Progress, StoredFile

if TYPE_CHECKING:
    from hashlib import _Hash

SLICE_BYTES: Final = 64 * 1024 * 1024
PIECE_BYTES: Final = 1024 * 1024
NAMED: Final = 5  # files in one sentence
ROTTEN: Final = (errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)
"""What a call that fails says of the file itself. All else is between it and us: a right, a connection, a limit."""


async def digest(path: Path, name: str, on_bytes: Callable[[int], None] = lambda _: None) -> StoredFile:
    """A file as a manifest names it; `on_bytes` hears how far it has been read."""
    found, size = hashlib.sha256(), 0
    async for read in _read_in_slices(path, found):
        size += read
        on_bytes(size)
    return StoredFile(path=name, size_bytes=size, sha256=found.hexdigest())


async def copied(source: Path, path: Path, name: str, on_bytes: Callable[[int], None] = lambda _: None) -> StoredFile:
    """The same while a file is copied to a path that is not there yet."""
    found, size = hashlib.sha256(), 0
    while True:
        read = await asyncio.to_thread(_copy_slice, source, path, size, found)
        size += read
        on_bytes(size)
        if read < SLICE_BYTES:
            return StoredFile(path=name, size_bytes=size, sha256=found.hexdigest())


def _copy_slice(source: Path, path: Path, at: int, into: "_Hash") -> int:
    """One slice; the first makes the file."""
    handle = os.open(path, os.O_WRONLY | os.O_CLOEXEC | (0 if at else os.O_CREAT | os.O_EXCL), FILE_MODE)
    with os.fdopen(handle, "wb", buffering=0) as file:
        file.seek(at)

        def taken(piece: memoryview) -> None:
            into.update(piece)
            rest = piece
            while rest:
                rest = rest[file.write(rest) :]

        return _pieces(source, at, taken)


async def _read_in_slices(path: Path, into: "_Hash") -> AsyncIterator[int]:
    """Read a file wholly, a slice a thread, so that it can be stopped and others have their turn."""
    at = 0
    while True:
        read = await asyncio.to_thread(_pieces, path, at, into.update)
        yield read
        at += read
        if read < SLICE_BYTES:
            return


def _pieces(path: Path, at: int, take: Callable[[memoryview], None]) -> int:
    """One slice of a file, piece by piece; how much there was of it."""
    read = 0
    piece = bytearray(PIECE_BYTES)
    with path.open("rb", buffering=0) as file:
        file.seek(at)
        while read < SLICE_BYTES:
            count = file.readinto(memoryview(piece)[: min(PIECE_BYTES, SLICE_BYTES - read)])
            if not count:
                break
            take(memoryview(piece)[:count])
            read += count
    return read


async def checked(record: BackupRecord, tell: Tell) -> tuple[Check, ...]:
    """A backup's manifest as it is on the disk, and then every file by it."""
    target, method = record.manifest.target, record.manifest.method
    path = Path(record.place) / MANIFEST
    try:
        manifest = await asyncio.to_thread(read_manifest, path, target, method, record.id)
    except FormError as error:
        return (Check(name="manifest", ok=False, detail=f"{MANIFEST} {error}"),)
    except OSError as error:
        why = f"{MANIFEST} cannot be read: {error.strerror or error}"
        return (Check(name="manifest", ok=_unread(error), detail=why),)
    found = Check(name="manifest", ok=True, detail="agrees with its own checksum")
    return (found, *await _compared(replace(record, manifest=manifest), tell))


async def _compared(record: BackupRecord, tell: Tell) -> tuple[Check, ...]:
    """Every file there, of its size, nothing beside them, and every byte the one that was written."""
    place = Path(record.place)
    expected = {file.path: file for file in record.manifest.files}
    try:
        there = await asyncio.to_thread(_sizes, place)
    except OSError as error:
        return (Check(name="files", ok=_unread(error), detail=f"{place} cannot be read: {error.strerror or error}"),)
    except BackupError as error:  # something lies there that no engine writes
        return (Check(name="files", ok=False, detail=error.reason),)
    missing = [name for name in expected if name not in there]
    wrong = [
        f"{name} has {there[name]} bytes, not {file.size_bytes}"
        for name, file in expected.items()
        if name in there and there[name] != file.size_bytes
    ]
    beside = [name for name in there if name not in expected]
    right = [file for name, file in expected.items() if there.get(name) == file.size_bytes]
    return (
        _verdict("files", [f"{name} is missing" for name in missing], f"{len(expected)} there"),
        _verdict("sizes", wrong, f"{record.manifest.size_bytes} bytes"),
        _verdict("nothing else", [f"{name} is none of its files" for name in beside], "nothing unexpected there"),
        await _digests(place, right, tell),
    )


async def _digests(place: Path, files: list[StoredFile], tell: Tell) -> Check:
    total = sum(file.size_bytes for file in files)
    done, wrong, unread = 0, list[str](), list[str]()
    for file in files:

        def told(read: int, before: int = done, what: str = file.path) -> None:
            tell(Progress(phase="digest", done_bytes=before + read, total_bytes=total, what=what))

        try:
            found = await digest(place / file.path, file.path, told)
        except OSError as error:
            why = f"{file.path} cannot be read: {error.strerror or error}"
            (unread if _unread(error) is None else wrong).append(why)
            continue
        if found != file:
            wrong.append(f"{file.path} is not what was written")
        done += file.size_bytes
    checked = _verdict("sha256", wrong + unread, f"{total} bytes read")
    return replace(checked, ok=None) if unread and not wrong else checked


def _unread(error: OSError) -> bool | None:
    """What it says of a file that it cannot be read: that it is rotten, or nothing."""
    return False if error.errno in ROTTEN else None


def _verdict(name: str, wrong: list[str], right: str) -> Check:
    more = f" and {len(wrong) - NAMED} more" if len(wrong) > NAMED else ""
    return Check(name=name, ok=not wrong, detail="; ".join(wrong[:NAMED]) + more if wrong else right)


def _sizes(place: Path) -> dict[str, int]:
    """What is there beside manifest and marks, and beside marks that somebody was writing when he died."""
    there = {name: found.st_size for name, found in files_below(place) if name not in OWN_FILES}
    return {name: size for name, size in there.items() if not name.startswith(TEMPORARY)}
