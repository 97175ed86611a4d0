"""Backups as JSON-ready dictionaries: what `toban backup … --json` prints and `/api/v1/backups` answers."""

import math
from collections.abc import Iterable, Mapping
from datetime import tzinfo

from daemon.documents import Document, stamp
from toban.backups import (
    BackupRecord,
    Check,
    DrillRecord,
    GapKind,
    Progress,
    Reachable,
    RestoreProof,
    StoredFile,
    TableRows,
    Verification,
    WalGap,
    WalRange,
    WalStanding,
)


def backup_document(record: BackupRecord, zone: tzinfo) -> Document:
    """One backup in a list: the fields of the contract first, then ours."""
    told = record.manifest
    running_or_failed = not told.files and record.belief is None
    return {
        "id": record.id,
        "name": told.name,
        "target": told.target,
        "method": str(told.method),
        "status": str(record.status),
        "size_bytes": None if running_or_failed else told.size_bytes,
        "created_at": stamp(told.created_at, zone),
        "finished_at": stamp(told.finished_at or None, zone) if record.status != "running" else None,
        "tag": told.tag,
        "verified_at": stamp(record.verified_at, zone),
        "proved_at": stamp(record.proved_at, zone),
        "files": [_file(one) for one in told.files],
        "belief": None if record.belief is None else str(record.belief),
        "reason": record.reason,
        "trouble": None if record.trouble is None else str(record.trouble),
        "kind": told.kind,
        "engine": told.engine,
        "scope": str(told.scope),
        "parent": told.parent,
        "databases": list(told.databases),
        "source_bytes": told.source_bytes,
        "pinned": record.marks.pinned,
        "copies": {name: stamp(at, zone) for name, at in record.marks.copies.items()},
        "place": record.place,
    }


def story_document(record: BackupRecord, zone: tzinfo) -> Document:
    """All that is known of one backup."""
    told, marks = record.manifest, record.marks
    return backup_document(record, zone) | {
        "server_version": told.server_version,
        "system_identifier": told.system_identifier,
        "start_lsn": told.start_lsn,
        "stop_lsn": told.stop_lsn,
        "timeline": told.timeline,
        "compression": told.compression,
        "encryption": told.encryption,
        "duration_seconds": round(told.duration_seconds, 3),
        "phases": phases_of(told.phases),
        "tools": dict(told.tools),
        "node": told.node,
        "notes": list(told.notes),
        "rows": [_rows(one) for one in told.rows],
        "verification": None if marks.verification is None else verification_document(marks.verification, zone),
        "proof": None if marks.proof is None else proof_document(marks.proof, zone),
        "inconclusive": None if marks.inconclusive is None else proof_document(marks.inconclusive, zone),
        "detail": dict(told.detail),
    }


def verification_document(found: Verification, zone: tzinfo) -> Document:
    """A reading of every byte."""
    return {
        "ok": found.ok,
        "at": stamp(found.at, zone),
        "seconds": round(found.seconds, 3),
        "checks": check_documents(found.checks),
    }


def proof_document(found: RestoreProof, zone: tzinfo) -> Document:
    """A restore into a server to throw away."""
    return {
        "backup": found.backup,
        "verdict": str(found.verdict),
        "reason": found.reason,
        "proved_at": stamp(found.proved_at, zone),
        "checks": check_documents(found.checks),
        "phases": phases_of(found.phases),
        "duration_seconds": round(found.duration_seconds, 3),
        "read_bytes": found.read_bytes,
        "rpo_seconds": number(found.rpo_seconds),
        "rto_seconds": number(found.rto_seconds),
    }


