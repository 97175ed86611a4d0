"""MariaDB by its dump program: real servers, odd names, awkward passwords, servers and programs that die."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from backup.children import Children
from backup.engines.mariadb import MariaDb
from backup.errors import BackupError
from backup.mariadb.way import MariaDbWay
from backup.programs import Programs
from backup.restore.mariadb import MariaDbRestorer
from tests.backup.others.databases import quoted, said, shop
from tests.backup.others.making import faults, file_of, flip, wanted
from tests.mariadbs import Mariadb, NewMariadb
from tests.waiting import eventually
from toban.backups import Trouble
from toban.secrets import Dsn

pytestmark = pytest.mark.integration
AWKWARD = "a'b\"c\\d#e;f=g h%i 秘密$(x)`y`"


def what_is_in(server: Mariadb, database: str) -> str:
    """All that there is in a database, as the server tells it."""
    asked = (
        "checksum table item, `odd ``name`` 表`, empty; select id, name, price, hex(photo) from item;"
        "select id, name, price from dear; call twice(4); select count(*) from `odd ``name`` 表`;"
        "show create table item; show create view dear;"
        "select trigger_name, action_statement from information_schema.triggers where trigger_schema = database();"
        "select event_name, event_definition from information_schema.events where event_schema = database()"
    )
    return said(server, asked, database).replace(database, "DATABASE")


@pytest.mark.parametrize("compress", ["none", "zstd:1"])
async def test_mariadb_database_comes_back_as_it_was(
    compress: str, mariadb: Mariadb, database: str, tmp_path: Path
) -> None:
    """Rows, views, routines, triggers, events, under odd names; loaded beside, under another name."""
    work = shop(tmp_path, mariadb.dsn(), database, compress=compress)
    assert ((await MariaDb().estimate(work.making())).source_bytes or 0) > 0
    record = await work.made()
    counts = {one.table: one.rows for one in record.manifest.rows}
    assert counts == {"item": 502, "odd `name` 表": 2, "empty": 0}
    assert faults(await work.verified(record)) == {}
    asked = wanted(record, into=Dsn(mariadb.dsn()), rename=f"{database} back")
    look = await MariaDbRestorer().preflight(asked, work.around)
    assert look.ok
    done = await MariaDbRestorer().restore(asked, work.around, work.workspace(), work.told.append)
    assert done.databases == (f"{database} back",)
    assert what_is_in(mariadb, f"{database} back").replace(" back", "") == what_is_in(mariadb, database)
    assert work.leftovers() == []


async def test_mariadb_database_with_a_quote_in_its_name_is_dumped_without_its_events(
    mariadb: Mariadb, tmp_path: Path
) -> None:
    """mariadb-dump fails at them; the rest is kept, and it is said."""
    name = f'it\'s "{uuid4().hex[:6]}"'
    said(mariadb, f"create database {quoted(name)}")
    try:
        said(mariadb, "create table t (a int); insert into t values (1)", name)
        work = shop(tmp_path, mariadb.dsn(), name)
        assert not [note for note in (await work.made()).manifest.notes if "events" in note]
        said(mariadb, "create event e on schedule every 1 day do select 1", name)
        record = await work.made()
        assert (
            f"the events of {name} are not in it: mariadb-dump fails at those of a database with a quote in its name"
            in (record.manifest.notes)
        )
        assert record.manifest.rows[0].rows == 1
    finally:
        said(mariadb, f"drop database {quoted(name)}")


async def test_mariadb_accounts_lie_beside_and_are_not_touched(mariadb: Mariadb, database: str, tmp_path: Path) -> None:
    """They are for a person to bring back: as SQL, with the hashes of their passwords, readable by nobody else."""
    work = shop(tmp_path, mariadb.dsn(), database)
    record = await work.made()
    assert record.manifest.notes[0].startswith(
        "not all accounts are in it: mariadb-dump: Couldn't execute 'SHOW CREATE USER"
    )
    users = file_of(record, "users.sql")
    assert "CREATE USER" in users.read_text()
    assert stat.S_IMODE(users.stat().st_mode) == 0o600
    done = await MariaDbRestorer().restore(
        wanted(record, into=Dsn(mariadb.dsn()), rename=f"{database} back"), work.around, work.workspace(), print
    )
    assert f"{users} has those of the old server" in done.left_to_do[1]


@pytest.fixture
def role(mariadb: Mariadb, database: str) -> Iterator[str]:
    """A role with an awkward password, that may dump and no more."""
    name = f"dumper_{uuid4().hex[:6]}"
    escaped = AWKWARD.replace("\\", "\\\\").replace("'", "\\'")
    said(mariadb, f"create user {name}@'127.0.0.1' identified by '{escaped}'")
    yield name
    said(mariadb, f"drop user {name}@'127.0.0.1'")


async def test_mariadb_takes_a_password_with_every_awkward_character(
    mariadb: Mariadb, database: str, role: str, tmp_path: Path
) -> None:
    """And it stands in no word of a program, in no error, and in no file that stays."""
    for what in (f"select, show view, trigger, event, lock tables on {quoted(database)}.*", "select on mysql.proc"):
        said(mariadb, f"grant {what} to {role}@'127.0.0.1'")
    work = shop(tmp_path, mariadb.dsn(user=role, password=AWKWARD), database)
    record = await work.made()
    assert record.manifest.rows
    assert any(note.startswith("the accounts are not in it") for note in record.manifest.notes)
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())  # noqa: ASYNC240 - nothing waits
    assert AWKWARD.encode() not in everything
    assert AWKWARD not in json.dumps(record.manifest.detail)


async def test_mariadb_refusal_is_one_sentence_without_the_password(
    mariadb: Mariadb, database: str, role: str, tmp_path: Path
) -> None:
    """With the GRANT that mends it."""
    for password, trouble in ((AWKWARD + "x", Trouble.PRIVILEGE),):
        with pytest.raises(BackupError) as failed:
            await shop(tmp_path, mariadb.dsn(user=role, password=password), database).made()
        assert failed.value.trouble is trouble
        assert AWKWARD not in failed.value.reason
        assert "GRANT SELECT" in failed.value.hint


async def test_mariadb_that_is_not_there_is_unreachable(tmp_path: Path) -> None:
    """Nobody listens on this port."""
    with pytest.raises(BackupError) as failed:
        await shop(tmp_path, "mysql://root@127.0.0.1:9/", "x").made()
    assert failed.value.trouble is Trouble.UNREACHABLE


async def test_mariadb_without_a_database_to_dump_says_so(mariadb: Mariadb, tmp_path: Path) -> None:
    """An empty backup would look like one."""
    with pytest.raises(BackupError, match="has no database that is to be dumped"):
        await shop(tmp_path, mariadb.dsn(), "no such database").made()


async def test_mariadb_folder_of_the_file_system_is_no_database(mariadb: Mariadb, tmp_path: Path) -> None:
    """A disk of the server's own has one at its top, which the server takes for a database and nobody can dump."""
    (mariadb.data_dir / "lost+found").mkdir(exist_ok=True)
    assert "#mysql50#lost+found" in said(mariadb, "show databases")
    way = MariaDbWay(Dsn(mariadb.dsn()), tmp_path, Programs())
    assert "#mysql50#lost+found" not in {one.name for one in await way.databases(Children())}


