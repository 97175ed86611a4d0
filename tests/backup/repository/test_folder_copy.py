import asyncio
import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository.copies import archive, folder
from backup.repository.copies.contract import Copy, is_archived
from backup.repository.copies.opening import copy_of
from backup.repository.repository import Repository
from backup.settings import Copy as Settings
from tests.backup.repository.builders import a_base, unheard
from tests.backup.repository.conftest import Make
from tests.builders import START
from toban.backups import Check, Progress, Status, Trouble, Verification

SEGMENT = "000000010000000000000001"


def archived(repository: Repository, **files: bytes) -> Path:
    """WAL in the repository; a file's name without its kind begins with `wal`."""
    place = repository.wal_place("main")
    place.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (place / name).write_bytes(content)
    return place


async def test_folder_copy_is_a_repository_of_its_own(
    nas: Copy, repository: Repository, make: Make, around: Surroundings, tmp_path: Path
) -> None:
    """A backup pushed there is listed, checked and read with nothing but that folder; progress is told."""
    record = await make(**{"d/表": b"x" * 1000, "e": b""})
    heard: list[Progress] = []
    await nas.push(record, heard.append)
    assert heard[-1] == Progress(phase="copy", done_bytes=1000, total_bytes=1000, what="e")
    there = Repository(tmp_path / "nas", around=around)
    await there.open(create=False)
    (found,) = there.records()
    assert (found.manifest, found.status) == (record.manifest, Status.OK)
    assert all(check.ok for check in await there.check_files(found, unheard))
    assert await nas.records() == (found,)


async def test_folder_copy_takes_what_a_backup_builds_on(nas: Copy, make: Make) -> None:
    """An incremental backup is of no use without its parents: they go first."""
    full = await make(a_base(at=START))
    daily = await make(a_base("daily", at=START + 10, parent=full.id))
    await nas.push(daily, unheard)
    assert [record.id for record in await nas.records()] == [daily.id, full.id]


async def test_folder_copy_learns_what_became_known(nas: Copy, repository: Repository, make: Make) -> None:
    """Pushed again, a backup is not sent twice, but what is known of it is."""
    record = await make()
    await nas.push(record, unheard)
    verified = Verification(at=START, checks=(Check(name="sha256", ok=True),))
    record = await repository.mark(record, lambda marks: replace(marks, verification=verified, copies={"nas": START}))
    heard: list[Progress] = []
    await nas.push(record, heard.append)
    assert heard == []
    assert (await nas.records())[0].marks == record.marks
    again = replace(verified, at=START + 60)
    record = await repository.mark(record, lambda marks: replace(marks, verification=again, pinned="audit"))
    await nas.push(record, unheard)
    marks = (await nas.records())[0].marks
    assert (marks.pinned, marks.verification) == ("audit", verified), "nobody has read it there since"


async def test_rotten_backup_is_not_copied(nas: Copy, repository: Repository, make: Make) -> None:
    """A file that is not what was written stops the copy; one that is known as damaged is not even begun."""
    record = await make()
    (Path(record.place) / "1-app.dump").write_bytes(b"y" * 24)
    with pytest.raises(BackupError, match=r"1-app\.dump is not what was written") as caught:
        await nas.push(record, unheard)
    assert caught.value.trouble is Trouble.DAMAGED
    assert await nas.records() == ()
    failed = Verification(at=START, checks=(Check(name="sha256", ok=False, detail="bad"),))
    record = await repository.mark(record, lambda marks: replace(marks, verification=failed))
    with pytest.raises(BackupError, match="is damaged here, and is not copied: its verification failed: sha256: bad"):
        await nas.push(record, unheard)


