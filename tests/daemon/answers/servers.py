"""Real backups of a real PostgreSQL server, in a repository: a base backup, its WAL, a dump."""

import asyncio
import re
from pathlib import Path
from typing import Any

from backup.children import Children
from backup.engines import engine_for
from backup.engines.contract import Making, Origin, Surroundings
from backup.keeping.making import draft_of, manifest_of
from backup.programs import Programs
from backup.repository.repository import Repository
from backup.settings import Encryption, Job
from backup.wal.manner import Manner
from backup.wal.pushing import push
from tests.clusters import Cluster
from toban.backups import BackupRecord
from toban.clock import SystemClock
from toban.secrets import Dsn

REPLICATION = ("local replication all trust", "host replication all 127.0.0.1/32 trust")
SWITCHES = 3
SEGMENT = re.compile(r"[0-9A-F]{24}")


def backed_up(
    cluster: Cluster,
    root: Path,
    *,
    encryption: Encryption | None = None,
    **job: Any,  # noqa: ANN401 - any key of a job
) -> BackupRecord:
    """One backup of the server, made by its real engine."""
    return asyncio.run(_backed_up(cluster, root, encryption, Job.model_validate({"target": "main", **job})))


async def _backed_up(cluster: Cluster, root: Path, encryption: Encryption | None, job: Job) -> BackupRecord:
    children = Children()
    workspace = root.parent / "making"
    workspace.mkdir(mode=0o700, exist_ok=True)
    around = Surroundings(clock=SystemClock(), children=children, programs=Programs(), workspace=workspace, node="db1")
    repository = Repository(root, around=around, encryption=encryption)
    origin = Origin(name="main", kind="postgresql", dsn=Dsn(cluster.dsn()))
    engine = engine_for(job, origin)
    try:
        await repository.open(create=True)
        async with repository.making(draft_of(job, origin, engine.name, None, around)) as partial:
            making = Making(
                id=partial.id,
                job=job,
                origin=origin,
                place=partial.place,
                earlier=(),
                around=around,
                tell=lambda _: None,
            )
            made = await engine.make(making)
            return await partial.finish(manifest_of(partial.draft, made), made.digests)
    finally:
        await children.close()


def archived(cluster: Cluster, root: Path, *, recipients: tuple[str, ...] = ()) -> list[str]:
    """Every segment that the server has finished, in the repository; their names."""
    current = ""
    for _ in range(SWITCHES):
        cluster.psql("SELECT pg_create_restore_point('again')")
        current = cluster.psql("SELECT pg_walfile_name(pg_switch_wal())")
    names = [path.name for path in sorted((cluster.data_dir / "pg_wal").iterdir()) if SEGMENT.fullmatch(path.name)]
    done = [name for name in names if name <= current]
    place = root / "main" / "wal"
    for name in done:
        push(
            str(cluster.data_dir / "pg_wal" / name),
            str(place),
            Manner(compress="zstd:1", seal="age" if recipients else "", recipients=recipients),
        )
    return done