async def test_mariadb_rows_are_those_of_the_dumps_own_moment(mariadb: Mariadb, database: str, tmp_path: Path) -> None:
    """While somebody writes: what was counted is what is in the dump, and what comes back."""
    work = shop(tmp_path, mariadb.dsn(), database)
    writing = mariadb.session()
    assert writing.stdin is not None
    writing.stdin.write(f"set names utf8mb4; use {quoted(database)};\n".encode())
    writing.stdin.write(b"insert into item (name) values ('w');\n" * 4000)
    writing.stdin.flush()
    record = await work.made()
    writing.stdin.close()
    writing.wait(120)
    counted = {one.table: one.rows for one in record.manifest.rows}["item"]
    await MariaDbRestorer().restore(
        wanted(record, into=Dsn(mariadb.dsn()), rename=f"{database} back"), work.around, work.workspace(), print
    )
    assert int(said(mariadb, "select count(*) from item", f"{database} back")) == counted


async def test_mariadb_notes_tables_that_know_no_transactions(mariadb: Mariadb, database: str, tmp_path: Path) -> None:
    """And leaves out the rows of those that the job does not want."""
    said(mariadb, "create table old (a int) engine=MyISAM; insert into old values (1)", database)
    work = shop(tmp_path, mariadb.dsn(), database, exclude_tables=["item"])
    record = await work.made()
    assert f"1 tables know no transactions and may be of slightly different moments: {database}.old (MyISAM)" in (
        record.manifest.notes
    )
    assert {one.table: one.rows for one in record.manifest.rows} == {
        "odd `name` 表": 2,
        "empty": 0,
        "item": 0,
        "old": 1,
    }


