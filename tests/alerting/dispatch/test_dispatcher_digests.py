"""Many become one message, and each of them is in it."""

from dataclasses import replace

import pytest

from tests.alerting.fakes import RETRY, FakeBook, FakeChannel, Stage, kept, many
from tests.alerting.notices import a_notice
from tests.builders import ManualClock
from toban.alerts import Severity, Standing, State, What

CRITICAL = {"severity": Severity.CRITICAL}


async def test_many_become_one_digest(stage: Stage, slack: FakeChannel, mail: FakeChannel) -> None:
    """More than twenty wait: one message with all of them, the worst first; each is settled in the same transaction."""
    notices = [*many(30), a_notice("critical", of=CRITICAL)]
    await stage.offer(*notices, *many(20, "mail"))
    await stage.settle()
    (letter,) = slack.letters
    assert letter.notice.what is What.DIGEST
    assert letter.notice.alert.episode == "critical"
    assert letter.digest[0].alert.episode == "critical"
    assert {one.key for one in letter.digest} == {notice.key for notice in notices}
    assert {kept(stage, notice).detail for notice in notices} == {f"in digest {letter.key}"}
    (page,) = [page for page in stage.book.pages if letter.key in {n.key for n in page.notices if n.attempts == 0}]
    assert len(page.notices) == 32
    assert len(mail.letters) == 20
    assert stage.dispatcher.standing.totals["slack", "digest"] == 31


async def test_digest_counts_as_told(stage: Stage, slack: FakeChannel) -> None:
    """The end of what was in a digest is told, and hangs on no thread."""
    await stage.offer(*many(21))
    await stage.settle()
    await stage.offer(a_notice("00000003", what=What.RESOLVED, of={"state": State.RESOLVED}))
    await stage.settle()
    assert slack.told[1:] == [("00000003", "resolved")]
    assert slack.letters[1].thread == {}


async def test_digest_that_waits_is_overtaken_by_what_is_over(stage: Stage, slack: FakeChannel) -> None:
    """While it is tried again one of it ends: neither is told; what follows of the others comes after the digest."""
    slack.script.append(RETRY)
    await stage.offer(*many(21))
    await stage.settle()
    await stage.offer(
        a_notice("00000003", what=What.RESOLVED, of={"state": State.RESOLVED}),
        a_notice("00000004", what=What.REPEATED, of=CRITICAL),
    )
    stage.desk.overtaken["00000005"] = "acknowledged by ops meanwhile"
    await stage.settle()
    await stage.pass_time(1.0)
    first, second, third = slack.letters
    assert (first.key, len(first.digest)) == (second.key, 21)
    assert {one.alert.episode for one in first.digest} - {one.alert.episode for one in second.digest} == {
        "00000003",
        "00000005",
    }
    assert third.notice.what is What.REPEATED


async def test_digest_of_what_is_all_over_is_not_sent(stage: Stage, slack: FakeChannel) -> None:
    """Everything in it has ended meanwhile."""
    slack.script.append(RETRY)
    await stage.offer(*many(21))
    await stage.settle()
    stage.desk.overtaken = {f"{n:08}": "resolved meanwhile" for n in range(21)}
    await stage.pass_time(60.0)
    assert len(slack.letters) == 1
    (digest,) = [one for one in stage.book.notices.values() if one.what is What.DIGEST]
    assert (digest.standing, digest.detail) == (Standing.DROPPED, "all of it is over")


async def test_digest_is_not_made_of_what_is_overtaken(stage: Stage, slack: FakeChannel) -> None:
    """Most have ended before the storm could be told: the rest goes one by one."""
    stage.desk.overtaken = {f"{n:08}": "resolved meanwhile" for n in range(5)}
    await stage.offer(*many(21))
    await stage.settle()
    assert len(slack.letters) == 16
    assert {letter.notice.what for letter in slack.letters} == {What.FIRED}


async def test_digest_found_at_the_start_knows_its_members(clock: ManualClock, slack: FakeChannel) -> None:
    """They are in the book."""
    book = FakeBook()
    first = Stage(clock, {"slack": slack}, book)
    slack.script.append(RETRY)
    await first.offer(*many(21))
    await first.settle()
    second = Stage(clock, {"slack": slack}, book)
    (found,) = [one for one in book.notices.values() if one.standing is Standing.PENDING]
    second.dispatcher.resume([found], {})
    await second.pass_time(60.0)
    assert len(slack.letters[1].digest) == 21
    assert slack.letters[1].key == slack.letters[0].key


