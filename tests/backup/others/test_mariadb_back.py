"""The way back of MariaDB's dumps: over nothing unless asked, whole or not at all, and never dropped later."""

from pathlib import Path
from uuid import uuid4

import pytest

from backup.engines.mariadb import held_against
from backup.errors import BackupError
from backup.restore import mariadb as restoring
from backup.restore.contract import Aim, Moment
from backup.restore.mariadb import MariaDbRestorer
from tests.backup.others.databases import quoted, said, shop
from tests.backup.others.making import Shop, faults, file_of, flip, wanted
from tests.mariadbs import Mariadb
from tests.waiting import eventually
from toban.backups import BackupRecord, Progress, Trouble
from toban.secrets import Dsn

pytestmark = pytest.mark.integration


async def test_mariadb_restore_goes_over_nothing_unless_asked(mariadb: Mariadb, database: str, tmp_path: Path) -> None:
    """What is there stays; with `replace` it is dropped, but only once the dump was seen to load."""
    work = shop(tmp_path, mariadb.dsn(), database)
    record = await work.made()
    said(mariadb, "delete from item", database)
    asked = wanted(record, into=Dsn(mariadb.dsn()))
    assert list(faults((await MariaDbRestorer().preflight(asked, work.around)).checks)) == [f"database {database}"]
    with pytest.raises(BackupError, match="is there already"):
        await MariaDbRestorer().restore(asked, work.around, work.workspace(), print)
    assert said(mariadb, "select count(*) from item", database) == "0"
    await _spoiled(record, asked, work, mariadb, database)
    replacing = wanted(record, into=Dsn(mariadb.dsn()), replace=True)
    assert (await MariaDbRestorer().preflight(replacing, work.around)).ok
    done = await MariaDbRestorer().restore(replacing, work.around, work.workspace(), print)
    assert done.did[0] == f"dropped the database {database} that was there, once the dump was seen to load"
    assert said(mariadb, "select count(*) from item", database) == "502"
    assert "toban_trial" not in said(mariadb, "show databases")


async def _spoiled(record: BackupRecord, asked: object, work: Shop, mariadb: Mariadb, database: str) -> None:
    """A dump that does not load replaces nothing."""
    dumped = file_of(record, record.manifest.detail["databases"][0]["file"])
    kept = dumped.read_bytes()
    dumped.write_bytes(kept.replace(b"INSERT INTO `item`", b"INSERT INTO `itme`", 1))
    with pytest.raises(BackupError, match="itme"):
        await MariaDbRestorer().restore(
            wanted(record, into=Dsn(mariadb.dsn()), replace=True), work.around, work.workspace(), print
        )
    dumped.write_bytes(kept)
    assert said(mariadb, "show tables", database)
    assert "toban_trial" not in said(mariadb, "show databases")


async def test_mariadb_restore_refuses_what_it_cannot_do(mariadb: Mariadb, database: str, tmp_path: Path) -> None:
    """Beforehand, each with its reason."""
    work = shop(tmp_path, mariadb.dsn(), database)
    record = await work.made()
    into = Dsn(mariadb.dsn())
    for how, name in (
        ({}, "place"),
        ({"into": into, "moment": Moment(aim=Aim.LSN, value="0/1")}, "moment"),
        ({"into": into, "tables": ("item",)}, "tables"),
        ({"into": into, "database": "another"}, "database"),
        ({"into": Dsn("mysql://root@127.0.0.1:9/")}, "server"),
    ):
        look = await MariaDbRestorer().preflight(wanted(record, **how), work.around)
        assert list(faults(look.checks)) == [name]
    record.manifest.detail["databases"][0]["collation"] = "utf8mb4_klingon_ci"
    look = await MariaDbRestorer().preflight(wanted(record, into=into, rename="free"), work.around)
    assert faults(look.checks) == {"collation": "the server has no collation utf8mb4_klingon_ci"}


