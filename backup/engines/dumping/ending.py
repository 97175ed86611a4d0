"""How a script ends that is whole: pg_dump and pg_dumpall say nothing when the last of what they print is lost."""

from pathlib import Path
from typing import Final

from backup.errors import BackupError

SCRIPT_ENDING: Final = b"-- PostgreSQL database dump complete"
GLOBALS_ENDING: Final = b"-- PostgreSQL database cluster dump complete"
TAIL_BYTES: Final = 4096


def check_ending(path: Path, ending: bytes) -> None:
    """Whether a script in the clear is whole, though whoever wrote it said so: to a full disk they print in vain."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - TAIL_BYTES))
        if ending not in file.read(TAIL_BYTES):
            why = f"was cut off: it does not end with {ending.decode()!r}"
            raise BackupError(path.name, why, "is there room in the repository?")
