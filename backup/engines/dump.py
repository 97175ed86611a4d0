"""Dumps of PostgreSQL: what the databases say of themselves, each in one snapshot, with its rows counted in it."""

import asyncio
from pathlib import Path
from typing import ClassVar, Final

import asyncpg

from backup.engines.contract import Estimate, Looking, Made, Making
from backup.engines.dumping.packing import DIRECTORY, NONE, PLAIN, Packing, packing_for
from backup.engines.dumping.progress import USUAL_RATIO, Course
from backup.engines.dumping.properties import creation, dressing
from backup.engines.dumping.reading import Entry, Told, read_through
from backup.engines.dumping.roles import FILE as GLOBALS
from backup.engines.dumping.roles import dump_globals
from backup.engines.dumping.running import Dumped, Dumping
from backup.engines.dumping.survey import Survey, Work, refusal, surveyed, working
from backup.errors import BackupError
from backup.programs import version_text
from toban.backups import Check, Manifest, Method, Progress, Trouble

PHASES: Final = ("survey", "globals", "dump")
CREATION_ENDING: Final = ".create.sql"


class Dump:
    """pg_dump, a file or folder for each database."""

    name: ClassVar[str] = "dump"
    method: ClassVar[Method] = Method.DUMP
    kinds: ClassVar[frozenset[str]] = frozenset({"postgresql"})

    async def estimate(self, making: Making) -> Estimate:
        """The databases' sizes; what the last dump came to, in proportion."""
        async with working(making) as work:
            survey = await _surveyed(work)
            await _packing(work, survey)
        earlier = _earlier(making)
        if earlier is None:
            return Estimate(source_bytes=survey.source_bytes)
        size = round(earlier.size_bytes * survey.source_bytes / (earlier.source_bytes or 1))
        return Estimate(source_bytes=survey.source_bytes, size_bytes=size)

    async def make(self, making: Making) -> Made:
        """Every chosen database, and what belongs to none."""
        async with working(making) as work:
            try:
                async with asyncio.timeout(making.job.timeout):
                    return await _made(making, work)
            except TimeoutError:
                why = f"not done within {making.job.timeout:.0f} s"
                raise BackupError(work.what, why, trouble=Trouble.TIMEOUT) from None

    async def verify(self, looking: Looking) -> tuple[Check, ...]:
        """Every file wholly, by the programs that would restore it."""
        return await read_through(looking)


async def _made(making: Making, work: Work) -> Made:
    clock = making.around.clock
    begun = clock.monotonic()
    survey = await _surveyed(work)
    packing = await _packing(work, survey)
    looked = clock.monotonic()
    notes = list(packing.notes)
    if making.job.globals_:
        making.tell(Progress(phase="globals", total_bytes=survey.source_bytes))
        notes += await dump_globals(work, survey, making.place)
    written = clock.monotonic()
    dumped = await _dumped(making, work, survey, packing)
    notes += [note for one in dumped for note in one.notes]
    done = clock.monotonic()
    phases = dict(zip(PHASES, (looked - begun, written - looked, done - written), strict=True))
    return Made(
        source_bytes=sum(one.database.size_bytes for one in dumped),
        server_version=survey.server.version,
        system_identifier=survey.server.system_identifier,
        start_lsn=survey.server.lsn,
        timeline=survey.server.timeline,
        databases=tuple(one.database.name for one in dumped),
        rows=tuple(row for one in dumped for row in one.rows),
        tools=await asyncio.to_thread(_tools, work, survey, packing),
        compression=packing.compression,
        notes=tuple(notes),
        phases=phases,
        detail=_told(making, survey, packing, dumped).as_json(),
        digests={one.file: one.digest for one in dumped if one.digest is not None},
    )


async def _surveyed(work: Work) -> Survey:
    try:
        return await surveyed(work)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise refusal(work, error) from error


async def _packing(work: Work, survey: Survey) -> Packing:
    return await packing_for(work.job, survey.pg_dump, survey.dumped_by, work.around.programs, work.children)


async def _dumped(making: Making, work: Work, survey: Survey, packing: Packing) -> tuple[Dumped, ...]:
    """One after the other; one that was dropped meanwhile is left out."""
    ratio, before, found = _ratio(making, packing), 0, []
    for place, database in enumerate(survey.databases, start=1):
        course = Course(
            tell=making.tell,
            database=database.name,
            size_bytes=database.size_bytes,
            before_bytes=before,
            total_bytes=survey.source_bytes,
            ratio=ratio,
        )
        file = packing.file(place, database.name)
        dumping = Dumping(
            work=work,
            survey=survey,
            database=database,
            packing=packing,
            place=making.place,
            file=file,
            course=course,
        )
        found.append(await dumping.run())
        before += database.size_bytes
        await asyncio.to_thread(_finish, making.place / file, packing, found[-1], survey)
    return tuple(found)


def _finish(path: Path, packing: Packing, dumped: Dumped, survey: Survey) -> None:
    """Ours alone, whatever pg_dump made it; and beside a script what makes its database, for whoever has psql only."""
    if packing.format == DIRECTORY:
        path.chmod(0o700)
        for member in path.iterdir():
            member.chmod(0o600)
    if packing.format == PLAIN:
        name, properties = dumped.database.name, dumped.properties
        said = (creation(name, properties, version=survey.server.version_number), *dressing(name, properties))
        beside = path.with_name(path.name.removesuffix(packing.ending) + CREATION_ENDING)
        beside.touch(mode=0o600, exist_ok=False)
        beside.write_text("".join(f"{statement};\n" for statement in said), encoding="utf-8")


def _told(making: Making, survey: Survey, packing: Packing, dumped: tuple[Dumped, ...]) -> Told:
    entries = [
        Entry(
            name=one.database.name,
            file=one.file,
            pipe=packing.pipe,
            source_bytes=one.database.size_bytes,
            properties=one.properties,
        )
        for one in dumped
    ]
    with_globals = making.job.globals_
    return Told(
        format=packing.format,
        dumped_by=survey.dumped_by,
        globals=GLOBALS if with_globals else None,
        passwords=with_globals and survey.server.sees_passwords,
        entries=tuple(entries),
    )


def _tools(work: Work, survey: Survey, packing: Packing) -> dict[str, str]:
    """Each program with what it says of its version."""
    programs = [survey.pg_dump, *([survey.pg_dumpall] if work.job.globals_ else [])]
    programs += [Path(command.words[0]) for command in packing.packer(work.around.programs)]
    return {program.name: version_text(program) for program in programs}


def _earlier(making: Making) -> Manifest | None:
    """The last dump of the same job that tells of sizes."""
    told = (record.manifest for record in making.earlier)
    ours = (one for one in told if one.name == making.job.name and one.engine == Dump.name)
    return next((one for one in ours if one.size_bytes and one.source_bytes), None)


def _ratio(making: Making, packing: Packing) -> float:
    """Of what is read to what is written, as far as one can know."""
    earlier = _earlier(making)
    if earlier is not None and earlier.compression == packing.compression:
        return (earlier.source_bytes or 0) / earlier.size_bytes
    return 1.0 if packing.compression == NONE else USUAL_RATIO
