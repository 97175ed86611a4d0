"""Which place a copy is, and whose: an empty mount point, and what is another repository's, are none of ours."""

import shutil
from pathlib import Path

import pytest

from backup.children import Command
from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository.copies.contract import Copy
from backup.repository.copies.opening import copy_of
from backup.repository.copies.store import Store
from backup.repository.memory import Memory
from backup.repository.repository import Repository
from backup.settings import Copy as Settings
from tests.backup.repository.builders import unheard
from tests.backup.repository.conftest import Make
from tests.backup.repository.test_folder_copy import SEGMENT, an_identity, archived
from tests.mounts import read_only
from toban.backups import Trouble


async def test_folder_copy_is_remembered_beside_the_state_too(
    repository: Repository, around: Surroundings, tmp_path: Path
) -> None:
    """The disk with the repository is lost, and the copy is not mounted: neither is filled with the other's backups."""
    settings, memory = Settings(name="nas", path=tmp_path / "nas"), Memory.beside(tmp_path / "state.db")
    await copy_of(settings, await remembering(repository.root, around, memory)).open()
    (tmp_path / "nas").rename(tmp_path / "away")
    (tmp_path / "nas").mkdir()
    repository.root.rename(tmp_path / "lost")
    memory.path.unlink()
    fresh = await remembering(repository.root, around, memory)
    with pytest.raises(BackupError, match=r"copy nas: is no repository: it has no repository.json") as caught:
        await copy_of(settings, fresh).open()
    note = repository.root / ".toban" / "copies" / "nas.json"
    mend = f"rm -f {note} {tmp_path}/state.nas.repository"
    assert (caught.value.trouble, caught.value.hint) == (
        Trouble.REPOSITORY,
        f"is its disk mounted? if it is meant to begin anew: {mend}",
    )
    assert list((tmp_path / "nas").iterdir()) == []
    (tmp_path / "state.nas.repository").unlink()
    await copy_of(settings, fresh).open()


async def remembering(root: Path, around: Surroundings, memory: Memory) -> Repository:
    """A repository whose copies are remembered."""
    made = Repository(root, around=around, memory=memory)
    await made.open()
    return made


async def test_folder_copy_whose_note_cannot_be_read_is_not_begun_anew(
    nas: Copy, repository: Repository, tmp_path: Path
) -> None:
    """What it was is not known: that is not the same as that it never was."""
    note = repository.root / ".toban" / "copies" / "nas.json"
    note.write_bytes(b"")
    with pytest.raises(BackupError, match="copy nas: which one it was cannot be read") as caught:
        await copy_of(Settings(name="nas", path=tmp_path / "nas"), repository).open()
    assert (caught.value.trouble, caught.value.hint) == (Trouble.REPOSITORY, f"if it is the right one: rm {note}")


async def test_folder_copy_of_another_repository_is_only_read(
    nas: Copy, make: Make, around: Surroundings, tmp_path: Path
) -> None:
    """Two servers with one configuration: the second lets go of nothing of the first's, and mixes no WAL."""
    record = await make()
    await nas.push(record, unheard)
    second = Repository(tmp_path / "second", around=around)
    await second.open()
    copy = copy_of(Settings(name="nas", path=tmp_path / "nas"), second)
    await copy.open()
    (there,) = await copy.records()
    mend = ""
    for work in (
        copy.push(record, unheard),
        copy.remove(there, "too old"),
        copy.sweep(),
        copy.push_wal("main", unheard),
        copy.remove_wal("main", [SEGMENT]),
    ):
        with pytest.raises(BackupError, match="holds the copies of another repository") as caught:
            await work
        assert caught.value.trouble is Trouble.CONFIGURATION
        mend = caught.value.hint.partition("for good: ")[2]
    assert (await copy.pull(there, unheard)).id == record.id
    done = await around.children.run(Command(words=("/bin/sh", "-c", mend)), within_seconds=60)
    assert done.ok
    await copy.open()
    await copy.remove(there, "too old")


