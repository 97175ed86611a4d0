"""A whole MariaDB server by mariadb-backup: streamed, read through, laid out again, and started."""

import io
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.mariadb_base import BACKUP, MariaDbBase, _members
from backup.errors import BackupError
from backup.programs import Programs
from backup.readers.mbstream import Fault, read
from backup.restore.contract import Aim, Moment
from backup.restore.mariadb import MariaDbBaseRestorer
from tests.backup.others.making import a_shop, faults, file_of, flip, wanted
from tests.mariadbs import Mariadb, NewMariadb
from tests.skips import IMPOSSIBLE
from toban.backups import Trouble

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not Programs().has(*BACKUP), reason=f"{IMPOSSIBLE}no mariadb-backup (root: apt-get install it)"),
]
SCHEMA = (
    "set names utf8mb4; create database `店 x`; create table `店 x`.t (a int primary key, b varchar(50)) engine=InnoDB;"
)


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    """One for all who only read it."""
    made = Mariadb()
    try:
        made.start()
        made.sql(SCHEMA)
        yield made
    finally:
        made.remove()


async def test_mariadb_base_comes_back_as_a_server(new_mariadb: NewMariadb, tmp_path: Path) -> None:
    """Copied while it runs, laid out in a new folder, prepared there; a server starts on it and has every row."""
    server = new_mariadb()
    server.sql(f"{SCHEMA} use `店 x`; insert into t select seq, repeat('y', 40) from seq_1_to_5000")
    work = a_shop(tmp_path, MariaDbBase(), "mariadb", dsn=server.dsn())
    assert ((await MariaDbBase().estimate(work.making())).source_bytes or 0) > 0
    record = await work.made()
    assert record.manifest.compression == "zstd"
    assert record.manifest.databases == ("店 x",)
    assert faults(await work.verified(record)) == {}
    place = tmp_path / "back"
    asked = wanted(record, data_dir=place, owner=None)
    assert (await MariaDbBaseRestorer().preflight(asked, work.around)).ok
    done = await MariaDbBaseRestorer().restore(asked, work.around, work.workspace(), work.told.append)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []  # noqa: ASYNC240 - nothing waits
    assert done.left_to_do[0].endswith(f"mariadbd --datadir={place}")
    server.stop()
    second = new_mariadb(start=False)
    _exchange(second, place)
    second.start()
    assert second.sql("set names utf8mb4; select count(*), sum(a) from `店 x`.t") == "5000\t12502500"
    assert work.leftovers() == []


