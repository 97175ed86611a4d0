"""What fills an empty database from a dump: pg_restore for archives, psql for scripts; ended at the first error."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from backup.children import NO_SPACE, Command, Output
from backup.engines.contract import Contents, Surroundings, Tell
from backup.engines.dumping.packing import CUSTOM, DIRECTORY, PLAIN
from backup.engines.dumping.reading import Source, Told, check_script, source_of
from backup.engines.streams.packing import unreadable
from backup.errors import BackupError
from backup.restore.contract import Wanted
from backup.restore.dumping.naming import Destination
from backup.restore.dumping.selection import listed, selection
from backup.restore.dumping.site import Site
from toban.backups import Progress, Trouble

PHASE: Final = "restore"
SECONDS: Final = 7 * 86400.0  # whoever wants less ends it before
LIST_SECONDS: Final = 600.0
TICK_SECONDS: Final = 1.0
MOST_LIST_BYTES: Final = 64 * 1024 * 1024


def wanders(told: Told, wanted: Wanted) -> bool:
    """Whether an archive is read to and fro, which needs it as a file in the clear."""
    return told.format == CUSTOM and (wanted.jobs > 1 or bool(wanted.tables))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filling:
    """One restore of one dump into one server."""

    told: Told
    contents: Contents
    wanted: Wanted
    site: Site
    around: Surroundings
    workspace: Path
    tell: Tell
    tablespaces: bool  # whether the server has all of them

    async def fill(self, one: Destination, before_bytes: int, total_bytes: int) -> str:
        """Everything of one database, or its chosen tables; the first warning, if it gave any."""
        source = await self._source(one)
        fill = self._script if self.told.format == PLAIN else self._archive
        watching = asyncio.create_task(self._watch(one, before_bytes, total_bytes))
        try:
            output = await fill(one, source)
        finally:
            watching.cancel()
            await asyncio.wait([watching])
        return _checked(one, output)

    async def _source(self, one: Destination) -> Source:
        """Where it is read from: as a file in the clear where somebody has to go to and fro in it."""
        source = await source_of(self.told, one.entry, self.contents, self.around.programs)
        if not await asyncio.to_thread(source.path.exists):
            raise BackupError(one.entry.file, "is not there", trouble=Trouble.MISSING)
        if not source.piped or not wanders(self.told, self.wanted):
            return source
        clear = self.workspace / f"{one.partial}.dump"
        self.tell(Progress(phase="unpack", total_bytes=one.entry.source_bytes, what=one.entry.name))
        output = await self.around.children.run(
            *source.piped, source=source.reading, into=clear, within_seconds=SECONDS
        )
        output.checked(one.entry.file)
        return Source(path=clear)

    async def _archive(self, one: Destination, source: Source) -> Output:
        program = await asyncio.to_thread(self._program, "pg_restore")
        words = [str(program), f"--dbname={self.site.way.words(one.partial)}", "--no-password", "--exit-on-error"]
        words += [f"--format={'directory' if self.told.format == DIRECTORY else 'custom'}"]
        words += [] if self.tablespaces else ["--no-tablespaces"]
        words += [f"--jobs={self.wanted.jobs}"] if self.wanted.jobs > 1 else []
        if self.wanted.tables:
            words.append(f"--use-list={await self._list(program, one, source)}")
        return await self._run((*words, *source.words), source)

    async def _list(self, program: Path, one: Destination, source: Source) -> Path:
        """The entries that the chosen tables take, in a file."""
        command = Command(words=(str(program), "--list", "--verbose", *source.words))
        output = await self.around.children.run(command, within_seconds=LIST_SECONDS, most_output_bytes=MOST_LIST_BYTES)
        items = listed(output.checked(one.entry.file).text)
        chosen = selection(items, self.wanted.tables, one.entry.properties.roles)
        path = self.workspace / f"{one.partial}.list"
        path.write_text("".join(f"{number};\n" for number in chosen))
        return path

    async def _script(self, one: Destination, source: Source) -> Output:
        await check_script(one.entry.file, source, self.around.children)  # a half one would be taken for a whole one
        words = await asyncio.to_thread(self.psql, one.partial)
        return await self._run((*words, *(() if source.piped else (f"--file={source.path}",))), source)

    def psql(self, database: str) -> tuple[str, ...]:
        """Its words, without what it is to run."""
        program = self._program("psql")
        quiet = ("--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1")
        return (str(program), f"--dbname={self.site.way.words(database)}", *quiet)

    def _program(self, name: str) -> Path:
        """Of the server's version, but never older than what wrote the dump."""
        major = max(self.told.dumped_by, self.site.facts.major)
        return self.around.programs.postgresql(name, major=major, or_newer=True)

    async def _run(self, words: tuple[str, ...], source: Source) -> Output:
        way = self.site.way
        command = Command(words=words, environment=way.environment, secrets=way.secrets)
        return await self.around.children.run(*source.piped, command, source=source.reading, within_seconds=SECONDS)

    async def make_roles(self, script: str) -> None:
        """All or none of them, and through psql alone: what pg_dumpall writes is no plain SQL."""
        path = self.workspace / "roles.sql"
        _write_private(path, script)
        words = await asyncio.to_thread(self.psql, self.site.database)
        output = await self._run((*words, "--single-transaction", f"--file={path}"), Source(path=path))
        output.checked("roles", "make them by hand, and restore without those of the dump")

    async def _watch(self, one: Destination, before_bytes: int, total_bytes: int) -> None:
        """How far it is, by how large the database has become."""
        while True:
            size = 0
            with suppress(BackupError):
                size = await self.site.size_bytes(one.partial)
            done = before_bytes + min(size, one.entry.source_bytes)
            self.tell(Progress(phase=PHASE, done_bytes=done, total_bytes=total_bytes, what=one.name))
            await asyncio.sleep(TICK_SECONDS)


# What pg_restore says of the archive itself. What the server says of a row may quote any word that stands in it.
_UNREADABLE: Final = re.compile(
    r"^pg_restore: (?:error|fatal): (?!could not execute query|COPY failed|error returned by)[^\n]*(?:"
    r"could not read from input file|could not find block ID|could not (?:uncompress|decompress)|unexpected end of file"
    r"|did not find magic string|input file (?:appears|does not appear)|unrecognized data block"
    r"|could not open input file|unexpected block ID|unexpected section code|corrupt)",
    re.MULTILINE,
)


def _checked(one: Destination, output: Output) -> str:
    """What was said though all went well; else why it did not, and whether that is the dump's fault.

    What stands before pg_restore fails too when that one ends early, and each says so in its own way.
    """
    *before, filler = output.ended
    what = f"restore of {one.entry.name}"
    if any(words in ended.said for ended in output.ended if not ended.ok for words in NO_SPACE):
        why = next((ended.why for ended in output.ended if not ended.ok and not ended.cut_off), filler.why)
        raise BackupError(what, why, "make room there", trouble=Trouble.SPACE)
    if any(not ended.ok and not ended.cut_off for ended in before):
        raise unreadable(what, replace(output, ended=tuple(before)))
    if not filler.ok:
        spoiled = _UNREADABLE.search(filler.said) is not None
        raise BackupError(what, filler.why, trouble=Trouble.DAMAGED if spoiled else Trouble.TOOL)
    return output.checked(what).said.strip()


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8", errors="surrogateescape")  # as they were read, whatever they are
