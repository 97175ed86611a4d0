import asyncio
import json
import os
import stat
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.repository.layout import backup_id
from backup.repository.repository import Repository
from tests.backup.repository.builders import a_base, a_draft, unheard
from tests.backup.repository.conftest import Make
from tests.builders import START, ManualClock
from toban.backups import (
    BackupRecord,
    Method,
    Status,
    StoredFile,
    TableRows,
    Trouble,
)
from toban.errors import NotFoundError, UsageError

ID = "20261118T110640Z-nightly"  # of START


def tree(root: Path) -> dict[str, int]:
    """Everything below a folder, with its mode."""
    return {str(path.relative_to(root)): stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}


async def test_repository_describes_itself_and_is_closed_to_others(repository: Repository) -> None:
    """A new repository is 0700, and says what it is and how data is got out of it by hand."""
    said = json.loads((repository.root / "repository.json").read_text())
    assert (said["format"], said["identity"]) == (1, repository.identity)
    assert any("pg_restore" in line for line in said["restore_by_hand"])
    assert stat.S_IMODE(repository.root.stat().st_mode) == 0o700
    assert set(tree(repository.root).values()) == {0o700, 0o600}
    assert repository.records() == ()


async def test_backup_lies_where_the_contract_says(repository: Repository, make: Make) -> None:
    """One folder by target, method and id; modes 0700 and 0600; size and SHA-256 of each file in the manifest."""
    os.umask(0)
    try:
        record = await make(a_draft(tag="emergency", rows=(TableRows(database="a", schema="s", table="t", rows=3),)))
    finally:
        os.umask(0o022)
    assert record.id == ID
    assert record.place == str(repository.root / "main" / "dump" / ID)
    said = json.loads((Path(record.place) / "manifest.json").read_text())
    assert said["files"] == [
        {
            "path": "1-app.dump",
            "size_bytes": 24,
            "sha256": "df53fbdba618b70f7ce7554d97534d008006be2ae29ff5ee74fe163088acbc42",
        }
    ]
    assert (said["tag"], said["size_bytes"], said["created"]) == ("emergency", 24, "2026-11-18T11:06:40+00:00")
    assert said["rows"] == [{"database": "a", "schema": "s", "table": "t", "rows": 3, "exact": True}]
    assert set(tree(repository.root).values()) == {0o700, 0o600}
    assert repository.records() == (record,)


async def test_backup_keeps_names_of_every_kind(repository: Repository, make: Make) -> None:
    """Files and folders named with quotes, spaces, Japanese and line breaks are stored, listed and checked."""
    record = await make(**{"受注 'x' \"y\"/表\n1.dump": b"abc", "z": b""})
    assert {file.path for file in record.manifest.files} == {"受注 'x' \"y\"/表\n1.dump", "z"}
    assert [check.ok for check in await repository.check_files(record, unheard)] == [True] * 5


async def test_digests_that_are_known_are_believed_where_the_size_agrees(repository: Repository) -> None:
    """A digest computed while writing is not computed again; one of another size stops the backup."""
    known = StoredFile(path="a", size_bytes=3, sha256="f" * 64)
    async with repository.making(a_draft()) as partial:
        (partial.place / "a").write_bytes(b"abc")
        record = await partial.finish(partial.draft, {"a": known})
    assert record.manifest.files == (known,)

    async def made_of(name: str) -> None:
        async with repository.making(a_draft()) as partial:
            (partial.place / name).write_bytes(b"ab")
            await partial.finish(partial.draft, {"a": known})

    with pytest.raises(BackupError, match="a has 2 bytes, and 3 were written") as caught:
        await made_of("a")
    assert caught.value.trouble is Trouble.DAMAGED
    with pytest.raises(BackupError, match="a was written and is gone"):
        await made_of("b")


