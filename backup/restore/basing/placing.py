"""The place of a restored data directory: made beside where it is to be, put there by one rename, never over another.

Half of one never has the name that was asked for. Where only the folder itself can be written to (a mount point, say),
it is filled from a folder within, what makes it a data directory last.
"""

import asyncio
import ctypes
import errno
import fcntl
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.programs import Account, account
from backup.repository.turns import finished
from backup.restore.contract import Wanted
from toban.backups import Check, Trouble

MODE: Final = 0o700
RESTORING: Final = "restoring-"
REPLACED: Final = "replaced"
LAST: Final = ("global", "PG_VERSION")  # without them no server takes a folder for its own
LOCK: Final = "postmaster.pid"
SERVER: Final = "postgres"  # as the system names its process
_TROUBLES: Final = {
    errno.ENOSPC: Trouble.SPACE,
    errno.EDQUOT: Trouble.SPACE,
    errno.EACCES: Trouble.PRIVILEGE,
    errno.EPERM: Trouble.PRIVILEGE,
    errno.EROFS: Trouble.PRIVILEGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What is where the data directory is to be."""

    path: Path  # absolute
    is_there: bool = False
    is_empty: bool = True
    is_closed: bool = False  # nothing can be made beside it
    server: int | None = None  # the process of a server that works in it

    @property
    def ground(self) -> Path:
        """The nearest folder that is there already: whose disk it will lie on."""
        return next(folder for folder in (self.path, *self.path.parents) if folder.is_dir())


def look(path: Path) -> Site:
    """What is there now. It blocks."""
    where = Path(os.path.abspath(path))  # noqa: PTH100 - `resolve` follows links, and the link is what was asked for
    if not where.exists():
        return Site(path=where)
    beside = not where.is_mount() and os.access(where.parent, os.W_OK) and not where.is_symlink()
    try:
        is_empty = where.is_dir() and all(_is_left(entry, where) for entry in where.iterdir())
    except PermissionError:  # whatever is in there, it is none of ours
        is_empty = False
    return Site(path=where, is_there=True, is_empty=is_empty, is_closed=not beside, server=_server_in(where))


def fit(site: Site, wanted: Wanted) -> Check:
    """Whether a data directory may come to be there."""
    name = "data directory"
    if not site.is_there or site.is_empty:
        return Check(name=name, ok=True, detail=f"{site.path} is {'empty' if site.is_there else 'free'}")
    if site.server is not None:
        return Check(name=name, ok=False, detail=f"a server works in {site.path}, as process {site.server}: stop it")
    if not wanted.replace:
        why = f"{site.path} is not empty; name another folder, or have it replaced (--replace)"
        return Check(name=name, ok=False, detail=why)
    if site.is_closed or not site.path.is_dir():
        return Check(name=name, ok=False, detail=f"{site.path} cannot be put aside: empty it first")
    return Check(name=name, ok=True, detail=f"{site.path} will be put aside as {_aside(site.path).name}")


def owner_of(wanted: Wanted) -> Account | None:
    """Whose the files shall be; None for ourselves."""
    if wanted.owner is None:
        return account()
    try:
        entry = pwd.getpwnam(wanted.owner)
    except KeyError:
        raise BackupError("restore", f"there is no account {wanted.owner}", trouble=Trouble.CONFIGURATION) from None
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=Path(entry.pw_dir))


def passable(site: Site, owner: Account | None) -> Check:
    """Whether the account can come to the folder: the server will refuse to start otherwise."""
    if owner is None or os.geteuid() == owner.uid:
        return Check(name="owner", ok=True, detail="the files will be ours")
    if os.geteuid() != 0:
        return Check(name="owner", ok=False, detail=f"only root can give files to {owner.name}")
    closed = [folder for folder in site.path.parents if folder.is_dir() and not _passes(folder, owner)]
    if closed:
        return Check(name="owner", ok=False, detail=f"{owner.name} may not pass through {closed[-1]}")
    return Check(name="owner", ok=True, detail=f"the files will be those of {owner.name}")


@asynccontextmanager
async def staged(site: Site, owner: Account | None = None) -> AsyncIterator[Path]:
    """A folder to fill, gone again unless it was settled. Folders above it that have to be made are the owner's."""
    stage = _Stage(site, owner)
    try:
        await finished(asyncio.to_thread(stage.begin))
        yield stage.folder
    except OSError as error:
        if isinstance(error, TimeoutError):
            raise
        raise _failed(site, error) from error
    finally:
        await finished(asyncio.to_thread(stage.end))


def _failed(site: Site, error: OSError) -> BackupError:
    """A failed call as an operator reads it."""
    why = error.strerror or str(error)
    why += f": {error.filename}" if error.filename else ""
    return BackupError(str(site.path), why, trouble=_TROUBLES.get(error.errno or 0, Trouble.TOOL))


def flush(stage: Path) -> None:
    """All of it to the disk, names and links too: its file system in one go, as there may be very many. It blocks."""
    handle = os.open(stage, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            failed = ctypes.get_errno()
            trouble = _TROUBLES.get(failed, Trouble.TOOL)
            raise BackupError(str(stage), f"did not come to the disk: {os.strerror(failed)}", trouble=trouble)
    finally:
        os.close(handle)


def settle(stage: Path, site: Site, *, durable: bool = True) -> Path | None:
    """Give a filled folder the name that was asked for; where what was there before is now. It blocks."""
    stage.chmod(MODE)
    if site.is_closed:
        _pour(stage, site.path)
        if durable:
            _sync(site.path)
        return None
    aside: Path | None = None
    if site.is_there and not site.is_empty:
        aside = _aside(site.path)
        site.path.rename(aside)
    elif site.is_there:
        site.path.rmdir()
    try:
        stage.rename(site.path)
    except OSError:
        if aside is not None:
            aside.rename(site.path)
        raise
    if durable:
        _sync(site.path.parent)
    return aside


class _Stage:
    """A folder that is filled beside where it is to be (or within), with a lease on it. All of it blocks."""

    def __init__(self, site: Site, owner: Account | None) -> None:
        self.folder = Path()
        self._site = site
        self._owner = owner
        self._made: list[Path] = []  # folders above it, and itself last
        self._lease = -1

    def begin(self) -> None:
        """Make it; and clear away what others left who are gone."""
        path = self._site.path
        within = path if self._site.is_closed else path.parent
        for folder in reversed([folder for folder in (within, *within.parents) if not folder.is_dir()]):
            folder.mkdir(mode=MODE)
            self._made.append(folder)
            if self._owner is not None and os.geteuid() == 0:  # a server has to come through there
                os.chown(folder, self._owner.uid, self._owner.gid)
        for left in within.iterdir():
            if left.name.startswith(_prefix(path)):
                _clear(left)
        home = Path(tempfile.mkdtemp(prefix=_prefix(path), dir=within))
        self._made.append(home)
        self._lease = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(self._lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.folder = home / "data"
        self.folder.mkdir(mode=MODE)

    def end(self) -> None:
        """Remove what is left of it, and the folders above it where nothing has come to be in them."""
        if self._lease >= 0:
            os.close(self._lease)
            shutil.rmtree(self._made[-1], ignore_errors=True)
        for folder in reversed(self._made):
            with suppress(OSError):
                folder.rmdir()


def _prefix(path: Path) -> str:
    return f".{path.name}.{RESTORING}"


def _clear(left: Path) -> None:
    """Remove what somebody left who is gone."""
    with suppress(OSError), _unheld(left):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _unheld(left: Path) -> Iterator[None]:
    """The lease on it, for a moment; BlockingIOError where somebody is still at it."""
    lease = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(lease, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lease)


def _is_left(entry: Path, path: Path) -> bool:
    """Whether it is but what somebody left there who was restoring and is gone: nothing of anybody's."""
    if entry.name.startswith(_prefix(path)):
        with suppress(OSError), _unheld(entry):
            return True
    return False


def _pour(stage: Path, into: Path) -> None:
    """Entry by entry, those last without which it is no data directory; never over anything."""
    for entry in into.iterdir():
        if entry != stage.parent:
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(entry))
    names = sorted((entry.name for entry in stage.iterdir()), key=lambda name: (name in LAST, name))
    for name in names:
        (stage / name).rename(into / name)
    status = stage.stat()
    os.chown(into, status.st_uid, status.st_gid)
    into.chmod(MODE)


def _aside(path: Path) -> Path:
    """A name that nothing has yet."""
    number = 1
    while (found := path.with_name(f"{path.name}.{REPLACED}-{number}")).exists():
        number += 1
    return found


def _server_in(path: Path) -> int | None:
    """The process of the server that works there, by its lock; also where we may not ask it for its folder."""
    try:
        process = int((path / LOCK).read_text().splitlines()[0])
        name = Path(f"/proc/{process}/comm").read_text().strip()
        return process if name == SERVER and _works_in(process, path) else None
    except (OSError, ValueError, IndexError):
        return None


def _works_in(process: int, path: Path) -> bool:
    try:
        return Path(f"/proc/{process}/cwd").readlink() == path.resolve()
    except PermissionError:
        return True


def _passes(folder: Path, owner: Account) -> bool:
    status = folder.stat()
    if status.st_uid == owner.uid:
        return bool(status.st_mode & 0o100)
    return bool(status.st_mode & (0o010 if status.st_gid == owner.gid else 0o001))


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
