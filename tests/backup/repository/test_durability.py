"""What a loss of power leaves, by the order of the calls: a disk may keep any rename, and loses what was not synced."""

import asyncio
import os
import re
import threading
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from backup.repository import durable, partials
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft
from tests.backup.repository.conftest import Make
from tests.backup.repository.test_repository import ID
from toban.backups import Status

UNSEEN = re.compile(r"\.tmp-\d+-[0-9a-f]{8}-")  # a name of one moment
Event = tuple[str, str]
T = TypeVar("T")


@pytest.fixture
def calls(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """What is synced and renamed below the repository, in its order, by paths below it."""
    heard: list[Event] = []
    root = str(repository.root)

    def note(what: str, path: str) -> None:
        if path.startswith(root):
            heard.append((what, UNSEEN.sub(".tmp-", os.path.relpath(path, root))))

    def watched(name: str, genuine: Callable[..., Any], path_of: Callable[..., str]) -> None:
        def call(*words: object, **named: object) -> object:
            note(name, path_of(*words))
            return genuine(*words, **named)

        monkeypatch.setattr(os, name, call)

    watched("fsync", os.fsync, lambda handle: str(Path(f"/proc/self/fd/{handle}").readlink()))
    watched("rename", os.rename, lambda _, new: str(new))
    watched("replace", os.replace, lambda _, new: str(new))
    return heard


async def test_backup_gets_its_name_after_all_of_it_is_on_the_disk(repository: Repository, calls: list[Event]) -> None:
    """Each file, then each folder, then the manifest, then the folder again, then the name, then the folder above."""
    async with repository.making(a_draft()) as partial:
        (partial.place / "a" / "b").mkdir(parents=True)
        for name in ("a/b/1", "a/2", "3"):
            (partial.place / name).write_bytes(b"x")
        await partial.finish(partial.draft)
    dumps = f"main/dump/{ID}"
    mine = [event for event in calls if event[1].startswith("main/dump")]
    named = mine.index(("rename", dumps))
    before, after = mine[:named], mine[named + 1 :]
    manifest = before.index(("replace", f"{dumps}.partial/manifest.json"))
    half = f"{dumps}.partial"
    assert set(before[:manifest]) >= {
        *(("fsync", f"{half}/{name}") for name in ("a/b/1", "a/2", "3", "a/b", "a")),
        ("fsync", half),
        ("fsync", "main/dump"),
    }
    assert before[manifest - 1] == ("fsync", f"{half}/.tmp-manifest.json")
    assert before[manifest + 1 :] == [("fsync", half)]
    assert after == [("fsync", "main/dump")]


async def test_new_folders_are_on_the_disk_before_what_is_in_them(repository: Repository, calls: list[Event]) -> None:
    """The folder of a target that is new is synced into the repository, and that of a method into it."""
    async with repository.making(a_draft(target="shop")) as partial:
        made = [event for event in calls if event[0] == "fsync" and "toban" not in event[1]]
        assert made == [("fsync", "."), ("fsync", "shop"), ("fsync", "shop/dump")]
        (partial.place / "a").write_bytes(b"x")
        await partial.finish(partial.draft)


async def test_marks_are_replaced_whole(repository: Repository, make: Make, calls: list[Event]) -> None:
    """New marks are on the disk before they have their name, and the name is before anybody is told."""
    record = await make()
    calls.clear()
    await repository.mark(record, lambda marks: replace(marks, pinned="x"))
    place = f"main/dump/{ID}"
    assert [event for event in calls if event[1].startswith("main")] == [
        ("fsync", f"{place}/.tmp-marks.json"),
        ("replace", f"{place}/marks.json"),
        ("fsync", place),
    ]


async def test_removed_backup_loses_its_name_first(
    repository: Repository, make: Make, calls: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other name is on the disk before the first file goes: a crash in between leaves no backup with holes."""
    record = await make()
    calls.clear()
    genuine = os.unlink

    def unlink(path: str | Path, *, dir_fd: int | None = None) -> None:
        calls.append(("unlink", str(path) if dir_fd is not None else os.path.relpath(path, repository.root)))
        genuine(path, dir_fd=dir_fd)

    monkeypatch.setattr(os, "unlink", unlink)
    await repository.remove(record, "too old")
    removing = [event for event in calls if "toban" not in event[1]]
    assert removing[:2] == [("rename", f"main/dump/{ID}.removing"), ("fsync", "main/dump")]
    assert sorted(removing[2:4]) == [("unlink", "1-app.dump"), ("unlink", "manifest.json")]
    assert removing[4] == ("fsync", "main/dump")


async def test_slow_disk_holds_up_nobody_else(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the disk takes its time to sync, the loop goes on: here it must, or the sync would never end."""
    genuine, turned = os.fsync, threading.Event()

    def slow(handle: int) -> None:
        assert turned.wait(60), "the loop stood still"
        genuine(handle)

    async def turn() -> None:
        for _ in range(3):
            await asyncio.sleep(0.001)
        turned.set()

    monkeypatch.setattr(os, "fsync", slow)

    async def meanwhile(work: Awaitable[T]) -> T:
        turned.clear()
        turning = asyncio.create_task(turn())
        done = await work
        await turning
        return done

    record = await meanwhile(make())
    record = await meanwhile(repository.mark(record, lambda marks: replace(marks, pinned="x")))
    await meanwhile(repository.remove(record, "x"))


async def test_stopped_in_the_middle_of_a_slow_rename_waits_for_it(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A SIGTERM during the rename finds either a whole backup or none, never one that was both made and denied."""
    genuine, begun, go = durable.rename_durably, asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slow(old: Path, new: Path) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(60)
        genuine(old, new)

    monkeypatch.setattr(partials, "rename_durably", slow)

    async def made() -> None:
        async with repository.making(a_draft()) as partial:
            (partial.place / "a").write_bytes(b"x")
            await partial.finish(partial.draft)

    task = asyncio.create_task(made())
    await begun.wait()
    task.cancel()
    await asyncio.sleep(0.01)
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    (record,) = repository.records()
    folder = repository.root / "main" / "dump"
    if record.status is Status.OK:
        assert [path.name for path in folder.iterdir()] == [ID]
    else:
        assert (record.status, list(folder.iterdir())) == (Status.FAILED, [])