@pytest.mark.parametrize(
    ("fill", "why"),
    [
        (lambda _: None, "there is nothing in it"),
        (lambda place: (place / "manifest.json").write_text("{}"), "manifest.json is a name that is not the engine's"),
        (lambda place: (place / "link").symlink_to("/etc/passwd"), "is neither a file nor a folder"),
        (lambda place: os.mkfifo(place / "pipe"), "is neither a file nor a folder"),
    ],
)
async def test_backup_of_the_wrong_things_is_refused(
    repository: Repository, fill: Callable[[Path], object], why: str
) -> None:
    """Nothing, our own names, links and pipes make no backup, and nothing of it stays."""

    async def made() -> None:
        async with repository.making(a_draft()) as partial:
            fill(partial.place)
            await partial.finish(partial.draft)

    with pytest.raises(BackupError, match=why):
        await made()
    assert list((repository.root / "main" / "dump").iterdir()) == []
    assert [record.status for record in repository.records()] == [Status.FAILED]


@pytest.mark.parametrize(
    ("error", "trouble", "reason"),
    [
        (
            BackupError("pg_dump", "no room", "make some", trouble=Trouble.SPACE),
            Trouble.SPACE,
            "pg_dump: no room (make some)",
        ),
        (asyncio.CancelledError(), Trouble.CANCELLED, "it was stopped before it was done"),
        (TimeoutError(), Trouble.TIMEOUT, "it was not done within its time"),
        (OSError(28, "No space left on device", "/x"), Trouble.SPACE, "/x: No space left on device (make room there"),
        (ZeroDivisionError("secret"), Trouble.INTERNAL, "a fault of Toban's own: ZeroDivisionError"),
    ],
)
async def test_failed_backup_leaves_an_attempt_and_nothing_else(
    repository: Repository, error: BaseException, trouble: Trouble, reason: str
) -> None:
    """Whatever ends a making, the half-made files are gone, and the list says when it failed and why."""

    async def made() -> None:
        async with repository.making(a_draft(tag="x")) as partial:
            (partial.place / "a").write_bytes(b"abc")
            raise error

    with pytest.raises((type(error), BackupError)):
        await made()
    (record,) = repository.records()
    assert (record.id, record.status, record.trouble, record.manifest.tag) == (ID, Status.FAILED, trouble, "x")
    assert record.reason.startswith(reason)
    assert "secret" not in record.reason
    assert list((repository.root / "main" / "dump").iterdir()) == []
    assert not list((repository.root / ".toban" / "making").rglob("*.*"))


async def test_making_that_is_not_finished_has_failed(repository: Repository) -> None:
    """An engine that forgets to finish has made nothing; one that finishes twice is told."""

    async def forgotten() -> None:
        async with repository.making(a_draft()) as partial:
            (partial.place / "a").write_bytes(b"abc")

    with pytest.raises(BackupError, match="was not finished"):
        await forgotten()
    async with repository.making(a_draft()) as partial:
        (partial.place / "a").write_bytes(b"abc")
        await partial.finish(partial.draft)
        with pytest.raises(BackupError, match="is finished already"):
            await partial.finish(partial.draft)


async def test_error_after_the_end_leaves_the_backup(repository: Repository) -> None:
    """What goes wrong once a backup is whole does not take it away, and is no failed attempt."""

    async def made() -> None:
        async with repository.making(a_draft()) as partial:
            (partial.place / "a").write_bytes(b"abc")
            await partial.finish(partial.draft)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await made()
    assert [(record.id, record.status) for record in repository.records()] == [(ID, Status.OK)]


async def test_backup_under_way_is_listed_as_running(repository: Repository, around: Surroundings) -> None:
    """While it is made it is listed as running, by its maker and by others; its folder's name is no backup's."""
    async with repository.making(a_draft(tag="x")) as partial:
        (partial.place / "a").write_bytes(b"abc")
        assert partial.place.name == f"{ID}.partial"
        for one in (repository, Repository(repository.root, around=around)):
            (record,) = one.records()
            assert (record.id, record.status, record.manifest.tag) == (ID, Status.RUNNING, "x")
            assert record.belief is None
        (record,) = repository.records()
        with pytest.raises(BackupError, match="is being made"):
            await repository.remove(record, "by mistake")
        with pytest.raises(BackupError, match="is no backup that could be marked"):
            await repository.mark(record, lambda marks: marks)
        await partial.finish(partial.draft)