def drill_document(found: DrillRecord, zone: tzinfo) -> Document:
    """A drill: `ok`, `checks`, `rpo_seconds`, `rto_seconds`, `phases` of the contract, then ours."""
    return {
        "id": found.id,
        "name": found.name,
        "target": found.target,
        "backup": found.backup,
        "at": stamp(found.at, zone),
        "wanted": found.wanted,
        "ok": found.ok,
        "reason": found.reason,
        "checks": check_documents(found.checks),
        "rpo_seconds": number(found.rpo_seconds),
        "rto_seconds": number(found.rto_seconds),
        "phases": phases_of(found.phases),
        "recovered_to": stamp(found.recovered_to, zone),
        "rpo_goal_seconds": number(found.rpo_goal_seconds),
        "rto_goal_seconds": number(found.rto_goal_seconds),
        "forecast_seconds": number(found.forecast_seconds),
        "restored_bytes": found.restored_bytes,
    }


def standings_document(found: Iterable[WalStanding], zone: tzinfo) -> Document:
    """`toban wal status`: `timelines`, `gaps`, `reachable` of the contract, then each target's own figures."""
    standings = tuple(found)
    return {
        "timelines": [one for each in standings for one in _timelines(each)],
        "gaps": [_gap(one, each.target) for each in standings for one in each.gaps],
        "reachable": [_reachable(one, each.target, zone) for each in standings for one in each.reachable],
        "targets": [
            {
                "target": each.target,
                "ok": is_whole(each),
                "newest_at": stamp(each.newest_at, zone),
                "lag_seconds": number(each.lag_seconds),
                "size_bytes": each.size_bytes,
                "map_whole": each.map_whole,
                "notes": list(each.notes),
            }
            for each in standings
        ],
    }


def _timelines(found: WalStanding) -> list[Document]:
    lines: dict[int, list[Document]] = {}
    for one in found.ranges:
        lines.setdefault(one.timeline, []).append(_range(one))
    return [{"target": found.target, "id": line, "ranges": ranges} for line, ranges in lines.items()]


def is_whole(found: WalStanding) -> bool:
    """Whether no WAL is lost: what is late or on its way is fine."""
    return not any(gap.kind is GapKind.LOST for gap in found.gaps)


def check_documents(checks: Iterable[Check]) -> list[Document]:
    """What was looked at. `ok` is null where it could not be told."""
    return [{"name": one.name, "ok": one.ok, "detail": one.detail} for one in checks]


def phases_of(phases: Mapping[str, float]) -> dict[str, float]:
    """Seconds by what was done."""
    return {name: round(seconds, 3) for name, seconds in phases.items()}


def progress_document(progress: Progress) -> Document:
    """How far it has come."""
    return {
        "event": "progress",
        "phase": progress.phase,
        "done_bytes": progress.done_bytes,
        "total_bytes": progress.total_bytes,
        "what": progress.what,
    }


def number(value: float | None) -> float | None:
    """JSON knows no infinity; nobody needs more than milliseconds."""
    return round(value, 3) if value is not None and math.isfinite(value) else None


def _file(one: StoredFile) -> Document:
    return {"path": one.path, "size_bytes": one.size_bytes, "sha256": one.sha256}


def _rows(one: TableRows) -> Document:
    return {
        "database": one.database,
        "schema": one.schema,
        "table": one.table,
        "rows": one.rows,
        "exact": one.exact,
    }


def _range(one: WalRange) -> Document:
    return {
        "from": one.from_lsn,
        "to": one.to_lsn,
        "first_segment": one.first_segment,
        "last_segment": one.last_segment,
        "size_bytes": one.size_bytes,
    }


def _gap(one: WalGap, target: str) -> Document:
    return {
        "target": target,
        "from": one.from_lsn,
        "to": one.to_lsn,
        "kind": str(one.kind),
        "timeline": one.timeline,
        "segments": one.segments,
        "why": one.why,
    }


def whole_seconds(begin: float, end: float) -> tuple[float, float]:
    """A span of moments as it can be written: what is cut off at both ends is never outside of it."""
    begin = float(math.ceil(begin))
    return begin, max(begin, end)


def _reachable(one: Reachable, target: str, zone: tzinfo) -> Document:
    begin, end = whole_seconds(one.from_at, one.to_at)
    return {
        "target": target,
        "from": stamp(begin, zone),
        "to": stamp(end, zone),
        "timeline": one.timeline,
        "backup": one.backup,
    }
