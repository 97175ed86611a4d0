"""What a restore of base backups is going to do, looked at beforehand: place, owner, WAL, versions, room, time."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from backup.engines.basing.checking import archives
from backup.engines.basing.server import INCREMENTS_SINCE
from backup.engines.contract import Surroundings, room_for
from backup.errors import BackupError
from backup.programs import Account
from backup.restore.basing.extracting import COMBINE
from backup.restore.basing.placing import Site, fit, look, owner_of, passable
from backup.restore.contract import Aim, Wanted
from backup.restore.recovery import Course, Facts, course
from backup.wal.chain import Lead, Listing, leads
from backup.wal.manner import known_manner
from backup.wal.moments import Moments
from backup.wal.segments import SEGMENT_BYTES, lsn_number
from toban.backups import BackupRecord, Check, Status, Trouble
from toban.units import size_text

SERVER: Final = "postgres"
FILES_BYTES_A_SECOND: Final = 100e6  # what a small disk does; only where no proof has measured it
WAL_BYTES_A_SECOND: Final = 24e6  # replay goes through one processor
SLACK: Final = 1.05
_TROUBLES: Final = {
    "space": Trouble.SPACE,
    "wal": Trouble.MISSING,
    "lineage": Trouble.MISSING,
    "label": Trouble.MISSING,
    "program": Trouble.PROGRAM,
    "owner": Trouble.PRIVILEGE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What was found before anything is done."""

    site: Site
    owner: Account | None
    course: Course
    checks: tuple[Check, ...]
    needed_bytes: int | None
    seconds: float | None
    server: Path | None = None  # the program of its version
    hints: dict[str, str] = field(default_factory=dict)


async def planned(
    wanted: Wanted, around: Surroundings, listing: Listing, own: Sequence[Check], *, begins: str | None = None
) -> Plan:
    """Look at everything that can be looked at. `begins`: where the WAL begins that a backup does not bring along."""
    record = wanted.record
    if wanted.data_dir is None:
        why = "a base backup brings back a whole server: name the folder for it (--data-dir)"
        raise BackupError(f"restore of {record.id}", why, trouble=Trouble.CONFIGURATION)
    try:
        site = await asyncio.to_thread(look, wanted.data_dir)
    except OSError as error:
        why = f"{error.filename or wanted.data_dir}: {error.strerror or error}"
        raise BackupError(f"restore of {record.id}", why, trouble=Trouble.PRIVILEGE) from error
    owner = owner_of(wanted)
    facts = await _facts(wanted, listing, around, begins)
    way = course(facts, wanted.moment, accept_gap=wanted.accept_gap)
    needed = _needed(wanted, listing, way)
    seconds = _seconds(wanted, listing, way)
    programs = _programs(wanted, around)
    checks = (
        *_scope(wanted),
        fit(site, wanted),
        await asyncio.to_thread(passable, site, owner),
        *own,
        *programs,
        *_opened(wanted),
        *_server(record, listing, way),
        Check(name="wal", ok=way.allowed, detail=way.reason),
        await asyncio.to_thread(_space, site, needed),
        Check(name="time", ok=None if seconds is None else True, detail=_shown(seconds)),
    )
    return Plan(
        site=site,
        owner=owner,
        course=way,
        checks=checks,
        needed_bytes=needed,
        seconds=seconds,
        server=Path(programs[0].detail) if programs[0].ok else None,
        hints={"wal": way.hint},
    )


def refuse(wanted: Wanted, plan: Plan) -> None:
    """Raise for the first check that speaks against it."""
    for check in plan.checks:
        if check.ok is False:
            trouble = _TROUBLES.get(check.name, Trouble.CONFIGURATION)
            hint = plan.hints.get(check.name, "")
            raise BackupError(f"restore of {wanted.record.id}", check.detail, hint, trouble=trouble)


async def _facts(wanted: Wanted, listing: Listing, around: Surroundings, begins: str | None) -> Facts:
    manifest = wanted.record.manifest
    timeline, stop = manifest.timeline or 1, lsn_number(manifest.stop_lsn or "0/0")
    same = listing.system_identifier in (None, manifest.system_identifier)
    # A primary begins a new segment right behind its backup; a standby does not.
    held = None if manifest.detail.get("from_standby") or begins is not None else stop
    found = leads(listing, timeline, lsn_number(begins) if begins else stop, held_to=held) if same else ()
    copied = manifest.detail.get("copied_at")
    return Facts(
        timeline=timeline,
        stop_lsn=stop,
        created_at=manifest.created_at,
        copied_at=float(copied) if copied is not None else manifest.finished_at,
        leads=found,
        brings_wal=begins is None,
        segment_bytes=int(manifest.detail.get("segment_bytes", SEGMENT_BYTES)),
        newest_at=await _newest(wanted, listing, found, around) if wanted.moment.aim is Aim.TIME else {},
    )


