"""The proof of a base backup: put back, recovered to its own end, read wholly, looked into, page by page."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

from backup.errors import BackupError
from backup.programs import account
from backup.proof import checksums
from backup.proof.answers import assertions_hold, databases_there, looked_into
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.looking import READABLE, all_read
from backup.proof.restoring import placed, restored
from backup.proof.scratch import ScratchServer, restored_server
from backup.proof.verdict import Weight, obstacle
from backup.restore.contract import Aim, Moment
from toban.backups import Check


async def prove_base(proving: Proving, place: Path, course: Course) -> None:
    """Its files, a server on them, and questions; then, with the server stopped, the pages' checksums."""
    data_dir = place / "data"
    owner = account()
    wanted = placed(
        proving, data_dir=data_dir, moment=Moment(aim=Aim.BACKUP), owner=None if owner is None else owner.name
    )
    with course.phase("restore"):
        await restored(proving, wanted, place, course)
    async with AsyncExitStack() as stack:
        with course.phase("recovery"):
            starting = restored_server(proving.around, place, data_dir, within_seconds=proving.settings.timeout)
            server = await stack.enter_async_context(starting)
        course.found(Check(name="recovery", ok=True, detail=f"PostgreSQL {server.major} recovered and answers"))
        databases = await databases_there(proving, server, course)
        with course.phase("look"):
            await _look(proving, server, place, course)
        await assertions_hold(proving, server, databases, course)
        with course.phase("stop"):
            await server.stop()
            await stack.aclose()
        await _pages(proving, server, course)


async def _look(proving: Proving, server: ScratchServer, place: Path, course: Course) -> None:
    """Rows and indexes at once: the one waits for the processor, the other for the disk."""
    try:
        async with asyncio.TaskGroup() as looking:
            reading = looking.create_task(_readable(server, proving))
            looking.create_task(looked_into(proving, server, place, course))
    except BaseExceptionGroup as group:  # the first tells why; the other was only stopped
        raise group.exceptions[0] from None
    course.found(reading.result())


async def _readable(server: ScratchServer, proving: Proving) -> Check:
    try:
        return await all_read(server, proving.tell)
    except BackupError as error:
        return obstacle(READABLE, error)


async def _pages(proving: Proving, server: ScratchServer, course: Course) -> None:
    """Where the server keeps checksums, all of them hold; where it keeps none, that is said."""
    if server.control is None or not server.control.has_checksums:
        course.found(checksums.DISABLED, Weight.TOLD)
        return
    with course.phase("page_checksums"):
        check = await checksums.pages_checked(server, proving.around, within_seconds=proving.settings.timeout)
    course.found(check, Weight.INTEGRITY if check.ok else Weight.NEEDED)
