"""Whatever a channel does, each notice arrives, is overtaken for a reason, or is a dead letter that others hear of."""

import asyncio
from dataclasses import replace

import pytest

from tests.alerting.fakes import GONE, REFUSED, RETRY, SENT, FakeChannel, Stage, kept, many
from tests.alerting.notices import a_notice
from tests.builders import START, ManualClock
from toban.alerts import Delivery, Severity, Standing, What

CRITICAL = {"severity": Severity.CRITICAL}


async def test_notice_is_inflight_before_it_is_sent_and_kept_with_its_receipt(stage: Stage, slack: FakeChannel) -> None:
    """Pending, in flight, sent: three commits, and the provider's receipt is in the last."""
    notice = a_notice()

    async def look(_: object) -> Delivery:
        assert kept(stage, notice).standing is Standing.INFLIGHT
        assert kept(stage, notice).attempts == 1
        return SENT

    slack.script.append(look)
    await stage.offer(notice)
    await stage.settle()
    assert stage.book.states(notice) == ["pending", "inflight", "sent"]
    assert (kept(stage, notice).receipt, kept(stage, notice).settled_at) == ({"ts": "1"}, START)
    assert stage.dispatcher.standing.totals == {("slack", "sent"): 1}
    assert stage.dispatcher.standing.pending == 0


async def test_notice_is_tried_again_with_full_jitter(stage: Stage, slack: FakeChannel) -> None:
    """The same key, at half of 2, 4, 8 … seconds; nothing goes before its time."""
    notice = a_notice()
    slack.script.extend([RETRY] * 3)
    await stage.offer(notice)
    await stage.settle()
    for wait, sent in ((1.0, 2), (2.0, 3), (4.0, 4)):
        await stage.pass_time(wait - 0.5)
        assert len(slack.letters) == sent - 1
        await stage.pass_time(0.5)
        assert len(slack.letters) == sent
    assert {letter.key for letter in slack.letters} == {notice.key}
    assert [letter.notice.attempts for letter in slack.letters] == [1, 2, 3, 4]
    assert kept(stage, notice).standing is Standing.SENT
    assert stage.dispatcher.standing.totals == {("slack", "retry"): 3, ("slack", "sent"): 1}


async def test_notice_waits_as_long_as_the_receiver_asks(stage: Stage, slack: FakeChannel) -> None:
    """Retry-After holds for the whole channel, and for an hour at most."""
    slack.script.append(replace(RETRY, after_seconds=86_400.0))
    await stage.offer(a_notice(), a_notice("0000000b", of=CRITICAL))
    await stage.settle()
    await stage.pass_time(3599.0)
    assert len(slack.letters) == 1
    assert stage.dispatcher.standing.failing == {"slack": "status 500"}
    assert stage.dispatcher.standing.stuck == ()
    await stage.pass_time(1.0)
    assert len(slack.letters) == 3
    assert stage.dispatcher.standing.failing == {}


async def test_notice_out_of_time_is_a_dead_letter_told_elsewhere(
    clock: ManualClock, mail: FakeChannel, stage: Stage
) -> None:
    """`retry_for` has passed: dead with its reason, and one UNDELIVERED through another channel."""
    slow = FakeChannel("slack", clock=clock, retry_for=10.0)
    slow.script.extend([RETRY] * 9)
    stage.dispatcher.renew({"slack": slow, "mail": mail})
    notice = a_notice()
    await stage.offer(notice)
    for _ in range(20):
        await stage.pass_time(1.0)
    dead = kept(stage, notice)
    assert (dead.standing, dead.settled_at) == (Standing.DEAD, START + 16)
    assert dead.detail == "retry: status 500 (given up after 5)"
    (letter,) = mail.letters
    assert letter.notice.what is What.UNDELIVERED
    assert (letter.notice.receipt, letter.notice.detail) == ({"channel": "slack"}, dead.detail)
    assert [one.key for one in letter.digest] == [notice.key]
    assert stage.dispatcher.standing.totals["slack", "dead"] == 1