async def _newest(wanted: Wanted, listing: Listing, found: tuple[Lead, ...], around: Surroundings) -> dict[int, float]:
    """When the last transaction was committed on each way on, as far as that can be read here."""
    if wanted.wal_place is None:
        return {}
    known = await asyncio.to_thread(known_manner, str(wanted.wal_place))
    moments = Moments(wanted.record.manifest.target, wanted.wal_place, known, around)
    newest = {}
    for lead in found:
        if wanted.moment.timeline in (None, lead.timeline):
            with suppress(BackupError):  # no pg_waldump, sealed WAL: then the recovery itself will tell
                at = await moments.reaches(listing, lead)
                newest.update({} if at is None else {lead.timeline: at})
    return newest


def _scope(wanted: Wanted) -> list[Check]:
    if wanted.database is None and not wanted.tables:
        return []
    why = "a base backup brings back whole servers: restore it beside, and take the database from there by a dump"
    return [Check(name="scope", ok=False, detail=why)]


def lineage_checks(wanted: Wanted) -> list[Check]:
    """Whether all that it builds on is there and whole."""
    records = [record for record, _ in wanted.lineage]
    for record, before in zip(records, (None, *records), strict=False):
        if record.status is Status.DAMAGED:
            return [Check(name="lineage", ok=False, detail=f"{record.id} is damaged: {record.reason}")]
        if record.manifest.parent != (None if before is None else before.id):
            return [Check(name="lineage", ok=False, detail=f"{record.manifest.parent}, which it builds on, is missing")]
    ids = ", ".join(record.id for record in records)
    return [Check(name="lineage", ok=True, detail=f"all there: {ids}")] if len(records) > 1 else []


def _opened(wanted: Wanted) -> list[Check]:
    """Whether what lies there sealed can be opened here."""
    for record, contents in wanted.lineage:
        for name in archives(record)[:1]:
            try:
                contents.source(name)
            except BackupError as error:
                return [Check(name="contents", ok=False, detail=error.reason)]
    return []


def _programs(wanted: Wanted, around: Surroundings) -> list[Check]:
    """The server's own major version: files of one are nothing to another."""
    major = int(wanted.record.manifest.server_version.partition(".")[0])
    names = (SERVER, COMBINE) if len(wanted.lineage) > 1 and major >= INCREMENTS_SINCE else (SERVER,)
    found = []
    for name in names:
        try:
            path = around.programs.postgresql(name, major=major)
        except BackupError as error:
            found.append(Check(name="program", ok=False, detail=error.reason))
        else:
            found.append(Check(name="program", ok=True, detail=str(path)))
    return found


def _server(record: BackupRecord, listing: Listing, way: Course) -> list[Check]:
    """Whether the WAL is of the server that was backed up."""
    known = listing.system_identifier
    if known in (None, record.manifest.system_identifier) or way.moment.aim is Aim.BACKUP:
        return []
    why = f"the WAL there is of another server ({known}), or of after an upgrade: none leads on from this backup"
    return [Check(name="server", ok=False, detail=why)]


def _needed(wanted: Wanted, listing: Listing, way: Course) -> int | None:
    """The files; those of increments lie there twice for a while; the WAL, if it must be laid out."""
    files = room_for(*(record.manifest.source_bytes for record, _ in wanted.lineage))
    if files is None:
        return None
    if len(wanted.lineage) > 1:
        files += max(record.manifest.source_bytes or 0 for record, _ in wanted.lineage)
    return round((files + (len(way.segments) + 1) * listing.segment_bytes) * SLACK)


def _seconds(wanted: Wanted, listing: Listing, way: Course) -> float | None:
    """By what a proof of this backup took; else by what small machines do."""
    proof = wanted.record.marks.proof
    source = room_for(*(record.manifest.source_bytes for record, _ in wanted.lineage))
    if source is None:
        return None
    measured = proof.phases.get("restore") if proof is not None else None
    files = measured or source / FILES_BYTES_A_SECOND
    return files + len(way.segments) * listing.segment_bytes / WAL_BYTES_A_SECOND


def _space(site: Site, needed: int | None) -> Check:
    found = os.statvfs(site.ground)
    free = found.f_bavail * found.f_frsize
    if needed is None:
        return Check(name="space", ok=None, detail=f"{free} bytes are free; how many it takes is not known")
    said = f"{size_text(needed)} are needed, {size_text(free)} are free at {site.ground}"
    return Check(name="space", ok=free > needed, detail=said)


def _shown(seconds: float | None) -> str:
    return "how long it takes is not known" if seconds is None else f"about {seconds:.0f} s, recovery included"
