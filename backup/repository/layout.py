"""Where things lie in a repository, and how they are called: the names alone, nothing is read here."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from toban.backups import Method, Trouble
from toban.clock import moment

DESCRIPTION: Final = "repository.json"
MANIFEST: Final = "manifest.json"
MARKS: Final = "marks.json"
OWN_FILES: Final = frozenset({MANIFEST, MARKS})
PARTIAL: Final = ".partial"
REMOVING: Final = ".removing"
OURS: Final = ".toban"
FSCK: Final = "lost+found"  # at the top of a file system; root's alone
LOCKS: Final = "locks"
MAKING: Final = "making"
MARKING: Final = "marks"
HOLDING: Final = "holds"
ATTEMPTS: Final = "attempts"
DRILLS: Final = "drills"
WAL: Final = "wal"
LEASE: Final = ".lease"
FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
KEPT_METHODS: Final = (Method.DUMP, Method.BASE, Method.FILES)  # whose backups have a folder each
_ID = re.compile(r"(\d{8}T\d{6}Z)-(.+)")
_STAMP: Final = "%Y%m%dT%H%M%SZ"


def backup_id(name: str, at: float) -> str:
    """`20261121T020000Z-nightly`: the second, in UTC, and the job."""
    return f"{moment(at).strftime(_STAMP)}-{name}"


def is_id(name: str) -> bool:
    """Whether a folder's name is that of a whole backup."""
    return _ID.fullmatch(name) is not None and not name.endswith((PARTIAL, REMOVING))


def id_parts(name: str) -> tuple[str, str]:
    """The stamp and the job's name in an id."""
    stamp, _, job = name.partition("-")
    return stamp, job


def fit(*names: str) -> None:
    """Names of targets and jobs become folders: refuse those that would mean something else there."""
    for name in names:
        if name.startswith(".") or "/" in name or name.endswith((PARTIAL, REMOVING)) or not name:
            why = "cannot be the name of a folder in a repository"
            raise BackupError(repr(name), why, "give it a plain name", trouble=Trouble.CONFIGURATION)


def inside(path: str) -> bool:
    """Whether a file's path stays below its backup's folder."""
    pieces = path.split("/")
    return bool(path) and "\0" not in path and not any(piece in ("", ".", "..") for piece in pieces)


def shortened(beginning: str, ids: Iterable[str]) -> tuple[str, ...]:
    """The ids that are this one, or else begin like it."""
    known = sorted(set(ids))
    return (beginning,) if beginning in known else tuple(one for one in known if one.startswith(beginning))


def below(root: Path, *pieces: str) -> Path:
    """A place among what is ours in a repository."""
    return root.joinpath(OURS, *pieces)
