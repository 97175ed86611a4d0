"""Second places kept up with the repository: what is missing there is sent, what need not stay goes, WAL follows."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.keeping.letting_go import wal_from
from backup.plan import Plan
from backup.pruning import Pruned, prune
from backup.repository.copies.contract import Copy, is_news
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

Opener = Callable[[CopySettings, "Repository"], Copy]
Using = Callable[[BackupRecord], AbstractAsyncContextManager[None]]


def _alone(_: BackupRecord) -> AbstractAsyncContextManager[None]:
    """Nobody else is at work here."""
    return nullcontext()


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
                    await copy.push(record, tell, job.password)
                    record = await self._repository.mark(record, self._noted(settings.name))
            except BackupError as error:
                failed.append(f"copy {settings.name}: {error.reason}")
        return record, failed

    async def catch_up(
        self, plan: Plan, records: Iterable[BackupRecord], tell: Tell, using: Using = _alone
    ) -> list[str]:
        """Send what is missing, newest first; let go there of what need not stay; let the WAL follow.

        What is being sent is `using` a backup: meanwhile nobody lets it go here.
        """
        failed: list[str] = []
        known = tuple(records)
        for settings in plan.settings.copies:
            try:
                async with self._turn:
                    copy = await self._opened(settings)
                    await copy.sweep()
                    await self._send_missing(plan, settings, copy, known, tell, using)
                    await self._let_go(plan, settings, copy, known, tell)
            except BackupError as error:
                failed.append(f"copy {settings.name}: {error.reason}")
        return failed

    # --- inside -------------------------------------------------------------------------------------------------------

    async def _send_missing(
        self,
        plan: Plan,
        settings: CopySettings,
        copy: Copy,
        records: tuple[BackupRecord, ...],
        tell: Tell,
        using: Using,
    ) -> None:
        """What was sent before may be gone there by its age; but where the newest is gone, somebody has emptied it.

        What became known since goes there too: a pin, above all. One that is damaged there is a person's to remove.
        """
        jobs = {job.name: job for job in plan.jobs if settings in plan.copies(job)}
        ours = [record for record in records if record.status is Status.OK and record.manifest.name in jobs]
        newest = {record.manifest.name: record.id for record in reversed(ours)}.values()
        there = {one.id: one for one in await copy.records()} if ours else {}
        missing = [
            record
            for record in ours
            if settings.name not in record.marks.copies or (record.id in newest and record.id not in there)
        ]
        learned = [record for record in ours if record.id in there and _is_unlike(there[record.id], record)]
        for record in (*missing, *learned)[:MOST_AT_ONCE]:
            async with using(record):
                if record.id not in there or record in learned:
                    await copy.push(record, tell, jobs[record.manifest.name].password)
                if record in missing:
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


def _is_unlike(there: BackupRecord, here: BackupRecord) -> bool:
    """Whether one is whole in both places, and not the same is known of it."""
    return there.status is Status.OK and is_news(there.marks, here.marks)


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
