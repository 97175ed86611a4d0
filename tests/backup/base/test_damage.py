"""A base backup of which something was changed, cut off or taken away: found by reading it, and not restored."""

import asyncio
import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backup.errors import BackupError
from backup.programs import Programs
from backup.restore.contract import Moment
from tests.backup.base.bench import LATEST, Bench, archiving, begin
from tests.clusters import absence, installations
from toban.backups import BackupRecord, Check, Status, Trouble

pytestmark = pytest.mark.integration
SPACED = "SELECT string_agg(n::text, ',' ORDER BY n) FROM t"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Two backups of a server with a tablespace whose folder has an awkward name: archives, and a folder."""
    if 15 not in installations():
        pytest.skip(absence(15))
    with archiving(15) as found:
        found.cluster.psql(f"CREATE TABLESPACE \"日本 's\" LOCATION '{found.space('表 = 領域')}'")
        found.cluster.psql('CREATE TABLE t (n int) TABLESPACE "日本 \'s"; INSERT INTO t VALUES (1), (2)')
        asyncio.run(found.back_up("folder", format="plain"))
        asyncio.run(found.back_up("archives", compress="lz4"))
        yield found


@pytest.fixture
def folder(bench: Bench) -> BackupRecord:
    """The one in the plain format."""
    return bench.records[1]


@pytest.fixture
def archives(bench: Bench) -> BackupRecord:
    """The one of archives."""
    return bench.records[0]


@contextmanager
def changed(record: BackupRecord, name: str, change: Callable[[Path], None]) -> Iterator[None]:
    """One file of a backup changed for a while."""
    path = next(Path(record.place).glob(name))
    kept = shutil.copy2(path, Path(record.place).with_name("kept"))
    try:
        change(path)
        yield
    finally:
        shutil.move(kept, path)


def flip(path: Path) -> None:
    """One byte of it, in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x01
    path.write_bytes(content)


def cut(path: Path) -> None:
    """The second half of it gone."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def blank(path: Path) -> None:
    """Nothing but zeros."""
    path.write_bytes(b"\0" * path.stat().st_size)


def bad(found: dict[str, Check]) -> list[str]:
    """The checks that speak against it."""
    return [name for name, check in found.items() if check.ok is False]


async def test_sound_backups_are_read_through(bench: Bench, folder: BackupRecord, archives: BackupRecord) -> None:
    """Of both kinds, with nothing to say against them."""
    assert [check.ok for check in (await bench.verify(folder)).values()] == [True] * 3
    assert [check.ok for check in (await bench.verify(archives)).values()] == [True] * 6
    assert archives.manifest.compression == "lz4:1"
    assert sorted(archives.manifest.detail["archives"])[1:] == ["base.tar.lz4", "pg_wal.tar.lz4"]


@pytest.mark.parametrize("at", [0, 1])
async def test_tablespace_comes_back_below_the_data_directory(bench: Bench, at: int) -> None:
    """Never to where the live server has it, whatever the archive says."""
    live = {path: path.stat().st_mtime_ns for path in (bench.cluster.data_dir.parent / "表 = 領域").rglob("*")}
    with bench.room() as server:
        await bench.restore(bench.wanted(bench.records[at], server.data_dir, Moment()))
        assert [link.readlink().parent for link in (server.data_dir / "pg_tblspc").iterdir()] == [
            server.data_dir / "tablespaces"
        ]
        begin(server)
        assert server.psql(SPACED) == "1,2"
    assert {path: path.stat().st_mtime_ns for path in live} == live


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("base.tar.lz4", flip, ["files", "backup_label"]),
        ("base.tar.lz4", cut, ["files"]),
        ("[0-9]*.tar.lz4", flip, ["files"]),
        ("pg_wal.tar.lz4", cut, ["wal"]),
        ("backup_manifest", flip, ["backup_manifest"]),
        ("backup_manifest", cut, ["backup_manifest"]),
        ("backup_manifest", Path.unlink, ["backup_manifest"]),
    ],
)
async def test_damage_in_archives_is_found(
    bench: Bench, archives: BackupRecord, name: str, change: Callable[[Path], None], found: list[str]
) -> None:
    """One byte, half a file, a whole one."""
    with changed(archives, name, change):
        assert set(bad(await bench.verify(archives))) & set(found)


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("data/base/5/1259", flip, 'checksum mismatch for file "base/5/1259"'),
        ("data/global/pg_control", cut, '"global/pg_control" has size'),
        ("data/base/5/1259", Path.unlink, '"base/5/1259" is present in the manifest but not on disk'),
        ("data/pg_wal/0000000*", blank, "error: "),
    ],
)
async def test_damage_in_a_folder_is_found(
    bench: Bench, folder: BackupRecord, name: str, change: Callable[[Path], None], said: str
) -> None:
    """By pg_verifybackup, whose words are passed on."""
    with changed(folder, name, change):
        found = await bench.verify(folder)
    assert bad(found) == ["pg_verifybackup"]
    assert said in found["pg_verifybackup"].detail


async def test_damage_in_a_folder_is_found_without_pg_verifybackup(
    bench: Bench, folder: BackupRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not every build of PostgreSQL has it: then every file is read by ourselves."""
    monkeypatch.setattr("backup.engines.basing.checking.VERIFY", "pg_verifynothing")
    assert bad(await bench.verify(folder)) == []
    with changed(folder, "data/base/5/1259", flip):
        found = await bench.verify(folder)
    assert found["files"].detail == "base/5/1259 is not what was copied: its checksum is another"
    (Path(folder.place) / "data" / "base" / "stray").write_text("nobody's")
    found = await bench.verify(folder)
    (Path(folder.place) / "data" / "base" / "stray").unlink()
    assert found["files"].detail == "base/stray is not in the manifest"


