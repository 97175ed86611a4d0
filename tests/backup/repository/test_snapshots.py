"""Backups of files in a copy: their snapshot goes first, in the target's turn, and what has gone is let go after it."""

from pathlib import Path

import pytest

from backup.engines.contract import Surroundings, Tell
from backup.errors import BackupError
from backup.repository.copies import folder
from backup.repository.copies.contract import Copy
from backup.repository.copies.opening import copy_of
from backup.repository.repository import Repository
from backup.settings import Copy as Settings
from tests.backup.repository.builders import a_draft, unheard
from tests.backup.repository.conftest import Make
from toban.backups import BackupRecord, Manifest, Method, Trouble
from toban.secrets import Secret


def etc() -> Manifest:
    """What is known of a backup of folders before it is made."""
    return a_draft("etc", target="host", kind="host", method=Method.FILES, engine="files")


async def test_folder_copy_takes_the_snapshot_of_files_before_what_looks_like_a_backup(
    nas: Copy, make: Make, around: Surroundings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody else lets snapshots go meanwhile; those whose backups have gone go last."""
    record, password, done = await make(etc()), Secret("geheim"), list[tuple[str, int]]()
    there = Repository(tmp_path / "nas", around=around)

    async def carried(one: BackupRecord, into: Path, _: Surroundings, tell: Tell, secret: Secret | None) -> None:
        assert (one, into, tell, secret) == (record, tmp_path / "nas" / "host" / "files", unheard, password)
        done.append(("carried", len(await nas.records())))
        with pytest.raises(BackupError) as busy:
            async with there.turn("host", "letting go"):
                pass
        assert busy.value.trouble is Trouble.BUSY

    async def forgotten(one: BackupRecord, shelf: Path, _: Surroundings, secret: Secret | None) -> int:
        assert (one.id, Path(one.place).parent, shelf, secret) == (record.id, shelf, shelf, password)
        done.append(("forgotten", len(await nas.records())))
        return 0

    monkeypatch.setattr(folder, "carried", carried)
    monkeypatch.setattr(folder, "forgotten", forgotten)
    await there.open(create=False)
    await nas.push(record, unheard, password)
    assert done == [("carried", 0), ("forgotten", 1)]


async def test_folder_copy_gives_the_snapshot_of_files_back_first(
    nas: Copy, repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Into restic's repository beside the backups here."""
    record, done = await make(etc()), list[tuple[Path, int]]()

    async def carried(one: BackupRecord, into: Path, *_: object) -> None:
        assert one.id == record.id
        done.append((into, len(repository.records())))

    async def forgotten(*_: object) -> int:
        return 0

    monkeypatch.setattr(folder, "carried", carried)
    monkeypatch.setattr(folder, "forgotten", forgotten)
    await nas.push(record, unheard)
    await repository.remove(record, "a test")
    (there,) = await nas.records()
    assert (await nas.pull(there, unheard)).manifest == record.manifest
    assert done[1:] == [(repository.root / "host" / "files", 0)]


async def test_object_copy_takes_no_snapshots(repository: Repository, make: Make) -> None:
    """It is said, and nothing is sent that would look like a backup."""
    far = copy_of(Settings(name="far", url="s3://bucket/x", options={"region": "us-east-1"}), repository)
    with pytest.raises(BackupError, match="does not go to far") as refused:
        await far.push(await make(etc()), unheard)
    assert refused.value.trouble is Trouble.CONFIGURATION
