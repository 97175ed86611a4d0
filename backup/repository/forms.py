"""Manifests, marks, attempts and drills as JSON files that carry the checksum of what they say, and back."""

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from backup.repository.layout import id_parts, inside
from toban.backups import BackupRecord, Manifest, Method, Status, Trouble
from toban.clock import moment

FORMAT: Final = 1
MOST_BYTES: Final = 64 * 1024 * 1024
T = TypeVar("T")


class FormError(Exception):
    """A file does not say what it was written to say."""


def written(value: object, **beside: object) -> bytes:
    """A record as a file: readable, and with its own checksum."""
    said: dict[str, Any] = {"format": FORMAT, **beside, **msgspec.to_builtins(value)}
    said["checksum"] = checksum(said)
    text = json.dumps(said, ensure_ascii=False, indent=1, allow_nan=False) + "\n"
    try:
        return text.encode()
    except UnicodeEncodeError:  # a file's name that is no text
        return (json.dumps(said, indent=1, allow_nan=False) + "\n").encode()


def written_manifest(manifest: Manifest) -> bytes:
    """A manifest, with what a person wants to read of it first."""
    return written(
        manifest,
        size_bytes=manifest.size_bytes,
        created=moment(manifest.created_at).isoformat(timespec="seconds"),
        finished=moment(manifest.finished_at).isoformat(timespec="seconds"),
    )


def checksum(said: dict[str, Any]) -> str:
    """Of all that is said but itself, however it is spaced and ordered."""
    rest = {key: value for key, value in said.items() if key != "checksum"}
    plain = json.dumps(rest, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def read(path: Path, kind: type[T]) -> T:
    """What a file says; FormError where that is not what was written, OSError where it cannot be read."""
    with path.open("rb") as file:
        content = file.read(MOST_BYTES + 1)
    return parsed(content, kind)


def parsed(content: bytes, kind: type[T]) -> T:
    """The same of a file's content."""
    if len(content) > MOST_BYTES:
        raise FormError(f"is larger than {MOST_BYTES} bytes")
    if not content.strip(b"\0 \n"):
        raise FormError("is empty")
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise FormError(f"is no JSON: {error}") from error
    if not isinstance(said, dict):
        raise FormError("is no JSON object")
    if isinstance(said.get("format"), int) and said["format"] > FORMAT:
        raise FormError(f"is of format {said['format']}, newer than this version of Toban reads ({FORMAT})")
    if said.get("checksum") != checksum(said):
        raise FormError("does not agree with its own checksum: it was changed after it was written")
    try:
        return msgspec.convert(said, kind)
    except msgspec.ValidationError as error:
        raise FormError(f"does not have the form it should: {error}") from error


def read_manifest(path: Path, target: str, method: Method, expected_id: str) -> Manifest:
    """A backup's manifest, that must speak of the folder that it lies in."""
    with path.open("rb") as file:
        return parsed_manifest(file.read(MOST_BYTES + 1), target, method, expected_id)


def parsed_manifest(content: bytes, target: str, method: Method, expected_id: str) -> Manifest:
    """The same of a manifest's content."""
    found = parsed(content, Manifest)
    if (found.id, found.target, found.method) != (expected_id, target, method):
        raise FormError(f"is that of {found.target}/{found.method}/{found.id}")
    outside = next((file.path for file in found.files if not inside(file.path)), None)
    if outside is not None:
        raise FormError(f"names a file outside of its folder: {outside!r}")
    return found


def placeholder(target: str, method: Method, name: str, created_at: float) -> Manifest:
    """What is known of a backup by its folder alone."""
    job = id_parts(name)[1]
    return Manifest(
        id=name,
        name=job,
        target=target,
        kind="",
        method=method,
        engine="",
        created_at=created_at,
        finished_at=created_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A backup that came to nothing."""

    manifest: Manifest
    trouble: Trouble
    reason: str

    @property
    def record(self) -> BackupRecord:
        """As lists show it."""
        return BackupRecord(manifest=self.manifest, status=Status.FAILED, reason=self.reason, trouble=self.trouble)


def without_files(manifest: Manifest) -> Manifest:
    """What stays of a manifest where the backup itself does not."""
    return replace(manifest, files=(), rows=(), detail={})
