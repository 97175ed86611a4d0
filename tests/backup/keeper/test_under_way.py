"""What is under way outlives a reload, and no more is under way at once than is wanted."""

import asyncio

import pytest

from backup.engines.contract import Making
from backup.errors import BackupError
from backup.keeper import SCHEDULED
from backup.keeping import under_way
from backup.keeping.under_way import BUSY_AGAIN_SECONDS, UnderWay
from tests.backup.keeper.conftest import Bench, NewBench, run
from tests.backup.keeper.records import DAY, a_job
from tests.waiting import eventually
from toban.backups import Method, Status, Trouble

ETC = a_job("etc", target="host", method=Method.FILES, paths=("/etc",), nice=0)


class Held:
    """An engine's work that goes on until the test says so."""

    def __init__(self, bench: Bench) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()
        bench.engine.acts = [self]

    async def __call__(self, _: Making) -> None:
        """Begun, and held."""
        self.begun.set()
        await self.go.wait()


async def test_scheduled_runs_wait_until_fewer_are_at_work(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over all targets; and the target's own turn is nobody's meanwhile. It tries no patience."""
    monkeypatch.setattr(under_way, "QUEUE_SECONDS", float("inf"))  # the test's clock runs as fast as it is asked
    bench = await new_bench(a_job(nice=0), ETC, at_once=1)
    held = Held(bench)
    first = asyncio.create_task(run(bench, manner=SCHEDULED))
    await asyncio.wait_for(held.begun.wait(), 60)
    second = asyncio.create_task(run(bench, "etc", manner=SCHEDULED))
    await eventually(lambda: len(bench.paused) > 2)
    assert set(bench.paused) == {BUSY_AGAIN_SECONDS}
    assert len(bench.engine.made) == 1
    async with bench.keeper.repository.turn("host", "a test"):
        pass
    held.go.set()
    assert [(await task).status for task in (first, second)] == [Status.OK, Status.OK]


async def test_what_somebody_waits_for_does_not_wait_for_a_place(
    new_bench: NewBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person or an alert; it counts, so that what is scheduled waits for it."""
    bench = await new_bench(a_job(nice=0), ETC, at_once=1)
    held = Held(bench)
    first = asyncio.create_task(run(bench))
    await asyncio.wait_for(held.begun.wait(), 60)
    assert (await run(bench, "etc")).status is Status.OK
    bench.clock.advance(60)
    monkeypatch.setattr(under_way, "QUEUE_SECONDS", 60.0)
    with pytest.raises(BackupError) as refused:
        await run(bench, "etc", manner=SCHEDULED)
    assert (refused.value.trouble, refused.value.why) == (
        Trouble.BUSY,
        "1 others are being made, and no more are to be at once",
    )
    assert sum(bench.paused) == 60.0
    held.go.set()
    await first


async def test_places_are_given_back_whatever_comes(bench: Bench) -> None:
    """Also by a run that failed, and by one that found no turn."""
    way = UnderWay()
    with pytest.raises(ValueError, match="a fault"), way.at_work(1):
        raise ValueError("a fault")
    with way.at_work(1), pytest.raises(BackupError), way.at_work(1):
        pass
    with way.at_work(1):
        pass
    async with bench.keeper.repository.turn("main", "a test"):
        with pytest.raises(BackupError):
            await run(bench)
    assert (await run(bench)).status is Status.OK


async def test_target_that_somebody_is_at_work_on_holds_up_the_pruning_of_no_other(new_bench: NewBench) -> None:
    """It is said of that one; asked for alone it is refused."""
    bench = await new_bench(a_job(nice=0, keep={"for": "1d", "at_least": 1}), ETC)
    old = await run(bench)
    bench.clock.advance(8 * DAY)
    await run(bench)
    await run(bench, "etc")
    async with bench.keeper.repository.turn("host", "a test"):
        found = await bench.keeper.prune()
        with pytest.raises(BackupError):
            await bench.keeper.prune(target="host")
    assert [one.id for one in found.removed] == [old.id]
    assert list(found.failed) == ["host"]
