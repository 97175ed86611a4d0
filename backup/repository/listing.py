"""What lies in a repository: read once, and again only where a file has changed."""

import errno
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from backup.repository.believing import UNREADABLE_MARKS, standing
from backup.repository.durable import unusable
from backup.repository.forms import FormError, parsed, placeholder, read, read_manifest
from backup.repository.holders import Holder
from backup.repository.layout import (
    FSCK,
    KEPT_METHODS,
    LEASE,
    MAKING,
    MANIFEST,
    MARKS,
    PARTIAL,
    below,
    id_parts,
    is_id,
)
from backup.repository.leases import said_by
from backup.repository.shelves import signature
from toban.backups import BackupRecord, Manifest, Marks, Method, Status, Trouble
from toban.clock import Clock

FORGOTTEN_SECONDS: Final = 600.0  # a maker elsewhere that was silent for so long is not shown as at work
Signature = tuple[tuple[int, int, int] | None, tuple[int, int, int] | None] | None  # None: to be read each time


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """One backup's folder, by where it lies."""

    path: Path
    target: str
    method: Method

    @property
    def name(self) -> str:
        """The backup's id, with `.partial` behind it while it is made."""
        return self.path.name


class Listing:
    """The backups that are there. It may be asked from any thread."""

    def __init__(self, root: Path, holder: Holder, clock: Clock) -> None:
        self._root = root
        self._holder = holder
        self._clock = clock
        self._known: dict[Path, tuple[Signature, BackupRecord]] = {}
        self._turn = threading.Lock()

    def records(self) -> tuple[BackupRecord, ...]:
        """All that are whole, damaged or being made."""
        with self._turn:
            found: dict[Path, tuple[Signature, BackupRecord]] = {}
            running: list[BackupRecord] = []
            for folder in folders(self._root):
                if is_id(folder.name):
                    with suppress(FileNotFoundError):  # removed at this moment
                        found[folder.path] = self._whole(folder)
                elif folder.name.endswith(PARTIAL):
                    running += self._running(folder)
            self._known = found
        return (*(record for _, record in found.values()), *running)

    def forget(self, path: Path) -> None:
        """Read this one anew: it was changed by us."""
        with self._turn:
            self._known.pop(path, None)

    def _whole(self, folder: Folder) -> tuple[Signature, BackupRecord]:
        place = str(folder.path)
        state = (_signature(f"{place}/{MANIFEST}"), _signature(f"{place}/{MARKS}"))
        known = self._known.get(folder.path)
        if known is not None and known[0] == state:
            return known
        record = record_of(folder)
        return (None if _is_unread(record) else state), record

    def _running(self, folder: Folder) -> Iterator[BackupRecord]:
        """One that is being made, while its maker shows that it lives."""
        name = folder.name.removesuffix(PARTIAL)
        path = draft_path(self._root, folder.target, folder.method, name)
        said = said_by(path.with_name(path.stem + LEASE))
        if said is None:
            return
        alive = self._holder.sees_alive(said.holder)
        if alive is None:
            alive = self._clock.now() - said.written_ns / 1e9 < FORGOTTEN_SECONDS
        if alive:
            try:
                manifest = read(path, Manifest)
            except (FormError, OSError):
                manifest = placeholder(folder.target, folder.method, name, stamp_of(name))
            yield BackupRecord(manifest=manifest, status=Status.RUNNING, place=str(folder.path))


def draft_path(root: Path, target: str, method: Method, name: str) -> Path:
    """Where the maker of a backup says what it is going to be."""
    return below(root, MAKING, target, method, f"{name}.json")


def folders(root: Path) -> Iterator[Folder]:
    """Every folder in the place of a backup: whole, partial, or on its way out."""
    for target in _names(root):
        if target.startswith(".") or target == FSCK:
            continue
        for method in KEPT_METHODS:
            for name in _names(root / target / method):
                yield Folder(path=root / target / method / name, target=target, method=method)


def record_of(folder: Folder) -> BackupRecord:
    """A whole backup, or why it is not what it was; an exception only where it is gone."""
    place = str(folder.path)
    try:
        manifest = read_manifest(folder.path / MANIFEST, folder.target, folder.method, folder.name)
    except (FormError, OSError) as error:
        if not folder.path.is_dir():
            raise FileNotFoundError(place) from error
        unread = isinstance(error, OSError) and error.errno != errno.ENOENT
        why = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        unknown = placeholder(folder.target, folder.method, folder.name, stamp_of(folder.name))
        return BackupRecord(
            manifest=unknown,
            status=Status.DAMAGED,
            place=place,
            reason=f"its {MANIFEST} {why}",
            trouble=Trouble.REPOSITORY if unread else Trouble.DAMAGED,  # it may well be read again tomorrow
            marks=marks_in(folder.path),
        )
    return with_marks(BackupRecord(manifest=manifest, status=Status.OK, place=place), marks_in(folder.path))


def with_marks(record: BackupRecord, marks: Marks) -> BackupRecord:
    """The same backup with what is known of it now."""
    status, reason = standing(marks)
    trouble = Trouble.DAMAGED if status is Status.DAMAGED else None
    return replace(record, marks=marks, status=status, reason=reason, trouble=trouble)


def marks_in(place: Path) -> Marks:
    """What is known of a backup. Marks that cannot be read believe nothing, and keep it."""
    try:
        return read(place / MARKS, Marks)
    except FileNotFoundError:
        return Marks()
    except (FormError, OSError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        return Marks(pinned=f"{UNREADABLE_MARKS}: {MARKS} {why}")


def parsed_marks(content: bytes) -> Marks:
    """The same of marks that lie elsewhere."""
    try:
        return parsed(content, Marks)
    except FormError as error:
        return Marks(pinned=f"{UNREADABLE_MARKS}: {MARKS} {error}")


def stamp_of(name: str) -> float:
    """The second in an id; 0 where it is none."""
    try:
        return datetime.strptime(id_parts(name)[0], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return 0.0


def _is_unread(record: BackupRecord) -> bool:
    """Whether something of it could not be read, which no signature tells of when it can be again."""
    return record.trouble is Trouble.REPOSITORY or (record.marks.pinned or "").startswith(UNREADABLE_MARKS)


def _signature(path: str) -> tuple[int, int, int] | None:
    try:
        return signature(path)
    except OSError:
        return None


def _names(folder: Path) -> list[str]:
    """The folders in a folder; none where there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise unusable(folder, error) from error