async def test_folder_copy_brings_back_what_was_lost(nas: Copy, repository: Repository, make: Make) -> None:
    """A backup removed here, with its parent, comes back whole; a damaged one here is not written over."""
    full = await make(a_base(at=START))
    daily = await make(a_base("daily", at=START + 10, parent=full.id))
    await nas.push(daily, unheard)
    for record in (daily, full):
        await repository.remove(record, "by mistake")
    newest = (await nas.records())[0]
    assert await nas.pull(newest, unheard) == daily
    assert repository.records() == (daily, full)
    assert await nas.pull(newest, unheard) == daily
    (Path(daily.place) / "manifest.json").write_text("{}")
    with pytest.raises(BackupError, match=r"another backup of that id is in .* already"):
        await nas.pull(newest, unheard)
    await repository.remove(daily, "damaged")
    daily = await nas.pull(newest, unheard)
    failed = Verification(at=START, checks=(Check(name="sha256", ok=False, detail="bad"),))
    await repository.mark(daily, lambda marks: replace(marks, verification=failed))
    with pytest.raises(BackupError, match="is damaged: its verification failed") as caught:
        await nas.pull(newest, unheard)
    assert caught.value.hint == "remove that one first"


async def test_folder_copy_removes_and_sweeps(nas: Copy, make: Make, tmp_path: Path) -> None:
    """It lets go of backups by itself, and of what a copy that was killed left there."""
    record = await make()
    await nas.push(record, unheard)
    (there,) = await nas.records()
    await nas.remove(there, "kept for a week there")
    assert await nas.records() == ()
    (tmp_path / "nas" / "main" / "dump" / f"{record.id}.partial").mkdir()
    assert len(await nas.sweep()) == 1
    assert await nas.records() == ()


async def test_copy_stopped_in_the_middle_is_none(nas: Copy, make: Make, tmp_path: Path) -> None:
    """Cancelled while files are sent, nothing of it stays there."""
    record = await make(a=b"x" * 100, b=b"y" * 100)

    def stop(progress: Progress) -> None:
        if progress.what == "b":
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await nas.push(record, stop)
    assert list((tmp_path / "nas" / "main" / "dump").iterdir()) == []
    await nas.push(record, unheard)
    assert len(await nas.records()) == 1


async def test_folder_copy_that_is_not_mounted_is_not_begun_anew(
    nas: Copy, repository: Repository, around: Surroundings, tmp_path: Path
) -> None:
    """An empty mount point, a missing folder and another repository are told from the copy that was there."""
    settings = Settings(name="nas", path=tmp_path / "nas")
    (tmp_path / "nas").rename(tmp_path / "away")
    with pytest.raises(BackupError, match="copy nas: there is no such folder") as caught:
        await copy_of(settings, repository).open()
    assert caught.value.hint.startswith("is its disk mounted?")
    (tmp_path / "nas").mkdir()
    with pytest.raises(BackupError, match=r"is no repository: it has no repository.json"):
        await copy_of(settings, repository).open()
    await Repository(tmp_path / "nas", around=around).open()
    with pytest.raises(BackupError, match="is another repository than it was") as caught:
        await copy_of(settings, repository).open()
    assert caught.value.trouble is Trouble.REPOSITORY
    (repository.root / ".toban" / "copies" / "nas.json").unlink()
    await copy_of(settings, repository).open()


def an_identity(system: str) -> bytes:
    """Whose a place for WAL is."""
    return json.dumps({"system_identifier": system, "segment_bytes": 16777216}).encode()


def test_copy_within_the_repository_is_none(repository: Repository, tmp_path: Path) -> None:
    """A second place that goes with the first is none."""
    for path in (repository.root, repository.root / "copy", tmp_path):
        with pytest.raises(BackupError, match="lies in the repository itself") as caught:
            copy_of(Settings(name="nas", path=path), repository)
        assert caught.value.trouble is Trouble.CONFIGURATION


async def test_folder_copy_takes_the_archived_wal(nas: Copy, repository: Repository, tmp_path: Path) -> None:
    """Segments, histories and the identity go there once each; what is still being written does not."""
    place = archived(
        repository,
        **{
            SEGMENT: b"a",
            "000000010000000000000002.zst.age": b"b",
            "00000002.history": b"c",
            "000000010000000000000001.00000028.backup": b"d",
            "identity.json": an_identity("1"),
            "000000010000000000000003.partial": b"f",
            "000000010000000000000003.gz.partial": b"f",
            "000000010000000000000004.push": b"f",
            ".hidden": b"g",
        },
    )
    assert await nas.push_wal("main", unheard) == 5
    assert await nas.push_wal("main", unheard) == 0
    there = tmp_path / "nas" / "main" / "wal"
    sizes = dict.fromkeys(sorted(path.name for path in there.iterdir()), 1)
    assert await nas.wal("main") == {**sizes, "identity.json": len(an_identity("1"))}
    assert (there / SEGMENT).read_bytes() == b"a"
    (place / SEGMENT).write_bytes(b"longer")
    with pytest.raises(BackupError, match=f"1 of its files are there with another size, as {SEGMENT}") as caught:
        await nas.push_wal("main", unheard)
    assert caught.value.trouble is Trouble.DAMAGED
    assert (there / SEGMENT).read_bytes() == b"a"
    assert await nas.push_wal("shop", unheard) == 0


