"""The words of backups: what is kept, how far it is believed, what was found when somebody looked, what a drill took.

A backup is believed in steps: *stored* (made and synced), *verified* (every byte read and found whole), *proven*
(restored into a server that answered as it should). Each has its age; what failed marks the backup as damaged.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Method(StrEnum):
    """How a backup is made; also the folder it lies in."""

    DUMP = "dump"  # what the database says of itself: SQL, pg_dump's archive, a copy by the backup API
    BASE = "base"  # the files of a whole server
    WAL = "wal"  # what changed since, without an end: no single backup, but a chain
    FILES = "files"  # folders of the host


class Scope(StrEnum):
    """What of the whole is in it."""

    FULL = "full"
    DIFFERENTIAL = "differential"  # since the last full one
    INCREMENTAL = "incremental"  # since the last one of any kind


class Status(StrEnum):
    """Where a backup stands; the words of `toban backup list`."""

    RUNNING = "running"
    OK = "ok"
    FAILED = "failed"
    DAMAGED = "damaged"


class Belief(StrEnum):
    """How far a backup that is there is believed."""

    STORED = "stored"
    VERIFIED = "verified"
    PROVEN = "proven"


class Verdict(StrEnum):
    """What a proof came to. What could not be decided is no pass."""

    PROVEN = "proven"
    DAMAGED = "damaged"
    INCONCLUSIVE = "inconclusive"


class Trouble(StrEnum):
    """Why a backup, a proof or a restore failed: what decides whether trying again makes sense."""

    SPACE = "space"  # no room, before or during
    LOCKED = "locked"  # somebody holds a lock for longer than we wait
    BUSY = "busy"  # another one is at work on this target
    UNREACHABLE = "unreachable"
    PRIVILEGE = "privilege"
    PROGRAM = "program"  # a program is missing, or of the wrong version
    TOOL = "tool"  # a program failed, and its words are the reason
    TIMEOUT = "timeout"
    DAMAGED = "damaged"  # what was read is not what was written
    MISSING = "missing"  # a parent, WAL, a file that should be there is not
    CANCELLED = "cancelled"  # somebody or our own end stopped it
    CONFIGURATION = "configuration"
    REPOSITORY = "repository"  # cannot be read or written
    INTERNAL = "internal"


# For these a second attempt some minutes later may well succeed.
WORTH_ANOTHER_TRY = frozenset({Trouble.LOCKED, Trouble.UNREACHABLE, Trouble.TOOL, Trouble.TIMEOUT})


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of a backup, by its path below the backup's folder; size and digest as it lies there."""

    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRows:
    """How many rows a table had in the backup's own snapshot."""

    database: str
    schema: str
    table: str
    rows: int
    exact: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup says of itself. It is written last and never changed.

    `detail` is the engine's own: what its restore needs to know, as JSON can carry it. `notes` are warnings for people:
    what the tool complained of though it succeeded, what could not be included (passwords of roles, say).
    """

    id: str
    name: str  # of the job
    target: str
    kind: str  # of the target: postgresql, sqlite, mariadb, host
    method: Method
    engine: str
    scope: Scope = Scope.FULL
    parent: str | None = None  # the id of the backup that this one builds on
    tag: str | None = None
    created_at: float
    finished_at: float
    files: tuple[StoredFile, ...] = ()
    source_bytes: int | None = None  # of what was backed up, uncompressed
    server_version: str = ""
    system_identifier: str | None = None
    start_lsn: str | None = None
    stop_lsn: str | None = None
    timeline: int | None = None
    databases: tuple[str, ...] = ()
    rows: tuple[TableRows, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)  # program -> version
    compression: str | None = None
    encryption: str | None = None
    notes: tuple[str, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds, by what was done
    node: str = ""
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size_bytes(self) -> int:
        """What it takes in the repository."""
        return sum(file.size_bytes for file in self.files)

    @property
    def duration_seconds(self) -> float:
        """How long it took."""
        return self.finished_at - self.created_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at. `ok` is None where it could not be told, which is no pass."""

    name: str
    ok: bool | None
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A reading of every byte, without restoring."""

    at: float
    checks: tuple[Check, ...]
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether all of it was well."""
        return bool(self.checks) and all(check.ok for check in self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreProof:
    """A restore into a server to throw away, and what was found in it."""

    backup: str
    proved_at: float
    verdict: Verdict
    reason: str
    checks: tuple[Check, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)  # seconds, by what was done
    read_bytes: int = 0
    rpo_seconds: float | None = None
    rto_seconds: float | None = None

    @property
    def duration_seconds(self) -> float:
        """How long it took in all."""
        return sum(self.phases.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What became known of a backup after it was made; the one file in its folder that changes."""

    verification: Verification | None = None  # the latest
    proof: RestoreProof | None = None  # the latest that decided something
    inconclusive: RestoreProof | None = None  # the latest that did not, if it is later
    pinned: str | None = None  # why it must stay
    copies: Mapping[str, float] = field(default_factory=dict)  # copy -> when it was complete there


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupRecord:
    """One backup as the repository has it: what it says of itself, and what is known of it.

    Of one that is under way or has failed there is a manifest without files, and `reason` says why it failed.
    """

    manifest: Manifest
    status: Status
    marks: Marks = field(default_factory=Marks)
    place: str = ""  # its folder
    reason: str = ""
    trouble: Trouble | None = None

    @property
    def id(self) -> str:
        """`20261121T020000Z-nightly`."""
        return self.manifest.id

    @property
    def verified_at(self) -> float | None:
        """When every byte of it was last read and found whole."""
        found = self.marks.verification
        return found.at if found is not None and found.ok else None

    @property
    def proved_at(self) -> float | None:
        """When it last came back to life."""
        found = self.marks.proof
        return found.proved_at if found is not None and found.verdict is Verdict.PROVEN else None

    @property
    def belief(self) -> Belief | None:
        """How far it is believed; None for one that is under way, failed or damaged."""
        if self.status is not Status.OK:
            return None
        if self.proved_at is not None:
            return Belief.PROVEN
        return Belief.STORED if self.verified_at is None else Belief.VERIFIED


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far some long work has come; `total_bytes` is a guess until it is done."""

    phase: str
    done_bytes: int = 0
    total_bytes: int | None = None
    what: str = ""  # the database, the table, the file


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillRecord:
    """A restore done for its own sake, to a chosen moment, with the clock running."""

    id: str
    name: str
    target: str
    backup: str
    at: float
    wanted: str  # latest, or the moment asked for
    ok: bool
    reason: str = ""
    checks: tuple[Check, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    recovered_to: float | None = None  # the newest moment that came back
    rpo_seconds: float | None = None
    rto_seconds: float | None = None
    rpo_goal_seconds: float | None = None
    rto_goal_seconds: float | None = None
    forecast_seconds: float | None = None  # what it would take at today's size
    restored_bytes: int = 0


class GapKind(StrEnum):
    """Why a stretch of WAL is not there."""

    LATE = "late"  # not yet archived, and within its time
    UPLOADING = "uploading"  # a partial of it is being written
    LOST = "lost"  # later ones are there, or the server has it no more


@dataclass(frozen=True, slots=True, kw_only=True)
class WalRange:
    """An unbroken stretch of WAL on one timeline; LSNs as `0/16B3748`, segments by name."""

    timeline: int
    from_lsn: str
    to_lsn: str
    first_segment: str
    last_segment: str
    size_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class WalGap:
    """What is missing between two stretches, or after the last."""

    timeline: int
    from_lsn: str
    to_lsn: str
    kind: GapKind
    segments: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reachable:
    """A span of moments that can be restored to, from which backup."""

    timeline: int
    from_at: float
    to_at: float
    backup: str
    unbroken_to: float | None = None  # no WAL is missing up to then: behind `to_at` nothing was committed


@dataclass(frozen=True, slots=True, kw_only=True)
class WalStanding:
    """How the WAL of one target stands."""

    target: str
    ranges: tuple[WalRange, ...] = ()
    gaps: tuple[WalGap, ...] = ()
    reachable: tuple[Reachable, ...] = ()
    map_whole: bool = True  # else WAL could not be read, and more may be reachable than that
    newest_at: float | None = None  # when the newest stretch was received
    lag_seconds: float | None = None  # how much of the latest past would be lost if the server were gone now
    size_bytes: int = 0
    notes: tuple[str, ...] = ()