async def test_critical_is_tried_until_somebody_answers(clock: ManualClock, mail: FakeChannel, stage: Stage) -> None:
    """Past its time it goes on, at most a minute apart; another channel hears of it after five minutes, once."""
    slow = FakeChannel("slack", clock=clock, retry_for=10.0)
    slow.script.extend([RETRY] * 1000)
    stage.dispatcher.renew({"slack": slow, "mail": mail})
    notice = a_notice(of=CRITICAL)
    await stage.offer(notice)
    for _ in range(120):
        await stage.pass_time(60.0)
    assert kept(stage, notice).standing is Standing.PENDING
    assert len(slow.letters) > 115
    assert [letter.notice.what for letter in mail.letters] == [What.UNDELIVERED]
    stage.desk.overtaken[notice.alert.episode] = "acknowledged by ops meanwhile"
    await stage.pass_time(600.0)
    assert (kept(stage, notice).standing, kept(stage, notice).detail) == (
        Standing.DROPPED,
        "acknowledged by ops meanwhile",
    )


async def test_notice_that_some_have_holds_up_no_other(stage: Stage, slack: FakeChannel) -> None:
    """One of its receivers puts it off: the channel itself works, so the next one goes at once."""
    slack.script.append(replace(RETRY, unsure=True, partly=True))
    first, second = many(2)
    await stage.offer(first)
    await stage.settle()
    assert stage.dispatcher.standing.failing == {}
    await stage.offer(second)
    await stage.settle()
    assert [episode for episode, _ in slack.told] == ["00000000", "00000001"]
    slack.script.append(replace(RETRY, partly=True, after_seconds=60.0))
    await stage.offer(*(a_notice(f"later{n}") for n in range(2)))
    await stage.settle()
    assert [episode for episode, _ in slack.told[2:]] == ["later0"]


async def test_refused_notice_is_dead_at_once(stage: Stage, slack: FakeChannel, mail: FakeChannel) -> None:
    """It is not tried again, what is behind it goes on, and another channel hears of the first within ten minutes."""
    slack.script.extend([REFUSED, REFUSED])
    notices = many(3)
    await stage.offer(*notices)
    await stage.settle()
    assert [kept(stage, notice).standing.value for notice in notices] == ["dead", "dead", "sent"]
    assert [letter.notice.what for letter in mail.letters] == [What.UNDELIVERED]
    slack.script.extend([REFUSED])
    await stage.pass_time(598.0)
    await stage.offer(a_notice("0000000x"))
    await stage.pass_time(1.0)
    assert len(mail.letters) == 1
    slack.script.extend([REFUSED])
    await stage.offer(a_notice("0000000y"))
    await stage.pass_time(1.0)
    assert len(mail.letters) == 2


async def test_undelivered_is_not_told_of_undelivered(stage: Stage, slack: FakeChannel, mail: FakeChannel) -> None:
    """Both channels refuse: two dead letters, and no third."""
    slack.script.append(REFUSED)
    mail.script.append(REFUSED)
    await stage.offer(a_notice())
    await stage.settle()
    assert (len(slack.letters), len(mail.letters)) == (1, 1)
    assert [notice.standing for notice in stage.book.notices.values()] == [Standing.DEAD, Standing.DEAD]


async def test_channel_that_is_gone_is_shut_until_the_next_reload(
    clock: ManualClock, stage: Stage, slack: FakeChannel, mail: FakeChannel
) -> None:
    """410: nothing more goes that way, another channel hears of what waits, and a reload opens it again."""
    slack.script.append(GONE)
    first, second = a_notice(), a_notice("0000000b")
    await stage.offer(first, second)
    await stage.settle()
    assert kept(stage, first).standing is Standing.DEAD
    assert kept(stage, second).standing is Standing.PENDING
    assert stage.dispatcher.standing.shut == {"slack": "status 410"}
    assert [letter.notice.what for letter in mail.letters] == [What.UNDELIVERED]
    await stage.pass_time(3600.0)
    assert len(slack.letters) == 1
    again = FakeChannel("slack", clock=clock)
    stage.dispatcher.renew({"slack": again, "mail": mail})
    await stage.settle()
    assert [letter.key for letter in again.letters] == [second.key]
    assert (slack.closed, mail.closed) == (True, False)


