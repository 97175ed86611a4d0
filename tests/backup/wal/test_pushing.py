"""Pushing: once, whole, durable, of the right server, never over another; and what is refused with which words."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backup.errors import BackupError
from backup.wal import place as places
from backup.wal import pushing
from backup.wal.manner import Manner
from backup.wal.pushing import STORED, THERE, push
from backup.wal.segments import Named, stored
from tests.backup.wal.places import PLAIN, SEGMENT_BYTES, SYSTEM, a_file, a_place, a_segment, names_in
from tests.skips import IMPOSSIBLE
from toban.backups import Trouble

FIRST = "000000010000000000000001"
WAYS = {
    "none": (Manner(compress="none"), ""),
    "zstd:3": (Manner(compress="zstd:3"), ".zst"),
    "lz4": (Manner(compress="lz4"), ".lz4"),
    "gzip:6": (Manner(compress="gzip:6"), ".gz"),
}


@pytest.fixture
def age(tmp_path: Path) -> Manner:
    """A manner that seals, and can open again."""
    identity = tmp_path / "key of 東京"
    subprocess.run(["age-keygen", "-o", identity], check=True, capture_output=True)
    recipient = identity.read_text().partition("public key: ")[2].splitlines()[0]
    return Manner(compress="zstd", seal="age", recipients=[recipient], identity=str(identity))


@pytest.mark.parametrize("way", WAYS)
def test_push_stores_a_segment_and_is_content_to_see_it_again(way: str, tmp_path: Path) -> None:
    """As PostgreSQL does after a crash; only we can read it, and nothing else is left."""
    manner, suffix = WAYS[way]
    place = a_place(tmp_path)
    source = a_file(tmp_path / "pg_wal")
    assert [push(source, place, manner), push(source, place, manner)] == [STORED, THERE]
    assert names_in(place) == [FIRST + suffix]
    assert stat.S_IMODE((place / (FIRST + suffix)).stat().st_mode) == 0o600
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "identity.json").stat().st_mode) == 0o600


@pytest.mark.parametrize("way", WAYS)
def test_push_refuses_another_segment_of_the_same_name(way: str, tmp_path: Path) -> None:
    """And what is there stays as it is, however it was compressed."""
    manner, suffix = WAYS[way]
    place = a_place(tmp_path, 1, manner=manner)
    before = (place / (FIRST + suffix)).read_bytes()
    other = a_file(tmp_path / "clone", content=a_segment(1, filling=b"other rows"))
    with pytest.raises(BackupError) as refused:
        push(other, place, PLAIN)
    assert refused.value.reason == (
        f"{place}/{FIRST}{suffix}: is there already, and is not the same"
        " (does another server, or a clone, archive here? Give each a target of its own)"
    )
    assert refused.value.exit_status == 1
    assert (place / (FIRST + suffix)).read_bytes() == before
    assert names_in(place) == [FIRST + suffix]


def test_push_refuses_one_that_only_goes_on_differently(tmp_path: Path) -> None:
    """Shorter or longer is another one too."""
    place = a_place(tmp_path)
    history = a_file(tmp_path / "pg_wal", name="00000002.history", content=b"1\t0/5000000\tpromoted\n")
    assert push(history, place, PLAIN) == STORED
    for content in (b"1\t0/5000000\tpromoted", b"1\t0/5000000\tpromoted\n2\t0/6000000\tagain\n"):
        history.write_bytes(content)
        with pytest.raises(BackupError, match="is not the same"):
            push(history, place, PLAIN)


@pytest.mark.parametrize("way", WAYS)
def test_push_is_back_only_once_all_of_it_lasts(way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file synced, then named, then its folder synced; so too where somebody has laid it there just before."""
    manner, suffix = WAYS[way]
    place, source = a_place(tmp_path), a_file(tmp_path / "pg_wal")
    push(a_file(tmp_path / "pg_wal", 2), place, manner)
    done: list[str] = []
    real_sync, real_link = os.fsync, os.link

    def sync(handle: int) -> None:
        done.append(f"sync {Path(f'/proc/self/fd/{handle}').readlink().name.partition('.')[0] or 'unfinished'}")
        real_sync(handle)

    def link(unfinished: str, name: str) -> None:
        done.append(f"name {Path(name).name}")
        real_link(unfinished, name)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "link", link)
    assert push(source, place, manner) == STORED
    assert done == ["sync unfinished", f"name {FIRST}{suffix}", "sync wal"]
    done.clear()
    assert push(source, place, manner) == THERE
    assert done == [f"sync {FIRST}", "sync wal"]