def _exchange(server: Mariadb, place: Path) -> None:
    """Give a server that has not started another data directory."""
    owner = server.data_dir.stat()
    for path in (place, *place.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    server.data_dir.rename(server.data_dir.with_name("before"))
    place.rename(server.data_dir)


async def test_mariadb_base_that_was_spoiled_is_found_out(server: Mariadb, tmp_path: Path) -> None:
    """A byte turned over, packed or not; cut short; and a program that dies."""
    for name, compress in (("packed", "zstd:1"), ("plain", "none")):
        (tmp_path / name).mkdir()
        work = a_shop(tmp_path / name, MariaDbBase(), "mariadb", dsn=server.dsn(), compress=compress)
        record = await work.made()
        stream = file_of(record, record.manifest.detail["file"])
        flip(stream, stream.stat().st_size // 2)
        assert list(faults(await work.verified(record))) == ["stream"]
        flip(stream, stream.stat().st_size // 2)
        os.truncate(stream, stream.stat().st_size // 3)
        assert list(faults(await work.verified(record))) == ["stream"]
        with pytest.raises(BackupError):
            await MariaDbBaseRestorer().restore(
                wanted(record, data_dir=tmp_path / "back"), work.around, work.workspace(), work.told.append
            )
        assert not (tmp_path / "back").exists()


async def test_mariadb_base_of_a_server_elsewhere_says_so(server: Mariadb, tmp_path: Path) -> None:
    """It reads files, and a server that is reached alone has none here."""
    work = a_shop(tmp_path, MariaDbBase(), "mariadb", dsn=server.dsn())
    server.data_dir.rename(server.data_dir.with_name("elsewhere"))
    with pytest.raises(BackupError, match="cannot be read from here") as failed:
        await work.made()
    assert failed.value.trouble is Trouble.PRIVILEGE
    with pytest.raises(BackupError, match="cannot be read from here"):
        await MariaDbBase().estimate(work.making())
    server.data_dir.with_name("elsewhere").rename(server.data_dir)
    with pytest.raises(BackupError, match="names no server"):
        await a_shop(_new(tmp_path / "none"), MariaDbBase(), "mariadb").made()


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


async def test_mariadb_base_program_that_dies_has_failed(server: Mariadb, tmp_path: Path) -> None:
    """And so has one that says nothing of its end, whatever its status."""
    for name, script, why in (
        ("dies", "kill -9 $$", "ended by signal 9"),
        ("silent", "exit 0", "the copy has no end"),
        ("empty", "echo completed OK! >&2", "nothing is in it"),
    ):
        folder = _new(tmp_path / name)
        program = folder / "mariadb-backup"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        work = a_shop(folder, MariaDbBase(), "mariadb", dsn=server.dsn(), compress="none", bandwidth="50MB")
        around = replace(work.around, programs=Programs((folder,)))
        with pytest.raises(BackupError, match=why):
            await work.made(around=around)
        assert work.leftovers() == []


def test_mariadb_base_without_an_end_or_its_log_is_none() -> None:
    """Every member has an end, and those without which there is no restore are among them."""
    told = {"members": 2, "unended": [], "named": ["ib_logfile0", "backup-my.cnf"]}
    assert _members(told).ok
    assert _members({**told, "unended": ["x"]}).detail == "x has no end"
    assert _members({**told, "named": ["backup-my.cnf"]}).detail == "ib_logfile0 is not in it"


async def test_mariadb_base_restore_refuses_what_it_cannot_do(server: Mariadb, tmp_path: Path) -> None:
    """Beforehand, each with its reason; never over a folder with something in it, asked or not."""
    work = a_shop(tmp_path, MariaDbBase(), "mariadb", dsn=server.dsn())
    record = await work.made()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "ibdata1").write_text("precious")
    for how, name in (
        ({}, "place"),
        ({"data_dir": tmp_path / "full", "replace": True}, "place"),
        ({"data_dir": tmp_path / "no" / "x"}, "place"),
        ({"data_dir": tmp_path / "x", "moment": Moment(aim=Aim.TIME, at=1.0)}, "moment"),
        ({"data_dir": tmp_path / "x", "owner": "nobody of this name"}, "owner"),
    ):
        asked = wanted(record, **how)
        look = await MariaDbBaseRestorer().preflight(asked, work.around)
        assert list(faults(look.checks)) == [name]
        with pytest.raises(BackupError):
            await MariaDbBaseRestorer().restore(asked, work.around, work.workspace(), work.told.append)
    assert (tmp_path / "full" / "ibdata1").read_text() == "precious"


def _piece(name: bytes, payload: bytes, offset: int) -> bytes:
    head = b"XBSTCK01\0P" + struct.pack("<I", len(name)) + name
    return head + struct.pack("<QQI", len(payload), offset, zlib.crc32(payload)) + payload


@pytest.mark.parametrize(
    ("stream", "why"),
    [
        (b"", "nothing is in it"),
        (b"XBSTCK02", "begins wrongly"),
        (b"XBSTCK01\0P\xff\xff\xff\xff", "a name that is none"),
        (b"XBSTCK01\0Z\x01\0\0\0a", "of an unknown kind"),
        (_piece(b"a", b"1234", 0) + _piece(b"a", b"1234", 8), "something is missing before byte 8"),
        (_piece(b"a", b"1234", 0)[:-2], "it ends in the middle"),
        (_piece(b"a", b"1234", 0)[:-1] + b"5", "is not what was written"),
    ],
)
def test_mbstream_tells_what_is_wrong(stream: bytes, why: str) -> None:
    """In the words of whoever has to do with it."""
    with pytest.raises(Fault, match=why):
        read(io.BytesIO(stream))


def test_mbstream_knows_which_members_have_no_end() -> None:
    """A copy that was cut off between two members."""
    told = read(io.BytesIO(_piece(b"a", b"1234", 0) + b"XBSTCK01\x01Z\x01\0\0\0a"))
    assert told == {"members": 1, "size_bytes": 4, "unended": ["a"], "named": ["a"]}
