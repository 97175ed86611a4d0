"""Dumps made and restored for tests: everything filled in, so that a test names only what it is about."""

import gzip
import json
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from backup.children import Children, Command
from backup.engines.contract import Contents, Looking, Made, Making, Origin, Surroundings
from backup.engines.dump import Dump
from backup.engines.dumping.reading import told_by
from backup.errors import BackupError
from backup.programs import Programs
from backup.restore.contract import Preflight, Restored, Wanted
from backup.restore.dump import DumpRestorer
from backup.restore.dumping.naming import Destination
from backup.settings import Job
from tests.clusters import Cluster
from tests.installations import run
from tests.waiting import eventually
from toban.backups import BackupRecord, Check, Manifest, Method, Progress, Status, StoredFile
from toban.clock import SystemClock
from toban.secrets import Dsn

HOLD = "BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE"
AWKWARD = 'sho\'p "x" 店'
"""A database's name with a blank, both quotes and Japanese."""


class Lying:
    """The files of a backup as they lie in a folder."""

    def __init__(self, place: Path) -> None:
        self._place = place

    def source(self, name: str) -> tuple[Path, tuple[Command, ...]]:
        """The file itself."""
        return self._place / name, ()

    async def path(self, name: str) -> Path:
        """The file itself."""
        return self._place / name

    async def folder(self) -> Path:
        """The folder itself."""
        return self._place


class Sealed(Lying):
    """The same, each of them packed once more as a repository seals them: readable through a program alone."""

    def __init__(self, record: BackupRecord, clear: Path) -> None:
        place = Path(record.place)
        super().__init__(place)
        self._clear = clear
        for path in list(place.rglob("*")):
            if path.is_file():
                target = clear / path.relative_to(place)
                target.parent.mkdir(exist_ok=True)
                shutil.copyfile(path, target)
                path.with_name(f"{path.name}.sealed").write_bytes(gzip.compress(path.read_bytes()))
                path.unlink()

    def source(self, name: str) -> tuple[Path, tuple[Command, ...]]:
        """The sealed file, and what opens it."""
        return self._place / f"{name}.sealed", (Command(words=("gzip", "-dc")),)

    async def path(self, name: str) -> Path:
        """A copy in the clear."""
        return self._clear / name

    async def folder(self) -> Path:
        """A copy in the clear."""
        return self._clear


def a_job(**values: Any) -> Job:  # noqa: ANN401 - whatever a job has
    """A dump of `main`, which waits for nobody."""
    return Job(**{"name": "nightly", "target": "main", "method": Method.DUMP, "nice": 0, "lock_wait": 120.0, **values})


@dataclass
class Bench:
    """Where dumps are made and restored: a folder, programs, and what was told of progress."""

    home: Path
    children: Children = field(default_factory=Children)
    programs: Programs = field(default_factory=Programs)
    told: list[Progress] = field(default_factory=list)
    count: int = 0
    sealed: Sealed | None = None

    def contents(self, record: BackupRecord) -> Contents:
        """The files of a backup, sealed or as they lie there."""
        return self.sealed or Lying(Path(record.place))

    @property
    def around(self) -> Surroundings:
        """The world."""
        return Surroundings(
            clock=SystemClock(), children=self.children, programs=self.programs, workspace=self.home / "workspace"
        )

    def making(
        self,
        dsn: str,
        job: Job | None = None,
        *,
        chosen: Callable[[str], bool] = lambda name: name != "postgres",
        earlier: tuple[BackupRecord, ...] = (),
        tell: Callable[[Progress], None] | None = None,
    ) -> Making:
        """One dump to be made."""
        self.count += 1
        place = self.home / f"dump-{self.count}"
        place.mkdir(mode=0o700)
        origin = Origin(name="main", kind="postgresql", dsn=Dsn(dsn), chosen=chosen)
        return Making(
            id=f"20261121T020000Z-nightly-{self.count}",
            job=job or a_job(),
            origin=origin,
            place=place,
            earlier=earlier,
            around=self.around,
            tell=tell or self.told.append,
        )

    async def made(self, making: Making) -> BackupRecord:
        """Make it; the record that a repository would have of it."""
        return record_of(making, await Dump().make(making))

    async def dumped(self, cluster: Cluster, job: Job | None = None, **options: Any) -> BackupRecord:  # noqa: ANN401 - those of `making`
        """A dump of this server's databases but `postgres`."""
        return await self.made(self.making(cluster.dsn(), job, **options))

    async def verified(self, record: BackupRecord) -> tuple[Check, ...]:
        """What reading it through finds."""
        contents = self.contents(record)
        looking = Looking(
            record=record,
            contents=contents,
            lineage=((record, contents),),
            around=self.around,
            tell=self.told.append,
            workspace=self.home,
        )
        return await Dump().verify(looking)

    def wanted(self, record: BackupRecord, into: str, **options: Any) -> Wanted:  # noqa: ANN401 - those of `Wanted`
        """A restore of it."""
        contents = self.contents(record)
        return Wanted(record=record, lineage=((record, contents),), into=Dsn(into), **options)

    async def preflight(self, record: BackupRecord, into: str, **options: Any) -> Preflight:  # noqa: ANN401 - those of `Wanted`
        """What is said beforehand."""
        return await DumpRestorer().preflight(self.wanted(record, into, **options), self.around)

    async def restored(self, record: BackupRecord, into: str, **options: Any) -> Restored:  # noqa: ANN401 - those of `Wanted`
        """Restore it."""
        wanted = self.wanted(record, into, **options)
        return await DumpRestorer().restore(wanted, self.around, self.home, self.told.append)


