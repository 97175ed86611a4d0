"""What there is to dump: the server, its databases, the programs that fit; and what of it cannot be read."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg

from backup.children import Children
from backup.engines.contract import Making, Surroundings
from backup.engines.dumping.properties import PARTIAL
from backup.errors import BackupError
from backup.programs import version_of
from backup.settings import Job
from backup.sql import query, quote_identifier
from backup.way import Way
from toban.backups import Trouble
from toban.secrets import blot


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """What dumps itself."""

    version: str
    version_number: int
    standby: bool
    lsn: str | None
    role: str
    sees_passwords: bool
    system_identifier: str | None = None
    timeline: int | None = None

    @property
    def major(self) -> int:
        """`15` of `15.20`."""
        return self.version_number // 10000


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One to be dumped."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one dump goes about with. `folder` is private and goes with it."""

    job: Job
    target: str
    way: Way
    folder: Path
    around: Surroundings
    children: Children  # that stand back for others
    chosen: Callable[[str], bool]

    @property
    def what(self) -> str:
        """How an error begins."""
        return f"dump of {self.target}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """All there is to know before the first byte."""

    server: Server
    databases: tuple[Database, ...]
    pg_dump: Path
    pg_dumpall: Path
    dumped_by: int  # the major version of these programs
    notes: tuple[str, ...] = ()  # of what there is and will not be in it

    @property
    def source_bytes(self) -> int:
        """Of all the databases."""
        return sum(database.size_bytes for database in self.databases)


@asynccontextmanager
async def working(making: Making) -> AsyncIterator[Work]:
    """The private folder of one dump, and the way to the server."""
    dsn = making.job.dsn or making.origin.dsn
    if dsn is None:
        why = "has no DSN to dump by"
        raise BackupError(f"target {making.origin.name}", why, trouble=Trouble.CONFIGURATION)
    making.around.workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="dump-", dir=making.around.workspace) as folder:
        yield Work(
            job=making.job,
            target=making.origin.name,
            way=Way(dsn, Path(folder)),
            folder=Path(folder),
            around=making.around,
            children=making.around.children.standing_back(making.job.nice),
            chosen=making.origin.chosen,
        )


async def surveyed(work: Work) -> Survey:
    """The server, its databases, the programs; raises for what is plain already."""
    async with work.way.connected() as connection:
        server = await _server(connection)
        there = await connection.fetch(query(__package__, "databases"))
    databases, notes = _chosen(there, work, server)
    return await asyncio.to_thread(_with_programs, work, server, databases, notes)


def _with_programs(work: Work, server: Server, databases: tuple[Database, ...], notes: tuple[str, ...]) -> Survey:
    """The programs of the server's version, else of the next newer one."""
    pg_dump, pg_dumpall = (
        work.around.programs.postgresql(name, major=server.major, or_newer=True) for name in ("pg_dump", "pg_dumpall")
    )
    return Survey(
        server=server,
        databases=databases,
        pg_dump=pg_dump,
        pg_dumpall=pg_dumpall,
        dumped_by=version_of(pg_dump) or server.major,
        notes=notes,
    )


async def _server(connection: Any) -> Server:  # noqa: ANN401 - asyncpg ships no types
    told = dict(await connection.fetchrow(query(__package__, "server")))
    with suppress(asyncpg.InsufficientPrivilegeError):
        told |= dict(await connection.fetchrow(query(__package__, "identity")))
    return Server(**told)


def _chosen(there: Sequence[Any], work: Work, server: Server) -> tuple[tuple[Database, ...], tuple[str, ...]]:
    """The databases to dump, and a note for each that is chosen and cannot be: none is left out in silence."""
    chosen = [row for row in there if work.chosen(row["name"]) and not row["name"].startswith(PARTIAL)]
    found = [row for row in chosen if row["closed"] is None]
    barred = next((row["name"] for row in found if not row["enterable"]), None)
    if barred is not None:
        mend = f"GRANT CONNECT ON DATABASE {quote_identifier(barred)} TO {quote_identifier(server.role)}"
        raise BackupError(work.what, f"may not connect to database {barred}", mend, trouble=Trouble.PRIVILEGE)
    if not found:
        names = ", ".join(row["name"] + (f" (it {row['closed']})" if row["closed"] else "") for row in there)
        hint = "look at databases of the target or the job"
        raise BackupError(work.what, f"no database is chosen of {names}", hint, trouble=Trouble.CONFIGURATION)
    notes = [f"database {row['name']} is not in it: it {row['closed']}" for row in chosen if row["closed"] is not None]
    return tuple(Database(name=row["name"], size_bytes=row["size_bytes"] or 0) for row in found), tuple(notes)


async def check_readable(work: Work, survey: Survey) -> None:
    """What pg_dump would fail on after hours is said at once, with its mend."""
    for database in survey.databases:
        await _check_readable(work, database, survey.server)


async def _check_readable(work: Work, database: Database, server: Server) -> None:
    try:
        async with work.way.connected(database.name) as connection:
            found = await connection.fetch(query(__package__, "unreadable"))
    except BackupError as error:
        if is_gone(error):
            return  # there is nothing to read; its turn will tell
        raise
    role = quote_identifier(server.role)
    closed = [f"{row['schema']}.{row['name']}" for row in found if row["want"] == "privilege"]
    if closed:
        why = f"role {server.role} may not read in database {database.name}: {', '.join(closed)}"
        raise BackupError(work.what, why, f"GRANT pg_read_all_data TO {role}", trouble=Trouble.PRIVILEGE)
    veiled = [f"{row['schema']}.{row['name']}" for row in found if row["want"] == "rows"]
    if veiled:
        why = f"row security hides rows of database {database.name} from role {server.role}: {', '.join(veiled)}"
        raise BackupError(work.what, why, f"ALTER ROLE {role} BYPASSRLS", trouble=Trouble.PRIVILEGE)
    shut = [row["name"] for row in found if row["want"] == "object"]
    if shut:
        why = f"role {server.role} may not read large objects in database {database.name}: {', '.join(shut)}"
        mend = f"GRANT SELECT ON LARGE OBJECT {', '.join(shut)} TO {role}, or dump as a superuser"
        raise BackupError(work.what, why, mend, trouble=Trouble.PRIVILEGE)


def is_gone(error: BackupError) -> bool:
    """Whether there is no way in because the database was dropped, or has another name now."""
    return isinstance(error.__cause__, asyncpg.InvalidCatalogNameError)


def refusal(work: Work, error: BaseException) -> BackupError:
    """What a server said to a question of ours, as an error of ours."""
    why = blot(" ".join(str(error).split()) or type(error).__name__, *work.way.secrets)
    lost = isinstance(error, (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError))
    return BackupError(work.what, why, trouble=Trouble.UNREACHABLE if lost else Trouble.TOOL)
