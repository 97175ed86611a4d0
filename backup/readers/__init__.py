"""Small programs of our own that read other people's files, each in a process of its own: the standard library alone.

There they can be ended at any moment, take their memory with them, and meet nothing else of the daemon's.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from backup.children import Children, Command, Output
from backup.errors import BackupError
from toban.backups import Trouble

FOUND: Final = 1  # the status with which a reader ends that says what is wrong


def reader(name: str, *words: str | Path) -> Command:
    """One of them as a program, which can also stand in a pipeline; it needs nothing but Python."""
    script = Path(__file__).with_name(f"{name}.py")
    return Command(words=(sys.executable, "-IS", str(script), *map(str, words)), good=frozenset({0, FOUND}))


async def asked(children: Children, what: str, command: Command, *, within_seconds: float) -> dict[str, Any]:
    """What a reader answers on its output; a fault that it tells is raised."""
    done = await children.run(command, within_seconds=within_seconds)
    return answer(what, done, done.stdout)


def answer(what: str, done: Output, told: bytes) -> dict[str, Any]:
    """What a reader has told, once it ended well."""
    done.checked(what)
    try:
        found: dict[str, Any] = json.loads(told)
    except ValueError as error:
        words = " ".join(done.said.split()) or "it said nothing"
        raise BackupError(what, f"could not be read: {words}", trouble=Trouble.INTERNAL) from error
    fault = found.get("fault")
    if fault is not None:
        raise BackupError(what, fault["why"], fault.get("hint", ""), trouble=Trouble(fault["trouble"]))
    return found
