"""Backups made up by tests: each field filled in, so that a test names only what it is about."""

from typing import Any

from tests.builders import START
from toban.backups import (
    BackupRecord,
    Check,
    Manifest,
    Marks,
    Method,
    RestoreProof,
    Status,
    StoredFile,
    Verdict,
    Verification,
)

HOUR = 3600.0
FILE = StoredFile(path="1-shop.dump", size_bytes=2048, sha256="ab" * 32)


def a_manifest(name: str = "nightly", **fields: Any) -> Manifest:  # noqa: ANN401 - any field of a manifest
    """A dump of one database, two hours old, that took a minute."""
    given: dict[str, Any] = {
        "id": f"20261118T090640Z-{name}",
        "name": name,
        "target": "main",
        "kind": "postgresql",
        "method": Method.DUMP,
        "engine": "dump",
        "created_at": START - 2 * HOUR,
        "finished_at": START - 2 * HOUR + 60,
        "files": (FILE,),
        "databases": ("shop",),
    }
    return Manifest(**given | fields)


def a_record(
    name: str = "nightly",
    *,
    status: Status = Status.OK,
    marks: Marks | None = None,
    place: str = "",
    reason: str = "",
    **fields: Any,  # noqa: ANN401 - any field of a manifest
) -> BackupRecord:
    """A backup that is there and was looked at by nobody."""
    manifest = a_manifest(name, **fields)
    return BackupRecord(manifest=manifest, status=status, marks=marks or Marks(), place=place, reason=reason)


def a_verification(*, ok: bool = True, at: float = START - HOUR) -> Verification:
    """A reading of every byte."""
    return Verification(at=at, checks=(Check(name="digests", ok=ok, detail="1 file"),), seconds=1.5)


def a_proof(
    verdict: Verdict = Verdict.PROVEN,
    **fields: Any,  # noqa: ANN401 - any field of a proof
) -> RestoreProof:
    """A restore into a server to throw away."""
    given: dict[str, Any] = {
        "backup": "20261118T090640Z-nightly",
        "proved_at": START - HOUR / 2,
        "verdict": verdict,
        "reason": "all rows came back",
        "checks": (Check(name="rows", ok=True, detail="3 of 3 tables"),),
        "phases": {"restore": 4.0, "check": 2.0},
        "read_bytes": 4096,
    }
    return RestoreProof(**given | fields)