async def test_storm_leaves_the_loop_to_others(
    stage: Stage, slack: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever there are many, others have their turn in between; nothing is lost by it."""
    for place in ("alerting.dispatch.post.AT_ONCE", "alerting.dispatcher.AT_ONCE"):
        monkeypatch.setattr(place, 2)
    stage.desk.overtaken = {f"{n:08}": "resolved meanwhile" for n in range(5)}
    await stage.offer(*many(50))
    await stage.settle()
    assert len(slack.letters[0].digest) == 45
    slack.script.append(replace(RETRY, after_seconds=70.0))
    await stage.offer(*many(19))
    stage.desk.overtaken = {}
    await stage.offer(*(a_notice(f"{n:08}", what=What.RESOLVED) for n in range(19)))
    await stage.settle()
    await stage.pass_time(70.0)
    assert stage.dispatcher.standing.pending == 0


async def test_digest_of_what_was_perhaps_sent_says_so(stage: Stage, slack: FakeChannel) -> None:
    """One of the many was in flight when the daemon died: the digest is a possible repeat."""
    first, *others = many(21)
    stage.dispatcher.resume([replace(first, perhaps_sent=True), *others], {})
    await stage.settle()
    assert slack.letters[0].possible_repeat


async def test_episode_in_two_digests_waits_for_both(stage: Stage, slack: FakeChannel) -> None:
    """The second digest holds it when the first has gone."""
    slack.script.extend([replace(RETRY, after_seconds=60.0)] * 2)
    first = many(21)
    await stage.offer(*first)
    await stage.settle()
    post = stage.dispatcher._posts["slack"]
    post.add(a_notice("digest00", what=What.DIGEST), tuple(first[:1]))
    await stage.offer(a_notice("00000000", what=What.REPEATED))
    for _ in range(4):
        await stage.pass_time(60.0)
    assert [letter.notice.what.value for letter in slack.letters] == ["digest"] * 4 + ["repeated"]


async def test_new_trouble_in_a_digest_is_told_though_the_first_was_not(stage: Stage, slack: FakeChannel) -> None:
    """Acknowledged before it could be sent, lapsed in a storm: it belongs in the digest."""
    stage.desk.overtaken["lapsed00"] = "acknowledged by ops meanwhile"
    await stage.offer(a_notice("lapsed00"))
    await stage.settle()
    stage.desk.overtaken.clear()
    await stage.offer(a_notice("lapsed00", what=What.LAPSED), *many(20))
    await stage.settle()
    (letter,) = slack.letters
    assert "lapsed00" in {one.alert.episode for one in letter.digest}


async def test_thread_begins_with_the_first_message_after_a_digest(stage: Stage, slack: FakeChannel) -> None:
    """A digest has no receipt to hang an answer on; what comes alone after it has."""
    await stage.offer(*many(21))
    await stage.settle()
    for what in (What.REPEATED, What.RESOLVED):
        await stage.offer(a_notice("00000003", what=what))
        await stage.settle()
    assert [dict(letter.thread) for letter in slack.letters] == [{}, {}, {"ts": "1"}]


async def test_end_of_an_incident_goes_by_itself(clock: ManualClock) -> None:
    """Where the provider knows an incident by its receipt alone: in a digest its end would leave it open for ever."""

    class Pager(FakeChannel):
        answers_apart = True

    pager = Pager("pager", clock=clock)
    stage = Stage(clock, {"pager": pager})
    await stage.offer(a_notice("incident", "pager"))
    await stage.settle()
    eased, worse = (a_notice("incident", "pager", what=what) for what in (What.EASED, What.WORSENED))
    await stage.offer(eased, worse, *many(21, "pager"))
    await stage.settle()
    assert [what for episode, what in pager.told if episode == "incident"] == ["fired", "eased", "worsened"]
    (digest,) = [letter for letter in pager.letters if letter.digest]
    assert {one.alert.episode for one in digest.digest} == {f"{n:08}" for n in range(21)}
