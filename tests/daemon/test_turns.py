import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from daemon import turns
from daemon.pacing import Spending
from daemon.turns import MOST_ABANDONED, Pair, Turned
from tests.builders import some_findings
from tests.daemon.fakes import FakeCollector, FakeSource, a_pair, be_deaf, hang
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason


def reason_of(turned: Turned) -> Reason | None:
    """Why the turn came back empty."""
    return turned.collection.failure.reason if turned.collection.failure else None


def acting(*acts: Any) -> Callable[[], Any]:  # noqa: ANN401 - whatever a fake can be told
    """One act after the other."""
    left = list(acts)
    return lambda: left.pop(0)


async def test_a_good_turn_brings_its_samples_and_how_long_it_took() -> None:
    """The plain case."""
    turned = await a_pair(FakeCollector(FakeSource(), some_findings)).turn()
    assert len(turned.collection.samples) == 1
    assert turned.collection.duration_seconds > 0
    assert reason_of(turned) is None


async def test_an_exception_becomes_the_reason_that_the_source_gives() -> None:
    """An expected failure is a value, and the pair lives on."""
    pair = a_pair(FakeCollector(FakeSource(), acting(OSError("refused"), None)))
    assert reason_of(await pair.turn()) is Reason.UNREACHABLE
    assert reason_of(await pair.turn()) is None