async def test_mariadb_replaces_nothing_before_all_of_it_was_seen_to_load(
    mariadb: Mariadb, database: str, tmp_path: Path
) -> None:
    """What has been replaced stays, though something after it fails: the old one is gone, and the new one is whole."""
    second = f"龍 {uuid4().hex[:6]}"  # the later one
    said(mariadb, f"create database {quoted(second)}; use {quoted(second)}; create table t (a int)")
    try:
        work = shop(tmp_path, mariadb.dsn(), database, second, compress="zstd:1")
        record = await work.made()
        said(mariadb, "delete from item", database)
        asked = wanted(record, into=Dsn(mariadb.dsn()), replace=True)
        last = file_of(record, record.manifest.detail["databases"][-1]["file"])
        whole = last.read_bytes()
        flip(last, -9)
        with pytest.raises(BackupError):
            await MariaDbRestorer().restore(asked, work.around, work.workspace(), print)
        assert said(mariadb, "select count(*) from item", database) == "0"

        def spoil(progress: Progress) -> None:  # once all was tried out
            last.write_bytes(whole if progress.what != second else whole[:-20])

        last.write_bytes(whole)
        with pytest.raises(BackupError, match=f"{second} that was there is dropped already"):
            await MariaDbRestorer().restore(asked, work.around, work.workspace(), spoil)
        assert said(mariadb, "select count(*) from item", database) == "502"
        there = said(mariadb, "show databases")
        assert (second in there, "toban_trial" in there) == (False, False)
    finally:
        said(mariadb, f"drop database if exists {quoted(second)}")


async def test_mariadb_database_that_somebody_is_at_work_on_is_not_dropped_later(
    mariadb: Mariadb, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tables are locked: the restore fails, and the server does not go on waiting to drop it."""
    monkeypatch.setattr(restoring, "LOCK_SECONDS", 1)
    monkeypatch.setattr(restoring, "DROP_SECONDS", 20.0)
    work = shop(tmp_path, mariadb.dsn(), database)
    record = await work.made()
    session = mariadb.session()
    assert session.stdin is not None
    session.stdin.write(f"set names utf8mb4; use {quoted(database)}; begin; select count(*) from item;\n".encode())
    session.stdin.flush()
    try:
        await eventually(lambda: said(mariadb, "select count(*) from information_schema.innodb_trx") == "1")
        with pytest.raises(BackupError) as failed:
            await MariaDbRestorer().restore(
                wanted(record, into=Dsn(mariadb.dsn()), replace=True), work.around, work.workspace(), print
            )
    finally:
        session.stdin.close()
        session.wait(120)
    assert failed.value.trouble is Trouble.LOCKED
    assert said(mariadb, "select count(*) from item", database) == "502"


def test_mariadb_dump_of_another_size_is_not_the_one_that_was_made() -> None:
    """Though it has its last line; nor is one of its size that lacks this line."""
    one = {"name": "shop", "size_bytes": 100}
    told = {"completed": True, "size_bytes": 99, "rows": {}}
    assert held_against(one, told).detail == "it has 99 bytes, not 100"
    assert held_against(one, {**told, "completed": False, "size_bytes": 100}).detail == "its end is missing"
    assert held_against(one, {**told, "size_bytes": 100}).ok


async def test_mariadb_keeps_the_history_of_versioned_tables(mariadb: Mariadb, database: str, tmp_path: Path) -> None:
    """What was deleted is in it too, as the table promises."""
    said(
        mariadb, "create table v (a int) with system versioning; insert into v values (1), (2); delete from v", database
    )
    work = shop(tmp_path, mariadb.dsn(), database)
    record = await work.made()
    assert {one.table: one.rows for one in record.manifest.rows}["v"] == 2
    await MariaDbRestorer().restore(
        wanted(record, into=Dsn(mariadb.dsn()), rename=f"{database} back"), work.around, work.workspace(), print
    )
    assert said(mariadb, "select count(*) from v for system_time all", f"{database} back") == "2"


async def test_mariadb_several_databases_come_back_together_or_not_at_all(
    mariadb: Mariadb, database: str, tmp_path: Path
) -> None:
    """When the second cannot be loaded, the first that was is dropped again."""
    second = f"zz {uuid4().hex[:6]}"
    said(mariadb, f"create database {quoted(second)}; use {quoted(second)}; create table t (a int)")
    try:
        work = shop(tmp_path, mariadb.dsn(), database, second, compress="zstd:1")
        record = await work.made()
        assert set(record.manifest.databases) == {database, second}
        assert "each database is of one moment of its own" in record.manifest.notes
        for name in (database, second):
            said(mariadb, f"drop database {quoted(name)}")
        last = record.manifest.detail["databases"][-1]
        flip(file_of(record, last["file"]), -9)
        asked = wanted(record, into=Dsn(mariadb.dsn()))
        with pytest.raises(BackupError) as failed:
            await MariaDbRestorer().restore(asked, work.around, work.workspace(), print)
        assert failed.value.trouble is Trouble.DAMAGED
        there = said(mariadb, "show databases").splitlines()
        assert database not in there
        assert second not in there
        look = await MariaDbRestorer().preflight(wanted(record, into=Dsn(mariadb.dsn()), rename="x"), work.around)
        assert list(faults(look.checks)) == ["database"]
    finally:
        said(mariadb, f"drop database if exists {quoted(second)}")
