"""The step that all proofs begin with: whether it will fit and work, and the restore into the scratch place."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.room import HINT, enough, needed_by
from backup.restore.contract import Preflight, Restored, Wanted
from toban.backups import Check, Trouble
from toban.units import size_text

RESTORE: Final = "restore"
# What of a preflight speaks against the backup itself, by the name of the check; the rest is this machine's.
TROUBLES: Final = {
    "lineage": Trouble.MISSING,
    "wal": Trouble.MISSING,
    "space": Trouble.SPACE,
    "room": Trouble.SPACE,
    "program": Trouble.PROGRAM,
    "programs": Trouble.PROGRAM,
}


async def restored(proving: Proving, wanted: Wanted, place: Path, course: Course) -> Restored:
    """Look whether it can be, do it, and say how it went."""
    preflight = await _seen(proving, wanted)
    room = await asyncio.to_thread(proving.look, place)
    space = enough(room, needed_by(wanted.record.manifest, preflight.needed_bytes), proving.floor_bytes)
    if not space.ok:
        raise BackupError("scratch place", f"no space left: {space.detail}", HINT, trouble=Trouble.SPACE)
    work = place / "work"
    work.mkdir(mode=0o700, exist_ok=True)
    done = await proving.restorer.restore(wanted, proving.around, work, proving.tell)
    course.restored_bytes = done.restored_bytes or wanted.record.manifest.source_bytes or 0
    said = [size_text(course.restored_bytes)] if course.restored_bytes else []
    said += [f"{len(done.databases)} databases"] if len(done.databases) > 1 else []
    course.found(Check(name=RESTORE, ok=True, detail=", ".join(said)))
    return done


async def _seen(proving: Proving, wanted: Wanted) -> Preflight:
    """The way back's own preflight: what it holds against it ends the proof, as an obstacle."""
    preflight = await proving.restorer.preflight(wanted, proving.around)
    faults = [check for check in preflight.checks if check.ok is False]
    if faults:
        said = "; ".join(check.detail or check.name for check in faults)
        troubles = [TROUBLES.get(check.name, Trouble.CONFIGURATION) for check in faults]
        missing = Trouble.MISSING if Trouble.MISSING in troubles else troubles[0]
        raise BackupError("preflight", said, trouble=missing)
    return preflight


def placed(proving: Proving, **where: object) -> Wanted:
    """The same restore, into this place."""
    return replace(proving.wanted, jobs=max(1, proving.wanted.jobs), replace=False, **where)  # type: ignore[arg-type]
