"""What tells that nobody wrote to an SQLite file while it was read without a lock."""

from dataclasses import dataclass

from collectors.sqlite.looking import Look
from collectors.sqlite.survey import Access, access_of, held_and_header, inspect, through

PARAMETERS = {Access.SHARED: "readonly_shm=1", Access.ROLLBACK: "nolock=1", Access.AT_REST: "immutable=1"}
"""How a file is opened that its application may have open in this way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """What must be the same after a look without locks as before it, or the look counts for nothing."""

    access: Access
    inode: int
    size_bytes: int
    modified_ns: int
    change_counter: int
    write_locked: bool


def stamp_of(look: Look) -> Stamp:
    """How the file stands now."""
    found = inspect(look.path)
    with look.connection():
        locked, header = through(found, lambda descriptor: held_and_header(descriptor, found))
        return Stamp(
            access=access_of(header, look.path),
            inode=found.st_ino,
            size_bytes=found.st_size,
            modified_ns=found.st_mtime_ns,
            change_counter=header.change_counter if header else 0,
            write_locked=locked,
        )
