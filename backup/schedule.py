"""Runs what is due: APScheduler's loop, and our own reading of cron lines.

APScheduler's crontab counts weekdays from Monday and keeps summer time otherwise than cron does, and it remembers
nothing; so the trigger is ours (`backup/keeping/due.py`), and the last runs come from the repository.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from random import Random
from typing import Final

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

from backup.keeping.due import is_open, moments_around, next_due
from backup.settings import Window
from toban.clock import Clock

LOOK_SECONDS: Final = 20.0  # a timer runs by the pace of time, a schedule by the wall clock: look whether they agree
JUMP_SECONDS: Final = 60.0
PART_SECONDS: Final = 6.0
AGAIN_SECONDS: Final = 600.0  # a run that came to nothing, and is still to come, waits so long

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to be run again and again. `run` is told the moment that it is run for; it raises nothing.

    It says False of a run that does not count, as nobody's turn came: then its moment is still to come.
    """

    key: str  # as nightly, or drill:quarterly
    line: str
    run: Callable[[float], Awaitable[bool | None]]
    known_since: float
    last_begun: Callable[[], float | None]
    attempts: Callable[[float], int] = lambda _: 0
    window: Window | None = None
    jitter_seconds: float = 0.0
    first_at: float | None = None  # when to run for the first time, where that must not wait for a moment of the line


class CronTrigger(BaseTrigger):  # type: ignore[misc] # APScheduler carries no types
    """When an entry is due, in APScheduler's words."""

    def __init__(self, entry: Entry, zone: tzinfo, random: Random, *, missed_from: float = 0.0) -> None:
        self.entry = entry
        self.zone = zone
        self._random = random
        self._missed_from = missed_from  # what was missed is caught up no earlier

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime | None:
        """The next time, after the one before."""
        entry, begun = self.entry, self.entry.last_begun()
        if previous_fire_time is not None:
            begun = max(begun or 0.0, previous_fire_time.timestamp())
        due = next_due(
            entry.line,
            now=now.timestamp(),
            zone=self.zone,
            last_begun=begun,
            known_since=entry.known_since,
            window=entry.window,
            attempts=entry.attempts,
            first_at=entry.first_at,
        )
        if due is None:
            return None
        at = max(due.at, self._missed_from) if due.at <= now.timestamp() else due.at
        later = at + self._random.uniform(0.0, entry.jitter_seconds)
        chosen = later if is_open(entry.window, later, self.zone) else at  # at random, but not beyond its window
        return datetime.fromtimestamp(chosen, self.zone)


class Schedule:
    """The entries and the loop that runs them; each at most once at a time."""

    def __init__(self, clock: Clock, zone: tzinfo, random: Random) -> None:
        self._clock = clock
        self._zone = zone
        self._random = random
        self._scheduler: AsyncIOScheduler | None = None
        self._entries: dict[str, Entry] = {}
        self._running: dict[str, asyncio.Task[bool]] = {}
        self._looking: asyncio.Task[None] | None = None
        self._offset = clock.now() - clock.monotonic()

    def start(self) -> None:
        """From now on what is due runs; what was missed at once."""
        self._scheduler = AsyncIOScheduler(timezone=self._zone)
        self._scheduler.start()
        self._looking = asyncio.create_task(self._look(), name="schedule")
        self._put()

    def renew(self, entries: Iterable[Entry], zone: tzinfo) -> None:
        """Other entries, or another zone. What runs goes on."""
        self._entries = {entry.key: entry for entry in entries}
        self._zone = zone
        if self._scheduler is not None:
            self._put()

    async def stop(self) -> None:
        """Begin nothing more, and end what runs: bounded."""
        if self._looking is not None:
            self._looking.cancel()
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
        running = list(self._running.values())
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running, timeout=PART_SECONDS)
        self._scheduler = None

    def upcoming(self) -> dict[str, float]:
        """When each entry runs next."""
        jobs = self._scheduler.get_jobs() if self._scheduler is not None else ()
        return {job.id: job.next_run_time.timestamp() for job in jobs if job.next_run_time is not None}

    def _put(self) -> None:
        """All entries anew: each is asked when it is due."""
        assert self._scheduler is not None  # noqa: S101 - only called once it is there
        self._scheduler.remove_all_jobs()
        for entry in self._entries.values():
            self._plan(entry)

    def _plan(self, entry: Entry, *, missed_from: float = 0.0) -> None:
        assert self._scheduler is not None  # noqa: S101 - only called once it is there
        self._scheduler.add_job(
            self._fire,
            CronTrigger(entry, self._zone, self._random, missed_from=missed_from),
            args=(entry,),
            id=entry.key,
            coalesce=True,
            max_instances=1,
            misfire_grace_time=None,  # late is better than not at all
            replace_existing=True,
        )

    async def _fire(self, entry: Entry) -> None:
        """One run, kept so that it can be ended and seen to end; one that does not count is planned anew."""
        if entry.key in self._running:
            logger.warning("still_running", what=entry.key)
            return
        moment = self._moment(entry)
        task = asyncio.create_task(self._supervised(entry, moment), name=entry.key)
        self._running[entry.key] = task
        task.add_done_callback(lambda _: self._running.pop(entry.key, None))
        await asyncio.wait([task])
        current = self._entries.get(entry.key)
        if self._scheduler is not None and current is not None and not task.cancelled() and not task.result():
            self._plan(current, missed_from=self._clock.now() + AGAIN_SECONDS)

    def _moment(self, entry: Entry) -> float:
        """The cron line's latest moment that this run is for."""
        last, _ = moments_around(entry.line, self._clock.now(), self._zone)
        return last if last is not None else self._clock.now()

    async def _supervised(self, entry: Entry, moment: float) -> bool:
        """Whether it counts."""
        try:
            return await entry.run(moment) is not False
        except Exception:  # one entry's fault keeps no other from its moment
            logger.exception("schedule_fault", what=entry.key)
            return True

    async def _look(self) -> None:
        """Whether the wall clock has been set, and whether something is due that a timer does not know of yet."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            offset = self._clock.now() - self._clock.monotonic()
            if abs(offset - self._offset) > JUMP_SECONDS:
                logger.warning("clock_jumped", seconds=round(offset - self._offset))
                self._offset = offset
                self._put()
            elif self._scheduler is not None:
                self._scheduler.wakeup()
