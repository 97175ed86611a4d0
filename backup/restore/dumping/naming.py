"""Under which names databases come back, and what may be in their way: decided from what is there, purely."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from backup.engines.dumping.properties import PARTIAL
from backup.engines.dumping.reading import Entry
from backup.errors import BackupError
from toban.backups import Trouble

LONGEST_NAME_BYTES: Final = 63
# Databases that are there to connect to; the template last, since nobody can copy it while we are in it.
WAYS_IN: Final = ("postgres", "defaultdb", "template1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One database of the dump, and the name that it gets."""

    entry: Entry
    name: str

    @property
    def partial(self) -> str:
        """What it is called until all of it is there."""
        return PARTIAL + hashlib.sha256(self.name.encode()).hexdigest()[:16]

    def aside(self, stamp: str) -> str:
        """What the one before it is called from then on; long names that begin alike are told apart all the same."""
        ending, name = f"-replaced-{stamp}", self.name.encode()
        if len(name) + len(ending) > LONGEST_NAME_BYTES:
            ending = f"-{hashlib.sha256(name).hexdigest()[:6]}{ending}"
        return name[: LONGEST_NAME_BYTES - len(ending)].decode(errors="ignore") + ending


def chosen_entries(entries: Sequence[Entry], database: str | None, backup: str) -> tuple[Entry, ...]:
    """The databases that are asked for: all of them, or one."""
    found = tuple(entry for entry in entries if database in (None, entry.name))
    if not found:
        hint = "it has: " + ", ".join(entry.name for entry in entries)
        raise BackupError(f"backup {backup}", f"has no database {database}", hint, trouble=Trouble.MISSING)
    return found


def destinations(entries: Sequence[Entry], *, rename: str | None, way_in: str | None) -> tuple[Destination, ...]:
    """Where each goes. One alone goes where it is told to: by its new name, else to the database that the DSN names.

    A DSN that names a database made for connecting to (`postgres`), or several databases at once: then under their own.
    """
    if rename is not None and len(entries) > 1:
        hint = "name one of them with --database"
        raise BackupError("restore", f"one name for {len(entries)} databases", hint, trouble=Trouble.CONFIGURATION)
    named = rename or (way_in if way_in not in WAYS_IN else None)
    if len(entries) == 1 and named is not None:
        return (Destination(entry=entries[0], name=named),)
    return tuple(Destination(entry=entry, name=entry.name) for entry in entries)


def way_in_for(names: Collection[str], there: Collection[str], asked: str | None) -> str | None:
    """A database to connect to while others are made and renamed: one that is none of these."""
    for candidate in (asked, "postgres", "template1"):
        if candidate is not None and candidate in there and candidate not in names:
            return candidate
    return next((name for name in sorted(there) if name not in names and name != "template0"), None)
