"""The words for pg_basebackup, what it says while it works, and why it failed. Nothing here is started."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from backup.children import NO_SPACE, Output
from backup.engines.basing.server import Tablespace
from backup.engines.contract import Tell
from backup.engines.streams.packing import SUFFIXES
from backup.errors import BackupError
from backup.settings import Job, compression_of
from toban.backups import Progress, Trouble
from toban.clock import Clock

TAR: Final = "tar"
PLAIN: Final = "plain"
NONE: Final = "none"
LEVELS: Final = {"zstd": 1, "lz4": 1, "gzip": 1}  # the disk is slower than these, and faster than any higher one
DEFAULT: Final = "zstd"
OWN_PACKING_SINCE: Final = 15  # of pg_basebackup: before, it has gzip alone
UNBUILT: Final = "this build does not support compression"
NEXT: Final = {"zstd": "lz4", "lz4": "gzip"}  # where a build of pg_basebackup lacks one
DATA: Final = "data"  # the folder of the plain format
ELSEWHERE: Final = "tablespaces"  # where pg_basebackup puts those of the plain format, until they are moved
LEAST_RATE_KILOBYTES: Final = 32
MOST_RATE_KILOBYTES: Final = 1024 * 1024
MOST_WARNINGS: Final = 50
_PROGRESS = re.compile(r"^\s*(\d+)/(\d+) kB \(\d+%\)")
_STAGES: Final = (("checkpoint to complete", "checkpoint"), ("checkpoint completed", "copy"), ("end point", "finish"))
_COMPLAINT = re.compile(r"\b(warning|error|fatal):", re.IGNORECASE)
_SERVERS: Final = "ERROR: "  # as the server begins what it says; pg_basebackup's own is in small letters
# What it says -> what kind of trouble that is, and the mend.
_CAUSES: Final = (
    ("checksum error occurred", Trouble.DAMAGED, "pages of the live server are damaged: look at its log"),
    ("must be superuser or replication role", Trouble.PRIVILEGE, "ALTER ROLE … REPLICATION"),
    ("permission denied to start WAL sender", Trouble.PRIVILEGE, "ALTER ROLE … REPLICATION"),
    ("no pg_hba.conf entry", Trouble.PRIVILEGE, "pg_hba.conf wants a line whose database is `replication`"),
    ("password authentication failed", Trouble.PRIVILEGE, ""),
    ("could not connect", Trouble.UNREACHABLE, ""),
    ("connection to server", Trouble.UNREACHABLE, ""),
    ("server closed the connection", Trouble.UNREACHABLE, ""),
    ("terminating connection", Trouble.UNREACHABLE, ""),
    ("WAL summar", Trouble.MISSING, "make a full backup; wal_summary_keep_time says how long a parent can be built on"),
    ("manifest contains timeline", Trouble.MISSING, "make a full backup"),
    ("system identifier in backup manifest", Trouble.MISSING, "make a full backup"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the files are laid down."""

    format: str = TAR
    compression: str = DEFAULT
    level: int | None = None

    @property
    def suffix(self) -> str:
        """What each archive's name ends with."""
        return ".tar" + SUFFIXES.get(self.compression, "")

    @property
    def text(self) -> str | None:
        """As a manifest has it."""
        if self.compression == NONE:
            return None
        return f"{self.compression}:{self.level or LEVELS[self.compression]}"

    def weaker(self) -> "Shape | None":
        """The next best, where a build lacks this one."""
        other = NEXT.get(self.compression)
        return None if other is None else Shape(format=self.format, compression=other)


def shape_of(job: Job, major: int) -> Shape:
    """As a job wants it, as far as a pg_basebackup of this major version can."""
    chosen = job.format or TAR
    if chosen not in (TAR, PLAIN):
        why = f"a base backup has no format {chosen}; it is tar or plain"
        raise BackupError(f"backup {job.name}", why, trouble=Trouble.CONFIGURATION)
    if chosen == PLAIN:
        return Shape(format=PLAIN, compression=NONE)
    name, level = compression_of(job.compress or DEFAULT) or (NONE, None)
    if major < OWN_PACKING_SINCE and name in NEXT:
        return Shape(compression="gzip")
    return Shape(compression=name, level=level)


