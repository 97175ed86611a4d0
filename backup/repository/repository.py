"""The repository: a folder of backups that describes itself, and what is done with backups as wholes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import structlog

from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.repository import sweeping
from backup.repository.choosing import chosen, line_of, the_one
from backup.repository.contents import StoredContents
from backup.repository.description import describe, looked_at
from backup.repository.digests import checked
from backup.repository.durable import (
    remove_tree,
    rename_durably,
    sync_folder,
    unusable,
    write_durably,
)
from backup.repository.forms import Attempt, without_files, written
from backup.repository.holders import Holder
from backup.repository.holds import holds_on, must_be_free, must_not_be_pinned, new_hold
from backup.repository.layout import (
    ATTEMPTS,
    DRILLS,
    LEASE,
    LOCKS,
    MAKING,
    MARKING,
    MARKS,
    PARTIAL,
    REMOVING,
    WAL,
    backup_id,
    below,
    fit,
)
from backup.repository.leases import Lease
from backup.repository.listing import Folder, Listing, draft_path, folders, marks_in, record_of
from backup.repository.memory import Memory
from backup.repository.partials import Fetch, Partial, as_failure
from backup.repository.sealing import try_out
from backup.repository.shelves import Shelf
from backup.repository.turns import Pause, Turns, finished
from backup.settings import Encryption
from toban.backups import BackupRecord, Check, DrillRecord, Manifest, Marks, Method, Status, Trouble

MOST_ATTEMPTS: Final = 200  # of one target
MOST_DRILLS: Final = 500
MARKING_TRIES: Final = 50  # it takes others no longer than to write a small file
logger = structlog.get_logger(__name__)


class Repository:
    """Lists, makes, marks and removes backups. What blocks is done in threads, but for the two lists."""

    def __init__(
        self,
        root: Path,
        *,
        around: Surroundings,
        encryption: Encryption | None = None,
        holder: Holder | None = None,
        pause: Pause = asyncio.sleep,
        memory: Memory | None = None,
    ) -> None:
        self.root = root
        self.around = around
        self.encryption = encryption
        self.identity: str | None = None
        """Which repository it is, once opened; empty where it is read and does not say."""
        self._writable = False
        self._pause = pause
        self.memory = memory
        ourselves = holder or Holder.here(around.node)
        self._turns = Turns(holder=ourselves, clock=around.clock, pause=pause)
        self._listing = Listing(root, ourselves, around.clock)
        self._attempts = Shelf(below(root, ATTEMPTS), Attempt, most=MOST_ATTEMPTS)
        self._drills = Shelf(below(root, DRILLS), DrillRecord, most=MOST_DRILLS)
        self._marking = asyncio.Lock()

    # --- what is there ------------------------------------------------------------------------------------------------

    async def open(self, *, create: bool = True) -> None:
        """See that it is there; with `create` make it where it is not, and see that it can be written to.

        One that was there and is gone is not made anew: its disk is not mounted, more likely than not.
        """
        try:
            if create and not self._writable:
                self.identity = await asyncio.to_thread(self._begin)
                self._writable = True
            else:
                await asyncio.to_thread(self._look)
        except OSError as error:
            raise unusable(self.root, error) from error

    def records(
        self, *, target: str | None = None, name: str | None = None, method: Method | None = None
    ) -> tuple[BackupRecord, ...]:
        """All of them, newest first: whole, damaged, being made, failed. One that cannot be read is damaged.

        It reads what has changed since it was last asked; a repository on storage that may hang is asked in a thread.
        """
        try:
            self._look()
            whole = self._listing.records()
            known = {record.id for record in whole}
            failed = [one.record for one in self._attempts.all(target) if one.manifest.id not in known]
        except OSError as error:
            raise unusable(self.root, error) from error
        return chosen((*whole, *failed), target=target, name=name, method=method)

    def record(self, beginning: str) -> BackupRecord:
        """The one by its id, or by as much of it as is no other's."""
        return the_one(beginning, self.records(), self.root)

    def lineage(self, record: BackupRecord) -> tuple[BackupRecord, ...]:
        """It with those that it builds on, the first of them first."""
        return line_of(record, self.records(target=record.manifest.target))

    def contents(self, record: BackupRecord, workspace: Path) -> StoredContents:
        """Its files in the clear; where they are sealed they are opened into the workspace."""
        return StoredContents(
            record,
            workspace,
            children=self.around.children,
            programs=self.around.programs,
            encryption=self.encryption,
        )

    async def check_files(self, record: BackupRecord, tell: Tell) -> tuple[Check, ...]:
        """Its manifest, and every file: there, of its size, with nothing beside, every byte as it was written.

        Nothing is said of a backup whose disk is gone: that is an error.
        """
        checks = await checked(record, tell)
        if not all(check.ok for check in checks):
            await asyncio.to_thread(self._looked)
        return checks

    # --- turns, and making --------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def turn(self, target: str, what: str) -> AsyncIterator[None]:
        """The turn to change something of a target, on any machine; BackupError `busy` names who has it."""
        fit(target)
        async with self._holding(below(self.root, LOCKS, f"{target}{LEASE}"), what):
            yield

    @asynccontextmanager
    async def _holding(self, path: Path, what: str, *, tries: int = 0) -> AsyncIterator[Lease]:
        """A lease, where the repository is still there: nothing is written to a place whose disk is gone."""
        await asyncio.to_thread(self._looked)
        async with self._turns.holding(path, what, tries=tries) as lease:
            yield lease

    @asynccontextmanager
    async def making(self, draft: Manifest) -> AsyncIterator[Partial]:
        """A folder to fill. Left without `finish`, it is removed, and an attempt is kept that says why.

        The id is the draft's where nobody has it: two of the same second wait for each other.
        """
        fit(draft.target, draft.name)
        self._must_be_writable()
        free, partial = await self._free(draft), None
        try:
            if self.encryption is not None:
                await try_out(self.encryption, self.around.programs, self.around.children)
            async with self._filling(free, f"making {free.id}") as partial:
                yield partial
        except BaseException as error:  # raised again, once what was begun is cleared away
            if partial is None or partial.record is None:
                await finished(self.keep_attempt(free, error))
            if isinstance(error, OSError) and not isinstance(error, TimeoutError):
                raise unusable(self.root, error) from error
            raise

    async def adopt(self, manifest: Manifest, marks: Marks, fetch: Fetch, tell: Tell) -> BackupRecord:
        """Take in a backup that was made elsewhere, as it is; one that is here already is left alone."""
        self._must_be_writable()
        there = await asyncio.to_thread(self._there, manifest)
        if there is not None:
            return there
        try:
            async with self._filling(manifest, f"fetching {manifest.id}") as partial:
                return await partial.adopt(manifest, marks, fetch, tell)
        except OSError as error:
            raise unusable(self.root, error) from error

    @asynccontextmanager
    async def _filling(self, draft: Manifest, what: str) -> AsyncIterator[Partial]:
        """The folder for as long as it is filled; it stays under its own name alone."""
        async with self._holding(self._making_lease(draft), what) as lease:
            partial = Partial(
                draft=draft,
                place=self.root / draft.target / draft.method / f"{draft.id}{PARTIAL}",
                said=draft_path(self.root, draft.target, draft.method, draft.id),
                lease=lease,
                around=self.around,
                encryption=self.encryption,
                began=self.around.clock.monotonic(),
            )
            try:
                await finished(asyncio.to_thread(partial.begin))
                yield partial
                if partial.record is None:
                    raise BackupError(partial.id, "was not finished", trouble=Trouble.INTERNAL)
            finally:
                await finished(asyncio.to_thread(partial.end))

    async def keep_attempt(self, draft: Manifest, error: BaseException) -> None:
        """Remember that a backup came to nothing, and why: also of one that was not even begun."""
        trouble, reason = as_failure(error)
        now = max(draft.created_at, self.around.clock.now())
        manifest = replace(without_files(draft), finished_at=now, node=draft.node or self.around.node)
        attempt = Attempt(manifest=manifest, trouble=trouble, reason=reason)
        try:
            await asyncio.to_thread(self._keep_attempt, attempt)
        except (OSError, BackupError) as obstacle:
            logger.warning("attempt_not_kept", backup=draft.id, reason=reason, why=str(obstacle))

    # --- what becomes of one ------------------------------------------------------------------------------------------

    async def mark(self, record: BackupRecord, change: Callable[[Marks], Marks]) -> BackupRecord:
        """Write down what became known of it; `change` is given what is known now."""
        async with self._marks_of(record, f"marking {record.id}"):
            try:
                return await finished(asyncio.to_thread(self._mark, Path(record.place), record, change))
            except OSError as error:
                raise unusable(Path(record.place), error) from error

    @asynccontextmanager
    async def held(self, records: Iterable[BackupRecord], what: str) -> AsyncIterator[None]:
        """Nobody removes them while the block lasts. A hold ends with its process; one that cannot be had is none."""
        async with AsyncExitStack() as stack:
            for record in records:
                with suppress(BackupError):
                    async with self._marks_of(record, what):
                        await stack.enter_async_context(self._turns.kept(new_hold(self.root, record), what))
            yield

    async def remove(
        self, record: BackupRecord, why: str, *, first: Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Take it away (`first` what lies elsewhere): its name before the rest, so that no half seems a backup."""
        if record.status is Status.RUNNING:
            raise BackupError(record.id, "is being made", trouble=Trouble.BUSY)
        try:
            if record.status is not Status.FAILED:
                async with self._marks_of(record, f"removing {record.id}"):
                    await must_be_free(await asyncio.to_thread(holds_on, self.root, record), record, self._turns)
                    await asyncio.to_thread(must_not_be_pinned, record)
                    if first is not None:
                        await first()
                    await finished(asyncio.to_thread(self._unname, record))
            logger.info("backup_removed", backup=record.id, target=record.manifest.target, why=why)
            await finished(asyncio.to_thread(self._remove, record))
        except OSError as error:
            raise unusable(Path(record.place or self.root), error) from error

    async def sweep(self) -> tuple[str, ...]:
        """Clear away what the dead have left: half-made backups, half-removed ones. Never one whose maker lives."""
        self._must_be_writable()
        try:
            return await sweeping.swept(self.root, self._turns, self._keep_attempt)
        except OSError as error:
            raise unusable(self.root, error) from error

    # --- beside them --------------------------------------------------------------------------------------------------

    def wal_place(self, target: str) -> Path:
        """Where a target's WAL is archived. It is made by whoever first archives there."""
        fit(target)
        return self.root / target / WAL

    async def keep_drill(self, drill: DrillRecord) -> None:
        """Write down a drill."""
        fit(drill.target, drill.id)
        try:
            await finished(asyncio.to_thread(self._drills.keep, drill.target, drill.id, drill))
        except OSError as error:
            raise unusable(self.root, error) from error

    def drills(self, target: str | None = None) -> tuple[DrillRecord, ...]:
        """The drills, newest first."""
        return tuple(sorted(self._drills.all(target), key=lambda drill: (drill.at, drill.id), reverse=True))

    # --- inside; all of it blocks -------------------------------------------------------------------------------------

    def _begin(self) -> str:
        if self.identity is not None:
            self._look()
        if self.memory is None:
            return describe(self.root, self.around.clock.now(), self.identity or "")
        self.memory.must_be_there(self.root)
        identity = describe(self.root, self.around.clock.now(), self.identity or self.memory.identity(self.root))
        self.memory.keep(self.root, identity)
        return identity

    def _look(self) -> None:
        found = looked_at(self.root)
        if self.identity and found and found != self.identity:
            why = "is another repository than it was when it was opened"
            raise BackupError(str(self.root), why, "is the right disk mounted?", trouble=Trouble.REPOSITORY)
        self.identity = self.identity or found

    def _looked(self) -> None:
        try:
            self._look()
        except OSError as error:
            raise unusable(self.root, error) from error

    def _must_be_writable(self) -> None:
        if not self._writable:
            raise BackupError(str(self.root), "is open for reading only", trouble=Trouble.INTERNAL)

    async def _free(self, draft: Manifest) -> Manifest:
        """The draft with an id that nobody has; for one of a second to come that second is waited for."""
        at = float(int(draft.created_at))
        taken = await asyncio.to_thread(self._ids)
        later = 0
        while backup_id(draft.name, at + later) in taken:
            later += 1
        if later:
            await self._pause(float(min(later, 60)))
        return replace(
            draft, id=backup_id(draft.name, at + later), created_at=draft.created_at if not later else at + later
        )

    def _ids(self) -> set[str]:
        return {folder.name.removesuffix(PARTIAL).removesuffix(REMOVING) for folder in folders(self.root)} | {
            one.manifest.id for one in self._attempts.all()
        }

    def _there(self, manifest: Manifest) -> BackupRecord | None:
        """The same backup, when it is here already; another of its id is no reason to replace it."""
        self._look()
        path = self.root / manifest.target / manifest.method / manifest.id
        if not path.exists():
            return None
        record = record_of(Folder(path=path, target=manifest.target, method=manifest.method))
        if record.manifest != manifest:
            why = f"another backup of that id is in {self.root} already, or what is left of it"
            raise BackupError(manifest.id, why, "remove that one first", trouble=Trouble.REPOSITORY)
        if record.status is Status.DAMAGED:
            why = f"the one in {self.root} is damaged: {record.reason}"
            raise BackupError(manifest.id, why, "remove that one first", trouble=Trouble.DAMAGED)
        return record

    def _making_lease(self, draft: Manifest) -> Path:
        return below(self.root, MAKING, draft.target, draft.method, f"{draft.id}{LEASE}")

    def _keep_attempt(self, attempt: Attempt) -> None:
        self._look()
        manifest = attempt.manifest
        fit(manifest.target, manifest.name)
        named = manifest.id or backup_id(manifest.name, manifest.created_at)
        self._attempts.keep(manifest.target, named, replace(attempt, manifest=replace(manifest, id=named)))

    @asynccontextmanager
    async def _marks_of(self, record: BackupRecord, what: str) -> AsyncIterator[None]:
        """The turn at one backup: at what is known of it, and at its name."""
        lease = below(self.root, LOCKS, MARKING, record.manifest.target, f"{record.id}{LEASE}")
        async with self._marking, self._holding(lease, what, tries=MARKING_TRIES):
            yield

    def _mark(self, place: Path, record: BackupRecord, change: Callable[[Marks], Marks]) -> BackupRecord:
        if record.status in (Status.RUNNING, Status.FAILED) or not place.is_dir():
            raise BackupError(record.id, "is no backup that could be marked", trouble=Trouble.MISSING)
        write_durably(place / MARKS, written(change(marks_in(place))))
        self._listing.forget(place)
        return record_of(Folder(path=place, target=record.manifest.target, method=record.manifest.method))

    def _unname(self, record: BackupRecord) -> None:
        place = Path(record.place)
        if place.is_dir():
            rename_durably(place, _away(record))
        self._listing.forget(place)

    def _remove(self, record: BackupRecord) -> None:
        if record.status is not Status.FAILED:
            remove_tree(_away(record))
            sync_folder(Path(record.place).parent)
        self._attempts.drop(record.manifest.target, record.id)  # or one that was busy with this very id


def _away(record: BackupRecord) -> Path:
    return Path(record.place + REMOVING)
