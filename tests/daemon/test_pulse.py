"""The pulse tells systemd how it stands, and starves its watchdog when nobody is tried."""

import asyncio
from datetime import UTC
from pathlib import Path

import pytest

from collectors.contract import Kind
from daemon import pulse as pulse_module
from daemon.pulse import Pulse
from daemon.watch import Watch
from daemon.world import World
from tests.builders import ManualClock, a_collection, a_failure, a_sample
from tests.daemon.fakes import FakeCollector, FakeSource
from tests.daemon.serving import FakeNotifier
from tests.waiting import eventually
from toban.catalogue import CATALOGUE, say_reason
from toban.clock import Clock, SystemClock
from toban.language import Language
from toban.outcomes import Reason


def a_world(clock: Clock, *names: str) -> World:
    """A world with these targets, each with one collector that turns every fifteen seconds."""
    world = World(
        clock=clock, zone=UTC, state_path=Path("/nonexistent/state.db"), gauges=lambda: (), components=lambda: ()
    )
    for name in names:
        collector = FakeCollector(FakeSource(), lambda: None, name="activity", every=15)
        world.watches[name] = Watch(name, Kind.POSTGRESQL, FakeSource(), [collector], budget_seconds=0, clock=clock)
    return world


def hear(world: World, name: str, **told: object) -> None:
    """One turn of a target."""
    collection = a_collection(a_sample(), target=name, **told)  # type: ignore[arg-type] # as the builder takes them
    world.watches[name].note(collection)
    world.current.accept(collection, float("inf"))


def test_sentence_counts_targets_and_values(manual_clock: ManualClock) -> None:
    """What `systemctl status` shows when all is well."""
    world = a_world(manual_clock, "main", "second")
    hear(world, "main", duration_seconds=0.5)
    sentence = Pulse(world, FakeNotifier(), Language.EN).sentence()
    assert sentence == "targets answering: 1 of 2; values: 1; slowest turn: 500 ms"


@pytest.mark.parametrize("language", list(Language))
def test_sentence_names_three_targets_that_are_down_and_why_in_its_language(
    manual_clock: ManualClock, language: Language
) -> None:
    """Not one word of the other language: what a server said of itself stays in `toban status`."""
    world = a_world(manual_clock, "a", "b", "c", "d")
    for name in world.watches:
        hear(world, name, failure=a_failure(Reason.UNREACHABLE, detail="connection refused"))
    sentence = Pulse(world, FakeNotifier(), language).sentence()
    why = say_reason(Reason.UNREACHABLE, language)
    assert f"a ({why}), b ({why}), c ({why})" in sentence
    assert "refused" not in sentence
    assert "d (" not in sentence
    assert ("到達不能" in sentence) is (language is Language.JA)
    assert "daemon.round.down" in CATALOGUE


def test_a_target_that_nobody_has_tried_for_long_is_overdue(manual_clock: ManualClock) -> None:
    """Four beats, and at least a minute and a half; one without collectors never."""
    world = a_world(manual_clock, "main")
    world.watches["empty"] = Watch("empty", Kind.HOST, FakeSource(), [], budget_seconds=0, clock=manual_clock)
    pulse = Pulse(world, FakeNotifier(), Language.EN)
    manual_clock.advance(89)
    assert pulse.overdue() == []
    manual_clock.advance(2)
    assert pulse.overdue() == ["main"]
    hear(world, "main")
    assert pulse.overdue() == []


def test_a_target_that_was_put_off_is_not_overdue_before_its_time(manual_clock: ManualClock) -> None:
    """What fails, or costs too much, is asked more rarely by Toban's own decision: no reason to be started anew."""
    world = a_world(manual_clock, "main")
    pulse = Pulse(world, FakeNotifier(), Language.EN)
    hear(world, "main", failure=a_failure(Reason.PRIVILEGE))
    (pair,) = world.watches["main"].pairs
    pair.due_at = manual_clock.monotonic() + 600
    manual_clock.advance(689)
    assert pulse.overdue() == []
    manual_clock.advance(2)
    assert pulse.overdue() == ["main"]


def test_a_target_whose_turns_may_take_long_is_given_the_time(manual_clock: ManualClock) -> None:
    """Sizes of ten thousand tables, allowed five minutes: whoever shares the lane waits, and nothing is amiss."""
    world = a_world(manual_clock)
    collector = FakeCollector(FakeSource(), lambda: None, every=15, timeout=300)
    world.watches["main"] = Watch("main", Kind.MARIADB, FakeSource(), [collector], budget_seconds=0, clock=manual_clock)
    pulse = Pulse(world, FakeNotifier(), Language.EN)
    manual_clock.advance(329)
    assert pulse.overdue() == []
    manual_clock.advance(2)
    assert pulse.overdue() == ["main"]


def test_a_target_that_nothing_asks_is_neither_overdue_nor_waited_for(manual_clock: ManualClock) -> None:
    """Of a file only somebody's own SQL is wanted: whether it is up, nobody tries."""
    world = a_world(manual_clock)
    collector = FakeCollector(FakeSource(), lambda: None, name="custom")
    collector.__dict__["asks"] = False
    world.watches["main"] = Watch("main", Kind.SQLITE, FakeSource(), [collector], budget_seconds=0, clock=manual_clock)
    manual_clock.advance(10_000)
    assert Pulse(world, FakeNotifier(), Language.EN).overdue() == []
    assert world.untried() == []


async def test_watchdog_is_fed_while_targets_are_tried_and_starves_when_they_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else systemd would believe a daemon that turns and does nothing."""
    monkeypatch.setattr(pulse_module, "BEAT_SECONDS", 0.001)
    world, notifier = a_world(SystemClock(), "main"), FakeNotifier()
    pulse = Pulse(world, notifier, Language.EN)
    running = asyncio.create_task(pulse.run())
    await eventually(lambda: notifier.said.count("WATCHDOG=1") > 2)
    await eventually(lambda: any(said.startswith("STATUS=targets answering: 0 of 1") for said in notifier.said))
    assert pulse.lag_seconds >= 0
    world.watches["main"]._opened_at = world.watches["main"].tried_at = world.clock.monotonic() - 1000

    async def starved() -> bool:
        before = notifier.said.count("WATCHDOG=1")
        rounds = len(notifier.said)
        await eventually(lambda: len(notifier.said) > rounds)
        return notifier.said.count("WATCHDOG=1") == before

    await eventually(starved)
    running.cancel()


async def test_watchdog_is_fed_in_time_also_where_its_patience_is_short() -> None:
    """A drop-in may say `WatchdogSec=5`: our own beat would come too late, and systemd start us anew for ever."""
    notifier = FakeNotifier()
    notifier.watchdog_seconds = 0.002
    running = asyncio.create_task(Pulse(a_world(SystemClock(), "main"), notifier, Language.EN).run())
    await eventually(lambda: notifier.said.count("WATCHDOG=1") > 2)
    running.cancel()
