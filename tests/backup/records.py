"""Backups as retention sees them: by their age, whole, damaged, proven, building on others."""

from backup.repository.layout import backup_id
from toban.backups import (
    BackupRecord,
    Check,
    Manifest,
    Marks,
    Method,
    RestoreProof,
    Scope,
    Status,
    Verdict,
    Verification,
)

DAY = 86400.0
HOUR = 3600.0
WEEK = 7 * DAY
NOW = 1_795_132_800.0  # 2026-11-20T00:00:00Z, a Friday
PROVEN = Marks(proof=RestoreProof(backup="", proved_at=NOW, verdict=Verdict.PROVEN, reason="it came back"))
BROKEN = Marks(verification=Verification(at=NOW, checks=(Check(name="sha256", ok=False),)))


def a_record(  # noqa: PLR0913 - what makes one different from another
    days: float,
    name: str = "nightly",
    *,
    status: Status = Status.OK,
    marks: Marks | None = None,
    parent: BackupRecord | None = None,
    method: Method = Method.DUMP,
    target: str = "main",
    start_lsn: str | None = None,
    timeline: int | None = None,
) -> BackupRecord:
    """A dump of so many days ago, whole and stored."""
    at = NOW - days * DAY
    manifest = Manifest(
        id=backup_id(name, at),
        name=name,
        target=target,
        kind="postgresql",
        method=method,
        engine="x",
        scope=Scope.FULL if parent is None else Scope.INCREMENTAL,
        parent=parent.id if parent else None,
        created_at=at,
        finished_at=at,
        start_lsn=start_lsn,
        timeline=timeline,
    )
    return BackupRecord(manifest=manifest, status=status, marks=marks or Marks(), place=f"/r/{manifest.id}")


def a_base(days: float, name: str = "base", **changed: object) -> BackupRecord:
    """A base backup of so many days ago."""
    return a_record(days, name, method=Method.BASE, **changed)  # type: ignore[arg-type] # handed on as they are
