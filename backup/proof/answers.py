"""What a restored PostgreSQL server is asked, and how much hangs on each answer."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.proof import amcheck
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.looking import all_asserted, counted, databases_in
from backup.proof.rows import NAME as ROWS
from backup.proof.rows import compared
from backup.proof.scratch import ScratchServer
from backup.proof.verdict import Weight, obstacle
from toban.backups import Check

MOST_JOBS: Final = 4


async def databases_there(proving: Proving, server: ScratchServer, course: Course) -> tuple[str, ...]:
    """Every database that was in it is there again; those that came back."""
    there = await databases_in(server, templates=True)
    promised = proving.wanted.record.manifest.databases
    absent = [name for name in promised if name not in there]
    said = f"not there: {', '.join(absent)}" if absent else f"{len(promised)} there" if promised else ""
    if promised:
        course.found(Check(name="databases", ok=not absent, detail=said))
        return tuple(name for name in promised if name in there)
    return await databases_in(server)


async def rows_there(proving: Proving, server: ScratchServer, course: Course) -> None:
    """The rows of every table, against those of the backup's own snapshot."""
    promised, how = proving.wanted.record.manifest.rows, proving.settings.rows
    if how == "none":
        return
    if not promised:
        missing = Check(name=ROWS, ok=None, detail="none were counted when it was made")
        course.found(missing, Weight.INTEGRITY)
        return
    with course.phase("rows"):
        found = await counted(server, promised, exact=how == "exact", tell=proving.tell)
    check = compared(promised, found, tolerance=proving.settings.tolerance)
    course.found(check, Weight.INTEGRITY if check.ok else Weight.NEEDED)


async def looked_into(
    proving: Proving,
    server: ScratchServer,
    place: Path,
    course: Course,
    *,
    databases: Sequence[str] = (),
    remark: str = "",
) -> None:
    """Heaps and indexes. Where the extension cannot be had, something else has to speak for them."""
    if not proving.settings.amcheck:
        return
    try:
        check = await amcheck.amchecked(
            server,
            proving.around,
            place,
            jobs=jobs(),
            within_seconds=proving.settings.timeout,
            databases=databases,
        )
    except BackupError as error:
        check = obstacle(amcheck.NAME, error)
    if check.ok and remark:
        check = replace(check, detail=f"{check.detail}, {remark}")
    absent = check.ok is None and amcheck.ABSENT in check.detail
    course.found(check, Weight.INTEGRITY if check.ok or absent else Weight.NEEDED)


async def assertions_hold(proving: Proving, server: ScratchServer, restored: Sequence[str], course: Course) -> None:
    """What somebody wants to be true of it."""
    if proving.settings.assertions:
        with course.phase("assertions"):
            for check in await all_asserted(server, proving.settings.assertions, restored):
                course.found(check)


def jobs() -> int:
    """How many sessions look at once: as many as there are processors, within reason."""
    return max(1, min(MOST_JOBS, len(os.sched_getaffinity(0))))
