"""The keeper: makes what is planned, looks after it, says what became of it. Daemon and command line share it.

Every piece of work takes its target's turn in the repository, so that two daemons, or a daemon and a person, are never
at work on one target at once.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

import structlog

from backup.anomalies import anomalies
from backup.drill import Drilling, drill
from backup.engines.contract import Engine, Estimate, Origin, Surroundings, Tell
from backup.errors import BackupError
from backup.keeping.copying import Copies
from backup.keeping.drilling import beat_of, drilled, paces_before
from backup.keeping.due import is_open
from backup.keeping.happenings import Happening, Hear, Kind, unheard
from backup.keeping.letting_go import let_go_of_wal, wal_from
from backup.keeping.making import Attempt, draft_of, good_ones
from backup.keeping.reading import believed, verified
from backup.keeping.tools import Sparing, Tools
from backup.plan import Plan
from backup.proof.prover import prove_record
from backup.pruning import Pruned, prune
from backup.repository.repository import Repository
from backup.settings import Job
from backup.space import lack_of_room, needed_bytes
from toban.backups import BackupRecord, DrillRecord, Method, Progress, RestoreProof, Status, Trouble, Verdict
from toban.errors import UsageError
from toban.secrets import Secret

BUSY_AGAIN_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 6 * 3600.0  # a scheduled run waits so long for its turn: a base backup takes its time
AGAIN_SECONDS: Final = 300.0  # a scheduled run that failed has a second chance after that
VERIFY_SECONDS: Final = 12 * 3600.0  # for a backup whose job is no longer there

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a run goes: somebody waits for it, or nobody does."""

    patience_seconds: float = 0.0
    again_after_seconds: float | None = None
    in_window: bool = False  # only while its window is open


ASKED: Final = Manner()
SCHEDULED: Final = Manner(patience_seconds=PATIENCE_SECONDS, again_after_seconds=AGAIN_SECONDS, in_window=True)


@dataclass(slots=True, kw_only=True)
class Running:
    """One run under way."""

    job: Job
    began_at: float
    progress: Progress | None = None


