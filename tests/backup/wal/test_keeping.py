"""How long WAL stays: what no backup needs goes, never anything else; and what cut-off pushes left."""

import fcntl
import os
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.wal.chain import Departure, Listing, leads
from backup.wal.keeping import STALE_SECONDS, removable, remove, sweep
from backup.wal.listing import MOST_LOOKS, look
from backup.wal.manner import Manner
from backup.wal.segments import segment_name
from tests.backup.wal.places import a_place, names_in
from tests.backup.wal.test_chain import a_listing
from tests.builders import START

PARTED: dict[int, tuple[Departure, ...]] = {2: (Departure(timeline=1, at=0x5000100),)}


def going(listing: Listing, needed: dict[int, int]) -> list[tuple[int, int]]:
    """Timeline and number of what goes."""
    return [(int(name[:8], 16), int(name[16:], 16)) for name in removable(listing, needed).segments]


def test_wal_before_the_first_that_is_needed_goes() -> None:
    """The segment in which it begins stays."""
    removal = removable(a_listing((1, 2), (1, 3), (1, 4)), {1: 0x4000028})
    assert removal.segments == (segment_name(1, 2), segment_name(1, 3))
    assert removal.size_bytes == 20
    assert removal.reason == "no kept backup needs WAL from before 0/4000028 on timeline 1"


def test_wal_stays_while_nothing_is_said_to_be_needed() -> None:
    """No base backup yet, or the newest attempts failed."""
    removal = removable(a_listing((1, 2), (1, 3)), {})
    assert (removal.segments, removal.reason) == ((), "no backup is there that WAL could be needless for")


def test_wal_of_a_later_timeline_stays_as_far_as_it_leads_on() -> None:
    """No backup is of it, but one of the timeline before may be restored along it."""
    listing = a_listing((1, 2), (1, 4), (2, 3), (2, 5), (2, 6), histories=PARTED)
    assert going(listing, {1: 0x4000028}) == [(1, 2), (2, 3)]


def test_wal_of_an_earlier_timeline_goes_once_no_backup_is_of_it() -> None:
    """Nothing leads from there to what is kept."""
    listing = a_listing((1, 4), (1, 9), (2, 5), (2, 6), histories=PARTED)
    assert going(listing, {2: 0x6000028}) == [(1, 4), (1, 9), (2, 5)]


def test_wal_between_a_promotion_and_the_first_backup_after_it_stays() -> None:
    """The window begins with a backup from before: it leads on along the new timeline, to that backup and past it."""
    listing = a_listing((1, 3), (1, 4), (2, 5), (2, 6), (2, 7), histories=PARTED)
    needed = {1: 0x4000028, 2: 0x7000028}
    assert going(listing, needed) == [(1, 3)]
    left = replace(listing, segments={name: file for name, file in listing.segments.items() if name[-1] != "3"})
    assert [lead.gap for lead in leads(left, 1, 0x4000100)] == [None, None]


def test_unfinished_end_of_a_timeline_goes_with_what_is_before_all_that_is_needed() -> None:
    """Nobody will ever finish it; the one that is being received stays."""
    listing = a_listing((1, 4), (2, 5), (2, 6), partials=((1, 5), (2, 7)), histories=PARTED)
    assert going(listing, {2: 0x6000028}) == [(1, 4), (1, 5), (2, 5)]


def test_removing_takes_every_file_of_a_segment_and_no_history(tmp_path: Path) -> None:
    """Its label, its digest, its unfinished namesake; the histories always stay."""
    place = a_place(tmp_path, 1, 2, 3, manner=Manner(compress="zstd"))
    first = "000000010000000000000001"
    for name in (f"{first}.00000028.backup", f"{first}.sha256", f"{first}.partial", "00000002.history", "other"):
        (place / name).touch()
    remove(place, removable(look(place), {1: 0x200000}))
    assert names_in(place) == [
        *("00000001000000000000000" + rest for rest in ("2.zst", "3.zst")),
        *("00000002.history", "other"),
    ]


def test_removing_from_a_place_that_is_gone_is_told(tmp_path: Path) -> None:
    """As a failure of the repository."""
    with pytest.raises(BackupError, match="No such file or directory"):
        remove(tmp_path / "gone", removable(a_listing((1, 2)), {1: 0x4000000}))


def test_sweep_removes_what_pushes_left_and_never_what_one_writes(tmp_path: Path) -> None:
    """Neither one that holds its lock, nor one of another host, of which only its age can tell."""
    place = a_place(tmp_path, 1)
    abandoned, living, young = (place / f".000000010000000000000002.{name}.push" for name in ("1", "2", "3"))
    for path in (abandoned, living, young):
        path.touch()
        os.utime(path, (START, START))
    os.utime(young, (START + 100, START + 100))
    with living.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert sweep(place, START + STALE_SECONDS + 50) == (abandoned.name,)
    assert sorted(path.name for path in place.glob(".*")) == [living.name, young.name]


def test_sweep_of_a_place_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And one that somebody else has swept meanwhile is no fault."""
    place = a_place(tmp_path, 1)
    path = place / ".000000010000000000000002.1.push"
    path.touch()
    os.utime(path, (START, START))
    seen = look(place)
    path.unlink()
    monkeypatch.setattr("backup.wal.keeping.look", lambda _: seen)
    assert sweep(place, START + STALE_SECONDS + 50) == ()
    path.mkdir()
    os.utime(path, (START, START))
    with pytest.raises(BackupError, match="Is a directory"):
        sweep(place, START + STALE_SECONDS + 50)


def test_listing_of_no_place_is_empty(tmp_path: Path) -> None:
    """Nothing has come yet; but what cannot be read is a failure."""
    assert look(tmp_path / "none") == Listing()
    (tmp_path / "file").touch()
    with pytest.raises(BackupError, match="cannot be read: Not a directory"):
        look(tmp_path / "file")


@pytest.mark.parametrize("vanishes", [True, False])
def test_listing_misses_nothing_that_is_packed_while_it_looks(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vanishes: bool,  # noqa: FBT001 - a parameter
) -> None:
    """One in the clear when the names were read, and gone or packed a moment later: there is no hole, and no end."""
    place = a_place(tmp_path, 1, 2, 3)
    second = place / "000000010000000000000002"
    real = os.scandir
    turns: list[Path] = []

    def racing(path: Path) -> object:
        entries = list(real(path))
        if not turns:
            second.rename(second.with_name(f"{second.name}.zst"))
            entries = entries if vanishes else [one for one in entries if one.name != second.name]
        turns.append(path)
        return nullcontext(entries)

    monkeypatch.setattr("backup.wal.listing.os.scandir", racing)
    found = look(place)
    assert [file.name for _, file in sorted(found.segments.items())] == [
        "000000010000000000000001",
        f"{second.name}.zst",
        "000000010000000000000003",
    ]
    assert len(turns) == 3


def test_listing_of_a_place_that_never_rests_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was seen last counts then."""
    place = a_place(tmp_path, 1)
    real, numbers = os.scandir, iter(range(2, 100))

    def growing(path: Path) -> object:
        a_place(tmp_path, next(numbers))
        return real(path)

    monkeypatch.setattr("backup.wal.listing.os.scandir", growing)
    assert len(look(place).segments) == MOST_LOOKS + 1
