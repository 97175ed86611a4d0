import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from collectors.contract import Kind
from daemon import watch as watching
from daemon.watch import Watch
from tests.builders import a_collection, a_failure, a_gap
from tests.daemon.fakes import FakeCollector, FakeSource
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.status import Health, judge_target


def a_watch(*collectors: FakeCollector, source: FakeSource | None = None) -> Watch:
    """A watch over fakes, without a budget."""
    return Watch("main", Kind.POSTGRESQL, source or FakeSource(), collectors, budget_seconds=0, clock=SystemClock())


def a_named(name: str) -> FakeCollector:
    """A collector with this name that has nothing to do for an hour."""
    return FakeCollector(FakeSource(), lambda: None, every=3600, name=name)


def test_a_target_is_unknown_until_it_was_tried() -> None:
    """Neither up nor down is said of what nobody has looked at."""
    watch = a_watch(a_named("a"))
    assert watch.standing().up is None
    assert judge_target(watch.standing()).state is Health.UNKNOWN


def test_a_target_is_down_as_soon_as_one_collector_cannot_reach_it() -> None:
    """Never up while the connection fails (postgres_exporter#1120)."""
    watch = a_watch(a_named("a"), a_named("b"))
    watch.note(a_collection(collector="a"))
    assert watch.standing().up is True
    watch.note(a_collection(collector="b", failure=a_failure(Reason.UNREACHABLE, detail="refused")))
    assert watch.standing().up is False
    verdict = judge_target(watch.standing())
    assert (verdict.state, verdict.reason) == (Health.CRITICAL, "unreachable: refused")


def test_a_missing_privilege_is_no_reason_to_call_a_target_down() -> None:
    """It answers; only something of it is missing, which is a warning with its reason."""
    watch = a_watch(a_named("a"))
    watch.note(a_collection(collector="a", failure=a_failure(Reason.PRIVILEGE, detail="denied")))
    assert watch.standing().up is True
    verdict = judge_target(watch.standing())
    assert (verdict.state, verdict.reason) == (Health.WARNING, "a: denied")


def test_a_refused_second_connection_does_not_take_the_target_down() -> None:
    """All slots are taken, and the first connection says so: what it brings must not be dropped just then."""
    watch = a_watch(a_named("a"), a_named("b"))
    watch.note(a_collection(collector="a"))
    watch.note(a_collection(collector="b", failure=replace(a_failure(Reason.FULL, detail="no slot"), partial=True)))
    assert watch.standing().up is True
    assert judge_target(watch.standing()).reason == "b: no slot"


def test_what_a_host_does_not_offer_is_no_warning() -> None:
    """A container without /sys is fine as it is: the reason is told, and nobody is alarmed for ever."""
    watch = a_watch(a_named("a"))
    watch.note(a_collection(collector="a", failure=a_failure(Reason.UNSUPPORTED, detail="no /sys/block")))
    assert judge_target(watch.standing()).state is Health.OK
    assert watch.standing().pairs[0].reason == "unsupported"


def test_what_asks_nothing_of_the_target_says_nothing_of_it() -> None:
    """Trends are drawn from memory: a server that is down does not come up by them, and is not tried by them."""
    idle = a_named("b")
    idle.__dict__["asks"] = False
    watch = a_watch(a_named("a"), idle)
    watch.note(a_collection(collector="b"))
    assert (watch.standing().up, watch.tried_at) == (None, None)
    watch.note(a_collection(collector="a", failure=a_failure(Reason.UNREACHABLE)))
    watch.note(a_collection(collector="b"))
    assert watch.standing().up is False


def test_a_target_that_nothing_asks_is_as_well_as_what_is_measured_of_it() -> None:
    """Neither up nor down, and no riddle for ever either: somebody's own SQL is all that is wanted of it."""
    own = a_named("a")
    own.__dict__["asks"] = False
    watch = a_watch(own)
    assert judge_target(watch.standing()).state is Health.OK
    watch.note(a_collection(collector="a", failure=a_failure(Reason.QUERY, detail="no such table")))
    assert (watch.standing().up, judge_target(watch.standing()).reason) == (None, "a: no such table")


@pytest.mark.parametrize("reason", [Reason.STUCK, Reason.INTERNAL])
def test_a_fault_of_our_own_says_nothing_of_the_target(reason: Reason) -> None:
    """Neither up nor down follows from it."""
    watch = a_watch(a_named("a"))
    watch.note(a_collection(collector="a", failure=a_failure(reason)))
    assert watch.standing().up is None


def test_standing_tells_each_collector_with_its_gaps_and_last_success() -> None:
    """What `toban status` shows."""
    watch = a_watch(a_named("a"))
    watch.note(a_collection(collector="a", taken_at=5.0, gaps=(a_gap("relations", Reason.LOCKED, count=3),)))
    watch.note(a_collection(collector="a", taken_at=9.0, failure=a_failure(Reason.TIMEOUT, detail="slow", hint="mend")))
    standing = watch.standing()
    assert standing.last_success_at == 5.0
    assert [(p.collector, p.reason, p.detail, p.hint, p.gaps) for p in standing.pairs] == [
        ("a", "timeout", "slow", "mend", ())
    ]


async def test_the_first_pair_that_finds_the_target_back_calls_the_others() -> None:
    """A collector of every hour does not sleep through the return."""
    back = asyncio.Event()

    def act() -> object:
        return None if back.is_set() else OSError("refused")

    source = FakeSource()
    quick = FakeCollector(source, act, every=0.05, name="quick")
    slow = FakeCollector(source, act, every=3600, name="slow")
    watch = a_watch(quick, slow, source=source)
    with started(watch):
        await eventually(lambda: slow.turns == 1 and watch.up is False)
        back.set()
        await eventually(lambda: slow.turns == 2 and watch.up is True)
    await watch.stop()


async def test_stop_ends_the_turns_and_closes_the_source() -> None:
    """Nothing is left behind."""
    source = FakeSource()
    collector = FakeCollector(source, lambda: None)
    watch = a_watch(collector, source=source)
    with started(watch):
        await eventually(lambda: collector.turns > 0)
    await watch.stop()
    assert source.closed == 1


async def test_stop_does_not_wait_for_a_source_that_does_not_close(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is cut off instead."""
    monkeypatch.setattr(watching, "CLOSE_SECONDS", 0.01)
    source = FakeSource()

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(source, "close", never)
    watch = a_watch(source=source)
    await watch.stop()
    assert source.abandoned == 1


async def test_a_source_that_stumbles_at_its_end_keeps_nobody_from_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the alerts and the history behind it would not be written."""
    source = FakeSource()

    async def stumble() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(source, "close", stumble)
    await a_watch(source=source).stop()
    assert source.abandoned == 1


async def test_once_turns_each_quick_pair_a_single_time() -> None:
    """What `toban status` does without a daemon."""
    quick, slow = FakeCollector(FakeSource(), lambda: None, every=15, name="q"), a_named("s")
    watch = a_watch(quick, slow)
    turned = await watch.once(60)
    assert [t.collection.collector for t in turned] == ["q"]
    assert watch.standing().up is True


@contextmanager
def started(watch: Watch) -> Iterator[None]:
    """The watch, turning, and whatever it delivers thrown away."""
    watch.start(lambda _watch, _turned: None)
    yield
