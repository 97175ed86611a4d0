"""The copies that a configuration names."""

from pathlib import Path

from backup.errors import BackupError
from backup.repository.copies.contract import Copy
from backup.repository.copies.folder import FolderCopy
from backup.repository.copies.objects import ObjectCopy
from backup.repository.copies.store import Store
from backup.repository.repository import Repository
from backup.settings import Copy as Settings
from toban.backups import Trouble


def copy_of(settings: Settings, repository: Repository) -> Copy:
    """One second place of a repository; nothing is asked of it yet."""
    if settings.path is None:
        return ObjectCopy(settings.name, Store.of(settings), repository)
    if _is_within(settings.path.resolve(), repository.root.resolve()):
        why = "lies in the repository itself, or the repository in it"
        raise BackupError(f"copy {settings.name}", why, "name another place", trouble=Trouble.CONFIGURATION)
    return FolderCopy(settings.name, settings.path, repository)


def _is_within(there: Path, here: Path) -> bool:
    return there == here or there in here.parents or here in there.parents
