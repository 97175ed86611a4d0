"""A folder for one proof or drill, with a lease on it: whoever comes after us clears away what we could not.

The lease is a lock on a file, which the kernel drops when its holder is gone, however it went. Then every server that
still works in the folder is ended, and the folder removed.

As root we run servers as another account, and the state that it lies beside is often closed to that one. Where nobody
has named a folder, such a place is then made in one of our own that everybody may pass through.
"""

import asyncio
import ctypes
import errno
import fcntl
import os
import shutil
import signal
import stat
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.programs import Account, account
from toban.backups import Trouble

PREFIX: Final = "scratch-"
LEASE: Final = "lease"
SOCKETS: Final = "sockets"  # a link to a folder with a short path, where ours is too long for a socket
LONGEST_SOCKET_FOLDER_BYTES: Final = 80  # an address holds 107, the socket's own name included
ENTERED: Final = 0o710
PRIVATE: Final = 0o700
SPARE: Final = Path("/var/lib/toban-scratch")  # when we are root, and none that was named
PASSED: Final = 0o711
SHARED: Final = 0o022  # whoever else may write to a folder may put anything in its place
SERVERS: Final = ("postgres", "mariadbd", "mysqld")  # what is ended in a folder that is cleared; nobody's shell
LOOKS: Final = 200
LOOK_SECONDS: Final = 0.05
ATTEMPTS: Final = 3
SERVER_LOCK: Final = "postmaster.pid"
MEMORY_LINE: Final = 6  # of that file: key and id of a segment
SEGMENTS: Final = Path("/proc/sysvipc/shm")
IPC_RMID: Final = 0


def grounds(named: Path | None, usual: Path) -> tuple[Path, ...]:
    """Where scratch places may be made: where somebody has said, else as usual, else where root can always make one."""
    if named is not None:
        return (named,)
    return (usual,) if account() is None else (usual, SPARE)


def housed(around: Surroundings, place: Path) -> Surroundings:
    """The same world, where the servers' account comes to what is copied for it: in the place itself at the worst."""
    passing = account()
    if passing is None or not _closed(around.workspace, passing):
        return around
    return replace(around, workspace=place)


@asynccontextmanager
async def scratch_place(*workspaces: Path) -> AsyncIterator[Path]:
    """A folder of this work's own, which the servers' account may pass through; gone with the block.

    It lies in the first of these that the account can come to.
    """
    place, lease = await asyncio.to_thread(_made_in, workspaces, account())
    try:
        yield place
    finally:
        clearing = asyncio.ensure_future(asyncio.to_thread(_left, place))
        try:
            await asyncio.shield(clearing)
        except asyncio.CancelledError:
            await clearing
            raise
        finally:
            os.close(lease)


async def sweep(*workspaces: Path) -> tuple[str, ...]:
    """Clear away what others left who are gone; the names of the folders. Never one whose owner lives."""
    return tuple([name for one in workspaces for name in await asyncio.to_thread(_swept, one)])


def private_folder(place: Path, name: str, owner: Account | None) -> Path:
    """A folder in the place that nobody but the server's account may enter."""
    folder = place / name
    folder.mkdir(mode=PRIVATE)
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)
    return folder


def socket_folder(place: Path, owner: Account | None) -> Path:
    """A private folder for sockets, whose path is short enough for one."""
    if len(os.fsencode(place / SOCKETS)) <= LONGEST_SOCKET_FOLDER_BYTES:
        return private_folder(place, SOCKETS, owner)
    folder = Path(tempfile.mkdtemp(prefix=f"toban-{PREFIX}"))
    (place / SOCKETS).symlink_to(folder)
    if owner is not None:
        os.chown(folder, owner.uid, owner.gid)
    return folder


def _made_in(workspaces: tuple[Path, ...], passing: Account | None) -> tuple[Path, int]:
    """In the first that the account can come to. Where there is none, the first is the one to speak of."""
    first, *others = workspaces
    try:
        return _made(first, passing)
    except BackupError as error:
        if error.trouble is not Trouble.CONFIGURATION:
            raise
        for other in others:
            with suppress(BackupError):
                return _made(other, passing)
        raise


def _made(workspace: Path, passing: Account | None) -> tuple[Path, int]:
    """The folder and the lease on it. A sweep that comes in between takes the folder for left behind: once more."""
    attempts = ATTEMPTS
    while True:
        try:
            return _made_once(workspace, passing)
        except OSError as error:
            attempts -= 1
            if isinstance(error, (BlockingIOError, FileNotFoundError)) and attempts:
                continue
            why = f"no folder can be made there: {error.strerror or error}"
            hint = "see backups.proof.workspace"
            raise BackupError(str(workspace), why, hint, trouble=_trouble(error)) from error


