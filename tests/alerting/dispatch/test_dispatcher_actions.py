"""What is to be done is done once at most, with a look at what came of it."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.alerting.fakes import REFUSED, Desk, FakeChannel, Stage, kept
from tests.alerting.notices import a_notice
from tests.builders import ManualClock
from tests.waiting import eventually
from toban.alerts import Action, Delivery, Notice, Outcome, Severity, Standing, What

CRITICAL = {"severity": Severity.CRITICAL}


def an_action(**fields: Any) -> Notice:  # noqa: ANN401 - any field of a notice
    """A backup, asked for by an alert."""
    return a_notice(channel="actions", what=What.ACTION, action=Action(kind="backup", name="nightly"), **fields)


async def test_action_is_done_once_and_its_outcome_kept(stage: Stage) -> None:
    """In flight before it begins, its receipt after."""
    running = asyncio.create_task(stage.dispatcher.run())
    await stage.offer(action := an_action())
    await eventually(lambda: stage.dispatcher.standing.pending == 0)
    assert stage.book.states(action) == ["pending", "inflight", "sent"]
    assert [one.standing for one in stage.desk.deeds] == [Standing.INFLIGHT]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_action_at_work_is_no_message_that_waits(stage: Stage, clock: ManualClock) -> None:
    """A backup of two hours says nothing of the outbox; what waits beside it does."""
    await stage.offer(an_action())
    clock.advance(7200.0)
    assert (stage.dispatcher.standing.pending, stage.dispatcher.standing.oldest_seconds) == (1, 0.0)
    stage.dispatcher.offer([a_notice(channel="nobody", created_at=clock.now() - 10)])
    assert stage.dispatcher.standing.oldest_seconds == 10.0


async def test_action_that_was_interrupted_is_not_begun_again(stage: Stage, mail: FakeChannel) -> None:
    """Found in flight at the start: a dead letter that a channel tells of."""
    action = an_action(standing=Standing.INFLIGHT, attempts=1)
    stage.dispatcher.resume([action], {})
    assert len(stage.dispatcher._deeds) == 1
    await stage.dispatcher._deeds.do(action)
    await stage.settle()
    assert stage.desk.deeds == []
    assert kept(stage, action).standing is Standing.DEAD
    assert kept(stage, action).detail.startswith("interrupted")
    (told,) = [one for one in stage.book.notices.values() if one.what is What.UNDELIVERED]
    assert told.detail.startswith("backup nightly: interrupted")


@pytest.mark.parametrize(
    ("answer", "detail"),
    [
        (REFUSED, "status 400"),
        (Delivery(outcome=Outcome.RETRY), "retry"),
        (KeyError("x"), "a fault of the action's own: KeyError"),
        (TimeoutError(), "no end within a day"),
    ],
)
async def test_action_that_fails_is_a_dead_letter(stage: Stage, answer: Delivery | Exception, detail: str) -> None:
    """Whatever it says, it is not tried again."""
    stage.desk.answer = answer
    await stage.dispatcher._deeds.do(action := an_action())
    assert (kept(stage, action).standing, kept(stage, action).detail) == (Standing.DEAD, detail)


async def test_action_that_is_overtaken_is_not_begun(stage: Stage) -> None:
    """Dropped, for its reason."""
    stage.desk.overtaken["0000000a"] = "resolved meanwhile"
    await stage.dispatcher._deeds.do(action := an_action())
    assert (kept(stage, action).standing, stage.desk.deeds) == (Standing.DROPPED, [])


async def test_action_that_cannot_be_kept_is_not_begun(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It might be begun twice; so it is told instead."""
    monkeypatch.setattr("alerting.dispatch.deeds.KEEP_SECONDS", 0)
    stage.book.refuses = True
    await stage.dispatcher._deeds.do(action := replace(an_action(), action=None))
    stage.book.refuses = False
    await stage.settle()
    assert stage.desk.deeds == []
    assert kept(stage, action).detail.startswith("not begun")


async def test_fault_in_a_deed_ends_not_the_others(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is done."""
    do = stage.dispatcher._deeds.do

    async def fail_first(notice: Notice) -> None:
        if notice.alert.episode == "0000000a":
            raise ZeroDivisionError
        await do(notice)

    monkeypatch.setattr(stage.dispatcher._deeds, "do", fail_first)
    running = asyncio.create_task(stage.dispatcher.run())
    await stage.offer(an_action(), a_notice("0000000b", what=What.ACTION))
    await eventually(lambda: len(stage.desk.deeds) == 1)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def test_fake_desk_is_silent_by_itself() -> None:
    """Nothing is overtaken unless a test says so."""
    assert Desk().recheck(a_notice()) == ""
