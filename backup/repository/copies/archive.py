"""The archived WAL of a target, for copies: what is there, and taking in one more, whole or not at all."""

import errno
import os
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.repository.copies.contract import is_archived
from backup.repository.durable import make_folders, sync_file, sync_folder, unusable
from toban.backups import Progress, Trouble

UNFINISHED: Final = ".tmp"
Send = Callable[[str], Awaitable[None]]


def archived(place: Path) -> Mapping[str, int]:
    """The finished files of a place for WAL, with their sizes; none where there is no such place."""
    try:
        with os.scandir(place) as entries:
            return {
                entry.name: entry.stat().st_size
                for entry in entries
                if is_archived(entry.name) and entry.is_file(follow_symlinks=False)
            }
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise unusable(place, error) from error


async def sent(here: Mapping[str, int], there: Mapping[str, int], send: Send, where: str, tell: Tell) -> int:
    """Send each file that is here and not there, oldest first. One that is there and differs is nobody's to replace."""
    other = [name for name, size in here.items() if there.get(name, size) != size]
    missing = sorted(name for name in here if name not in there)
    for count, name in enumerate(missing):
        tell(Progress(phase="wal", done_bytes=count, total_bytes=len(missing), what=name))
        await send(name)
    if other:
        why = f"{len(other)} of its files are there with another size, as {min(other)}; they were left"
        raise BackupError(where, why, "find out which is right", trouble=Trouble.DAMAGED)
    return len(missing)


async def wanted(names: Collection[str] | None, there: Mapping[str, int], where: str) -> Mapping[str, int]:
    """Those of the files there that are asked for."""
    lacking = [name for name in names or () if name not in there]
    if lacking:
        why = f"{len(lacking)} of the files asked for are not there, as {min(lacking)}"
        raise BackupError(where, why, trouble=Trouble.MISSING)
    return there if names is None else {name: there[name] for name in names}


def begin(place: Path, name: str) -> Path:
    """Where a file is written until it is whole."""
    make_folders(place)
    unfinished = place / f"{name}.{os.getpid()}{UNFINISHED}"
    unfinished.unlink(missing_ok=True)
    return unfinished


def complete(unfinished: Path, path: Path) -> None:
    """It is whole: sync it, and give it its name, never over another."""
    sync_file(unfinished)
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK) or path.exists():
            raise
        unfinished.rename(path)
    with suppress(FileNotFoundError):
        unfinished.unlink()
    sync_folder(path.parent)


def removed(place: Path, names: Collection[str]) -> int:
    """Take files away; how many were there."""
    count = 0
    for name in names:
        if is_archived(name):
            with suppress(FileNotFoundError):
                (place / name).unlink()
                count += 1
    if count:
        sync_folder(place)
    return count
