"""Why a dump did not come about: from what pg_dump said, and from what the server says of it now."""

import re
from typing import Final

import asyncpg

from backup.children import NO_SPACE, Output
from backup.engines.dumping.listening import Listener
from backup.engines.dumping.survey import Work
from backup.errors import BackupError
from backup.sql import query
from toban.backups import Trouble
from toban.config import format_duration

_LOCKING: Final = re.compile(r"\bLOCK TABLE\b|could not obtain lock on relation")  # pg_dump's own words, in English
_PRIVILEGE: Final = re.compile(r"permission denied|must be owner|row-level security")
_GONE: Final = re.compile(
    r"server closed the connection|connection to server .* failed|could not connect|terminating connection"
    r"|no connection to the server|SSL connection has been closed|could not receive data"
)
_CONFLICT: Final = "conflict with recovery"
_OF_A_LOCK: Final = "dump when nobody changes tables, or let it wait longer: lock_wait"


class MovedError(Exception):
    """A table went away or was rewritten between the snapshot and the lock: another snapshot is wanted."""


async def explained(work: Work, database: str, output: Output, listener: Listener) -> BackupError | MovedError:
    """The cause of a failure, as an error to be raised."""
    why = _of_the_packer(output) or listener.why or _how(output)
    if any(words in output.said for words in NO_SPACE):
        return BackupError(work.what, f"{database}: {why}", "make room in the repository", trouble=Trouble.SPACE)
    if _GONE.search(why):
        return BackupError(work.what, f"{database}: {why}", trouble=Trouble.UNREACHABLE)
    if _PRIVILEGE.search(why):
        hint = "give the role what it lacks: GRANT pg_read_all_data TO it, or ALTER ROLE it BYPASSRLS"
        return BackupError(work.what, f"{database}: {why}", hint, trouble=Trouble.PRIVILEGE)
    if _CONFLICT in why:
        hint = "set hot_standby_feedback = on there, or a longer max_standby_streaming_delay"
        return BackupError(work.what, f"{database}: {why}", hint)
    if _LOCKING.search(why):
        return await _of_a_lock(work, database, why)
    return BackupError(work.what, f"{database}: {why}")


def _of_the_packer(output: Output) -> str:
    """Why what stands behind pg_dump failed, for which pg_dump would only blame the broken pipe."""
    return next((one.why for one in output.ended[1:] if not one.ok and not one.cut_off), "")


def _how(output: Output) -> str:
    """Its last words are no reason, since it tells of all that it does."""
    program, status = output.ended[0].command.program, output.ended[0].status
    return f"{program} ended by signal {-status}" if status < 0 else f"{program} ended with status {status}"


async def _of_a_lock(work: Work, database: str, why: str) -> BackupError | MovedError:
    """Somebody holds a table, or it is not there any more; the server knows, in whatever language it speaks."""
    try:
        async with work.way.connected(database) as connection:
            row = await connection.fetchrow(query(__package__, "holders"))
    except (BackupError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return BackupError(work.what, f"{database}: {why}", trouble=Trouble.LOCKED)
    waited = format_duration(work.job.lock_wait)
    if row is not None:
        who = f"process {row['pid']} ({row['role']}, {row['application'] or 'without a name'})"
        since = f" for {row['seconds']:.0f} s" if row["seconds"] is not None else ""
        held = f"{row['schema']}.{row['name']} is held by {who}{since}"
        why = f"{database}: {held}; a dump waits {waited} for it"
        return BackupError(work.what, why, _OF_A_LOCK, trouble=Trouble.LOCKED)
    if "timeout" in why or "could not obtain lock" in why:
        return BackupError(work.what, f"{database}: {why} (it waited {waited})", _OF_A_LOCK, trouble=Trouble.LOCKED)
    return MovedError(f"{database}: {why}")
