import asyncio
import errno
import os
import resource
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository import durable, forms, listing, partials
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_draft, unheard
from tests.backup.repository.conftest import Make, brisk
from tests.backup.repository.test_repository import ID
from tests.builders import ManualClock
from tests.skips import IMPOSSIBLE
from toban.backups import DrillRecord, Manifest, Status, Trouble

SMALL_KILOBYTES = 512


class Disk:
    """A small disk of its own, in memory."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self.mount("-t", "tmpfs", "-o", f"size={SMALL_KILOBYTES}k", "tmpfs", str(place))

    @staticmethod
    def mount(*words: str) -> None:
        """Skips the test where that is not allowed."""
        done = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"{IMPOSSIBLE}{done.stderr.strip()}")

    def remount(self, how: str) -> None:
        """Read-only (`ro`) or writable (`rw`)."""
        self.mount("-o", f"remount,{how}", str(self.place))

    def unmount(self) -> None:
        """Away with it; an empty folder stays."""
        subprocess.run(["umount", str(self.place)], capture_output=True, check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A disk that is soon full, may become read-only, and can be taken away."""
    if os.geteuid() != 0:
        pytest.skip(f"{IMPOSSIBLE}mounting is root's")
    made = Disk(tmp_path / "disk")
    yield made
    made.unmount()


@pytest.fixture
async def on_disk(disk: Disk, around: Surroundings) -> Repository:
    """A repository that is the whole of that disk."""
    repository = Repository(disk.place, around=around, pause=brisk)
    await repository.open()
    return repository


async def filled(repository: Repository, fill: Callable[[Path], object]) -> None:
    """A backup that somebody fills."""
    async with repository.making(a_draft()) as partial:
        fill(partial.place)
        await partial.finish(partial.draft)


async def written(repository: Repository, kilobytes: int, name: str = "nightly") -> None:
    """A backup of so much."""
    async with repository.making(a_draft(name)) as partial:
        (partial.place / "a").write_bytes(os.urandom(kilobytes * 1024))
        await partial.finish(partial.draft)


@pytest.mark.integration
async def test_full_disk_leaves_nothing_half_made_and_says_so(on_disk: Repository) -> None:
    """A disk full in the middle: the backup before is whole, the half of this one is gone, and there is room again."""
    await written(on_disk, 200, "first")
    with pytest.raises(BackupError, match="No space left on device") as caught:
        await written(on_disk, 400)
    assert (caught.value.trouble, caught.value.hint) == (Trouble.SPACE, "make room there, or let it keep less")
    assert [(record.manifest.name, record.status) for record in on_disk.records()] == [
        ("nightly", Status.FAILED),
        ("first", Status.OK),
    ]
    assert on_disk.records()[0].trouble is Trouble.SPACE
    (whole,) = on_disk.records(name="first")
    assert all(check.ok for check in await on_disk.check_files(whole, unheard))
    await written(on_disk, 200, "second")


@pytest.mark.integration
async def test_disk_too_full_for_the_manifest_makes_no_backup(on_disk: Repository, disk: Disk) -> None:
    """The last few bytes count as well: without its manifest it is none, and the memory of it may be lost with it."""

    async def to_the_brim() -> None:
        async with on_disk.making(a_draft()) as partial:
            with (partial.place / "a").open("wb", buffering=0) as file, suppress(OSError):
                while True:
                    file.write(b"x" * 4096)
            await partial.finish(partial.draft)

    with pytest.raises(BackupError, match="No space left on device"):
        await to_the_brim()
    assert [record.status for record in on_disk.records() if record.status is not Status.FAILED] == []
    assert list((disk.place / "main" / "dump").iterdir()) == []


