"""The keeper: makes what is planned, looks after it, says what became of it. Daemon and command line share it.

Every piece of work takes its target's turn in the repository, so that two daemons, or a daemon and a person, are never
at work on one target at once.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import tzinfo
from functools import partial
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
from backup.keeping.letting_go import pruned, together
from backup.keeping.making import Attempt, draft_of, good_ones
from backup.keeping.reading import believed, verified, written_down
from backup.keeping.rereading import unread
from backup.keeping.tools import Tools
from backup.keeping.under_way import Place, UnderWay, in_turn
from backup.plan import Plan
from backup.proof.prover import prove_record
from backup.pruning import Pruned
from backup.repository.repository import Repository
from backup.settings import Job
from backup.space import lack_of_room, needed_bytes, room_there
from toban.backups import BackupRecord, DrillRecord, Method, RestoreProof, Status, Trouble, Verdict
from toban.errors import UsageError
from toban.secrets import Secret

PATIENCE_SECONDS: Final = 6 * 3600.0  # a scheduled run waits so long for its turn: a base backup takes its time
AGAIN_SECONDS: Final = 300.0  # a scheduled run that failed has a second chance after that
VERIFY_SECONDS: Final = 12 * 3600.0  # for a backup whose job is no longer there
BACK: Final = 10  # likewise, how far what reads it stands back for others

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How a run goes: somebody waits for it, or nobody does."""

    patience_seconds: float = 0.0
    again_after_seconds: float | None = None
    in_window: bool = False  # only while its window is open


