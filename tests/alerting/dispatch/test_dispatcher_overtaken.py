"""What is answered or over before it could be told is not told, and a pair that was never sent collapses."""

import asyncio
from dataclasses import replace

from tests.alerting.fakes import RETRY, SENT, FakeChannel, Stage, kept, many
from tests.alerting.notices import a_notice
from tests.builders import START, ManualClock
from toban.alerts import Severity, Standing, State, What

CRITICAL = {"severity": Severity.CRITICAL}


async def test_notice_is_dropped_when_it_is_overtaken(stage: Stage, slack: FakeChannel) -> None:
    """Acknowledged or resolved before the send: dropped, with the reason."""
    notice = a_notice()
    stage.desk.overtaken[notice.alert.episode] = "resolved meanwhile"
    await stage.offer(notice)
    await stage.settle()
    assert slack.letters == []
    assert (kept(stage, notice).standing, kept(stage, notice).detail) == (Standing.DROPPED, "resolved meanwhile")


async def test_notice_is_looked_at_again_after_the_commit(stage: Stage, slack: FakeChannel) -> None:
    """The disk may take its time: what is answered meanwhile is not sent."""
    notice = a_notice()
    await stage.offer(notice)
    stage.book.gate = asyncio.Event()
    turning = asyncio.create_task(stage.dispatcher._posts["slack"].turn())
    await asyncio.sleep(0)
    stage.desk.overtaken[notice.alert.episode] = "acknowledged by ops meanwhile"
    stage.book.gate.set()
    await turning
    assert slack.letters == []
    assert stage.book.states(notice) == ["pending", "inflight", "dropped"]


async def test_pair_that_was_never_sent_collapses(stage: Stage, slack: FakeChannel) -> None:
    """The channel was down for the whole of it: neither the alarm nor its end is told."""
    slack.script.append(replace(RETRY, after_seconds=60.0))
    fired, over = a_notice(), a_notice(what=What.RESOLVED, of={"state": State.RESOLVED})
    await stage.offer(fired)
    await stage.settle()
    await stage.offer(over)
    await stage.pass_time(120.0)
    assert len(slack.letters) == 1
    assert kept(stage, fired).detail == "resolved before it could be sent"
    assert kept(stage, over).detail == "what it ends was never sent"


async def test_end_of_what_was_perhaps_sent_is_told(stage: Stage, slack: FakeChannel) -> None:
    """No answer came: it may have arrived, so its end is told."""
    slack.script.append(replace(RETRY, after_seconds=60.0, unsure=True))
    fired, over = a_notice(), a_notice(what=What.RESOLVED, of={"state": State.RESOLVED})
    await stage.offer(fired)
    await stage.settle()
    await stage.offer(over)
    await stage.pass_time(120.0)
    assert slack.told == [("0000000a", "fired"), ("0000000a", "resolved")]
    assert kept(stage, fired).standing is Standing.DROPPED


async def test_end_of_what_was_sent_is_told_in_its_thread(stage: Stage, slack: FakeChannel) -> None:
    """The receipt of the first message comes with each later one."""
    slack.script.extend([SENT, replace(SENT, receipt={"ts": "2"})])
    for what in (What.FIRED, What.REPEATED, What.RESOLVED):
        await stage.offer(a_notice(what=what))
        await stage.settle()
    assert [dict(letter.thread) for letter in slack.letters] == [{}, {"ts": "1"}, {"ts": "1"}]
    assert stage.dispatcher._threads == {}


async def test_outcry_is_no_answer_in_a_thread(stage: Stage, slack: FakeChannel) -> None:
    """Found in the book at the start, without its members: it would take the place of the episode's first message."""
    outcry = a_notice(what=What.UNDELIVERED, receipt={"channel": "mail"}, detail="status 500")
    stage.dispatcher.resume([outcry], {("0000000a", "slack"): {"ts": "1"}})
    await stage.settle()
    assert [dict(letter.thread) for letter in slack.letters] == [{}]


