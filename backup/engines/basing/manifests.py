"""PostgreSQL's own list of what is in a base backup, `backup_manifest`, and its `backup_label`, read line by line."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

from backup.errors import BackupError
from backup.wal.segments import lsn_number
from toban.backups import Trouble

NAME: Final = "backup_manifest"
LABEL: Final = "backup_label"
LONGEST_LINE_BYTES: Final = 64 * 1024
ALGORITHM: Final = "SHA256"
_LABEL_LINE = re.compile(r"^([A-Z ]+): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of it. Without a digest only its size is known."""

    size_bytes: int
    sha256: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranged:
    """A stretch of WAL that is needed to make the files consistent."""

    timeline: int
    start_lsn: str
    end_lsn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest:
    """All of it."""

    files: Mapping[str, Listed]
    ranges: tuple[Ranged, ...]  # in the order of the WAL; PostgreSQL writes the newest timeline first
    system_identifier: str | None = None  # from 17 on

    @property
    def source_bytes(self) -> int:
        """What the files are together."""
        return sum(listed.size_bytes for listed in self.files.values())


@dataclass(slots=True)
class _Draft:
    """What was read so far."""

    files: dict[str, Listed] = field(default_factory=dict)
    ranges: list[Ranged] = field(default_factory=list)
    system_identifier: str | None = None
    checksum: str | None = None


def read_manifest(path: Path) -> BackupManifest:
    """Read it, and see by its own checksum that it is what was written. It blocks."""
    draft = _Draft()
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for line in _lines(file):
                _take(line, draft, digest)
        ranges = sorted(draft.ranges, key=lambda one: (lsn_number(one.start_lsn), one.timeline))
    except FileNotFoundError:
        raise _damage("is not there: the backup was never finished") from None
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise _damage(f"cannot be read: {error}") from error
    if draft.checksum is None or not ranges:
        raise _damage("ends too early")
    if draft.checksum != digest.hexdigest():
        raise _damage("does not agree with its own checksum")
    return BackupManifest(files=draft.files, ranges=tuple(ranges), system_identifier=draft.system_identifier)


def read_label(text: str) -> dict[str, str]:
    """What `backup_label` says: `START WAL LOCATION`, `START TIMELINE` and the like."""
    return dict(_LABEL_LINE.findall(text))


def start_of(label: Mapping[str, str]) -> str:
    """Where the WAL begins that a backup needs, by its label."""
    return label.get("START WAL LOCATION", "").partition(" ")[0]


def _take(line: bytes, draft: _Draft, digest: Any) -> None:  # noqa: ANN401 - hashlib names no type
    """One line. The last is what the checksum is not of."""
    words = line.strip().rstrip(b",")
    if words.startswith(b'"Manifest-Checksum"'):
        draft.checksum = json.loads(b"{" + words.rstrip(b"}") + b"}")["Manifest-Checksum"]
        return
    digest.update(line)
    if words.startswith(b'"System-Identifier"'):
        draft.system_identifier = str(json.loads(b"{" + words + b"}")["System-Identifier"])
    elif words.startswith((b'{ "Path"', b'{ "Encoded-Path"')):
        _take_file(json.loads(words), draft)
    elif words.startswith(b'{ "Timeline"'):
        said = json.loads(words)
        draft.ranges.append(Ranged(timeline=said["Timeline"], start_lsn=said["Start-LSN"], end_lsn=said["End-LSN"]))


def _take_file(said: Mapping[str, Any], draft: _Draft) -> None:
    name = said["Path"] if "Path" in said else os.fsdecode(bytes.fromhex(said["Encoded-Path"]))
    known = said.get("Checksum-Algorithm") == ALGORITHM
    draft.files[name] = Listed(int(said["Size"]), bytes.fromhex(said["Checksum"]) if known else None)


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE_BYTES):
        if len(line) == LONGEST_LINE_BYTES:
            raise ValueError("a line without an end")
        yield line


def _damage(why: str) -> BackupError:
    return BackupError(NAME, why, "make another backup", trouble=Trouble.DAMAGED)
