"""SQLite files: copied in one pass while their application goes on writing, and looked through to the last page."""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final

from backup.children import Children
from backup.engines.contract import Estimate, Looking, Made, Making
from backup.engines.streams.growth import growing
from backup.engines.streams.packing import packing, unpacked_name, unpacking, unreadable
from backup.errors import BackupError
from backup.readers import asked, reader
from toban.backups import Check, Method, Progress, TableRows, Trouble

COPY: Final = "database.sqlite3"
LOG_SUFFIX: Final = "-wal"
DATABASE: Final = "main"  # what SQLite calls the database of a file
CHECK_SECONDS: Final = 12 * 3600.0
MOST_SHOWN: Final = 3
DAMAGE_HINT: Final = "restore an earlier one, or save what `.recover` of the sqlite3 shell finds"


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """What was found in a copy that nobody writes to."""

    errors: tuple[str, ...]
    unchecked: str  # why it could only be looked at quickly
    looked: bool  # whether pages could be looked at
    violations: int | None  # rows that break a foreign key; None where it cannot say
    rows: tuple[TableRows, ...]

    @property
    def integrity(self) -> Check:
        """Whether pages and indexes are whole."""
        said = "; ".join(self.errors[:MOST_SHOWN]) or "pages and indexes are whole"
        if not self.errors and self.unchecked:
            said = f"pages are whole; indexes could not be held against their tables: {self.unchecked}"
        if not self.looked:
            return Check(name="integrity_check", ok=None, detail=f"could not be looked at: {self.unchecked}")
        return Check(name="integrity_check", ok=not self.errors, detail=said)


