"""Choosing among the backups that are there: by kind, by the beginning of an id, by what builds on what. Pure."""

from collections.abc import Iterable
from pathlib import Path

from backup.errors import BackupError
from backup.repository.layout import shortened
from toban.backups import BackupRecord, Method, Status, Trouble
from toban.errors import NotFoundError, UsageError


def chosen(
    records: Iterable[BackupRecord], *, target: str | None, name: str | None, method: Method | None
) -> tuple[BackupRecord, ...]:
    """Those that fit, newest first."""
    fitting = [
        record
        for record in records
        if target in (None, record.manifest.target)
        and name in (None, record.manifest.name)
        and method in (None, record.manifest.method)
    ]
    return tuple(sorted(fitting, key=lambda record: (record.manifest.created_at, record.id), reverse=True))


def the_one(beginning: str, records: Iterable[BackupRecord], root: Path) -> BackupRecord:
    """The one by its id, or by as much of it as is no other's."""
    known = tuple(records)
    ids = shortened(beginning, (record.id for record in known))
    found = [record for record in known if record.id in ids]
    if not found or not beginning:
        raise NotFoundError(f"backup {beginning}", f"there is none in {root}", "toban backup list")
    if len(found) > 1:
        some = ", ".join(f"{one.manifest.target}/{one.manifest.method}/{one.id}" for one in found[:3])
        raise UsageError(f"backup {beginning}", f"could be {len(found)} of them: {some}", "write more of it")
    return found[0]


def line_of(record: BackupRecord, records: Iterable[BackupRecord]) -> tuple[BackupRecord, ...]:
    """It with those that it builds on, of the same target, the first of them first."""
    known = {one.id: one for one in records if one.status in (Status.OK, Status.DAMAGED)}
    line = [record]
    while (parent := line[0].manifest.parent) is not None:
        if parent not in known or any(one.id == parent for one in line):
            why = f"builds on {parent}, which is not there"
            raise BackupError(line[0].id, why, "restore another one", trouble=Trouble.MISSING)
        line.insert(0, known[parent])
    return tuple(line)
