"""The keeper when something goes wrong: what stays, what is told, what is never taken for a backup."""

import asyncio
import errno
from dataclasses import replace
from pathlib import Path

import pytest

from backup.engines.contract import Estimate, Making
from backup.errors import BackupError
from backup.keeping.happenings import Happening, Kind
from backup.keeping.making import beside
from backup.space import Room
from tests.backup.keeper.conftest import GB, Bench, NewBench, attempts, run
from tests.backup.keeper.records import DAY, a_job
from toban.backups import Belief, Check, Method, Status, Trouble

LOCKED = BackupError("table t", "is locked by another session", trouble=Trouble.LOCKED)
REFUSED = BackupError("role toban", "may not read table t", "grant it", trouble=Trouble.PRIVILEGE)


async def test_failed_backup_leaves_a_sentence_and_nothing_else(bench: Bench) -> None:
    """In the list, and for whoever listens: an alert and its messages."""

    async def half(making: Making) -> None:
        (making.place / "half").write_text("half of it")
        raise REFUSED

    bench.engine.acts = [half]
    with pytest.raises(BackupError) as failed:
        await run(bench)
    assert failed.value is REFUSED
    sentence = "role toban: may not read table t (grant it)"
    assert await attempts(bench) == [(Status.FAILED, Trouble.PRIVILEGE, sentence)]
    assert bench.heard == [Happening(kind=Kind.FAILED, target="main", subject="nightly", sentence=sentence)]
    assert bench.names == set()
    assert bench.paused == []


async def test_backup_that_will_not_fit_is_not_begun(bench: Bench) -> None:
    """By the estimate; the engine was never asked to make it."""
    bench.engine.estimates = [Estimate(size_bytes=9 * GB)]
    with pytest.raises(BackupError) as failed:
        await run(bench)
    assert failed.value.trouble is Trouble.SPACE
    assert failed.value.why == "no space left: it needs about 9 GB, and of 9 GB free 1 GB are to stay free"
    assert bench.engine.made == []
    assert [trouble for _, trouble, _ in await attempts(bench)] == [Trouble.SPACE]