def _made_once(workspace: Path, passing: Account | None) -> tuple[Path, int]:
    _make_ground(workspace, passing)
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=workspace))
    lease = os.open(place / LEASE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _let_pass(place, passing)
    except OSError:
        os.close(lease)
        raise
    return place, lease


def _trouble(error: OSError) -> Trouble:
    return Trouble.SPACE if error.errno in (errno.ENOSPC, errno.EDQUOT) else Trouble.PRIVILEGE


def _make_ground(workspace: Path, passing: Account | None) -> None:
    if workspace == SPARE:
        _make_spare()
        return
    workspace.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
    _open_up(workspace, passing)


def _make_spare() -> None:
    """Everybody can come to where it lies, so it must be a folder of ours, and nobody else's to write to."""
    with suppress(FileExistsError):
        SPARE.mkdir(mode=PASSED)
    handle = os.open(SPARE, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)  # refuses a link
    try:
        if not _is_ours(os.fstat(handle)):
            raise PermissionError(errno.EPERM, "it is another's, or others may write to it")
        os.fchmod(handle, PASSED)
    finally:
        os.close(handle)


def _is_ours(found: os.stat_result) -> bool:
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & SHARED


def _closed(workspace: Path, passing: Account) -> list[Path]:
    """The folders above that the account may not pass through."""
    return [parent for parent in workspace.resolve().parents if not _passes(parent, passing)]


def _open_up(workspace: Path, passing: Account | None) -> None:
    """Let the servers' account through our own folder; those above are not ours to open."""
    if passing is None:
        return
    closed = _closed(workspace, passing)
    if closed:
        raise BackupError(
            str(workspace),
            f"{passing.name}, whom the scratch server runs as, may not pass through {closed[-1]}",
            "set backups.proof.workspace to a folder that everybody may reach, as one below /var/lib",
            trouble=Trouble.CONFIGURATION,
        )
    if not _passes(workspace, passing):
        _let_pass(workspace, passing)


def _passes(folder: Path, passing: Account) -> bool:
    """Whether the account may go through a folder."""
    found = folder.stat()
    if found.st_uid == passing.uid:
        return bool(found.st_mode & 0o100)
    return bool(found.st_mode & (0o010 if found.st_gid == passing.gid else 0o001))


def _let_pass(folder: Path, passing: Account | None) -> None:
    if passing is not None:
        os.chown(folder, -1, passing.gid)
        folder.chmod(ENTERED)


def _swept(workspace: Path) -> tuple[str, ...]:
    found = []
    if workspace == SPARE and not _is_safe(SPARE):
        return ()
    for place in sorted(workspace.glob(f"{PREFIX}*")):
        with _held(place) as ours:
            if ours:
                _left(place)
                found.append(place.name)
    return tuple(found)


def _is_safe(folder: Path) -> bool:
    try:
        return _is_ours(folder.lstat())
    except OSError:
        return False


@contextmanager
def _held(place: Path) -> Iterator[bool]:
    """Whether nobody else has the lease on it."""
    try:
        lease = os.open(place / LEASE, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:  # gone meanwhile, or no folder
        yield False
        return
    try:
        yield _locked(lease)
    finally:
        os.close(lease)


def _locked(lease: int) -> bool:
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # somebody has it, or nobody can tell
        return False
    return True


def _left(place: Path) -> None:
    """Clear it; the folder that was made for want of another goes with the last one in it."""
    _cleared(place)
    if place.parent == SPARE:
        with suppress(OSError):
            SPARE.rmdir()


def _cleared(place: Path) -> None:
    """End the servers that work in it, and remove it."""
    _end_servers(place)
    for lock in place.glob(f"*/{SERVER_LOCK}"):
        _forget_memory(lock)
    with suppress(OSError):
        target = (place / SOCKETS).readlink()
        if target.parent == Path(tempfile.gettempdir()) and target.name.startswith(f"toban-{PREFIX}"):
            shutil.rmtree(target, ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)


def _end_servers(place: Path) -> None:
    """Every process of a server is a session of its own: where they work is how they are known."""
    for _ in range(LOOKS):
        there = list(_servers_in(place))
        if not there:
            return
        for process in there:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(process, signal.SIGKILL)
        time.sleep(LOOK_SECONDS)  # in a thread of its own


def _servers_in(place: Path) -> Iterator[int]:
    inside = f"{place.resolve()}/"
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "comm").read_text().strip() in SERVERS and f"{(folder / 'cwd').readlink()}/".startswith(
                inside
            ):
                yield int(folder.name)


def _forget_memory(lock: Path) -> None:
    """A server that was killed leaves a small segment of shared memory, which only its next start would take."""
    with suppress(OSError, ValueError, IndexError):
        key, segment = (int(word) for word in lock.read_text().splitlines()[MEMORY_LINE].split())
        for line in SEGMENTS.read_text().splitlines()[1:]:
            columns = line.split()
            attached = int(columns[6])
            if (int(columns[0]), int(columns[1])) == (key, segment) and not attached:
                ctypes.CDLL(None).shmctl(segment, IPC_RMID, None)
