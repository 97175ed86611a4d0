"""A turn at something: the kernel's lock for one machine, and a file that is renewed for others on the same storage.

Whether a holder elsewhere still lives is told without its clock: the storage stamps its renewals and our own probe
alike, and one that seems dead is watched for a while before it is believed.
"""

import errno
import fcntl
import json
import os
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Final
from uuid import uuid4

from backup.repository.durable import NO_ROOM, TEMPORARY, appear, make_folders, sync_folder
from backup.repository.holders import Holder
from backup.repository.layout import FILE_MODE

RENEW_SECONDS: Final = 5.0
STALE_SECONDS: Final = 45.0
WATCH_SECONDS: Final = 15.0  # longer than a renewal takes to show, on storage that is not quick
SIZE_BYTES: Final = 1024
MOST_BYTES: Final = 64 * 1024
_UNSUPPORTED: Final = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a lease says, and when its storage saw it last written."""

    holder: Holder = field(default_factory=Holder)
    token: str = ""
    what: str = ""
    beat: int = 0
    renewed_at: float = 0.0
    written_ns: int = 0


class HeldError(Exception):
    """Somebody else has it, who lives as far as can be told."""

    def __init__(self, said: Said) -> None:
        super().__init__(said.holder.words)
        self.said = said


class SilentError(HeldError):
    """Somebody elsewhere has it who has not renewed it for long: to be watched before it is taken over."""


class Lease:
    """One lease that we hold. All of it blocks, and belongs in threads."""

    def __init__(self, path: Path, handle: int, holder: Holder, what: str) -> None:
        self.path = path
        self.what = what
        self._handle = handle
        self._holder = holder
        self._token = uuid4().hex
        self._beat = 0
        self._turn = threading.Lock()  # a handle that is closed while another thread writes may be another file's

    def renew(self, now: float) -> bool:
        """Say that we are still here; False when it is no longer ours."""
        with self._turn:
            if not self._ours():
                return False
            self._write(now)
            return True

    def release(self) -> None:
        """Give it back: the file goes first, while nobody else can hold it."""
        with self._turn:
            try:
                if self._ours():
                    with suppress(FileNotFoundError):
                        self.path.unlink()
            finally:
                self.drop()

    def drop(self) -> None:
        """Let go of it and leave the file, as the dead do."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            os.close(handle)

    def begin(self, now: float, *, locked: bool | None) -> None:
        """Write who has it now. On a disk that is full the kernel's lock alone says that somebody has."""
        try:
            self._write(now)
        except OSError as error:
            if not locked or error.errno not in NO_ROOM:
                raise

    def _ours(self) -> bool:
        """Whether the file by that name is still the one that we hold, and says so."""
        if self._handle < 0 or not is_same(self._handle, self.path):
            return False
        return self._beat == 0 or parsed(os.pread(self._handle, MOST_BYTES, 0)).token == self._token

    def _write(self, now: float) -> None:
        said = {"format": 1, "token": self._token, "what": self.what, "beat": self._beat + 1, "renewed_at": now}
        text = json.dumps(said | {"holder": asdict(self._holder)}, ensure_ascii=False)
        os.pwrite(self._handle, text.encode().ljust(SIZE_BYTES), 0)
        os.fsync(self._handle)
        self._beat += 1


def take(path: Path, holder: Holder, what: str, now: float, *, silent: Said | None = None) -> Lease:
    """Take a turn, or raise who has it. `silent` is one who was watched meanwhile and did not stir."""
    make_folders(path.parent)
    while True:
        lease = _fresh(path, holder, what, now)
        if lease is None:
            lease = _inherited(path, holder, what, now, silent)
        if lease is not None:
            sync_folder(path.parent)
            return lease


def said_by(path: Path) -> Said | None:
    """What a lease says; None when there is none."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        return _said(handle)
    finally:
        os.close(handle)


def parsed(content: bytes) -> Said:
    """A lease's content; one that makes no sense is somebody's whom nobody knows."""
    try:
        said = json.loads(content)
        known = {one.name for one in fields(Holder)}
        holder = Holder(**{key: value for key, value in said["holder"].items() if key in known})
        return Said(
            holder=holder,
            token=str(said["token"]),
            what=str(said["what"]),
            beat=int(said["beat"]),
            renewed_at=float(said["renewed_at"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        return Said()


def is_same(handle: int, path: Path) -> bool:
    """Whether an open file is the one by that name."""
    try:
        named = os.stat(path, follow_symlinks=False)  # noqa: PTH116 - beside fstat
    except FileNotFoundError:
        return False
    opened = os.fstat(handle)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)


def silence_seconds(path: Path, written_ns: int) -> float:
    """For how long a lease was not renewed, by the clock of the storage that it lies on."""
    probe = path.with_name(f"{TEMPORARY}{os.getpid()}-{uuid4().hex[:8]}")
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        try:
            os.write(handle, b".")
            os.fsync(handle)
            return (os.fstat(handle).st_mtime_ns - written_ns) / 1e9
        finally:
            os.close(handle)
    finally:
        with suppress(FileNotFoundError):
            probe.unlink()


def _fresh(path: Path, holder: Holder, what: str, now: float) -> Lease | None:
    """A lease where there is none, which appears written and locked; None where there is one."""
    if os.path.lexists(path):
        return None
    unseen = path.with_name(f"{TEMPORARY}{os.getpid()}-{uuid4().hex[:8]}")
    handle = os.open(unseen, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
    lease = Lease(path, handle, holder, what)
    try:
        lease.begin(now, locked=_locked(handle))
        appear(unseen, path)
    except FileExistsError:
        lease.drop()
        return None
    except BaseException:  # raised again, once what was begun is cleared away
        lease.drop()
        raise
    finally:
        with suppress(FileNotFoundError):
            unseen.unlink()
    return lease


def _inherited(path: Path, holder: Holder, what: str, now: float, silent: Said | None) -> Lease | None:
    """A lease that somebody left; None where it is given back at this moment."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    lease = Lease(path, handle, holder, what)
    try:
        locked = _judge(handle, path, holder, silent)
        if not is_same(handle, path):
            lease.drop()
            return None
        lease.begin(now, locked=locked)
    except BaseException:  # raised again, once what was begun is cleared away
        lease.drop()
        raise
    return lease


def _judge(handle: int, path: Path, holder: Holder, silent: Said | None) -> bool | None:
    """Whether it is locked by us now that nobody who lives has it; raise who does."""
    locked = _locked(handle)
    said = _said(handle)
    if locked is False:
        raise HeldError(said)
    if holder.rebooted_since(said.holder):
        return locked
    if holder.same_kernel(said.holder):
        alive = False if locked else holder.sees_alive(said.holder)
        if alive is False:
            return locked
        if alive:
            raise HeldError(said)
    if silent is not None and silent == said:
        return locked
    if silence_seconds(path, said.written_ns) < STALE_SECONDS:
        raise HeldError(said)
    raise SilentError(said)


def _locked(handle: int) -> bool | None:
    """True when the kernel gave us the lock, False when another has it, None where there are no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return None
        raise
    return True


def _said(handle: int) -> Said:
    return replace(parsed(os.pread(handle, MOST_BYTES, 0)), written_ns=os.fstat(handle).st_mtime_ns)
