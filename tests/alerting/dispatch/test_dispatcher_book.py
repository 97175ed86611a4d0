"""What the book cannot take goes out all the same, and it hears of it later; memory is bounded."""

import asyncio
from dataclasses import replace

import pytest

from tests.alerting.fakes import RETRY, SENT, FakeChannel, Stage, kept, many
from tests.alerting.notices import a_notice
from tests.builders import ManualClock
from toban.alerts import Delivery, Severity, Standing

CRITICAL = {"severity": Severity.CRITICAL}


async def test_notices_go_out_while_the_book_is_in_trouble(stage: Stage, slack: FakeChannel) -> None:
    """Each says that it could not be kept; once the book takes them again it has their last state."""
    stage.book.refuses = True
    await stage.offer(notice := a_notice())
    await stage.settle()
    assert [letter.notice.kept for letter in slack.letters] == [False]
    assert stage.book.notices == {}
    stage.book.refuses = False
    await stage.dispatcher.mind()
    assert kept(stage, notice).standing is Standing.SENT
    await stage.offer(a_notice("0000000b"))
    await stage.settle()
    assert slack.letters[1].notice.kept


async def test_notice_that_was_sent_is_not_taken_up_again_out_of_an_old_book(stage: Stage, slack: FakeChannel) -> None:
    """The disk took no note of its end; until it does, the book is not believed."""

    async def fill(_: object) -> Delivery:
        stage.book.refuses = True
        return SENT

    slack.script.append(fill)
    await stage.offer(notice := a_notice())
    await stage.settle()
    stage.dispatcher._more_in_book = True
    await stage.pass_time(60.0)
    assert kept(stage, notice).standing is Standing.INFLIGHT
    assert len(slack.letters) == 1


async def test_book_that_was_begun_anew_hears_what_waits(stage: Stage, slack: FakeChannel) -> None:
    """All that is still to be told is written again."""
    slack.script.append(replace(RETRY, after_seconds=60.0))
    await stage.offer(notice := a_notice())
    await stage.settle()
    stage.book.notices.clear()
    stage.book.renewed += 1
    await stage.dispatcher.mind()
    assert kept(stage, notice).standing is Standing.PENDING


async def test_outbox_that_has_no_room_leaves_the_rest_in_the_book(
    stage: Stage, slack: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In memory there are so many at most; the others are taken up later, and one that nobody has is told as lost."""
    monkeypatch.setattr("alerting.dispatcher.MOST_WAITING", 3)
    monkeypatch.setattr("alerting.dispatcher.REFILL", 2)
    await stage.offer(*many(8))
    assert stage.dispatcher.standing.pending == 3
    stage.book.refuses = True
    await stage.offer(a_notice("lost0000"))
    stage.book.refuses = False
    await stage.settle()
    assert sorted(episode for episode, _ in slack.told) == [f"{n:08}" for n in range(8)]
    assert stage.dispatcher.standing.totals["slack", "lost"] == 1


async def test_notice_offered_twice_goes_out_once(stage: Stage, slack: FakeChannel) -> None:
    """The key tells."""
    notice = a_notice()
    await stage.offer(notice)
    stage.dispatcher.offer([notice])
    await stage.settle()
    assert len(slack.letters) == 1


async def test_wall_clock_that_jumps_costs_no_notice(stage: Stage, slack: FakeChannel, clock: ManualClock) -> None:
    """An hour back, a year ahead: what waits goes at its pace."""
    slack.script.extend([RETRY, RETRY])
    await stage.offer(a_notice())
    await stage.settle()
    clock.jump(-3600.0)
    await stage.pass_time(1.0)
    clock.jump(365 * 86400.0)
    await stage.pass_time(2.0)
    assert len(slack.letters) == 3


async def test_notice_that_is_due_and_not_sent_is_stuck(stage: Stage, clock: ManualClock) -> None:
    """For five minutes nobody has done anything about it, and the channel is not backing off."""
    await stage.offer(a_notice())
    told = []
    for seconds in (300.0, 1.0):
        clock.advance(seconds)
        told.append(stage.dispatcher.standing.stuck)
    assert told == [(), ("slack",)]
    assert stage.dispatcher.standing.oldest_seconds == 301.0
    await stage.settle()
    assert list(stage.dispatcher.standing.stuck) == []


async def test_what_is_remembered_is_bounded(stage: Stage, slack: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads, what was never told, and what the book has not got: the oldest goes first, and nothing stops."""
    monkeypatch.setattr("alerting.dispatcher.MOST_THREADS", 2)
    monkeypatch.setattr("alerting.dispatch.overtaking.MOST_UNTOLD", 2)
    await stage.offer(*many(5))
    await stage.settle()
    assert len(stage.dispatcher._threads) == 2
    stage.desk.overtaken = {f"over{n:04}": "resolved meanwhile" for n in range(4)}
    await stage.offer(*(a_notice(f"over{n:04}") for n in range(4)))
    await stage.settle()
    assert len(stage.dispatcher._posts["slack"]._overtaking._untold) == 2
    monkeypatch.setattr("alerting.dispatcher.MOST_WAITING", 0)
    stage.book.refuses = True
    assert not await stage.dispatcher.keep(a_notice("unkept00"))
    assert stage.dispatcher._unkept == {}


async def test_newer_state_is_never_overwritten_by_an_older(stage: Stage) -> None:
    """What the book refused is forgotten as soon as something newer is on its way there."""
    stage.book.refuses = True
    await stage.dispatcher.keep(notice := a_notice())
    stage.book.refuses = False
    await stage.dispatcher.keep(replace(notice, standing=Standing.SENT, attempts=1))
    await stage.dispatcher.mind()
    assert stage.book.states(notice) == ["sent"]


async def test_state_that_changes_while_an_older_is_written_is_written_too(stage: Stage) -> None:
    """The book is refusing, then slow: what is newer by the time it has answered is not forgotten."""
    stage.book.refuses = True
    await stage.dispatcher.keep(notice := a_notice())
    stage.book.refuses, stage.book.gate = False, asyncio.Event()
    minding = asyncio.create_task(stage.dispatcher.mind())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    stage.dispatcher._unkept[notice.key] = replace(notice, attempts=1)
    stage.book.gate.set()
    await minding
    assert kept(stage, notice).attempts == 1
