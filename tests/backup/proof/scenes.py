"""What proofs are made of in these tests: a world with real programs, records, and ways back that are sure to work."""

import asyncio
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup.children import Child, Children, Command
from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.programs import Programs
from backup.proof.contract import Proving
from backup.proof.scratch import ScratchServer
from backup.restore.contract import Preflight, Restored, Restorer, Wanted
from backup.settings import Proof
from backup.way import Way
from tests.clusters import Cluster
from tests.installations import installations
from toban.backups import BackupRecord, Check, Manifest, Method, Progress, Status, StoredFile, TableRows
from toban.clock import SystemClock
from toban.secrets import Dsn

MEGABYTE = 1024 * 1024
Answer = bool | None


@contextmanager
def a_world(*, folders: tuple[Path, ...] = ()) -> Iterator[Surroundings]:
    """Real programs and a workspace where the servers' account may pass; close its children yourself."""
    workspace = Path(tempfile.mkdtemp(prefix="toban-"))
    try:
        yield Surroundings(
            clock=SystemClock(), children=Children(), programs=Programs(folders), workspace=workspace, node="test"
        )
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def a_record(
    method: Method = Method.DUMP,
    *,
    kind: str = "postgresql",
    rows: tuple[TableRows, ...] = (),
    databases: tuple[str, ...] = (),
    server_version: str = "15.20",
    created_at: float = 1000.0,
    source_bytes: int | None = None,
    **more: Any,  # noqa: ANN401 - any of the manifest's
) -> BackupRecord:
    """A whole backup of one file that exists by name alone."""
    manifest = Manifest(
        id="20261121T020000Z-nightly",
        name="nightly",
        target="main",
        kind=kind,
        method=method,
        engine="stand-in",
        created_at=created_at,
        finished_at=created_at + 10,
        files=(StoredFile(path="data", size_bytes=MEGABYTE, sha256="0" * 64),),
        rows=rows,
        databases=databases,
        server_version=server_version,
        source_bytes=source_bytes,
        **more,
    )
    return BackupRecord(manifest=manifest, status=Status.OK)


def some_rows(database: str, **tables: int) -> tuple[TableRows, ...]:
    """So many rows in each of these tables of the schema public."""
    return tuple(TableRows(database=database, schema="public", table=name, rows=rows) for name, rows in tables.items())


@dataclass(slots=True, kw_only=True)
class StandIn:
    """A way back that does what the test says: `fill` is given what is wanted, and the place."""

    fill: Callable[[Wanted], None] = lambda _: None
    preflight_: Preflight = field(default_factory=lambda: Preflight(checks=()))
    error: BackupError | None = None
    stalls: bool = False
    detail: dict[str, Any] = field(default_factory=dict)
    wanted: list[Wanted] = field(default_factory=list)

    async def preflight(self, wanted: Wanted, around: Surroundings) -> Preflight:
        """As the test says."""
        return self.preflight_

    async def restore(self, wanted: Wanted, around: Surroundings, workspace: Path, tell: Tell) -> Restored:
        """As the test says."""
        self.wanted.append(wanted)
        if self.error is not None:
            raise self.error
        if self.stalls:
            await asyncio.sleep(3600)
        tell(Progress(phase="restore"))
        self.fill(wanted)
        return Restored(restored_bytes=MEGABYTE, detail=self.detail)


def copied_from(data_dir: Path) -> Callable[[Wanted], None]:
    """The files of a stopped server, put where they are wanted, and whose they are to be."""

    def fill(wanted: Wanted) -> None:
        assert wanted.data_dir is not None
        subprocess.run(["cp", "-a", "--reflink=auto", data_dir, wanted.data_dir], check=True)
        (wanted.data_dir / "postmaster.pid").unlink(missing_ok=True)

    return fill


def loaded_with(major: int, *statements: str, database: str | None = None) -> Callable[[Wanted], None]:
    """A server that somebody's SQL is run in, as a dump would be."""

    def fill(wanted: Wanted) -> None:
        assert wanted.into is not None
        psql = installations()[major].bin_dir / "psql"
        dsn = wanted.into if database is None else wanted.into.replace_database(database)
        for sql in statements:
            subprocess.run([psql, "-qX", "-v", "ON_ERROR_STOP=1", "-c", sql, dsn.reveal()], check=True, timeout=60)

    return fill


def a_proving(
    around: Surroundings,
    record: BackupRecord,
    restorer: Restorer,
    settings: Proof | None = None,
    **more: Any,  # noqa: ANN401 - any of the proof's
) -> Proving:
    """A proof of one backup by a way back of the test's."""
    wanted = Wanted(record=record, lineage=((record, _Nothing()),))
    chosen = settings or Proof()
    return Proving(wanted=wanted, restorer=restorer, settings=chosen, around=around, tell=lambda _: None, **more)


class _Nothing:
    """No files: a stand-in needs none."""

    def source(self, name: str) -> tuple[Path, tuple[Command, ...]]:
        raise AssertionError(name)

    async def path(self, name: str) -> Path:
        raise AssertionError(name)

    async def folder(self) -> Path:
        raise AssertionError


def server_of(cluster: Cluster, folder: Path) -> ScratchServer:
    """A server that answers questions; nobody starts or stops it here."""
    dsn = Dsn(cluster.dsn(host=cluster.socket_dir))
    nobody: Child = None  # type: ignore[assignment]
    return ScratchServer(
        dsn=dsn,
        way=Way(dsn, folder),
        major=cluster.major,
        data_dir=cluster.data_dir,
        bin_dir=cluster.bin_dir,
        superuser="postgres",
        child=nobody,
        said=deque(),
    )


def spoil(cluster: Cluster, relation: str, *, database: str = "postgres", at: int, with_: bytes = b"\xa5" * 64) -> None:
    """Overwrite bytes of a relation's file while the server is stopped, as a bad disk would; and start it again."""
    path = cluster.psql(f"CHECKPOINT; SELECT pg_relation_filepath('{relation}')", database)
    cluster.stop()
    with (cluster.data_dir / path).open("r+b") as file:
        file.seek(at)
        file.write(with_)
    cluster.start()


def named(checks: Iterable[Check]) -> dict[str, bool | None]:
    """What was found, by name."""
    return {check.name: check.ok for check in checks}
