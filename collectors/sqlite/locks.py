"""Who writes now, without asking SQLite: F_GETLK on the bytes that SQLite's locks are made of.

It tells of other processes' locks only (this process's own never conflict with itself), waits for nobody, changes
nothing, and works across containers and on file systems where /proc/locks names another device than stat does.
"""

import fcntl
import os
import struct
from collections.abc import Iterator

PENDING_BYTE = 0x40000000  # then RESERVED, then the 510 bytes that readers share and an exclusive writer takes whole
LOCK_BYTES = 2 + 510
WAL_WRITE_BYTE = 120  # in the -shm file
OPEN_BYTE = 128  # likewise: shared by all that have it open
_FLOCK = struct.Struct("@hhqqi4x")  # struct flock of 64-bit Linux


def descriptor_of(found: os.stat_result) -> int | None:
    """A descriptor by which this process has that file open already.

    Another thread may close it meanwhile and its number be given away: to read and to ask does no harm even then, but
    what was learnt counts only if it `is_of` that file still.
    """
    return next(descriptors_of(found), None)


def descriptors_of(found: os.stat_result) -> Iterator[int]:
    """All of them."""
    numbers = map(int, os.listdir("/proc/self/fd"))  # noqa: PTH208 - numbers, no paths
    return (number for number in numbers if is_of(number, found))


def is_of(descriptor: int, found: os.stat_result) -> bool:
    """Whether a descriptor is one of that file."""
    try:
        seen = os.fstat(descriptor)
    except OSError:
        return False  # closed meanwhile; or that of a listing of them
    return (seen.st_dev, seen.st_ino) == (found.st_dev, found.st_ino)


def write_locked(descriptor: int, start: int, length: int) -> bool:
    """Whether another process holds a write lock on some of these bytes."""
    return _met(descriptor, fcntl.F_RDLCK, start, length)


def held(descriptor: int, start: int, length: int = 1) -> bool:
    """Whether another process holds any lock on some of these bytes."""
    return _met(descriptor, fcntl.F_WRLCK, start, length)


def _met(descriptor: int, kind: int, start: int, length: int) -> bool:
    question = _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)
    answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