@pytest.mark.parametrize("asks", [True, False])
async def test_a_failure_tells_of_the_target_only_where_that_was_asked(
    monkeypatch: pytest.MonkeyPatch,
    asks: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """A collector that asks somebody else finds no target down."""
    monkeypatch.setattr(FakeCollector, "asks", asks)
    turned = await a_pair(FakeCollector(FakeSource(), acting(OSError("refused")))).turn()
    assert (reason_of(turned), turned.collection.down) == (Reason.UNREACHABLE, asks)


async def test_a_late_turn_is_cancelled_and_the_target_called_deaf() -> None:
    """Nothing came back at all: unanswered."""
    pair = a_pair(FakeCollector(FakeSource(), hang))
    assert reason_of(await pair.turn()) is Reason.UNANSWERED


async def test_a_late_turn_of_a_target_that_answers_is_slow_and_not_deaf() -> None:
    """A target that answered during the turn is up, however long the rest takes."""
    source = FakeSource()

    async def answer_once_then_hang() -> None:
        source.answered_at = SystemClock().monotonic()
        await hang()

    assert reason_of(await a_pair(FakeCollector(source, answer_once_then_hang)).turn()) is Reason.TIMEOUT


async def test_a_turn_that_cannot_be_cancelled_is_left_behind_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A deaf task costs its pair a grace period, not its life; the source cuts its connections."""
    monkeypatch.setattr(turns, "GRACE_SECONDS", 0.01)
    source, release = FakeSource(), asyncio.Event()
    pair = a_pair(FakeCollector(source, lambda: be_deaf(release)))
    assert reason_of(await pair.turn()) is Reason.STUCK
    assert (source.abandoned, pair.abandoned_total) == (1, 1)
    release.set()


async def test_a_pair_leaves_only_so_many_turns_behind_until_one_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounded: no pile of stuck tasks grows; once they end, the pair turns again."""
    monkeypatch.setattr(turns, "GRACE_SECONDS", 0.01)
    release = asyncio.Event()
    collector = FakeCollector(FakeSource(), lambda: None if release.is_set() else be_deaf(release))
    pair = a_pair(collector)
    for _ in range(MOST_ABANDONED + 3):
        assert reason_of(await pair.turn()) is Reason.STUCK
    assert collector.turns == MOST_ABANDONED
    release.set()

    async def good() -> bool:
        return reason_of(await pair.turn()) is None

    await eventually(good)


async def test_waiting_for_the_lane_does_not_count_against_the_deadline() -> None:
    """A quick collector behind a slow one is late, not failed (the lesson of mysqld_exporter#1025)."""
    lane = asyncio.Lock()
    pair = a_pair(FakeCollector(FakeSource(), some_findings, timeout=0.02), lane=lane)
    await lane.acquire()
    turning = asyncio.create_task(pair.turn())
    done, _ = await asyncio.wait({turning}, timeout=0.1)
    assert not done
    lane.release()
    assert reason_of(await turning) is None


async def test_waiting_for_the_lane_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so."""
    monkeypatch.setattr(turns, "LANE_WAIT_SECONDS", 0.01)
    lane = asyncio.Lock()
    await lane.acquire()
    turned = await a_pair(FakeCollector(FakeSource(), some_findings), lane=lane).turn()
    assert reason_of(turned) is Reason.STUCK


async def test_what_turns_seldom_waits_long_for_its_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first round all surveys come at once; the last in the queue would lose a beat of an hour."""
    monkeypatch.setattr(turns, "LANE_WAIT_SECONDS", 0.001)
    lane = asyncio.Lock()
    await lane.acquire()
    turning = asyncio.create_task(a_pair(FakeCollector(FakeSource(), some_findings, every=3600), lane=lane).turn())
    done, _ = await asyncio.wait({turning}, timeout=0.05)
    assert not done
    released_at = SystemClock().now()
    lane.release()
    turned = await turning
    assert reason_of(turned) is None
    assert turned.collection.taken_at >= released_at  # not when it began to wait


async def test_the_lane_is_free_again_after_a_turn_was_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """One pair that hangs holds up no other."""
    monkeypatch.setattr(turns, "GRACE_SECONDS", 0.01)
    lane, release = asyncio.Lock(), asyncio.Event()
    await a_pair(FakeCollector(FakeSource(), lambda: be_deaf(release)), lane=lane).turn()
    turned = await a_pair(FakeCollector(FakeSource(), some_findings), lane=lane).turn()
    assert reason_of(turned) is None
    release.set()


async def test_run_delivers_turn_after_turn_and_ends_when_cancelled() -> None:
    """For ever, until told; the collector is told as well."""
    cancelled = asyncio.Event()

    async def work() -> None:
        if collector.turns > 2:
            try:
                await hang()
            except asyncio.CancelledError:
                cancelled.set()
                raise

    collector = FakeCollector(FakeSource(), work, timeout=60)
    delivered: list[Turned] = []
    running = asyncio.create_task(a_pair(collector).run(delivered.append))
    await eventually(lambda: collector.turns == 3)
    running.cancel()
    await asyncio.wait({running})
    assert len(delivered) == 2
    await eventually(cancelled.is_set)


async def test_a_turn_that_nobody_can_take_is_not_the_last_one() -> None:
    """Whoever stumbles over what a turn brought must not silence the collector for ever."""
    collector = FakeCollector(FakeSource(), some_findings)

    def stumble(_: Turned) -> None:
        raise ZeroDivisionError

    running = asyncio.create_task(a_pair(collector).run(stumble))
    await eventually(lambda: collector.turns == 3)
    assert not running.done()
    running.cancel()


async def test_a_collector_whose_source_cannot_explain_turns_again() -> None:
    """A fault in finding the reason is lost with its turn alone."""
    source = FakeSource()
    source.__dict__["explain"] = None
    collector = FakeCollector(source, lambda: OSError("refused"))
    running = asyncio.create_task(a_pair(collector).run(lambda _: None))
    await eventually(lambda: collector.turns == 3)
    running.cancel()


async def test_hurry_shortens_the_rest() -> None:
    """A target that is back is not left waiting for a beat of an hour."""
    collector = FakeCollector(FakeSource(), some_findings, every=3600)
    pair = a_pair(collector)
    running = asyncio.create_task(pair.run(lambda _: None))
    await eventually(lambda: collector.turns == 1)
    pair.hurry()
    await eventually(lambda: collector.turns == 2)
    running.cancel()


async def test_what_a_turn_cost_the_target_stretches_the_next_rest() -> None:
    """The budget is spent per minute; beyond it every cadence is drawn out, and the reason says so."""
    source = FakeSource()

    def spend() -> None:
        source.spent_seconds += 3.0

    collector = FakeCollector(source, spend, every=15)
    pair = Pair("main", collector, lane=asyncio.Lock(), spending=Spending(0.6), clock=SystemClock())
    first = await pair.turn()
    assert first.due.reason == "cadence"  # the first round is spent once
    turned = await pair.turn()
    assert turned.due.reason == "stretched 5.0-fold by the budget"
    assert turned.due.at - SystemClock().monotonic() > 30
