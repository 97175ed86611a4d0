"""What is read out of real WAL: the map of moments."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.chain import Position, leads
from backup.wal.listing import look
from backup.wal.manner import Manner
from backup.wal.moments import Moments
from backup.wal.reading import last_commit
from tests.backup.wal.places import PLAIN, SEGMENT_BYTES
from tests.backup.wal.test_chain import a_listing
from tests.backup.wal.written import Written, a_base
from toban.backups import GapKind, Status, Trouble

pytestmark = pytest.mark.integration
ZSTD = Manner(compress="zstd:1")
LZ4 = Manner(compress="lz4:1")
GZIP = Manner(compress="gzip:1")


async def test_moments_reach_to_the_last_commit_that_the_wal_leads_to(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """From each backup; before a hole the way ends, behind it one begins with the next backup."""
    place = written.into(tmp_path, ZSTD, without=(3,))
    moments = Moments("main", place, ZSTD, around)
    early = a_base(written, number=0, finished_at=written.times[0] - 1)
    late = a_base(written, number=4, finished_at=written.times[4] - 0.001)
    broken = a_base(written, number=5, finished_at=written.times[5], status=Status.DAMAGED)
    standing = await moments.standing([late, early, broken])
    assert [(one.timeline, one.backup, one.from_at) for one in standing.reachable] == [
        (1, "base-4", late.manifest.finished_at),
        (1, "base-0", early.manifest.finished_at),
    ]
    assert [one.to_at for one in standing.reachable] == pytest.approx([written.times[5], written.times[2]], abs=0.1)
    assert [(gap.kind, gap.segments) for gap in standing.gaps] == [(GapKind.LOST, 1)]
    assert len(standing.ranges) == 2
    assert standing.size_bytes == sum(path.stat().st_size for path in place.glob("*.zst"))
    assert standing.notes == ()


async def test_moments_remember_what_they_have_read(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment is read once, whoever asks how often."""
    moments = Moments("main", written.into(tmp_path), PLAIN, around)
    base = a_base(written, number=0, finished_at=written.times[0] - 1)
    first = await moments.standing([base])

    async def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("backup.wal.moments.last_commit", never)
    assert (await moments.standing([base])).reachable == first.reachable


