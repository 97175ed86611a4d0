"""What is read out of real WAL: the map of moments, and every kind of damage to the chain."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.chain import Position
from backup.wal.checking import check
from backup.wal.listing import look
from backup.wal.manner import Manner
from backup.wal.moments import Moments
from backup.wal.pushing import push
from backup.wal.reading import last_commit
from backup.wal.segments import lsn_number, lsn_text, segment_number
from tests.backup.wal.places import PLAIN, SEGMENT_BYTES, a_repository
from tests.clusters import Cluster, installations
from tests.installations import run
from toban.backups import BackupRecord, Check, GapKind, Manifest, Method, Progress, Status, Trouble

pytestmark = pytest.mark.integration
ZSTD = Manner(compress="zstd:1")
LZ4 = Manner(compress="lz4:1")
GZIP = Manner(compress="gzip:1")


class Written:
    """Six segments of a server whose segments have 1 MB, and when the last commit of each was."""

    def __init__(self, folder: Path, segments: list[str], times: list[float], cluster: Cluster) -> None:
        self.folder = folder
        self.segments = segments
        self.times = times
        self.now_at = lsn_number(cluster.psql("select pg_current_wal_lsn()"))

    def into(self, root: Path, manner: Manner = PLAIN, *, without: tuple[int, ...] = ()) -> Path:
        """A place in which they lie, but for some."""
        place = a_repository(root) / "main" / "wal"
        for number, segment in enumerate(self.segments):
            if number not in without:
                push(self.folder / segment, place, manner)
        return place


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Written]:
    """Made once: a copy of what a server has written."""
    if 15 not in installations():
        pytest.skip("no PostgreSQL 15 on this machine: apt-get install postgresql-15")
    cluster = Cluster(installations()[15], settings={"wal_keep_size": "64MB", "min_wal_size": "8MB"})
    folder = tmp_path_factory.mktemp("pg_wal")
    try:
        run(cluster.bin_dir / "pg_resetwal", "--wal-segsize=1", "--pgdata", cluster.data_dir, cwd=Path("/"))
        cluster.start()
        cluster.psql("create table t (at timestamptz, filling text); select pg_switch_wal()")
        segments, times = [], []
        for _ in range(6):
            cluster.psql("insert into t select null, repeat(md5(n::text), 10) from generate_series(1, 100) n")
            times.append(float(cluster.psql("insert into t values (now()) returning extract(epoch from now())")))
            segments.append(cluster.psql("select pg_walfile_name(pg_switch_wal())"))
        for segment in segments:
            shutil.copyfile(cluster.data_dir / "pg_wal" / segment, folder / segment)
        yield Written(folder, segments, times, cluster)
    finally:
        cluster.remove()


def a_base(written: Written, *, number: int, finished_at: float, status: Status = Status.OK) -> BackupRecord:
    """A base backup that ended in one of the segments."""
    stop = lsn_text(segment_number(written.segments[number], SEGMENT_BYTES) * SEGMENT_BYTES + 0x100)
    told = Manifest(
        id=f"base-{number}",
        name="base",
        target="main",
        kind="postgresql",
        method=Method.BASE,
        engine="postgresql",
        created_at=finished_at - 1,
        finished_at=finished_at,
        start_lsn=stop,
        stop_lsn=stop,
        timeline=1,
    )
    return BackupRecord(manifest=told, status=status)


async def checks(place: Path, around: Surroundings, manner: Manner = PLAIN) -> dict[str, Check]:
    """The chain read through."""
    told: list[Progress] = []
    found = await check(place, manner, around, told.append)
    assert [one.name for one in found] == ["wal segments", "wal records", "wal chain", "wal doubles"]
    assert all(one.phase == "wal" for one in told)
    return {one.name.removeprefix("wal "): one for one in found}


def failing(found: dict[str, Check]) -> list[str]:
    """What was not well."""
    return [name for name, one in found.items() if one.ok is not True]


@pytest.mark.parametrize("manner", [PLAIN, ZSTD, LZ4, GZIP], ids=lambda manner: manner.compress)
async def test_chain_that_is_whole_is_found_so(
    manner: Manner, written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """Every record over every seam."""
    found = await checks(written.into(tmp_path, manner), around, manner)
    assert failing(found) == []
    assert found["segments"].detail == "6 read through"
    assert list(around.workspace.iterdir()) == []


@pytest.mark.parametrize("manner", [PLAIN, ZSTD, LZ4, GZIP], ids=lambda manner: manner.compress)
async def test_chain_with_a_flipped_byte_is_found_damaged(
    manner: Manner, written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """In a page's header, in a record's data, in what a program has packed."""
    place = written.into(tmp_path, manner)
    (path,) = place.glob(f"{written.segments[2]}*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if manner is not PLAIN else 20_000] ^= 0xFF
    path.write_bytes(bytes(content))
    assert failing(await checks(place, around, manner)) == (["records"] if manner is PLAIN else ["segments"])


async def test_chain_is_read_from_a_segment_on(written: Written, tmp_path: Path, around: Surroundings) -> None:
    """What was read through before need not be read again."""
    place = written.into(tmp_path)
    told: list[Progress] = []
    found = await check(place, PLAIN, around, told.append, from_segment=written.segments[3])
    assert found[0].detail == "3 read through"
    assert [one.what for one in told] == [written.segments[5]]


async def test_chain_with_a_hole_is_found_broken(written: Written, tmp_path: Path, around: Surroundings) -> None:
    """One segment removed from the middle; and it says which."""
    found = await checks(written.into(tmp_path, without=(2,)), around)
    assert failing(found) == ["chain"]
    assert found["chain"].detail.startswith("1 from ")


async def test_chain_with_a_double_tells_whether_it_differs(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """The same twice is what a cut-off packing leaves; another content is somebody else's."""
    place = written.into(tmp_path, ZSTD)
    first, second = written.segments[:2]
    shutil.copyfile(written.folder / first, place / first)
    assert failing(await checks(place, around)) == []
    shutil.copyfile(place / f"{second}.zst", place / f"{first}.zst")
    found = await checks(place, around)
    assert failing(found) == ["doubles"]
    assert found["doubles"].detail == f"{first} and {first}.zst"


