import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from backup.engines.contract import Origin
from backup.engines.dump import Dump
from backup.errors import BackupError
from backup.keeping.making import Attempt
from backup.repository.repository import Repository
from backup.settings import Job
from backup.space import Room
from tests.backup.dump.dumps import Bench, a_job
from tests.clusters import Cluster
from tests.skips import IMPOSSIBLE
from toban.backups import Status, Trouble
from toban.secrets import Dsn

pytestmark = pytest.mark.integration
NOISE = """SELECT n, (SELECT string_agg(md5((n * m)::text), '') FROM generate_series(1, 30) AS m) AS noise
    FROM generate_series(1, 1000) AS n"""


@dataclass
class Disk:
    """A small disk, with a repository on it; nobody looks how much room there is."""

    place: Path
    bench: Bench

    def full_after(self, free_bytes: int) -> None:
        """Of all that is free so much is left."""
        filler = self.place.parent / "filler"
        filler.unlink(missing_ok=True)
        filler.write_bytes(bytes(max(0, shutil.disk_usage(self.place).free - free_bytes)))

    async def attempt(self, repository: Repository, dsn: str, job: Job) -> BackupError:
        """How a dump comes to nothing."""
        chosen = Origin(name="main", kind="postgresql", dsn=Dsn(dsn), chosen=lambda name: name == "shop")
        attempt = Attempt(
            job=job,
            origin=chosen,
            engine=Dump(),
            tag=None,
            repository=repository,
            around=self.bench.around,
            root=repository.root,
            floor=0,
            earlier=(),
            wal_place=None,
            tell=self.bench.told.append,
            look=lambda _: Room(free_bytes=10**12, total_bytes=10**12),
        )
        with pytest.raises(BackupError) as caught:
            await attempt.made()
        return caught.value


@pytest.fixture
def disk(tmp_path: Path, bench: Bench) -> Iterator[Disk]:
    """Four megabytes in memory."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", place], capture_output=True, check=False
    )
    if os.geteuid() != 0 or mounted.returncode != 0:
        pytest.skip(f"{IMPOSSIBLE}no disk can be mounted")
    yield Disk(place=place / "repository", bench=bench)
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize(
    "options",
    [{}, {"format": "directory"}, {"format": "plain", "compress": "none"}],
    ids=["packed by a program", "a folder", "a script"],
)
async def test_a_dump_onto_a_full_disk_leaves_nothing_and_says_so(
    options: dict[str, object], shop: Cluster, bench: Bench, disk: Disk
) -> None:
    """By the real programs: no half of it is taken for a backup, none of it stays, and the next one has its room."""
    shop.psql(f"CREATE TABLE noise AS {NOISE}", "shop")
    repository = Repository(disk.place, around=bench.around)
    await repository.open()
    disk.full_after(300_000)
    error = await disk.attempt(repository, shop.dsn(), a_job(**options))
    assert "No space left on device" in error.reason
    assert error.trouble is Trouble.SPACE
    [failed] = repository.records()
    assert (failed.status, "No space left on device" in failed.reason) == (Status.FAILED, True)
    assert list((disk.place / "main" / "dump").iterdir()) == []
