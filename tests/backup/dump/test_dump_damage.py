import subprocess
from pathlib import Path

import pytest

from backup.programs import Programs
from tests.backup.dump.dumps import Bench, a_job, cut, drop, failure_of, file_of, flip
from tests.clusters import Cluster
from toban.backups import Trouble

pytestmark = pytest.mark.integration


def lists(cluster: Cluster, path: Path) -> bool:
    """Whether `pg_restore --list` is content with it."""
    words = (cluster.bin_dir / "pg_restore", "--list", "--file=/dev/null", path)
    return subprocess.run(words, check=False, timeout=30).returncode == 0


async def test_a_truncated_dump_that_can_be_listed_is_found_out(shop: Cluster, bench: Bench) -> None:
    """Its list stands at the beginning and is whole; its rows are not."""
    record = await bench.dumped(shop, a_job(compress="none"))
    path = file_of(record, "1-shop.dump")
    cut(path, 0.6)
    assert lists(shop, path)
    rows, roles = await bench.verified(record)
    assert (rows.ok, roles.ok) == (False, True)
    assert rows.detail.startswith("1-shop.dump: pg_restore ended with status 1: pg_restore: error: could not read")


@pytest.mark.parametrize(
    ("compress", "name"), [("gzip", "1-shop.dump"), ("zstd", "1-shop.dump.zst"), ("lz4", "1-shop.dump.lz4")]
)
async def test_a_flipped_bit_among_the_rows_is_found_out(compress: str, name: str, shop: Cluster, bench: Bench) -> None:
    """Wherever it is among what was compressed; without compression the digests of the repository tell."""
    record = await bench.dumped(shop, a_job(compress=compress))
    path = file_of(record, name)
    for at in (0.5, 0.7, 0.95):
        flip(path, at)
        if compress == "gzip":
            assert lists(shop, path)
        assert (await bench.verified(record))[0].ok is False, at
        flip(path, at)
    assert (await bench.verified(record))[0].ok is True


async def test_a_directory_without_one_of_its_members_is_found_out(shop: Cluster, bench: Bench) -> None:
    """It can still be listed."""
    record = await bench.dumped(shop, a_job(format="directory"))
    drop(file_of(record, "1-shop.dump/*.dat.gz"))
    assert lists(shop, Path(record.place, "1-shop.dump"))
    assert (await bench.verified(record))[0].ok is False


@pytest.mark.parametrize("compress", ["none", "zstd"])
async def test_a_plain_dump_without_its_end_is_found_out_and_not_restored(
    compress: str, shop: Cluster, bench: Bench
) -> None:
    """What psql makes of a half one is half a database, and it says that all is well."""
    record = await bench.dumped(shop, a_job(format="plain", compress=compress))
    cut(file_of(record, "1-shop.sql*"), 0.98)
    assert (await bench.verified(record))[0].ok is False
    error = await failure_of(bench.restored(record, shop.dsn(), rename="again"))
    assert error.trouble in (Trouble.DAMAGED, Trouble.TOOL)
    assert "again" not in shop.psql("SELECT datname FROM pg_database")


async def test_missing_and_cut_globals_are_found_out(shop: Cluster, bench: Bench) -> None:
    """Roles are part of a dump."""
    record = await bench.dumped(shop)
    path = file_of(record, "globals.sql")
    cut(path, 0.2)
    torn = (await bench.verified(record))[-1]
    assert (torn.ok, torn.detail) == (
        False,
        "globals.sql: does not end with '-- PostgreSQL database cluster dump complete'",
    )
    drop(path)
    gone = (await bench.verified(record))[-1]
    assert (gone.ok, gone.detail) == (False, "globals.sql: is not there")


async def test_what_keeps_us_from_reading_is_no_damage(shop: Cluster, bench: Bench) -> None:
    """Toban is stopping, a program was killed for want of memory, the key is another's: nothing is told of the dump."""
    record = await bench.dumped(shop)
    folder = bench.home / "bin"
    folder.mkdir()
    program = folder / "zstd"
    for ending in ("kill -9 $$", "echo 'age: error: no identity matched any of the recipients' >&2; exit 1"):
        program.write_text(f"#!/bin/sh\n{ending}\n")
        program.chmod(0o755)
        bench.programs = Programs([folder])
        assert [check.ok for check in await bench.verified(record)] == [None, True], ending
        error = await failure_of(bench.restored(record, shop.dsn(), rename="again"))
        assert error.trouble in (Trouble.CANCELLED, Trouble.CONFIGURATION)
    await bench.children.close()
    assert [check.ok for check in await bench.verified(record)] == [None, None]


async def test_what_is_set_for_a_database_lies_in_a_file_that_is_sealed_and_read(shop: Cluster, bench: Bench) -> None:
    """Applications keep secrets there, and a manifest lies in the clear; one that was edited is found out."""
    shop.psql("ALTER DATABASE shop SET app.key = 'open sesame'")
    record = await bench.dumped(shop)
    assert "open sesame" not in repr(record)
    assert [check.ok for check in await bench.verified(record)] == [True, True, True]
    cut(file_of(record, "settings.json"), 0.5)
    assert [check.ok for check in await bench.verified(record)] == [True, True, False]
    error = await failure_of(bench.restored(record, shop.dsn(), rename="again"))
    assert (error.what, error.trouble) == ("settings.json", Trouble.DAMAGED)