async def test_draft_that_cannot_be_read_is_running_all_the_same(repository: Repository) -> None:
    """What runs is shown by its folder's name where its draft says nothing."""
    async with repository.making(a_draft()) as partial:
        (repository.root / ".toban" / "making" / "main" / "dump" / f"{ID}.json").write_text("{")
        (record,) = repository.records()
        assert (record.id, record.manifest.name, record.manifest.created_at) == (ID, "nightly", START)
        (partial.place / "a").write_bytes(b"abc")
        await partial.finish(partial.draft)


async def test_ids_of_one_second_wait_for_each_other(tmp_path: Path, around: Surroundings) -> None:
    """The second and third backup of a second take the next two, each after waiting for it."""
    waited: list[float] = []

    async def pause(seconds: float) -> None:
        waited.append(seconds)
        await asyncio.sleep(0 if seconds < 5 else 3600)

    repository = Repository(tmp_path / "r", around=around, pause=pause)
    await repository.open()
    for _ in range(3):
        async with repository.making(a_draft(at=START + 0.9)) as partial:
            (partial.place / "a").write_bytes(partial.id.encode())
            await partial.finish(partial.draft)
    ids = [record.id for record in repository.records()]
    assert ids == [backup_id("nightly", START + later) for later in (2, 1, 0)]
    assert [seconds for seconds in waited if seconds < 5] == [1.0, 2.0]


async def test_id_of_a_failed_attempt_is_taken_too(repository: Repository, make: Make) -> None:
    """A second try within the same second does not replace the memory of the first."""
    with pytest.raises(ZeroDivisionError):
        async with repository.making(a_draft()):
            raise ZeroDivisionError
    record = await make()
    assert [one.status for one in repository.records()] == [Status.OK, Status.FAILED]
    assert record.id == backup_id("nightly", START + 1)


async def test_backup_lasts_as_long_as_it_took_when_the_clock_jumps(
    repository: Repository, manual_clock: ManualClock
) -> None:
    """A clock set back in the middle makes no negative duration, one set forward no long one."""
    for jump in (-86400.0, 86400.0):
        async with repository.making(a_draft(at=manual_clock.now())) as partial:
            (partial.place / "a").write_bytes(b"x")
            manual_clock.advance(90)
            manual_clock.jump(jump)
            record = await partial.finish(partial.draft)
        assert record.manifest.duration_seconds == pytest.approx(90, abs=1e-3)


async def test_records_are_chosen_and_newest_first(repository: Repository, make: Make) -> None:
    """By target, job and method; the newest first whatever the order they were made in."""
    for name, at, target in (("b", 20.0, "main"), ("a", 10.0, "main"), ("c", 30.0, "shop")):
        await make(a_draft(name, at=START + at, target=target))
    base = await make(a_base(at=START + 5))
    assert [one.manifest.name for one in repository.records()] == ["c", "b", "a", "base"]
    assert [one.manifest.name for one in repository.records(target="main")] == ["b", "a", "base"]
    assert repository.records(method=Method.BASE) == (base,)
    assert repository.records(name="a", target="shop") == ()


async def test_record_is_found_by_its_beginning(repository: Repository, make: Make) -> None:
    """As much of an id as is no other's; a whole one even where another begins with it; else who it could be."""
    for name in ("nightly", "nightly2"):
        await make(a_draft(name))
    assert repository.record(ID).id == ID
    assert repository.record(f"{ID}2").id == f"{ID}2"
    with pytest.raises(UsageError, match=f"could be 2 of them: main/dump/{ID}"):
        repository.record("20261118")
    for nothing in ("2025", ""):
        with pytest.raises(NotFoundError, match="there is none in"):
            repository.record(nothing)


