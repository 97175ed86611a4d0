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
from backup.proof.looking import all_asserted, counted, databases_in, uncounted
from backup.proof.rows import NAME as ROWS
from backup.proof.rows import compared, some_of
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


async def rows_there(proving: Proving, server: ScratchServer, databases: Sequence[str], course: Course) -> None:
    """The rows of every table, against those of the backup's own snapshot; which tables nobody counted is said."""
    promised, how = proving.wanted.record.manifest.rows, proving.settings.rows
    if how == "none":
        return
    with course.phase("rows"):
        beside = await uncounted(server, databases, promised)
        found = await counted(server, promised, exact=how == "exact", tell=proving.tell) if promised else {}
    if promised:
        check = compared(promised, found, tolerance=proving.settings.tolerance)
        course.found(check, Weight.INTEGRITY if check.ok else Weight.NEEDED)
    else:
        said = "none were counted when it was made" if beside else "there are no tables"
        course.found(Check(name=ROWS, ok=None if beside else True, detail=said), Weight.INTEGRITY)
    if promised and beside:
        said = f"of {some_of(beside)} none were counted when it was made"
        course.found(Check(name="other rows", ok=None, detail=said), Weight.TOLD)


async def looked_into(
    proving: Proving,
    server: ScratchServer,
    place: Path,
    course: Course,
    *,
    databases: Sequence[str] = (),
    anew: str = "",
) -> None:
    """Heaps and indexes. Where the extension cannot be had, something else has to speak for them.

    Where all of them were built `anew`, that they are well is said, and speaks for nothing that was kept.
    """
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
    if check.ok and anew:
        check = replace(check, detail=f"{check.detail}, {anew}")
    absent = check.ok is None and amcheck.ABSENT in check.detail
    passing = Weight.TOLD if anew else Weight.INTEGRITY
    course.found(check, passing if check.ok or absent else Weight.NEEDED)


async def assertions_hold(proving: Proving, server: ScratchServer, restored: Sequence[str], course: Course) -> None:
    """What somebody wants to be true of it."""
    if proving.settings.assertions:
        with course.phase("assertions"):
            for check in await all_asserted(server, proving.settings.assertions, restored):
                course.found(check)


def jobs() -> int:
    """How many sessions look at once: as many as there are processors, within reason."""
    return max(1, min(MOST_JOBS, len(os.sched_getaffinity(0))))
