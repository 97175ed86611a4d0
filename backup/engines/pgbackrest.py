"""Base backups by pgBackRest, whose repository stays its own: full, differential, incremental, on any PostgreSQL.

Our folder holds what pgBackRest says of the backup, and the configuration that lies outside of the data directory. What
our retention lets go of pgBackRest lets go of; what its own has let go of before is said.
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
from backup.engines.basing.configuration import configuration_of
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
            there = await stanza.taken()
            new = [one for one in there if one.label not in before]
            if not new:
                why = "pgBackRest says that it succeeded, and there is no new backup"
                raise BackupError(f"backup {making.job.name}", why)
            kept, notes = await configuration_of(making, server)
            await asyncio.to_thread(_write, making.place / FILE, asdict(new[-1]))
            told = _described(making, server, new[-1], kept, [*warnings, *notes, *gone(making, there)])
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
        return (*checks, *await stanza.verified(taken), await _wal(manifest, taken, stanza))


def label_of(manifest: Manifest) -> str:
    """PgBackRest's name of a backup."""
    return str(manifest.detail["label"])


def stanza_of(manifest: Manifest, around: Surroundings) -> Stanza:
    """The stanza that a backup is of."""
    return Stanza(str(manifest.detail["stanza"]), around.children, around.programs)


async def let_go(record: BackupRecord, around: Surroundings) -> None:
    """Have pgBackRest let go of a backup that retention lets go of; not where others were built on it without us."""
    label, stanza = label_of(record.manifest), stanza_of(record.manifest, around)
    there = await stanza.taken()
    going = next((one for one in there if one.label == label), None)
    if going is None:
        return
    building = [one.label for one in there if one.prior == label]
    if building:
        why = f"pgBackRest has {', '.join(building)}, which builds on {label}: it stays"
        raise BackupError(record.id, why, trouble=Trouble.BUSY)
    beside = [one for one in there if one.repository == going.repository and one.label != label]
    await stanza.expire(going, sum(one.type == TYPES[Scope.FULL] for one in beside))
    if any(one.label == label for one in await stanza.taken()):
        raise BackupError(record.id, f"pgBackRest did not let go of {label}")


def gone(making: Making, there: tuple[Taken, ...]) -> list[str]:
    """What its own retention has let go of, though ours would have kept it."""
    labels = {one.label for one in there}
    ours = [one for one in making.earlier if one.manifest.detail.get("stanza") == making.job.stanza]
    missing = [one.id for one in ours if label_of(one.manifest) not in labels]
    hint = "repo-retention-full has to be more than what keep asks for"
    return [f"pgBackRest has let go of {', '.join(missing)} by a retention of its own: {hint}"] if missing else []


async def _wal(manifest: Manifest, taken: Taken, stanza: Stanza) -> Check:
    """Whether the WAL leads from the backup's beginning to its end; and what of later moments cannot be come to.

    A gap behind its end is none of its own: it is said, and damages nothing.
    """
    size = int(manifest.detail["segment_bytes"])
    listing = await stanza.listing(taken.archive, size, taken.system_identifier)
    timeline = int(taken.start_segment[:8], 16)
    found = leads(listing, timeline, lsn_number(taken.start_lsn))
    own = next((lead for lead in found if lead.timeline == timeline), None)
    if own is None or not own.segments:
        return Check(name="wal", ok=False, detail=f"segment {taken.start_segment} is missing, with which it begins")
    gap = next((lead.gap for lead in found if lead.gap is not None), None)
    why = "" if gap is None else f"from {gap.from_lsn} to {gap.to_lsn} on timeline {gap.timeline}: {gap.why}"
    if own.ends_at < lsn_number(taken.stop_lsn):
        return Check(name="wal", ok=False, detail=f"WAL is missing that makes it consistent, {why or 'at its end'}")
    if gap is not None:
        return Check(name="wal", ok=None, detail=f"it is whole, but WAL behind it is missing {why}")
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
            "files": dict(server.files),
            "from_standby": server.is_standby,
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
