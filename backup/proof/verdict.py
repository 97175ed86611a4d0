"""What a proof came to, from what was found: damaged before inconclusive before proven, each with its sentence.

Nothing that could not be looked at counts as passed. One thing found spoiled decides; and an obstacle of this machine's
(no room, no program, an extension that is not installed) says nothing about the backup.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from backup.errors import BackupError
from toban.backups import Check, Trouble, Verdict

MOST_NAMED: Final = 3
SPOILED_TROUBLES: Final = frozenset({Trouble.DAMAGED, Trouble.MISSING})
TELLING_TROUBLES: Final = frozenset({Trouble.TOOL, Trouble.INTERNAL})  # where the words decide
# What this machine lacks, or what came in between: no word about the backup.
_HERE = re.compile(
    r"no space left|disk quota|could not (extend|write|map|resize|fork|create (shared|lock|semaphores))"
    r"|out of (shared )?memory|cannot allocate memory|too many (open files|clients|connections)"
    r"|extension .* (is not available|does not exist)|extension control file"
    r"|could not (access|open) file \"\$libdir|could not (access file|load library)|shared_preload_libraries"
    r"|must be preloaded|role .* does not exist|locale|collation|template database|permission denied"
    r"|the database system is|connection (to server|was closed|is closed)|server closed the connection"
    r"|terminating connection|canceling statement|timeout|unsupported version|incompatible with server"
    r"|conversion .* does not exist"
    r"|address already in use|unrecognized configuration parameter|invalid value for parameter|not permitted",
    re.IGNORECASE,
)
# What a restore says of what it read. What may as well come of another version, or of a disk, is left to the digests.
_SPOILED = re.compile(
    r"end of file|unexpected end|premature end|(?<!be )truncated|corrupt|checksum|crc|invalid page|could not read block"
    r"|could not read from input|not .*valid archive|decompress|uncompress|inflate|incorrect (data|header|resource)"
    r"|invalid (byte sequence|record|magic|memory alloc|checkpoint|primary checkpoint|tar|frame)"
    r"|missing (data for column|chunk number)|extra data after|unexpected (chunk|data|magic|pageaddr)"
    r"|(violates|could not create) (unique|foreign key|exclusion)|is duplicated"
    r"|could not locate a valid checkpoint|could not (locate|find) required checkpoint|wal ends before"
    r"|could not access status of transaction|backup_label|wrong (block|size)|bad magic"
    r"|could not (open|stat|find) file \"(base|global|pg_xact|pg_multixact)/",
    re.IGNORECASE,
)


class Weight(StrEnum):
    """What an answer is needed for."""

    NEEDED = "needed"  # without it there is no proof
    INTEGRITY = "integrity"  # of these one must have been looked at, where any was asked for
    TOLD = "told"  # said, and no more, unless it is bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something looked at, and how much hangs on it."""

    check: Check
    weight: Weight = Weight.NEEDED


def judged(findings: Sequence[Finding]) -> tuple[Verdict, str]:
    """The verdict, and why."""
    checks = [finding.check for finding in findings]
    bad = [check for check in checks if check.ok is False]
    if bad:
        return Verdict.DAMAGED, _listed(bad)
    if not any(check.ok for check in checks):
        return Verdict.INCONCLUSIVE, _listed(checks) if checks else "nothing was looked at"
    open_questions = _undecided(findings)
    if open_questions:
        return Verdict.INCONCLUSIVE, _listed(open_questions)
    unseen = [check for check in checks if check.ok is None]
    said = f"restored, and all that was looked at is well ({', '.join(check.name for check in checks if check.ok)})"
    return Verdict.PROVEN, said + (f"; not looked at: {_listed(unseen)}" if unseen else "")


def _undecided(findings: Sequence[Finding]) -> list[Check]:
    """What stands in the way of a pass."""
    found = [one.check for one in findings if one.weight is Weight.NEEDED and one.check.ok is None]
    integrity = [one.check for one in findings if one.weight is Weight.INTEGRITY]
    if integrity and not any(check.ok for check in integrity):
        found += integrity
    return found


def _listed(checks: Sequence[Check]) -> str:
    said = "; ".join(f"{check.name}: {check.detail}" if check.detail else check.name for check in checks[:MOST_NAMED])
    more = len(checks) - MOST_NAMED
    return said + (f"; and {more} more" if more > 0 else "")


def spoiled(words: str) -> bool | None:
    """Whether what a server or a program complains of is damage: None where this machine may be the cause."""
    if _HERE.search(words):
        return None
    return True if _SPOILED.search(words) else None


def of_reading(sqlstate: str, words: str) -> bool | None:
    """What it means for a check that data could not be read: False for damage, None for this machine's obstacles.

    Reading does nothing but read: what fails, and is not an obstacle of this machine's, is the data.
    """
    if sqlstate[:2] in ("53", "57", "08", "55") or sqlstate == "58030" or _HERE.search(words):
        return None
    return False


def obstacle(name: str, error: BackupError) -> Check:
    """A step that failed: whether that speaks against the backup."""
    damaged = error.trouble in SPOILED_TROUBLES or (
        error.trouble in TELLING_TROUBLES and spoiled(f"{error.why} {error.hint}") is True
    )
    return Check(name=name, ok=False if damaged else None, detail=error.reason)


def worst(answers: Iterable[bool | None]) -> bool | None:
    """Of several answers: bad before open before good."""
    found = list(answers)
    if False in found:
        return False
    return None if None in found or not found else True
