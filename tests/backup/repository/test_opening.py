"""Opening a repository: which folder may become one, by whom it is described, and whose it is taken for."""

import asyncio
import json
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository import description, durable
from backup.repository.repository import Repository
from tests.backup.repository.conftest import Make
from toban.backups import Trouble


async def test_other_repository_in_the_same_place_is_noticed(
    repository: Repository, make: Make, around: Surroundings, tmp_path: Path
) -> None:
    """Another disk mounted in its place is not taken for it."""
    await make()
    repository.root.rename(tmp_path / "away")
    await Repository(repository.root, around=around).open()
    with pytest.raises(BackupError, match="is another repository than it was when it was opened"):
        repository.records()


async def test_repository_that_lost_its_description_is_read_and_mended(
    repository: Repository, make: Make, around: Surroundings
) -> None:
    """Its one file removed, emptied or spoilt, its backups are there all the same; the next to write describes it."""
    record = await make()
    path = repository.root / "repository.json"
    for content in (None, b"", b"{", b"[]", b'{"format": 1}'):
        path.unlink()
        if content is not None:
            path.write_bytes(content)
        reader = Repository(repository.root, around=around)
        await reader.open(create=False)
        assert reader.records() == (record,)
        assert repository.records() == (record,)
        mended = Repository(repository.root, around=around)
        await mended.open()
        assert json.loads(path.read_text())["identity"] == mended.identity
        repository.identity = mended.identity
    assert len(list(repository.root.glob("repository.json.broken-*"))) == 4, "what was there is kept"


@pytest.mark.parametrize(
    ("prepare", "why", "trouble"),
    [
        (lambda root: (root / "thesis.doc").write_text("x"), "holds other things", Trouble.CONFIGURATION),
        (
            lambda root: (root / "repository.json").write_text('{"format": 2, "identity": "x"}'),
            "is of format 2, and this version of Toban knows 1",
            Trouble.REPOSITORY,
        ),
    ],
)
async def test_folder_that_is_no_repository_of_ours_is_left_alone(
    tmp_path: Path, around: Surroundings, prepare: Callable[[Path], object], why: str, trouble: Trouble
) -> None:
    """Somebody's documents, and the repository of a newer Toban, are not written to."""
    root = tmp_path / "r"
    root.mkdir()
    prepare(root)
    before = sorted(path.name for path in root.iterdir())
    with pytest.raises(BackupError, match=why) as caught:
        await Repository(root, around=around).open()
    assert caught.value.trouble is trouble
    assert sorted(path.name for path in root.iterdir()) == before


async def test_two_that_open_a_new_repository_at_once_open_the_same(
    tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both find nothing there; who comes second takes the identity of the first, and neither is told of another."""
    barrier, genuine = threading.Barrier(2, timeout=60), durable.appear_durably

    def together(path: Path, content: bytes) -> None:
        barrier.wait()
        genuine(path, content)

    monkeypatch.setattr(description, "appear_durably", together)
    both = [Repository(tmp_path / "r", around=around) for _ in range(2)]
    await asyncio.gather(*(one.open() for one in both))
    assert (
        both[0].identity == both[1].identity == json.loads((tmp_path / "r" / "repository.json").read_text())["identity"]
    )
    assert [one.records() for one in both] == [(), ()]
    assert sorted(path.name for path in (tmp_path / "r").iterdir()) == [".toban", "repository.json"]


async def test_description_that_somebody_has_just_mended_is_not_set_aside(
    repository: Repository, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two find it spoilt; who comes second finds it mended."""
    path, genuine = repository.root / "repository.json", description._begun
    content = path.read_bytes()
    path.write_bytes(b"{")

    def late(root: Path, now: float, before: str) -> str:
        path.write_bytes(content)
        return genuine(root, now, before)

    monkeypatch.setattr(description, "_begun", late)
    second = Repository(repository.root, around=around)
    await second.open()
    assert second.identity == repository.identity
    assert not list(repository.root.glob("*.broken-*"))


async def test_first_opening_that_was_killed_is_done_again(tmp_path: Path, around: Surroundings) -> None:
    """What it was writing stands in nobody's way."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / ".tmp-1-0a1b2c3d-repository.json").write_bytes(b"{")
    repository = Repository(tmp_path / "r", around=around)
    await repository.open()
    assert repository.records() == ()


async def test_new_disk_may_become_a_repository(tmp_path: Path, around: Surroundings) -> None:
    """An empty folder, and a file system that is fresh, may; a folder that is not there is made with those above."""
    (tmp_path / "fresh" / "lost+found").mkdir(parents=True)
    for root in (tmp_path / "fresh", tmp_path / "a" / "b" / "c"):
        repository = Repository(root, around=around)
        await repository.open()
        await repository.open()
        assert repository.records() == ()


async def test_file_in_the_way_of_the_repository_is_said(tmp_path: Path, around: Surroundings) -> None:
    """A path that leads through a file is no crash."""
    (tmp_path / "file").write_text("x")
    for create in (True, False):
        with pytest.raises(BackupError, match=r"Not a directory|File exists|no such folder") as caught:
            await Repository(tmp_path / "file" / "r", around=around).open(create=create)
        assert caught.value.trouble is Trouble.REPOSITORY
