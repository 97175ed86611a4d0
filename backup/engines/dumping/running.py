"""One database, dumped: pg_dump works in a snapshot that a connection of ours holds, and counts its rows in."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import asyncpg

from backup.children import Command, Output
from backup.engines.dumping.counting import Counter, dumped_of, some_of, tables_of
from backup.engines.dumping.ending import SCRIPT_ENDING, check_ending
from backup.engines.dumping.failures import MovedError, explained
from backup.engines.dumping.growing import Growing, growing
from backup.engines.dumping.listening import Listener
from backup.engines.dumping.packing import DIRECTORY, PLAIN, Packing
from backup.engines.dumping.patterns import meant
from backup.engines.dumping.progress import Course
from backup.engines.dumping.properties import Properties, asked
from backup.engines.dumping.survey import Database, Survey, Work, is_gone, refusal
from backup.engines.streams.growth import size_of
from backup.errors import BackupError
from backup.repository.turns import finished
from backup.sql import query
from toban.backups import StoredFile, TableRows, Trouble

ATTEMPTS: Final = 3
TICK_SECONDS: Final = 1.0
TRANSACTION_TIMEOUT_SINCE: Final = 170000
LOST: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
HOLDING: Final[Mapping[str, str]] = {
    "statement_timeout": "0",
    "row_security": "off",  # rather refused than counted in part
    "max_parallel_workers_per_gather": "0",  # the dump is what matters
    "jit": "off",  # it would be compiled for longer than it saves
}
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Dumped:
    """One database in its file."""

    database: Database
    file: str
    properties: Properties
    rows: tuple[TableRows, ...]
    notes: tuple[str, ...]
    digest: StoredFile | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dumping:
    """One database to be dumped into a file of the backup's folder."""

    work: Work
    survey: Survey
    database: Database
    packing: Packing
    place: Path
    file: str
    course: Course

    @property
    def path(self) -> Path:
        """Where it is written."""
        return self.place / self.file

    async def run(self) -> Dumped | None:
        """Dump it; begin again with a new snapshot where a table went away before pg_dump had hold of it.

        None where the database itself has gone by now.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return await self._attempted()
            except MovedError as error:
                await asyncio.to_thread(_remove, self.path)
                if attempt == ATTEMPTS:
                    hint = "dump when no tables are rewritten, emptied or dropped, or leave them out: exclude_tables"
                    why = f"{error}, {ATTEMPTS} times"
                    raise BackupError(self.work.what, why, hint, trouble=Trouble.LOCKED) from None
            except BackupError as error:
                if not is_gone(error):
                    raise
                return None
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def _attempted(self) -> Dumped:
        async with self.work.way.connected(self.database.name, settings=HOLDING) as connection:
            try:
                if self.survey.server.version_number >= TRANSACTION_TIMEOUT_SINCE:
                    await connection.execute("SET transaction_timeout = 0")
                await connection.transaction(isolation="repeatable_read", readonly=True).start()  # ends with it
                snapshot = await connection.fetchval(query(__package__, "exported"))
                return await Attempt(self, connection).run(snapshot)
            except LOST as error:
                if isinstance(error, OSError) and error.filename is not None:
                    raise  # it is of a file of ours, and no word about the server
                raise refusal(self.work, error) from error

    def commands(self, snapshot: str) -> tuple[Command, ...]:
        """The programs, piped: pg_dump, and what packs its output."""
        job, directory = self.work.job, self.packing.format == DIRECTORY
        words = [
            str(self.survey.pg_dump),
            f"--dbname={self.work.way.words(self.database.name)}",
            "--no-password",
            "--verbose",  # tells when it has its locks, and how far it is
            f"--snapshot={snapshot}",
            f"--lock-wait-timeout={round(job.lock_wait * 1000)}",
            *self.packing.words(self.survey.dumped_by),
            *(f"--exclude-table-data={pattern}" for pattern in job.exclude_tables),
        ]
        if self.survey.server.standby:
            words.append("--no-unlogged-table-data")  # which a standby cannot read
        if directory:
            words += [f"--file={self.path}", f"--jobs={job.jobs}", "--no-sync"]  # whoever keeps it syncs it
        way = self.work.way
        dump = Command(words=tuple(words), environment=way.environment, secrets=way.secrets)
        return dump, *self.packing.packer(self.work.around.programs)


class Attempt:
    """One snapshot, held for as long as it takes."""

    def __init__(self, dumping: Dumping, connection: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
        self._of = dumping
        self._connection = connection
        self._listener = Listener(self._reach)
        self._counter = Counter(connection, dumping.database.name, dumping.work.job)
        self._written = 0
        self._unlogged: tuple[str, ...] = ()
        self._properties = Properties()
        self._uncounted: BaseException | None = None

    async def run(self, snapshot: str) -> Dumped:
        """Dump, and beside it look after the snapshot and count in it."""
        of = self._of
        followed = growing(of.path) if of.packing.pipe is not None else nullcontext()
        async with followed as digest, _beside(self._tick()), _beside(self._dump(snapshot)) as dumping:
            async with _beside(self._follow()) as following:
                await asyncio.wait({dumping, following}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()  # the snapshot is of no use: no need to wait for the dump of it
                await dumping
                self._listener.locked.set()
                self._counter.finish()
                await following
            stored = await digest.stored(of.file) if isinstance(digest, Growing) else None
        return self._dumped(stored)

    async def _dump(self, snapshot: str) -> Output:
        of = self._of
        into = None if of.packing.format == DIRECTORY else of.path
        commands = of.commands(snapshot)
        output = await of.work.children.run(
            *commands, within_seconds=of.work.job.timeout, into=into, on_line=self._listener.hear
        )
        if not output.ok:
            raise await explained(of.work, of.database.name, output, self._listener)
        if of.packing.format == PLAIN and of.packing.pipe is None:
            await asyncio.to_thread(check_ending, of.path, SCRIPT_ENDING)
        return output

    async def _follow(self) -> None:
        """All that is asked of the snapshot, one after the other: it is one connection."""
        connection, of = self._connection, self._of
        try:
            tables = await tables_of(connection)
            without = await meant(connection, of.work.job.exclude_tables)
        except asyncpg.LockNotAvailableError as error:
            raise MovedError(f"{of.database.name}: a table was locked as it was looked at") from error
        standby = of.survey.server.standby
        dumped = dumped_of(tables, without, standby=standby)
        self._unlogged = tuple(table.said for table in tables if standby and table.unlogged)
        of.course.know(dumped)
        self._counter.know(dumped)
        self._properties = await asked(connection)
        await self._listener.locked.wait()
        moved = [row for row in await connection.fetch(query(__package__, "moved")) if row["oid"] not in without]
        if moved:
            names = some_of([f"{row['schema']}.{row['name']}" for row in moved])
            raise MovedError(f"{of.database.name}: rewritten, emptied or dropped as the dump began: {names}")
        try:
            await self._counter.run()
        except LOST as error:
            self._uncounted = error

    def _reach(self, table: str) -> None:
        self._counter.reach(table)
        self._of.course.reach(table, self._written)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._written = await asyncio.to_thread(size_of, self._of.path)
            self._of.course.say(self._written)

    def _dumped(self, digest: StoredFile | None) -> Dumped:
        name = self._of.database.name
        warnings = [f"{name}: {line}" for line in self._listener.warnings]
        if self._unlogged:
            without = some_of(self._unlogged)
            warnings.append(f"{name}: without the rows of unlogged tables, which a standby has not: {without}")
        return Dumped(
            database=self._of.database,
            file=self._of.file,
            properties=self._properties,
            rows=tuple(sorted(self._counter.rows, key=lambda one: (one.schema, one.table))),
            notes=(*warnings, *self._counter.notes(self._uncounted)),
            digest=digest,
        )


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, T]) -> AsyncIterator["asyncio.Task[T]"]:
    """Done beside the block, and over with it: what has not ended by then is cancelled, and awaited."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        try:
            await finished(asyncio.wait([task]))  # a time limit and a stop may come one upon the other
        finally:
            if not task.cancelled():
                task.exception()  # looked at: whoever awaits the task has it raised


def _remove(path: Path) -> None:
    """What an attempt has left."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
