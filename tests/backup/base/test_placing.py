"""Where a restored data directory comes to be: never over anything, never by half, and whose it is."""

import asyncio
import ctypes
import errno
import os
import pwd
import shlex
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backup.errors import BackupError
from backup.programs import Account
from backup.restore.basing.placing import Site, _Stage, fit, flush, look, owner_of, passable, settle, staged
from backup.restore.contract import Wanted
from tests.backup.base.bench import Bench, archiving
from tests.clusters import absence, installations
from tests.daemon.answers.kept import a_record
from tests.installations import as_account
from tests.waiting import eventually
from toban.backups import Method, Trouble


def wanted(*, replacing: bool = False, owner: str | None = None) -> Wanted:
    """A restore, as far as its place is concerned."""
    record = a_record("base", id="1", method=Method.BASE, engine="base")
    return Wanted(record=record, lineage=(), replace=replacing, owner=owner)


async def filled(site: Site) -> Path | None:
    """A data directory made there; what was there before."""
    async with staged(site) as stage:
        (stage / "PG_VERSION").write_text("15\n")
        (stage / "global").mkdir()
        return await asyncio.to_thread(settle, stage, site)


def test_what_does_not_come_to_the_disk_is_no_restore(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The disk's own word, and whether it is for want of room."""
    flush(tmp_path)
    for failed, trouble in ((errno.ENOSPC, Trouble.SPACE), (errno.EIO, Trouble.TOOL)):
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: SimpleNamespace(syncfs=lambda _: -1))
        monkeypatch.setattr(ctypes, "get_errno", partial(int, failed))
        with pytest.raises(BackupError, match=f"did not come to the disk: {os.strerror(failed)}") as caught:
            flush(tmp_path)
        assert caught.value.trouble is trouble


