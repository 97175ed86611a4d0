"""What goes on all the time: the receivers of WAL, the heartbeats, and how the WAL of each target stands."""

import asyncio
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.plan import Plan
from backup.repository.repository import Repository
from backup.settings import Beat, Encryption, Job
from backup.wal.chain import Position
from backup.wal.heartbeat import Heart
from backup.wal.manner import Manner, keep_manner
from backup.wal.moments import Moments
from backup.wal.position import ask
from backup.wal.receiving import Receiver, Stream
from backup.way import Way
from toban.backups import BackupRecord, WalStanding
from toban.secrets import Dsn

AGAIN_SECONDS: Final = 30.0
STANDING_SECONDS: Final = 120.0
PART_SECONDS: Final = 6.0

logger = structlog.get_logger(__name__)


def manner_of(job: Job, plan: Plan) -> Manner:
    """How the WAL of a job is written."""
    sealed: Encryption | None = plan.encryption
    folders = tuple(str(folder) for folder in plan.settings.programs)
    if sealed is None:
        return Manner(compress=job.compress or "", programs=folders)
    return Manner(
        compress=job.compress or "",
        seal=sealed.method,
        recipients=sealed.recipients,
        identity=str(sealed.identity or ""),
        home=str(sealed.home or ""),
        programs=folders,
    )


def slot_of(job: Job) -> str:
    """The stream's slot: PostgreSQL allows lower case, digits and underscores."""
    if job.slot is not None:
        return job.slot
    return "toban_" + "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in job.name.lower())


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One target's WAL: whose job it is, and what works for it."""

    print_of: tuple[object, ...]
    job: Job
    dsn: Dsn | None
    place: Path
    manner: Manner
    moments: Moments
    receiver: Receiver | None
    heart: Heart | None
    tasks: tuple["asyncio.Task[None]", ...]


