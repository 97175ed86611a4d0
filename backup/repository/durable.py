"""Writing so that a loss of power leaves the old or the new, never a half: sync the file, rename, sync the folder."""

import asyncio
import errno
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from backup.errors import BackupError
from backup.repository.layout import FILE_MODE, FOLDER_MODE
from toban.backups import Trouble

TEMPORARY: Final = ".tmp-"
NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)
_HINTS: Final = {
    errno.ENOSPC: "make room there, or let it keep less",
    errno.EDQUOT: "make room there, or raise the quota",
    errno.EROFS: "mount it writable",
    errno.EACCES: "give the account that runs toban the folder",
    errno.EPERM: "give the account that runs toban the folder",
    errno.ENOENT: "is it mounted?",
    errno.ESTALE: "is it still mounted?",
    errno.ENOTCONN: "is it still mounted?",
    errno.EIO: "look at the disk",
}


def trouble_of(error: OSError) -> Trouble:
    """What a failed call says of the place."""
    return Trouble.SPACE if error.errno in (*NO_ROOM, errno.EFBIG) else Trouble.REPOSITORY


def unusable(place: Path, error: OSError) -> BackupError:
    """A failed call as an operator reads it."""
    why = error.strerror or str(error) or type(error).__name__
    return BackupError(str(place), why, _HINTS.get(error.errno or 0, ""), trouble=trouble_of(error))


def sync_file(path: Path) -> None:
    """Everything of a file is on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """The names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that have no such thing
            raise
    finally:
        os.close(handle)


def write_durably(path: Path, content: bytes) -> None:
    """A small file, replaced at once and for good."""
    with _unseen(path, content) as temporary:
        os.replace(temporary, path)  # noqa: PTH105 - one word for one system call, as everywhere here
    sync_folder(path.parent)


def appear_durably(path: Path, content: bytes) -> None:
    """The same of a file that is not there yet: FileExistsError where it is, however shortly before it came."""
    with _unseen(path, content) as temporary:
        appear(temporary, path)
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def appear(unseen: Path, path: Path) -> None:
    """By its name, never over another. Where files have one name only, a moment stays in which two may believe it."""
    try:
        os.link(unseen, path)
    except OSError as error:
        if error.errno not in _NO_LINKS or os.path.lexists(path):
            raise
        os.rename(unseen, path)  # noqa: PTH104 - beside the link


@contextmanager
def _unseen(path: Path, content: bytes) -> Iterator[Path]:
    """A file's content on the disk, beside it and under a name of its own; it goes where that comes to nothing."""
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{uuid4().hex[:8]}-{path.name}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
    except OSError:
        with suppress(OSError):
            temporary.unlink()
        raise


def make_folders(path: Path) -> None:
    """A folder with those above it, each of them ours alone and its name on the disk."""
    if path.is_dir():
        return
    make_folders(path.parent)
    with suppress(FileExistsError):
        path.mkdir(FOLDER_MODE)
    sync_folder(path.parent)


def files_below(place: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file of a folder and of those in it, by its path below; what is neither file nor folder is refused."""
    waiting = [place]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode):
                    waiting.append(Path(entry.path))
                elif stat.S_ISREG(found.st_mode):
                    yield os.path.relpath(entry.path, place), found
                else:
                    why = "is neither a file nor a folder, and cannot be kept"
                    raise BackupError(entry.path, why, trouble=Trouble.INTERNAL)


def folders_below(place: Path) -> Iterator[Path]:
    """Every folder in a folder, the deepest first, itself last."""
    for folder, _, _ in os.walk(place, topdown=False):
        yield Path(folder)


async def close_and_sync(place: Path) -> None:
    """Everything below a folder is ours alone, and on the disk: files first, then the names of them."""
    for name in await asyncio.to_thread(lambda: [path for path, _ in files_below(place)]):
        await asyncio.to_thread(_close_and_sync_file, place / name)
    await asyncio.to_thread(_close_and_sync_folders, place)


def _close_and_sync_file(path: Path) -> None:
    path.chmod(FILE_MODE)
    sync_file(path)


def _close_and_sync_folders(place: Path) -> None:
    for folder in folders_below(place):
        folder.chmod(FOLDER_MODE)
        sync_folder(folder)


def remove_tree(place: Path) -> None:
    """A folder with all in it; one that is gone already is no matter."""

    def onerror(_call: object, _path: str, failure: tuple[type[BaseException], BaseException, object]) -> None:
        if not isinstance(failure[1], FileNotFoundError):
            raise failure[1]

    shutil.rmtree(place, onerror=onerror)


def rename_durably(old: Path, new: Path) -> None:
    """Another name in the same folder, for good; nothing that is there is replaced."""
    if os.path.lexists(new):
        raise FileExistsError(errno.EEXIST, "is there already", str(new))
    os.rename(old, new)  # noqa: PTH104 - one word for one system call, as everywhere here
    sync_folder(new.parent)
