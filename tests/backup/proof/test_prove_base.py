"""Base backups proved with real servers: what is well, what is spoiled, what cannot be told."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.proof.prover import prove
from backup.settings import Assertion, Proof
from tests.backup.proof.scenes import StandIn, a_proving, a_record, copied_from, named, spoil
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.installations import installations
from toban.backups import BackupRecord, Check, Method, RestoreProof, Verdict

pytestmark = pytest.mark.integration
TABLES = """
CREATE TABLE item (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO item SELECT n, repeat('x', n % 300) FROM generate_series(1, 5000) n;
CREATE TABLE note (id int PRIMARY KEY, body text);
INSERT INTO note SELECT n, repeat(md5(n::text), 2000) FROM generate_series(1, 20) n;
CREATE MATERIALIZED VIEW seen AS SELECT * FROM item;
CREATE MATERIALIZED VIEW unseen AS SELECT * FROM item WITH NO DATA;
"""
Proved = Callable[..., "tuple[RestoreProof, dict[str, Check]]"]


@pytest.fixture(scope="module")
def stopped15() -> Iterator[Cluster]:
    """A server with tables and no checksums, stopped: its files are a base backup."""
    cluster = Cluster(installations()[15])
    try:
        cluster.start()
        cluster.psql(TABLES)
        cluster.psql('CREATE DATABASE "Ladenkasse ""日本"""')
        cluster.stop()
        yield cluster
    finally:
        cluster.remove()


async def proved(
    around: Surroundings, data_dir: Path, settings: Proof | None = None, record: BackupRecord | None = None
) -> tuple[RestoreProof, dict[str, Check]]:
    """The proof of these files, and its checks by name."""
    restorer = StandIn(fill=copied_from(data_dir))
    proof = await prove(a_proving(around, record or a_record(Method.BASE), restorer, settings))
    return proof, {check.name: check for check in proof.checks}


async def test_base_backup_is_proven_by_reading_and_amcheck(around: Surroundings, stopped15: Cluster) -> None:
    """Every table of every database is read, heaps and indexes are looked into, an assertion holds; all is timed."""
    assertion = Assertion(name="items", sql="SELECT count(*) = 5000 FROM item", database="postgres")
    record = a_record(Method.BASE, databases=("postgres", 'Ladenkasse "日本"'))
    proof, checks = await proved(around, stopped15.data_dir, Proof(assertions=(assertion,)), record)
    assert named(proof.checks) == {
        "restore": True,
        "recovery": True,
        "databases": True,
        "amcheck": True,
        "readable": True,
        "assertion items": True,
        "page_checksums": None,
    }
    assert proof.verdict is Verdict.PROVEN
    assert proof.reason.endswith("not looked at: page_checksums: this server keeps none (pg_checksums --enable)")
    assert list(proof.phases) == ["restore", "recovery", "look", "assertions", "stop"]
    assert proof.rto_seconds == proof.phases["restore"] + proof.phases["recovery"]
    assert proof.read_bytes == record.manifest.size_bytes
    assert int(checks["readable"].detail.split(", ")[1].split()[0]) > 10_020


async def test_base_backup_without_any_integrity_check_is_not_proven(
    around: Surroundings, new_cluster: NewCluster
) -> None:
    """Neither amcheck nor checksums: nobody has looked at the indexes, so it is inconclusive."""
    cluster = new_cluster(16, start=False)
    proof, _ = await proved(around, cluster.data_dir)
    assert proof.verdict is Verdict.INCONCLUSIVE
    assert proof.reason.startswith("amcheck: the extension amcheck is not on this machine")


async def test_corrupt_page_without_amcheck_is_found_by_its_checksum(
    around: Surroundings, new_cluster: NewCluster
) -> None:
    """A byte of an index flipped under PostgreSQL 18: the checksum of the page tells."""
    cluster = new_cluster(18)
    cluster.psql(TABLES)
    spoil(cluster, "note_pkey", at=2 * 8192 - 16 * 20, with_=b"\x05")
    cluster.stop()
    proof, checks = await proved(around, cluster.data_dir)
    assert proof.verdict is Verdict.DAMAGED
    assert checks["page_checksums"].detail.startswith("1 pages are not what was written: base/5/")
    assert checks["readable"].ok is True


async def test_lost_file_of_a_table_is_found(around: Surroundings, new_cluster: NewCluster) -> None:
    """A table whose file is gone cannot be read, and a database that the manifest names is not there."""
    cluster = new_cluster(15)
    cluster.psql(TABLES)
    path = cluster.data_dir / cluster.psql("SELECT pg_relation_filepath('note')")
    cluster.stop()
    path.unlink()
    record = a_record(Method.BASE, databases=("postgres", "ledger"))
    proof, checks = await proved(around, cluster.data_dir, Proof(amcheck=False), record)
    assert proof.verdict is Verdict.DAMAGED
    assert checks["databases"].detail == "not there: ledger"
    assert "No such file or directory" in checks["readable"].detail


async def test_server_without_its_control_file_is_damage(around: Surroundings, stopped15: Cluster) -> None:
    """It cannot even be started."""

    def fill(wanted: object) -> None:
        copied_from(stopped15.data_dir)(wanted)  # type: ignore[arg-type]
        (wanted.data_dir / "global" / "pg_control").unlink()  # type: ignore[attr-defined]

    proof = await prove(a_proving(around, a_record(Method.BASE), StandIn(fill=fill)))
    assert proof.verdict is Verdict.DAMAGED
    assert proof.reason.startswith("recovery: control file: ")
    assert proof.rto_seconds is None


async def test_server_that_does_not_start_says_why(around: Surroundings, stopped15: Cluster) -> None:
    """WAL that is spoiled: the server's own words are the reason, and no server is left."""

    def fill(wanted: object) -> None:
        copied_from(stopped15.data_dir)(wanted)  # type: ignore[arg-type]
        for segment in (wanted.data_dir / "pg_wal").glob("0*"):  # type: ignore[attr-defined]
            segment.write_bytes(b"\0" * 16 * 1024 * 1024)

    proof = await prove(a_proving(around, a_record(Method.BASE), StandIn(fill=fill)))
    assert proof.verdict is Verdict.DAMAGED
    assert proof.reason.startswith(
        "recovery: scratch server: did not start: PANIC: could not locate a valid checkpoint"
    )


async def test_roles_and_their_settings_do_not_stand_in_the_way(around: Surroundings, new_cluster: NewCluster) -> None:
    """The role that initdb made was renamed, and another has its name; all have a time limit, and a lost library."""
    cluster = new_cluster(15)
    cluster.psql("CREATE ROLE chief SUPERUSER LOGIN")
    cluster.psql('ALTER ROLE postgres RENAME TO "the ""old"" one"; CREATE ROLE postgres LOGIN', user="chief")
    cluster.psql(TABLES, user="chief")
    cluster.psql(
        "ALTER DATABASE postgres SET default_transaction_read_only = on; ALTER ROLE ALL SET statement_timeout = 1; "
        "ALTER ROLE ALL SET session_preload_libraries = 'nowhere'",
        user="chief",
    )
    cluster.stop()
    proof, _ = await proved(around, cluster.data_dir)
    assert proof.verdict is Verdict.PROVEN, proof.reason
    assert named(proof.checks)["amcheck"] is True