def words(
    shape: Shape,
    job: Job,
    place: Path,
    *,
    major: int,
    label: str,
    tablespaces: Iterable[Tablespace],
    parent: Path | None,
) -> tuple[str, ...]:
    """What pg_basebackup is told, but for the way to the server. The repository syncs what is made."""
    found = [
        *("--wal-method=stream", f"--checkpoint={job.checkpoint}", "--manifest-checksums=SHA256"),
        *("--no-password", "--no-sync", "--progress", "--verbose", f"--label={label}"),
    ]
    if job.bandwidth is not None:
        rate = max(LEAST_RATE_KILOBYTES, job.bandwidth // 1024)
        found += [f"--max-rate={rate}"] if rate < MOST_RATE_KILOBYTES else []
    if parent is not None:
        found.append(f"--incremental={parent}")
    if shape.format == PLAIN:
        mapped = ((space.location, place / ELSEWHERE / str(space.oid)) for space in tablespaces)
        found += [f"--tablespace-mapping={_escaped(old)}={_escaped(str(new))}" for old, new in mapped]
        return (*found, "--format=plain", f"--pgdata={place / DATA}")
    return (*found, "--format=tar", *_packing(shape, major), f"--pgdata={place}")


def _packing(shape: Shape, major: int) -> tuple[str, ...]:
    level = shape.level or LEVELS.get(shape.compression)
    if shape.compression == NONE:
        return ()
    if major < OWN_PACKING_SINCE:
        return (f"--compress={level}",)
    return (f"--compress=client-{shape.compression}:{level}",)


def _escaped(path: str) -> str:
    """As an old or new folder of a mapping."""
    return path.replace("\\", "\\\\").replace("=", "\\=")


class Hearing:
    """What pg_basebackup says, line by line: how far it is, how long each phase took, and what it complains of."""

    def __init__(self, clock: Clock, tell: Tell) -> None:
        self.warnings: list[str] = []
        self.phases: dict[str, float] = {}
        self.copied_at: float | None = None
        """When the last file had come: no moment before that can be restored to."""
        self._clock = clock
        self._tell = tell
        self._stage = "connect"
        self._since = clock.monotonic()

    def hear(self, line: str) -> None:
        """One line of its stderr."""
        progress = _PROGRESS.match(line)
        if progress is not None:
            done, total = int(progress[1]) * 1024, int(progress[2]) * 1024
            self._tell(Progress(phase="copy", done_bytes=done, total_bytes=max(done, total)))
            return
        for words_said, stage in _STAGES:
            if words_said in line:
                self._enter(stage)
        if _COMPLAINT.search(line) and len(self.warnings) < MOST_WARNINGS:
            self.warnings.append(line.strip())

    def close(self) -> None:
        """It has ended."""
        self._enter("")

    def _enter(self, stage: str) -> None:
        now = self._clock.monotonic()
        self.phases[self._stage] = self.phases.get(self._stage, 0.0) + now - self._since
        self._stage, self._since = stage, now
        if stage == "finish":
            self.copied_at = self._clock.now()
        if stage:
            self._tell(Progress(phase=stage))


def failure(job: Job, output: Output, complaints: Iterable[str]) -> BackupError:
    """Why it failed, told by what it said."""
    complained = "\n".join(complaints)
    said = f"{complained}\n{output.said}"
    full = next((line for line in said.splitlines() if any(words_said in line for words_said in NO_SPACE)), None)
    if full is not None:
        theirs = _SERVERS in full  # its own disk, and none of ours
        why = f"no space left where the server is: {full.strip()}" if theirs else "no space left in the repository"
        return BackupError(f"backup {job.name}", why, trouble=Trouble.SPACE)
    why = replace(output.ended[0], said=complained).why  # its last line may be but one of its progress
    if "max_wal_senders" in said or "all replication slots are in use" in said:
        return BackupError(f"backup {job.name}", why, "raise max_wal_senders and max_replication_slots")
    for words_said, trouble, hint in _CAUSES:
        if words_said in said:
            return BackupError(f"backup {job.name}", why, hint, trouble=trouble)
    return BackupError(f"backup {job.name}", why)