async def test_lineage_leads_back_to_the_full_one(repository: Repository, make: Make) -> None:
    """Parents come first; a missing one, or a circle, is said by its id."""
    full = await make(a_base(at=START))
    first = await make(a_base("daily", at=START + 10, parent=full.id))
    second = await make(a_base("daily", at=START + 20, parent=first.id))
    assert repository.lineage(second) == (full, first, second)
    await repository.remove(full, "by mistake")
    with pytest.raises(BackupError, match=f"{first.id}: builds on {full.id}, which is not there") as caught:
        repository.lineage(second)
    assert caught.value.trouble is Trouble.MISSING
    await repository.keep_attempt(replace(full.manifest, files=()), TimeoutError())
    with pytest.raises(BackupError, match="which is not there"):
        repository.lineage(second)  # what is remembered of a failure is no backup
    circle = await make(a_base("circle", at=START + 30, parent=backup_id("circle", START + 30)))
    with pytest.raises(BackupError, match="builds on"):
        repository.lineage(circle)


async def test_removed_backup_is_gone_at_once(repository: Repository, make: Make) -> None:
    """Removing takes the folder; of a failed one it takes the memory; removing twice is no matter."""
    record = await make()
    await repository.remove(record, "too old")
    await repository.remove(record, "again")
    with pytest.raises(ZeroDivisionError):
        async with repository.making(a_draft("other")):
            raise ZeroDivisionError
    (failed,) = repository.records()
    await repository.remove(failed, "read")
    assert repository.records() == ()
    assert list((repository.root / "main" / "dump").iterdir()) == []
    with pytest.raises(BackupError, match="is no backup that could be marked"):
        await repository.mark(record, lambda marks: marks)


@pytest.mark.parametrize("name", [".toban", "..", "", "a/b", "x.partial", "x.removing"])
async def test_names_that_mean_something_else_are_refused(repository: Repository, name: str) -> None:
    """No target or job can be called like our own folders, or lead out of the repository."""
    for draft in (a_draft(target=name), a_draft(name)):
        with pytest.raises(BackupError, match="cannot be the name of a folder") as caught:
            async with repository.making(draft):
                pass
        assert caught.value.trouble is Trouble.CONFIGURATION
    with pytest.raises(BackupError, match="cannot be the name of a folder"):
        repository.wal_place(name)


async def test_wal_place_is_where_the_contract_says(repository: Repository) -> None:
    """WAL of a target lies beside its backups, and is none of them."""
    place = repository.wal_place("main")
    assert place == repository.root / "main" / "wal"
    place.mkdir(parents=True)
    (place / "000000010000000000000001").write_bytes(b"x")
    (repository.root / "main" / "files" / "restic" / "data").mkdir(parents=True)
    (repository.root / "lost+found").mkdir()
    assert repository.records() == ()


async def test_repository_is_read_by_somebody_who_only_looks(
    repository: Repository, make: Make, around: Surroundings
) -> None:
    """Opened for reading it lists and checks, makes nothing, and does not write."""
    record = await make()
    reader = Repository(repository.root, around=around)
    await reader.open(create=False)
    assert (reader.identity, reader.records()) == (repository.identity, (record,))
    with pytest.raises(BackupError, match="is open for reading only"):
        async with reader.making(a_draft()):
            pass
    with pytest.raises(BackupError, match="is open for reading only"):
        await reader.sweep()


async def test_list_reads_only_what_has_changed(
    repository: Repository, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup that nobody touched is read once, however often it is listed."""
    from backup.repository import listing  # noqa: PLC0415 - to count its readings

    reads: list[str] = []
    genuine = listing.record_of

    def counted(folder: listing.Folder) -> BackupRecord:
        reads.append(folder.name)
        return genuine(folder)

    monkeypatch.setattr(listing, "record_of", counted)
    first, second = await make(a_draft("a")), await make(a_draft("b"))
    for _ in range(3):
        assert len(repository.records()) == 2
    assert sorted(reads) == sorted([first.id, second.id])
    await repository.mark(first, lambda marks: replace(marks, pinned="x"))
    assert [one.marks.pinned for one in repository.records()] == [None, "x"]
    assert len(reads) == 3
