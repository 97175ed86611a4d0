"""What is looked at before a restore, whatever kind of backup it is: the backup, its files, its key, the moment."""

from collections.abc import Sequence
from datetime import tzinfo
from pathlib import Path

from backup.engines.contract import Contents
from backup.errors import BackupError
from backup.repository.sealing import suffix
from backup.restore.contract import Aim, Moment
from backup.wal.segments import lsn_number
from toban.backups import BackupRecord, Belief, Check, Manifest, Method, Status
from toban.clock import moment as at_moment
from toban.language import Language
from toban.units import seconds_text

Lineage = Sequence[tuple[BackupRecord, Contents]]


def standing(record: BackupRecord, now: float) -> Check:
    """Whether this backup can be restored at all, and how far it is believed."""
    if record.status is Status.OK:
        since = record.proved_at if record.belief is Belief.PROVEN else record.verified_at
        age = "" if since is None else f" {seconds_text(max(0.0, now - since), Language.EN)} ago"
        how = "is stored, and not yet read through" if record.belief is Belief.STORED else f"was {record.belief}{age}"
        return Check(name="backup", ok=True, detail=f"{record.id} {how}")
    mend = {
        Status.RUNNING: "is still being made",
        Status.FAILED: f"was not made: {record.reason}",
        Status.DAMAGED: f"is damaged: {record.reason or 'toban backup show has the checks'}",
    }[record.status]
    return Check(name="backup", ok=False, detail=f"{record.id} {mend}; choose another one: toban backup list")


def files_there(lineage: Lineage) -> Check:
    """Each file at its place, with its size. It is a glance; the digests take their time."""
    count = 0
    for record, _ in lineage:
        for file in record.manifest.files:
            path = Path(record.place, file.path)
            try:
                size = path.stat().st_size
            except OSError as error:
                return Check(name="files", ok=False, detail=f"{path}: {error.strerror or error}")
            if size != file.size_bytes:
                detail = f"{path} has {size} bytes, and had {file.size_bytes} when it was made"
                return Check(name="files", ok=False, detail=detail)
            count += 1
    return Check(name="files", ok=True, detail=f"{count} there, each with its size")


def locked(lineage: Lineage) -> BackupError | None:
    """Why what is encrypted cannot be opened here, as far as that can be told without trying."""
    for record, contents in lineage:
        told = record.manifest
        if told.encryption is not None and told.files:
            try:
                contents.source(told.files[0].path.removesuffix(suffix(told.encryption)))
            except BackupError as error:
                return error
    return None


def too_early(record: BackupRecord, moment: Moment, zone: tzinfo) -> str:
    """Why a moment certainly lies before what this backup can reach; empty where it does not."""
    told = record.manifest
    if moment.aim is Aim.TIME and moment.at is not None and moment.at < told.created_at:
        begun = at_moment(told.created_at).astimezone(zone).isoformat(timespec="seconds")
        return f"{record.id} was begun at {begun}, after the moment asked for"
    if moment.aim is Aim.LSN and told.stop_lsn and lsn_number(moment.value) < lsn_number(told.stop_lsn):
        return f"{record.id} ended at {told.stop_lsn}, after the LSN asked for"
    return ""


def reaching(records: Sequence[BackupRecord], moment: Moment) -> BackupRecord | None:
    """The newest base backup that had ended by the moment."""
    bases = [one for one in records if one.manifest.method is Method.BASE and one.status is Status.OK]
    before = [one for one in bases if _ended_by(one.manifest, moment)]
    return max(before, key=lambda one: one.manifest.finished_at, default=None)


def _ended_by(told: Manifest, moment: Moment) -> bool:
    if moment.aim is Aim.LSN:
        return told.stop_lsn is not None and lsn_number(told.stop_lsn) <= lsn_number(moment.value)
    return moment.at is not None and told.finished_at <= moment.at


def own_moment(record: BackupRecord, moment: Moment) -> float | None:
    """A dump is of its beginning, a base backup of its end."""
    if moment.aim is not Aim.BACKUP:
        return None
    told = record.manifest
    return told.finished_at if told.method is Method.BASE else told.created_at
