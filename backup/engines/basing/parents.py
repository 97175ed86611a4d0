"""Which backup an incremental or differential one builds on. Pure."""

from collections.abc import Iterable

from backup.errors import BackupError
from backup.settings import Job
from toban.backups import BackupRecord, Scope, Status, Trouble


def parent_of(
    job: Job, earlier: Iterable[BackupRecord], *, engine: str, system_identifier: str, major: int
) -> BackupRecord:
    """The newest that fits, `earlier` beginning with it: a full one for a differential, any for an incremental."""
    usable = {
        record.id: record for record in earlier if record.status is Status.OK and record.manifest.engine == engine
    }
    scopes = (Scope.FULL,) if job.type is Scope.DIFFERENTIAL else tuple(Scope)
    known = [found for found in usable.values() if found.manifest.scope in scopes and _line(found, usable) == job.of]
    fitting = [found for found in known if _is_of(found, system_identifier, major)]
    if fitting:
        return fitting[0]
    why = f"there is no backup of job {job.of} to build on"
    if known:
        why = f"{known[0].id} is of another server, or of before its upgrade: a full backup has to come first"
    raise BackupError(f"backup {job.name}", why, f"toban backup run {job.of}", trouble=Trouble.MISSING)


def _is_of(record: BackupRecord, system_identifier: str, major: int) -> bool:
    """Whether it was made of this very server, before it was upgraded or made anew."""
    of_major = record.manifest.server_version.partition(".")[0]
    return record.manifest.system_identifier == system_identifier and of_major == str(major)


def _line(record: BackupRecord, usable: dict[str, BackupRecord]) -> str | None:
    """The job of the full backup that it builds on in the end; None where one in between is gone or damaged."""
    seen: set[str] = set()
    found: BackupRecord | None = record
    while found is not None and found.manifest.parent is not None:
        if found.id in seen:
            return None
        seen.add(found.id)
        found = usable.get(found.manifest.parent)
    return None if found is None else found.manifest.name
