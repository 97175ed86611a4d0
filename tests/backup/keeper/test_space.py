"""Room in the repository."""

import asyncio
import os
from pathlib import Path

import pytest

from backup.engines.contract import Estimate
from backup.errors import BackupError
from backup.settings import Encryption
from backup.space import Course, Room, lack_of_room, needed_bytes, room_of, watch
from tests.backup.keeper.conftest import Bench, attempts, run
from tests.backup.keeper.records import HOUR, a_record
from tests.builders import START
from toban.backups import Status, Trouble

GB = 1024**3


def test_backup_will_need_more_than_the_last_one_of_its_job() -> None:
    """By 1.3; or as much as the engine makes of the source, where that is more."""
    earlier = [a_record(status=Status.FAILED), a_record(size=100), a_record(size=900)]
    assert needed_bytes(Estimate(), earlier) == 130
    assert needed_bytes(Estimate(size_bytes=500, source_bytes=9000), earlier) == 500
    assert needed_bytes(Estimate(size_bytes=50), earlier) == 130


def test_size_of_the_source_counts_where_nothing_better_is_known() -> None:
    """And where nothing is known, nothing is claimed."""
    assert needed_bytes(Estimate(source_bytes=9000), []) == 9000
    assert needed_bytes(Estimate(), []) is None


@pytest.mark.parametrize(
    ("free", "needed", "why"),
    [
        (10 * GB, 9 * GB, ""),
        (10 * GB, None, ""),
        (10 * GB, 9 * GB + 1, "no space left: it needs about 9 GB, and of 10 GB free 1 GB are to stay free"),
        (GB // 2, None, "no space left: 512 MB free, of which 1 GB are to stay free"),
    ],
)
def test_what_would_touch_the_floor_is_not_begun(free: int, needed: int | None, why: str) -> None:
    """With the figures in a sentence."""
    assert lack_of_room(Room(free_bytes=free, total_bytes=20 * GB), needed, GB) == why


async def test_watch_ends_the_work_when_the_floor_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the disk's own figure that counts, whoever fills it."""
    monkeypatch.setattr("backup.space.WATCH_SECONDS", 0.001)
    rooms = [Room(free_bytes=free, total_bytes=100) for free in (30, 20, 9)]
    with pytest.raises(BackupError) as ended:
        await watch(Path("/"), 10, lambda _: rooms.pop(0))
    assert ended.value.trouble is Trouble.SPACE
    assert ended.value.why == "no space left: 9 B free, of which 10 B are to stay free"
    assert "backups.floor" in ended.value.hint
    assert rooms == []


async def test_sealing_is_ended_when_the_floor_is_reached(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once more as much is written then: a database on the same disk may not be left without room for that."""
    keeper = bench.keeper
    keeper.repository.encryption = Encryption(method="age", recipients=("x",))
    ended = asyncio.Event()

    async def passed(*_: object) -> None:
        pass

    async def filling(*_: object) -> None:
        bench.rooms[:] = [Room(free_bytes=GB // 2, total_bytes=10 * GB)]
        try:
            await asyncio.sleep(5)
        finally:
            ended.set()

    monkeypatch.setattr("backup.space.WATCH_SECONDS", 0.001)
    monkeypatch.setattr("backup.repository.repository.try_out", passed)
    monkeypatch.setattr("backup.repository.partials.seal", filling)
    with pytest.raises(BackupError, match="no space left") as caught:
        await run(bench)
    assert caught.value.trouble is Trouble.SPACE
    assert ended.is_set()
    assert [status for status, _, _ in await attempts(bench)] == [Status.FAILED]
    assert bench.names == set()


def test_room_is_what_the_file_system_says(tmp_path: Path) -> None:
    """What is free for us, not for root alone."""
    room, said = room_of(tmp_path), os.statvfs(tmp_path)
    assert room.total_bytes == said.f_blocks * said.f_frsize
    assert 0 < room.free_ratio <= 1
    assert Room(free_bytes=0, total_bytes=0).free_ratio == 0.0


def test_repository_that_grows_is_full_in_time() -> None:
    """A gigabyte an hour, with 48 left: two days."""
    course = Course()
    for hour in range(120):
        course.note(START + hour * HOUR, Room(free_bytes=(167 - hour) * GB, total_bytes=200 * GB))
    left = course.full_in_seconds(Room(free_bytes=48 * GB, total_bytes=200 * GB))
    assert left == pytest.approx(48 * HOUR)


def test_repository_that_does_not_grow_is_never_full() -> None:
    """Then there is no value, as while nobody can tell yet."""
    course, room = Course(), Room(free_bytes=50 * GB, total_bytes=200 * GB)
    assert course.full_in_seconds(room) is None
    for hour in range(120):
        course.note(START + hour * HOUR, room)
    assert course.full_in_seconds(room) is None


def test_clock_that_was_set_back_begins_a_new_course() -> None:
    """What lies in the future tells nothing of the growth."""
    course = Course()
    for hour in range(120):
        course.note(START + hour * HOUR, Room(free_bytes=(167 - hour) * GB, total_bytes=200 * GB))
    course.note(START, Room(free_bytes=48 * GB, total_bytes=200 * GB))
    assert course.full_in_seconds(Room(free_bytes=48 * GB, total_bytes=200 * GB)) is None
