"""The proof of an SQLite file: unpacked into a scratch place, looked through to the last page, and asked."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from backup.proof.assertions import answered, asserted
from backup.proof.contract import Proving
from backup.proof.course import Course
from backup.proof.restoring import placed, restored
from backup.proof.rows import NAME as ROWS
from backup.proof.rows import Counted, compared
from backup.proof.verdict import Weight
from backup.restore.contract import Restored
from backup.settings import Assertion
from toban.backups import Check

FILE: Final = "file.sqlite3"
INTEGRITY: Final = "integrity_check"
MAIN: Final = "main"


async def prove_sqlite(proving: Proving, place: Path, course: Course) -> None:
    """Its way back reads every page and index, and counts: what is wrong there is raised as damage."""
    path = place / FILE
    with course.phase("restore"):
        done = await restored(proving, placed(proving, data_dir=path), place, course)
    _integrity(done, course)
    _rows(proving, done, course)
    if proving.settings.assertions:
        with course.phase("assertions"):
            for assertion in proving.settings.assertions:
                course.found(asserted(assertion, [(MAIN, *await _ask(path, assertion))]))


def _integrity(done: Restored, course: Course) -> None:
    """The way back raises what it finds; what it could not look at, for an application's own functions, it tells."""
    unchecked = str(done.detail.get("unchecked") or "")
    if not unchecked:
        course.found(Check(name=INTEGRITY, ok=True, detail="pages and indexes are whole"), Weight.INTEGRITY)
        return
    if not done.detail.get("looked", True):
        course.found(Check(name=INTEGRITY, ok=None, detail=f"could not be looked at: {unchecked}"), Weight.INTEGRITY)
        return
    course.found(Check(name=INTEGRITY, ok=True, detail="pages are whole"), Weight.INTEGRITY)
    said = f"could not be held against their tables: {unchecked}"
    course.found(Check(name="indexes", ok=None, detail=said), Weight.TOLD)


def _rows(proving: Proving, done: Restored, course: Course) -> None:
    promised, found = proving.wanted.record.manifest.rows, done.detail.get("rows")
    if proving.settings.rows == "none" or not isinstance(found, dict):
        return
    if not promised:
        course.found(Check(name=ROWS, ok=None, detail="none were counted when it was made"), Weight.TOLD)
        return
    numbers = {
        (one.database, one.schema, one.table): Counted(rows=int(found[one.table]))
        for one in promised
        if one.table in found
    }
    course.found(compared(promised, numbers, tolerance=proving.settings.tolerance))


async def _ask(path: Path, assertion: Assertion) -> tuple[bool | None, str]:
    """One answer, from a thread; where it takes too long it is interrupted."""
    try:
        connection = await asyncio.to_thread(_opened, path)
    except sqlite3.Error as error:
        return None, f"failed: {error}"
    asking = asyncio.ensure_future(asyncio.to_thread(_first_rows, connection, assertion.sql))
    try:
        done, _ = await asyncio.wait({asking}, timeout=assertion.timeout)
        if not done:
            return None, f"no answer within {assertion.timeout:.0f} s"
        return answered(asking.result(), numbers=True)
    except (sqlite3.Error, sqlite3.Warning) as error:
        return None, f"failed: {error}"
    finally:
        connection.interrupt()
        await asyncio.wait({asking})
        asking.exception()  # of an interrupted one, which nobody wants
        await asyncio.to_thread(connection.close)


def _opened(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file://{quote(str(path))}?mode=ro&immutable=1", uri=True, check_same_thread=False)


def _first_rows(connection: sqlite3.Connection, sql: str) -> Sequence[Sequence[Any]]:
    return connection.execute(sql).fetchmany(2)