async def test_answer_to_what_was_never_sent_is_not_told(stage: Stage, slack: FakeChannel) -> None:
    """Acknowledged before the alarm could be sent: neither that nor the end is told."""
    slack.script.append(replace(RETRY, after_seconds=60.0))
    fired, taken = a_notice(), a_notice(what=What.ACKNOWLEDGED)
    await stage.offer(fired)
    await stage.settle()
    stage.desk.overtaken["0000000a"] = "acknowledged by ops meanwhile"
    await stage.offer(taken)
    await stage.settle()
    assert kept(stage, fired).standing is Standing.DROPPED
    stage.desk.overtaken.clear()
    await stage.pass_time(60.0)
    await stage.offer(over := a_notice(what=What.RESOLVED, of={"state": State.RESOLVED}))
    await stage.settle()
    assert len(slack.letters) == 1
    assert kept(stage, taken).detail == "what it answers was never sent"
    assert kept(stage, over).detail == "what it ends was never sent"


async def test_lapse_after_what_was_never_sent_is_told(stage: Stage, slack: FakeChannel) -> None:
    """New trouble makes the episode known after all; then its end is told."""
    stage.desk.overtaken["0000000a"] = "acknowledged by ops meanwhile"
    await stage.offer(a_notice())
    await stage.settle()
    stage.desk.overtaken.clear()
    await stage.offer(a_notice(what=What.LAPSED))
    await stage.settle()
    await stage.offer(a_notice(what=What.RESOLVED, of={"state": State.RESOLVED}))
    await stage.settle()
    assert slack.told == [("0000000a", "lapsed"), ("0000000a", "resolved")]


async def test_channel_that_wants_new_trouble_alone_hears_no_answers(clock: ManualClock) -> None:
    """A telephone does not ring because all is well."""

    class Voice(FakeChannel):
        acks = False

    voice = Voice("voice", clock=clock)
    stage = Stage(clock, {"voice": voice})
    await stage.offer(a_notice(channel="voice"))
    await stage.settle()
    await stage.offer(a_notice(channel="voice", what=What.ACKNOWLEDGED), a_notice(channel="voice", what=What.RESOLVED))
    await stage.settle()
    assert voice.told == [("0000000a", "fired")]


async def test_order_within_an_episode_holds_while_others_go_on(stage: Stage, slack: FakeChannel) -> None:
    """The head of an episode is tried again: what follows it waits, other episodes do not."""
    slack.script.append(RETRY)
    await stage.offer(a_notice(), a_notice(what=What.REPEATED), a_notice("0000000b", created_at=START + 1))
    await stage.settle()
    await stage.pass_time(1.0)
    assert slack.told == [
        ("0000000a", "fired"),
        ("0000000a", "fired"),
        ("0000000a", "repeated"),
        ("0000000b", "fired"),
    ]


async def test_criticals_go_first(stage: Stage, slack: FakeChannel) -> None:
    """The worst, then the oldest."""
    warning, info = a_notice("0000000a"), a_notice("0000000b", of={"severity": Severity.INFO})
    newer, older = a_notice("0000000c", of=CRITICAL), a_notice("0000000d", of=CRITICAL, created_at=START - 1)
    await stage.offer(info, warning, newer, older)
    await stage.settle()
    assert [episode for episode, _ in slack.told] == ["0000000d", "0000000c", "0000000a", "0000000b"]


async def test_pace_is_the_channels(clock: ManualClock) -> None:
    """A burst, then so many a second."""

    class Paced(FakeChannel):
        per_second = 0.5
        burst = 2

    paced = Paced("slack", clock=clock)
    stage = Stage(clock, {"slack": paced})
    await stage.offer(*many(4))
    await stage.settle()
    assert len(paced.letters) == 2
    await stage.pass_time(2.0)
    assert len(paced.letters) == 3
