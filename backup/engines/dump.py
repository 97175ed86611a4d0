"""Dumps of PostgreSQL: what the databases say of themselves, each in one snapshot, with its rows counted in it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Final

import asyncpg

from backup.engines.contract import Estimate, Looking, Made, Making
from backup.engines.dumping.packing import DIRECTORY, NONE, PLAIN, Packing, packing_for
from backup.engines.dumping.progress import USUAL_RATIO, Course
from backup.engines.dumping.properties import creation, dressing, settings
from backup.engines.dumping.reading import Entry, Told, keep_settings, read_through
from backup.engines.dumping.roles import FILE as GLOBALS
from backup.engines.dumping.roles import dump_globals
from backup.engines.dumping.running import Dumped, Dumping
from backup.engines.dumping.survey import Survey, Work, check_readable, refusal, surveyed, working
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
        """The databases' sizes; what the last dump came to, in proportion. Every table is looked at for our rights."""
        async with working(making) as work:
            with _refused(work):
                survey = await surveyed(work)
                await check_readable(work, survey)
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
    with _refused(work):
        survey = await surveyed(work)
    packing = await _packing(work, survey)
    looked = clock.monotonic()
    try:
        async with asyncio.TaskGroup() as beside:
            tools = beside.create_task(asyncio.to_thread(_tools, work, survey, packing))
            roles = beside.create_task(_globals(making, work, survey))
            dumped = await _dumped(making, work, survey, packing)
    except BaseExceptionGroup as failed:  # the first of them has ended the others
        raise failed.exceptions[0] from failed.exceptions[0].__cause__
    kept = await asyncio.to_thread(keep_settings, making.place, {one.database.name: one.properties for one in dumped})
    phases = dict(zip(PHASES, (looked - begun, roles.result()[1], clock.monotonic() - looked), strict=True))
    notes = (*survey.notes, *packing.notes, *roles.result()[0], *(note for one in dumped for note in one.notes))
    return Made(
        source_bytes=sum(one.database.size_bytes for one in dumped),
        server_version=survey.server.version,
        system_identifier=survey.server.system_identifier,
        start_lsn=survey.server.lsn,
        timeline=survey.server.timeline,
        databases=tuple(one.database.name for one in dumped),
        rows=tuple(row for one in dumped for row in one.rows),
        tools=tools.result(),
        compression=packing.compression,
        notes=(*notes, *_gone(work, survey, dumped)),
        phases=phases,
        detail=replace(_told(making, survey, packing, dumped), settings=kept).as_json(),
        digests={one.file: one.digest for one in dumped if one.digest is not None},
    )


@contextmanager
def _refused(work: Work) -> Iterator[None]:
    try:
        yield
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        raise refusal(work, error) from error


async def _globals(making: Making, work: Work, survey: Survey) -> tuple[tuple[str, ...], float]:
    """What belongs to no database, into its file; what is to be noted of it, and the seconds it took."""
    if not making.job.globals_:
        return (), 0.0
    begun = making.around.clock.monotonic()
    making.tell(Progress(phase="globals", total_bytes=survey.source_bytes))
    notes = await dump_globals(work, survey, making.place)
    return notes, making.around.clock.monotonic() - begun


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
        dumped = await dumping.run()
        before += database.size_bytes
        if dumped is not None:
            await asyncio.to_thread(_finish, making.place / file, packing, dumped, survey)
            found.append(dumped)
    return tuple(found)


def _gone(work: Work, survey: Survey, dumped: tuple[Dumped, ...]) -> list[str]:
    """A note for each database that was dropped before its turn; a backup of none at all is no backup."""
    names = [one.name for one in survey.databases if one not in {done.database for done in dumped}]
    if not dumped:
        raise BackupError(work.what, f"dropped before it could be dumped: {', '.join(names)}", trouble=Trouble.MISSING)
    return [f"database {name} is not in it: it was dropped or renamed before its turn" for name in names]


def _finish(path: Path, packing: Packing, dumped: Dumped, survey: Survey) -> None:
    """Ours alone, whatever pg_dump made it; and beside a script what makes its database, for whoever has psql only."""
    if packing.format == DIRECTORY:
        path.chmod(0o700)
        for member in path.iterdir():
            member.chmod(0o600)
    if packing.format == PLAIN:
        name, properties = dumped.database.name, dumped.properties
        made = creation(name, properties, version=survey.server.version_number)
        said = (made, *settings(name, properties), *dressing(name, properties))
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
            properties=replace(one.properties, settings=()),
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
