"""What belongs to no database: roles, their memberships and settings, tablespaces; by pg_dumpall, into a small file."""

import asyncio
from pathlib import Path
from typing import Final

from backup.children import Command
from backup.engines.dumping.ending import GLOBALS_ENDING, check_ending
from backup.engines.dumping.survey import Survey, Work
from backup.errors import BackupError

FILE: Final = "globals.sql"
SECONDS: Final = 300.0


async def dump_globals(work: Work, survey: Survey, place: Path) -> tuple[str, ...]:
    """Write them; what is to be noted. Passwords are in it only where the role may read them."""
    with_passwords = survey.server.sees_passwords
    words = [
        str(survey.pg_dumpall),
        f"--dbname={work.way.words(work.way.database)}",
        f"--database={work.way.database}",  # else it goes by `postgres`, which may be closed to us
        "--no-password",
        "--globals-only",
        "--encoding=UTF8",  # whatever the database has that it asks in
        f"--lock-wait-timeout={round(work.job.lock_wait * 1000)}",
        *(() if with_passwords else ("--no-role-passwords",)),
    ]
    command = Command(words=tuple(words), environment=work.way.environment, secrets=work.way.secrets)
    output = await work.children.run(command, within_seconds=min(SECONDS, work.job.timeout), into=place / FILE)
    if not output.ok:
        hint = "leave them out with globals: false, or dump by a superuser"
        raise BackupError(work.what, f"roles and tablespaces: {output.ended[0].why}", hint)
    await asyncio.to_thread(check_ending, place / FILE, GLOBALS_ENDING)
    return () if with_passwords else (without_passwords(survey.server.role),)


def without_passwords(role: str) -> str:
    """The note of a manifest whose roles have none."""
    return f"passwords of roles are not in it: {role} may not read them, only a superuser may"
