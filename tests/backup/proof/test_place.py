"""Scratch places: private, passable for the servers' account, swept when their owner is gone."""

import asyncio
import fcntl
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.programs import Account, account
from backup.proof import place as places
from backup.proof.place import scratch_place, socket_folder, sweep
from tests.skips import IMPOSSIBLE
from tests.waiting import eventually_sync
from toban.backups import Trouble

ROOT_ALONE = pytest.mark.skipif(os.geteuid() != 0, reason=f"{IMPOSSIBLE}only root gives files away")


async def test_place_is_gone_with_its_block(around: Surroundings) -> None:
    """Files of another account, folders without a way in: all of it goes."""
    async with scratch_place(around.workspace) as place:
        (place / "data").mkdir(mode=0o700)
        (place / "data" / "file").write_text("x")
        assert not stat.S_IMODE(place.stat().st_mode) & 0o027
    assert not place.exists()


async def test_place_is_gone_when_its_block_is_cancelled(around: Surroundings) -> None:
    """Whoever is cancelled leaves nothing behind, and stays cancelled."""
    begun = asyncio.Event()

    async def work() -> None:
        async with scratch_place(around.workspace):
            begun.set()
            await asyncio.sleep(3600)

    task = asyncio.create_task(work())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert list(around.workspace.iterdir()) == []


async def test_sweep_leaves_a_place_alone_whose_owner_lives(around: Surroundings) -> None:
    """Its lease is held."""
    async with scratch_place(around.workspace) as place:
        assert await sweep(around.workspace) == ()
        assert place.exists()


async def test_sweep_clears_what_the_dead_have_left(around: Surroundings) -> None:
    """A folder whose lease nobody holds, and one without any."""
    left = around.workspace / "scratch-left"
    (left / "data").mkdir(parents=True)
    (left / "lease").touch()
    (around.workspace / "scratch-bare").mkdir()
    (around.workspace / "scratch-file").touch()
    (around.workspace / "kept").mkdir()
    assert await sweep(around.workspace) == ("scratch-bare", "scratch-left")
    assert sorted(path.name for path in around.workspace.iterdir()) == ["kept", "scratch-file"]
    (around.workspace / "kept").rmdir()
    (around.workspace / "scratch-file").unlink()


@pytest.mark.integration
async def test_sweep_ends_servers_and_nobody_else(around: Surroundings, tmp_path: Path) -> None:
    """A process called postgres that works in the folder is ended; a person's shell that stands there is not."""
    left = around.workspace / "scratch-left"
    (left / "data").mkdir(parents=True)
    (left / "lease").touch()
    server = tmp_path / "postgres"
    server.symlink_to("/bin/sleep")
    working, standing = (_sleeping(program, left / "data") for program in (server, Path("/bin/sleep")))
    try:
        name = Path(f"/proc/{working.pid}/comm")
        eventually_sync(lambda: name.read_text().strip() == "postgres")
        assert await sweep(around.workspace) == ("scratch-left",)
        assert working.wait(60) == -9
        assert standing.poll() is None
    finally:
        for process in (working, standing):
            process.kill()
            process.wait()