async def test_file_that_may_not_grow_makes_no_backup(repository: Repository, tmp_path: Path) -> None:
    """A limit on the size of files, as of a quota: what could not be written is no backup."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    source = tmp_path / "source"
    source.write_bytes(b"x" * 300_000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(BackupError, match="File too large") as caught:
            await filled(repository, lambda place: shutil.copy(source, place / "a"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert caught.value.trouble is Trouble.SPACE
    assert [record.status for record in repository.records()] == [Status.FAILED]
    assert list((repository.root / "main" / "dump").iterdir()) == []


@pytest.mark.integration
async def test_read_only_repository_is_read_and_nothing_is_claimed(
    on_disk: Repository, disk: Disk, around: Surroundings
) -> None:
    """Mounted read-only it lists, checks and gives back; whatever would write says what is wrong."""
    await written(on_disk, 10)
    (record,) = on_disk.records()
    disk.remount("ro")
    assert on_disk.records() == (record,)
    assert all(check.ok for check in await on_disk.check_files(record, unheard))
    reader = Repository(disk.place, around=around)
    await reader.open(create=False)
    assert reader.records() == (record,)
    for work in (
        Repository(disk.place, around=around).open(),
        written(on_disk, 1),
        on_disk.mark(record, lambda marks: marks),
        on_disk.remove(record, "too old"),
    ):
        with pytest.raises(BackupError, match="Read-only file system") as caught:
            await work
        assert (caught.value.trouble, caught.value.hint) == (Trouble.REPOSITORY, "mount it writable")
    with pytest.raises(BackupError, match="Read-only file system"):
        async with on_disk.turn("main", "backup"):
            pass
    assert on_disk.records() == (record,)


@pytest.mark.integration
async def test_repository_whose_disk_is_taken_away_is_gone_and_not_made_anew(on_disk: Repository, disk: Disk) -> None:
    """An unmounted disk leaves an empty folder: that is no repository without backups, and none is begun in it."""
    await written(on_disk, 10)
    (record,) = on_disk.records()
    disk.unmount()
    for work in (
        on_disk.open(),
        written(on_disk, 1),
        on_disk.mark(record, lambda marks: marks),
        asyncio.to_thread(on_disk.records),
    ):
        with pytest.raises(BackupError, match=r"is no repository|there is no such folder") as caught:
            await work
        assert (caught.value.trouble, caught.value.hint) == (Trouble.REPOSITORY, "is it mounted?")
        assert caught.value.exit_status == 3
    with pytest.raises(BackupError, match=r"is no repository|there is no such folder"):
        async with on_disk.turn("main", "backup"):
            pass
    with pytest.raises(BackupError, match=r"is no repository|there is no such folder"):
        await on_disk.check_files(record, unheard)  # that is no damage of the backup
    assert list(disk.place.iterdir()) == [], "nothing is written to where it was"


async def test_repository_that_goes_away_while_a_backup_is_made_takes_it_along(
    repository: Repository, tmp_path: Path
) -> None:
    """The error says so, and the attempt that cannot be written down is no second error."""
    with pytest.raises(BackupError, match="No such file or directory") as caught:
        await filled(repository, lambda _: repository.root.rename(tmp_path / "away"))
    assert (caught.value.trouble, caught.value.hint) == (Trouble.REPOSITORY, "is it mounted?")
    with pytest.raises(BackupError, match="there is no such folder"):
        repository.records()


async def test_what_a_file_system_found_is_no_target(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lost+found` is root's alone: whoever is not root could list nothing."""
    record = await make()
    (repository.root / "lost+found" / "dump" / ID).mkdir(parents=True)
    genuine = os.scandir

    def closed(path: Path) -> object:
        if "lost+found" in str(path):
            raise PermissionError(errno.EACCES, "Permission denied")
        return genuine(path)

    monkeypatch.setattr(os, "scandir", closed)
    assert repository.records() == (record,)


