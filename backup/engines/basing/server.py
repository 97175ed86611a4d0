"""What a server says of itself before its files are copied: whether that can be done at all, and what there is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import asyncpg

from backup.errors import BackupError
from backup.settings import Job
from backup.sql import query
from backup.way import Way
from toban.backups import Scope, Trouble

INCREMENTS_SINCE: Final = 17
SENDERS_WANTED: Final = 2  # one for the files, one for the WAL meanwhile


@dataclass(frozen=True, slots=True, kw_only=True)
class Tablespace:
    """One that lies outside of the data directory."""

    oid: int
    name: str
    location: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """One PostgreSQL server as it stands."""

    version: str
    version_number: int
    system_identifier: str
    is_standby: bool
    wal_level: str
    most_senders: int
    senders: int
    segment_bytes: int
    summarizes: bool
    has_page_checksums: bool
    port: int
    role: str
    may_replicate: bool
    tablespaces: tuple[Tablespace, ...] = ()
    databases: tuple[str, ...] = ()
    files: Mapping[str, str]  # setting -> path, as far as the role may know
    size_bytes: int | None = None

    @property
    def major(self) -> int:
        """15 of 15.20."""
        return self.version_number // 10000


async def ask(way: Way) -> Server:
    """Look at it once, by the DSN's own database."""
    async with way.connected() as connection:
        row = await connection.fetchrow(query(__package__, "server"))
        spaces = await connection.fetch(query(__package__, "tablespaces"))
        databases = await connection.fetch(query(__package__, "databases"))
        files = await connection.fetch(query(__package__, "files"))
        try:
            size = await connection.fetchval(query(__package__, "size"))
        except asyncpg.PostgresError:  # without pg_read_all_stats nobody knows before pg_basebackup says it
            size = None
    return Server(
        **dict(row),
        tablespaces=tuple(Tablespace(**dict(space)) for space in spaces),
        databases=tuple(found["datname"] for found in databases),
        files={found["name"]: found["setting"] for found in files},
        size_bytes=size,
    )


def obstacle(server: Server, job: Job) -> BackupError | None:
    """Why no base backup can be made of it as it stands."""
    found = next(_obstacles(server, job), None)
    if found is None:
        return None
    why, hint, trouble = found
    return BackupError(f"backup {job.name}", why, hint, trouble=trouble)


def _obstacles(server: Server, job: Job) -> Iterator[tuple[str, str, Trouble]]:
    """Everything that is in the way: what, the mend, of which kind."""
    if not server.may_replicate:
        hint = f'ALTER ROLE "{server.role}" REPLICATION, and a line for replication in pg_hba.conf'
        yield f"role {server.role} may not replicate", hint, Trouble.PRIVILEGE
    if server.wal_level == "minimal":
        hint = "set wal_level = replica and restart the server"
        yield "the server's wal_level is minimal", hint, Trouble.CONFIGURATION
    if server.most_senders - server.senders < SENDERS_WANTED:
        why = f"{server.senders} of max_wal_senders = {server.most_senders} are taken, and it wants {SENDERS_WANTED}"
        yield why, "raise max_wal_senders and restart the server", Trouble.CONFIGURATION
    if job.type is Scope.FULL:
        return
    if server.major < INCREMENTS_SINCE:
        why = f"PostgreSQL {server.major} has no incremental backups of its own; {INCREMENTS_SINCE} has"
        yield why, "engine: pgbackrest has them", Trouble.CONFIGURATION
    if not server.summarizes:
        hint = "ALTER SYSTEM SET summarize_wal = on; SELECT pg_reload_conf(); then make a full backup"
        yield "the server does not summarize its WAL", hint, Trouble.CONFIGURATION
