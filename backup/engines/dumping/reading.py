"""How the files of a dump are read again: which there are, by which programs, and whether they are whole."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from backup.children import Children, Command
from backup.engines.contract import Contents, Looking
from backup.engines.dumping.ending import GLOBALS_ENDING, SCRIPT_ENDING, TAIL_BYTES
from backup.engines.dumping.packing import CUSTOM, DIRECTORY, PLAIN, unpacker
from backup.engines.dumping.properties import Properties, Setting
from backup.engines.streams.packing import unreadable
from backup.errors import BackupError
from backup.programs import Programs
from toban.backups import Check, Manifest, Progress, Trouble

READING_SECONDS: Final = 24 * 3600.0  # whoever asks for less ends it before
PHASE: Final = "verify"
SETTINGS: Final = "settings.json"
TELLING: Final = frozenset({Trouble.DAMAGED, Trouble.MISSING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One database of a dump, as the manifest has it."""

    name: str
    file: str
    pipe: str | None = None
    source_bytes: int = 0
    properties: Properties = field(default_factory=Properties)

    def as_json(self) -> dict[str, Any]:
        """As a manifest's detail carries it."""
        return {
            "name": self.name,
            "file": self.file,
            "pipe": self.pipe,
            "source_bytes": self.source_bytes,
            "properties": self.properties.as_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the manifest of a dump tells of its files."""

    format: str
    dumped_by: int  # the major version of pg_dump
    globals: str | None
    passwords: bool
    entries: tuple[Entry, ...]
    settings: str | None = None  # the file with what was set for the databases: it may hold secrets

    def as_json(self) -> dict[str, Any]:
        """As a manifest's detail carries it."""
        return {
            "format": self.format,
            "dumped_by": self.dumped_by,
            "globals": self.globals,
            "passwords": self.passwords,
            "settings": self.settings,
            "databases": [entry.as_json() for entry in self.entries],
        }


def told_by(manifest: Manifest) -> Told:
    """The same, read from a manifest; one that cannot be understood is damaged."""
    detail = manifest.detail
    try:
        entries = tuple(
            Entry(
                name=str(one["name"]),
                file=str(one["file"]),
                pipe=one.get("pipe"),
                source_bytes=int(one.get("source_bytes") or 0),
                properties=Properties.from_json(one.get("properties") or {}),
            )
            for one in detail["databases"]
        )
        return Told(
            format=str(detail["format"]),
            dumped_by=int(detail["dumped_by"]),
            globals=detail.get("globals"),
            passwords=bool(detail.get("passwords")),
            entries=entries,
            settings=detail.get("settings"),
        )
    except (KeyError, TypeError, ValueError) as error:
        why = f"its manifest does not tell of its files ({type(error).__name__}: {error})"
        raise BackupError(f"backup {manifest.id}", why, trouble=Trouble.DAMAGED) from error


def keep_settings(place: Path, of: Mapping[str, Properties]) -> str | None:
    """What was set for each database, in a file of its own: sealed with the others, as a manifest is not."""
    told = {name: [asdict(one) for one in properties.settings] for name, properties in of.items()}
    if not any(told.values()):
        return None
    path = place / SETTINGS
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(json.dumps(told), encoding="utf-8")
    return SETTINGS


async def dressed(told: Told, contents: Contents) -> Told:
    """The same with what was set for its databases."""
    if told.settings is None:
        return told
    path = await contents.path(told.settings)
    try:
        found = json.loads(await asyncio.to_thread(path.read_text, encoding="utf-8"))
        by_name = {name: tuple(Setting(**one) for one in settings) for name, settings in found.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise BackupError(told.settings, f"cannot be read ({error})", trouble=Trouble.DAMAGED) from error
    return replace(told, entries=tuple(_set(entry, by_name.get(entry.name, ())) for entry in told.entries))


def _set(entry: Entry, settings: tuple[Setting, ...]) -> Entry:
    return replace(entry, properties=replace(entry.properties, settings=settings))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a program reads a dump from: a path of its own, or the end of a pipeline that begins with a file."""

    path: Path
    piped: tuple[Command, ...] = ()

    @property
    def words(self) -> tuple[str, ...]:
        """The path as the last word of a program; nothing where it reads what is piped into it."""
        return () if self.piped else (str(self.path),)

    @property
    def reading(self) -> Path | None:
        """What the first program of the pipeline reads."""
        return self.path if self.piped else None


async def source_of(told: Told, entry: Entry, contents: Contents, programs: Programs) -> Source:
    """How one database is read."""
    if told.format == DIRECTORY:
        return Source(path=await contents.folder() / entry.file)
    path, clearing = contents.source(entry.file)
    return Source(path=path, piped=(*clearing, *unpacker(entry.pipe, programs)))


# --- whether all of it can be read ---------------------------------------------------------------------------------


async def read_through(looking: Looking) -> tuple[Check, ...]:
    """Every database wholly, and the globals: what sizes and digests cannot tell."""
    told = told_by(looking.record.manifest)
    checks = []
    for entry in told.entries:
        looking.tell(Progress(phase=PHASE, total_bytes=looking.record.manifest.size_bytes, what=entry.name))
        checks.append(await _checked(f"{entry.name} read through", _read(told, entry, looking)))
    if told.globals is not None:
        checks.append(await _checked("roles and tablespaces", _read_globals(told.globals, looking)))
    if told.settings is not None:
        checks.append(await _checked("settings of databases", _read_settings(told, looking)))
    return tuple(checks)


async def _checked(name: str, reading: Any) -> Check:  # noqa: ANN401 - a coroutine of ours
    try:
        return Check(name=name, ok=True, detail=await reading)
    except BackupError as error:  # that we cannot read it, for want of a program, room or time, says nothing of it
        return Check(name=name, ok=False if error.trouble in TELLING else None, detail=error.reason)


async def _read(told: Told, entry: Entry, looking: Looking) -> str:
    source = await source_of(told, entry, looking.contents, looking.around.programs)
    if not await asyncio.to_thread(source.path.exists):
        raise BackupError(entry.file, "is not there", trouble=Trouble.MISSING)
    if told.format == PLAIN:
        await check_script(entry.file, source, looking.around.children)
        return "it ends where a whole one ends"
    program = await asyncio.to_thread(
        looking.around.programs.postgresql, "pg_restore", major=told.dumped_by, or_newer=True
    )
    kind = f"--format={CUSTOM if told.format == CUSTOM else DIRECTORY}"
    command = Command(words=(str(program), kind, "--file=/dev/null", *source.words))
    output = await looking.around.children.run(
        *source.piped, command, source=source.reading, within_seconds=READING_SECONDS
    )
    if not output.ok:
        raise unreadable(entry.file, output)
    if output.said.strip():
        said = output.said.strip().splitlines()[0]  # as of a compression that this pg_restore was built without
        raise BackupError(entry.file, said, trouble=Trouble.PROGRAM)
    return "every entry, with its rows"


async def _read_globals(name: str, looking: Looking) -> str:
    path, clearing = looking.contents.source(name)
    if not await asyncio.to_thread(path.exists):
        raise BackupError(name, "is not there", trouble=Trouble.MISSING)
    await _tail(name, Source(path=path, piped=clearing), GLOBALS_ENDING, looking.around.children)
    return "it ends where a whole one ends"


async def _read_settings(told: Told, looking: Looking) -> str:
    found = await dressed(told, looking.contents)
    return f"{sum(len(entry.properties.settings) for entry in found.entries)} there"


async def check_script(name: str, source: Source, children: Children) -> None:
    """Whether a script is whole: psql takes a half one, and says that all is well."""
    await _tail(name, source, SCRIPT_ENDING, children)


async def _tail(name: str, source: Source, ending: bytes, children: Children) -> None:
    """Whether a script's last lines are those of a whole one; what is piped is read wholly for that."""
    tail = Command(words=("tail", "-c", str(TAIL_BYTES), *(("--", str(source.path)) if not source.piped else ())))
    output = await children.run(*source.piped, tail, source=source.reading, within_seconds=READING_SECONDS)
    if not output.ok:
        raise unreadable(name, output)
    if ending not in output.stdout:
        raise BackupError(name, f"does not end with {ending.decode()!r}", trouble=Trouble.DAMAGED)
