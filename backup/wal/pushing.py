"""A file of PostgreSQL's laid down in a place: once, whole, durable, of the right server, and never over another.

A part of the fast path (see `command`): it imports next to nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys

from backup.wal.piping import PIECE_BYTES, Pipe
from backup.wal.place import FILE_MODE, appear, claim, discard, disk_failure, failure, make, owner, sync_folder
from backup.wal.segments import (
    DIGEST,
    LONG_HEADER,
    SUFFIXES,
    SUM,
    UNFINISHED,
    Named,
    header_of,
    header_trouble,
    parse,
    stored,
)
from toban.errors import TobanError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from backup.wal.manner import Manner

STORED, THERE = "stored", "there already"
_MOST_SENT_BYTES = 1 << 30
_CONTROL = "global/pg_control"  # it begins with the system identifier
_NEXT_TO_NOTHING_BYTES = 64 * 1024


def push(path: str | os.PathLike[str], place: str | os.PathLike[str], manner: Manner) -> str:
    """Keep a segment, a history or a label. The same file again is fine; another one of its name is refused."""
    source_path, folder = os.fspath(path), os.fspath(place)
    named = parse(os.path.basename(source_path))
    if named is None or named.plain != named.name:
        hint = "archive_command = 'toban wal push %p'"
        raise failure(source_path, "is no name that PostgreSQL gives to its WAL", hint, "configuration")
    try:
        source = os.open(source_path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise failure(source_path, f"cannot be read: {error.strerror}", "", "missing") from error
    try:
        make(folder)
        if named.kind in ("segment", "partial"):
            _check_origin(source, source_path, named, folder)
        else:
            _check_server(source_path, folder)
        return _kept(source, named, folder, manner)
    except OSError as error:
        raise disk_failure(error, folder) from error
    finally:
        os.close(source)


def lay(source: int, named: Named, folder: str, manner: Manner) -> str:
    """Write an open file under the name that the manner gives it; that name."""
    packing = manner.packing() if named.kind in ("segment", "partial") else []
    name = name_for(named, manner)
    noted = _note_digest(source, named, folder, name) if packing and manner.seal else -1
    try:
        _laid(packing, source, named, folder, name)
    finally:
        if noted >= 0:
            os.close(noted)
    return name


def _laid(packing: list[list[str]], source: int, named: Named, folder: str, name: str) -> None:
    unfinished = f"{folder}/.{named.plain}.{os.getpid()}.{os.urandom(4).hex()}{UNFINISHED}"
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # it tells whoever sweeps that we live
        os.lseek(source, 0, os.SEEK_SET)
        if packing:
            _pack(packing, source, handle)
        else:
            while os.sendfile(handle, source, None, _MOST_SENT_BYTES):
                pass
            _note_sum(source, handle)
        os.fsync(handle)
        appear(unfinished, f"{folder}/{name}")
    finally:
        os.close(handle)
        discard(unfinished)


def name_for(named: Named, manner: Manner) -> str:
    """Under which name a file of PostgreSQL's is kept: histories and labels are small, and read by everybody."""
    if named.kind not in ("segment", "partial"):
        return named.plain
    return named.plain + SUFFIXES.get(manner.compression[0], "") + SUFFIXES.get(manner.seal, "")


def same(source: int, there: Named, folder: str, manner: Manner) -> bool:
    """Whether what lies there is what the open file holds, byte for byte."""
    if there.seal:
        known = _noted_digest(f"{folder}/{there.plain}{DIGEST}")
        if known:
            return known == _digest(source)
    os.lseek(source, 0, os.SEEK_SET)
    for piece in clear(there, folder, manner):
        if os.read(source, len(piece)) != piece:
            return False
    return not os.read(source, 1)


