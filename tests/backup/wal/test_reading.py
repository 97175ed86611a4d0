"""What is read out of real WAL: every kind of damage to the chain."""

import os
import shutil
from contextlib import suppress
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal import reading
from backup.wal.chain import File, Listing, ranges
from backup.wal.checking import _windows, check
from backup.wal.listing import look
from backup.wal.manner import Manner
from backup.wal.ripening import begin_at
from backup.wal.segments import SUM, Named, segment_name, stored
from tests.backup.wal.places import PLAIN
from tests.backup.wal.written import Written
from toban.backups import Check, Progress, Trouble

pytestmark = pytest.mark.integration
ZSTD = Manner(compress="zstd:1")
LZ4 = Manner(compress="lz4:1")
GZIP = Manner(compress="gzip:1")


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
    with suppress(OSError):  # the file system's own note of what was pushed, which not every one has
        os.removexattr(path, SUM)
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


@pytest.mark.parametrize("may_link", [True, False])
async def test_chain_that_is_packed_while_it_is_read_is_not_called_damaged(
    written: Written,
    tmp_path: Path,
    around: Surroundings,
    monkeypatch: pytest.MonkeyPatch,
    may_link: bool,  # noqa: FBT001 - a parameter
) -> None:
    """A stream packs what it has finished at any moment: before it is laid out, and before its records are read."""
    place = written.into(tmp_path)
    real, packed = stored, Path(written.segments[-1])

    def packing(folder: Path, name: str) -> Named | None:
        there = real(folder, name)
        if name == written.segments[2] and there is not None and there.plain == there.name:
            begin_at(place, f"00000002{written.segments[1][8:]}", ZSTD)  # it, and those behind it
        return there

    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(reading, "stored", packing)
    if not may_link:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    found = await checks(place, around)
    assert failing(found) == []
    assert found["segments"].detail == "6 read through"
    assert (place / f"{packed}.zst").exists()


async def test_chain_on_a_disk_that_drops_out_is_not_called_damaged(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can tell."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(116, "Stale file handle")

    place = written.into(tmp_path)
    monkeypatch.setattr(reading, "stored", refuse)
    found = await checks(place, around)
    assert [found[name].ok for name in ("segments", "records", "chain", "doubles")] == [None, None, True, True]
    assert found["segments"].detail.endswith(": Stale file handle")


async def test_chain_on_a_bad_sector_is_found_damaged(
    written: Written, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linked or copied, whoever meets it first."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(5, "Input/output error")

    place = written.into(tmp_path)
    for name in ("backup.wal.reading.stored", "backup.wal.checking.Walk.take"):
        with monkeypatch.context() as patch:
            patch.setattr(name, refuse)
            found = await checks(place, around)
            assert failing(found) == ["segments"]
            assert f"{place}/{written.segments[0]}: cannot be read: Input/output error" in found["segments"].detail


def test_windows_of_large_segments_are_small() -> None:
    """A gigabyte each: the workspace has room for some, and not for nine."""
    for size, lengths in ((16 * 1024**2, [9, 9, 5]), (1024**3, [2] * 20)):
        names = (segment_name(1, number, size) for number in range(1, 22))
        files = {name: File(name=name, size_bytes=1, modified_at=0.0) for name in names}
        listing = Listing(segments=files, segment_bytes=size)
        (stretch,) = ranges(listing)
        windows = _windows(listing, stretch, "")
        assert [len(window) for window in windows] == lengths
        assert [before[-1] for before in windows[:-1]] == [after[0] for after in windows[1:]]


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
