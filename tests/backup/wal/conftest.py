"""What the tests of WAL may ask for: the surroundings that work with backups is given."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from backup.children import Children
from backup.engines.contract import Surroundings
from backup.programs import Programs
from tests import mounts
from tests.backup.wal.written import Written
from tests.clusters import Cluster, installations
from tests.installations import run
from toban.clock import SystemClock


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    """This machine, with a workspace of the test's own."""
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    children = Children()
    yield Surroundings(clock=SystemClock(), children=children, programs=Programs(), workspace=workspace)
    await children.close()


@pytest.fixture(scope="package")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Made once: a copy of what a server has written."""
    if 15 not in installations():
        pytest.skip("no PostgreSQL 15 on this machine: apt-get install postgresql-15")
    cluster = Cluster(installations()[15], settings={"wal_keep_size": "64MB", "min_wal_size": "8MB"})
    folder = tmp_path_factory.mktemp("pg_wal")
    try:
        run(cluster.bin_dir / "pg_resetwal", "--wal-segsize=1", "--pgdata", cluster.data_dir, cwd=Path("/"))
        cluster.start()
        cluster.psql("create table t (at timestamptz, filling text); select pg_switch_wal()")
        segments, times = [], []
        for _ in range(6):
            cluster.psql("insert into t select null, repeat(md5(n::text), 10) from generate_series(1, 100) n")
            times.append(float(cluster.psql("insert into t values (now()) returning extract(epoch from now())")))
            segments.append(cluster.psql("select pg_walfile_name(pg_switch_wal())"))
        for segment in segments:
            shutil.copyfile(cluster.data_dir / "pg_wal" / segment, folder / segment)
        yield Written(folder, segments, times, cluster)
    finally:
        cluster.remove()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for some segments."""
    with mounts.small(tmp_path / "disk", "120m") as disk:
        yield disk