async def test_manifest_that_is_readable_again_is_read_again(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too many open files for a moment: that is not remembered, and until then the backup is nobody's to remove."""
    record = await make()
    genuine = forms.read_manifest

    def broken(*_: object) -> Manifest:
        raise OSError(errno.EMFILE, "Too many open files")

    fresh = Repository(repository.root, around=repository.around)
    monkeypatch.setattr(listing, "read_manifest", broken)
    (found,) = fresh.records()
    assert (found.status, found.trouble) == (Status.DAMAGED, Trouble.REPOSITORY)
    assert found.reason == "its manifest.json cannot be read: Too many open files"
    monkeypatch.setattr(listing, "read_manifest", genuine)
    assert fresh.records() == (record,)


@pytest.mark.integration
async def test_full_disk_is_made_room_on(on_disk: Repository, disk: Disk) -> None:
    """No byte is left for saying whose turn it is: the kernel's lock says it, and what may go can go."""
    await written(on_disk, 100)
    (record,) = on_disk.records()
    await on_disk.mark(record, lambda marks: marks)
    with (disk.place / "ballast").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    other = Repository(disk.place, around=on_disk.around, pause=brisk)
    async with on_disk.turn("main", "prune"):
        with pytest.raises(BackupError, match="somebody unknown is at work there"):
            async with other.turn("main", "prune"):
                pass
        await on_disk.remove(record, "too old")
    assert on_disk.records() == ()
    await written(on_disk, 50, "second")


async def test_backup_that_could_not_be_synced_at_its_end_is_none(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk fails at the very last sync, after the rename: what may not last is taken back."""
    genuine = durable.rename_durably

    def failing(old: Path, new: Path) -> None:
        genuine(old, new)
        if new.name == ID:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(partials, "rename_durably", failing)
    with pytest.raises(BackupError, match="Input/output error"):
        await written(repository, 1)
    assert [record.status for record in repository.records()] == [Status.FAILED]
    assert list((repository.root / "main" / "dump").iterdir()) == []


async def test_backup_of_the_same_id_is_never_replaced(repository: Repository) -> None:
    """Should a whole backup appear under the same name meanwhile, it stays, and ours has failed."""

    def fill(place: Path) -> None:
        (place / "a").write_bytes(b"ours")
        theirs = place.with_name(ID)
        theirs.mkdir()
        (theirs / "manifest.json").write_bytes(b"theirs")

    with pytest.raises(BackupError, match="is there already"):
        await filled(repository, fill)
    assert (repository.root / "main" / "dump" / ID / "manifest.json").read_bytes() == b"theirs"
    assert not (repository.root / "main" / "dump" / f"{ID}.partial").exists()


async def test_clock_that_jumped_back_makes_backups_all_the_same(
    repository: Repository, make: Make, manual_clock: ManualClock
) -> None:
    """Set back by a year, the next backup is whole, listed by its time, and nothing that was there is touched."""
    first = await make(a_draft(at=manual_clock.now()))
    manual_clock.jump(-365 * 86400)
    second = await make(a_draft(at=manual_clock.now()))
    assert repository.records() == (first, second)
    manual_clock.jump(365 * 86400)
    third = await make(a_draft(at=manual_clock.now()))
    assert repository.records() == (third, first, second)


async def test_file_system_without_folder_syncs_is_used_all_the_same(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some say that a folder cannot be synced; an error of the disk is one."""
    genuine = os.fsync

    def refusing(number: int) -> Callable[[int], None]:
        def fsync(handle: int) -> None:
            if stat.S_ISDIR(os.fstat(handle).st_mode):
                raise OSError(number, os.strerror(number))
            genuine(handle)

        return fsync

    monkeypatch.setattr(os, "fsync", refusing(errno.EINVAL))
    assert (await make()).status is Status.OK
    monkeypatch.setattr(os, "fsync", refusing(errno.EIO))
    with pytest.raises(BackupError, match="Input/output error"):
        await make()


async def test_disk_that_fails_is_said_whatever_was_asked(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marking, keeping a drill, listing, opening: each says what the disk said, and none takes it for emptiness."""
    record = await make()
    drill = DrillRecord(id="x", name="x", target="main", backup="x", at=1, wanted="latest", ok=True)

    def broken(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", broken)
        for work in (repository.mark(record, lambda marks: marks), repository.keep_drill(drill)):
            with pytest.raises(BackupError, match="Input/output error") as caught:
                await work
            assert (caught.value.trouble, caught.value.hint) == (Trouble.REPOSITORY, "look at the disk")
        await repository.keep_attempt(a_draft(), TimeoutError())
    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", broken)
        with pytest.raises(BackupError, match="Input/output error"):
            repository.records()
        assert (await repository.check_files(record, unheard))[1].ok is False
    assert repository.records() == (record,)
    (repository.root / "repository.json").unlink()
    (repository.root / "repository.json").mkdir()
    with pytest.raises(BackupError, match="Is a directory"):
        repository.records()


async def test_manifest_without_an_end_is_not_read(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever somebody puts in its place, no more than a bound of it is read."""
    record = await make()
    monkeypatch.setattr(forms, "MOST_BYTES", 100)
    (Path(record.place) / "marks.json").write_text("x")
    (found,) = repository.records()
    assert (found.status, found.reason) == (Status.DAMAGED, "its manifest.json is larger than 100 bytes")


async def test_whole_backup_of_another_is_no_half_of_ours(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A making that fails before it began takes nothing away, least of all a whole backup by the same id."""
    record = await make()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(partials, "write_durably", full)
    monkeypatch.setattr(Repository, "_ids", lambda _: set())
    with pytest.raises(BackupError, match="No space left on device"):
        await written(repository, 1)
    assert repository.records(target="main")[0] == record
    assert all(check.ok for check in await repository.check_files(record, unheard))