async def test_damage_in_a_folder_is_found_where_nothing_reads_wal_beside_pg_verifybackup(
    bench: Bench, folder: BackupRecord, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Packages part the two: then its files are its business, and the WAL is ours."""
    find = Programs.postgresql
    alone = tmp_path / "pg_verifybackup"
    alone.symlink_to(find(Programs(), "pg_verifybackup", major=15))

    def found_alone(self: Programs, program: str, **how: Any) -> Path:  # noqa: ANN401 - as it is called
        return alone if program == alone.name else find(self, program, **how)

    monkeypatch.setattr(Programs, "postgresql", found_alone)
    found = await bench.verify(folder)
    assert {name: check.ok for name, check in found.items() if name.startswith(("pg", "wal"))} == {
        "pg_verifybackup": True,
        "wal": True,
        "wal records": True,
    }
    with changed(folder, "data/pg_wal/0000000*", blank):
        assert bad(await bench.verify(folder)) == ["wal"]


async def test_what_this_machine_lacks_damages_no_backup(
    bench: Bench, archives: BackupRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the WAL that is looked at, or the program that unpacks: nothing is said of the backup then."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr("backup.engines.basing.checking.extracted", full)
        with pytest.raises(BackupError) as undecided:
            await bench.verify(archives)
    assert undecided.value.trouble is Trouble.SPACE
    with monkeypatch.context() as patched:
        patched.setenv("PATH", "/nowhere")
        with pytest.raises(BackupError) as undecided:
            await bench.verify(archives)
    assert undecided.value.trouble is Trouble.PROGRAM


@pytest.mark.parametrize(("name", "change"), [("base.tar.lz4", cut), ("pg_wal.tar.lz4", cut), ("backup_manifest", cut)])
async def test_damaged_backup_is_not_restored_by_half(
    bench: Bench, archives: BackupRecord, name: str, change: Callable[[Path], None]
) -> None:
    """It fails, and nothing lies where the data directory was to be."""
    with changed(archives, name, change), bench.room() as server:
        with pytest.raises(BackupError):
            await bench.restore(bench.wanted(archives, server.data_dir))
        assert sorted(path.name for path in server.data_dir.parent.iterdir()) == ["s"]


async def test_file_that_is_missing_from_a_folder_is_no_restore(bench: Bench, folder: BackupRecord) -> None:
    """A copy succeeds all the same: it is counted afterwards."""
    with changed(folder, "data/base/5/1259", Path.unlink), bench.room() as server:
        with pytest.raises(BackupError) as failed:
            await bench.restore(bench.wanted(folder, server.data_dir))
        assert (failed.value.trouble, failed.value.why) == (
            Trouble.DAMAGED,
            "1 files are missing or cut off: base/5/1259",
        )
        assert not server.data_dir.exists()


async def test_backup_that_is_marked_as_damaged_is_refused(bench: Bench, archives: BackupRecord) -> None:
    """Whoever wants it nevertheless unpacks it by hand."""
    known = replace(archives, status=Status.DAMAGED, reason="base.tar.lz4 is not what was written")
    bench.records.insert(0, known)
    try:
        preflight = await bench.look(bench.wanted(known, bench.home / "new"))
    finally:
        bench.records.remove(known)
    assert {check.name: check.detail for check in preflight.checks if check.ok is False} == {
        "lineage": f"{known.id} is damaged: base.tar.lz4 is not what was written"
    }


async def test_backup_of_another_major_version_wants_its_programs(bench: Bench, archives: BackupRecord) -> None:
    """The server was upgraded since: what was backed up before needs the old version, and says so."""
    old = replace(archives, manifest=replace(archives.manifest, server_version="12.22"))
    preflight = await bench.look(bench.wanted(old, bench.home / "new"))
    refused = [check for check in preflight.checks if check.ok is False]
    assert [check.name for check in refused] == ["program"]
    assert "none of PostgreSQL 12 on this machine" in refused[0].detail
    assert "apt install postgresql-12" in refused[0].detail


async def test_wal_of_the_upgraded_server_does_not_lead_on(bench: Bench, archives: BackupRecord) -> None:
    """It is another server's by its identifier: the backup comes back by itself, and no further."""
    identity = bench.wal / "identity.json"
    identity.write_text('{"system_identifier": "7", "segment_bytes": 16777216}')
    try:
        latest = await bench.look(bench.wanted(archives, bench.home / "new", LATEST))
        itself = await bench.look(bench.wanted(archives, bench.home / "new", Moment()))
    finally:
        identity.unlink()
    assert [check.name for check in latest.checks if check.ok is False] == ["server"]
    assert itself.ok
