"""What happened, as opposed to what is: a setting changed, a server restarted or was promoted, a backup failed."""

from dataclasses import dataclass
from enum import StrEnum


class EventKind(StrEnum):
    """What can happen. People meet these words in `toban events` and in the API."""

    SETTING_CHANGED = "setting_changed"  # in force now, with another value than before
    RESTART_PENDING = "restart_pending"  # changed in the files, in force after a restart
    RESTARTED = "restarted"
    REPLACED = "replaced"  # another server answers: a failover, or one that was restored
    PROMOTED = "promoted"  # a standby has become a primary
    DEMOTED = "demoted"  # a primary has become a standby
    UPGRADED = "upgraded"  # another server version answers
    FILE_CHANGED = "file_changed"
    BACKUP_FAILED = "backup_failed"  # a backup, a proof or a drill came to nothing
    BACKUP_DAMAGED = "backup_damaged"  # one that was there is not whole, or did not come back to life
    BACKUP_UNUSUAL = "backup_unusual"  # far smaller, slower or emptier than those before


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing that happened at a target. It travels among a collection's `rows`, whose target it is about.

    `subject` is what it happened to: a setting's name, a file's path; empty for the target as a whole. `before` and
    `after` are shown to people: they carry no secrets.
    """

    kind: EventKind
    subject: str = ""
    before: str = ""
    after: str = ""
    detail: str = ""
    """Where it comes from, as far as that is known: a file and its line."""
    at: float
