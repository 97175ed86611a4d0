"""Real repositories for the commands' tests: with a real backup of an SQLite file, made by the real engine."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from backup.children import Children
from backup.engines import engine_for
from backup.engines.contract import Making, Origin, Surroundings
from backup.keeping.making import draft_of, manifest_of
from backup.programs import Programs
from backup.repository.repository import Repository
from backup.settings import Encryption, Job
from toban.backups import BackupRecord
from toban.clock import Clock, SystemClock


def a_ledger(path: Path, *, rows: int = 3) -> Path:
    """An SQLite file with a table of so many rows."""
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table 取引 (id integer primary key, what text)")
        connection.executemany("insert into 取引 (what) values (?)", [(f"row {n}",) for n in range(rows)])
        connection.commit()
    return path


def stored(
    root: Path,
    ledger: Path,
    *,
    name: str = "daily",
    clock: Clock | None = None,
    tag: str | None = None,
    encryption: Encryption | None = None,
    **job: Any,  # noqa: ANN401 - any key of a job
) -> BackupRecord:
    """One backup of the file, in the repository."""
    given = Job.model_validate({"name": name, "target": "ledger", "method": "dump", "compress": "none", **job})
    origin = Origin(name="ledger", kind="sqlite", path=ledger)
    return asyncio.run(made(root, origin, given, clock=clock or SystemClock(), tag=tag, encryption=encryption))


async def made(
    root: Path,
    origin: Origin,
    job: Job,
    *,
    clock: Clock,
    tag: str | None = None,
    encryption: Encryption | None = None,
) -> BackupRecord:
    """One backup of a job, by its real engine, in the repository."""
    children = Children()
    workspace = root.parent / "making"
    workspace.mkdir(mode=0o700, exist_ok=True)
    around = Surroundings(clock=clock, children=children, programs=Programs(), workspace=workspace, node="db1")
    repository = Repository(root, around=around, encryption=encryption, pause=_at_once)
    engine = engine_for(job, origin)
    try:
        await repository.open(create=True)
        async with repository.making(draft_of(job, origin, engine.name, tag, around)) as partial:
            making = Making(
                id=partial.id,
                job=job,
                origin=origin,
                place=partial.place,
                earlier=(),
                around=around,
                tell=lambda _: None,
            )
            done = await engine.make(making)
            return await partial.finish(manifest_of(partial.draft, done), done.digests)
    finally:
        await children.close()


async def _at_once(_: float) -> None:
    """No test waits for the next second."""
