"""Backups, drills and WAL with everything filled in, so that a test names only what it is about."""

from typing import Any

from backup.engines.contract import Origin
from backup.settings import Job
from tests.builders import START
from toban.backups import (
    BackupRecord,
    Check,
    Manifest,
    Marks,
    Method,
    RestoreProof,
    Scope,
    Status,
    StoredFile,
    TableRows,
    Trouble,
    Verdict,
    Verification,
)
from toban.secrets import Dsn

HOUR = 3600.0
DAY = 86400.0
MAIN = Origin(name="main", kind="postgresql", dsn=Dsn("postgresql://toban@127.0.0.1:5432/postgres"))
HOST = Origin(name="host", kind="host")


def a_job(name: str = "nightly", target: str = "main", method: Method = Method.DUMP, **more: Any) -> Job:  # noqa: ANN401 - any of its keys
    """A dump of `main`, on demand."""
    return Job(name=name, target=target, method=method, **more)


def a_record(  # noqa: PLR0913 - any of its parts
    name: str = "nightly",
    *,
    at: float = START,
    target: str = "main",
    method: Method = Method.DUMP,
    scope: Scope = Scope.FULL,
    status: Status = Status.OK,
    seconds: float = 60.0,
    size: int = 1_000_000,
    rows: int | None = None,
    marks: Marks | None = None,
    trouble: Trouble | None = None,
    reason: str = "",
    source_bytes: int | None = None,
    tag: str | None = None,
) -> BackupRecord:
    """A good one, stored."""
    files = (StoredFile(path="file", size_bytes=size, sha256="0"),) if status in (Status.OK, Status.DAMAGED) else ()
    table = TableRows(database="d", schema="s", table="t", rows=rows or 0)
    manifest = Manifest(
        id=f"{at:.0f}-{name}",
        name=name,
        target=target,
        kind="postgresql",
        method=method,
        engine="dump",
        scope=scope,
        tag=tag,
        created_at=at,
        finished_at=at + seconds,
        files=files,
        rows=(table,) if rows is not None else (),
        source_bytes=source_bytes,
    )
    return BackupRecord(
        manifest=manifest,
        status=status,
        marks=marks or Marks(),
        place=f"/r/{manifest.id}",
        trouble=trouble,
        reason=reason,
    )


def verified_at(at: float, *, ok: bool = True) -> Verification:
    """Read through, with one check."""
    return Verification(at=at, checks=(Check(name="sha256", ok=ok),))


def proved_at(at: float, verdict: Verdict = Verdict.PROVEN) -> RestoreProof:
    """Restored, and looked at."""
    return RestoreProof(backup="x", proved_at=at, verdict=verdict, reason="because")