class Keeper:
    """Makes, verifies, copies, proves and lets go of backups, by the plan."""

    def __init__(
        self,
        plan: Plan,
        repository: Repository,
        around: Surroundings,
        *,
        zone: tzinfo,
        tools: Tools | None = None,
        hear: Hear = unheard,
    ) -> None:
        self.plan = plan
        self.repository = repository
        self.around = around
        self.zone = zone
        self.tools = tools or Tools()
        self.running: dict[str, Running] = {}
        self._hear = hear
        self._opening = asyncio.Lock()
        self._proving = asyncio.Lock()
        self._in_use: Counter[str] = Counter()
        self.copies = Copies(repository, zone, self.tools.open_copy)

    async def open(self) -> None:
        """The repository is there, and can be written to. Two that ask at once do not both make it."""
        async with self._opening:
            await self.repository.open(create=True)

    # --- making -------------------------------------------------------------------------------------------------------

    async def run(self, name: str, tell: Tell, *, tag: str | None = None, manner: Manner = ASKED) -> BackupRecord:
        """One backup of a job: made, read through, copied. One that proves damaged is returned as it was found."""
        job = self.plan.job(name)
        if job.method is Method.WAL:
            why = f"{name} keeps WAL, which goes on by itself"
            raise UsageError("backup", why, "`toban wal status` shows how it stands")
        with self._noted(job, tell) as heard:
            try:
                return await self._twice(job, heard, tag, manner)
            except BackupError as error:
                self._report(Kind.FAILED, job.target, name, error.reason)
                raise
            except Exception as error:  # told to people, and raised again
                self._report(Kind.FAILED, job.target, name, f"a fault of Toban's own: {type(error).__name__}")
                raise

    async def obstacle(self, name: str) -> str:
        """Why a backup of a job must not be begun now, as far as a glance tells; empty where it may."""
        job = self.plan.job(name)
        if job.method is Method.WAL:
            return f"{name} keeps WAL, which goes on by itself"
        records = await self.records(job.target)
        busy = next((one for one in records if one.status is Status.RUNNING), None)
        if name in self.running or busy is not None:
            return f"{busy.id if busy is not None else name} is being made at this moment"
        ours = [one for one in good_ones(records) if one.manifest.name == name]
        room = await asyncio.to_thread(self.tools.look, self.repository.root)
        return lack_of_room(room, needed_bytes(Estimate(), ours), self.plan.settings.floor)

    async def verify(self, record: BackupRecord, tell: Tell) -> BackupRecord:
        """Read one through, and write down what was found."""
        told = record.manifest
        async with self._used(record):
            found = await verified(
                record,
                engine=self.tools.engine_of(told),
                repository=self.repository,
                around=self.around,
                tell=tell,
                within_seconds=next((job.timeout for job in self.plan.jobs if job.name == told.name), VERIFY_SECONDS),
                secret=self._secret(told.name),
            )
        if found.status is Status.DAMAGED:
            self._report(Kind.DAMAGED, told.target, told.name, f"{found.id}: {found.reason}")
        return found

    # --- believing ----------------------------------------------------------------------------------------------------

    async def prove(self, record: BackupRecord, tell: Tell) -> RestoreProof:
        """Restore one into a scratch server, look at it, throw it away, write down what was found. One at a time."""
        async with self._proving, self._used(record):
            proof = await prove_record(
                record,
                shelves=self.repository,
                restorer_of=self.tools.restorer_of,
                settings=self.plan.proof,
                around=self.around,
                tell=tell,
                secret=self._secret(record.manifest.name),
            )
            await self.repository.mark(record, lambda marks: believed(marks, proof))
        told = record.manifest
        if proof.verdict is not Verdict.PROVEN:
            kind = Kind.DAMAGED if proof.verdict is Verdict.DAMAGED else Kind.FAILED
            self._report(kind, told.target, told.name, f"proof of {record.id}: {proof.reason}")
        return proof

    async def drill(self, name: str, tell: Tell) -> DrillRecord:
        """Restore a job's newest backup for its own sake, with the clock running; kept in the repository."""
        wanted = self.plan.drill(name)
        job = self.plan.job(wanted.backup)
        try:
            records = await self.records(job.target)
            record, moment = drilled(wanted, records, self.around.clock.now(), self.zone)
            beating = self.plan.wal_job(job.target) or job  # whoever receives the WAL writes the heartbeat
            drilling = Drilling(
                drill=wanted,
                record=record,
                moment=moment,
                shelves=self.repository,
                restorer_of=self.tools.restorer_of,
                settings=self.plan.proof,
                around=self.around,
                tell=tell,
                paces=await asyncio.to_thread(paces_before, self.repository, records, record.manifest),
                beat=beat_of(self.plan.settings.heartbeat, self.plan.origin(beating).dsn),
                secret=job.password,
            )
            async with self._proving, self._used(record):
                done = await drill(drilling)
            await self.repository.keep_drill(done)
        except BackupError as error:
            self._report(Kind.FAILED, job.target, name, error.reason)
            raise
        if not done.ok:
            self._report(Kind.FAILED, job.target, name, f"drill: {done.reason}")
        return done

    async def newest(self, name: str) -> BackupRecord | None:
        """The newest good backup of a job."""
        records = await self.records(self.plan.job(name).target)
        return next((one for one in good_ones(records) if one.manifest.name == name), None)

    async def catch_up(self, tell: Tell) -> tuple[str, ...]:
        """Send the second places what is missing there; why that did not work, in sentences."""
        if not self.plan.settings.copies:
            return ()
        failed = await self.copies.catch_up(self.plan, await self.records(), tell)
        for sentence in failed:
            logger.warning("copy_behind", why=sentence)
        return tuple(failed)

    # --- letting go ---------------------------------------------------------------------------------------------------

    async def prune(self, *, target: str | None = None, dry_run: bool = False) -> Pruned:
        """Let go of what retention lets go of, in the target's turn; all targets where none is named."""
        found: list[Pruned] = []
        for one in (target,) if target is not None else await self._targets():
            if dry_run:
                found.append(await self._pruned(one, dry_run=True))
            else:
                async with self._turn(one, "prune", 0.0):
                    found.append(await self._pruned(one, dry_run=False))
        return Pruned(
            decisions=tuple(decision for one in found for decision in one.decisions),
            removed=tuple(record for one in found for record in one.removed),
            failed={name: why for one in found for name, why in one.failed.items()},
        )

    async def _pruned(self, target: str, *, dry_run: bool) -> Pruned:
        records, now = await self.records(target), self.around.clock.now()
        pruned = await prune(
            Sparing(self.repository, self._in_use),
            records,
            keeps={job.name: job.keep for job in self.plan.jobs if job.target == target},
            now=now,
            zone=self.zone,
            window_seconds=self.plan.window(target),
            archived={target} if self.plan.wal_job(target) is not None else (),
            dry_run=dry_run,
        )
        if not dry_run:
            needed = wal_from(records, pruned.kept, now, self.plan.window(target))
            gone = await let_go_of_wal(self.repository.wal_place(target), needed, now)
            if gone.segments:
                logger.info("wal_removed", target=target, segments=len(gone.segments), why=gone.reason)
        return pruned

    async def _targets(self) -> tuple[str, ...]:
        """Those of the plan, and those that there are backups of still."""
        there = [record.manifest.target for record in await self.records()]
        return tuple(dict.fromkeys((*self.plan.targets, *there)))

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _twice(self, job: Job, tell: Tell, tag: str | None, manner: Manner) -> BackupRecord:
        """Once more where that may help, and somebody can wait for it."""
        try:
            return await self._once(job, tell, tag, manner)
        except BackupError as error:
            if manner.again_after_seconds is None or not error.worth_another_try:
                raise
            logger.warning("backup_again", backup=job.name, why=error.reason, in_seconds=manner.again_after_seconds)
        await self.tools.pause(manner.again_after_seconds)
        return await self._once(job, tell, tag, manner)

    async def _once(self, job: Job, tell: Tell, tag: str | None, manner: Manner) -> BackupRecord:
        """One attempt in the target's turn. What keeps it from being begun is written down as well."""
        origin = self.plan.origin(job)  # at once: a reload may take the target away meanwhile
        async with self._turn(job.target, f"backup {job.name}", manner.patience_seconds):
            try:
                engine = self.tools.engine_for(job, origin)
                self._still_in_window(job, manner)
                await self.repository.sweep()
                earlier = good_ones(await self.records(job.target))
                await self._let_go(job.target)
            except BackupError as error:
                draft = draft_of(job, origin, job.engine or "", tag, self.around)
                await self.repository.keep_attempt(draft, error)
                raise
            record = await self._made(job, origin, engine, tag, earlier, tell)
            if job.verify:
                record = await self.verify(record, tell)
        self._compare(record, earlier)
        if record.status is Status.OK:
            record = await self._copied(job, record, tell)
        return record

    async def _copied(self, job: Job, record: BackupRecord, tell: Tell) -> BackupRecord:
        """To the second places; one that cannot be reached is tried again later, and makes no backup a failure."""
        found, failed = await self.copies.send(self.plan, job, record, tell)
        for sentence in failed:
            self._report(Kind.FAILED, job.target, job.name, sentence)
        return found

    async def _made(
        self, job: Job, origin: Origin, engine: Engine, tag: str | None, earlier: tuple[BackupRecord, ...], tell: Tell
    ) -> BackupRecord:
        begun = self.around.clock.monotonic()
        wal = self.repository.wal_place(job.target)
        record = await Attempt(
            job=job,
            origin=origin,
            engine=engine,
            tag=tag,
            repository=self.repository,
            around=self.around,
            root=self.repository.root,
            floor=self.plan.settings.floor,
            earlier=earlier,
            wal_place=wal if await asyncio.to_thread(wal.is_dir) else None,
            tell=tell,
            look=self.tools.look,
        ).made()
        seconds = round(self.around.clock.monotonic() - begun, 1)
        logger.info("backup_made", backup=record.id, target=job.target, bytes=record.manifest.size_bytes, took=seconds)
        return record

    def _still_in_window(self, job: Job, manner: Manner) -> None:
        if manner.in_window and not is_open(job.window, self.around.clock.now(), self.zone):
            why = "its window closed while it waited for its turn"
            raise BackupError(f"backup {job.name}", why, "widen its window", trouble=Trouble.CANCELLED)

    async def _let_go(self, target: str) -> None:
        """Retention, before there is more. What keeps it from being done keeps no backup from being made."""
        try:
            await self._pruned(target, dry_run=False)
        except BackupError as error:
            logger.warning("not_pruned", target=target, why=error.reason)

    def _compare(self, record: BackupRecord, earlier: tuple[BackupRecord, ...]) -> None:
        for found in anomalies(record, earlier):
            told = record.manifest
            self._report(Kind.UNUSUAL, told.target, told.name, f"{record.id} {found.why}")

    async def records(self, target: str | None = None) -> tuple[BackupRecord, ...]:
        """What there is, newest first; asked in a thread, since a disk may hang."""
        return await asyncio.to_thread(self.repository.records, target=target)

    @asynccontextmanager
    async def _turn(self, target: str, what: str, patience_seconds: float) -> AsyncIterator[None]:
        """The target's turn, waited for with patience."""
        until = self.around.clock.monotonic() + patience_seconds
        async with AsyncExitStack() as stack:
            while True:
                try:
                    await stack.enter_async_context(self.repository.turn(target, what))
                    break
                except BackupError as error:
                    if error.trouble is not Trouble.BUSY or self.around.clock.monotonic() >= until:
                        raise
                await self.tools.pause(BUSY_AGAIN_SECONDS)
            yield

    @contextmanager
    def _noted(self, job: Job, tell: Tell) -> Iterator[Tell]:
        """Under way, for whoever looks; one run of a job at a time."""
        if job.name in self.running:
            raise BackupError(f"backup {job.name}", "is being made already", trouble=Trouble.BUSY)
        running = self.running[job.name] = Running(job=job, began_at=self.around.clock.now())

        def heard(progress: Progress) -> None:
            running.progress = progress
            tell(progress)

        try:
            yield heard
        finally:
            del self.running[job.name]

    @asynccontextmanager
    async def _used(self, record: BackupRecord) -> AsyncIterator[None]:
        """While it is read, neither it nor what it builds on is let go."""
        try:
            line = await asyncio.to_thread(self.repository.lineage, record)
        except BackupError:
            line = (record,)
        self._in_use.update(one.id for one in line)
        try:
            yield
        finally:
            self._in_use.subtract(one.id for one in line)

    def _secret(self, name: str) -> Secret | None:
        """The password of a job, as long as the job is there."""
        return next((job.password for job in self.plan.jobs if job.name == name), None)

    def _report(self, kind: Kind, target: str, subject: str, sentence: str) -> None:
        log = logger.warning if kind is Kind.UNUSUAL else logger.error
        log(f"backup_{kind}", target=target, backup=subject, why=sentence)
        self._hear(Happening(kind=kind, target=target, subject=subject, sentence=sentence))
