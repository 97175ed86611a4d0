"""`toban backup verify`: every byte read and compared, and what was found written on the backup."""

import sys
from collections.abc import Sequence
from dataclasses import replace

from backup.engines import engine_of
from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.keeping.reading import verified
from daemon.answers.backups_opening import Place, Shelf, carried_out, opened
from daemon.answers.backups_progress import Telling
from daemon.answers.backups_story import checks_table
from daemon.answers.printing import console, plain, print_json
from daemon.documents import Document
from daemon.documents_backups import backup_document, verification_document
from toban.backups import BackupRecord, Check, Status, Verification
from toban.catalogue import say
from toban.errors import NotFoundError, UsageError
from toban.printable import printable
from toban.units import seconds_text

VERIFY_SECONDS = 24 * 3600.0


def answer(place: Place, *, backup: str | None, every: bool, as_json: bool) -> int:
    """Read them; 1 where something is not as it was written, or could not be told."""
    if (backup is None) == (not every):
        raise UsageError("verify", "name an ID, or say --all", "toban backup list shows them")

    async def work() -> int:
        async with opened(place) as shelf:
            chosen = _chosen(shelf, backup)
            found: list[BackupRecord] = []
            for one in chosen:
                with Telling(shelf.language, quiet=as_json) as tell:
                    read = await _read(shelf, one, tell, every=every)
                found.append(read)
                if not as_json:
                    _tell(read, shelf)
            if not chosen and not as_json:
                console().print(say("empty.backups", shelf.language))
            if as_json:
                documents = [_document(one, shelf) for one in found]
                print_json(documents if every else documents[0])
            return 0 if all(_is_fine(one) for one in found) else 1

    return carried_out(work)


async def _read(shelf: Shelf, record: BackupRecord, tell: Tell, *, every: bool) -> BackupRecord:
    """One of them. Of all the others one that cannot be looked at keeps none from being read."""
    if not record.manifest.engine:
        return _found(record, await shelf.repository.check_files(record, tell), shelf)
    try:
        async with shelf.repository.held([record], "a reading"):
            return await verified(
                record,
                engine=engine_of(record.manifest),
                repository=shelf.repository,
                around=shelf.around,
                tell=tell,
                within_seconds=VERIFY_SECONDS,
                secret=shelf.secret(record.manifest.name),
                unwritten=lambda error: _note(record, error, shelf),
            )
    except BackupError as error:
        if not every:
            raise
        return _found(record, (Check(name=error.what, ok=None, detail=error.reason),), shelf)


def _found(record: BackupRecord, checks: Sequence[Check], shelf: Shelf) -> BackupRecord:
    """With what was found, which is written nowhere."""
    verification = Verification(at=shelf.around.clock.now(), checks=tuple(checks))
    return replace(record, marks=replace(record.marks, verification=verification))


def _note(record: BackupRecord, error: BackupError, shelf: Shelf) -> None:
    """The verdict is what was asked for; that it will not be remembered is to be known as well."""
    said = say("backups.unwritten", shelf.language, id=record.id, why=error.reason)
    print(printable(f"toban: {said}"), file=sys.stderr)


def _chosen(shelf: Shelf, backup: str | None) -> Sequence[BackupRecord]:
    """One, or all that are there as wholes."""
    if backup is None:
        return [one for one in shelf.repository.records() if one.status in (Status.OK, Status.DAMAGED)]
    record = shelf.repository.record(backup)
    if record.status in (Status.RUNNING, Status.FAILED):
        why = "is still being made" if record.status is Status.RUNNING else f"was never made: {record.reason}"
        raise NotFoundError(f"backup {record.id}", why, "toban backup list")
    return [record]


def _is_fine(record: BackupRecord) -> bool:
    found = record.marks.verification
    return record.status is Status.OK and found is not None and found.ok


def _document(record: BackupRecord, shelf: Shelf) -> Document:
    """The backup, and what was found."""
    found = record.marks.verification
    told = verification_document(found, shelf.zone) if found is not None else None
    return backup_document(record, shelf.zone) | {"ok": _is_fine(record), "verification": told}


def _tell(record: BackupRecord, shelf: Shelf) -> None:
    language, out, found = shelf.language, console(), record.marks.verification
    if _is_fine(record) and found is not None:
        said = say("backups.verified", language, id=record.id, span=seconds_text(found.seconds, language))
        out.print(f"[green]{plain(said)}[/]", soft_wrap=True)
        return
    wrong = record.status is Status.DAMAGED or (found is not None and any(check.ok is False for check in found.checks))
    key, style = ("backups.not_verified", "bold red") if wrong else ("backups.unverified", "yellow")
    out.print(f"[{style}]{plain(say(key, language, id=record.id))}[/]", soft_wrap=True)
    if found is not None:
        out.print(checks_table("", (check for check in found.checks if not check.ok), language))
