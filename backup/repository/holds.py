"""Holds on backups: whoever reads one keeps it from being removed, for as long as his process lives."""

from pathlib import Path
from typing import Final
from uuid import uuid4

from backup.errors import BackupError
from backup.repository.layout import HOLDING, LEASE, LOCKS, below
from backup.repository.listing import marks_in
from backup.repository.turns import Turns
from toban.backups import BackupRecord, Trouble

LETTERS: Final = 8


def new_hold(root: Path, record: BackupRecord) -> Path:
    """The lease of one more who holds it: several may, and know nothing of each other."""
    return _folder(root, record) / f"{record.id}.{uuid4().hex[:LETTERS]}{LEASE}"


def holds_on(root: Path, record: BackupRecord) -> list[Path]:
    """The leases on it, also of the dead. It blocks."""
    try:
        return [path for path in _folder(root, record).iterdir() if _backup_of(path) == record.id]
    except FileNotFoundError:
        return []


async def must_be_free(holds: list[Path], record: BackupRecord, turns: Turns) -> None:
    """Raise who holds it and lives; what the dead held is gone then."""
    for path in holds:
        said = await turns.held_by(path)
        if said is not None:
            why = f"is in use: {said.what or 'something unknown'}, by {said.holder.words}"
            raise BackupError(record.id, why, "try again when that is done", trouble=Trouble.BUSY)


def must_not_be_pinned(record: BackupRecord) -> None:
    """Raise why it is to stay where somebody has said so since it was looked at. It blocks."""
    pinned = marks_in(Path(record.place)).pinned
    if pinned is not None and record.marks.pinned is None:
        raise BackupError(record.id, f"is pinned: {pinned}", trouble=Trouble.BUSY)


def _folder(root: Path, record: BackupRecord) -> Path:
    return below(root, LOCKS, HOLDING, record.manifest.target)


def _backup_of(path: Path) -> str:
    return path.name.removesuffix(LEASE).rpartition(".")[0] if path.name.endswith(LEASE) else ""