ASKED: Final = Manner()
SCHEDULED: Final = Manner(patience_seconds=PATIENCE_SECONDS, again_after_seconds=AGAIN_SECONDS, in_window=True)


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
        under_way: UnderWay | None = None,
    ) -> None:
        self.plan = plan
        self.repository = repository
        self.around = around
        self.zone = zone
        self.tools = tools or Tools()
        self.under_way = under_way or UnderWay()
        self._hear = hear
        self._opening = asyncio.Lock()
        self._tried: dict[str, float] = {}
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
        with self.under_way.noted(job, self.around.clock.now(), tell) as heard:
            try:
                return await self._twice(job, heard, tag, manner)
            except BackupError as error:
                if error.trouble is not Trouble.CANCELLED:  # that one is still to come
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
        if name in self.under_way.runs or busy is not None:
            return f"{busy.id if busy is not None else name} is being made at this moment"
        ours = [one for one in good_ones(records) if one.manifest.name == name]
        room = await room_there(self.repository.root, self.tools.look)
        return lack_of_room(room, needed_bytes(Estimate(), ours), self.plan.settings.floor)

    async def verify(self, record: BackupRecord, tell: Tell) -> BackupRecord:
        """Read one through, and write down what was found. Its programs stand back as those do that made it."""
        told = record.manifest
        job = next((job for job in self.plan.jobs if job.name == told.name), None)
        back = self.around.children.standing_back(job.nice if job is not None else BACK)
        async with self._used(record, "a verification"):
            found = await verified(
                record,
                engine=self.tools.engine_of(told),
                repository=self.repository,
                around=replace(self.around, children=back),
                tell=tell,
                within_seconds=job.timeout if job is not None else VERIFY_SECONDS,
                secret=self._secret(told.name),
                unwritten=partial(self._unwritten, record),
            )
        if found.status is Status.DAMAGED:
            self._report(Kind.DAMAGED, told.target, told.name, f"{found.id}: {found.reason}")
        return found

    async def read_again(self, tell: Tell) -> tuple[BackupRecord, ...]:
        """What nobody has read for long, one after the other, while nothing else is at work; as it was found."""
        until = self.around.clock.monotonic() + self.plan.settings.reading.for_
        found: list[BackupRecord] = []
        records = await self.records()
        self._tried = {one.id: self._tried[one.id] for one in records if one.id in self._tried}
        for due in unread(records, self.plan, self.around.clock.now(), self._tried):
            if self.around.clock.monotonic() >= until or self.under_way.proving.locked():
                break
            there = await self.records(due.manifest.target)
            if due.id not in {one.id for one in there} or any(one.status is Status.RUNNING for one in there):
                continue
            self._tried[due.id] = self.around.clock.now()
            try:
                async with self.under_way.proving:
                    found.append(await self.verify(due, tell))
            except BackupError as error:
                logger.warning("not_read_again", backup=due.id, why=error.reason)
        return tuple(found)

    # --- believing ----------------------------------------------------------------------------------------------------

    async def prove(self, record: BackupRecord, tell: Tell) -> RestoreProof:
        """Restore one into a scratch server, look at it, throw it away, write down what was found. One at a time."""
        async with self.under_way.proving, self._used(record, "a proof"):
            proof = await prove_record(
                record,
                shelves=self.repository,
                restorer_of=self.tools.restorer_of,
                settings=self.plan.proof,
                around=self.around,
                tell=tell,
                secret=self._secret(record.manifest.name),
            )
            unwritten = partial(self._unwritten, record)
            await written_down(record, lambda marks: believed(marks, proof), self.repository, unwritten)
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
            async with self.under_way.proving, self._used(record, "a drill"):
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
        failed = await self.copies.catch_up(self.plan, await self.records(), tell, self._used)
        for sentence in failed:
            logger.warning("copy_behind", why=sentence)
        return tuple(failed)

    # --- letting go ---------------------------------------------------------------------------------------------------

    async def prune(self, *, target: str | None = None, dry_run: bool = False) -> Pruned:
        """Let go of what retention lets go of, in the target's turn; all targets where none is named.

        Of several, one that somebody is at work on holds up none of the others.
        """
        found: list[Pruned] = []
        for one in (target,) if target is not None else await self._targets():
            try:
                async with nullcontext() if dry_run else self._turn(one, "prune", 0.0):
                    found.append(await self._pruned(one, dry_run=dry_run))
            except BackupError as error:
                if target is not None or error.trouble is not Trouble.BUSY:
                    raise
                found.append(Pruned(decisions=(), failed={one: error.reason}))
        return together(found)

    async def _pruned(self, target: str, *, dry_run: bool) -> Pruned:
        return await pruned(self.repository, self.plan, target, zone=self.zone, dry_run=dry_run)

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
        at_once = self.plan.settings.at_once if manner.patience_seconds else None  # what somebody waits for goes first
        place = partial(self.under_way.at_work, at_once)
        async with self._turn(job.target, f"backup {job.name}", manner.patience_seconds, place):
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

    def _turn(
        self, target: str, what: str, patience_seconds: float, place: Callable[[], Place] = nullcontext
    ) -> AbstractAsyncContextManager[None]:
        take = partial(self.repository.turn, target, what)
        clock, pause = self.around.clock, self.tools.pause
        return in_turn(take, place, patience_seconds=patience_seconds, clock=clock, pause=pause)

    @asynccontextmanager
    async def _used(self, record: BackupRecord, what: str = "a copy") -> AsyncIterator[None]:
        """While it is read, neither it nor what it builds on is let go: by us, by another daemon, or by a person."""
        try:
            line = await asyncio.to_thread(self.repository.lineage, record)
        except BackupError:
            line = (record,)
        async with self.repository.held(line, what):
            yield

    def _unwritten(self, record: BackupRecord, error: BackupError) -> None:
        """What was found of one is told all the same: a disk that rots is often made read-only first."""
        sentence = f"what was found of {record.id} could not be written down: {error.reason}"
        self._report(Kind.FAILED, record.manifest.target, record.manifest.name, sentence)

    def _secret(self, name: str) -> Secret | None:
        """The password of a job, as long as the job is there."""
        return next((job.password for job in self.plan.jobs if job.name == name), None)

    def _report(self, kind: Kind, target: str, subject: str, sentence: str) -> None:
        log = logger.warning if kind is Kind.UNUSUAL else logger.error
        log(f"backup_{kind}", target=target, backup=subject, why=sentence)
        self._hear(Happening(kind=kind, target=target, subject=subject, sentence=sentence))
