"""One restore from beginning to end, out of a repository alone: which way back, whether it will work, and the work.

Everything that can be known beforehand is looked at before anything is touched: the backup itself, those it builds on,
their files, the moment; then what the way back looks at: server, room, versions, WAL.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import tzinfo
from pathlib import Path
from typing import Final, Protocol

from backup.engines.contract import Contents, Surroundings, Tell
from backup.errors import BackupError
from backup.restore.contract import Moment, Preflight, Restored, Restorer, Wanted
from backup.restore.looking import files_there, locked, own_moment, reaching, standing, too_early
from backup.restore.ordering import Order, fitting
from toban.backups import BackupRecord, Belief, Check, Manifest, Method, Progress, Trouble
from toban.secrets import Secret

__all__ = ["Order", "Restoring", "Seen", "Shelves", "refusal", "restoring"]
VERIFYING: Final = "verify"
RESTORE: Final = "a restore"


class Shelves(Protocol):
    """What a restore wants of a repository."""

    def records(
        self, *, target: str | None = None, name: str | None = None, method: Method | None = None
    ) -> tuple[BackupRecord, ...]:
        """All there are, newest first."""
        ...

    def record(self, beginning: str) -> BackupRecord:
        """The one whose id begins so."""
        ...

    def lineage(self, record: BackupRecord) -> tuple[BackupRecord, ...]:
        """Those it builds on, and itself last."""
        ...

    def contents(self, record: BackupRecord, workspace: Path) -> Contents:
        """Its files in the clear."""
        ...

    def wal_place(self, target: str) -> Path:
        """Where a target's WAL lies."""
        ...

    async def check_files(self, record: BackupRecord, tell: Tell) -> tuple[Check, ...]:
        """Every byte of it, against its manifest."""
        ...

    def held(self, records: Iterable[BackupRecord], what: str) -> AbstractAsyncContextManager[None]:
        """Nobody removes them while the block lasts."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known before anything is done. `error` is what kept us from looking further."""

    record: BackupRecord
    moment: Moment
    checks: tuple[Check, ...]
    preflight: Preflight | None = None
    error: BackupError | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing speaks against it."""
        return self.error is None and all(check.ok is not False for check in self.checks)

    @property
    def faults(self) -> tuple[str, ...]:
        """What speaks against it, in sentences."""
        found = [check.detail or check.name for check in self.checks if check.ok is False]
        return tuple(found) or ((self.error.reason,) if self.error else ())

    @property
    def reaches_at(self) -> float | None:
        """The moment that will come back, as far as it is known."""
        if self.preflight is not None and self.preflight.reaches_at is not None:
            return self.preflight.reaches_at
        return self.moment.at if self.moment.at is not None else own_moment(self.record, self.moment)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """One restore that is prepared. `workspace` is its own folder and goes with it."""

    order: Order
    wanted: Wanted
    restorer: Restorer
    shelves: Shelves
    around: Surroundings
    workspace: Path
    zone: tzinfo
    broken: BackupError | None = None  # what it builds on is not all there

    async def look(self) -> Seen:
        """The preflight: look at everything, change nothing."""
        record = self.wanted.record
        checks = (*self._own_checks(), await asyncio.to_thread(files_there, self.wanted.lineage))
        preflight, error = None, self.broken or locked(self.wanted.lineage)
        if error is None and all(check.ok is not False for check in checks):
            try:
                preflight = await self.restorer.preflight(self.wanted, self.around)
            except BackupError as caught:
                error = caught
        checks += (Check(name=error.what, ok=False, detail=error.reason),) if error is not None else ()
        checks += preflight.checks if preflight is not None else ()
        return Seen(record=record, moment=self.wanted.moment, checks=checks, preflight=preflight, error=error)

    async def restore(self, tell: Tell) -> Restored:
        """Look, then do it: what speaks against it is raised instead, and nothing is touched."""
        seen = await self.look()
        if not seen.ok:
            raise refusal(seen)
        return await self.carry_out(tell)

    async def carry_out(self, tell: Tell) -> Restored:
        """Do it, for whoever has looked."""
        async with self.shelves.held([record for record, _ in self.wanted.lineage], RESTORE):
            took = await self._verified(tell)
            restored = await self.restorer.restore(self.wanted, self.around, self.workspace, tell)
        return replace(restored, phases={**took, **restored.phases})

    async def _verified(self, tell: Tell) -> dict[str, float]:
        """Every byte against the manifests, where nobody has looked yet or somebody asks for it."""
        unread = [record for record, _ in self.wanted.lineage if record.belief is Belief.STORED]
        chosen = [record for record, _ in self.wanted.lineage] if self.order.verify else unread
        if self.order.verify is False or not chosen:
            return {}
        begun = self.around.clock.monotonic()
        for record in chosen:
            tell(Progress(phase=VERIFYING, total_bytes=record.manifest.size_bytes, what=record.id))
            for check in await self.shelves.check_files(record, tell):
                if check.ok is False:
                    hint = "choose another one: toban backup list"
                    raise BackupError(f"backup {record.id}", check.detail or check.name, hint, trouble=Trouble.DAMAGED)
        return {VERIFYING: self.around.clock.monotonic() - begun}

    def _own_checks(self) -> tuple[Check, ...]:
        record = self.wanted.record
        found = [standing(record, self.around.clock.now())]
        early = too_early(record, self.wanted.moment, self.zone)
        if early:
            better = reaching(self.shelves.records(target=record.manifest.target), self.wanted.moment)
            hint = f"; take {better.id}" if better is not None else "; no earlier one is there"
            found.append(Check(name="moment", ok=False, detail=early + hint))
        return tuple(found)


def refusal(seen: Seen) -> BackupError:
    """Why it is not done, as an error."""
    if seen.error is not None:
        return seen.error
    hint = "nothing was touched; --dry-run shows every check"
    return BackupError(f"restore {seen.record.id}", "; ".join(seen.faults), hint, trouble=Trouble.MISSING)


@asynccontextmanager
async def restoring(
    shelves: Shelves,
    around: Surroundings,
    order: Order,
    *,
    zone: tzinfo,
    restorer_of: Callable[[Manifest], Restorer],
    secret_of: Callable[[str], Secret | None] = lambda _: None,
) -> AsyncIterator[Restoring]:
    """One restore, prepared; what is wrong with the order itself is a `UsageError`. Its workspace goes in the end.

    `secret_of` knows the password of a job by its name, where somebody has configured one.
    """
    record = await asyncio.to_thread(shelves.record, order.backup)
    if not record.manifest.engine:  # nothing of it can be read: neither what it holds, nor who made it
        why = standing(record, around.clock.now()).detail.removeprefix(f"{record.id} ")
        raise BackupError(record.id, why, trouble=Trouble.DAMAGED)
    fitted = fitting(order, record.manifest)
    around.workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
    workspace = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="restore-", dir=around.workspace))
    try:
        lineage, broken = await asyncio.to_thread(_lineage, shelves, record, workspace)
        yield Restoring(
            order=fitted,
            wanted=replace(_wanted(fitted, record, lineage, shelves), secret=secret_of(record.manifest.name)),
            restorer=restorer_of(record.manifest),
            shelves=shelves,
            around=around,
            workspace=workspace,
            zone=zone,
            broken=broken,
        )
    finally:
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, workspace, ignore_errors=True))


# --- what is wanted, and whether that can be -----------------------------------------------------------------------


def _wanted(
    order: Order, record: BackupRecord, lineage: tuple[tuple[BackupRecord, Contents], ...], shelves: Shelves
) -> Wanted:
    wal = shelves.wal_place(record.manifest.target) if record.manifest.method is Method.BASE else None
    return Wanted(
        record=record,
        lineage=lineage,
        moment=order.moment,
        database=order.database,
        tables=order.tables,
        into=order.into,
        data_dir=order.data_dir,
        rename=order.rename,
        replace=order.replace,
        with_roles=order.with_roles,
        jobs=order.jobs,
        accept_gap=order.accept_gap,
        wal_place=wal if wal is not None and wal.is_dir() else None,
        owner=order.owner,
        identity=order.identity,
    )


def _lineage(
    shelves: Shelves, record: BackupRecord, workspace: Path
) -> tuple[tuple[tuple[BackupRecord, Contents], ...], BackupError | None]:
    """The backup and those it builds on, each with its files; alone with the reason where one of them is missing."""
    broken: BackupError | None = None
    try:
        line: Sequence[BackupRecord] = shelves.lineage(record)
    except BackupError as error:
        line, broken = (record,), error
    found = []
    for place, one in enumerate(line):
        own = workspace / f"clear-{place}"
        own.mkdir(mode=0o700)
        found.append((one, shelves.contents(one, own)))
    return tuple(found), broken
