"""The daemon's folder for what must not stay, cleared of what an earlier life left in it: password files among it."""

import fcntl
import os
import shutil
from contextlib import suppress
from pathlib import Path

from backup.proof.place import PREFIX


def cleared(workspace: Path) -> None:
    """Make it, and empty it. Scratch places have leases, and go by those.

    Commands work elsewhere, unless a person named this folder to one: that one holds a lock on its own.
    """
    with suppress(OSError):
        workspace.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in workspace.iterdir():
            if left.name.startswith(PREFIX) or _is_held(left):
                continue
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)


def _is_held(left: Path) -> bool:
    """Whether it is a folder that somebody holds a lock on."""
    try:
        handle = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False