class Sqlite:
    """A copy by the backup API, in a process of its own."""

    name: ClassVar[str] = "sqlite"
    method: ClassVar[Method] = Method.DUMP
    kinds: ClassVar[frozenset[str]] = frozenset({"sqlite"})

    async def estimate(self, making: Making) -> Estimate:
        """As large as the file and its log are. A packed one stands beside its copy for a while."""
        path = _path_of(making)
        size = await asyncio.to_thread(_size_with_log, path)
        packing(making.around.programs, making.job.compress)
        return Estimate(source_bytes=size, size_bytes=size)

    async def make(self, making: Making) -> Made:
        """Copy, look through the copy, pack it."""
        path, job, clock = _path_of(making), making.job, making.around.clock
        children = making.around.children
        pack = packing(making.around.programs, job.compress)
        status, size = await asyncio.to_thread(_inspected, path)
        copied, began = making.place / COPY, clock.monotonic()
        async with growing(copied, making.tell, "copy", total_bytes=size, what=path.name):
            words = ("copy", path, copied, str(job.lock_wait))
            facts = await asked(children, str(path), reader("sqlite", *words), within_seconds=job.timeout)
        copied_at = clock.monotonic()
        making.tell(Progress(phase="check", done_bytes=0, total_bytes=size, what=path.name))
        found = await examined(children, copied, rows=job.rows, within_seconds=job.timeout)
        if found.errors:
            raise BackupError(str(path), f"is damaged: {found.integrity.detail}", DAMAGE_HINT, trouble=Trouble.DAMAGED)
        phases = {"copy": copied_at - began, "check": clock.monotonic() - copied_at}
        if pack.commands:
            packed_from = clock.monotonic()
            async with growing(making.place / (COPY + pack.suffix), making.tell, "compress", total_bytes=size):
                packed = await children.run(
                    *pack.commands, source=copied, into=making.place / (COPY + pack.suffix), within_seconds=job.timeout
                )
            packed.checked(str(path))
            await asyncio.to_thread(copied.unlink)
            phases["compress"] = clock.monotonic() - packed_from
        return Made(
            source_bytes=facts["page_count"] * facts["page_size"],
            server_version=facts["version"],
            rows=found.rows,
            tools={"sqlite": facts["version"]},
            compression=pack.name,
            notes=_notes(found),
            phases=phases,
            detail=_detail(path, status, COPY + pack.suffix, facts, found),
        )

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Unpack it, look through it, and count again."""
        told = looking.record.manifest
        looking.tell(Progress(phase="check", total_bytes=told.source_bytes, what=told.id))
        try:
            copied = await clear_copy(looking, told.detail)
        except BackupError as error:
            if error.trouble is not Trouble.DAMAGED:  # of this machine, and no word about the backup
                raise
            return (Check(name="unpack", ok=False, detail=error.why),)
        found = await examined(
            looking.around.children, copied, rows="exact" if told.rows else "none", within_seconds=CHECK_SECONDS
        )
        return (found.integrity, *checks_against(told.detail, told.rows, found))


async def examined(children: Children, path: Path, *, rows: str, within_seconds: float) -> Examined:
    """What is found in a file that nobody writes to, which stays as it is."""
    command = reader("sqlite", "check", path, "none" if rows == "none" else "exact")
    found = await asked(children, str(path), command, within_seconds=within_seconds)
    return Examined(
        errors=tuple(found["errors"]),
        unchecked=found["unchecked"],
        looked=found["looked"],
        violations=found["violations"],
        rows=tuple(TableRows(database=DATABASE, schema="", table=name, rows=count) for name, count in found["rows"]),
    )


def checks_against(detail: Mapping[str, Any], rows: tuple[TableRows, ...], found: Examined) -> tuple[Check, ...]:
    """Whether a copy has what the manifest says: rows of each table, and as many broken foreign keys as ever."""
    if found.errors:
        return ()
    checks = []
    if rows:
        expected, counted = ({one.table: one.rows for one in counts} for counts in (rows, found.rows))
        other = sorted(name for name in expected.keys() | counted.keys() if expected.get(name) != counted.get(name))
        said = f"all {sum(counted.values())} rows of {len(counted)} tables are there"
        if other:
            shown = (f"{name} has {counted.get(name)}, not {expected.get(name)}" for name in other[:MOST_SHOWN])
            said = "; ".join(shown)
        checks.append(Check(name="rows", ok=not other, detail=said))
    before = detail.get("foreign_key_violations")
    if before is not None and found.violations is not None:
        said = f"{found.violations} rows break a foreign key, {before} did when it was made"
        checks.append(Check(name="foreign keys", ok=found.violations == before, detail=said))
    return tuple(checks)


async def clear_copy(looking: Looking, detail: Mapping[str, Any]) -> Path:
    """The copy as a file that SQLite can open: the one in the repository, or one unpacked into the workspace."""
    name = str(detail.get("file", COPY))
    source, unsealing = looking.contents.source(name)
    commands = (*unsealing, *unpacking(looking.around.programs, name))
    if not commands:
        return source
    into = looking.workspace / unpacked_name(name)
    async with growing(into, looking.tell, "unpack", total_bytes=detail.get("size_bytes")):
        done = await looking.around.children.run(*commands, source=source, into=into, within_seconds=CHECK_SECONDS)
    if not done.ok:
        raise unreadable(name, done)
    return into


def _path_of(making: Making) -> Path:
    path = making.origin.path
    if path is None:
        raise BackupError(making.origin.name, "names no file", "give the target a path", trouble=Trouble.CONFIGURATION)
    return path


def _size_with_log(path: Path) -> int:
    status, size = _inspected(path)
    log = Path(os.path.realpath(path) + LOG_SUFFIX)
    return (size or status.st_size) + (log.stat().st_size if log.exists() else 0)


def _inspected(path: Path) -> tuple[os.stat_result, int]:
    """What lies there, if it is a file."""
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise BackupError(str(path), "is not there", "check `path`", trouble=Trouble.MISSING) from error
    except OSError as error:
        raise BackupError(str(path), error.strerror or str(error), trouble=Trouble.PRIVILEGE) from error
    if not path.is_file():
        raise BackupError(str(path), "is no file", "check `path`", trouble=Trouble.CONFIGURATION)
    return status, status.st_size


def _notes(found: Examined) -> tuple[str, ...]:
    notes = []
    if found.violations:
        notes.append(f"{found.violations} rows break a foreign key, which SQLite minds with PRAGMA foreign_keys alone")
    if found.unchecked:
        notes.append(f"indexes could not be held against their tables: {found.unchecked}")
    return tuple(notes)


def _detail(path: Path, status: os.stat_result, name: str, facts: Mapping[str, Any], found: Examined) -> dict[str, Any]:
    """What a restore wants to know. A name that is no text can be told only nearly."""
    return {
        "file": name,
        "name": os.fsencode(path.name).decode(errors="replace"),
        "path": os.fsencode(path).decode(errors="replace"),
        "mode": status.st_mode & 0o777,
        "size_bytes": facts["page_count"] * facts["page_size"],
        "journal_mode": facts["journal_mode"],
        "page_size_bytes": facts["page_size"],
        "user_version": facts["user_version"],
        "application_id": facts["application_id"],
        "foreign_key_violations": found.violations,
    }
