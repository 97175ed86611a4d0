"""Base backups made and brought back as a keeper does it, and servers started on what came back."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backup.children import Children
from backup.engines.base import Base
from backup.engines.contract import Engine, Looking, Making, Origin, Surroundings
from backup.keeping.making import Attempt
from backup.programs import Programs
from backup.repository.repository import Repository
from backup.restore.base import BaseRestorer
from backup.restore.contract import Aim, Moment, Preflight, Restored, Restorer, Wanted
from backup.settings import Job
from backup.space import Room as FreeSpace
from tests.backup.lying import Lying, recorded
from tests.clusters import Cluster, installations
from tests.installations import as_account
from tests.waiting import eventually_sync
from toban.backups import BackupRecord, Check, Method, Progress
from toban.clock import SystemClock
from toban.secrets import Dsn

ROWS = "SELECT coalesce(string_agg(n::text, ',' ORDER BY n), '') FROM t"


class Room(Cluster):
    """A server that has no files yet."""

    def _make(self, *_: object) -> None:
        """But a folder for its socket, where others may pass."""
        self._home.chmod(0o755)
        for folder in (self._home, self.socket_dir):
            folder.mkdir(exist_ok=True)
            if as_account():
                shutil.chown(folder, as_account()["user"], as_account()["group"])


@dataclass(kw_only=True)
class Bench:
    """A folder with backups of one server, its WAL, and room to restore in."""

    home: Path
    cluster: Cluster
    records: list[BackupRecord] = field(default_factory=list)  # newest first
    told: list[Progress] = field(default_factory=list)
    engine: Engine = field(default_factory=Base)
    restorer: Restorer = field(default_factory=BaseRestorer)
    spare: Room | None = None
    told_place: str = ""  # of the backup that is being made

    @property
    def wal(self) -> Path:
        """Where its WAL is archived."""
        return self.home / "main" / "wal"

    @property
    def around(self) -> Surroundings:
        """The world."""
        workspace = self.home / "work"
        workspace.mkdir(mode=0o700, exist_ok=True)
        return Surroundings(clock=SystemClock(), children=Children(), programs=Programs(), workspace=workspace)

    def making(self, name: str = "base", **job: Any) -> Making:  # noqa: ANN401 - any key of a job
        """A backup to be made."""
        place = self.home / "main" / "base" / f"{len(self.records)}-{name}"
        shutil.rmtree(place, ignore_errors=True)  # of one that failed
        place.mkdir(parents=True)
        return Making(
            id=place.name,
            job=Job(name=name, target="main", method=Method.BASE, **job),
            origin=Origin(name="main", kind="postgresql", dsn=Dsn(self.cluster.dsn())),
            place=place,
            earlier=tuple(self.records),
            around=self.around,
            tell=self.told.append,
        )

    async def back_up(self, name: str = "base", **job: Any) -> BackupRecord:  # noqa: ANN401 - any key of a job
        """Make one."""
        making = self.making(name, **job)
        began = making.around.clock.now()
        made = await self.engine.make(making)
        record = recorded(making, made, self.engine.name, began=began, ended=making.around.clock.now())
        self.records.insert(0, record)
        return record

    def attempt(self, repository: Repository, name: str = "base", **job: Any) -> Attempt:  # noqa: ANN401 - any key of a job
        """The same into a repository, as a keeper makes it; nobody looks how much room there is."""
        return Attempt(
            job=Job(name=name, target="main", method=Method.BASE, **job),
            origin=Origin(name="main", kind="postgresql", dsn=Dsn(self.cluster.dsn())),
            engine=self.engine,
            tag=None,
            repository=repository,
            around=self.around,
            root=repository.root,
            floor=0,
            earlier=repository.records(target="main"),
            wal_place=None,
            tell=self.told.append,
            look=lambda _: FreeSpace(free_bytes=10**12, total_bytes=10**12),
        )

    def lineage(self, record: BackupRecord) -> tuple[tuple[BackupRecord, Lying], ...]:
        """Parents first."""
        found = [record]
        while found[0].manifest.parent is not None:
            parent = next((one for one in self.records if one.id == found[0].manifest.parent), None)
            if parent is None:
                break
            found.insert(0, parent)
        return tuple((one, Lying(place=Path(one.place))) for one in found)

    async def verify(self, record: BackupRecord) -> dict[str, Check]:
        """Read it through; the checks by name."""
        workspace = Path(tempfile.mkdtemp(dir=self.around.workspace))
        looking = Looking(
            record=record,
            contents=Lying(place=Path(record.place)),
            lineage=self.lineage(record),
            around=self.around,
            tell=self.told.append,
            workspace=workspace,
            wal_place=self.wal,
        )
        return {check.name: check for check in await self.engine.verify(looking)}

    def wanted(self, record: BackupRecord, data_dir: Path, moment: Moment | None = None, **more: Any) -> Wanted:  # noqa: ANN401 - any field
        """A restore to be done."""
        return Wanted(
            record=record,
            lineage=self.lineage(record),
            moment=moment or Moment(),
            data_dir=data_dir,
            wal_place=self.wal,
            **more,
        )

    async def look(self, wanted: Wanted) -> Preflight:
        """The preflight."""
        return await self.restorer.preflight(wanted, self.around)

    async def restore(self, wanted: Wanted) -> Restored:
        """Do it."""
        return await self.restorer.restore(wanted, self.around, self.around.workspace, self.told.append)

    async def rows_at(self, moment: Moment, record: BackupRecord | None = None, **more: Any) -> str:  # noqa: ANN401 - any field
        """Restore to a moment, start a server on it, and read which rows are there."""
        with self.room() as server:
            await self.restore(self.wanted(record or self.records[-1], server.data_dir, moment, **more))
            begin(server)
            return server.psql(ROWS)

    @contextmanager
    def room(self) -> Iterator[Cluster]:
        """A server without any files yet. It is used again, emptied: to make and to remove one takes longer."""
        if self.spare is None:
            self.spare = Room(installations()[self.cluster.major])
        data_dir = self.spare.data_dir
        try:
            yield self.spare
        finally:
            self.spare.stop("immediate")
            for left in (*self.spare.data_dir.parent.glob("*"), *self.spare.data_dir.parent.glob(".*")):
                if left != self.spare.socket_dir:
                    shutil.rmtree(left) if left.is_dir() else left.unlink()
            self.spare.data_dir = data_dir

    def space(self, name: str) -> Path:
        """A folder for a tablespace of the server's."""
        folder = self.cluster.data_dir.parent / name
        folder.mkdir(mode=0o700)
        if as_account():
            shutil.chown(folder, as_account()["user"], as_account()["group"])
        return folder

    def archived(self) -> None:
        """Have all that was written so far archived."""
        last = self.cluster.psql("SELECT pg_walfile_name(pg_current_wal_lsn())")
        self.cluster.psql("SELECT pg_switch_wal()")
        eventually_sync((self.wal / last).exists, within_seconds=60)