async def test_folder_copy_gives_wal_back(nas: Copy, repository: Repository) -> None:
    """All of it or some by name; what is there already is left, and what nobody has is said."""
    other = "000000010000000000000002"
    place = archived(repository, **{SEGMENT: b"a", other: b"b"})
    await nas.push_wal("main", unheard)
    for name in (SEGMENT, other):
        (place / name).unlink()
    assert await nas.pull_wal("main", [other], unheard) == 1
    assert await nas.pull_wal("main", None, unheard) == 1
    assert [(place / name).read_bytes() for name in (SEGMENT, other)] == [b"a", b"b"]
    with pytest.raises(BackupError, match="1 of the files asked for are not there, as 00000009"):
        await nas.pull_wal("main", ["000000090000000000000001"], unheard)
    assert await nas.remove_wal("main", [SEGMENT, "../../repository.json", "000000090000000000000001"]) == 1
    assert list(await nas.wal("main")) == [other]
    assert await nas.remove_wal("main", []) == 0


def test_archived_file_appears_whole_and_over_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where files have one name only; a file that is there is never replaced."""
    unfinished = archive.begin(tmp_path / "wal", SEGMENT)
    unfinished.write_bytes(b"new")
    (tmp_path / "wal" / SEGMENT).write_bytes(b"old")
    with pytest.raises(FileExistsError):
        archive.complete(unfinished, tmp_path / "wal" / SEGMENT)
    assert (tmp_path / "wal" / SEGMENT).read_bytes() == b"old"

    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(PermissionError):
        archive.complete(unfinished, tmp_path / "wal" / SEGMENT)
    (tmp_path / "wal" / SEGMENT).unlink()
    archive.complete(unfinished, tmp_path / "wal" / SEGMENT)
    assert [path.read_bytes() for path in (tmp_path / "wal").iterdir()] == [b"new"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(BackupError, match="Not a directory"):
        archive.archived(tmp_path / "file")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (SEGMENT, True),
        (f"{SEGMENT}.zst.gpg", True),
        (f"{SEGMENT}.zst.age.sha256", True),
        ("00000002.history.gz", True),
        (f"{SEGMENT}.partial", False),
        (f"{SEGMENT}.12.tmp", False),
        ("notes.txt", False),
        (f"{SEGMENT}0", False),
    ],
)
def test_archived_files_are_known_by_their_names(name: str, *, is_one: bool) -> None:
    """What belongs to the archive, and what does not."""
    assert is_archived(name) is is_one


async def test_copies_that_fail_say_where(
    nas: Copy, repository: Repository, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full or broken second place is named, and nothing of it is the repository's fault."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    record = await make()
    archived(repository, **{SEGMENT: b"a"})
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for work in (nas.push(record, unheard), nas.push_wal("main", unheard)):
            with pytest.raises(BackupError, match=f"{tmp_path}/nas.*: No space left on device") as caught:
                await work
            assert caught.value.trouble is Trouble.SPACE
    assert await nas.records() == ()
    assert await nas.wal("main") == {}
    assert [one.status for one in repository.records()] == [Status.OK]


async def test_copy_that_cannot_be_remembered_is_said(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a note of which repository the copy was, an empty mount point would be taken for it."""

    def refused(*_: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(folder, "write_durably", refused)
    with pytest.raises(BackupError, match="Read-only file system"):
        await copy_of(Settings(name="nas", path=tmp_path / "nas"), repository).open()
