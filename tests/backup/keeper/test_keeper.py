"""The keeper: what it makes, what it refuses, and how it waits its turn."""

import asyncio
from datetime import UTC, datetime

import pytest

from backup.engines.contract import Making
from backup.errors import BackupError
from backup.keeper import AGAIN_SECONDS, SCHEDULED, Manner
from backup.keeping.happenings import Kind
from backup.keeping.under_way import BUSY_AGAIN_SECONDS
from backup.settings import Window
from backup.space import Room
from tests.backup.keeper.conftest import GB, Bench, NewBench, attempts, run
from tests.backup.keeper.records import DAY, HOUR, a_job
from tests.builders import START, ManualClock
from tests.waiting import eventually
from toban.backups import Belief, Method, Status, Trouble
from toban.errors import NotFoundError, UsageError

LOCKED = BackupError("table t", "is locked by another session", trouble=Trouble.LOCKED)
REFUSED = BackupError("role toban", "may not read table t", "grant it", trouble=Trouble.PRIVILEGE)


async def test_backup_is_made_read_through_and_told(bench: Bench) -> None:
    """With all that the engine says of it, under the moment it was begun at."""
    record = await run(bench, tag="emergency")
    told = record.manifest
    assert told.id == f"{datetime.fromtimestamp(START, UTC):%Y%m%dT%H%M%SZ}-nightly"
    assert (record.status, record.belief, told.tag, told.node) == (Status.OK, Belief.VERIFIED, "emergency", "db1")
    assert (told.engine, told.kind, told.source_bytes, told.notes) == ("scripted", "postgresql", 100, ("a note",))
    assert [file.path for file in told.files] == ["dump"]
    assert [progress.phase for progress in bench.progress][:3] == ["estimate", "dump", "store"]
    assert (bench.heard, bench.keeper.under_way.runs) == ([], {})
    assert await attempts(bench) == [(Status.OK, None, "")]


async def test_engine_is_given_the_good_ones_before_and_a_place_of_its_own(bench: Bench) -> None:
    """Newest first; what failed is nothing to build on."""
    first = await run(bench)
    bench.clock.advance(60)
    bench.engine.acts = [REFUSED]
    with pytest.raises(BackupError):
        await run(bench)
    bench.clock.advance(60)
    await run(bench)
    made = bench.engine.made[-1]
    assert [one.id for one in made.earlier] == [first.id]
    assert made.place.name == f"{made.id}.partial"
    assert made.wal_place is None


async def test_scheduled_run_is_tried_once_more_where_that_may_help(bench: Bench) -> None:
    """The lock is gone five minutes later; nobody needs to be told."""
    bench.engine.acts = [LOCKED]
    record = await run(bench, manner=SCHEDULED)
    assert record.status is Status.OK
    assert bench.paused == [AGAIN_SECONDS]
    assert bench.heard == []
    assert [status for status, _, _ in await attempts(bench)] == [Status.FAILED, Status.OK]


async def test_scheduled_run_is_tried_once_more_and_not_again(bench: Bench) -> None:
    """Then it has failed, and that is told once."""
    bench.engine.acts = [LOCKED, LOCKED]
    with pytest.raises(BackupError):
        await run(bench, manner=SCHEDULED)
    assert bench.paused == [AGAIN_SECONDS]
    assert [happening.sentence for happening in bench.heard] == ["table t: is locked by another session"]


@pytest.mark.parametrize("manner", [Manner(), SCHEDULED])
async def test_what_will_fail_again_is_not_tried_again(bench: Bench, manner: Manner) -> None:
    """A missing privilege does not come by waiting; and who asked for one does not wait."""
    bench.engine.acts = [REFUSED if manner is SCHEDULED else LOCKED]
    with pytest.raises(BackupError):
        await run(bench, manner=manner)
    assert bench.paused == []


async def test_job_is_made_once_at_a_time(bench: Bench) -> None:
    """The second is told that the first is at it, and is no failure of the job."""
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_: Making) -> None:
        begun.set()
        await go.wait()

    bench.engine.acts = [slow]
    task = asyncio.create_task(run(bench))
    await asyncio.wait_for(begun.wait(), 60)
    with pytest.raises(BackupError) as refused:
        await run(bench)
    assert (refused.value.trouble, refused.value.why) == (Trouble.BUSY, "is being made already")
    assert await bench.keeper.obstacle("nightly") == f"{bench.engine.made[0].id} is being made at this moment"
    go.set()
    assert (await task).status is Status.OK
    assert [status for status, _, _ in await attempts(bench)] == [Status.OK]


