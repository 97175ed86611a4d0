"""From a live server through a real backup in a real repository to its proof."""

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from tests.backup.keys import a_gpg_key, an_age_key
from tests.backup.proof.scenes import named, spoil
from tests.backup.proof.shelf import a_shelf
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.installations import run
from toban.backups import Belief, Method, Status, Verdict

pytestmark = pytest.mark.integration
NAME = 'Kasse "Süd" 店'
TABLES = """
CREATE SCHEMA "Lager 1";
CREATE TABLE "Lager 1"."Ware ""neu"" 1" (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO "Lager 1"."Ware ""neu"" 1" SELECT n, repeat('品', n % 90) FROM generate_series(1, 4000) n;
CREATE TABLE sale (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE sale_2026 PARTITION OF sale FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
INSERT INTO sale SELECT n, '2026-05-05' FROM generate_series(1, 700) n;
"""


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_dump_becomes_proven(
    around: Surroundings, tmp_path: Path, shared_cluster: Callable[[int], Cluster], major: int
) -> None:
    """Made, restored into a server of its own, every table's rows as they were in its snapshot."""
    cluster = shared_cluster(major)
    cluster.psql('CREATE DATABASE "' + NAME.replace('"', '""') + '"')
    try:
        cluster.psql(TABLES, NAME)
        async with a_shelf(around, tmp_path, cluster.dsn(), NAME) as shelf:
            record = await shelf.back_up(Method.DUMP)
            record, proof, checks = await shelf.prove(record)
    finally:
        cluster.psql('DROP DATABASE "' + NAME.replace('"', '""') + '"')
    assert (proof.verdict, record.belief, record.status) == (Verdict.PROVEN, Belief.PROVEN, Status.OK), proof.reason
    assert named(proof.checks) == {
        "restore": True,
        "databases": True,
        "rows": True,
        "amcheck": True if cluster.has_contrib else None,
    }
    assert checks["rows"].detail == "2 tables, 4700 rows"
    assert proof.read_bytes == record.manifest.size_bytes
    assert record.proved_at == proof.proved_at


@pytest.mark.parametrize("method", ["age", "gpg"])
async def test_sealed_dump_becomes_proven(
    around: Surroundings, tmp_path: Path, shared_cluster: Callable[[int], Cluster], method: str
) -> None:
    """Nothing of it lies in the clear, it is opened on its way into the scratch server alone, and all of it is back."""
    cluster, name = shared_cluster(15), f"sealed_{method}"
    home = tmp_path / "key"
    home.mkdir(0o700)
    cluster.psql(f"CREATE DATABASE {name}")
    with nullcontext(an_age_key(home)) if method == "age" else a_gpg_key(home) as key:
        try:
            cluster.psql(TABLES, name)
            async with a_shelf(around, tmp_path, cluster.dsn(), name, encryption=key) as shelf:
                record = await shelf.back_up(Method.DUMP)
                assert all(file.path.endswith(f".{method}") for file in record.manifest.files)
                record, proof, checks = await shelf.prove(record)
                assert all(check.ok for check in await shelf.repository.check_files(record, lambda _: None))
        finally:
            cluster.psql(f"DROP DATABASE {name}")
    assert (proof.verdict, record.belief, record.manifest.encryption) == (Verdict.PROVEN, Belief.PROVEN, method)
    assert checks["rows"].detail == "2 tables, 4700 rows"


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_base_backup_becomes_proven(
    around: Surroundings, tmp_path: Path, new_cluster: NewCluster, major: int
) -> None:
    """Laid out, recovered to its end, every row read; amcheck, or the pages' checksums; on 18 an incremental one."""
    newest = major >= 18
    cluster = new_cluster(major, start=False, settings={"summarize_wal": "on"} if newest else None)
    if not cluster.has_contrib and major < 18:
        run(cluster.bin_dir / "pg_checksums", "--enable", "--no-sync", "-D", cluster.data_dir, cwd=Path("/"))
    cluster.start()
    cluster.psql(TABLES)
    async with a_shelf(around, tmp_path, cluster.dsn()) as shelf:
        record = await shelf.back_up(Method.BASE)
        whole = record.manifest.size_bytes
        if newest:
            cluster.psql("CREATE TABLE later AS SELECT generate_series(1, 5)")
            record = await shelf.back_up(Method.BASE, name="later", type="incremental", of="base")
            assert record.manifest.parent is not None
            whole += record.manifest.size_bytes
        record, proof, checks = await shelf.prove(record)
    assert (proof.verdict, record.belief) == (Verdict.PROVEN, Belief.PROVEN), proof.reason
    assert proof.read_bytes == whole
    assert checks["amcheck"].ok is (True if cluster.has_contrib else None)
    assert checks["page_checksums"].ok is (None if cluster.has_contrib else True)
    assert "recovery" in proof.phases