def clear(there: Named, folder: str, manner: Manner) -> Iterator[bytes]:
    """What lies in a place, in the clear, piece by piece; raises where it cannot be had whole."""
    handle = os.open(f"{folder}/{there.name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        commands = manner.unpacking(there.compression, there.seal)
        if not commands:
            while piece := os.read(handle, PIECE_BYTES):
                yield piece
            return
        pipe = Pipe(commands, handle)
        try:
            yield from pipe.pieces()
        finally:
            pipe.close()
    finally:
        os.close(handle)


def _pack(packing: list[list[str]], source: int, into: int) -> None:
    pipe = Pipe(packing, source, into)
    try:
        pipe.ended()
    except TobanError as error:
        if _is_full(into):  # not every program says so
            raise failure(error.what, f"no space left on the disk: {error.why}", "", "space") from error
        raise
    finally:
        pipe.close()


def _is_full(handle: int) -> bool:
    room = os.fstatvfs(handle)
    return room.f_bavail * room.f_frsize < _NEXT_TO_NOTHING_BYTES


def _kept(source: int, named: Named, folder: str, manner: Manner) -> str:
    there = stored(folder, named.plain)
    if there is None:
        try:
            lay(source, named, folder, manner)
        except FileExistsError:  # another push of it was quicker
            there = stored(folder, named.plain)
        else:
            return STORED
    if there is None or not same(source, there, folder, manner):
        what = f"{folder}/{there.name if there else named.plain}"
        hint = "does another server, or a clone, archive here? Give each a target of its own"
        raise failure(what, "is there already, and is not the same", hint, "damaged")
    _make_last(f"{folder}/{there.name}", folder)
    return THERE


def _make_last(path: str, folder: str) -> None:
    """Whoever laid it there may have been cut off before it was safe."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    sync_folder(folder)


def _check_server(path: str, folder: str) -> None:
    """A history does not say whose it is: the data directory does in which it lies, as far as it can be read."""
    try:
        with open(os.path.join(os.path.dirname(os.path.dirname(path)), _CONTROL), "rb") as file:
            identifier = str(int.from_bytes(file.read(8), sys.byteorder))
    except OSError:
        return
    known = owner(folder)
    if known is not None and known[0] != identifier:
        why = f"is of another server: its system identifier is {identifier}, not {known[0]}"
        raise failure(path, why, f"{folder} is kept for one server; give this one a target of its own", "configuration")


def _check_origin(source: int, path: str, named: Named, folder: str) -> None:
    """It must be WAL, of the place that its name says, whole, and of the server that this place is for."""
    header = header_of(os.pread(source, LONG_HEADER.size, 0))
    trouble = header_trouble(header, named.segment)
    if trouble or header is None:
        raise failure(path, trouble, "", "damaged")
    size = os.fstat(source).st_size
    if size != header.segment_bytes:
        raise failure(path, f"has {size} bytes, and a segment has {header.segment_bytes}", "", "damaged")
    identifier, segment_bytes = claim(folder, header.system_identifier, header.segment_bytes)
    foreign = header_trouble(header, named.segment, identifier)
    if not foreign and segment_bytes != header.segment_bytes:
        foreign = f"is of a server with segments of {header.segment_bytes} bytes, not {segment_bytes}"
    if foreign:
        hint = f"{folder} is kept for one server; give this one a target of its own"
        raise failure(path, foreign, hint, "configuration")


def _digest(source: int) -> str:
    from hashlib import sha256  # noqa: PLC0415 - for what is sealed alone: it brings OpenSSL with it

    os.lseek(source, 0, os.SEEK_SET)
    digest = sha256()
    while piece := os.read(source, PIECE_BYTES):
        digest.update(piece)
    return digest.hexdigest()


def _note_digest(source: int, named: Named, folder: str, name: str) -> int:
    """Note what is about to be sealed; until the handle is closed nobody else can: the note is of what lies there."""
    path = f"{folder}/{named.plain}{DIGEST}"
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise failure(path, "another push of it is under way", "", "busy") from None
        _must_be_new(f"{folder}/{name}")
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{_digest(source)}\n".encode(), 0)
        os.fsync(handle)
    except BaseException:  # raised again, once what was begun is cleared away
        os.close(handle)
        raise
    return handle


def _note_sum(source: int, handle: int) -> None:
    """Programs note a sum in what they pack; beside what lies there as it is the file system does, where it can."""
    from zlib import crc32  # noqa: PLC0415 - for what is not packed alone

    os.lseek(source, 0, os.SEEK_SET)
    found = 0
    while piece := os.read(source, PIECE_BYTES):
        found = crc32(piece, found)
    try:
        os.setxattr(handle, SUM, f"{found:08x}".encode())
    except OSError:
        return


def _must_be_new(path: str) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)


def _noted_digest(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(100).strip()
    except FileNotFoundError:
        return ""
