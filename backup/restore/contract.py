"""What a way back is: it says beforehand whether it will work and what it takes; it never goes over what exists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from backup.engines.contract import Contents, Surroundings, Tell
from toban.backups import BackupRecord, Check
from toban.secrets import Dsn, Secret


class Aim(StrEnum):
    """By what the moment to restore to is named."""

    BACKUP = "backup"  # the backup's own end, and not a transaction more
    LATEST = "latest"  # all that there is, on the timeline chosen
    TIME = "time"
    XID = "xid"
    NAME = "name"  # of a restore point
    LSN = "lsn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Which moment to restore to. A time is an epoch second: its zone was settled where it was read."""

    aim: Aim = Aim.BACKUP
    value: str = ""
    at: float | None = None
    inclusive: bool = True
    timeline: int | None = None  # None: the one of the newest WAL that leads on from the backup without a gap


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One restore that is asked for. Parents come first in `lineage`, the backup itself last."""

    record: BackupRecord
    lineage: tuple[tuple[BackupRecord, Contents], ...]
    moment: Moment = Moment()
    database: str | None = None  # one alone
    tables: tuple[str, ...] = ()  # of that database alone; schema.table
    into: Dsn | None = None  # a server
    data_dir: Path | None = None  # a folder, or for SQLite a file
    rename: str | None = None  # the database's name in the new place
    replace: bool = False
    with_roles: bool = True  # those of a dump that the server lacks are made; what is there is left alone
    jobs: int = 1
    accept_gap: bool = False  # somebody has read that WAL is missing, and wants what there is before it
    wal_place: Path | None = None
    identity: Path | None = None  # age's, where the one that whoever archived knew is not at hand
    owner: str | None = None  # whose the files shall be; by default PostgreSQL's account when we are root
    secret: Secret | None = None  # the job's `password`, which what restic keeps cannot be read without
    durable: bool = True  # on the disk when it is done; not for what is thrown away once it was looked at


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    """Whether it will work, as far as that can be known without doing it, and how long it will take."""

    checks: tuple[Check, ...]
    needed_bytes: int | None = None
    forecast_seconds: float | None = None
    reaches_at: float | None = None  # the moment that will come back, where it is known
    timeline: int | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it. What could not be told does not."""
        return all(check.ok is not False for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """What was done, and what is left for a person to do, in sentences."""

    phases: Mapping[str, float] = field(default_factory=dict)  # seconds, by what was done
    restored_bytes: int = 0
    databases: tuple[str, ...] = ()
    did: tuple[str, ...] = ()
    left_to_do: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


class Restorer(Protocol):
    """One way back. Its instances keep nothing between two calls."""

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """Look, and change nothing."""
        ...

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
        """Do it. Cancelled or failed, what it made is removed, and what was there before is as it was."""
        ...
