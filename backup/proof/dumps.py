"""The proof of a PostgreSQL dump: restored into an empty server, counted, looked into.

A dump holds rows and definitions: indexes are built anew when it is restored, so one that was corrupt in the server it
came from shows in no dump. What shows is rows that are not those of the snapshot, and keys that are not unique.
"""

import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from backup.errors import BackupError
from backup.proof.answers import assertions_hold, databases_there, looked_into, rows_there
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.restoring import placed, restored
from backup.proof.scratch import fresh_server
from backup.proof.verdict import Weight
from toban.backups import Check, Manifest, Trouble

ANEW: Final = "as they were built anew: a dump holds no indexes"
_MAJOR = re.compile(r"\d+")


async def prove_dump(proving: Proving, place: Path, course: Course) -> None:
    """An empty server of the same major, the dump into it, and questions."""
    told = proving.wanted.record.manifest
    async with AsyncExitStack() as stack:
        with course.phase("start"):
            server = await stack.enter_async_context(fresh_server(proving.around, place, major=major_in(told)))
        if server.major != major_in(told):
            newer = f"restored into PostgreSQL {server.major}, for none of {major_in(told)} is on this machine"
            course.found(Check(name="server", ok=True, detail=newer), Weight.TOLD)
        with course.phase("restore"):
            await restored(proving, placed(proving, into=server.dsn), place, course)
        databases = await databases_there(proving, server, course)
        await rows_there(proving, server, databases, course)
        with course.phase("amcheck"):
            await looked_into(proving, server, place, course, databases=databases, anew=ANEW)
        await assertions_hold(proving, server, databases, course)
        with course.phase("end"):
            await stack.aclose()


def major_in(told: Manifest) -> int:
    """The major version of the server that it was made of."""
    found = _MAJOR.search(told.server_version)
    if found is None:
        raise BackupError(told.id, "does not say of which PostgreSQL it is", trouble=Trouble.DAMAGED)
    return int(found[0])
