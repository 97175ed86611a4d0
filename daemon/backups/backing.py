"""Backups in the running daemon: opened when their disk is there, run when they are due, told of every minute.

Nothing here waits on the loop for a disk, and nothing that fails here holds up the watch.
"""

import asyncio
import fcntl
import os
import shutil
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Final

import structlog

from backup.children import Children
from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.keeper import ASKED, Keeper
from backup.keeping.happenings import Happening
from backup.keeping.ledger import Ledger
from backup.keeping.tools import Tools
from backup.programs import Programs
from backup.proof.place import PREFIX, SPARE, sweep
from backup.repository.memory import Memory
from backup.repository.repository import Repository
from backup.schedule import Schedule
from backup.space import Course
from daemon.backups.agenda import Agenda, keys_of
from daemon.backups.looking import Lookout, Seen
from daemon.backups.reading import Readings
from daemon.backups.standing import component_of
from daemon.backups.streams import Streams, outline
from daemon.backups.telling import collections_of, event_of, unseen
from daemon.configuration.backing import plan_of
from daemon.configuration.tree import Configuration
from toban.backups import BackupRecord, Progress, WalStanding
from toban.clock import Clock, moment
from toban.errors import TobanError
from toban.samples import Collection
from toban.status import Component

if TYPE_CHECKING:
    from backup.plan import Plan
    from toban.events import Event

TELL_SECONDS: Final = 60.0
FRESH_SECONDS: Final = 2.5 * TELL_SECONDS
CATCH_UP_SECONDS: Final = 600.0
READ_AGAIN_SECONDS: Final = 120.0
SOON_SECONDS: Final = 5.0
JOBS_PART_SECONDS: Final = 5.5  # a program deaf to SIGTERM has five
STREAMS_PART_SECONDS: Final = 1.2
CHILDREN_PART_SECONDS: Final = 0.5
MOST_EVENTS: Final = 200

logger = structlog.get_logger(__name__)
Accept = Callable[[Collection, float], None]