async def test_mariadb_position_in_the_binary_log_is_noted(new_mariadb: NewMariadb, tmp_path: Path) -> None:
    """Where the server keeps one."""
    server = new_mariadb(log_bin="binlog", server_id="7")
    server.sql("create database a; create table a.t (x int); insert into a.t values (1)")
    record = await shop(tmp_path, server.dsn(), "a").made()
    position = record.manifest.detail["databases"][0]["position"]
    assert position["file"].startswith("binlog.")
    assert position["offset"] > 0
    assert position["gtid"].startswith("0-7-")


@pytest.mark.parametrize("victim", ["mariadb-dump", "server"])
async def test_mariadb_dump_killed_in_the_middle_has_failed(
    victim: str, new_mariadb: NewMariadb, tmp_path: Path
) -> None:
    """Whether its program dies or the server does: an error, and no program is left."""
    server = new_mariadb()
    server.sql(
        "create database a; use a; create table t (x varchar(200));"
        "insert into t select repeat('x', 190) from seq_1_to_200000"
    )
    work = shop(tmp_path, server.dsn(), "a", compress="none")
    task = asyncio.create_task(work.made())
    dumping = await eventually(
        lambda: [
            p
            for p in psutil.process_iter(["name", "cmdline"])
            if p.info["name"] == "mariadb-dump" and str(tmp_path) in " ".join(p.info["cmdline"] or ())
        ]
    )
    await eventually(lambda: any(path.stat().st_size > 100_000 for path in tmp_path.rglob("*.sql")) or task.done())
    if victim == "server":
        server.kill()
    else:
        os.kill(dumping[0].pid, signal.SIGKILL)
    with pytest.raises(BackupError) as failed:
        await task
    assert failed.value.trouble in (Trouble.TOOL, Trouble.UNREACHABLE)
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(p.info["cmdline"] or ())]
    assert work.leftovers() == []


@pytest.mark.parametrize("compress", ["none", "zstd:1"])
async def test_mariadb_dump_that_was_truncated_is_found_out(
    compress: str, mariadb: Mariadb, database: str, tmp_path: Path
) -> None:
    """By verifying, and by a restore, which drops the database that it had made."""
    work = shop(tmp_path, mariadb.dsn(), database, compress=compress)
    record = await work.made()
    dumped = file_of(record, record.manifest.detail["databases"][0]["file"])
    os.truncate(dumped, dumped.stat().st_size - 40)
    assert list(faults(await work.verified(record))) == [f"read {database}"]
    with pytest.raises(BackupError) as failed:
        await MariaDbRestorer().restore(
            wanted(record, into=Dsn(mariadb.dsn()), rename=f"{database} back"), work.around, work.workspace(), print
        )
    assert failed.value.trouble is Trouble.DAMAGED
    assert f"{database} back" not in said(mariadb, "show databases")


async def test_mariadb_dump_with_a_byte_turned_over_is_found_out(
    mariadb: Mariadb, database: str, tmp_path: Path
) -> None:
    """By the sums of its packing; of one that is not packed the repository's digest tells."""
    work = shop(tmp_path, mariadb.dsn(), database, compress="zstd:1")
    record = await work.made()
    dumped = file_of(record, record.manifest.detail["databases"][0]["file"])
    flip(dumped, dumped.stat().st_size // 2)
    assert list(faults(await work.verified(record))) == [f"read {database}"]


async def test_mariadb_dump_onto_a_full_disk_says_that_the_disk_is_full(
    mariadb: Mariadb, database: str, tmp_path: Path
) -> None:
    """And not that mariadb-dump got errno 32, as it says when nobody takes what it writes."""
    said(mariadb, "insert into item (name) select repeat('x', 90) from seq_1_to_5000", database)
    program = tmp_path / "bin" / "zstd"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'zstd: error 70 : Write error : No space left on device' >&2; exit 1\n")
    program.chmod(0o755)
    work = shop(tmp_path, mariadb.dsn(), database, compress="zstd:1")
    around = replace(work.around, programs=Programs((program.parent,)))
    with pytest.raises(BackupError, match=r"zstd ended with status 1: .* No space left") as failed:
        await work.made(around=around)
    assert failed.value.trouble is Trouble.SPACE