async def test_channel_that_hangs_is_left_after_its_time(clock: ManualClock, mail: FakeChannel) -> None:
    """No answer within the timeout is a retry that may have arrived; so the next says `possible repeat`."""
    slack = FakeChannel("slack", clock=clock, timeout=0.01)
    stage = Stage(clock, {"slack": slack})

    async def hang(_: object) -> Delivery:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            raise ValueError("late") from None  # it heeds nothing
        return SENT

    slack.script.append(hang)
    await stage.offer(notice := a_notice())
    await stage.settle()
    assert (kept(stage, notice).standing, kept(stage, notice).detail) == (
        Standing.PENDING,
        "no answer within 0.01 s",
    )
    await stage.pass_time(60.0)
    assert slack.letters[1].possible_repeat


async def test_channel_that_heeds_its_end_is_parted_from(clock: ManualClock) -> None:
    """It stops when told to, and that is no fault."""
    slack = FakeChannel("slack", clock=clock, timeout=0.01)
    stage = Stage(clock, {"slack": slack})

    ended = asyncio.Event()

    async def hang(_: object) -> Delivery:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return SENT

    slack.script.append(hang)
    await stage.offer(notice := a_notice())
    await stage.settle()
    await asyncio.wait_for(ended.wait(), 10)
    assert kept(stage, notice).perhaps_sent


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (KeyError("https://hooks.example.org/secret"), "a fault of the channel's own: KeyError"),
        (TimeoutError(), "no answer in time"),
    ],
)
async def test_fault_of_a_channel_is_tried_again_in_plain_words(
    stage: Stage, slack: FakeChannel, error: Exception, detail: str
) -> None:
    """Its post goes on, and no text of the fault gets anywhere."""
    slack.script.append(error)
    await stage.offer(notice := a_notice())
    await stage.settle()
    assert kept(stage, notice).detail == detail
    await stage.pass_time(60.0)
    assert kept(stage, notice).standing is Standing.SENT
    assert slack.letters[1].node == ("" if isinstance(error, KeyError) else "db1")
    assert slack.letters[1].possible_repeat  # nobody knows how far it came


async def test_letter_that_cannot_be_written_goes_in_plain_words(stage: Stage, slack: FakeChannel) -> None:
    """A template that fails costs its form, never the alert."""
    stage.desk.fault = KeyError("value")
    await stage.offer(notice := a_notice())
    await stage.settle()
    assert kept(stage, notice).standing is Standing.SENT
    assert slack.letters[0].message.title == 'fired: WARNING disk_full main{mount="/srv"}'
    assert "0.91" in slack.letters[0].message.text


async def test_recheck_that_fails_is_no_reason_to_keep_silent(
    stage: Stage, slack: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is sent."""
    monkeypatch.setattr(stage.dispatcher, "_recheck", lambda _: 1 / 0)
    await stage.offer(a_notice())
    await stage.settle()
    assert len(slack.letters) == 1


async def test_old_notice_behind_another_dies_in_its_time(clock: ManualClock, mail: FakeChannel) -> None:
    """What waits in a channel that is shut is not forgotten there."""
    slack = FakeChannel("slack", clock=clock, retry_for=3600.0)
    stage = Stage(clock, {"slack": slack, "mail": mail})
    slack.script.append(GONE)
    await stage.offer(a_notice("gone0000", of=CRITICAL))
    await stage.settle()
    old, urgent, over = a_notice(), a_notice("0000000b", of=CRITICAL), a_notice("0000000c")
    await stage.offer(old, urgent, over)
    await stage.settle()
    stage.desk.overtaken["0000000c"] = "resolved meanwhile"
    await stage.pass_time(3601.0)
    assert (kept(stage, old).standing, kept(stage, old).detail) == (Standing.DEAD, "out of time: status 410")
    assert kept(stage, urgent).standing is Standing.PENDING
    assert kept(stage, over).standing is Standing.DROPPED
