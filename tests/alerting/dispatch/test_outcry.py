"""What reaches nobody by its own channel is told through another: all of it, in time, and not every minute."""

from dataclasses import replace

import pytest

from alerting.dispatch.outcry import Outcry
from tests.alerting.fakes import GONE, REFUSED, RETRY, FakeChannel, Stage, kept, many
from tests.alerting.notices import a_notice
from tests.builders import START, ManualClock
from toban.alerts import Delivery, Severity, Standing, What

CRITICAL = {"severity": Severity.CRITICAL}


def named(channel: FakeChannel) -> list[list[str]]:
    """Of which episodes each letter of a channel tells."""
    return [[one.alert.episode for one in letter.digest] for letter in channel.letters]


async def test_critical_on_a_shut_channel_is_told_within_a_minute(
    stage: Stage, slack: FakeChannel, mail: FakeChannel
) -> None:
    """The outcry of a moment ago was about something else: this one is not kept back for ten minutes, nor for ever."""
    slack.script.append(GONE)
    await stage.offer(a_notice())
    await stage.settle()
    assert named(mail) == [["0000000a"]]
    await stage.pass_time(30.0)
    await stage.offer(a_notice("critical", of=CRITICAL))
    await stage.settle()
    assert len(mail.letters) == 1
    await stage.pass_time(30.0)
    assert named(mail) == [["0000000a"], ["critical"]]


async def test_outcry_that_comes_too_soon_is_made_later_of_all(
    stage: Stage, slack: FakeChannel, mail: FakeChannel
) -> None:
    """Three refusals in a row: one message now, and one for the other two after ten minutes."""
    slack.script.extend([REFUSED] * 3)
    for notice in many(3):
        await stage.offer(notice)
        await stage.settle()
    assert named(mail) == [["00000000"]]
    await stage.pass_time(599.0)
    assert len(mail.letters) == 1
    await stage.pass_time(1.0)
    assert named(mail) == [["00000000"], ["00000001", "00000002"]]
    await stage.pass_time(3600.0)
    assert len(mail.letters) == 2


async def test_outcry_names_nothing_that_arrived_meanwhile(
    stage: Stage, slack: FakeChannel, mail: FakeChannel, clock: ManualClock
) -> None:
    """What waited behind a refusal went out after it."""
    slack.script.extend([REFUSED, REFUSED])
    await stage.offer(a_notice())
    await stage.settle()
    clock.advance(10.0)
    await stage.offer(a_notice("refused0"), a_notice("arrived0"))
    await stage.settle()
    assert slack.told[-1] == ("arrived0", "fired")
    await stage.pass_time(590.0)
    assert named(mail) == [["0000000a"], ["refused0"]]


async def test_critical_behind_a_pause_is_told_after_five_minutes(
    stage: Stage, slack: FakeChannel, mail: FakeChannel
) -> None:
    """The receiver asked for an hour because of another message: what waits behind it is not silent for so long."""
    slack.script.append(replace(RETRY, after_seconds=3600.0))
    await stage.offer(a_notice())
    await stage.settle()
    await stage.offer(a_notice("critical", of=CRITICAL))
    await stage.pass_time(299.0)
    assert mail.letters == []
    await stage.pass_time(60.0)
    assert named(mail) == [["critical"]]
    await stage.pass_time(600.0)
    assert len(mail.letters) == 1


async def test_critical_that_is_to_wait_for_an_hour_is_told_at_once(
    stage: Stage, slack: FakeChannel, mail: FakeChannel
) -> None:
    """There is nothing to wait for: the receiver has said when it will listen again."""
    slack.script.append(replace(RETRY, after_seconds=3600.0))
    await stage.offer(a_notice("critical", of=CRITICAL))
    await stage.settle()
    assert named(mail) == [["critical"]]


async def test_undelivered_of_something_critical_is_given_up_in_time(clock: ManualClock, slack: FakeChannel) -> None:
    """Nothing overtakes it, so it would be tried for ever."""
    mail = FakeChannel("mail", clock=clock, retry_for=3600.0)
    stage = Stage(clock, {"slack": slack, "mail": mail})
    slack.script.append(REFUSED)
    mail.script.extend([RETRY] * 1000)
    await stage.offer(a_notice(of=CRITICAL))
    for _ in range(130):
        await stage.pass_time(30.0)
    (told,) = [one for one in stage.book.notices.values() if one.what is What.UNDELIVERED]
    assert told.standing is Standing.DEAD
    assert stage.dispatcher.standing.pending == 0


async def test_undelivered_holds_up_no_message_of_the_same_episode(
    stage: Stage, slack: FakeChannel, mail: FakeChannel
) -> None:
    """The other channel has its own message of the episode, which does not wait until the outcry has gone out."""
    slack.script.append(REFUSED)
    mail.script.append(RETRY)
    await stage.offer(a_notice())
    await stage.settle()
    await stage.offer(a_notice(channel="mail", what=What.WORSENED, of=CRITICAL))
    await stage.pass_time(1.0)
    assert [what for _, what in mail.told] == ["undelivered", "worsened", "undelivered"]


@pytest.mark.parametrize("answer", [RETRY, REFUSED])
async def test_outcry_that_cannot_be_made_is_left_to_another(
    clock: ManualClock, slack: FakeChannel, mail: FakeChannel, answer: Delivery
) -> None:
    """The first choice is down as well, which nobody knew: the next one makes it, within a minute."""
    pager = FakeChannel("pager", clock=clock)
    stage = Stage(clock, {"slack": slack, "mail": mail, "pager": pager})
    slack.script.append(REFUSED)
    mail.script.extend([answer] * 1000)
    await stage.offer(a_notice(of=CRITICAL))
    await stage.settle()
    assert (len(mail.letters), len(pager.letters)) == (1, 0)
    await stage.pass_time(60.0)
    assert named(pager) == [["0000000a"]]
    await stage.pass_time(600.0)
    assert (len(mail.letters), len(pager.letters)) == (1, 1)


