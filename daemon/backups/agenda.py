"""What is due when: every job with a schedule, the proofs and the drills, as entries of the schedule."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Final

import structlog

from backup.errors import BackupError
from backup.keeper import SCHEDULED, Keeper
from backup.keeping.ledger import Ledger
from backup.plan import Plan
from backup.repository.turns import finished
from backup.schedule import Entry
from backup.settings import Job, Window
from toban.backups import BackupRecord, Method, Progress, Scope, Status, Trouble
from toban.errors import TobanError

PROOF: Final = "proof:"
READING: Final = "reading:"
FIRST_SECONDS: Final = 300.0  # after the start: long enough to look around, and to stop us
NO_RUN: Final = frozenset({Trouble.CANCELLED, Trouble.BUSY})
"""After these the run is still to come: we ended it, or somebody else was at work."""

Run = Callable[[float], Awaitable[bool]]

logger = structlog.get_logger(__name__)


def keys_of(plan: Plan) -> tuple[str, ...]:
    """What a ledger remembers of: jobs, also those on demand and of WAL, the proofs, the readings, the drills."""
    return (*(job.name for job in plan.jobs), PROOF, READING, *(drill_key(drill.name) for drill in plan.drills))


def drill_key(name: str) -> str:
    """A drill's key; no job has a colon in its name."""
    return f"drill:{name}"


class Agenda:
    """Makes the entries, and runs what they are for."""

    def __init__(self, keeper: Keeper, ledger: Ledger, over: Callable[[], None]) -> None:
        self._keeper = keeper
        self._ledger = ledger
        self._over = over
        self.records: tuple[BackupRecord, ...] = ()
        """As they were last seen: when each job last ran."""

    def entries(self) -> Iterator[Entry]:
        """Everything that has a schedule."""
        plan = self._keeper.plan
        for job in plan.jobs:
            if job.schedule is not None:
                first_at = self._first_at(job)
                run = partial(self._run, job.name, partial(self._back_up, job.name))
                if first_at is not None:
                    run = partial(self._first, job.target, [first_at], run)
                begun = partial(self._last_run, job.name)
                entry = self._entry(job.name, job.schedule, run, begun, window=job.window, jitter=job.jitter or 0.0)
                yield replace(entry, first_at=first_at)
        if plan.proof.schedule is not None and plan.provable:
            run = partial(self._run, PROOF, self._prove)
            yield self._entry(PROOF, plan.proof.schedule, run, self._done(PROOF))
        reading = plan.settings.reading
        if reading.schedule is not None and any(job.verify and job.method is not Method.WAL for job in plan.jobs):
            run = partial(self._run, READING, self._read_again)
            window = Window(cron=reading.schedule, for_=reading.for_)  # what was missed waits for the next quiet hours
            yield self._entry(READING, reading.schedule, run, self._done(READING), window=window)
        for drill in plan.drills:
            if drill.schedule is not None:
                key = drill_key(drill.name)
                run = partial(self._run, key, partial(self._keeper.drill, drill.name, _unheard))
                yield self._entry(key, drill.schedule, run, self._done(key))

    def _entry(
        self,
        key: str,
        line: str,
        run: Run,
        begun: Callable[[], float | None],
        *,
        window: Window | None = None,
        jitter: float = 0.0,
    ) -> Entry:
        return Entry(
            key=key,
            line=line,
            run=run,
            known_since=self._ledger.known_since(key),
            last_begun=begun,
            attempts=partial(self._ledger.attempts, key),
            window=window,
            jitter_seconds=jitter,
        )

    def _first_at(self, job: Job) -> float | None:
        """Soon, where WAL waits for its first base backup: without one it reaches no moment at all."""
        plan = self._keeper.plan
        if not _is_whole(job) or plan.wal_job(job.target) is None:
            return None
        if next(one for one in plan.jobs if one.schedule and one.target == job.target and _is_whole(one)) != job:
            return None
        return None if self._has_base(job.target) else self._keeper.around.clock.now() + FIRST_SECONDS

    def _has_base(self, target: str) -> bool:
        return any(has_base(record, target) for record in self.records)

    async def _first(self, target: str, first: list[float], run: Run, moment: float) -> bool:
        """The first base backup, unless somebody has made one meanwhile; `first` is emptied by the first run."""
        awaited = bool(first)
        first.clear()
        return True if awaited and self._has_base(target) else await run(moment)

    def _done(self, key: str) -> Callable[[], float | None]:
        return partial(self._ledger.done_at, key)

    def _last_run(self, name: str) -> float | None:
        """By the repository, and by what we remember ourselves."""
        return max(filter(None, (last_run(self.records, name), self._ledger.done_at(name))), default=None)

    async def _run(self, key: str, work: Callable[[], Awaitable[object]], moment: float) -> bool:
        """One run for one of its moments, and whether it counts. What we are told to end is still to come."""
        await self._ledger.begin(key, moment)
        try:
            await work()
        except asyncio.CancelledError:
            await finished(self._ledger.withdraw(key))
            raise
        except BackupError as error:
            if error.trouble in NO_RUN or error.trouble is Trouble.REPOSITORY:
                await self._ledger.withdraw(key)
                return error.trouble is Trouble.REPOSITORY  # planned anew once that is there again
        except TobanError as error:  # it is told where it happens; here it only must not pass for a fault
            logger.warning("schedule_refused", what=key, why=error.why)
        finally:
            self._over()
        await self._ledger.done(key)
        return True

    async def _back_up(self, name: str) -> None:
        await self._keeper.run(name, _unheard, manner=SCHEDULED)

    async def _prove(self) -> None:
        """The newest good backup of each job, one after the other; what comes to nothing holds up none."""
        for job in self._keeper.plan.provable:
            record = await self._keeper.newest(job.name)
            if record is None:
                logger.warning("nothing_to_prove", backup=job.name)
                continue
            try:
                await self._keeper.prove(record, _unheard)
            except BackupError as error:
                logger.error("proof_failed", backup=record.id, why=error.reason)  # noqa: TRY400 - expected, no traceback
            except Exception:  # a fault of ours with one of them keeps none of the others from being proved
                logger.exception("proof_fault", backup=record.id)
            self._over()

    async def _read_again(self) -> None:
        read = await self._keeper.read_again(_unheard)
        if read:
            logger.info("backups_read_again", backups=[record.id for record in read])


def _is_whole(job: Job) -> bool:
    return job.method is Method.BASE and job.type is Scope.FULL


def has_base(record: BackupRecord, target: str) -> bool:
    """Whether this is a base backup of a target, or on its way to be one."""
    told = record.manifest
    return (told.target, told.method) == (target, Method.BASE) and record.status is not Status.FAILED


def last_run(records: Iterable[BackupRecord], name: str) -> float | None:
    """When a job last ran, whatever came of it; what was cut off by our own end has yet to be done."""
    begun = [
        record.manifest.created_at
        for record in records
        if record.manifest.name == name and not (record.status is Status.FAILED and record.trouble in NO_RUN)
    ]
    return max(begun, default=None)


def _unheard(_: Progress) -> None:
    """Nobody watches."""
