import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository import sweeping
from backup.repository.forms import Attempt
from backup.repository.leases import STALE_SECONDS, Lease, Said, said_by
from backup.repository.listing import Folder
from backup.repository.repository import Repository
from backup.repository.turns import Turns
from tests.backup.repository.builders import a_draft, unheard
from tests.backup.repository.conftest import Dying, Make
from tests.backup.repository.test_repository import ID
from tests.backup.repository.test_turns import ELSEWHERE, left_by
from toban.backups import Status, Trouble


def names(repository: Repository) -> list[str]:
    """What lies where the dumps of `main` lie."""
    folder = repository.root / "main" / "dump"
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


@pytest.mark.integration
@pytest.mark.parametrize("moment", ["filling", "digest", "sync", "manifest"])
async def test_daemon_killed_while_it_makes_a_backup_leaves_none(
    repository: Repository, dying: Dying, moment: str
) -> None:
    """Killed with -9 before the rename, at whatever moment: nothing looks whole or runs, and the sweep says why."""
    process = dying(repository.root, moment)
    if moment == "filling":
        assert [record.status for record in repository.records()] == [Status.RUNNING]
        assert await repository.sweep() == (), "its maker lives"
        process.kill()
    process.wait()
    assert names(repository) == [f"{ID}.partial"]
    assert repository.records() == ()
    (swept,) = await repository.sweep()
    assert swept == (
        f"main/dump/{ID}.partial: it was interrupted: its maker is gone (killed, crashed, or the machine was restarted)"
    )
    assert names(repository) == []
    (record,) = repository.records()
    assert (record.id, record.status, record.trouble) == (ID, Status.FAILED, Trouble.CANCELLED)
    assert not [path for path in (repository.root / ".toban" / "making").rglob("*") if path.is_file()]


@pytest.mark.integration
async def test_daemon_killed_after_the_rename_leaves_a_whole_backup(repository: Repository, dying: Dying) -> None:
    """Once it has its name it is whole: every file is as its manifest says, and the sweep leaves it alone."""
    dying(repository.root, "rename").wait()
    assert await repository.sweep() == ()
    (record,) = repository.records()
    assert (record.id, record.status) == (ID, Status.OK)
    assert all(check.ok for check in await repository.check_files(record, unheard))
    assert not [path for path in (repository.root / ".toban" / "making").rglob("*.json") if path.is_file()]


async def test_sweep_leaves_what_is_being_made(repository: Repository, around: Surroundings) -> None:
    """Another daemon's sweep, or our own, never takes a folder away from its maker."""
    async with repository.making(a_draft()) as partial:
        (partial.place / "a").write_bytes(b"x")
        other = Repository(repository.root, around=around)
        await other.open()
        assert await other.sweep() == ()
        assert await repository.sweep() == ()
        record = await partial.finish(partial.draft)
    assert repository.records() == (record,)


async def test_sweep_asks_for_makers_on_other_machines(repository: Repository) -> None:
    """One that renews its lease is at work; one that fell silent is dead."""
    half = repository.root / "main" / "dump" / f"{ID}.partial"
    half.mkdir(parents=True)
    lease = repository.root / ".toban" / "making" / "main" / "dump" / f"{ID}.lease"
    left_by(lease, ELSEWHERE)
    assert await repository.sweep() == ()
    assert [record.status for record in repository.records()] == [Status.RUNNING]
    lease.unlink()
    left_by(lease, ELSEWHERE, silent_seconds=STALE_SECONDS + 1)
    quick = Repository(repository.root, around=repository.around, pause=lambda _: asyncio.sleep(0))
    await quick.open()
    assert len(await quick.sweep()) == 1
    assert not half.exists()


async def test_partial_that_nobody_has_a_lease_of_is_swept(repository: Repository) -> None:
    """Whoever makes a backup took the lease first: a partial without one is dead."""
    (repository.root / "main" / "base" / f"{ID}.partial" / "deep").mkdir(parents=True)
    (repository.root / "main" / "base" / f"{ID}.partial" / "deep" / "x").write_text("x")
    assert repository.records() == ()
    assert len(await repository.sweep()) == 1
    (record,) = repository.records()
    assert (record.status, record.manifest.method, record.manifest.name) == (Status.FAILED, "base", "nightly")


async def test_half_removed_backup_is_none_and_its_removal_is_completed(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Removed only in half, by a crash or a failing disk, it is listed no more, and goes with the next sweep."""
    from backup.repository import repository as module  # noqa: PLC0415 - to break it

    record = await make()

    def broken(_: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(module, "remove_tree", broken)
        with pytest.raises(BackupError, match="Input/output error"):
            await repository.remove(record, "too old")
    assert names(repository) == [f"{ID}.removing"]
    assert repository.records() == ()
    assert await repository.sweep() == (f"main/dump/{ID}.removing: its removal is completed",)
    assert names(repository) == []


async def test_drafts_of_the_dead_are_tidied_away(repository: Repository, make: Make) -> None:
    """What is said of a backup while it is made goes with its maker; that of the living stays."""
    folder = repository.root / ".toban" / "making" / "main" / "dump"
    async with repository.making(a_draft()) as partial:
        for stale in ("20200101T000000Z-nightly.json", ".tmp-12-0a1b2c3d-20200101T000000Z-nightly.json"):
            (folder / stale).write_text("{}")
        await repository.sweep()
        assert sorted(path.name for path in folder.iterdir()) == [f"{ID}.json", f"{ID}.lease"]
        (partial.place / "a").write_bytes(b"x")
        await partial.finish(partial.draft)
    assert list(folder.iterdir()) == []


async def test_partial_that_becomes_whole_while_it_is_swept_stays(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking and clearing its maker may have finished: then there is nothing to clear."""
    genuine = Turns.holding

    def late(turns: Turns, path: Path, what: str) -> AbstractAsyncContextManager[Lease]:
        half = repository.root / "main" / "dump" / f"{ID}.partial"
        if half.exists():
            half.rename(half.with_name(ID))
        return genuine(turns, path, what)

    (repository.root / "main" / "dump" / f"{ID}.partial").mkdir(parents=True)
    monkeypatch.setattr(Turns, "holding", late)
    await repository.sweep()
    assert names(repository) == [ID]
    assert repository.records(name="nightly")[0].status is Status.DAMAGED, "it has no manifest here"


async def test_nobody_begins_under_the_name_of_what_is_swept(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dead one's lease is held until its folder is gone: else a second sweeper takes the next maker's."""
    genuine, said = sweeping._clear, list[Said | None]()
    lease = repository.root / ".toban" / "making" / "main" / "dump" / f"{ID}.lease"

    def heard(root: Path, folder: Folder, keep: Callable[[Attempt], None]) -> None:
        said.append(said_by(lease))
        genuine(root, folder, keep)

    (repository.root / "main" / "dump" / f"{ID}.partial").mkdir(parents=True)
    monkeypatch.setattr(sweeping, "_clear", heard)
    assert len(await repository.sweep()) == 1
    assert [one.what for one in said if one is not None] == ["sweeping"]
    assert not lease.exists()


async def test_sweep_of_a_failing_disk_is_said(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be cleared away now is an error of the repository, and stays no backup."""

    def broken(_: Path) -> None:
        raise OSError(5, "Input/output error")

    await make()
    folder = repository.root / "main" / "dump"
    (folder / ID).rename(folder / f"{ID}.removing")
    monkeypatch.setattr(sweeping, "remove_tree", broken)
    with pytest.raises(BackupError, match="Input/output error") as caught:
        await repository.sweep()
    assert caught.value.trouble is Trouble.REPOSITORY
    assert repository.records() == ()
