"""Real backups of a real PostgreSQL server, in a repository: a base backup, its WAL, a dump."""

import asyncio
import re
from pathlib import Path
from typing import Any

from backup.engines.contract import Origin
from backup.settings import Encryption, Job
from backup.wal.manner import Manner
from backup.wal.pushing import push
from tests.clusters import Cluster
from tests.daemon.answers.shelves import made
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
    origin = Origin(name="main", kind="postgresql", dsn=Dsn(cluster.dsn()))
    wanted = Job.model_validate({"target": "main", **job})
    return asyncio.run(made(root, origin, wanted, clock=SystemClock(), encryption=encryption))


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
