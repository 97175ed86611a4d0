"""Backups in the running daemon: opened when their disk is there, run when they are due, told of every minute.

Nothing here waits on the loop for a disk, and nothing that fails here holds up the watch.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Final

import structlog

from backup.children import Children
from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.keeper import ASKED, Keeper
from backup.keeping.happenings import Happening
from backup.keeping.ledger import Ledger
from backup.keeping.tools import Tools
from backup.keeping.under_way import UnderWay
from backup.programs import Programs
from backup.proof.place import SPARE, sweep
from backup.repository.memory import Memory
from backup.repository.repository import Repository
from backup.schedule import Schedule
from backup.space import Course
from daemon.backups.agenda import Agenda, keys_of
from daemon.backups.looking import Lookout, Seen, Unhurried
from daemon.backups.reading import Readings
from daemon.backups.rounds import again_and_again, bounded
from daemon.backups.standing import component_of
from daemon.backups.streams import Streams, outline
from daemon.backups.telling import collections_of, event_of, oldest_good, unseen
from daemon.backups.workspace import cleared
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
STALE_SECONDS: Final = 1800.0  # how the WAL stood so long ago is no news
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
        self._opening: Unhurried[None] = Unhurried()
        self._under_way = UnderWay()
        self._course = Course()
        self._schedule = Schedule(clock, configuration.zone, random)
        self._events: list[tuple[str, Event]] = []
        self._woken = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._work: set[asyncio.Task[BackupRecord]] = set()
        self._seen: Seen | None = None
        self._standings: Mapping[str, WalStanding] = {}
        self._stood_at = clock.monotonic()
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
        await asyncio.to_thread(cleared, self._workspace)
        self._schedule.start()
        self._tasks = [
            asyncio.create_task(again_and_again(self._tell, self._until_told), name="backups"),
            asyncio.create_task(again_and_again(self._stand, self._until_moved), name="wal standing"),
            asyncio.create_task(again_and_again(self._copy, partial(asyncio.sleep, CATCH_UP_SECONDS)), name="copies"),
            asyncio.create_task(again_and_again(self._read, partial(asyncio.sleep, READ_AGAIN_SECONDS)), name="wal"),
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
        self._opening.close()
        await bounded(JOBS_PART_SECONDS, self._schedule.stop(), *((asyncio.wait(working),) if working else ()))
        if self._streams is not None:
            await bounded(STREAMS_PART_SECONDS, self._streams.stop())
        await bounded(CHILDREN_PART_SECONDS, self._children.close())

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
            self.plan,
            repository,
            around,
            zone=configuration.zone,
            tools=self._tools,
            hear=self._heard,
            under_way=self._under_way,
        )
        if self._ledger is None or self._ledger.of != (self.plan.repository, configuration.node):
            self._ledger = Ledger(self.plan.repository, configuration.node, self._clock)
        self._agenda = Agenda(self._keeper, self._ledger, self.wake)
        if self._readings is None or self._readings.root != self.plan.repository:
            self._readings = Readings(self.plan.repository, around, self._heard)
            self._lookout, self._course, self._seen = Lookout(), Course(), None
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

    async def _until_told(self) -> None:
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
            await self._opening.done(partial(self._open, self._keeper), self._keeper.repository.root)
            self._seen = await self._lookout.look(self._keeper.repository)
            self._looked.set()
            trouble = ""
        except BackupError as error:
            trouble = error.reason
        self._say(trouble)
        if self._seen is not None and self._opened and not trouble:
            await self._plan_ahead(self._keeper, self._seen)
        self._hand_on(self._clock.monotonic() - began)

    async def _open(self, keeper: Keeper) -> None:
        """Once: the repository, what we remember in it, and what is received into it."""
        if self._opened or self._ledger is None:
            return
        await keeper.open()
        if keeper is not self._keeper:  # the configuration has changed while its disk did not answer
            self.wake()
            return
        await self._ledger.open(keys_of(self.plan))
        if self._streams is not None:
            await self._streams.renew(self.plan, keeper.repository)
        self._opened, self._planned = keeper is self._keeper, False

    async def _plan_ahead(self, keeper: Keeper, seen: Seen) -> None:
        """The schedule wants to know when each job last ran."""
        assert self._agenda is not None  # noqa: S101 - it comes with the keeper
        assert self._ledger is not None  # noqa: S101 - likewise
        self._agenda.records = seen.records
        await self._ledger.saw_good(oldest_good(seen.records))
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
            self._planned = False  # what came to nothing meanwhile is still to come
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
                zone=self._configuration.zone,
                standings=self._standings if self._clock.monotonic() - self._stood_at < STALE_SECONDS else {},
                streams=self._streams,
                ledger=self._ledger,
                damaged_wal=self._readings.damaged if self._readings is not None else {},
                full_in_seconds=self._course.full_in_seconds(self._seen.room),
                events=events,
                took_seconds=seconds,
            )
        for collection in found:
            self._accept(collection, self._clock.monotonic() + FRESH_SECONDS)

    async def _stand(self) -> None:
        """How the WAL stands: its own round, since it asks servers and reads WAL; not of a disk that is gone."""
        await self._looked.wait()
        if self._streams is None or self._seen is None or self._trouble:
            return
        before = self._standings
        self._standings = await self._streams.standings(self.plan, self._seen.records)
        self._stood_at = self._clock.monotonic()
        if outline(before) != outline(self._standings):
            self.wake()

    async def _until_moved(self) -> None:
        settling = self._streams is not None and self._streams.settling(self._standings)
        await asyncio.sleep(SOON_SECONDS if settling else TELL_SECONDS / 2)

    async def _read(self) -> None:
        """The WAL read through, day by day."""
        await self._looked.wait()
        if self._readings is not None and self._streams is not None and not self._trouble:
            await self._readings.look(self._streams.kept())

    async def _copy(self) -> None:
        """The second places, kept up."""
        if self._keeper is None or not self._opened or self._trouble:
            return
        try:
            await self._keeper.catch_up(_unheard)
        except BackupError as error:
            logger.warning("copy_behind", why=error.reason)


def _told(configuration: Configuration) -> tuple[object, ...]:
    """All of a configuration that backups depend on."""
    return (configuration.backups, configuration.targets, configuration.timezone, configuration.node)


def _unheard(_: Progress) -> None:
    """Nobody watches."""
