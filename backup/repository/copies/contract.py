"""What a copy is: a second place that takes backups and WAL, lists them, and gives them back."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Final, Protocol

from backup.engines.contract import Tell
from backup.errors import BackupError
from toban.backups import BackupRecord, Marks, Status, Trouble
from toban.secrets import Secret

_ARCHIVED: Final = re.compile(r"[0-9A-F]{8}(?:[0-9A-F]{16})?(?:\..+)?|identity\.json")
_UNFINISHED: Final = re.compile(r"\.(?:partial|push|tmp)(?:\.|$)")


class Copy(Protocol):
    """One second place. Nothing that is whole there is ever replaced, and nothing is whole before its manifest is."""

    @property
    def name(self) -> str:
        """As the configuration has it."""
        ...

    async def open(self) -> None:
        """See that it can be reached, and is the place that it was; make it at the first time."""
        ...

    async def push(self, record: BackupRecord, tell: Tell, secret: Secret | None = None) -> None:
        """Take a backup with all that it builds on, and what is known of it. One that is there is not sent again.

        `secret` is the password of its job, where restic keeps it.
        """
        ...

    async def records(self) -> tuple[BackupRecord, ...]:
        """What is there, newest first. One that is not whole any more is damaged."""
        ...

    async def pull(self, record: BackupRecord, tell: Tell, secret: Secret | None = None) -> BackupRecord:
        """Bring one of its `records` back into the repository, with all that it builds on."""
        ...

    async def remove(self, record: BackupRecord, why: str) -> None:
        """Take one of its `records` away."""
        ...

    async def sweep(self) -> tuple[str, ...]:
        """Clear away what was never completed."""
        ...

    async def push_wal(self, target: str, tell: Tell) -> int:
        """Send what is archived here and not there; how many files that were."""
        ...

    async def wal(self, target: str) -> Mapping[str, int]:
        """The archived files that are there, with their sizes."""
        ...

    async def pull_wal(self, target: str, names: Collection[str] | None, tell: Tell) -> int:
        """Bring archived files back, all or those named; what is here already is left as it is."""
        ...

    async def remove_wal(self, target: str, names: Collection[str]) -> int:
        """Take archived files away; how many were there."""
        ...


def sound(line: Collection[BackupRecord]) -> Collection[BackupRecord]:
    """A backup with what it builds on, when all of it is fit to be copied."""
    for record in line:
        if record.status is not Status.OK:
            why = f"is {record.status} here, and is not copied"
            raise BackupError(record.id, f"{why}: {record.reason}" if record.reason else why, trouble=Trouble.DAMAGED)
    return line


def learned(there: Marks, here: Marks) -> Marks:
    """What is known here, for there. When its bytes were read is a matter of the place where they lie."""
    return replace(here, verification=there.verification or here.verification)


def is_news(there: Marks, here: Marks) -> bool:
    """Whether more, or something else, is known here; to which copies it went is nothing to a copy."""
    return learned(there, here) != replace(there, copies=here.copies)


def another_owner(name: str, content: bytes, identity: str, mend: str) -> BackupError | None:
    """Why a place is not ours to write to, by what it says of whose it is; None where it is ours."""
    try:
        said = str(json.loads(content)["identity"])
    except (ValueError, KeyError, TypeError):
        said = ""
    if said == identity:
        return None
    why = f"holds the copies of another repository ({said or 'it does not say which'})"
    hint = f"name a place that is this one's alone; if this one takes that one's place for good: {mend}"
    return BackupError(f"copy {name}", why, hint, trouble=Trouble.CONFIGURATION)


def is_archived(name: str) -> bool:
    """Whether a file in a place for WAL is finished, and belongs to the archive."""
    return _ARCHIVED.fullmatch(name) is not None and _UNFINISHED.search(name) is None
