"""The proof of folders: put back beside everything else by restic, which reads what it wrote once more."""

import asyncio
from pathlib import Path
from typing import Final

from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.restoring import placed, restored
from toban.backups import Check

FOLDER: Final = "files"


async def prove_files(proving: Proving, place: Path, course: Course) -> None:
    """The way back verifies what it has written; here it is seen that anything is there at all."""
    folder = place / FOLDER
    with course.phase("restore"):
        await restored(proving, placed(proving, data_dir=folder), place, course)
    there = await asyncio.to_thread(_holds, folder)
    course.found(Check(name="files", ok=there, detail="" if there else "nothing came back"))


def _holds(folder: Path) -> bool:
    """Whether there is anything in it."""
    return folder.is_dir() and any(folder.iterdir())
