"""A bounded number of small records in a folder, one file each, the oldest leaving first."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

import structlog

from backup.repository.durable import TEMPORARY, make_folders, write_durably
from backup.repository.forms import FormError, read, written

T = TypeVar("T")
logger = structlog.get_logger(__name__)


class Shelf(Generic[T]):
    """Records of one kind, by target. All of it blocks."""

    def __init__(self, folder: Path, kind: type[T], *, most: int) -> None:
        self._folder = folder
        self._kind = kind
        self._most = most
        self._known: dict[Path, tuple[tuple[int, int, int], T | None]] = {}

    def keep(self, target: str, name: str, record: T) -> None:
        """One more; what is too much then goes."""
        folder = self._folder / target
        make_folders(folder)
        write_durably(folder / f"{name}.json", written(record))
        for path in self._paths(folder)[self._most :]:
            with suppress(FileNotFoundError):
                path.unlink()

    def drop(self, target: str, name: str) -> None:
        """One fewer."""
        with suppress(FileNotFoundError):
            (self._folder / target / f"{name}.json").unlink()

    def all(self, target: str | None = None) -> tuple[T, ...]:
        """Those of one target or of all, newest first in each; what cannot be read is left out."""
        folders = [self._folder / target] if target is not None else _folders(self._folder)
        found: dict[Path, tuple[tuple[int, int, int], T | None]] = {}
        for folder in folders:
            for path in self._paths(folder):
                with suppress(OSError):
                    found[path] = self._read(path)
        if target is None:
            self._known = found
        else:
            self._known |= found
        return tuple(record for _, record in found.values() if record is not None)

    def _read(self, path: Path) -> tuple[tuple[int, int, int], T | None]:
        state = signature(path)
        known = self._known.get(path)
        if known is not None and known[0] == state:
            return known
        try:
            return state, read(path, self._kind)
        except FormError as error:
            logger.warning("record_unreadable", path=str(path), why=str(error))
            return state, None

    def _paths(self, folder: Path) -> list[Path]:
        """Its files, newest first: their names begin with the time."""
        try:
            found = [path for path in folder.iterdir() if path.suffix == ".json" and not _is_temporary(path)]
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found, key=lambda path: path.name, reverse=True)


def signature(path: Path | str) -> tuple[int, int, int]:
    """What changes whenever a file is replaced or written to."""
    found = os.stat(path)  # noqa: PTH116 - for each backup at each listing: without a Path it takes a third of the time
    return found.st_mtime_ns, found.st_size, found.st_ino


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _is_temporary(path: Path) -> bool:
    return path.name.startswith(TEMPORARY)