def record_of(making: Making, made: Made) -> BackupRecord:
    """As a repository has it: through JSON and back."""
    files = tuple(
        StoredFile(path=str(path.relative_to(making.place)), size_bytes=path.stat().st_size, sha256="")
        for path in sorted(making.place.rglob("*"))
        if path.is_file()
    )
    manifest = Manifest(
        id=making.id,
        name=making.job.name,
        target=making.origin.name,
        kind=making.origin.kind,
        method=Method.DUMP,
        engine="dump",
        created_at=1_795_000_000.0,
        finished_at=1_795_000_001.0,
        files=files,
        source_bytes=made.source_bytes,
        server_version=made.server_version,
        databases=made.databases,
        rows=made.rows,
        compression=made.compression,
        notes=made.notes,
        detail=json.loads(json.dumps(made.detail)),
    )
    return BackupRecord(manifest=manifest, status=Status.OK, place=str(making.place))


def file_of(record: BackupRecord, shape: str) -> Path:
    """The first of its files that looks so."""
    return next(Path(record.place).glob(shape))


def cut(path: Path, share: float) -> None:
    """A file ends earlier than it did."""
    os.truncate(path, int(path.stat().st_size * share))


def drop(path: Path) -> None:
    """A file is not there any more."""
    path.unlink()


def flip(path: Path, share: float) -> None:
    """One bit of a file is another, at this share of it; once more, and it is as it was."""
    with path.open("r+b") as file:
        place = int(path.stat().st_size * share)
        file.seek(place)
        byte = file.read(1)[0]
        file.seek(place)
        file.write(bytes([byte ^ 0x10]))


def modes_below(place: str) -> set[tuple[bool, int]]:
    """Whether folder, and the mode, of all that lies there."""
    return {(path.is_dir(), path.stat().st_mode & 0o777) for path in Path(place).rglob("*")}


def content_of(cluster: Cluster, database: str) -> str:
    """All that pg_dump says of a database, without what differs from call to call."""
    text = run(cluster.bin_dir / "pg_dump", "--dbname", cluster.dsn(database), cwd=Path("/"))
    return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def properties_of(cluster: Cluster, database: str) -> str:
    """What belongs to a database as a whole: owner, privileges, settings, comment, encoding, limit."""
    return cluster.psql(
        """
        SELECT pg_get_userbyid(datdba), datconnlimit,
            (SELECT array_agg(one ORDER BY one::text) FROM unnest(datacl) AS one),
            pg_encoding_to_char(encoding), datcollate, datctype,
            shobj_description(oid, 'pg_database'),
            (SELECT array_agg(format('%s %s', setrole::regrole, setconfig) ORDER BY setrole)
                FROM pg_db_role_setting WHERE setdatabase = d.oid)
        FROM pg_database AS d WHERE datname = current_database()
        """,
        database,
    )


def databases_of(cluster: Cluster) -> set[str]:
    """Their names."""
    return set(cluster.psql("SELECT datname FROM pg_database WHERE NOT datistemplate").splitlines())


async def failure_of(work: Awaitable[object]) -> BackupError:
    """How it failed."""
    with pytest.raises(BackupError) as caught:
        await work
    return caught.value


def partial_of(record: BackupRecord, name: str) -> str:
    """What a restore calls its database until all of it is there."""
    [entry] = told_by(record.manifest).entries
    return Destination(entry=entry, name=name).partial


@asynccontextmanager
async def holding(cluster: Cluster, table: str = "stock") -> AsyncIterator[Any]:
    """Somebody holds the table for himself, in a transaction that the test goes on with."""
    async with connected_to_shop(cluster) as connection:
        await connection.execute(HOLD.format(table))
        yield connection


@asynccontextmanager
async def connected_to_shop(cluster: Cluster) -> AsyncIterator[Any]:
    """Somebody is in the database `shop`."""
    connection = await cluster.connect("shop", server_settings={"application_name": "schema change"})
    try:
        yield connection
    finally:
        await connection.close(timeout=60)


async def are_waiting(cluster: Cluster, count: int, application: str = "") -> bool:
    """Whether so many wait for a lock."""
    connection = await cluster.connect()
    try:
        asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name ~ $1"
        return bool(await connection.fetchval(asked, application) == count)
    finally:
        await connection.close(timeout=60)


async def pg_dump_of(cluster: Cluster) -> psutil.Process:
    """The pg_dump that works on this server, once it waits for a lock there."""
    await eventually(lambda: are_waiting(cluster, 1, "^toban$"))
    found = await eventually(lambda: _pg_dump_at(cluster.port))
    assert found is not None
    return found


def _pg_dump_at(port: int) -> psutil.Process | None:
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # others come and go
            if process.name() == "pg_dump" and any(f"port='{port}'" in word for word in process.cmdline()):
                return process
    return None
