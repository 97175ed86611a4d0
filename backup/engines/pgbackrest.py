"""Base backups by pgBackRest, whose repository stays its own: full, differential, incremental, on any PostgreSQL.

Our folder holds what pgBackRest says of the backup, and the configuration that lies outside of the data directory. How
long it is kept is told to pgBackRest in its own configuration.
"""

import asyncio
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Final

from backup.children import NO_SPACE
from backup.engines.basing.configuration import keep
from backup.engines.basing.server import Server, ask
from backup.engines.basing.stanza import Stanza, Taken
from backup.engines.contract import Estimate, Looking, Made, Making, Surroundings
from backup.errors import BackupError
from backup.programs import version_text
from backup.settings import Job, compression_of
from backup.wal.chain import leads
from backup.wal.segments import lsn_number
from backup.way import Way
from toban.backups import BackupRecord, Check, Manifest, Method, Progress, Scope, Trouble
from toban.secrets import Dsn

FILE: Final = "pgbackrest.json"
TYPES: Final = {Scope.FULL: "full", Scope.DIFFERENTIAL: "diff", Scope.INCREMENTAL: "incr"}
PACKINGS: Final = {"none": "none", "gzip": "gz", "lz4": "lz4", "zstd": "zst"}
DEFAULT: Final = "zstd"  # its own default is the slowest


class PgBackRest:
    """The engine."""

    name: ClassVar[str] = "pgbackrest"
    method: ClassVar[Method] = Method.BASE
    kinds: ClassVar[frozenset[str]] = frozenset({"postgresql"})

    async def estimate(self, making: Making) -> Estimate:
        """What the last one was; what it takes lies in pgBackRest's own repository."""
        async with _reached(making) as server:
            await _stanza(making).taken()
            return Estimate(source_bytes=server.size_bytes, size_bytes=0)

    async def make(self, making: Making) -> Made:
        """Have it made, then look for it in what pgBackRest has."""
        async with _reached(making) as server:
            stanza, clock = _stanza(making), making.around.clock
            before = {one.label for one in await stanza.taken()}
            began = clock.monotonic()
            warnings = await _run(making, stanza)
            copied = clock.monotonic()
            new = [one for one in await stanza.taken() if one.label not in before]
            if not new:
                why = "pgBackRest says that it succeeded, and there is no new backup"
                raise BackupError(f"backup {making.job.name}", why)
            kept, notes = await _configuration(making, server)
            await asyncio.to_thread(_write, making.place / FILE, asdict(new[-1]))
            told = _described(making, server, new[-1], kept, [*warnings, *notes])
            told["phases"] = {"copy": copied - began, "configuration": clock.monotonic() - copied}
            return Made(**told)

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Its own verification, read; and the WAL counted from this backup on, which it does not do."""
        manifest = looking.record.manifest
        label, stanza = label_of(manifest), stanza_of(manifest, looking.around)
        looking.tell(Progress(phase="read", what=label))
        taken = next((one for one in await stanza.taken() if one.label == label), None)
        if taken is None:
            return (
                Check(name="label", ok=False, detail=f"pgBackRest has no backup {label}: it has expired, or is gone"),
            )
        said = "page checksums are wrong in it" if taken.has_errors else f"pgBackRest has {label}"
        checks = [Check(name="label", ok=not taken.has_errors, detail=said)]
        return (*checks, *await stanza.verified(label), await _wal(manifest, taken, stanza))


def label_of(manifest: Manifest) -> str:
    """PgBackRest's name of a backup."""
    return str(manifest.detail["label"])


def stanza_of(manifest: Manifest, around: Surroundings) -> Stanza:
    """The stanza that a backup is of."""
    return Stanza(str(manifest.detail["stanza"]), around.children, around.programs)


async def _wal(manifest: Manifest, taken: Taken, stanza: Stanza) -> Check:
    """Whether the WAL leads from the backup's beginning to the newest there is."""
    size = int(manifest.detail["segment_bytes"])
    listing = await stanza.listing(taken.archive, size, taken.system_identifier)
    found = leads(listing, int(taken.start_segment[:8], 16), lsn_number(taken.start_lsn))
    if not found or not found[-1].segments:
        return Check(name="wal", ok=False, detail=f"segment {taken.start_segment} is missing, with which it begins")
    gap = next((lead.gap for lead in found if lead.gap is not None), None)
    if gap is not None:
        why = f"WAL is missing from {gap.from_lsn} to {gap.to_lsn} on timeline {gap.timeline}: {gap.why}"
        return Check(name="wal", ok=False, detail=why)
    return Check(name="wal", ok=True, detail=f"there without a gap up to {found[0].last_segment}")