async def test_repository_of_somebody_is_no_copy_of_ours(
    repository: Repository, make: Make, around: Surroundings, tmp_path: Path
) -> None:
    """Named by mistake, its backups would go by our retention; a copy of ours made by hand is taken as it is."""
    record = await make()
    theirs = Repository(tmp_path / "theirs", around=around)
    await theirs.open()
    other = await make(into=theirs)
    copy = copy_of(Settings(name="x", path=theirs.root), repository)
    await copy.open()
    with pytest.raises(BackupError, match=r"holds the copies of another repository \(it does not say which\)"):
        await copy.remove(other, "too old")
    shutil.copytree(repository.root, tmp_path / "seeded")
    seeded = copy_of(Settings(name="seeded", path=tmp_path / "seeded"), repository)
    await seeded.open()
    await seeded.push(record, unheard)


@pytest.mark.integration
async def test_folder_copy_that_is_read_only_gives_back_and_says_why_it_takes_nothing(
    nas: Copy, repository: Repository, make: Make, tmp_path: Path
) -> None:
    """Mounted so for safety while something is brought back; writable again, it takes what is sent."""
    record = await make()
    await nas.push(record, unheard)
    await repository.remove(record, "by mistake")
    with read_only(tmp_path / "nas"):
        copy = copy_of(Settings(name="nas", path=tmp_path / "nas"), repository)
        await copy.open()
        assert await copy.pull((await copy.records())[0], unheard) == record
        with pytest.raises(BackupError, match="Read-only file system"):
            await copy.push(record, unheard)
    await copy.open()
    assert await copy.sweep() == ()


async def test_folder_copy_that_goes_away_takes_no_wal(nas: Copy, repository: Repository, tmp_path: Path) -> None:
    """Unmounted between two looks: all of the archive would go to the disk below."""
    archived(repository, **{SEGMENT: b"a"})
    (tmp_path / "nas").rename(tmp_path / "away")
    (tmp_path / "nas").mkdir()
    with pytest.raises(BackupError, match="is no repository"):
        await nas.push_wal("main", unheard)
    assert list((tmp_path / "nas").iterdir()) == []


async def test_wal_of_another_server_is_not_mixed_in(nas: Copy, repository: Repository) -> None:
    """A cluster made anew under the same name begins with the same segments."""
    place = archived(repository, **{SEGMENT: b"a", "identity.json": an_identity("1")})
    await nas.push_wal("main", unheard)
    (place / "identity.json").write_bytes(an_identity("2"))
    (place / "000000010000000000000002").write_bytes(b"b")
    with pytest.raises(BackupError, match="is of the server 1, and ours is 2") as caught:
        await nas.push_wal("main", unheard)
    assert caught.value.trouble is Trouble.CONFIGURATION
    assert sorted(await nas.wal("main")) == [SEGMENT, "identity.json"]


@pytest.mark.integration
async def test_object_copy_of_another_repository_is_only_read(
    offsite: Copy, make: Make, around: Surroundings, bucket: Settings, tmp_path: Path
) -> None:
    """Two servers with one configuration: the second one's retention lets go of nothing of the first."""
    record = await make()
    await offsite.push(record, unheard)
    second = Repository(tmp_path / "second", around=around)
    await second.open()
    copy = copy_of(bucket, second)
    await copy.open()
    (there,) = await copy.records()
    for work in (
        copy.push(record, unheard),
        copy.remove(there, "too old"),
        copy.sweep(),
        copy.push_wal("main", unheard),
        copy.remove_wal("main", [SEGMENT]),
    ):
        with pytest.raises(BackupError, match="copy offsite: holds the copies of another repository") as caught:
            await work
        assert caught.value.trouble is Trouble.CONFIGURATION
    assert (await copy.pull(there, unheard)).id == record.id
    await Store.of(bucket).delete(["repository.json"])
    await copy.open()
    await copy.remove(there, "too old")


@pytest.mark.integration
async def test_wal_of_another_server_is_not_mixed_in_there(offsite: Copy, repository: Repository) -> None:
    """A cluster made anew under the same name begins with the same segments."""
    place = archived(repository, **{SEGMENT: b"a", "identity.json": an_identity("1")})
    await offsite.push_wal("main", unheard)
    (place / "identity.json").write_bytes(an_identity("2"))
    (place / "000000010000000000000002").write_bytes(b"b")
    with pytest.raises(BackupError, match="the WAL of main there is of another server"):
        await offsite.push_wal("main", unheard)
    assert sorted(await offsite.wal("main")) == [SEGMENT, "identity.json"]
