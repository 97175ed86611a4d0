"""Fetching: whole and checked, or plainly not there; a hole, a damage and a dead disk are neither."""

import os
from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.wal import fetching
from backup.wal.fetching import fetch, stage
from backup.wal.manner import Manner, keep_manner, known_manner
from backup.wal.pushing import push
from backup.wal.ripening import begin_at
from backup.wal.segments import SUM, Named, stored
from tests.backup.wal.places import PLAIN, SEGMENT_BYTES, a_file, a_place, a_segment
from tests.backup.wal.test_pushing import FIRST, WAYS, age
from tests.skips import IMPOSSIBLE
from toban.backups import Trouble

__all__ = ["age"]
SECOND, THIRD = "000000010000000000000002", "000000010000000000000003"


@pytest.mark.parametrize("way", WAYS)
def test_fetch_gives_back_what_was_pushed(way: str, tmp_path: Path) -> None:
    """Byte for byte."""
    place = a_place(tmp_path, 1, manner=WAYS[way][0])
    assert fetch(FIRST, tmp_path / "out", place)
    assert (tmp_path / "out").read_bytes() == a_segment(1)
    assert sorted(path.name for path in tmp_path.glob("out*")) == ["out"]


def test_fetch_opens_what_was_sealed_with_what_the_place_knows(age: Manner, tmp_path: Path) -> None:
    """The manner is left in the place by whoever read the configuration; the key's path is no secret."""
    place = a_place(tmp_path, 1, manner=age)
    with pytest.raises(BackupError, match="nobody said where its identity file is"):
        fetch(FIRST, tmp_path / "out", place)
    keep_manner(str(place), age)
    assert known_manner(str(place)).document() == age.document()
    assert fetch(FIRST, tmp_path / "out", place)
    assert (tmp_path / "out").read_bytes() == a_segment(1)


def test_fetch_says_that_there_is_no_more(tmp_path: Path) -> None:
    """Behind the last, of another timeline, a history that never was: PostgreSQL asks for all of these."""
    place = a_place(tmp_path, 1)
    for name in (SECOND, "000000020000000000000002", "00000002.history"):
        assert not fetch(name, tmp_path / "out", place)
    assert not (tmp_path / "out").exists()


def test_fetch_never_takes_a_hole_for_the_end(tmp_path: Path) -> None:
    """PostgreSQL would be promoted before it; whoever has read that may have it so."""
    place = a_place(tmp_path, 1, 3)
    with pytest.raises(BackupError, match=f"{SECOND}: is missing, and {THIRD} after it is there") as refused:
        fetch(SECOND, tmp_path / "out", place)
    assert refused.value.trouble is Trouble.MISSING
    assert not fetch(SECOND, tmp_path / "out", place, accept_gap=True)


def test_fetch_knows_a_hole_before_a_parting_of_timelines(tmp_path: Path) -> None:
    """Where timeline 2 begins in segment 4, segment 2 was there once; what timeline 1 had behind is nobody's loss."""
    place = a_place(tmp_path, 1)
    (place / "00000002.history").write_text("1\t0/400100\tpromoted\n")
    with pytest.raises(BackupError, match="is missing, and timeline 2 began after it"):
        fetch(SECOND, tmp_path / "out", place)
    assert not fetch("000000010000000000000004", tmp_path / "out", place)


def test_fetch_gives_an_unfinished_segment_only_when_asked_and_at_the_end(tmp_path: Path) -> None:
    """The latest seconds stand in it; but it is no segment."""
    place = a_place(tmp_path, 1)
    content = a_segment(2, pages=5)
    (place / f"{SECOND}.partial").write_bytes(content)
    assert not fetch(SECOND, tmp_path / "out", place)
    assert fetch(SECOND, tmp_path / "out", place, partial=True)
    assert (tmp_path / "out").read_bytes() == content
    push(a_file(tmp_path / "pg_wal", 3), place, PLAIN)
    with pytest.raises(BackupError, match="is missing, and"):
        fetch(SECOND, tmp_path / "out", place, partial=True)


def test_fetch_gives_no_unfinished_segment_in_which_nothing_stands(tmp_path: Path) -> None:
    """pg_receivewal lays it out before anything comes."""
    place = a_place(tmp_path, 1)
    for content in (b"", bytes(SEGMENT_BYTES)):
        (place / f"{SECOND}.partial").write_bytes(content)
        assert not fetch(SECOND, tmp_path / "out", place, partial=True)


