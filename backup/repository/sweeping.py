"""Clearing away what was left by makers that are gone: never anything of one who lives."""

import asyncio
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import structlog

from backup.repository.durable import TEMPORARY, remove_tree, rename_durably, sync_folder
from backup.repository.forms import Attempt, FormError, placeholder, read
from backup.repository.layout import HOLDING, LEASE, LOCKS, MAKING, MARKING, PARTIAL, REMOVING, below
from backup.repository.listing import Folder, draft_path, folders, stamp_of
from backup.repository.turns import BusyError, Turns, finished
from toban.backups import Manifest, Trouble

INTERRUPTED = "it was interrupted: its maker is gone (killed, crashed, or the machine was restarted)"
_UNFINISHED = re.compile(rf"^{re.escape(TEMPORARY)}\d+-(?:[0-9a-f]{{8}}-)?")
logger = structlog.get_logger(__name__)


async def swept(root: Path, turns: Turns, keep: Callable[[Attempt], None]) -> tuple[str, ...]:
    """All that is stale, cleared away; what it was, in sentences."""
    done: list[str] = []
    for folder in await asyncio.to_thread(lambda: list(folders(root))):
        if folder.name.endswith(REMOVING):
            await finished(asyncio.to_thread(remove_tree, folder.path))
            done.append(f"{folder.target}/{folder.method}/{folder.name}: its removal is completed")
        elif folder.name.endswith(PARTIAL):
            with suppress(BusyError):  # its maker lives; and none begins under that name while it is cleared
                async with turns.holding(_lease(root, folder), "sweeping"):
                    await finished(asyncio.to_thread(_clear, root, folder, keep))
                    done.append(f"{folder.target}/{folder.method}/{folder.name}: {INTERRUPTED}")
    for path in await asyncio.to_thread(lambda: [*_leases(root)]):
        await turns.held_by(path)  # what a dead one holds is taken, and given back
    await asyncio.to_thread(_tidy, root)
    for sentence in done:
        logger.info("repository_swept", what=sentence)
    return tuple(done)


def _lease(root: Path, folder: Folder) -> Path:
    draft = _draft(root, folder)
    return draft.with_name(draft.name.removesuffix(".json") + LEASE)


def _leases(root: Path) -> Iterator[Path]:
    """Those that nobody else may wait for: of makings, of marks and of holds, not of targets' turns."""
    for folder in (below(root, MAKING), below(root, LOCKS, MARKING), below(root, LOCKS, HOLDING)):
        yield from folder.rglob(f"*{LEASE}")


def _draft(root: Path, folder: Folder) -> Path:
    return draft_path(root, folder.target, folder.method, folder.name.removesuffix(PARTIAL))


def _clear(root: Path, folder: Folder, keep: Callable[[Attempt], None]) -> None:
    """The name first, then what was begun; the list says from then on that it failed."""
    away = folder.path.with_name(folder.path.name.removesuffix(PARTIAL) + REMOVING)
    try:
        rename_durably(folder.path, away)
    except FileNotFoundError:  # made whole, or removed by its maker, in between
        return
    name = folder.name.removesuffix(PARTIAL)
    draft = _draft(root, folder)
    try:
        manifest = read(draft, Manifest)
    except (FormError, OSError):
        manifest = placeholder(folder.target, folder.method, name, stamp_of(name))
    with suppress(OSError):
        keep(Attempt(manifest=manifest, trouble=Trouble.CANCELLED, reason=INTERRUPTED))
    draft.unlink(missing_ok=True)
    remove_tree(away)
    sync_folder(away.parent)


def _tidy(root: Path) -> None:
    """Drafts whose maker is gone with all that he made, and what was being written when somebody died."""
    for folder, _, names in os.walk(below(root, MAKING)):
        for name in names:
            path = Path(folder, name)
            backup = _UNFINISHED.sub("", name).removesuffix(".json")
            half = root.joinpath(*path.parts[-3:-1], f"{backup}{PARTIAL}")
            if name.endswith(".json") and not path.with_name(backup + LEASE).exists() and not half.exists():
                path.unlink(missing_ok=True)