async def test_space_that_goes_in_the_middle_ends_the_backup(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the floor is used up; nothing of it stays, and its work has ended when this is told."""
    monkeypatch.setattr("backup.space.WATCH_SECONDS", 0.005)
    bench.rooms += [Room(free_bytes=9 * GB, total_bytes=10 * GB), Room(free_bytes=GB // 2, total_bytes=10 * GB)]
    ended: list[str] = []

    async def for_ever(making: Making) -> None:
        (making.place / "half").write_text("half of it")
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            ended.append(making.place.name)

    bench.engine.acts = [for_ever]
    with pytest.raises(BackupError) as failed:
        await run(bench)
    assert failed.value.why == "no space left: 512 MB free, of which 1 GB are to stay free"
    assert len(ended) == 1
    assert bench.names == set()


async def test_work_is_over_when_its_watcher_has_ended_it() -> None:
    """However long it takes to part: what it writes afterwards would lie where something else is by then."""
    parted: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(50):
                await asyncio.sleep(0)
            parted.append("work")

    async def watcher() -> None:
        await asyncio.sleep(0)
        raise BackupError("repository", "no space left", trouble=Trouble.SPACE)

    with pytest.raises(BackupError, match="no space left"):
        await beside(work(), watcher())
    assert parted == ["work"]


async def test_repository_that_is_gone_when_it_is_asked_for_room_is_told(bench: Bench) -> None:
    """As that, and not as a fault of ours."""

    def gone(_: Path) -> Room:
        raise FileNotFoundError(2, "No such file or directory")

    bench.keeper.tools = type(bench.keeper.tools)(
        **{name: getattr(bench.keeper.tools, name) for name in ("engine_for", "engine_of", "pause")}, look=gone
    )
    with pytest.raises(BackupError) as failed:
        await run(bench)
    assert (failed.value.trouble, failed.value.why) == (Trouble.REPOSITORY, "No such file or directory")


async def test_backup_that_takes_too_long_is_ended(new_bench: NewBench) -> None:
    """With its time limit as the reason."""
    bench = await new_bench(a_job(nice=0, timeout=0.02))

    async def for_ever(_: Making) -> None:
        await asyncio.Event().wait()

    bench.engine.acts = [for_ever]
    with pytest.raises(BackupError) as failed:
        await run(bench)
    assert (failed.value.trouble, failed.value.why) == (Trouble.TIMEOUT, "not done within 20ms")
    assert [trouble for _, trouble, _ in await attempts(bench)] == [Trouble.TIMEOUT]
    assert bench.names == set()


async def test_time_limit_of_the_engine_itself_is_not_taken_for_ours(bench: Bench) -> None:
    """It is a fault, and kept as one."""
    bench.engine.acts = [TimeoutError("inner")]
    with pytest.raises(TimeoutError, match="inner"):
        await run(bench)
    assert [trouble for _, trouble, _ in await attempts(bench)] == [Trouble.TIMEOUT]
    assert [one.sentence for one in bench.heard] == ["a fault of Toban's own: TimeoutError"]


async def test_cancelled_backup_leaves_nothing_half_made(bench: Bench) -> None:
    """As at SIGTERM: the attempt is kept as one that we ended, and is no failure that anybody is told of."""
    begun = asyncio.Event()

    async def for_ever(making: Making) -> None:
        (making.place / "half").write_text("half of it")
        begun.set()
        await asyncio.Event().wait()

    bench.engine.acts = [for_ever]
    task = asyncio.create_task(run(bench))
    await asyncio.wait_for(begun.wait(), 60)
    assert list(bench.keeper.under_way.runs) == ["nightly"]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [(status, trouble) for status, trouble, _ in await attempts(bench)] == [(Status.FAILED, Trouble.CANCELLED)]
    assert (bench.names, bench.heard, bench.keeper.under_way.runs) == (set(), [], {})


async def test_what_a_dead_maker_left_is_swept_before_there_is_more(bench: Bench) -> None:
    """And is in the list as what it was."""
    left = bench.root / "main" / "dump" / "20261101T020000Z-nightly.partial"
    left.mkdir(parents=True)
    (left / "half").write_text("half of it")
    record = await run(bench)
    assert bench.names == {record.id}
    assert [(status, trouble) for status, trouble, _ in await attempts(bench)] == [
        (Status.FAILED, Trouble.CANCELLED),
        (Status.OK, None),
    ]


async def test_backup_that_proves_damaged_is_told_and_returned_as_it_was_found(bench: Bench) -> None:
    """Whoever asked sees it, and everybody else is told."""
    bench.engine.looks = [(Check(name="restore list", ok=False, detail="cut off"),)]
    record = await run(bench)
    assert (record.status, record.belief) == (Status.DAMAGED, None)
    assert bench.heard[0].kind is Kind.DAMAGED
    assert bench.heard[0].sentence == f"{record.id}: its verification failed: restore list: cut off"


@pytest.mark.parametrize(
    ("trouble", "status"),
    [
        (Trouble.PROGRAM, Status.OK),
        (Trouble.TIMEOUT, Status.OK),
        (Trouble.DAMAGED, Status.DAMAGED),
        (Trouble.TOOL, Status.DAMAGED),
    ],
)
async def test_what_keeps_us_from_reading_is_no_damage(bench: Bench, trouble: Trouble, status: Status) -> None:
    """And no pass either: it stays stored."""
    bench.engine.looks = [BackupError("pg_restore", "is not here", trouble=trouble)]
    record = await run(bench)
    assert (record.status, record.verified_at) == (status, None)


async def test_byte_that_flips_in_the_repository_is_found(bench: Bench) -> None:
    """The engine is not even asked."""
    record = await run(bench)
    (bench.root / "main" / "dump" / record.id / "dump").write_bytes(b"all of iT")
    found = await bench.keeper.verify(record, bench.tell)
    assert found.status is Status.DAMAGED
    assert bench.heard[0].kind is Kind.DAMAGED


async def test_verification_has_its_time(new_bench: NewBench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it nothing is known, and nothing claimed."""
    bench = await new_bench(a_job(nice=0, verify=False, timeout=0.02))
    record = await run(bench)
    assert record.belief is Belief.STORED

    async def for_ever(*_: object) -> tuple[Check, ...]:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(bench.engine, "verify", for_ever)
    found = await bench.keeper.verify(record, bench.tell)
    assert (found.status, found.belief) == (Status.OK, Belief.STORED)
    assert found.marks.verification is not None
    assert found.marks.verification.checks[-1].detail == "not read through within 0 s"


async def test_what_has_no_engine_is_kept_as_an_attempt(bench: Bench) -> None:
    """A program that is missing must not look like a job that nobody began."""
    missing = BackupError("pg_dump", "none of PostgreSQL 15 on this machine", trouble=Trouble.PROGRAM)

    def none(*_: object) -> None:
        raise missing

    object.__setattr__(bench.keeper.tools, "engine_for", none)
    with pytest.raises(BackupError):
        await run(bench)
    assert await attempts(bench) == [(Status.FAILED, Trouble.PROGRAM, missing.reason)]


async def test_clock_that_is_set_meanwhile_makes_no_backup_of_a_negative_length(bench: Bench) -> None:
    """Its duration is measured, not reckoned."""

    async def set_back(_: Making) -> None:
        bench.clock.advance(30)
        bench.clock.jump(-3 * DAY)

    bench.engine.acts = [set_back]
    record = await run(bench)
    assert record.manifest.duration_seconds == 30.0


async def test_wal_that_no_backup_needs_goes_with_retention(new_bench: NewBench) -> None:
    """Back to the base backup that the window begins with, and not a segment more."""
    jobs = (
        a_job("base", nice=0, method=Method.BASE, keep={"for": "1d", "at_least": 1}),
        a_job("wal", method=Method.WAL),
    )
    bench = await new_bench(*jobs)
    place = bench.root / "main" / "wal"
    place.mkdir(parents=True)
    for number in range(1, 9):
        (place / f"00000001000000000000000{number}").write_bytes(b"w")
    for number in (2, 5, 7):
        bench.engine.lsns = (f"0/{number}000028", f"0/{number}0000F8")
        await run(bench, "base")
        bench.clock.advance(5 * DAY)
    pruned = await bench.keeper.prune()
    assert [record.manifest.start_lsn for record in pruned.removed] == ["0/2000028"]
    assert min(path.name[-1] for path in place.iterdir()) == "5"


async def test_failing_job_loses_none_of_its_backups(new_bench: NewBench) -> None:
    """However old they grow, until one succeeds."""
    bench = await new_bench(a_job(nice=0, keep={"for": "1d", "at_least": 1}))
    kept = set()
    for _ in range(2):
        kept.add((await run(bench)).id)
        bench.clock.advance(60)
    bench.engine.acts = [REFUSED]
    with pytest.raises(BackupError):
        await run(bench)
    bench.clock.advance(9 * DAY)
    assert (await bench.keeper.prune()).removed == ()
    assert bench.names == kept
    newest = await run(bench)
    assert len((await bench.keeper.prune()).removed) == 2
    assert bench.names == {newest.id}


async def test_workspace_that_cannot_be_used_is_the_reason(bench: Bench) -> None:
    """It is no fault of ours, and is written down as any other."""
    bench.keeper.around.workspace.write_text("a file where a folder is expected")
    with pytest.raises(BackupError):
        await run(bench)
    sentence = f"{bench.keeper.around.workspace}: no folder can be made there: File exists (it lies beside the state)"
    assert await attempts(bench) == [(Status.FAILED, Trouble.PRIVILEGE, sentence)]


async def test_disk_that_cannot_be_asked_is_an_obstacle(bench: Bench) -> None:
    """Whoever wants a backup made is told."""

    def gone(_: Path) -> Room:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    bench.keeper.tools = replace(bench.keeper.tools, look=gone)
    with pytest.raises(BackupError, match="Transport endpoint is not connected"):
        await bench.keeper.obstacle("nightly")