def test_push_keeps_histories_and_labels_as_they_are(tmp_path: Path) -> None:
    """They are small, and the chain is read from them."""
    place = a_place(tmp_path)
    for name in ("00000002.history", "000000010000000000000001.00000028.backup"):
        push(a_file(tmp_path / "pg_wal", name=name, content=b"words\n"), place, WAYS["zstd:3"][0])
        assert (place / name).read_bytes() == b"words\n"


@pytest.mark.parametrize("name", ["00000002.history", "000000010000000000000001.00000028.backup"])
def test_push_refuses_a_history_of_another_server(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say whose it is, its data directory does; a wrong one would lead every restore astray."""
    place = a_place(tmp_path, 1)
    data = tmp_path / "data"
    (data / "global").mkdir(parents=True)
    a_file(data / "pg_wal", name=name, content=b"words\n")
    monkeypatch.chdir(data)
    (data / "global" / "pg_control").write_bytes((42).to_bytes(8, sys.byteorder) + bytes(100))
    with pytest.raises(BackupError, match=f"is of another server: its system identifier is 42, not {SYSTEM}"):
        push(f"pg_wal/{name}", place, PLAIN)
    assert names_in(place) == [FIRST]
    (data / "global" / "pg_control").write_bytes(SYSTEM.to_bytes(8, sys.byteorder) + bytes(100))
    assert push(f"pg_wal/{name}", place, PLAIN) == STORED


def test_push_keeps_the_unfinished_end_of_a_timeline_apart(tmp_path: Path) -> None:
    """A promoted server archives it; it is no segment, and the segment of its name may come beside it."""
    place = a_place(tmp_path)
    manner = WAYS["zstd:3"][0]
    push(a_file(tmp_path / "pg_wal", name=f"{FIRST}.partial", content=a_segment(1, pages=3)), place, manner)
    push(a_file(tmp_path / "pg_wal"), place, manner)
    assert names_in(place) == [f"{FIRST}.partial.zst", f"{FIRST}.zst"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "does not begin as WAL does"),
        (a_segment(2), "says that it begins at 0/200000, its name that it does at 0/100000"),
        (a_segment(1)[:-1], f"has {SEGMENT_BYTES - 1} bytes, and a segment has {SEGMENT_BYTES}"),
        (a_segment(1, system=42), f"is of another server: its system identifier is 42, not {SYSTEM}"),
        (
            a_segment(1, segment_bytes=2 * SEGMENT_BYTES),
            "says that it begins at 0/200000, its name that it does at 0/200000",
        ),
    ],
    ids=["empty", "another's content", "cut off", "another server", "another size"],
)
def test_push_refuses_what_is_not_of_this_server_whole_and_in_place(content: bytes, why: str, tmp_path: Path) -> None:
    """A clone must not pollute the archive."""
    place = a_place(tmp_path, 3)
    if why.endswith("0/200000") and len(content) > SEGMENT_BYTES:
        why = f"is of a server with segments of {2 * SEGMENT_BYTES} bytes, not {SEGMENT_BYTES}"
    path = tmp_path / "pg_wal" / FIRST
    path.write_bytes(content)
    with pytest.raises(BackupError) as refused:
        push(path, place, PLAIN)
    assert refused.value.why == why
    assert names_in(place) == ["000000010000000000000003"]


def test_push_refuses_what_is_no_file_of_the_servers(tmp_path: Path) -> None:
    """By its name, or because it is not there."""
    place = a_place(tmp_path)
    with pytest.raises(BackupError, match="is no name that PostgreSQL gives to its WAL"):
        push(a_file(tmp_path / "pg_wal", name="passwords.txt"), place, PLAIN)
    with pytest.raises(BackupError, match="cannot be read: No such file or directory"):
        push(tmp_path / FIRST, place, PLAIN)


@pytest.mark.parametrize("mounted", [True, False])
def test_push_makes_no_repository_where_none_is(tmp_path: Path, mounted: bool) -> None:  # noqa: FBT001 - a parameter
    """A disk that is not mounted leaves its empty folder: WAL in there would be gone with the next mount."""
    source, repository = a_file(tmp_path / "pg_wal"), tmp_path / "repository"
    if mounted:
        repository.mkdir()
    with pytest.raises(BackupError) as refused:
        push(source, repository / "main" / "wal", PLAIN)
    assert refused.value.why == "is no repository: it has no repository.json"
    assert (refused.value.trouble, refused.value.exit_status) == (Trouble.REPOSITORY, 3)
    assert list(repository.glob("*")) == []


def test_push_leaves_nothing_behind_when_a_program_fails(tmp_path: Path) -> None:
    """Its words are the reason."""
    place = a_place(tmp_path)
    programs = tmp_path / "programs"
    programs.mkdir()
    failing = programs / "zstd"
    failing.write_text("#!/bin/sh\nhead -c 1000 /dev/zero\necho 'zstd: no good' >&2\nexit 9\n")
    failing.chmod(0o755)
    with pytest.raises(BackupError, match="zstd: ended with status 9: zstd: no good"):
        push(a_file(tmp_path / "pg_wal"), place, Manner(compress="zstd", programs=[str(programs)]))
    assert names_in(place) == []


def test_push_says_which_program_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to install."""
    monkeypatch.setattr("backup.wal.manner._SEARCHED", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BackupError, match="zstd: is not on this machine") as refused:
        push(a_file(tmp_path / "pg_wal"), a_place(tmp_path), Manner(compress="zstd"))
    assert refused.value.hint == "apt install zstd"
    assert push(a_file(tmp_path / "pg_wal"), a_place(tmp_path), Manner()) == STORED  # the best there is: none


@pytest.mark.parametrize("compress", ["cat", "xz", "age", "zstd:best", "zstd:-9", "/bin/cat"])
def test_push_refuses_a_compression_that_no_fetch_would_know(compress: str, tmp_path: Path) -> None:
    """Though there is a program of the name: its output would lie there under the name of a plain segment."""
    place = a_place(tmp_path)
    with pytest.raises(BackupError) as refused:
        push(a_file(tmp_path / "pg_wal"), place, Manner(compress=compress))
    assert refused.value.reason == (
        f"compress: {compress!r} is none of none, gzip, lz4, zstd, with a level as in zstd:3"
    )
    assert refused.value.exit_status == 2
    assert names_in(place) == []


@pytest.mark.integration
@pytest.mark.parametrize("way", WAYS)
def test_push_leaves_nothing_behind_on_a_full_disk(way: str, small_disk: Path) -> None:
    """It says that there is no room, and the archiver counts a failure; with room again it goes on."""
    manner, _ = WAYS[way]
    place = small_disk / "main" / "wal"
    source = a_file(small_disk.parent / "pg_wal", content=a_segment(1)[:64] + os.urandom(SEGMENT_BYTES - 64))
    filler = small_disk / "filler"
    filler.write_bytes(bytes(3 * SEGMENT_BYTES // 2))
    with pytest.raises(BackupError) as refused:
        push(source, place, manner)
    assert (refused.value.trouble, refused.value.exit_status) == (Trouble.SPACE, 1)
    assert names_in(place) == []
    filler.unlink()
    assert push(source, place, manner) == STORED


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"{IMPOSSIBLE}no mount of a file system of its own")
    (disk / "repository.json").touch()
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_push_reports_a_read_only_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As such."""
    place = a_place(tmp_path, 1)

    def read_only(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(place))

    monkeypatch.setattr(pushing, "lay", read_only)
    with pytest.raises(BackupError) as refused:
        push(a_file(tmp_path / "pg_wal", 2), place, PLAIN)
    assert (refused.value.reason, refused.value.exit_status) == (f"{place}: Read-only file system", 3)


def test_push_that_loses_a_race_compares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two daemons, or a restart: whoever was quicker has stored it."""
    place = a_place(tmp_path)
    source = a_file(tmp_path / "pg_wal")
    real = os.link

    def slow(unfinished: str, name: str) -> None:
        if name.endswith(FIRST):
            (place / FIRST).write_bytes(source.read_bytes())
        real(unfinished, name)

    monkeypatch.setattr(os, "link", slow)
    assert push(source, place, PLAIN) == THERE
    assert names_in(place) == [FIRST]


def test_push_works_where_the_file_system_has_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on network shares; even there nothing is written over."""
    place = a_place(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    assert push(a_file(tmp_path / "pg_wal"), place, PLAIN) == STORED
    unfinished = place / "unfinished"
    unfinished.write_text("x")
    with pytest.raises(FileExistsError):
        places.appear(str(unfinished), str(place / FIRST))


def test_push_seals_and_knows_the_same_again_without_the_key(age: Manner, tmp_path: Path) -> None:
    """Whoever archives need not be able to read what was archived."""
    place = a_place(tmp_path)
    source = a_file(tmp_path / "pg_wal")
    keyless = Manner(compress="zstd", seal="age", recipients=age.recipients)
    assert [push(source, place, keyless), push(source, place, keyless)] == [STORED, THERE]
    assert names_in(place) == [f"{FIRST}.sha256", f"{FIRST}.zst.age"]
    source.write_bytes(a_segment(1, filling=b"other"))
    with pytest.raises(BackupError, match="is not the same"):
        push(source, place, keyless)
    (place / f"{FIRST}.sha256").unlink()
    with pytest.raises(BackupError, match="nobody said where its identity file is"):
        push(source, place, keyless)
    source.write_bytes(a_segment(1))
    assert push(source, place, age) == THERE


def test_push_of_a_clone_at_the_same_moment_is_refused_though_it_is_sealed(
    age: Manner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody can look into what is sealed: the note beside it must be of what lies there, whoever was quicker."""
    place = a_place(tmp_path)
    source = a_file(tmp_path / "pg_wal")
    clone = a_file(tmp_path / "clone", content=a_segment(1, filling=b"other rows"))
    keyless = Manner(compress="zstd", seal="age", recipients=age.recipients)
    real, refused = pushing._pack, []

    def beside(*asked: Any) -> None:  # noqa: ANN401 - as it is called
        monkeypatch.setattr(pushing, "_pack", real)
        with pytest.raises(BackupError) as busy:
            push(clone, place, keyless)
        refused.append((busy.value.why, busy.value.exit_status))
        real(*asked)

    monkeypatch.setattr(pushing, "_pack", beside)
    assert push(source, place, keyless) == STORED
    assert refused == [("another push of it is under way", 1)]
    monkeypatch.setattr(pushing, "stored", Late())  # it looked a moment before the other one was there
    with pytest.raises(BackupError, match="is not the same"):
        push(clone, place, keyless)
    assert push(source, place, keyless) == THERE


class Late:
    """Sees nothing the first time that it looks."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self, folder: str, plain: str) -> Named | None:
        """In the place of `stored`."""
        self.looks += 1
        return None if self.looks == 1 else stored(folder, plain)


def test_place_is_of_the_server_that_claimed_it_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two at the same moment: the one that was a little later is refused, and does not write over it."""
    place = a_place(tmp_path, 1)
    real = places.owner
    looks: list[str] = []

    def late(folder: str) -> tuple[str, int] | None:
        looks.append(folder)
        return real(folder) if len(looks) > 1 else None

    monkeypatch.setattr(places, "owner", late)
    other = a_file(tmp_path / "other", 2, content=a_segment(2, system=42))
    with pytest.raises(BackupError, match=f"is of another server: its system identifier is 42, not {SYSTEM}"):
        push(other, place, PLAIN)
    assert real(str(place)) == (str(SYSTEM), SEGMENT_BYTES)
    assert sorted(path.name for path in place.iterdir()) == [FIRST, "identity.json"]


def test_place_with_a_damaged_document_is_told(tmp_path: Path) -> None:
    """And nothing is pushed into it."""
    place = a_place(tmp_path, 1)
    for content, why in ((b"{", "is no JSON with keys"), (b"[]", "is no JSON with keys"), (b"{}", "names no server")):
        (place / "identity.json").write_bytes(content)
        with pytest.raises(BackupError, match=why):
            push(a_file(tmp_path / "pg_wal", 2), place, PLAIN)
    assert names_in(place) == [FIRST]
