"""The dispatcher at work in the daemon: by itself, over reloads, and at the end."""

import asyncio
from dataclasses import replace

import pytest

from tests.alerting.fakes import GONE, REFUSED, RETRY, SENT, FakeChannel, Stage, kept, many
from tests.alerting.notices import a_notice
from tests.builders import ManualClock
from tests.waiting import eventually
from toban.alerts import Delivery, Outcome, Severity, Standing, What

CRITICAL = {"severity": Severity.CRITICAL}


async def test_slow_channel_delays_no_other(stage: Stage, slack: FakeChannel, mail: FakeChannel) -> None:
    """One hangs; the other one has sent all of its own."""

    async def hang(_: object) -> Delivery:
        await asyncio.Event().wait()
        return SENT

    slack.script.append(hang)
    running = asyncio.create_task(stage.dispatcher.run())
    await stage.offer(a_notice(), *many(5, "mail"))
    await eventually(lambda: len(mail.letters) == 5)
    assert len(slack.letters) == 1
    assert not await stage.dispatcher.drain(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_notice_for_a_channel_that_is_no_more_is_told_elsewhere(
    stage: Stage, slack: FakeChannel, mail: FakeChannel
) -> None:
    """What waited when it was removed, and what comes after: dead letters, and the other channel hears of them."""
    slack.script.append(RETRY)
    await stage.offer(waiting := a_notice())
    await stage.settle()
    post = stage.dispatcher._posts["slack"]
    stage.dispatcher.renew({"mail": mail})
    await post.run()
    await stage.offer(late := a_notice("0000000b"))
    await stage.settle()
    assert kept(stage, waiting).detail == "the channel is configured no more"
    assert kept(stage, late).detail == "no channel has this name"
    assert [letter.notice.what for letter in mail.letters] == [What.UNDELIVERED]


async def test_dashboard_hears_of_undelivered_only_where_no_other_can(clock: ManualClock, slack: FakeChannel) -> None:
    """Nobody is woken by a page."""

    class Dashboard(FakeChannel):
        kind = "dashboard"

    dashboard, mail = Dashboard("dashboard", clock=clock), FakeChannel("mail", clock=clock)
    stage = Stage(clock, {"dashboard": dashboard, "slack": slack, "mail": mail})
    slack.script.append(REFUSED)
    await stage.offer(a_notice())
    await stage.settle()
    assert (len(dashboard.letters), len(mail.letters)) == (0, 1)
    mail.script.append(REFUSED)
    stage.dispatcher.renew({"dashboard": dashboard, "mail": mail})
    await stage.offer(a_notice("0000000b", "mail"))
    await stage.settle()
    assert len(dashboard.letters) == 1


async def test_send_now_goes_past_the_queue(stage: Stage, slack: FakeChannel) -> None:
    """A person tries a channel and sees its receipt; a channel that is not there is a refusal."""
    letter = stage.desk.letter(a_notice(what=What.TEST), slack, ())
    assert await stage.dispatcher.send_now("slack", letter) == SENT
    assert (await stage.dispatcher.send_now("nowhere", letter)).outcome is Outcome.REFUSED
    assert stage.book.pages == []


async def test_dispatcher_sends_by_itself_and_takes_new_channels_up(
    stage: Stage, slack: FakeChannel, mail: FakeChannel, clock: ManualClock
) -> None:
    """`run` sends what is offered, also through a channel that was added meanwhile; at the end it rests."""
    running = asyncio.create_task(stage.dispatcher.run())
    await stage.offer(*many(300))
    await eventually(lambda: slack.letters)
    pager = FakeChannel("pager", clock=clock)
    stage.dispatcher.renew({"slack": slack, "pager": pager})
    await stage.offer(a_notice(channel="pager"))
    await eventually(lambda: pager.letters and mail.closed)
    assert await stage.dispatcher.drain()
    await stage.offer(a_notice("later000"))
    await asyncio.sleep(0)
    assert ("later000", "fired") not in slack.told
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_fault_of_our_own_ends_no_post(stage: Stage, slack: FakeChannel, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said loudly, and the post goes on."""
    monkeypatch.setattr("alerting.dispatch.post.FAULT_SECONDS", 0.01)
    post = stage.dispatcher._posts["slack"]
    turn, faults = post.turn, [1]

    async def fail_once() -> float:
        if faults:
            raise ZeroDivisionError(faults.pop())
        return await turn()

    async def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(post, "turn", fail_once)
    monkeypatch.setattr(stage.dispatcher, "mind", fail)
    running = asyncio.create_task(stage.dispatcher.run())
    await stage.offer(a_notice())
    await eventually(lambda: slack.letters)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_fault_at_the_end_of_a_channel_ends_no_other(
    stage: Stage, slack: FakeChannel, mail: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slack is configured no more, and what waits for it cannot be laid down: mail goes on."""
    running = asyncio.create_task(stage.dispatcher.run())
    slack.script.append(replace(RETRY, after_seconds=60.0))
    await stage.offer(a_notice())
    await eventually(lambda: slack.letters)
    monkeypatch.setattr(stage.dispatcher, "cry", lambda *_: 1 / 0)
    stage.dispatcher.renew({"mail": mail})
    await stage.offer(a_notice("0000000b", "mail"))
    await eventually(lambda: mail.letters)
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_channel_that_does_not_close_is_left(
    stage: Stage, slack: FakeChannel, mail: FakeChannel, clock: ManualClock
) -> None:
    """A reload goes on without it."""

    async def fail() -> None:
        raise OSError("https://hooks.example.org/secret")

    slack.close = fail  # type: ignore[method-assign] # the fault
    stage.dispatcher.renew({"slack": FakeChannel("slack", clock=clock), "mail": mail})
    await stage.dispatcher.mind()
    assert stage.dispatcher._retired == []


async def test_answer_of_an_old_channel_shuts_not_the_new_one(
    stage: Stage, slack: FakeChannel, mail: FakeChannel, clock: ManualClock
) -> None:
    """410 from the address that was just replaced: it is tried at the new one."""
    new = FakeChannel("slack", clock=clock)

    async def reload(_: object) -> Delivery:
        stage.dispatcher.renew({"slack": new, "mail": mail})
        return GONE

    slack.script.append(reload)
    await stage.offer(a_notice())
    await stage.settle()
    await stage.pass_time(60.0)
    assert stage.dispatcher.standing.shut == {}
    assert len(new.letters) == 1


async def test_channel_added_while_nothing_runs_has_its_post(
    stage: Stage, slack: FakeChannel, mail: FakeChannel, clock: ManualClock
) -> None:
    """It takes its turn with the others."""
    pager = FakeChannel("pager", clock=clock)
    stage.dispatcher.renew({"slack": slack, "mail": mail, "pager": pager})
    await stage.offer(a_notice(channel="pager"))
    await stage.settle()
    assert len(pager.letters) == 1


async def test_dead_letters_in_a_heap_are_told_once(clock: ManualClock, mail: FakeChannel) -> None:
    """A channel is removed with all that waits for it: one transaction, one message."""
    slack = FakeChannel("slack", clock=clock)
    stage = Stage(clock, {"slack": slack, "mail": mail})
    slack.script.append(replace(RETRY, after_seconds=60.0))
    await stage.offer(notices := many(15)[0], *many(15)[1:])
    await stage.settle()
    post = stage.dispatcher._posts["slack"]
    stage.dispatcher.renew({"mail": mail})
    await post.run()
    await stage.settle()
    (letter,) = mail.letters
    assert len(letter.digest) == 15
    assert kept(stage, notices).standing is Standing.DEAD