async def test_corruption_in_the_live_server_is_found_by_the_proof(
    around: Surroundings, tmp_path: Path, new_cluster: NewCluster
) -> None:
    """An index: a base backup shows it, a dump does not hold it, and says so. A heap page: a dump fails by itself."""
    cluster = new_cluster(15)
    cluster.psql("CREATE TABLE item (id int PRIMARY KEY); INSERT INTO item SELECT generate_series(1, 3000)")
    spoil(cluster, "item_pkey", at=2 * 8192 - 16 * 20, with_=b"\x00\x00\x00\x00\x02\x00")
    async with a_shelf(around, tmp_path, cluster.dsn()) as shelf:
        dump, proof, checks = await shelf.prove(await shelf.back_up(Method.DUMP))
        assert (proof.verdict, dump.belief) == (Verdict.PROVEN, Belief.PROVEN)
        assert checks["amcheck"].detail.endswith("as they were built anew: a dump holds no indexes")
        base, proof, checks = await shelf.prove(await shelf.back_up(Method.BASE))
        assert (proof.verdict, base.status, base.belief) == (Verdict.DAMAGED, Status.DAMAGED, None)
        assert "btree index postgres.public.item_pkey" in checks["amcheck"].detail
        assert checks["readable"].ok is True
        spoil(cluster, "item", at=3 * 8192)
        with pytest.raises(BackupError, match="invalid page in block 3"):
            await shelf.back_up(Method.DUMP)
        base, proof, checks = await shelf.prove(await shelf.back_up(Method.BASE))
        assert (proof.verdict, base.status, base.belief) == (Verdict.DAMAGED, Status.DAMAGED, None)
        assert checks["readable"].ok is False
        assert "heap table postgres.public.item" in checks["amcheck"].detail


async def test_backup_that_was_spoiled_in_the_repository_is_never_proven(
    around: Surroundings, tmp_path: Path, postgres15: Cluster, unique_database: str
) -> None:
    """A dump cut to half, and one whose middle was overwritten: the restore fails, and that marks it."""
    postgres15.psql(TABLES, unique_database)
    async with a_shelf(around, tmp_path, postgres15.dsn(), unique_database) as shelf:
        record = await shelf.back_up(Method.DUMP)
        largest = max(record.manifest.files, key=lambda file: file.size_bytes)
        path = Path(record.place, largest.path)
        whole = spoiled(path, lambda content: content[: len(content) // 2])
        standing, proof, _ = await shelf.prove(record)
        assert (proof.verdict, standing.status) == (Verdict.DAMAGED, Status.DAMAGED), proof
        middle = len(whole) // 2
        spoiled(path, lambda _: whole[:middle] + b"\x5a" * 64 + whole[middle + 64 :])
        standing, proof, _ = await shelf.prove(record)
        assert (proof.verdict, standing.status) == (Verdict.DAMAGED, Status.DAMAGED), proof


def spoiled(path: Path, change: Callable[[bytes], bytes]) -> bytes:
    """Write something else into a file; what was in it."""
    whole = path.read_bytes()
    path.write_bytes(change(whole))
    return whole
