"""`toban backup copies|pull`: what lies in the second places, and how one comes back from there."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from backup.errors import BackupError
from backup.plan import Plan
from backup.repository.copies.opening import copy_of
from backup.settings import Copy as CopySettings
from daemon.answers.backups_keeping import Kept, keeping
from daemon.answers.backups_opening import Place, Shelf, carried_out
from daemon.answers.backups_progress import Telling
from daemon.answers.printing import console, plain, print_json, table
from daemon.documents import Document
from daemon.documents_backups import backup_document
from toban.backups import BackupRecord, Status
from toban.catalogue import say
from toban.errors import NotFoundError, UsageError
from toban.units import size_text

MOST_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class There:
    """One second place: what lies in it, and what is to lie in it and does not."""

    name: str
    records: Sequence[BackupRecord] = ()
    lacks: Sequence[str] = ()
    why: str = ""

    @property
    def ok(self) -> bool:
        """Whether it could be looked at, is whole, and lacks nothing."""
        return not self.why and not self.lacks and all(one.status is Status.OK for one in self.records)


def answer(place: Place, *, as_json: bool) -> int:
    """Print what lies where; 1 where a place cannot be reached, lacks a backup, or has a damaged one."""

    async def work() -> int:
        async with keeping(place) as kept:
            known = kept.shelf.repository.records()
            found = [await _there(kept, one, known) for one in kept.keeper.plan.settings.copies]
            if as_json:
                print_json([copy_document(one, kept.shelf) for one in found])
            else:
                _show(found, kept.shelf)
            return 0 if all(one.ok for one in found) else 1

    return carried_out(work)


def pull(place: Place, *, backup: str, copy: str, as_json: bool) -> int:
    """Bring one back, with all that it builds on."""

    async def work() -> int:
        async with keeping(place) as kept:
            settings = _settings(kept.keeper.plan, copy)
            there = copy_of(settings, kept.shelf.repository)
            await there.open()
            record = _one(await there.records(), backup, copy)
            async with kept.shelf.repository.turn(record.manifest.target, f"pulling {record.id}"):
                with Telling(kept.shelf.language, quiet=as_json) as tell:
                    brought = await there.pull(record, tell, kept.shelf.secret(record.manifest.name))
            if as_json:
                print_json(backup_document(brought, kept.shelf.zone))
            else:
                size = size_text(brought.manifest.size_bytes)
                said = say("backups.pulled", kept.shelf.language, id=brought.id, size=size)
                console().print(plain(said), soft_wrap=True)
            return 0

    return carried_out(work)


async def _there(kept: Kept, settings: CopySettings, known: Sequence[BackupRecord]) -> There:
    plan = kept.keeper.plan
    jobs = {job.name for job in plan.jobs if settings in plan.copies(job)}
    try:
        copy = copy_of(settings, kept.shelf.repository)
        await copy.open()
        records = await copy.records()
    except BackupError as error:
        return There(name=settings.name, why=error.reason)
    ids = {one.id for one in records}
    wanted = [one for one in known if one.status is Status.OK and one.manifest.name in jobs]
    return There(name=settings.name, records=records, lacks=[one for one in _due(settings, wanted) if one not in ids])


def _due(settings: CopySettings, wanted: Sequence[BackupRecord]) -> Collection[str]:
    """A place with a retention of its own lets older ones go: there the newest of each job alone is to be missed."""
    if settings.keep is None:
        return [one.id for one in wanted]
    newest: dict[str, str] = {}
    for one in wanted:
        newest.setdefault(one.manifest.name, one.id)
    return newest.values()


def _settings(plan: Plan, name: str) -> CopySettings:
    found = next((one for one in plan.settings.copies if one.name == name), None)
    if found is None:
        there = ", ".join(one.name for one in plan.settings.copies)
        raise NotFoundError(
            f"copy {name}", "none is called so", f"there is: {there}" if there else "none is configured"
        )
    return found


def _one(records: Sequence[BackupRecord], beginning: str, copy: str) -> BackupRecord:
    found = [one for one in records if one.id.startswith(beginning)]
    if not found or not beginning:
        raise NotFoundError(f"backup {beginning}", f"is not in {copy}", "toban backup copies")
    if len(found) > 1:
        some = ", ".join(one.id for one in found[:MOST_NAMED])
        raise UsageError(f"backup {beginning}", f"could be {len(found)} of them: {some}", "write more of it")
    return found[0]


def copy_document(one: There, shelf: Shelf) -> Document:
    """One place."""
    return {
        "name": one.name,
        "ok": one.ok,
        "reason": one.why,
        "lacks": list(one.lacks),
        "backups": [backup_document(record, shelf.zone) for record in one.records],
    }


def _show(found: Sequence[There], shelf: Shelf) -> None:
    language, out = shelf.language, console()
    if not found:
        out.print(say("empty.copies", language))
        return
    names = ("copy", ">count", ">size", "lacks", "reason")
    headings = ((">" if name[0] == ">" else "") + say(f"column.{name.lstrip('>')}", language) for name in names)
    made = table(say("table.copies", language), *headings)
    for one in found:
        size = size_text(sum(record.manifest.size_bytes for record in one.records))
        damaged = [f"{record.id}: {record.reason}" for record in one.records if record.status is not Status.OK]
        why = "; ".join([one.why, *damaged]).strip("; ")
        made.add_row(plain(one.name), str(len(one.records)), size, plain(_named(one.lacks)), plain(why))
    out.print(made)


def _named(ids: Sequence[str]) -> str:
    more = f" +{len(ids) - MOST_NAMED}" if len(ids) > MOST_NAMED else ""
    return ", ".join(ids[:MOST_NAMED]) + more