async def test_target_is_backed_up_once_at_a_time_and_a_scheduled_run_waits(new_bench: NewBench) -> None:
    """By two keepers of one repository, as two daemons are; who asked for one is told who is at it."""
    clock = ManualClock()
    jobs = (a_job(nice=0), a_job("weekly", nice=0))
    first, second = await new_bench(*jobs, clock=clock), await new_bench(*jobs, clock=clock)
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_: Making) -> None:
        begun.set()
        await go.wait()

    first.engine.acts = [slow]
    task = asyncio.create_task(run(first))
    await asyncio.wait_for(begun.wait(), 60)
    with pytest.raises(BackupError) as refused:
        await run(second, "weekly")
    assert refused.value.trouble is Trouble.BUSY
    assert "backup nightly" in refused.value.why
    assert second.engine.made == []
    waiting = asyncio.create_task(run(second, "weekly", manner=SCHEDULED))
    await eventually(lambda: len(second.paused) > 1)
    go.set()
    assert (await task).status is Status.OK
    assert (await waiting).status is Status.OK
    assert set(second.paused) == {BUSY_AGAIN_SECONDS}
    assert [status for status, _, _ in await attempts(first)] == [Status.OK, Status.OK]


async def test_scheduled_run_whose_window_closed_while_it_waited_is_not_begun(new_bench: NewBench) -> None:
    """It is still to come, so it is no failure; somebody who asks is not bound to a window."""
    line = f"{datetime.fromtimestamp(START - 2 * HOUR, UTC):%M %H} * * *"
    bench = await new_bench(a_job(nice=0, window=Window(cron=line, for_=HOUR)))
    with pytest.raises(BackupError) as refused:
        await run(bench, manner=SCHEDULED)
    assert refused.value.trouble is Trouble.CANCELLED
    assert refused.value.why == "its window closed while it waited for its turn"
    assert bench.heard == []
    assert (await run(bench)).status is Status.OK


async def test_retention_goes_before_the_backup(new_bench: NewBench) -> None:
    """There is room first, and then more of it is used."""
    bench = await new_bench(a_job(nice=0, keep={"for": "7d", "at_least": 1}))
    old = await run(bench)
    bench.clock.advance(8 * DAY)
    kept = await run(bench)
    assert {old.id, kept.id} == bench.names
    bench.clock.advance(60)
    newest = await run(bench)
    assert {kept.id, newest.id} == bench.names
    assert [one.id for one in bench.engine.made[-1].earlier] == [kept.id, old.id]


async def test_what_is_being_read_is_not_let_go(new_bench: NewBench) -> None:
    """It goes the next time."""
    bench = await new_bench(a_job(nice=0, keep={"for": "7d", "at_least": 1}))
    old = await run(bench)
    bench.clock.advance(8 * DAY)
    await run(bench)
    async with bench.keeper._used(old, "a proof"):
        pruned = await bench.keeper.prune()
    assert (pruned.removed, list(pruned.failed)) == ((), [old.id])
    assert pruned.failed[old.id].startswith(f"{old.id}: is in use: a proof, by process ")
    assert [record.id for record in (await bench.keeper.prune(target="main")).removed] == [old.id]


async def test_dry_run_says_what_would_go_and_why(new_bench: NewBench) -> None:
    """And leaves it."""
    bench = await new_bench(a_job(nice=0, keep={"for": "7d", "at_least": 1}))
    old = await run(bench)
    bench.clock.advance(8 * DAY)
    new = await run(bench)
    pruned = await bench.keeper.prune(dry_run=True)
    assert [(one.record.id, one.keep) for one in pruned.decisions] == [(new.id, True), (old.id, False)]
    assert bench.names == {old.id, new.id}


async def test_dump_a_tenth_of_the_usual_is_told(bench: Bench) -> None:
    """With both figures."""
    bench.engine.content, bench.engine.rows = b"x" * 2_000_000, 5000
    for _ in range(3):
        await run(bench)
        bench.clock.advance(DAY / 24)
    bench.engine.content, bench.engine.rows = b"x" * 200_000, 500
    record = await run(bench)
    assert record.status is Status.OK
    assert [(one.kind, one.sentence) for one in bench.heard] == [
        (Kind.UNUSUAL, f"{record.id} takes 195 kB, which is 10% of the usual 1.9 MB"),
        (Kind.UNUSUAL, f"{record.id} holds 500 rows, which is 10% of the usual 5,000"),
    ]


async def test_what_has_no_backups_is_refused(new_bench: NewBench) -> None:
    """WAL goes on by itself; what is not there is named."""
    bench = await new_bench(a_job(nice=0), a_job("wal", method=Method.WAL))
    with pytest.raises(UsageError) as refused:
        await run(bench, "wal")
    assert refused.value.why == "wal keeps WAL, which goes on by itself"
    with pytest.raises(NotFoundError):
        await run(bench, "nihgtly")
    assert await bench.keeper.obstacle("wal") == "wal keeps WAL, which goes on by itself"


async def test_obstacles_are_seen_at_a_glance(bench: Bench) -> None:
    """None, then room that is gone."""
    assert await bench.keeper.obstacle("nightly") == ""
    bench.rooms.append(Room(free_bytes=1, total_bytes=GB))
    assert await bench.keeper.obstacle("nightly") == "no space left: 1 B free, of which 1 GB are to stay free"