@pytest.mark.integration
async def test_place_of_a_killed_process_is_swept(around: Surroundings) -> None:
    """SIGKILL while the lease is held: the kernel drops it."""
    code = (
        "import asyncio, os, signal, sys\n"
        "from pathlib import Path\n"
        "from backup.proof.place import scratch_place\n"
        "async def main():\n"
        "    async with scratch_place(Path(sys.argv[1])):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, around.workspace)
    assert await process.wait() == -9
    (left,) = [path.name for path in around.workspace.iterdir()]
    assert await sweep(around.workspace) == (left,)


async def test_place_is_tried_again_when_a_sweep_takes_it_for_left_behind(
    around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the folder and its lease somebody else may hold the lease."""
    flock, refused = fcntl.flock, list[int]()

    def once(handle: int, how: int) -> None:
        if len(refused) < 1:
            refused.append(handle)
            raise BlockingIOError
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", once)
    async with scratch_place(around.workspace) as place:
        assert place.exists()
    monkeypatch.undo()
    assert len(await sweep(around.workspace)) == 1


async def test_place_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    """A workspace below a file."""
    (tmp_path / "file").touch()
    with pytest.raises(BackupError) as caught:
        async with scratch_place(tmp_path / "file" / "below"):
            raise AssertionError
    assert caught.value.trouble is Trouble.PRIVILEGE
    assert "no folder can be made there: Not a directory" in caught.value.why


@ROOT_ALONE
async def test_named_workspace_that_the_account_cannot_reach_is_refused(around: Surroundings) -> None:
    """A folder above that is closed to everybody: where to go instead is the hint."""
    closed = around.workspace / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(BackupError) as caught:
        async with scratch_place(closed / "workspace"):
            raise AssertionError
    assert caught.value.trouble is Trouble.CONFIGURATION
    assert "may not pass through" in caught.value.why
    closed.joinpath("workspace").rmdir()
    closed.rmdir()


@pytest.fixture
def spare(around: Surroundings, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder that is made for want of another."""
    monkeypatch.setattr(places, "SPARE", around.workspace / "spare")
    yield around.workspace / "spare"
    shutil.rmtree(around.workspace / "spare", ignore_errors=True)


@ROOT_ALONE
@pytest.mark.usefixtures("spare")
async def test_usual_workspace_that_the_account_cannot_reach_is_made_up_for(
    around: Surroundings, tmp_path: Path
) -> None:
    """By a folder of root's that everybody may pass through, gone with the last place in it."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    workspaces = places.grounds(None, closed / "work")
    async with scratch_place(*workspaces) as first:
        async with scratch_place(*workspaces) as second:
            assert {first.parent, second.parent} == {places.SPARE}
            assert (places.SPARE.stat().st_uid, stat.S_IMODE(places.SPARE.stat().st_mode)) == (0, 0o711)
        assert places.SPARE.exists()
        copying = replace(around, workspace=closed / "work")
        assert places.housed(copying, first).workspace == first
        assert places.housed(around, first) is around
    assert not places.SPARE.exists()


@ROOT_ALONE
@pytest.mark.usefixtures("spare")
@pytest.mark.parametrize("what", ["link", "anothers", "open", "file"])
async def test_folder_that_is_not_roots_alone_does_not_make_up_for_it(tmp_path: Path, what: str) -> None:
    """A link, another's, one that others may write to: refused, and not swept either; the first one is spoken of."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "scratch-left").mkdir(parents=True)
    if what == "link":
        places.SPARE.symlink_to(elsewhere)
    elif what == "file":
        places.SPARE.touch()
    else:
        (places.SPARE / "scratch-left").mkdir(parents=True)
        os.chown(places.SPARE, 65534 if what == "anothers" else 0, 0)
        places.SPARE.chmod(0o777 if what == "open" else 0o755)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(BackupError, match="may not pass through") as caught:
        async with scratch_place(*places.grounds(None, closed / "work")):
            raise AssertionError
    assert caught.value.what == str(closed / "work")
    assert await sweep(places.SPARE) == ()
    if what in ("link", "file"):
        places.SPARE.unlink()


@ROOT_ALONE
@pytest.mark.usefixtures("spare")
async def test_sweep_takes_the_spare_folder_with_what_was_left_in_it() -> None:
    """It is empty then."""
    (places.SPARE / "scratch-left").mkdir(parents=True)
    assert await sweep(places.SPARE) == ("scratch-left",)
    assert not places.SPARE.exists()


@ROOT_ALONE
@pytest.mark.usefixtures("spare")
async def test_place_that_cannot_be_made_at_all_is_made_nowhere_else(tmp_path: Path) -> None:
    """Only who may not pass is helped by another folder."""
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match="no folder can be made there"):
        async with scratch_place(tmp_path / "file" / "below", places.SPARE):
            raise AssertionError
    assert not places.SPARE.exists()


def test_ordinary_user_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch, around: Surroundings, tmp_path: Path) -> None:
    """It runs its servers itself. And where somebody has named a folder, nobody does."""
    assert places.grounds(Path("/named"), Path("/usual")) == (Path("/named"),)
    monkeypatch.setattr(places, "account", lambda: None)
    assert places.grounds(None, Path("/usual")) == (Path("/usual"),)
    assert places.housed(around, tmp_path) is around


def test_place_of_an_ordinary_user_is_its_own(tmp_path: Path) -> None:
    """Nobody else is let through, and nothing is given away."""
    place, lease = places._made(tmp_path / "workspace", None)
    os.close(lease)
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    folder = socket_folder(place, None)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    places._cleared(place)
    assert not folder.exists()


async def test_sockets_have_a_short_way_where_the_place_is_deep(around: Surroundings) -> None:
    """An address holds 107 bytes: the folder is elsewhere then, and goes with the place."""
    deep = around.workspace / ("深" * 30)
    deep.mkdir()
    async with scratch_place(around.workspace) as place:
        inner = place / ("深" * 30)
        inner.mkdir()
        folder = socket_folder(inner, account())
        assert len(os.fsencode(folder)) < 80
        assert (inner / "sockets").readlink() == folder
        places._cleared(inner)
        assert not folder.exists()
    deep.rmdir()


def test_account_owns_its_private_folder(tmp_path: Path) -> None:
    """As an account of one's own it is a plain folder; the given one's otherwise."""
    mine = Account(name="me", uid=os.geteuid(), gid=os.getegid(), home=tmp_path)
    folder = places.private_folder(tmp_path, "data", mine)
    assert (folder.stat().st_uid, stat.S_IMODE(folder.stat().st_mode)) == (os.geteuid(), 0o700)


def _sleeping(program: Path, folder: Path) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([program, "60"], cwd=folder)
