"""Which repository was in a place before: a small file beside the state, so that an empty mount point is noticed.

A disk that is not mounted leaves an empty folder, which could as well be where a first repository is to be begun.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import structlog

from backup.errors import BackupError
from backup.repository.durable import write_durably
from backup.repository.layout import DESCRIPTION
from backup.repository.listing import folders
from toban.backups import Trouble

MOST_BYTES: Final = 64 * 1024
SUFFIX: Final = ".repository"

logger = structlog.get_logger(__name__)


class Before(msgspec.Struct, frozen=True):
    """What is remembered."""

    repository: str
    identity: str


@dataclass(frozen=True, slots=True)
class Memory:
    """The file. Whoever may not read or write it remembers nothing."""

    path: Path

    @classmethod
    def beside(cls, state: Path) -> "Memory":
        """That of a daemon, by the path of its state."""
        return cls(state.with_suffix(SUFFIX))

    def of_copy(self, name: str) -> "Memory":
        """That of a second place, beside the first's."""
        return Memory(self.path.with_suffix(f".{name}{SUFFIX}"))

    def identity(self, root: Path) -> str:
        """Which repository was there; nothing where there was none."""
        try:
            with self.path.open("rb") as file:
                before = msgspec.json.decode(file.read(MOST_BYTES), type=Before)
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return ""
        return before.identity if before.repository == str(root) else ""

    def must_be_there(self, root: Path) -> None:
        """Nothing new is begun where there was one and nothing of it is to be seen."""
        if not self.identity(root):
            return
        if (root / DESCRIPTION).exists() or (root.is_dir() and any(folders(root))):
            return
        why = "there was a repository before, and nothing of it is there: its disk is not mounted?"
        hint = f"mount it; to begin a new repository there: rm {self.path}"
        raise BackupError(str(root), why, hint, trouble=Trouble.REPOSITORY)

    def keep(self, root: Path, identity: str) -> None:
        """Remember it. A disk that was changed for another one with a repository is taken as it is, and told."""
        before = self.identity(root)
        if before == identity:
            return
        if before:
            logger.warning("repository_changed", repository=str(root), before=before, now=identity)
        try:
            write_durably(self.path, msgspec.json.encode(Before(repository=str(root), identity=identity)))
        except OSError as error:
            logger.warning("repository_not_remembered", path=str(self.path), why=error.strerror or str(error))