@pytest.mark.parametrize("way", ["zstd:3", "lz4", "gzip:6"])
def test_fetch_refuses_a_compressed_segment_with_a_flipped_byte(way: str, tmp_path: Path) -> None:
    """The programs' own checks find it; nothing half-made is left."""
    manner, suffix = WAYS[way]
    place = a_place(tmp_path, manner=manner)
    push(a_file(tmp_path / "pg_wal", content=a_segment(1, filling=bytes(range(256)))), place, manner)
    flip(place / (FIRST + suffix), at=-30 if way == "gzip:6" else -12)
    with pytest.raises(BackupError):
        fetch(FIRST, tmp_path / "out", place)
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (a_segment(1)[: SEGMENT_BYTES // 2], "is damaged: it has 524288 bytes, not 1048576"),
        (b"", "is damaged: it has 0 bytes, not more"),
        (a_segment(2), "says that it begins at 0/200000"),
        (a_segment(1, system=42), "is of another server"),
        (a_segment(1)[:8192] + b"\xff" + a_segment(1)[8193:], "is damaged: the page at 0/102000"),
    ],
    ids=["cut off", "empty", "another's content", "another server", "a page damaged"],
)
def test_fetch_refuses_a_segment_that_is_not_what_it_should_be(content: bytes, why: str, tmp_path: Path) -> None:
    """Laid there by somebody else, or spoilt."""
    place = a_place(tmp_path, 1)
    (place / FIRST).write_bytes(content)
    with pytest.raises(BackupError, match=why):
        fetch(FIRST, tmp_path / "out", place)
    assert list(tmp_path.glob("out*")) == []


@pytest.mark.parametrize("name", [FIRST, "00000002.history"])
def test_fetch_refuses_what_is_not_what_was_pushed_though_every_page_is_in_its_place(name: str, tmp_path: Path) -> None:
    """A byte of a record: PostgreSQL would take it for the end of the WAL, and be promoted."""
    place = a_place(tmp_path)
    try:
        os.setxattr(tmp_path, SUM, b"00000000")
    except OSError:
        pytest.skip(f"{IMPOSSIBLE}no attributes of one's own on its file system")
    push(a_file(tmp_path / "pg_wal", name=name), place, PLAIN)
    assert fetch(name, tmp_path / "out", place)
    (tmp_path / "out").unlink()
    flip(place / name, at=20_000)
    with pytest.raises(BackupError, match=f"{name}: is damaged: it is not what was pushed"):
        fetch(name, tmp_path / "out", place)
    assert list(tmp_path.glob("out*")) == []
    os.removexattr(place / name, SUM)  # as a copy of the folder may lose them
    assert fetch(name, tmp_path / "out", place)


def test_fetch_from_a_repository_that_is_gone_is_a_failure(tmp_path: Path) -> None:
    """Never "not there": the server would be promoted."""
    with pytest.raises(BackupError) as refused:
        fetch(FIRST, tmp_path / "out", tmp_path / "gone")
    assert refused.value.trouble is Trouble.REPOSITORY
    with pytest.raises(BackupError, match="is no name that PostgreSQL gives"):
        fetch("../../etc/passwd", tmp_path / "out", tmp_path)


def test_fetch_of_a_segment_that_is_packed_meanwhile_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream packs what it has finished at any moment: a recovery must not stop for that."""
    place = a_place(tmp_path, 1)
    real = stored

    def packing(folder: str, name: str) -> Named | None:
        there = real(folder, name)
        if (place / FIRST).exists():
            begin_at(place, "000000020000000000000000", WAYS["zstd:3"][0])
        return there

    monkeypatch.setattr(fetching, "stored", packing)
    assert fetch(FIRST, tmp_path / "out", place)
    assert (tmp_path / "out").read_bytes() == a_segment(1)
    with pytest.raises(BackupError, match="No such file or directory"):
        fetch(FIRST, tmp_path / "no such folder" / "out", place)


@pytest.mark.parametrize("follows", [True, False])
@pytest.mark.parametrize(("partial", "looks"), [(False, 1), (True, 1), (True, 2), (True, 3)])
def test_fetch_of_a_segment_that_is_finished_meanwhile_has_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    partial: bool,  # noqa: FBT001 - a parameter
    looks: int,
    follows: bool,  # noqa: FBT001 - a parameter
) -> None:
    """Neither the end of the WAL nor a hole, whenever between two looks it gets its name and the next one begins."""
    place = a_place(tmp_path, 1)
    unfinished = place / f"{SECOND}.partial"
    unfinished.write_bytes(a_segment(2))
    real, seen = os.lstat, []

    def finishing(path: str) -> os.stat_result:
        seen.extend([path] if path.endswith((SECOND, unfinished.name)) else [])
        if len(seen) < looks or not unfinished.exists():
            return real(path)
        unfinished.rename(place / SECOND)
        if follows:
            (place / f"{THIRD}.partial").write_bytes(a_segment(3, pages=1))
        raise FileNotFoundError(path)

    monkeypatch.setattr("backup.wal.segments.os.lstat", finishing)
    assert fetch(SECOND, tmp_path / "out", place, partial=partial)
    assert (tmp_path / "out").read_bytes() == a_segment(2)


def test_stage_lays_out_what_a_server_shall_have(tmp_path: Path) -> None:
    """In the clear, by PostgreSQL's own names; and says what is missing."""
    place = a_place(tmp_path, 1, 2, manner=WAYS["zstd:3"][0])
    into = tmp_path / "out"
    into.mkdir()
    stage([FIRST, SECOND], into, place)
    assert [(into / name).read_bytes() for name in (FIRST, SECOND)] == [a_segment(1), a_segment(2)]
    with pytest.raises(BackupError, match=f"{THIRD}: is missing"):
        stage([THIRD], into, place)


def flip(path: Path, *, at: int) -> None:
    """One byte of a file is another."""
    content = bytearray(path.read_bytes())
    content[at] ^= 0xFF
    path.write_bytes(bytes(content))