class Streams:
    """Everything continuous, by target. A `renew` leaves alone what it does not change."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self._kept: dict[str, Kept] = {}

    async def renew(self, plan: Plan, repository: Repository) -> None:
        """Begin what is new, end what is gone."""
        wanted = {target: job for target in plan.targets if (job := plan.wal_job(target)) is not None}
        prints = {target: self._print(job, plan, repository) for target, job in wanted.items()}
        leaving = [target for target, kept in self._kept.items() if kept.print_of != prints.get(target)]
        for target in leaving:
            _tell_of_slot(self._kept[target], wanted.get(target))
        await self._end(leaving)
        for target, job in wanted.items():
            if target not in self._kept:
                self._kept[target] = await self._begin(job, plan, repository, prints[target])

    async def stop(self) -> None:
        """End everything, bounded."""
        await self._end(list(self._kept))

    def receiving(self, target: str) -> bool | None:
        """Whether the stream of a target flows; None where there is none."""
        kept = self._kept.get(target)
        return None if kept is None or kept.receiver is None else kept.receiver.state.receiving

    def troubles(self) -> Mapping[str, str]:
        """Why the streams that do not flow do not, why what they brought is not packed, why no heart beats."""
        found = {target: "; ".join(_troubles(kept)) for target, kept in self._kept.items()}
        return {target: why for target, why in found.items() if why}

    def kept(self) -> Mapping[str, "Kept"]:
        """Whose WAL is kept, and where."""
        return dict(self._kept)

    def settling(self, standings: Mapping[str, WalStanding]) -> bool:
        """Whether a stream has begun of which nobody knows yet how far behind it is."""
        lags = {target: standing.lag_seconds for target, standing in standings.items()}
        return any(kept.receiver is not None and lags.get(target) is None for target, kept in self._kept.items())

    async def standings(self, plan: Plan, records: Iterable[BackupRecord]) -> Mapping[str, WalStanding]:
        """How the WAL of each target stands."""
        known = tuple(records)
        found: dict[str, WalStanding] = {}
        for target, kept in list(self._kept.items()):
            job = plan.wal_job(target)
            ours = [record for record in known if record.manifest.target == target]
            try:
                async with asyncio.timeout(STANDING_SECONDS):
                    await asyncio.to_thread(_leave_manner, kept.place, kept.manner)
                    position = await self._position(kept)
                    found[target] = await kept.moments.standing(
                        ours, position=position, late_after_seconds=job.late_after if job is not None else AGAIN_SECONDS
                    )
            except TimeoutError:
                logger.warning("wal_not_looked_at", target=target, why="it took too long")
            except BackupError as error:
                logger.warning("wal_not_looked_at", target=target, why=error.reason)
            except OSError as error:  # the workspace
                logger.warning("wal_not_looked_at", target=target, why=error.strerror or str(error))
        return found

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _begin(self, job: Job, plan: Plan, repository: Repository, print_of: tuple[object, ...]) -> Kept:
        place, manner, origin = repository.wal_place(job.target), manner_of(job, plan), plan.origin(job)
        await asyncio.to_thread(_leave_manner, place, manner)
        moments = Moments(job.target, place, manner, self.around)
        tasks: list[asyncio.Task[None]] = []
        receiver: Receiver | None = None
        if job.mode == "stream" and origin.dsn is not None:
            stream = Stream(target=job.target, dsn=origin.dsn, slot=slot_of(job), place=place, manner=manner)
            receiver = Receiver(stream, self.around)
            tasks.append(asyncio.create_task(_supervised(receiver), name=f"wal {job.target}"))
        beat, heart = plan.settings.heartbeat, None
        if beat.enabled and origin.dsn is not None:
            heart = self._heart(beat, origin.dsn)
            tasks.append(asyncio.create_task(_beating(heart), name=f"heart {job.target}"))
        return Kept(
            print_of=print_of,
            job=job,
            dsn=origin.dsn,
            place=place,
            manner=manner,
            moments=moments,
            receiver=receiver,
            heart=heart,
            tasks=tuple(tasks),
        )

    def _heart(self, beat: Beat, dsn: Dsn) -> Heart:
        return Heart(beat, dsn, workspace=self.around.workspace, node=self.around.node)

    def _print(self, job: Job, plan: Plan, repository: Repository) -> tuple[object, ...]:
        settings = plan.settings
        return (
            job,
            plan.origins[job.target].dsn,
            plan.encryption,
            settings.heartbeat,
            settings.programs,
            repository.root,
        )

    async def _position(self, kept: Kept) -> Position | None:
        """Asked of each server, whether or not our receiver gets in: what it keeps for us, what it has no more."""
        if kept.dsn is None:
            return None
        slot = kept.receiver.stream.slot if kept.receiver is not None else None
        with tempfile.TemporaryDirectory(dir=self.around.workspace, prefix="position-") as folder:
            try:
                return (await ask(Way(kept.dsn, Path(folder)), slot)).position
            except BackupError:
                return None

    async def _end(self, targets: Iterable[str]) -> None:
        tasks = [task for target in targets for task in self._tasks_of(target)]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=PART_SECONDS)

    def _tasks_of(self, target: str) -> Iterator["asyncio.Task[None]"]:
        yield from self._kept.pop(target).tasks


async def _supervised(receiver: Receiver) -> None:
    """Its faults are ours to survive: WAL that is not received is lost."""
    while True:
        try:
            await receiver.run()
        except Exception:  # a loop of its own: it must outlive any fault
            logger.exception("receiver_fault", target=receiver.stream.target)
        await asyncio.sleep(AGAIN_SECONDS)


async def _beating(heart: Heart) -> None:
    while True:
        try:
            await heart.run()
        except Exception:  # a loop of its own: it must outlive any fault
            logger.exception("heartbeat_fault")
        await asyncio.sleep(AGAIN_SECONDS)


def outline(standings: Mapping[str, WalStanding]) -> dict[str, bool]:
    """What of it is told of at once when it changes."""
    return {target: standing.lag_seconds is None for target, standing in standings.items()}


def _tell_of_slot(kept: Kept, job: Job | None) -> None:
    """A slot outlives its receiver, and holds WAL on the server until its disk is full: a person must decide."""
    if kept.receiver is not None and (job is None or job.mode != "stream" or slot_of(job) != kept.receiver.stream.slot):
        slot = kept.receiver.stream.slot
        mend = f"select pg_drop_replication_slot('{slot}')"
        logger.warning("wal_slot_left", target=kept.job.target, slot=slot, hint=f"if nobody needs it: {mend}")


def _troubles(kept: Kept) -> Iterator[str]:
    state = kept.receiver.state if kept.receiver is not None else None
    if state is not None and not state.receiving and state.reason:
        yield state.reason
    if state is not None and state.receiving and state.packing:
        yield f"it is received, and lies there as it came: {state.packing}"
    if kept.heart is not None and kept.heart.reason:
        yield f"no heartbeat is written: {kept.heart.reason}"


def _leave_manner(place: Path, manner: Manner) -> None:
    """For pushes and fetches that are told of a repository alone: before the first of them, which is sealed by it."""
    with suppress(OSError, BackupError):
        keep_manner(str(place), manner)
