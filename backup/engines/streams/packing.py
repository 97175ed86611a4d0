"""How a file is packed and unpacked again, by the programs that everybody has for it."""

import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backup.children import NO_SPACE, Command, Output
from backup.errors import BackupError
from backup.programs import Programs
from backup.settings import compression_of
from toban.backups import Trouble

_ENDED: Final = (-signal.SIGKILL, -signal.SIGTERM)  # by somebody, or for want of memory
_LOCKED: Final = ("no identity matched", "no identities", "identity file", "No secret key", "No pinentry", "gpg-agent")
SUFFIXES: Final = {"zstd": ".zst", "lz4": ".lz4", "gzip": ".gz"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Packing:
    """One way of packing. Without a program it is none."""

    name: str | None = None
    command: Command | None = None

    @property
    def suffix(self) -> str:
        """What it adds to a file's name."""
        return SUFFIXES.get(self.name or "", "")

    @property
    def commands(self) -> tuple[Command, ...]:
        """What goes at the end of a pipeline."""
        return () if self.command is None else (self.command,)


def packing(programs: Programs, compress: str | None, default: str = "none") -> Packing:
    """As a job has it: `zstd:3`."""
    name, level = compression_of(compress or default) or ("none", None)
    if name == "none":
        return Packing()
    words = (str(programs.other(name)), "-q", *(() if level is None else (f"-{level}",)), "-c")
    return Packing(name=name, command=Command(words=words))


def unpacking(programs: Programs, name: str) -> tuple[Command, ...]:
    """What gives a file back, by the end of its name. The program also checks what it reads."""
    packed = next((known for known, suffix in SUFFIXES.items() if name.endswith(suffix)), None)
    return () if packed is None else (Command(words=(str(programs.other(packed)), "-q", "-d", "-c")),)


def unpacked_name(name: str) -> str:
    """The name that it has in the clear."""
    return Path(name).stem if Path(name).suffix in SUFFIXES.values() else name


def unreadable(what: str, done: Output) -> BackupError:
    """Why what was read through has no end: spoiled, unless for want of room or the key, or a program was ended."""
    failed = [one for one in done.ended if not one.ok]
    causes = [one for one in failed if not one.cut_off] or failed
    why = "; ".join(one.why for one in causes)
    if any(words in one.said for one in failed for words in NO_SPACE):
        return BackupError(what, why, "make room there", trouble=Trouble.SPACE)
    if any(words in one.said for one in causes for words in _LOCKED):
        hint = "is the key under backups.encryption the one it was sealed for?"
        return BackupError(what, why, hint, trouble=Trouble.CONFIGURATION)
    killed = causes[0].status in _ENDED  # what reads from it then fails in its own way
    return BackupError(what, why, trouble=Trouble.CANCELLED if killed else Trouble.DAMAGED)
