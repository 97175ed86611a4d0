"""What a receiver leaves in the clear is packed, all but the newest; and what would stop it for ever is mended."""

from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.wal.fetching import fetch
from backup.wal.manner import Manner
from backup.wal.ripening import begin_at, mend, ripen, wanted_next
from backup.wal.segments import SUFFIXES
from tests.backup.wal.places import PLAIN, SEGMENT_BYTES, a_segment, names_in

ZSTD, GZIP, LZ4 = (Manner(compress=name) for name in ("zstd", "gzip", "lz4"))
FIRST, SECOND, THIRD = (f"00000001000000000000000{number}" for number in (1, 2, 3))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Two segments that came, and one that is coming."""
    for number, name in ((1, FIRST), (2, SECOND)):
        (tmp_path / name).write_bytes(a_segment(number))
    (tmp_path / f"{THIRD}.partial").write_bytes(a_segment(3, pages=4))
    return tmp_path


def test_ripening_packs_all_but_the_newest(place: Path) -> None:
    """By which the receiver finds its place again; once there is a newer one it goes too, some at a time."""
    assert ripen(place, ZSTD) == 1
    assert names_in(place) == [f"{FIRST}.zst", SECOND, f"{THIRD}.partial"]
    assert ripen(place, ZSTD) == 0
    (place / "000000020000000000000002").write_bytes(a_segment(2, timeline=2))
    (place / THIRD).write_bytes(a_segment(3))
    assert ripen(place, ZSTD, most=1) == 1
    assert f"{SECOND}.zst" in names_in(place)
    assert ripen(place, PLAIN) == 0


@pytest.mark.parametrize("manner", [ZSTD, GZIP, LZ4], ids=lambda one: one.compress)
def test_ripening_that_was_cut_off_is_finished(manner: Manner, place: Path) -> None:
    """Packed already, and the one in the clear not yet gone; where the two differ a person has to look."""
    ripen(place, manner)
    (place / FIRST).write_bytes(a_segment(1))
    assert ripen(place, manner) == 1
    assert FIRST not in names_in(place)
    (place / FIRST).write_bytes(a_segment(1, filling=b"other"))
    with pytest.raises(BackupError, match=f"{FIRST}: is there twice, and the two differ"):
        ripen(place, manner)
    assert FIRST in names_in(place)


@pytest.mark.parametrize("manner", [PLAIN, ZSTD, GZIP, LZ4], ids=lambda one: one.compress)
def test_beginning_hides_what_a_receiver_would_go_on_with(manner: Manner, place: Path) -> None:
    """It knows some compressions, and begins behind the newest; what came before its beginning stays as it was."""
    (place / "000000010000000000000004").write_bytes(a_segment(4))
    (place / "000000010000000000000005").write_bytes(a_segment(5))
    ripen(place, manner, most=9)
    suffix = SUFFIXES.get(manner.compression[0], "")
    begin_at(place, "000000020000000000000003", manner)
    assert names_in(place) == [
        f"{FIRST}{suffix}",
        f"{SECOND}{suffix}",
        f"{THIRD}.partial{suffix}",
        "000000010000000000000004.zst",
        "000000010000000000000005.zst",
        "000000020000000000000003.partial",
    ]
    for number in (4, 5):
        name = f"00000001000000000000000{number}"
        assert fetch(name, place / "out", place)
        assert (place / "out").read_bytes() == a_segment(number)


def test_beginning_again_keeps_what_stood_in_an_unfinished_one(place: Path) -> None:
    """As it is by now; and an empty beginning is not kept."""
    begin_at(place, "000000020000000000000003", ZSTD)
    (place / f"{THIRD}.partial").write_bytes(a_segment(3, pages=9))
    begin_at(place, "000000020000000000000004", ZSTD)
    assert names_in(place) == [FIRST, SECOND, f"{THIRD}.partial.zst", "000000020000000000000004.partial"]
    assert fetch(THIRD, place / "out", place, partial=True)
    assert (place / "out").read_bytes() == a_segment(3, pages=9)


def test_next_is_what_a_receiver_goes_on_with(place: Path) -> None:
    """The unfinished one; behind the newest finished one, over the end of a file of 4 GB; at first none."""
    assert wanted_next(place, SEGMENT_BYTES) == THIRD
    (place / f"{THIRD}.partial").unlink()
    assert wanted_next(place, SEGMENT_BYTES) == THIRD
    (place / "0000000200000000000000FF").touch()
    assert wanted_next(place, 16 * 1024**2) == "000000020000000100000000"
    assert wanted_next(place.parent, SEGMENT_BYTES) == ""


def test_mending_removes_a_beginning_that_was_cut_off_while_it_was_laid_out(place: Path) -> None:
    """pg_receivewal refuses it for ever; one in which anything stands is left alone."""
    (place / "000000010000000000000004.partial").write_bytes(bytes(SEGMENT_BYTES // 2))
    (place / "000000010000000000000005.partial").write_bytes(a_segment(5)[: SEGMENT_BYTES // 2])
    (place / "000000010000000000000006.partial").write_bytes(bytes(SEGMENT_BYTES))
    assert mend(place, SEGMENT_BYTES) == ("000000010000000000000004.partial",)
    assert mend(place, SEGMENT_BYTES) == ()


def test_ripening_of_a_place_that_takes_nothing_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full or read-only; what is in the clear stays."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", str(place))

    monkeypatch.setattr("backup.wal.ripening.lay", refuse)
    for act in (lambda: ripen(place, ZSTD), lambda: begin_at(place, SECOND, ZSTD)):
        with pytest.raises(BackupError, match="No space left on device"):
            act()
    assert names_in(place) == [FIRST, SECOND, f"{THIRD}.partial"]


def test_ripening_of_a_place_that_is_gone_is_told(tmp_path: Path) -> None:
    """A disk that dropped out for a moment: whoever packs must hear of it, and go on."""
    with pytest.raises(BackupError, match="No such file or directory"):
        ripen(tmp_path / "gone", ZSTD)