async def test_chain_with_a_segment_of_another_server_is_found_damaged(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """Put there by hand, past every push."""
    place = written.into(tmp_path)
    path = place / written.segments[3]
    content = bytearray(path.read_bytes())
    content[24:32] = bytes(8)
    path.write_bytes(bytes(content))
    found = await checks(place, around)
    assert failing(found) == ["segments"]
    assert "is of another server: its system identifier is 0" in found["segments"].detail


async def test_chain_that_cannot_be_opened_is_not_called_damaged(
    written: Written, tmp_path: Path, around: Surroundings
) -> None:
    """Without the key nobody can tell."""
    place = written.into(tmp_path, without=(1, 2, 3, 4, 5))
    path = place / written.segments[0]
    path.rename(path.with_name(f"{path.name}.age"))
    found = await checks(place, around, Manner(compress="none", seal="age", recipients=("age1x",)))
    assert [found[name].ok for name in ("segments", "records", "chain", "doubles")] == [None, None, True, True]
    assert found["segments"].detail.startswith("age: nobody said where its identity file is")


async def test_segment_that_retention_lets_go_meanwhile_is_no_damage(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was there when the reading began."""
    place = written.into(tmp_path, without=(3, 4, 5))
    listing = look(place)
    (place / written.segments[0]).unlink()
    monkeypatch.setattr("backup.wal.checking.look", lambda _: listing)
    found = await checks(place, around)
    assert failing(found) == []
    assert found["segments"].detail == "2 read through"


async def test_chain_whose_records_cannot_be_read_is_not_called_whole(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without pg_waldump of that version nobody can tell."""

    def absent(*_: object, **__: object) -> Path:
        raise BackupError("pg_waldump", "none of PostgreSQL 15 on this machine", trouble=Trouble.PROGRAM)

    monkeypatch.setattr(type(around.programs), "postgresql", absent)
    found = await checks(written.into(tmp_path), around)
    assert (found["records"].ok, found["records"].detail) == (None, "pg_waldump: none of PostgreSQL 15 on this machine")
    assert failing(found) == ["records"]


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


async def test_moments_forget_what_is_long_past(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is remembered is bounded; and where segment after segment holds no commit, the time they came at counts."""
    monkeypatch.setattr("backup.wal.moments.REMEMBERED", 1)
    place = written.into(tmp_path)
    moments = Moments("main", place, PLAIN, around)
    base = a_base(written, number=0, finished_at=written.times[0] - 1)

    async def none(*_: object, **__: object) -> None:
        return None

    monkeypatch.setattr("backup.wal.moments.last_commit", none)
    (reachable,) = (await moments.standing([base])).reachable
    assert reachable.to_at == max(path.stat().st_mtime for path in place.glob("0*"))
    assert len(moments._seen) == 1


async def test_moments_of_a_backup_alone_are_its_own(written: Written, tmp_path: Path, around: Surroundings) -> None:
    """It is there, and no WAL behind it."""
    moments = Moments("main", written.into(tmp_path, without=(0, 1, 2, 3, 4, 5)), PLAIN, around)
    at = written.times[5]
    standing = await moments.standing([a_base(written, number=5, finished_at=at)])
    assert standing.reachable == ()
    assert standing.newest_at is None


async def test_moments_say_what_keeps_them_from_reading(written: Written, tmp_path: Path, around: Surroundings) -> None:
    """The map is lacking then, and not the standing."""
    place = written.into(tmp_path)
    (place / written.segments[5]).write_bytes(b"spoilt")
    (place / f"00000003{written.segments[5][8:]}").write_bytes(b"an orphan")
    moments = Moments("main", place, PLAIN, around)
    standing = await moments.standing([a_base(written, number=0, finished_at=written.times[0])], notes=["as told"])
    assert standing.notes[:2] == ("as told", "the history of timeline 3 is not there: nothing can be restored along it")
    assert "is no WAL of a PostgreSQL that is known here" in standing.notes[2]
    assert len(standing.ranges) == 2


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
