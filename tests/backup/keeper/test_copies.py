"""Second places are kept up with the repository."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.keeping.happenings import Kind
from backup.repository.holds import holds_on
from backup.settings import Copy
from tests.backup.keeper.conftest import NewBench
from tests.backup.keeper.records import DAY, a_job
from toban.backups import Method, Status, Trouble


def there(place: Path) -> set[str]:
    """The backups in a copy."""
    return {path.name for path in place.glob("main/dump/*")}


async def test_backup_goes_to_its_copies_and_the_marks_say_when(new_bench: NewBench, tmp_path: Path) -> None:
    """To all where it names none; with what was found of it here."""
    nas = Copy(name="nas", path=tmp_path / "nas")
    bench = await new_bench(a_job(nice=0), a_job("local", nice=0, copies=()), copies=(nas,))
    record = await bench.keeper.run("nightly", bench.tell)
    assert there(tmp_path / "nas") == {record.id}
    assert dict(record.marks.copies) == {"nas": bench.clock.now()}
    bench.clock.advance(60)
    await bench.keeper.run("local", bench.tell)
    assert there(tmp_path / "nas") == {record.id}


async def test_copy_that_cannot_be_reached_fails_no_backup_and_is_caught_up(
    new_bench: NewBench, tmp_path: Path
) -> None:
    """It is told, and sent as soon as it is there."""
    (tmp_path / "nas").write_text("a file where a folder is expected")
    nas = Copy(name="nas", path=tmp_path / "nas")
    bench = await new_bench(a_job(nice=0), copies=(nas,))
    record = await bench.keeper.run("nightly", bench.tell)
    assert (record.status, dict(record.marks.copies)) == (Status.OK, {})
    assert [(one.kind, one.sentence[:9]) for one in bench.heard] == [(Kind.FAILED, "copy nas:")]
    assert len(await bench.keeper.catch_up(bench.tell)) == 1
    (tmp_path / "nas").unlink()
    assert await bench.keeper.catch_up(bench.tell) == ()
    assert there(tmp_path / "nas") == {record.id}
    assert list((await bench.keeper.records())[0].marks.copies) == ["nas"]


async def test_copy_that_somebody_has_emptied_gets_the_newest_again(new_bench: NewBench, tmp_path: Path) -> None:
    """The marks say that it is there: the disk was replaced. What is read for it is let go by nobody meanwhile."""
    nas = Copy(name="nas", path=tmp_path / "nas")
    bench = await new_bench(a_job(nice=0), copies=(nas,))
    await bench.keeper.run("nightly", bench.tell)
    bench.clock.advance(60)
    newest = await bench.keeper.run("nightly", bench.tell)
    shutil.rmtree(tmp_path / "nas" / "main")
    seen: list[int] = []
    told = lambda _: seen.append(len(holds_on(bench.root, newest)))  # noqa: E731 - said once
    assert await bench.keeper.catch_up(told) == ()
    assert there(tmp_path / "nas") == {newest.id}
    assert set(seen) == {1}


async def test_copy_learns_of_a_pin_before_its_own_retention_lets_go(new_bench: NewBench, tmp_path: Path) -> None:
    """What a person wants kept is kept in every place, and let go in every place."""
    usb = Copy(name="usb", path=tmp_path / "usb", keep={"for": "1d", "at_least": 1})
    bench = await new_bench(a_job(nice=0, keep={"for": "90d", "at_least": 1}), copies=(usb,))
    ids = []
    for _ in range(2):
        ids.append((await bench.keeper.run("nightly", bench.tell)).id)
        bench.clock.advance(8 * DAY)
    oldest = (await bench.keeper.records())[-1]
    for pinned, expected in (("audit", set(ids)), (None, {ids[1]})):
        await bench.keeper.repository.mark(oldest, lambda marks, why=pinned: replace(marks, pinned=why))  # type: ignore[misc] # bound at once
        assert await bench.keeper.catch_up(bench.tell) == ()
        assert there(tmp_path / "usb") == expected


async def test_copy_has_its_own_retention(new_bench: NewBench, tmp_path: Path) -> None:
    """What goes here may stay there, and the other way round."""
    nas = Copy(name="nas", path=tmp_path / "nas", keep={"for": "30d", "at_least": 1})
    usb = Copy(name="usb", path=tmp_path / "usb", keep={"for": "1d", "at_least": 1})
    bench = await new_bench(a_job(nice=0, keep={"for": "7d", "at_least": 1}), copies=(nas, usb))
    ids = []
    for _ in range(3):
        ids.append((await bench.keeper.run("nightly", bench.tell)).id)
        bench.clock.advance(8 * DAY)
    await bench.keeper.prune()
    assert await bench.keeper.catch_up(bench.tell) == ()
    assert bench.names == {ids[2]}
    assert there(tmp_path / "nas") == set(ids)
    assert there(tmp_path / "usb") == {ids[2]}


async def test_nothing_goes_from_a_copy_while_the_newest_attempts_fail(new_bench: NewBench, tmp_path: Path) -> None:
    """The failures are written down here alone, and count there as well."""
    usb = Copy(name="usb", path=tmp_path / "usb", keep={"for": "1d", "at_least": 1})
    bench = await new_bench(a_job(nice=0, keep={"for": "90d", "at_least": 1}), copies=(usb,))
    first = await bench.keeper.run("nightly", bench.tell)
    bench.clock.advance(8 * DAY)
    second = await bench.keeper.run("nightly", bench.tell)
    bench.clock.advance(8 * DAY)
    bench.engine.acts = [BackupError("pg_dump", "was refused", trouble=Trouble.PRIVILEGE)]
    with pytest.raises(BackupError):
        await bench.keeper.run("nightly", bench.tell)
    assert await bench.keeper.catch_up(bench.tell) == ()
    assert there(tmp_path / "usb") == {first.id, second.id}
    bench.clock.advance(60)
    third = await bench.keeper.run("nightly", bench.tell)
    assert await bench.keeper.catch_up(bench.tell) == ()
    assert there(tmp_path / "usb") == {third.id}


async def test_nothing_is_asked_of_copies_that_there_are_not(new_bench: NewBench) -> None:
    """None configured."""
    assert await (await new_bench()).keeper.catch_up(print) == ()


@pytest.mark.parametrize("keeps", [True, False])
async def test_wal_follows_to_the_copy_where_its_job_says_so(new_bench: NewBench, tmp_path: Path, keeps: bool) -> None:  # noqa: FBT001 - expected
    """Archived files go along; without a base backup none of it is let go."""
    nas = Copy(name="nas", path=tmp_path / "nas")
    wal = a_job("wal", method=Method.WAL, copies=("nas",) if keeps else ())
    bench = await new_bench(a_job(nice=0), wal, copies=(nas,))
    place = bench.root / "main" / "wal"
    place.mkdir(parents=True)
    (place / "000000010000000000000001").write_bytes(b"w" * 1024)
    assert await bench.keeper.catch_up(bench.tell) == ()
    found = {path.name for path in (tmp_path / "nas").glob("main/wal/*")}
    assert found == ({"000000010000000000000001"} if keeps else set())