async def test_free_place_is_taken_by_one_rename(tmp_path: Path) -> None:
    """With the folders above it that are not there yet; nothing else stays behind."""
    site = look(tmp_path / "a" / "data")
    assert fit(site, wanted()).ok
    assert await filled(site) is None
    assert sorted(path.name for path in site.path.iterdir()) == ["PG_VERSION", "global"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["data"]
    assert site.path.stat().st_mode & 0o777 == 0o700


async def test_folders_above_the_place_are_the_owners(tmp_path: Path) -> None:
    """A server has to come through them to its files; where nothing came of it they are gone again."""
    me = as_account()
    owner = Account(name="x", uid=me.get("user", os.geteuid()), gid=me.get("group", os.getegid()), home=Path("/"))
    async with staged(look(tmp_path / "a" / "b" / "data"), owner):
        pass
    assert names(tmp_path) == []
    site = look(tmp_path / "a" / "b" / "data")
    async with staged(site, owner) as stage:
        await asyncio.to_thread(settle, stage, site)
    for folder in (tmp_path / "a", tmp_path / "a" / "b"):
        assert (folder.stat().st_uid, folder.stat().st_mode & 0o777) == (owner.uid, 0o700)


async def test_full_disk_while_a_folder_is_filled_is_told(tmp_path: Path) -> None:
    """By whichever step it is met."""
    with pytest.raises(BackupError, match="No space left on device: /x") as failed:
        async with staged(look(tmp_path / "data")):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/x")
    assert failed.value.trouble is Trouble.SPACE
    assert names(tmp_path) == []


async def test_empty_folder_is_taken(tmp_path: Path) -> None:
    """Somebody has made it for this."""
    (tmp_path / "data").mkdir()
    site = look(tmp_path / "data")
    assert fit(site, wanted()).detail == f"{site.path} is empty"
    await filled(site)
    assert (site.path / "PG_VERSION").exists()


async def test_folder_that_cannot_be_replaced_is_filled_from_within(tmp_path: Path) -> None:
    """A mount point, or one whose folder is not ours: what makes it a data directory comes last."""
    (tmp_path / "data").mkdir(mode=0o755)
    site = replace(look(tmp_path / "data"), is_closed=True)
    await filled(site)
    assert sorted(path.name for path in site.path.iterdir()) == ["PG_VERSION", "global"]
    assert site.path.stat().st_mode & 0o777 == 0o700


async def test_what_a_dead_restore_left_within_is_nobodys(tmp_path: Path) -> None:
    """A mount point in which one was killed is empty still; but not one in which somebody is at work."""
    (tmp_path / "data" / ".data.restoring-dead" / "data").mkdir(parents=True)
    assert look(tmp_path / "data").is_empty
    site = replace(look(tmp_path / "data"), is_closed=True)
    async with staged(site) as stage:
        assert look(tmp_path / "data").is_empty is False
        assert names(site.path) == [stage.parent.name]


async def test_place_that_was_filled_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """By somebody who came first: two servers' files are never mixed."""
    (tmp_path / "data").mkdir()
    site = replace(look(tmp_path / "data"), is_closed=True)
    async with staged(site) as stage:
        (stage / "PG_VERSION").write_text("15\n")
        (site.path / "PG_VERSION").write_text("16\n")
        with pytest.raises(OSError, match="Directory not empty"):
            settle(stage, site)
    assert (site.path / "PG_VERSION").read_text() == "16\n"


async def test_what_is_there_is_refused_unless_it_is_to_be_replaced(tmp_path: Path) -> None:
    """Then it is put aside, and not removed."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").write_text("1")
    site = look(tmp_path / "data")
    assert fit(site, wanted()).ok is False
    assert (
        fit(site, wanted()).detail == f"{site.path} is not empty; name another folder, or have it replaced (--replace)"
    )
    assert fit(site, wanted(replacing=True)).ok
    for number in (1, 2):
        aside = await filled(look(tmp_path / "data"))
        assert aside == tmp_path / f"data.replaced-{number}"
    assert (tmp_path / "data.replaced-1" / "precious").read_text() == "1"


def names(folder: Path) -> list[str]:
    """What is in a folder."""
    return sorted(path.name for path in folder.iterdir())


async def test_place_that_fails_to_be_taken_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was put aside comes back, and the half is gone."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").write_text("1")
    rename = Path.rename

    def fail(self: Path, target: Path) -> Path:
        if self.name == "data" and target == tmp_path / "data" and ".restoring-" in str(self):
            raise OSError(5, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(BackupError, match="Input/output error") as failed:
        await filled(look(tmp_path / "data"))
    assert failed.value.trouble is Trouble.TOOL
    assert names(tmp_path) == ["data"]
    assert (tmp_path / "data" / "precious").read_text() == "1"


async def test_what_another_left_behind_is_cleared_away(tmp_path: Path) -> None:
    """Killed in the middle of it; but never what somebody is still at."""
    left = tmp_path / ".data.restoring-dead"
    (left / "data").mkdir(parents=True)
    async with staged(look(tmp_path / "data")) as stage:
        assert not left.exists()
        async with staged(look(tmp_path / "data")):
            assert stage.exists()
    assert names(tmp_path) == []


async def test_place_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """With what is in the way."""
    (tmp_path / "file").write_text("1")
    with pytest.raises(BackupError, match=r"File exists|Not a directory"):
        await filled(Site(path=tmp_path / "file" / "data"))


@pytest.mark.parametrize(("closed", "ok"), [(True, False), (False, True)])
def test_place_that_cannot_be_put_aside_is_refused(tmp_path: Path, closed: bool, ok: bool) -> None:  # noqa: FBT001 - two cases
    """A mount point that holds something."""
    site = Site(path=tmp_path, is_there=True, is_empty=False, is_closed=closed)
    assert fit(site, wanted(replacing=True)).ok is ok


def test_owner_is_an_account_that_there_is() -> None:
    """By default PostgreSQL's, when we are root."""
    me = pwd.getpwuid(os.geteuid())
    found = owner_of(wanted(owner=me.pw_name))
    assert found is not None
    assert (found.name, found.uid) == (me.pw_name, me.pw_uid)
    with pytest.raises(BackupError, match="there is no account nobody-at-all") as refused:
        owner_of(wanted(owner="nobody-at-all"))
    assert refused.value.trouble is Trouble.CONFIGURATION


def test_owner_that_may_not_come_there_is_told(tmp_path: Path) -> None:
    """The server would not start."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    other = Account(name="other", uid=os.geteuid() + 4711, gid=4711, home=Path("/"))
    found = passable(look(closed / "data"), other)
    assert found.ok is False
    if os.geteuid() == 0:
        assert "other may not pass through" in found.detail
    else:
        assert found.detail == "only root can give files to other"
    assert passable(look(closed / "data"), None).ok


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A server and a backup of it."""
    if 15 not in installations():
        pytest.skip(absence(15))
    with archiving(15) as found:
        asyncio.run(found.back_up())
        yield found


@pytest.mark.integration
async def test_data_directory_of_a_running_server_is_refused(bench: Bench) -> None:
    """Also where it is to be replaced."""
    preflight = await bench.look(bench.wanted(bench.records[0], bench.cluster.data_dir, replace=True))
    refused = [check.detail for check in preflight.checks if check.ok is False]
    assert len(refused) == 1
    assert refused[0].startswith(f"a server works in {bench.cluster.data_dir}, as process ")


@pytest.mark.integration
async def test_restored_files_are_the_accounts_and_closed(bench: Bench) -> None:
    """PostgreSQL starts on nothing else."""
    with bench.room() as server:
        done = await bench.restore(bench.wanted(bench.records[0], server.data_dir))
        uid = as_account().get("user", os.geteuid())
        everything = [server.data_dir, *server.data_dir.rglob("*")]
        assert {path.lstat().st_uid for path in everything} == {uid}
        assert server.data_dir.stat().st_mode & 0o777 == 0o700
        assert (server.data_dir / "recovery.signal").exists()
        assert (server.data_dir / "backup_label").exists()
        start, _, told = done.left_to_do[0].removeprefix("start it: ").rpartition(" (")
        assert told == f"PostgreSQL 15, port {bench.cluster.port})"
        program, option, home, *_ = shlex.split(start)[-6:]
        assert (os.access(program, os.X_OK), option, home) == (True, "-D", str(server.data_dir))
        assert done.restored_bytes == bench.records[0].manifest.source_bytes


@pytest.mark.integration
async def test_cancelled_restore_leaves_nothing(bench: Bench) -> None:
    """Wherever it was."""
    with bench.room() as server:
        work = asyncio.create_task(bench.restore(bench.wanted(bench.records[0], server.data_dir)))
        bench.told.clear()
        await eventually(lambda: any(progress.phase == "files" for progress in bench.told))
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert sorted(path.name for path in server.data_dir.parent.iterdir()) == ["s"]


@pytest.mark.integration
async def test_restore_that_is_cancelled_while_it_is_put_in_place_is_whole_or_not_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is under way in a thread goes on: its end is waited for, before anything is removed."""
    flushing, removed, order = threading.Event(), threading.Event(), list[str]()
    end = _Stage.end

    def flushed(_: Path) -> None:
        flushing.set()
        removed.wait(0.3)  # for whoever would not wait for us
        order.append("flushed")

    def ended(stage: _Stage) -> None:
        order.append("removed")
        removed.set()
        end(stage)

    monkeypatch.setattr("backup.restore.base.flush", flushed)
    monkeypatch.setattr(_Stage, "end", ended)
    with bench.room() as server:
        work = asyncio.create_task(bench.restore(bench.wanted(bench.records[0], server.data_dir)))
        assert await asyncio.to_thread(flushing.wait, 60)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert order == ["flushed", "removed"]
        assert names(server.data_dir.parent) == ["s"]


@pytest.mark.integration
async def test_preflight_says_what_it_takes(bench: Bench) -> None:
    """And changes nothing."""
    told = await bench.look(bench.wanted(bench.records[0], bench.home / "new"))
    source = bench.records[0].manifest.source_bytes or 0
    assert told.ok
    assert told.needed_bytes == round((source + 16 * 1024 * 1024) * 1.05)
    assert told.forecast_seconds == pytest.approx(source / 100e6)
    assert (told.timeline, told.reaches_at) == (1, bench.records[0].manifest.detail["copied_at"])
    assert not (bench.home / "new").exists()


@pytest.mark.integration
@pytest.mark.parametrize("part", [{"database": "postgres"}, {"tables": ("public.t",)}])
async def test_part_of_a_server_is_none_of_a_base_backup(bench: Bench, part: dict[str, Any]) -> None:
    """With what to do instead."""
    told = await bench.look(bench.wanted(bench.records[0], bench.home / "new", **part))
    assert [check.name for check in told.checks if check.ok is False] == ["scope"]


@pytest.mark.integration
async def test_restore_without_a_folder_is_refused(bench: Bench) -> None:
    """A base backup goes nowhere else."""
    nowhere = replace(bench.wanted(bench.records[0], bench.home), data_dir=None)
    with pytest.raises(BackupError, match="name the folder for it") as refused:
        await bench.look(nowhere)
    assert refused.value.exit_status == 2


@pytest.mark.integration
async def test_restore_without_room_is_refused_beforehand(bench: Bench) -> None:
    """Not in the middle."""
    record = bench.records[0]
    huge = replace(record, manifest=replace(record.manifest, source_bytes=10**18))
    with pytest.raises(BackupError, match="are needed") as refused:
        await bench.restore(replace(bench.wanted(huge, bench.home / "new")))
    assert refused.value.trouble is Trouble.SPACE
