"""Kept backups are read through again, and what could not be told takes nothing back."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from backup.errors import BackupError
from backup.keeping.happenings import Kind
from backup.keeping.rereading import readable, unread
from backup.plan import Plan, planned
from backup.settings import Backups, Job
from tests.backup.keeper.conftest import Bench, NewBench, run
from tests.backup.keeper.records import DAY, HOST, HOUR, MAIN, a_job, a_record, verified_at
from tests.builders import START
from toban.backups import BackupRecord, Check, Marks, Status, Trouble, Verification

NOW = START + 30 * DAY


def a_plan(*jobs: Job, **more: Any) -> Plan:  # noqa: ANN401 - any of its keys
    """These jobs."""
    return planned(Backups(**{"repository": "/r", "jobs": jobs or (a_job(),), **more}), (MAIN, HOST))


def read(days_ago: float, *, made_days_ago: float = 20, name: str = "nightly") -> BackupRecord:
    """One that was read so long ago."""
    marks = Marks(verification=verified_at(NOW - days_ago * DAY))
    return a_record(name, at=NOW - made_days_ago * DAY, marks=marks)


def test_what_nobody_has_read_for_a_week_is_due_the_longest_first() -> None:
    """Read when it was made, or since; one that never was counts from when it was made."""
    fresh, late, later = read(6.9), read(7.1), read(9)
    never, new = a_record("never", at=NOW - 8 * DAY), a_record("new", at=NOW - HOUR)
    found = unread([new, fresh, late, never, later], a_plan(), NOW)
    assert found == (later, never, late)
    assert unread([late], a_plan(reading={"every": "14d"}), NOW) == ()


def test_what_was_tried_in_vain_comes_last() -> None:
    """It would keep the others from their turn, night for night."""
    one, two = read(10), read(9, made_days_ago=19)
    assert unread([one, two], a_plan(), NOW, {one.id: NOW - DAY}) == (two, one)


def test_reading_that_told_nothing_is_none() -> None:
    """A program was missing; what failed was one, and so was one that came no farther than the digests."""
    unsure, broken = Check(name="content", ok=None), Check(name="content", ok=False)
    sealed = (Check(name="sha256", ok=True), unsure)
    found = [Verification(at=NOW - HOUR, checks=checks) for checks in ((unsure,), (broken,), sealed)]
    records = [a_record(at=NOW - 9 * DAY, marks=Marks(verification=one)) for one in found]
    assert unread(records, a_plan(), NOW) == (records[0],)


def test_job_that_wants_none_read_has_none_read() -> None:
    """One that is gone from the configuration has; what was never made, or cannot be read at all, has not."""
    quiet, gone = read(9), read(9, name="gone")
    failed = a_record(at=NOW - 9 * DAY, status=Status.FAILED)
    plan = a_plan(a_job(verify=False))
    assert readable([quiet, gone, failed], plan) == (gone,)


@pytest.mark.parametrize(("engine", "expected"), [("files", 1), ("pgbackrest", 2), ("dump", 2)])
def test_newest_stands_for_all_where_reading_one_reads_all(engine: str, expected: int) -> None:
    """Restic has one repository for all; of pgBackRest's each has its own verdict."""
    made = (read(9, made_days_ago=days) for days in (10, 20))
    records = [replace(record, manifest=replace(record.manifest, engine=engine)) for record in made]
    assert readable(records, a_plan()) == tuple(records[:expected])


async def test_kept_backups_are_read_again_one_after_the_other(new_bench: NewBench) -> None:
    """What is found is written on them, and told."""
    bench = await new_bench(a_job(nice=0, keep={"for": "30d"}))
    old = await run(bench)
    bench.clock.advance(5 * DAY)
    await run(bench)
    bench.clock.advance(3 * DAY)
    bench.engine.looks = [(Check(name="content", ok=False, detail="page 3"),)]
    assert [one.id for one in await bench.keeper.read_again(bench.tell)] == [old.id]
    assert [(one.kind, one.sentence) for one in bench.heard] == [
        (Kind.DAMAGED, f"{old.id}: its verification failed: content: page 3")
    ]
    assert await bench.keeper.read_again(bench.tell) == ()


async def test_reading_stands_back_behind_proofs_and_backups_and_has_an_end(new_bench: NewBench) -> None:
    """Nothing is read while a proof is at work, or the target's backup; none is begun once its time is over."""
    bench = await new_bench(a_job(nice=0, keep={"for": "30d"}), a_job("weekly", nice=0, keep={"for": "30d"}))
    await run(bench)
    await run(bench, "weekly")
    bench.clock.advance(8 * DAY)
    async with bench.keeper.under_way.proving:
        assert await bench.keeper.read_again(bench.tell) == ()
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        begun.set()
        await go.wait()

    bench.engine.acts = [slow]
    task = asyncio.create_task(run(bench))
    await asyncio.wait_for(begun.wait(), 60)
    assert await bench.keeper.read_again(bench.tell) == ()
    go.set()
    await task
    bench.engine.looks = [BackupError("zstd", "is missing", trouble=Trouble.PROGRAM)]

    def told(_: object) -> None:
        bench.clock.advance(3 * HOUR)

    assert len(await bench.keeper.read_again(told)) == 1
    assert len(await bench.keeper.read_again(bench.tell)) == 2


@pytest.mark.parametrize("good", [True, False])
async def test_reading_that_tells_nothing_takes_nothing_back(bench: Bench, good: bool) -> None:  # noqa: FBT001 - expected
    """A damaged one stays damaged, a verified one verified; whoever asked is told that it could not be told."""
    bench.engine.looks = [(Check(name="content", ok=good, detail="as it is"),)]
    record = await run(bench)
    before = record.marks.verification
    bench.clock.advance(DAY)
    bench.engine.looks = [BackupError("zstd", "is missing", trouble=Trouble.PROGRAM)]
    told = await bench.keeper.verify(record, bench.tell)
    assert told.marks.verification is not None
    assert [check.ok for check in told.marks.verification.checks][-1] is None
    (kept,) = await bench.keeper.records()
    assert kept.status is (Status.OK if good else Status.DAMAGED)
    assert kept.marks.verification == before


async def test_first_reading_that_tells_nothing_is_written_down(bench: Bench) -> None:
    """Why it could not be told is all there is to know."""
    bench.engine.looks = [BackupError("zstd", "is missing", trouble=Trouble.PROGRAM)]
    await run(bench)
    (kept,) = await bench.keeper.records()
    assert kept.marks.verification is not None
    assert (kept.status, kept.verified_at) == (Status.OK, None)