def _stanza(making: Making) -> Stanza:
    return Stanza(str(making.job.stanza), making.around.children.standing_back(making.job.nice), making.around.programs)


async def _run(making: Making, stanza: Stanza) -> list[str]:
    """Have it made; what it warned of."""
    warnings: list[str] = []

    def hear(line: str) -> None:
        if "WARN" in line and len(warnings) < 50:  # noqa: PLR2004 - so many are enough
            warnings.append(line.strip())

    making.tell(Progress(phase="copy"))
    output = await stanza.run(*_words(making.job), within_seconds=making.job.timeout, on_line=hear)
    if not output.ok:
        said = output.said
        trouble = Trouble.SPACE if any(words in said for words in NO_SPACE) else Trouble.TOOL
        trouble = Trouble.BUSY if "unable to acquire lock" in said else trouble
        raise BackupError(f"backup {making.job.name}", output.ended[0].why, trouble=trouble)
    return warnings


def _words(job: Job) -> tuple[str, ...]:
    name, level = compression_of(job.compress or DEFAULT) or ("none", None)
    words = [f"--type={TYPES[job.type]}", f"--process-max={job.jobs}", f"--compress-type={PACKINGS[name]}"]
    words += [] if level is None else [f"--compress-level={level}"]
    words += ["--start-fast"] if job.checkpoint == "fast" else []
    return (*words, "--log-level-stderr=warn", "--no-log-timestamp", "backup")


@asynccontextmanager
async def _reached(making: Making) -> AsyncIterator[Server]:
    """The server that is backed up."""
    dsn = making.job.dsn or making.origin.dsn
    if dsn is None:
        why = f"target {making.origin.name} has no dsn"
        raise BackupError(f"backup {making.job.name}", why, trouble=Trouble.CONFIGURATION)
    folder = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="base-", dir=making.around.workspace))
    try:
        yield await ask(Way(dsn, folder))
    finally:
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


async def _configuration(making: Making, server: Server) -> tuple[list[dict[str, Any]], list[str]]:
    if not making.job.configuration:
        return [], []
    here = (making.job.dsn or making.origin.dsn or Dsn("")).local
    return await asyncio.to_thread(keep, server.files, here=here, place=making.place)


def _described(
    making: Making, server: Server, taken: Taken, kept: list[dict[str, Any]], notes: list[str]
) -> dict[str, Any]:
    """What was made, by pgBackRest's own words."""
    program = making.around.programs.other("pgbackrest")
    return {
        "scope": next(scope for scope, named in TYPES.items() if named == taken.type),
        "parent": _parent(taken, making.earlier),
        "source_bytes": taken.source_bytes,
        "server_version": server.version,
        "system_identifier": taken.system_identifier,
        "start_lsn": taken.start_lsn,
        "stop_lsn": taken.stop_lsn,
        "timeline": int(taken.start_segment[:8], 16),
        "databases": server.databases,
        "tools": {"pgbackrest": version_text(program)},
        "notes": tuple(notes),
        "detail": {
            "format": "pgbackrest",
            "stanza": making.job.stanza,
            "label": taken.label,
            "archive": taken.archive,
            "repository_bytes": taken.repository_bytes,
            "segment_bytes": server.segment_bytes,
            "configuration": kept,
            "from_standby": True,  # of the WAL of its own end it brings nothing along
            "data_directory": server.files.get("data_directory"),
            "port": server.port,
        },
    }


def _parent(taken: Taken, earlier: tuple[BackupRecord, ...]) -> str | None:
    """The one of ours that it builds on; None also where pgBackRest made that without us."""
    if taken.prior is None:
        return None
    return next((one.id for one in earlier if one.manifest.detail.get("label") == taken.prior), None)


def _write(path: Path, said: dict[str, Any]) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(said, file, indent=1)
    path.chmod(0o600)
