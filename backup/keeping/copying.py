"""Second places kept up with the repository: what is missing there is sent, what need not stay goes, WAL follows."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import structlog

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.keeping.letting_go import wal_from
from backup.plan import Plan
from backup.pruning import Pruned, prune
from backup.repository.copies.contract import Copy
from backup.settings import Copy as CopySettings
from backup.settings import Job
from backup.wal.chain import File, Listing
from backup.wal.keeping import removable
from backup.wal.listing import look
from backup.wal.segments import parse
from toban.backups import BackupRecord, Marks, Status

if TYPE_CHECKING:
    from datetime import tzinfo

    from backup.repository.repository import Repository

MOST_AT_ONCE: Final = 20  # backups that are sent to one place in one round of catching up

logger = structlog.get_logger(__name__)
Opener = Callable[[CopySettings, "Repository"], Copy]


class Copies:
    """The second places of a plan. What fails there is told and tried again; it fails no backup."""

    def __init__(self, repository: "Repository", zone: "tzinfo", opener: Opener) -> None:
        self._repository = repository
        self._zone = zone
        self._opener = opener
        self._open: dict[str, tuple[CopySettings, Copy]] = {}
        self._turn = asyncio.Lock()

    async def send(self, plan: Plan, job: Job, record: BackupRecord, tell: Tell) -> tuple[BackupRecord, list[str]]:
        """One backup to every place that it belongs to; and why it did not get to some, in sentences."""
        failed: list[str] = []
        for settings in plan.copies(job):
            try:
                async with self._turn:
                    copy = await self._opened(settings)
                    await copy.push(record, tell)
                    record = await self._repository.mark(record, self._noted(settings.name))
            except BackupError as error:
                failed.append(f"copy {settings.name}: {error.reason}")
        return record, failed

    async def catch_up(self, plan: Plan, records: Iterable[BackupRecord], tell: Tell) -> list[str]:
        """Send what is missing, newest first; let go there of what need not stay; let the WAL follow."""
        failed: list[str] = []
        known = tuple(records)
        for settings in plan.settings.copies:
            try:
                async with self._turn:
                    copy = await self._opened(settings)
                    await copy.sweep()
                    await self._send_missing(plan, settings, copy, known, tell)
                    await self._let_go(plan, settings, copy, known, tell)
            except BackupError as error:
                failed.append(f"copy {settings.name}: {error.reason}")
        return failed

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _send_missing(
        self, plan: Plan, settings: CopySettings, copy: Copy, records: tuple[BackupRecord, ...], tell: Tell
    ) -> None:
        jobs = {job.name for job in plan.jobs if settings in plan.copies(job)}
        missing = [
            record
            for record in records
            if record.status is Status.OK and record.manifest.name in jobs and settings.name not in record.marks.copies
        ]
        there = {one.id for one in await copy.records()} if missing else set()
        for record in missing[:MOST_AT_ONCE]:
            if record.id not in there:
                await copy.push(record, tell)
            await self._repository.mark(record, self._noted(settings.name))

    async def _let_go(
        self, plan: Plan, settings: CopySettings, copy: Copy, known: tuple[BackupRecord, ...], tell: Tell
    ) -> None:
        """The attempts that failed here hold up what goes there: a job that fails loses none of its backups."""
        failed = tuple(one for one in known if one.status is Status.FAILED)
        for target in plan.targets:
            wal_job = plan.wal_job(target)
            follows = wal_job is not None and settings in plan.copies(wal_job)
            if follows:
                await copy.push_wal(target, tell)
            records = tuple(_of(target, await copy.records()))
            pruned = await self._pruned(plan, settings, copy, target, (*records, *_of(target, failed)))
            if follows:
                await self._let_go_of_wal(plan, copy, target, records, pruned)

    async def _pruned(
        self, plan: Plan, settings: CopySettings, copy: Copy, target: str, records: tuple[BackupRecord, ...]
    ) -> Pruned:
        return await prune(
            copy,
            records,
            keeps={job.name: settings.keep or job.keep for job in plan.jobs if job.target == target},
            now=self._repository.around.clock.now(),
            zone=self._zone,
            window_seconds=plan.window(target),
            archived={target} if plan.wal_job(target) is not None else (),
        )

    async def _let_go_of_wal(
        self, plan: Plan, copy: Copy, target: str, records: tuple[BackupRecord, ...], pruned: Pruned
    ) -> None:
        now = self._repository.around.clock.now()
        needed = wal_from(records, pruned.kept, now, plan.window(target))
        names = await copy.wal(target)
        here = await asyncio.to_thread(look, self._repository.wal_place(target))
        going = set(removable(_listed(names, here.segment_bytes), needed).segments)
        await copy.remove_wal(target, [name for name in names if _segment_of(name) in going])

    async def _opened(self, settings: CopySettings) -> Copy:
        """The place, opened anew where the settings have changed, and looked at each time."""
        known = self._open.get(settings.name)
        if known is None or known[0] != settings:
            known = self._open[settings.name] = (settings, self._opener(settings, self._repository))
        await known[1].open()
        return known[1]

    def _noted(self, name: str) -> Callable[[Marks], Marks]:
        now = self._repository.around.clock.now()
        return lambda marks: replace(marks, copies={**marks.copies, name: now})


def _of(target: str, records: Iterable[BackupRecord]) -> Iterable[BackupRecord]:
    return (one for one in records if one.manifest.target == target)


def _segment_of(name: str) -> str:
    named = parse(name)
    return named.segment if named is not None and named.kind == "segment" else ""


def _listed(names: Mapping[str, int], segment_bytes: int) -> Listing:
    """What lies in a copy, as far as letting go needs to know it."""
    segments = {
        segment: File(name=name, size_bytes=size, modified_at=0.0)
        for name, size in names.items()
        if (segment := _segment_of(name))
    }
    return Listing(segments=segments, segment_bytes=segment_bytes)
