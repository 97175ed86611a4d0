"""How a dump is packed: in which format, compressed by pg_dump itself or by a program behind it, and how to read it."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from backup.children import Children, Command
from backup.errors import BackupError
from backup.programs import Programs
from backup.settings import Job, compression_of
from toban.backups import Trouble

CUSTOM: Final = "custom"
DIRECTORY: Final = "directory"
PLAIN: Final = "plain"
FORMATS: Final = (CUSTOM, DIRECTORY, PLAIN)
NONE: Final = "none"
GZIP: Final = "gzip"
ZSTD: Final = "zstd"
LZ4: Final = "lz4"
ENDINGS: Final = {ZSTD: ".zst", LZ4: ".lz4", GZIP: ".gz"}
LEVELS: Final = {ZSTD: (1, 19), LZ4: (1, 12), GZIP: (1, 9)}
SWIFT_GZIP: Final = 1  # where only gzip can be had, the level that holds up least
OWN_METHODS_SINCE: Final = 16  # before, pg_dump has gzip alone
BRAKE: Final = "pv"  # lets so many bytes a second through
ASKING_SECONDS: Final = 15.0
MOST_NAME_LETTERS: Final = 40
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_UNBUILT: Final = "does not support compression"
_answers: dict[tuple[Path, int, str], bool] = {}  # what each pg_dump has said, asked once


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """What was chosen. `own` is what pg_dump does itself, `pipe` the program behind it; one of them at most."""

    format: str
    own: str | None = None
    pipe: str | None = None
    level: int | None = None
    bytes_a_second: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def compression(self) -> str:
        """As a manifest has it."""
        name = self.own or self.pipe or NONE
        return name if self.level is None else f"{name}:{self.level}"

    @property
    def ending(self) -> str:
        """What the file's name ends with."""
        return (".sql" if self.format == PLAIN else ".dump") + ENDINGS.get(self.pipe or "", "")

    def file(self, place: int, database: str) -> str:
        """The file of a database: numbered, since names are made safe by losing what stands in them."""
        safe = _UNSAFE.sub("_", database)[:MOST_NAME_LETTERS].strip(".") or "_"
        return f"{place}-{safe}{self.ending}"

    def words(self, major: int) -> tuple[str, ...]:
        """What pg_dump is told of it."""
        compress = "0" if self.own is None else self._own_words(major)
        return f"--format={self.format}", f"--compress={compress}"

    def _own_words(self, major: int) -> str:
        if major < OWN_METHODS_SINCE:
            return str(self.level if self.level is not None else 6)
        return self.compression

    def packer(self, programs: Programs) -> tuple[Command, ...]:
        """The programs behind pg_dump, if there are any: one that holds it back, one that packs."""
        found = []
        if self.bytes_a_second is not None:
            found.append(Command(words=(str(programs.other(BRAKE)), "-q", "-L", str(self.bytes_a_second))))
        if self.pipe is not None:
            level = () if self.level is None else (f"-{self.level}",)
            quiet = () if self.pipe == GZIP else ("-q",)
            found.append(Command(words=(str(programs.other(self.pipe)), *quiet, *level, "-c")))
        return tuple(found)


def unpacker(pipe: str | None, programs: Programs) -> tuple[Command, ...]:
    """The program that reads what another wrote behind pg_dump; it checks the sums that lie in there."""
    if pipe is None:
        return ()
    quiet = () if pipe == GZIP else ("-q",)
    return (Command(words=(str(programs.other(pipe)), *quiet, "-d", "-c")),)


async def packing_for(job: Job, pg_dump: Path, major: int, programs: Programs, children: Children) -> Packing:
    """What a job asks for, as far as this pg_dump has it."""
    wanted = job.format or CUSTOM
    if wanted not in FORMATS:
        why = f"a dump of PostgreSQL has no format {wanted}; it is one of {', '.join(FORMATS)}"
        raise BackupError(f"backup {job.name}", why, trouble=Trouble.CONFIGURATION)
    name, level = compression_of(job.compress) or (NONE, None) if job.compress else _default(programs)
    _check_level(job, name, level)
    own = wanted != PLAIN and (name == GZIP or await _has_own(name, pg_dump, major, children))
    return _braked(_packed(job, wanted, (name, level), major, own=own), job, programs)


def _packed(job: Job, wanted: str, compression: tuple[str, int | None], major: int, *, own: bool) -> Packing:
    """By pg_dump itself where it can, else by a pipe; the directory format has no pipe."""
    name, level = compression
    if name == NONE:
        return Packing(format=wanted)
    if own:
        return Packing(format=wanted, own=name, level=level)
    if wanted != DIRECTORY:
        return Packing(format=wanted, pipe=name, level=level)
    note = f"this pg_dump {major} has no {name} for the directory format: gzip at level {SWIFT_GZIP} was taken"
    return Packing(format=wanted, own=GZIP, level=SWIFT_GZIP, notes=(note,) if job.compress else ())


def _braked(packing: Packing, job: Job, programs: Programs) -> Packing:
    """With its limit of bytes a second; where there is no way to keep to it, that is noted."""
    if job.bandwidth is None:
        return packing
    if packing.format != DIRECTORY and programs.has(BRAKE):
        return replace(packing, bytes_a_second=max(1, job.bandwidth))
    why = "the directory format has none" if packing.format == DIRECTORY else f"{BRAKE} is not on this machine"
    return replace(packing, notes=(*packing.notes, f"bandwidth was not limited: {why}"))


def _default(programs: Programs) -> tuple[str, int | None]:
    """Zstandard where there is one; gzip is everywhere."""
    return (ZSTD, None) if programs.has(ZSTD) else (GZIP, SWIFT_GZIP)


def _check_level(job: Job, name: str, level: int | None) -> None:
    if level is not None and not LEVELS[name][0] <= level <= LEVELS[name][1]:
        least, most = LEVELS[name]
        why = f"{name} has levels from {least} to {most}, and {job.compress} asks for {level}"
        raise BackupError(f"backup {job.name}", why, trouble=Trouble.CONFIGURATION)


async def _has_own(name: str, pg_dump: Path, major: int, children: Children) -> bool:
    """Whether this pg_dump was built with a compression: it says so before it looks for a server."""
    if name == NONE or major < OWN_METHODS_SINCE:
        return False
    asked = (pg_dump, major, name)
    if asked not in _answers:
        words = (str(pg_dump), "--format=custom", f"--compress={name}", "--no-password", "--dbname=host='/nonexistent'")
        output = await children.run(Command(words=words), within_seconds=ASKING_SECONDS)
        _answers[asked] = _UNBUILT not in output.said
    return _answers[asked]