def begin(server: Cluster) -> None:
    """Start a server on restored files, on its own port, and wait until it is nobody's standby."""
    server.configure(port=str(server.port), unix_socket_directories=str(server.socket_dir), timezone="Asia/Tokyo")
    server.start()
    eventually_sync(lambda: server.psql("SELECT pg_is_in_recovery()") == "f")


@contextmanager
def archiving(major: int, **settings: str) -> Iterator[Bench]:
    """A server that archives its WAL by cp, and a folder for its backups."""
    home = Path(tempfile.mkdtemp(prefix="toban-base-"))
    home.chmod(0o755)
    for folder in (home / "main", home / "main" / "wal"):
        folder.mkdir()
        folder.chmod(0o755)  # whatever the umask: the server archives into it
    own = {
        "archive_mode": "on",
        "archive_command": f'cp "%p" "{home}/main/wal/half" && mv "{home}/main/wal/half" "{home}/main/wal/%f"',
        "timezone": "Asia/Tokyo",
        "log_timezone": "Asia/Tokyo",
    }
    cluster = Cluster(installations()[major], settings={**own, **settings})
    try:
        if as_account():
            shutil.chown(home / "main" / "wal", as_account()["user"], as_account()["group"])
        cluster.start()
        bench = Bench(home=home, cluster=cluster)
        try:
            yield bench
        finally:
            if bench.spare is not None:
                bench.spare.remove()
    finally:
        cluster.remove()
        shutil.rmtree(home)


LATEST = Moment(aim=Aim.LATEST)