class Backing:
    """The daemon's backups: `start`, `renew` at a reload, `stop`; and what is asked of them in between."""

    def __init__(
        self, configuration: Configuration, *, clock: Clock, accept: Accept, random: Random, tools: Tools | None = None
    ) -> None:
        self._clock = clock
        self._accept = accept
        self._tools = tools
        self._children = Children()
        self._workspace = configuration.state_path.with_suffix(".work")
        self._lookout = Lookout()
        self._course = Course()
        self._schedule = Schedule(clock, configuration.zone, random)
        self._events: list[tuple[str, Event]] = []
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._work: set[asyncio.Task[BackupRecord]] = set()
        self._seen: Seen | None = None
        self._standings: Mapping[str, WalStanding] = {}
        self._trouble = ""
        self._opened = self._planned = False
        self._looked = asyncio.Event()
        self._keeper: Keeper | None = None
        self._agenda: Agenda | None = None
        self._streams: Streams | None = None
        self._ledger: Ledger | None = None
        self._readings: Readings | None = None
        self._take(configuration)

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Begin; the repository is opened as soon as it is there."""
        await asyncio.to_thread(_cleared, self._workspace)
        self._schedule.start()
        self._tasks = [
            asyncio.create_task(self._keep_telling(), name="backups"),
            asyncio.create_task(self._keep_standing(), name="wal standing"),
            asyncio.create_task(self._keep_copies(), name="copies"),
            asyncio.create_task(self._keep_reading(), name="wal read through"),
            asyncio.create_task(self._sweep(), name="scratch places"),
        ]

    async def _sweep(self) -> None:
        """What proofs and drills of an earlier life left, servers among it; one that is under way holds its lease."""
        named = self._configuration.backups.proof.workspace
        for left in await sweep(self._workspace, *([named] if named is not None else []), SPARE):
            logger.info("scratch_place_swept", place=left)

    async def renew(self, configuration: Configuration) -> None:
        """A changed configuration. What is under way goes on as it was begun."""
        if _told(configuration) == _told(self._configuration):
            return
        self._take(configuration)
        self._opened = False
        self.wake()

    async def stop(self) -> None:
        """First the jobs, then what receives WAL, and last of all the guardian, which ends what is left; bounded."""
        working = [*self._tasks, *self._work]
        for task in working:
            task.cancel()
        await _bounded(JOBS_PART_SECONDS, self._schedule.stop(), *((asyncio.wait(working),) if working else ()))
        if self._streams is not None:
            await _bounded(STREAMS_PART_SECONDS, self._streams.stop())
        await _bounded(CHILDREN_PART_SECONDS, self._children.close())

    def wake(self) -> None:
        """Something has happened: tell of it now."""
        self._woken.set()

    # --- what is asked of it ------------------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether any backups are configured."""
        return self.plan.active

    def records(self) -> Sequence[BackupRecord]:
        """Every backup there is, newest first. It reads a disk: called in a thread."""
        return self._kept().repository.records()

    def begin(self, job: str, *, tag: str | None, why: str, tell: Tell) -> "asyncio.Task[BackupRecord]":
        """Make one now. The work is ours: it ends when the daemon stops, and not before."""
        keeper = self._kept()
        keeper.plan.job(job)
        logger.info("backup_begun", backup=job, why=why, tag=tag)
        task = asyncio.create_task(self._made(keeper, job, tag, tell), name=f"backup {job}")
        self._work.add(task)
        task.add_done_callback(self._over)
        return task

    async def run(self, job: str, why: str) -> BackupRecord:
        """Make one now, and wait for it; tagged by what it is for."""
        return await asyncio.shield(self.begin(job, tag=None, why=why, tell=_unheard))

    async def obstacle(self, job: str) -> str:
        """Why a backup must not be begun now; empty where it may."""
        try:
            return await self._kept().obstacle(job)
        except TobanError as error:
            return error.line.removeprefix("toban: ")

    def component(self) -> Component | None:
        """How backups stand, for the overall health; None where none are configured."""
        if not self.active:
            return None
        records = self._seen.records if self._seen is not None else None
        return component_of(self.plan, records, self._trouble, self._streams.troubles() if self._streams else {})

    # --- inside -------------------------------------------------------------------------------------------------------

    def _take(self, configuration: Configuration) -> None:
        self._configuration = configuration
        self.plan: Plan = plan_of(configuration)
        if self.plan.repository is None:
            self._keeper = self._agenda = self._ledger = self._readings = None
            return
        around = Surroundings(
            clock=self._clock,
            children=self._children,
            programs=Programs(self.plan.settings.programs),
            workspace=self._workspace,
            node=configuration.node,
        )
        memory = Memory.beside(configuration.state_path)
        repository = Repository(self.plan.repository, around=around, encryption=self.plan.encryption, memory=memory)
        self._keeper = Keeper(
            self.plan, repository, around, zone=configuration.zone, tools=self._tools, hear=self._heard
        )
        self._ledger = Ledger(self.plan.repository, configuration.node, self._clock)
        self._agenda = Agenda(self._keeper, self._ledger, self.wake)
        if self._readings is None or self._readings.root != self.plan.repository:
            self._readings = Readings(self.plan.repository, around, self._heard)
        self._readings.around = around
        self._streams = self._streams or Streams(around)
        self._streams.around = around

    def _kept(self) -> Keeper:
        if self._keeper is None:
            raise BackupError("backups", "none are configured", "name a repository under backups")
        return self._keeper

    async def _made(self, keeper: Keeper, job: str, tag: str | None, tell: Tell) -> BackupRecord:
        await keeper.open()
        return await keeper.run(job, tell, tag=tag, manner=ASKED)

    def _over(self, task: "asyncio.Task[BackupRecord]") -> None:
        self._work.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, TobanError):  # those are told where they happen
            logger.error("backup_fault", backup=task.get_name(), exc_info=error)
        self.wake()

    def _heard(self, happening: Happening) -> None:
        del self._events[: -MOST_EVENTS + 1]
        self._events.append((happening.target, event_of(happening, self._clock.now())))
        self.wake()

    async def _keep_telling(self) -> None:
        while True:
            try:
                await self._tell()
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("backups_fault")
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_SECONDS):
                    await self._woken.wait()
            self._woken.clear()

    async def _tell(self) -> None:
        """One look, and what it shows."""
        if self._keeper is None:
            await self._withdraw()
            return
        began = self._clock.monotonic()
        try:
            await self._open(self._keeper)
            self._seen = await self._lookout.look(self._keeper.repository)
            self._looked.set()
            trouble = ""
        except BackupError as error:
            trouble = error.reason
        self._say(trouble)
        if self._seen is not None and not trouble:
            await self._plan_ahead(self._keeper, self._seen)
        self._hand_on(self._clock.monotonic() - began)

    async def _open(self, keeper: Keeper) -> None:
        """Once: the repository, what we remember in it, and what is received into it."""
        if self._opened or self._ledger is None:
            return
        await keeper.open()
        await self._ledger.open(keys_of(self.plan))
        self._opened, self._planned = True, False
        if self._streams is not None:
            await self._streams.renew(self.plan, keeper.repository)

    async def _plan_ahead(self, keeper: Keeper, seen: Seen) -> None:
        """The schedule wants to know when each job last ran."""
        assert self._agenda is not None  # noqa: S101 - it comes with the keeper
        self._agenda.records = seen.records
        if not self._planned:
            self._planned = True
            self._schedule.renew(self._agenda.entries(), keeper.zone)
            logger.info("backups_planned", next=self._upcoming())

    def _upcoming(self) -> dict[str, str]:
        zone = self._configuration.zone
        upcoming = self._schedule.upcoming().items()
        return {key: moment(at).astimezone(zone).isoformat(timespec="seconds") for key, at in upcoming}

    async def _withdraw(self) -> None:
        """No backups are configured any more."""
        self._schedule.renew((), self._configuration.zone)
        if self._streams is not None:
            await self._streams.stop()
        self._seen = None

    def _say(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            logger.error("repository_trouble", why=trouble)
        elif self._trouble and not trouble:
            logger.info("repository_usable_again")
        self._trouble = trouble

    def _hand_on(self, seconds: float) -> None:
        events, self._events = self._events, []
        now = self._clock.now()
        if self._seen is None or self._trouble:
            found = unseen(self.plan, self._trouble, events, now)
        else:
            self._course.note(now, self._seen.room)
            found = collections_of(
                self.plan,
                self._seen,
                now=now,
                standings=self._standings,
                streams=self._streams,
                ledger=self._ledger,
                damaged_wal=self._readings.damaged if self._readings is not None else {},
                full_in_seconds=self._course.full_in_seconds(self._seen.room),
                events=events,
                took_seconds=seconds,
            )
        for collection in found:
            self._accept(collection, self._clock.monotonic() + FRESH_SECONDS)

    async def _keep_standing(self) -> None:
        """How the WAL stands: its own round, since it asks servers and reads WAL."""
        await self._looked.wait()
        while True:
            try:
                if self._streams is not None and self._seen is not None:
                    before, self._standings = (
                        self._standings,
                        await self._streams.standings(self.plan, self._seen.records),
                    )
                    if outline(before) != outline(self._standings):
                        self.wake()
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("backups_fault")
            settling = self._streams is not None and self._streams.settling(self._standings)
            await asyncio.sleep(SOON_SECONDS if settling else TELL_SECONDS / 2)

    async def _keep_reading(self) -> None:
        """The WAL read through, day by day."""
        await self._looked.wait()
        while True:
            try:
                if self._readings is not None and self._streams is not None:
                    await self._readings.look(self._streams.kept())
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("backups_fault")
            await asyncio.sleep(READ_AGAIN_SECONDS)

    async def _keep_copies(self) -> None:
        while True:
            await asyncio.sleep(CATCH_UP_SECONDS)
            try:
                if self._keeper is not None and self._opened:
                    await self._keeper.catch_up(_unheard)
            except BackupError as error:
                logger.warning("copy_behind", why=error.reason)
            except Exception:  # copies that lag must not end what keeps backups
                logger.exception("backups_fault")


async def _bounded(seconds: float, *parting: Coroutine[Any, Any, object]) -> None:
    """Wait for all of them, but no longer."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.gather(*parting, return_exceptions=True)


def _told(configuration: Configuration) -> tuple[object, ...]:
    """All of a configuration that backups depend on."""
    return (configuration.backups, configuration.targets, configuration.timezone, configuration.node)


def _unheard(_: Progress) -> None:
    """Nobody watches."""


def _cleared(workspace: Path) -> None:
    """What an earlier life left: password files among it. Scratch places have leases, and go by those.

    Commands work elsewhere, unless a person named this folder to one: that one holds a lock on its own.
    """
    with suppress(OSError):
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in workspace.iterdir():
            if left.name.startswith(PREFIX) or _is_held(left):
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_held(left: Path) -> bool:
    """Whether it is a folder that somebody holds a lock on."""
    try:
        handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
