"""Incremental and differential backups of PostgreSQL 18, and the way back through pg_combinebackup."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.base import Base
from backup.engines.contract import Estimate
from backup.errors import BackupError
from backup.restore.contract import Moment
from tests.backup.base.bench import LATEST, Bench, archiving, begin
from tests.backup.lying import Lying
from tests.clusters import absence, installations
from toban.backups import Scope, Trouble

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def chain() -> Iterator[Bench]:
    """A full backup, a differential, an incremental on it, with a row and a tablespace between; and a row after all."""
    if 18 not in installations():
        pytest.skip(absence(18))
    with archiving(18, summarize_wal="on") as bench:
        asyncio.run(_filled(bench))
        yield bench


async def _filled(bench: Bench) -> None:
    server = bench.cluster
    server.psql(f"CREATE TABLESPACE other LOCATION '{bench.space('other = space')}'")
    server.psql("CREATE TABLE t (n int); INSERT INTO t VALUES (1)")
    server.psql("CREATE TABLE wide TABLESPACE other AS SELECT 1 AS n")
    await bench.back_up("weekly")
    server.psql("INSERT INTO t VALUES (2)")
    await bench.back_up("often", type="differential", of="weekly", compress="zstd")
    server.psql("INSERT INTO t VALUES (3); INSERT INTO wide VALUES (2)")
    await bench.back_up("daily", type="incremental", of="weekly")
    server.psql("INSERT INTO t VALUES (4)")
    await bench.back_up("daily", type="incremental", of="weekly", format="plain")
    server.psql("INSERT INTO t VALUES (5)")
    bench.archived()


def test_increments_build_on_what_they_should(chain: Bench) -> None:
    """A differential on the full one, an incremental on the newest of any kind that leads back to it."""
    found = [(record.id, record.manifest.scope, record.manifest.parent) for record in reversed(chain.records)]
    assert found == [
        ("0-weekly", Scope.FULL, None),
        ("1-often", Scope.DIFFERENTIAL, "0-weekly"),
        ("2-daily", Scope.INCREMENTAL, "1-often"),
        ("3-daily", Scope.INCREMENTAL, "2-daily"),
    ]


@pytest.mark.parametrize(("place", "rows"), [(1, "1,2,3"), (2, "1,2")])
async def test_increment_comes_back_as_it_was_made(chain: Bench, place: int, rows: str) -> None:
    """Combined with those it builds on, a tablespace included: as it was at its own end."""
    with chain.room() as server:
        done = await chain.restore(chain.wanted(chain.records[place], server.data_dir, Moment()))
        begin(server)
        assert server.psql("SELECT string_agg(n::text, ',' ORDER BY n) FROM t") == rows
        assert server.psql("SELECT count(*) FROM wide") == ("1" if place == 2 else "2")
        spaces = [link.readlink() for link in (server.data_dir / "pg_tblspc").iterdir()]
        assert [space.parent for space in spaces] == [server.data_dir / "tablespaces"]
        assert set(done.phases) == {"files", "wal", "configuration", "place"}


async def test_increment_leads_on_to_the_latest_moment(chain: Bench) -> None:
    """WAL is replayed on what was combined, of archives and a folder."""
    assert await chain.rows_at(LATEST, chain.records[0]) == "1,2,3,4,5"


async def test_increments_are_read_through(chain: Bench) -> None:
    """As archives and as a folder: every check passes, that of the parent included."""
    for record in chain.records[:2]:
        found = await chain.verify(record)
        assert {name: check.ok for name, check in found.items() if not check.ok} == {}
        assert found["parent"].ok is True


def test_compression_that_this_build_lacks_is_said(chain: Bench) -> None:
    """Where it was asked for: the next best was taken."""
    often = chain.records[2].manifest
    if often.compression == "zstd:1":
        pytest.skip("this machine cannot: its PostgreSQL 18 is built with zstd")
    assert (often.compression, often.notes) == ("gzip:1", ("this pg_basebackup has no zstd: gzip:1 was taken",))
    assert chain.records[3].manifest.notes == ()


async def test_estimate_of_an_increment_is_no_share_of_the_whole(chain: Bench) -> None:
    """How much has changed nobody knows: the room for it is told by the last one, not by the size of the server."""
    found = await Base().estimate(chain.making("daily", type="incremental", of="weekly"))
    assert found == Estimate(source_bytes=None, size_bytes=None)


async def test_increment_on_a_sealed_parent_reads_its_manifest_in_the_clear(chain: Bench) -> None:
    """Where somebody opens it; else it is said."""
    daily, kept = chain.records[0], list(chain.records)
    sealed = replace(daily, manifest=replace(daily.manifest, encryption="age"), place="/nowhere")
    chain.records[0] = sealed
    try:
        making = chain.making("daily", type="incremental", of="weekly")
        with pytest.raises(BackupError, match=f"{daily.id} is sealed, and nobody can open it here"):
            await Base().make(making)
        shutil.rmtree(making.place)
        making.place.mkdir()
        made = await Base().make(replace(making, opened=lambda _: Lying(place=Path(daily.place))))
        assert made.parent == daily.id
    finally:
        chain.records[:] = kept


async def test_increment_without_its_parent_is_refused(chain: Bench) -> None:
    """Half a chain is no backup: said before anything is done."""
    lonely = Bench(home=chain.home, cluster=chain.cluster, records=chain.records[:1])
    with pytest.raises(BackupError) as refused:
        await lonely.restore(lonely.wanted(lonely.records[0], chain.home / "new"))
    assert refused.value.trouble is Trouble.MISSING
    assert refused.value.why == "2-daily, which it builds on, is missing"
    assert not (chain.home / "new").exists()


async def test_increment_of_a_server_that_does_not_summarize_is_refused(chain: Bench) -> None:
    """Said with the mend, before pg_basebackup fails at it."""
    chain.cluster.psql("ALTER SYSTEM SET summarize_wal = off")
    try:
        chain.cluster.psql("SELECT pg_reload_conf()")
        with pytest.raises(BackupError, match="does not summarize its WAL") as refused:
            await chain.back_up("daily", type="incremental", of="weekly")
        assert refused.value.hint.startswith("ALTER SYSTEM SET summarize_wal = on")
    finally:
        chain.cluster.psql("ALTER SYSTEM RESET summarize_wal")
        chain.cluster.psql("SELECT pg_reload_conf()")


async def test_increment_without_a_full_backup_is_refused(chain: Bench) -> None:
    """There is nothing to build on: said with what to run first."""
    with pytest.raises(BackupError) as refused:
        await chain.back_up("daily", type="incremental", of="nightly")
    assert refused.value.trouble is Trouble.MISSING
    assert refused.value.reason == (
        "backup daily: there is no backup of job nightly to build on (toban backup run nightly)"
    )