async def test_outcry_that_nobody_can_make_is_not_passed_around(
    clock: ManualClock, slack: FakeChannel, mail: FakeChannel
) -> None:
    """Each has tried once: the last one gives it up."""
    pager = FakeChannel("pager", clock=clock)
    stage = Stage(clock, {"slack": slack, "mail": mail, "pager": pager})
    for channel in (slack, mail, pager):
        channel.script.extend([REFUSED] * 1000)
    await stage.offer(a_notice(of=CRITICAL))
    await stage.settle()
    for _ in range(20):
        await stage.pass_time(60.0)
    assert (len(mail.letters), len(pager.letters)) == (1, 1)
    told = [one.standing for one in stage.book.notices.values() if one.what is What.UNDELIVERED]
    assert told == [Standing.DROPPED, Standing.DEAD]


async def test_outcry_about_what_has_arrived_is_not_made(stage: Stage, slack: FakeChannel, mail: FakeChannel) -> None:
    """The network was gone for all of them: when it is back, the message itself arrives, and no false alarm beside."""
    slack.script.extend([RETRY] * 1000)
    mail.script.extend([RETRY] * 1000)
    await stage.offer(notice := a_notice(of=CRITICAL))
    for _ in range(20):
        await stage.pass_time(30.0)
    assert set(mail.told) == {("0000000a", "undelivered")}
    slack.script.clear()
    await stage.pass_time(60.0)
    assert kept(stage, notice).standing is Standing.SENT
    tried = len(mail.letters)
    await stage.pass_time(600.0)
    assert len(mail.letters) == tried
    (told,) = [one for one in stage.book.notices.values() if one.what is What.UNDELIVERED]
    assert told.standing is Standing.DROPPED


async def test_outcry_goes_to_who_is_told_of_the_like_anyway(clock: ManualClock, mail: FakeChannel) -> None:
    """A warning that mail would tell does not ring the pager because the chat is down."""
    slack, pager = FakeChannel("slack", clock=clock), FakeChannel("pager", clock=clock)
    stage = Stage(clock, {"slack": slack, "pager": pager, "mail": mail})
    slack.script.append(REFUSED)
    await stage.offer(a_notice())
    await stage.settle()
    assert (len(pager.letters), len(mail.letters)) == (0, 1)


async def test_outcry_of_a_letter_that_was_tried_again_by_hand_is_another(
    stage: Stage, slack: FakeChannel, mail: FakeChannel, clock: ManualClock
) -> None:
    """A receiver that knows keys would take the second for a repeat of the first."""
    slack.script.extend([REFUSED, REFUSED])
    await stage.offer(first := a_notice())
    await stage.settle()
    clock.advance(700.0)
    await stage.offer(replace(first, created_at=clock.now()))
    await stage.settle()
    assert len({letter.key for letter in mail.letters}) == 2


async def test_end_of_what_was_given_up_is_not_told(stage: Stage, slack: FakeChannel, mail: FakeChannel) -> None:
    """The channel refused the alarm: its end would be refused as well, and be another dead letter."""
    slack.script.append(REFUSED)
    await stage.offer(a_notice())
    await stage.settle()
    await stage.offer(over := a_notice(what=What.RESOLVED))
    await stage.settle()
    assert (kept(stage, over).standing, kept(stage, over).detail) == (Standing.DROPPED, "what it ends was never sent")
    assert len(slack.letters) == 1
    assert stage.dispatcher.standing.totals["slack", "dead"] == 1
    assert len(mail.letters) == 1


async def test_dead_letter_that_nobody_else_can_tell_of_is_kept(clock: ManualClock, slack: FakeChannel) -> None:
    """There is one channel alone: the book has it, and it is told as soon as there is another."""
    stage = Stage(clock, {"slack": slack})
    slack.script.append(REFUSED)
    await stage.offer(notice := a_notice())
    await stage.settle()
    assert kept(stage, notice).standing is Standing.DEAD
    mail = FakeChannel("mail", clock=clock)
    stage.dispatcher.renew({"slack": slack, "mail": mail})
    await stage.settle()
    assert named(mail) == [["0000000a"]]


def test_outcry_forgets_what_arrived_after_all() -> None:
    """Nobody is told of a message that is there by now."""
    outcry, first, second = Outcry(), a_notice(), a_notice("0000000b")
    outcry.add("slack", [first, second, a_notice(what=What.UNDELIVERED)], "status 500")
    outcry.forget(first)
    assert outcry.lost("slack") == (second,)
    outcry.forget(second)
    outcry.forget(second)
    assert (outcry.lost("slack"), list(outcry.due(0.0))) == ((), [])


def test_outcry_is_bounded() -> None:
    """So many notices of a channel, so many channels."""
    outcry = Outcry()
    for number in range(300):
        outcry.add(f"channel{number}", many(5), "down")
    assert len(list(outcry.due(START))) == 200
    outcry.add("channel0", [a_notice(f"{n:08}x") for n in range(2000)], "down")
    assert len(outcry.lost("channel0")) == 1000
    for number in range(300):
        outcry.add(f"new{number}", [], "down")
        assert outcry.lost(f"new{number}") == ()
    for channel in list(outcry.due(START)):
        assert outcry.told(channel, START) == "down"
    outcry.add("last", [a_notice()], "down")
    outcry.told("last", START)
    assert len(outcry._told_at) == 200