async def test_moments_reach_into_the_segment_that_is_being_received(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """The latest seconds count: a restore to the latest moment has them too."""
    place = written.into(tmp_path, without=(5,))
    shutil.copyfile(written.folder / written.segments[5], place / f"{written.segments[5]}.partial")
    moments = Moments("main", place, PLAIN, around)
    standing = await moments.standing([a_base(written, number=0, finished_at=written.times[0] - 1)])
    assert [one.to_at for one in standing.reachable] == pytest.approx([written.times[5]], abs=0.1)
    assert [gap.kind for gap in standing.gaps] == [GapKind.UPLOADING]


async def test_moments_of_an_unfinished_segment_without_a_word_are_those_before(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """It was begun, and nothing stands in it; what was read of it before still holds while it cannot be read."""
    place = written.into(tmp_path, without=(5,))
    partial = place / f"{written.segments[5]}.partial"
    partial.write_bytes(bytes(SEGMENT_BYTES))
    moments = Moments("main", place, PLAIN, around)
    base = a_base(written, number=0, finished_at=written.times[0] - 1)
    (before,) = (await moments.standing([base])).reachable
    assert before.to_at == pytest.approx(written.times[4], abs=0.1)
    shutil.copyfile(written.folder / written.segments[5], partial)
    (after,) = (await moments.standing([base])).reachable
    assert after.to_at == pytest.approx(written.times[5], abs=0.1)
    with partial.open("ab") as file:
        file.truncate(16_384)
    (still,) = (await moments.standing([base])).reachable
    assert still.to_at == after.to_at


async def test_moments_are_never_promised_past_the_last_commit(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long load without any: a restore to a time after it ends before, and fails. What is remembered is bounded."""
    monkeypatch.setattr("backup.wal.moments.REMEMBERED", 1)
    place = written.into(tmp_path)
    moments = Moments("main", place, PLAIN, around)
    base = a_base(written, number=0, finished_at=written.times[0] - 1)

    async def none(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("backup.wal.moments.last_commit", none)
    (reachable,) = (await moments.standing([base])).reachable
    assert (reachable.from_at, reachable.to_at) == (base.manifest.finished_at, base.manifest.finished_at)
    assert len(moments._seen) == 1


@pytest.mark.parametrize(
    ("commits", "reads"), [({100}, 1), ({90}, 11), (set(range(1, 41)), 23), (set(range(1, 2)), 25), (set(), 19)]
)
async def test_last_commit_before_a_long_load_is_found_in_few_steps(
    commits: set[int], reads: int, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a hundred segments not all are read for it."""
    listing = a_listing(*((1, number) for number in range(1, 101)))
    (lead,) = leads(listing, 1, 16 * 1024**2)
    read: list[int] = []

    async def found(_: Moments, name: str) -> tuple[float, str] | None:
        read.append(int(name[16:], 16))
        return (float(read[-1]), "0/0") if read[-1] in commits else None

    monkeypatch.setattr(Moments, "_read", found)
    moments = Moments("main", tmp_path, PLAIN, around)
    assert await moments._reaches_at_least(listing, lead, []) == (max(commits) if commits else None)
    assert len(read) == reads
    assert await moments.reaches(listing, lead) == (max(commits) if commits else None)
    monkeypatch.setattr("backup.wal.moments.MOST_READ", 99)
    assert await moments.reaches(listing, lead) == (None if max(commits, default=1) == 1 else max(commits))


async def test_moments_of_a_backup_alone_are_its_own_end(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """No WAL is behind it; or that is another server's, or of after an upgrade, or begins behind a standby's end."""
    at = written.times[5]
    alone = a_base(written, number=5, finished_at=at)
    nothing = Moments("main", written.into(tmp_path, without=(0, 1, 2, 3, 4, 5)), PLAIN, around)
    standing = await nothing.standing([alone])
    assert [(one.from_at, one.to_at) for one in standing.reachable] == [(at, at)]
    assert standing.newest_at is None
    moments = Moments("main", written.into(tmp_path, without=(2,)), PLAIN, around)
    base = a_base(written, number=2, finished_at=written.times[2] - 1)
    foreign = replace(base, manifest=replace(base.manifest, system_identifier="42"))
    standby = replace(base, manifest=replace(base.manifest, detail={"from_standby": True}))
    standing = await moments.standing([base, foreign, standby])
    assert [one.to_at - one.from_at > 0.5 for one in standing.reachable] == [True, False, False]
    assert standing.notes == ("base-2 is of another server, or of before an upgrade: none of the WAL leads on from it",)


async def test_moments_go_on_over_a_base_behind_which_nothing_happened(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """The WAL leads on to it: no moment in between is missing, though none can be asked for."""
    moments = Moments("main", written.into(tmp_path), PLAIN, around)
    early = a_base(written, number=0, finished_at=written.times[0] - 1)
    late = a_base(written, number=5, finished_at=written.times[5] + 3600)
    behind, before = (await moments.standing([late, early])).reachable
    assert (behind.from_at, behind.to_at) == (late.manifest.finished_at, late.manifest.finished_at)
    assert before.to_at == pytest.approx(written.times[5], abs=0.1)
    assert before.unbroken_to == late.manifest.finished_at


async def test_moments_pass_over_a_segment_that_is_damaged(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """It is said, and the map reaches to what is before it."""
    place = written.into(tmp_path)
    (place / written.segments[5]).write_bytes(b"spoilt")
    (place / f"00000003{written.segments[5][8:]}").write_bytes(b"an orphan")
    moments = Moments("main", place, PLAIN, around)
    standing = await moments.standing([a_base(written, number=0, finished_at=written.times[0])], notes=["as told"])
    assert standing.notes[:2] == ("as told", "the history of timeline 3 is not there: nothing can be restored along it")
    assert "is no WAL of a PostgreSQL that is known here" in standing.notes[2]
    assert [one.to_at for one in standing.reachable] == pytest.approx([written.times[4]], abs=0.1)
    assert standing.map_whole
    assert len(standing.ranges) == 2


async def test_moments_that_nobody_here_can_read_are_not_promised(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No pg_waldump, or no key: each backup's own end, and that it is not the whole map."""

    def absent(*_: object, **__: object) -> Path:
        raise BackupError("pg_waldump", "none of PostgreSQL 15 on this machine", trouble=Trouble.PROGRAM)

    monkeypatch.setattr(type(around.programs), "postgresql", absent)
    moments = Moments("main", written.into(tmp_path), PLAIN, around)
    bases = [a_base(written, number=number, finished_at=written.times[number]) for number in (0, 3)]
    standing = await moments.standing(bases)
    assert [one.to_at for one in standing.reachable] == [written.times[0], written.times[3]]
    assert (standing.map_whole, standing.notes) == (False, ("pg_waldump: none of PostgreSQL 15 on this machine",))


async def test_lag_is_what_would_be_lost(written: Written, tmp_path: Path, around: Surroundings) -> None:
    """By the server's own measure where we receive; nothing while the server has written nothing of note."""
    place = written.into(tmp_path)
    moments = Moments("main", place, PLAIN, around)
    newest = look(place).newest_at
    assert newest is not None

    async def lag(position: Position | None) -> float | None:
        return (await moments.standing([], position=position)).lag_seconds

    end = written.now_at
    assert await lag(Position(timeline=1, written_to=end, behind_seconds=3.5)) == 3.5
    assert await lag(Position(timeline=1, written_to=end + 4000)) == 0.0
    past = newest - 500
    for path in place.iterdir():
        os.utime(path, (past, past))
    alone = await lag(None)
    assert alone is not None
    assert alone >= 500
    behind = await lag(Position(timeline=1, written_to=end + 100_000))
    assert behind is not None
    assert behind < 100  # since it was last seen to be level, not since a file came
    fresh = Moments("main", place, PLAIN, around)
    strange = (await fresh.standing([], position=Position(timeline=1, written_to=end + 100_000))).lag_seconds
    assert strange is not None
    assert strange >= 500


async def test_last_commit_is_the_moment_that_the_server_gave_it(
    written: Written, around: Surroundings, tmp_path: Path
) -> None:
    """To the microsecond, whatever the zone of this machine; from a position on, and of a segment without any."""
    found = await last_commit(written.folder / written.segments[1], around)
    assert found is not None
    assert found[0] == pytest.approx(written.times[1], abs=0.1)
    assert await last_commit(written.folder / written.segments[1], around, start=found[1]) == found
    other = tmp_path / written.segments[0]
    other.write_bytes(b"nothing of the kind")
    with pytest.raises(BackupError, match="is no WAL of a PostgreSQL that is known here"):
        await last_commit(other, around)
