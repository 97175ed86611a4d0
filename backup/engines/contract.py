"""What an engine is: it makes one kind of backup, reads it through without restoring, and gives it back.

An engine never touches the repository. It is given an empty folder and fills it; sealing (encryption), digests,
manifest, syncing and the one rename are the repository's. What it cannot do it says by raising `BackupError`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Protocol

from backup.children import Children, Command
from backup.programs import Programs
from backup.settings import Job
from toban.backups import BackupRecord, Check, Method, Progress, Scope, StoredFile, TableRows
from toban.clock import Clock
from toban.secrets import Dsn, Secret

Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is backed up: a target, as far as backups need to know it."""

    name: str
    kind: str  # postgresql, sqlite, mariadb, host
    dsn: Dsn | None = None
    path: Path | None = None  # of an SQLite file
    chosen: Callable[[str], bool] = lambda _: True  # whether a database is looked at (templates never are)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What every kind of work with backups needs of the world."""

    clock: Clock
    children: Children
    programs: Programs
    workspace: Path  # a private folder for what must not stay; each work makes a folder of its own in it
    node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Making:
    """One backup to be made."""

    id: str
    job: Job
    origin: Origin
    place: Path  # the folder to fill: it exists, is empty and ours alone
    earlier: tuple[BackupRecord, ...]  # the complete ones of this target that are not damaged, newest first
    around: Surroundings
    tell: Tell
    wal_place: Path | None = None  # where this target's WAL is archived, if it is
    opened: "Callable[[BackupRecord], Contents] | None" = None  # the files of an earlier one, sealed or not


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a backup will read and take, before it starts; None where nobody knows."""

    source_bytes: int | None = None
    size_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What an engine says of what it has made. `digests` are those it knows already; the rest is hashed afterwards."""

    scope: Scope = Scope.FULL
    parent: str | None = None
    source_bytes: int | None = None
    server_version: str = ""
    system_identifier: str | None = None
    start_lsn: str | None = None
    stop_lsn: str | None = None
    timeline: int | None = None
    databases: tuple[str, ...] = ()
    rows: tuple[TableRows, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    compression: str | None = None
    notes: tuple[str, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    detail: Mapping[str, Any] = field(default_factory=dict)
    digests: Mapping[str, StoredFile] = field(default_factory=dict)


class Contents(Protocol):
    """The files of one backup as its engine wrote them, whether or not they lie there sealed."""

    def source(self, name: str) -> tuple[Path, tuple[Command, ...]]:
        """The file to read from, and the programs to pipe it through to have it in the clear."""
        ...

    async def path(self, name: str) -> Path:
        """The file in the clear: the one in the repository (never to be written to), or one in the workspace."""
        ...

    async def folder(self) -> Path:
        """All of them in the clear, in one folder: the repository's own (never to be written to), or a copy."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """One backup to be read through, without restoring it. Its parents come first in `lineage`, itself last."""

    record: BackupRecord
    contents: Contents
    lineage: tuple[tuple[BackupRecord, Contents], ...]
    around: Surroundings
    tell: Tell
    workspace: Path  # a folder of this work's own, removed afterwards
    wal_place: Path | None = None
    secret: Secret | None = None  # the job's `password`, which what restic keeps cannot be read without


class Engine(Protocol):
    """One way of making backups. Its instances keep nothing between two calls."""

    name: ClassVar[str]
    method: ClassVar[Method]
    kinds: ClassVar[frozenset[str]]  # of targets

    async def estimate(self, making: Making) -> Estimate:
        """How much it will be. Raises where it is plain already that it cannot be made."""
        ...

    async def make(self, making: Making) -> Made:
        """Fill `making.place`. Cancelled, it ends what it started before it lets go."""
        ...

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Read it through: what sizes and digests cannot tell, the repository having checked those."""
        ...


def room_for(*sizes: int | None) -> int | None:
    """The sum of sizes, when all of them are known."""
    return None if any(size is None for size in sizes) else sum(size or 0 for size in sizes)
