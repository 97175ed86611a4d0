"""Which repository was there before: an empty mount point is no place for a new one."""

import json
import shutil
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository.memory import Memory
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft
from toban.backups import Trouble


def a_memory(tmp_path: Path) -> Memory:
    """Beside a state."""
    return Memory.beside(tmp_path / "state.db")


async def opened(root: Path, around: Surroundings, memory: Memory) -> Repository:
    """As a daemon does that has just begun."""
    repository = Repository(root, around=around, memory=memory)
    await repository.open()
    return repository


async def test_empty_mount_point_gets_no_new_repository(tmp_path: Path, around: Surroundings) -> None:
    """Whether it is empty or not even there; until somebody removes the memory."""
    root, memory = tmp_path / "disk", a_memory(tmp_path)
    first = await opened(root, around, memory)
    assert memory.path == tmp_path / "state.repository"
    assert json.loads(memory.path.read_text()) == {"repository": str(root), "identity": first.identity}
    shutil.move(root, tmp_path / "elsewhere")
    for _ in range(2):
        with pytest.raises(BackupError, match="there was a repository before") as refused:
            await opened(root, around, memory)
        assert refused.value.trouble is Trouble.REPOSITORY
        assert f"rm {memory.path}" in refused.value.hint
        assert not list(root.glob("*"))
        root.mkdir(exist_ok=True)
    memory.path.unlink()
    assert (await opened(root, around, memory)).identity != first.identity


async def test_repository_that_is_back_is_the_same(tmp_path: Path, around: Surroundings) -> None:
    """And another disk with a repository of its own is taken as it is."""
    root, memory = tmp_path / "disk", a_memory(tmp_path)
    first = await opened(root, around, memory)
    assert (await opened(root, around, memory)).identity == first.identity
    shutil.move(root, tmp_path / "elsewhere")
    other = Repository(root, around=around)
    await other.open()
    assert (await opened(root, around, memory)).identity == other.identity
    assert memory.identity(root) == other.identity


async def test_repository_that_lost_its_description_is_the_same_again(tmp_path: Path, around: Surroundings) -> None:
    """By what is remembered of it: to its copies another one would be a stranger."""
    root, memory = tmp_path / "disk", a_memory(tmp_path)
    first = await opened(root, around, memory)
    async with first.making(a_draft()) as partial:
        (partial.place / "a").write_bytes(b"x")
        await partial.finish(partial.draft)
    (root / "repository.json").unlink()
    assert (await opened(root, around, memory)).identity == first.identity


async def test_repository_opened_for_reading_can_be_written_to_later(tmp_path: Path, around: Surroundings) -> None:
    """And is not made anew where it is gone meanwhile."""
    await opened(tmp_path / "disk", around, a_memory(tmp_path))
    reader = Repository(tmp_path / "disk", around=around)
    await reader.open(create=False)
    (tmp_path / "disk").rename(tmp_path / "elsewhere")
    (tmp_path / "disk").mkdir()
    with pytest.raises(BackupError, match="is no repository"):
        await reader.open()
    (tmp_path / "disk").rmdir()
    (tmp_path / "elsewhere").rename(tmp_path / "disk")
    await reader.open()
    async with reader.making(a_draft()) as partial:
        (partial.place / "a").write_bytes(b"x")
        await partial.finish(partial.draft)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"repository": "/elsewhere", "identity": "x"}'])
async def test_memory_that_says_nothing_of_a_place_stands_in_nobodys_way(
    tmp_path: Path, around: Surroundings, content: bytes
) -> None:
    """Broken, or of another repository: it is written anew."""
    root, memory = tmp_path / "disk", a_memory(tmp_path)
    memory.path.write_bytes(content)
    found = await opened(root, around, memory)
    assert memory.identity(root) == found.identity


async def test_memory_that_cannot_be_written_is_done_without(tmp_path: Path, around: Surroundings) -> None:
    """A command of somebody who may not write beside the state."""
    memory = Memory(tmp_path / "absent" / "state.repository")
    await opened(tmp_path / "disk", around, memory)
    assert memory.identity(tmp_path / "disk") == ""
