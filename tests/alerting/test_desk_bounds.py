import asyncio
from random import Random

import pytest

from alerting import escalation
from alerting.desk import desk as desk_module
from alerting.desk import roster as roster_module
from alerting.desk.agenda import Agenda
from alerting.episodes import minted
from tests.alerting.builders import HOUR, MINUTE, NewScene, Scene, a_verdict
from tests.builders import START
from tests.waiting import eventually
from toban.alerts import Alert, State, What


async def test_verdict_that_waits_is_dropped_when_a_reload_removes_its_rule(
    new_scene: NewScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would open an alert that nothing could close."""
    monkeypatch.setattr(desk_module, "AT_ONCE", 1)
    scene = new_scene()
    scene.desk.judged(a_verdict(0.9, target=target) for target in ("one", "two"))
    scene.desk.renew([])
    assert await scene.told() == [("fired", "mail"), ("resolved", "mail")]
    assert scene.desk.active() == ()


async def test_what_the_book_cannot_learn_is_bounded_and_counted(
    new_scene: NewScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest is lost; everything was told."""
    monkeypatch.setattr("alerting.desk.outgoing.MOST_UNKEPT", 2)
    scene = new_scene()
    scene.book.refuses = True
    for target in ("one", "two", "three"):
        assert await scene.judged(0.9, target=target) == [("fired", "mail")]
    assert scene.desk.lost == 2
    scene.book.refuses = False
    await scene.judged(0.9, target="four")
    assert {alert.key.target for alert in scene.book.found().alerts} == {"two", "three", "four"}
    assert scene.dispatcher.offered[-1].kept


async def test_book_that_fails_while_it_catches_up_learns_the_rest_later(new_scene: NewScene) -> None:
    """Nothing is lost between two refusals, and the order of what happened stays."""
    scene = new_scene()
    scene.book.refuses = True
    assert await scene.judged(0.9, 0.97) == [("fired", "mail"), ("worsened", "mail"), ("worsened", "pager")]
    scene.book.takes = 1
    await scene.judged(0.9, target="other")
    assert {alert.key.target for alert in scene.book.found().alerts} == {"other"}
    scene.book.takes = None
    scene.book.refuses = False
    await scene.desk.flush()
    assert {alert.key.target for alert in scene.book.found().alerts} == {"main", "other"}
    assert [step.what for step in scene.book.transitions] == [What.FIRED, What.FIRED, What.WORSENED]


def test_episode_that_is_taken_is_not_given_again() -> None:
    """Another one is drawn."""
    names = [minted(Random(7), taken=lambda _: False)]  # noqa: S311 - the same each time
    names.append(minted(Random(7), taken=names.__contains__))  # noqa: S311 - the same each time
    assert names[0] != names[1]
    assert all(len(name) == 8 and not set(name) & set("ilou") for name in names)


async def test_book_is_tried_again_while_nothing_new_happens(
    new_scene: NewScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it refused is offered to it every few seconds."""
    monkeypatch.setattr("alerting.desk.outgoing.RETRY_SECONDS", 0.01)
    scene = new_scene()
    scene.book.refuses = True
    assert await scene.judged(0.9) == [("fired", "mail")]
    running = asyncio.create_task(scene.desk.run())
    await asyncio.sleep(0)
    scene.book.refuses = False
    await eventually(lambda: len(scene.book.found().alerts) == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_agenda_forgets_moments_that_were_replaced() -> None:
    """However often a moment is set, the heap stays small; the last one counts."""
    agenda = Agenda()
    for moment in range(10_000):
        agenda.put("one", START + moment)
    agenda.put("two", START + 5)
    agenda.put("three", START)
    agenda.put("three", None)
    assert len(agenda._heap) < 200
    assert (len(agenda), agenda.next_at) == (2, START + 5)
    assert agenda.due(START + 20_000, most=5) == ["two", "one"]
    assert agenda.next_at is None


async def test_memory_of_alerts_that_are_over_is_bounded(new_scene: NewScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was over first is forgotten first: its next breach is no return."""
    monkeypatch.setattr(roster_module, "MOST_PAST", 1)
    scene = new_scene()
    for target in ("one", "two"):
        await scene.judged(0.9, 0.5, target=target)
    scene.dispatcher.taken()
    for target in ("one", "two"):
        assert await scene.judged(0.9, target=target) == [("fired", "mail")]
    assert [len(alert.flaps) for alert in scene.desk.active()] == [0, 1]


async def test_book_that_refuses_does_not_stop_the_telling(new_scene: NewScene) -> None:
    """The notices go out and say that they are not kept; what happened is written later, once."""
    scene = new_scene()
    scene.book.refuses = True
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert [notice.kept for notice in scene.dispatcher.offered] == [False]
    assert await scene.judged(0.97) == [("worsened", "mail"), ("worsened", "pager")]
    scene.desk.silence([("rule", "x")], why="y", who="z", for_seconds=60)
    scene.desk.mark(scene.alert.episode, "real", who="kim")
    await scene.told()
    scene.book.refuses = False
    assert await scene.judged(0.5) == [("resolved", "mail"), ("resolved", "pager")]
    assert scene.book.alerts[scene.dispatcher.offered[0].alert.episode].state is State.RESOLVED
    assert sorted(step.sequence for step in scene.book.transitions) == [1, 2, 3]
    assert [notice.kept for notice in scene.dispatcher.offered] == [False] * 3 + [True] * 2
    assert [len(page.notices) for page in scene.book.pages] == [2, 0]
    assert len(scene.book.found().silences) == 1
    assert scene.desk.lost == 0


async def test_book_begun_anew_learns_of_all_that_is_open(new_scene: NewScene) -> None:
    """A file that was replaced knows nothing."""
    scene = new_scene()
    await scene.judged(0.9)
    await scene.judged(0.9, target="other")
    scene.book.pages.clear()
    scene.book.renewed += 1
    assert await scene.judged(0.97) == [("worsened", "mail"), ("worsened", "pager")]
    assert {alert.key.target for alert in scene.book.found().alerts} == {"main", "other"}


async def test_fault_of_the_book_costs_no_message(new_scene: NewScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises, the notice goes out."""
    scene = new_scene()

    async def broken(page: object) -> bool:
        raise RuntimeError("a fault of our own")

    monkeypatch.setattr(scene.book, "write", broken)
    assert await scene.judged(0.9) == [("fired", "mail")]


async def test_fault_in_the_evidence_costs_no_message(new_scene: NewScene) -> None:
    """The alert goes out without it."""
    scene = new_scene()
    scene.surroundings.fault = ValueError("a fault of our own")
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert scene.book.pages[0].evidence == {}


async def test_fault_with_one_alert_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in the log, counted, and tried again half a minute later."""
    scene = Scene()
    for target in ("one", "two"):
        await scene.judged(0.9, target=target)
    due = escalation.due
    broken = ["one"]

    def faulty(alert: Alert, now: float) -> escalation.Due | None:
        if alert.key.target in broken:
            raise ValueError("a fault of our own")
        return due(alert, now)

    monkeypatch.setattr(escalation, "due", faulty)
    assert await scene.after(15 * MINUTE) == [("escalated", "slack")]
    assert scene.desk.faults == 1
    broken.clear()
    assert await scene.after(30) == [("escalated", "slack")]


async def test_fault_with_one_verdict_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the daemon knows of one target fails; the others are told."""
    scene = Scene()

    def faulty(alert: Alert) -> float | None:
        if alert.key.target == "one":
            raise ValueError("a fault of our own")
        return None

    monkeypatch.setattr(scene.surroundings, "left_seconds", faulty)
    scene.desk.judged([a_verdict(0.9, target="one"), a_verdict(0.9, target="two")])
    assert await scene.told() == [("fired", "mail")]
    assert ([alert.key.target for alert in scene.desk.active()], scene.desk.faults) == (["two"], 1)


async def test_restart_waits_for_values_before_it_calls_anybody(new_scene: NewScene) -> None:
    """Overdue by an hour: the highest rung, once the values say that it still is, or after half a minute."""
    scene = new_scene()
    await scene.judged(0.9)
    await scene.restart(after_seconds=2 * HOUR)
    assert await scene.after(0) == []
    assert await scene.judged(0.9) == []
    assert await scene.after(1) == [("escalated", "voice")]


async def test_room_for_open_alerts_is_bounded_and_said(new_scene: NewScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it they are counted; when one is over there is room again."""
    monkeypatch.setattr(roster_module, "MOST_OPEN", 2)
    scene = new_scene()
    for number in range(4):
        await scene.judged(0.9, labels=(("n", str(number)),))
    assert (len(scene.desk.active()), scene.desk.refused) == (2, 2)
    await scene.judged(0.5, labels=(("n", "0"),))
    await scene.judged(0.9, labels=(("n", "3"),))
    assert (len(scene.desk.active()), scene.desk.refused) == (2, 2)


async def test_verdicts_that_wait_are_bounded(new_scene: NewScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a series only the newest waits; of series only so many."""
    monkeypatch.setattr(desk_module, "MOST_WAITING", 150)
    scene = new_scene()
    scene.desk.judged(a_verdict(0.9, labels=(("n", str(number)),)) for number in range(200))
    assert (len(scene.desk.active()), scene.desk.refused) == (50, 50)
    scene.desk.judged([a_verdict(0.5, labels=(("n", "149"),))])
    assert len(await scene.told()) == 149
    assert len(scene.desk.active()) == 149


async def test_storm_is_written_in_pages_of_five_hundred(new_scene: NewScene) -> None:
    """All of it is kept and told; evidence is gathered for the first of it."""
    scene = new_scene()
    scene.desk.judged(a_verdict(0.9, labels=(("n", str(number)),)) for number in range(1200))
    assert len(await scene.told()) == 1200
    assert [len(page.alerts) for page in scene.book.pages] == [500, 500, 200]
    assert sum(len(page.evidence) for page in scene.book.pages) == desk_module.MOST_EVIDENCE_WAITING + 1
    assert len({alert.episode for alert in scene.desk.active()}) == 1200


async def test_running_desk_works_off_what_comes_and_what_falls_due(new_scene: NewScene) -> None:
    """Verdicts come in and notices go out without anybody asking."""
    scene = new_scene()
    running = asyncio.create_task(scene.desk.run())
    scene.desk.judged(a_verdict(0.9, labels=(("n", str(number)),)) for number in range(250))
    await eventually(lambda: len(scene.dispatcher.offered) == 250)
    scene.clock.advance(15 * MINUTE)
    scene.desk.judged([])
    await eventually(lambda: len(scene.dispatcher.offered) == 500)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert scene.dispatcher.taken() == [("fired", "mail")] * 250 + [("escalated", "slack")] * 250


async def test_running_desk_outlives_a_fault(new_scene: NewScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """It costs one turn, and is in the log."""
    scene = new_scene()
    turns: list[str] = []

    def tick() -> None:
        turns.append("tick")
        if len(turns) == 1:
            raise RuntimeError("a fault of our own")

    monkeypatch.setattr(scene.desk, "tick", tick)
    monkeypatch.setattr("alerting.desk.watch.PAUSE_SECONDS", 0)
    running = asyncio.create_task(scene.desk.run())
    await eventually(lambda: len(turns) > 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
