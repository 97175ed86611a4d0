"""One attempt at one backup, within its target's turn: estimate, room, the engine, the repository's seal and rename."""

import asyncio
import errno
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from backup.engines.contract import Engine, Estimate, Made, Making, Origin, Surroundings, Tell
from backup.errors import BackupError
from backup.repository.layout import backup_id
from backup.settings import Job
from backup.space import Look, lack_of_room, needed_bytes, no_space, room_of, room_there, watch
from toban.backups import BackupRecord, Manifest, Progress, Status, Trouble
from toban.config import format_duration

if TYPE_CHECKING:
    from backup.repository.repository import Repository

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """All that one attempt needs."""

    job: Job
    origin: Origin
    engine: Engine
    tag: str | None
    repository: "Repository"
    around: Surroundings
    root: Path
    floor: int
    earlier: tuple[BackupRecord, ...]  # the good ones of the target, newest first
    wal_place: Path | None
    tell: Tell
    look: Look = room_of

    async def made(self) -> BackupRecord:
        """The backup, stored. Whatever goes wrong, nothing half-made stays, and why is kept by the repository."""
        draft = draft_of(self.job, self.origin, self.engine.name, self.tag, self.around)
        async with self.repository.making(draft) as partial, self._clear() as clear:
            making = Making(
                id=partial.id,
                job=self.job,
                origin=self.origin,
                place=partial.place,
                earlier=self.earlier,
                around=replace(self.around, children=self.around.children.standing_back(self.job.nice)),
                tell=self.tell,
                wal_place=self.wal_place,
                opened=lambda record: self.repository.contents(record, clear),
            )
            made = await within(self.job.timeout, f"backup {self.job.name}", self._engine(making))
            self.tell(Progress(phase="store"))
            finishing = partial.finish(manifest_of(draft, made), made.digests)
            if self.repository.encryption is None:
                return await finishing
            # What is sealed lies beside what is in the clear for a while: room for both is needed.
            return await beside(finishing, watch(self.root, self.floor, self.look))

    @asynccontextmanager
    async def _clear(self) -> AsyncIterator[Path]:
        """Where what an earlier backup holds lies in the clear for as long as it is built upon."""
        try:
            clear = await asyncio.to_thread(_folder_in, self.around.workspace)
        except OSError as error:
            trouble = Trouble.SPACE if error.errno in (errno.ENOSPC, errno.EDQUOT) else Trouble.PRIVILEGE
            why = f"no folder can be made there: {error.strerror or error}"
            raise BackupError(str(self.around.workspace), why, "it lies beside the state", trouble=trouble) from error
        try:
            yield clear
        finally:
            await asyncio.shield(asyncio.to_thread(shutil.rmtree, clear, ignore_errors=True))

    async def _engine(self, making: Making) -> Made:
        """The engine's work, with an eye on the room."""
        self.tell(Progress(phase="estimate"))
        estimate = await self.engine.estimate(making)
        await self._check_room(estimate)
        return await beside(self.engine.make(making), watch(self.root, self.floor, self.look))

    async def _check_room(self, estimate: Estimate) -> None:
        ours = [record for record in self.earlier if record.manifest.name == self.job.name]
        why = lack_of_room(await room_there(self.root, self.look), needed_bytes(estimate, ours), self.floor)
        if why:
            raise no_space(why)


def _folder_in(workspace: Path) -> Path:
    workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix="parent-", dir=workspace))


def draft_of(job: Job, origin: Origin, engine: str, tag: str | None, around: Surroundings) -> Manifest:
    """What can be said of a backup beforehand."""
    now = around.clock.now()
    return Manifest(
        id=backup_id(job.name, now),
        name=job.name,
        target=job.target,
        kind=origin.kind,
        method=job.method,
        engine=engine,
        scope=job.type,
        tag=tag,
        created_at=now,
        finished_at=now,
        node=around.node,
    )


def good_ones(records: tuple[BackupRecord, ...]) -> tuple[BackupRecord, ...]:
    """Those that something may be built on."""
    return tuple(record for record in records if record.status is Status.OK)


def manifest_of(draft: Manifest, made: Made) -> Manifest:
    """What the engine says of it, put into the manifest; the rest is the repository's to fill in."""
    return replace(
        draft,
        scope=made.scope,
        parent=made.parent,
        source_bytes=made.source_bytes,
        server_version=made.server_version,
        system_identifier=made.system_identifier,
        start_lsn=made.start_lsn,
        stop_lsn=made.stop_lsn,
        timeline=made.timeline,
        databases=made.databases,
        rows=made.rows,
        tools=made.tools,
        compression=made.compression,
        notes=made.notes,
        phases=made.phases,
        detail=made.detail,
    )


async def within(seconds: float, what: str, work: Coroutine[Any, Any, T]) -> T:
    """The work, or that it took too long."""
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise
        why = f"not done within {format_duration(seconds)}"
        raise BackupError(what, why, "raise its timeout", trouble=Trouble.TIMEOUT) from None


async def beside(work: Coroutine[Any, Any, T], watching: Coroutine[Any, Any, None]) -> T:
    """The work, ended as soon as who watches raises; both are over when this is."""
    tasks = working, eye = asyncio.create_task(work), asyncio.create_task(watching)
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        for task in tasks:
            task.cancel()
        await _over(tasks)
    error = eye.exception() if not eye.cancelled() else None
    raise error if error is not None else asyncio.CancelledError


async def _over(tasks: tuple[asyncio.Task[Any], ...]) -> None:
    """Wait until they are, however often we are told to go meanwhile: each of them has been told already."""
    asked: asyncio.CancelledError | None = None
    while not all(task.done() for task in tasks):
        try:
            await asyncio.wait(tasks)
        except asyncio.CancelledError as error:
            asked = error
    for task in tasks:
        with suppress(asyncio.CancelledError):
            task.exception()
    if asked is not None:
        raise asked
