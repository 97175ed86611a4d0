"""Time and room: enough before it begins, and an end when they are used up."""

import asyncio
from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.proof import room
from backup.proof.room import bounded, enough, needed_by
from backup.space import Room
from tests.backup.proof.scenes import a_record
from toban.backups import Trouble

GIGABYTE = 1024**3


def free(gigabytes: float) -> Room:
    """A disk with so much left."""
    return Room(free_bytes=int(gigabytes * GIGABYTE), total_bytes=100 * GIGABYTE)


def test_need_is_what_the_way_back_says_else_by_the_source() -> None:
    """A tenth is added to the source, for what is built beside it; nobody knows without either."""
    assert needed_by(a_record(source_bytes=1000).manifest, 5) == 5
    assert needed_by(a_record(source_bytes=1000).manifest, None) == 1100
    assert needed_by(a_record().manifest, None) is None


def test_room_is_enough_when_the_floor_stays_free() -> None:
    """Three gigabytes take two and leave one."""
    assert enough(free(3), 2 * GIGABYTE, GIGABYTE).ok is True
    assert enough(free(2.9), 2 * GIGABYTE, GIGABYTE).ok is False
    assert enough(free(3), 2 * GIGABYTE, GIGABYTE).detail == "it takes about 2 GB, and 1 GB stay free; 3 GB are free"
    assert enough(free(1), None, GIGABYTE).ok is True
    assert enough(free(0.5), None, GIGABYTE).ok is False


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks as often as it can."""
    monkeypatch.setattr(room, "WATCH_SECONDS", 0.001)


@pytest.mark.usefixtures("quick")
async def test_work_is_ended_when_the_disk_is_nearly_full(tmp_path: Path) -> None:
    """The floor is reached while it goes on."""
    seen = iter([free(3), free(2), *[free(0.5)] * 1000])
    with pytest.raises(BackupError) as caught:
        async with bounded(tmp_path, within_seconds=60, floor=GIGABYTE, look=lambda _: next(seen)):
            await asyncio.sleep(3600)
    assert caught.value.trouble is Trouble.SPACE
    assert caught.value.why == "no space left: 512 MB free, and 1 GB are to stay free"


async def test_work_is_ended_when_its_time_is_over(tmp_path: Path) -> None:
    """And says which setting it was."""
    with pytest.raises(BackupError) as caught:
        async with bounded(tmp_path, within_seconds=0.01, look=lambda _: free(9)):
            await asyncio.sleep(3600)
    assert caught.value.trouble is Trouble.TIMEOUT
    assert "see backups.proof.timeout" in caught.value.reason


async def test_work_that_ends_itself_is_left_alone(tmp_path: Path) -> None:
    """What it raises is its own, also when that is a time limit of its own."""
    async with bounded(tmp_path, within_seconds=60, look=lambda _: free(9)):
        pass
    with pytest.raises(TimeoutError):
        async with bounded(tmp_path, within_seconds=60, look=lambda _: free(9)):
            raise TimeoutError
