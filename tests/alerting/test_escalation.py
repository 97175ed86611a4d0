from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.escalation import audience, due, idempotency_key, next_at, told
from tests.alerting.builders import HOUR, MINUTE, an_alert, with_policy
from tests.builders import START
from toban.alerts import Action, Severity, State, Step, What

DUMP = Action(kind="backup", name="nightly")
NOTE = Action(kind="command", name="note")


def rung(alert_after_seconds: float, **changes: object) -> tuple[What, int] | None:
    """What is due so long after the firing."""
    found = due(an_alert(**changes), START + alert_after_seconds)
    return None if found is None else (found.what, found.step)


def test_firing_tells_the_first_channels_of_the_severity() -> None:
    """Mail for a warning, the pager too for a critical one."""
    for severity, channels in ((Severity.WARNING, ("mail",)), (Severity.CRITICAL, ("mail", "pager"))):
        alert, notices = told(an_alert(severity=severity, told=(), told_at=None), What.FIRED, now=START + 1)
        assert tuple(notice.channel for notice in notices) == channels
        assert (alert.told, alert.told_at, alert.level) == (channels, START + 1, 0)
        assert [notice.alert for notice in notices] == [alert] * len(channels)


def test_severity_without_channels_tells_nobody() -> None:
    """An info is kept, and nobody is woken."""
    alert, notices = told(an_alert(severity=Severity.INFO, told=(), told_at=None), What.FIRED, now=START)
    assert (notices, alert.told_at) == ((), None)
    assert (due(alert, START + HOUR), next_at(alert, START)) == (None, None)


def test_rungs_are_due_in_their_time() -> None:
    """A quarter, a half, a whole hour without an answer."""
    assert rung(15 * MINUTE - 1) is None
    assert rung(15 * MINUTE) == (What.ESCALATED, 1)
    assert rung(30 * MINUTE, level=1) == (What.ESCALATED, 2)
    assert rung(60 * MINUTE, level=2) == (What.ESCALATED, 3)
    assert rung(90 * MINUTE, level=3) is None
    found = due(an_alert(), START + 16 * MINUTE)
    assert found is not None
    assert found.reason == "nobody answered for 16m: rung 1, due after 15m"


def test_only_the_highest_overdue_rung_goes_out() -> None:
    """After two hours of downtime nobody needs the rungs between."""
    assert rung(2 * HOUR) == (What.ESCALATED, 3)
    alert, notices = told(an_alert(), What.ESCALATED, now=START + 2 * HOUR, step=3)
    assert ([notice.channel for notice in notices], alert.level) == (["voice"], 3)
    assert due(alert, START + 2 * HOUR) is None


def test_next_rung_is_known_in_advance() -> None:
    """So that nobody has to ask in between."""
    assert next_at(an_alert(), START + 60) == START + 15 * MINUTE
    assert next_at(an_alert(level=3), START + 60) == START + 4 * HOUR
    assert next_at(an_alert(level=3, policy=with_policy(repeat_seconds=0)), START) is None


def test_repeat_goes_to_all_that_know() -> None:
    """Four hours after the last word, to whoever heard of it; not to actions."""
    alert = an_alert(level=3, told=("mail", "slack", "action:command:note"), told_at=START + HOUR)
    assert rung(5 * HOUR - 1, level=3, told_at=START + HOUR) is None
    assert rung(5 * HOUR, level=3, told_at=START + HOUR) == (What.REPEATED, 3)
    assert audience(alert, What.REPEATED) == ("mail", "slack")
    again, _ = told(alert, What.REPEATED, now=START + 5 * HOUR, step=3)
    assert next_at(again, START + 5 * HOUR) == START + 9 * HOUR


@pytest.mark.parametrize(
    "changes",
    [
        {"state": State.ACKNOWLEDGED},
        {"state": State.PENDING, "fired_at": None},
        {"state": State.RESOLVED},
        {"muted": "silence x"},
        {"calm_at": START},
    ],
)
def test_ladder_rests_while_nothing_is_to_be_climbed_for(changes: dict[str, object]) -> None:
    """Acknowledged, pending, over, muted, or clear for the moment."""
    assert due(an_alert(**changes), START + 9 * HOUR) is None
    assert next_at(an_alert(**changes), START) is None


def test_rest_does_not_count() -> None:
    """A ladder that rested for an hour goes on where it was."""
    assert rung(HOUR + 14 * MINUTE, rested_seconds=HOUR) is None
    assert rung(HOUR + 15 * MINUTE, rested_seconds=HOUR) == (What.ESCALATED, 1)


def test_rung_is_only_for_its_severities() -> None:
    """A warning passes by what is for critical ones, and an info climbs nothing unless it is named."""
    steps = (
        Step(after_seconds=60, channels=("sms",), severities=(Severity.CRITICAL,)),
        Step(after_seconds=120, channels=("log",), severities=(Severity.INFO,)),
    )
    policy = with_policy(steps=steps)
    assert rung(HOUR, policy=policy) is None
    assert rung(HOUR, policy=policy, severity=Severity.CRITICAL) == (What.ESCALATED, 1)
    assert rung(HOUR, policy=policy, severity=Severity.INFO) == (What.ESCALATED, 2)


@pytest.mark.parametrize(
    ("left", "at", "expected"),
    [
        (2 * HOUR, 0, None),
        (HOUR, 0, None),
        (50 * MINUTE, 0, (What.ESCALATED, 2)),
        (40 * MINUTE, 0, (What.ESCALATED, 2)),
        (40 * MINUTE, 20 * MINUTE, (What.ESCALATED, 3)),
        (40 * MINUTE, 20 * MINUTE - 1, (What.ESCALATED, 2)),
        (0.0, 0, (What.ESCALATED, 3)),
    ],
)
def test_ladder_skips_ahead_when_the_time_left_is_short(
    left: float, at: float, expected: tuple[What, int] | None
) -> None:
    """The last rung is taken at half of the time that is left, where that is less than the ladder."""
    assert rung(at, left_seconds=left) == expected


def test_ladder_that_skips_ahead_says_why() -> None:
    """The reader sees that nobody was slow to answer."""
    found = due(an_alert(left_seconds=600.0), START)
    assert found is not None
    assert found.reason == "full in 10m, before the ladder would be climbed: rung 2 at once"


def test_time_left_is_counted_from_when_it_was_seen() -> None:
    """Half an hour after the firing 10 min are left: the last rung is at 20 min after the firing, so now."""
    alert = an_alert(left_seconds=10 * MINUTE, seen_at=START + 30 * MINUTE)
    found = due(alert, START + 30 * MINUTE)
    assert found is not None
    assert found.step == 3
    assert next_at(replace(alert, seen_at=START), START) == START


def test_worse_is_told_to_those_who_know_and_to_the_first_of_the_new_severity() -> None:
    """The pager is for critical ones; slack knew already."""
    alert = an_alert(severity=Severity.CRITICAL, told=("mail", "slack"))
    assert audience(alert, What.WORSENED) == ("mail", "slack", "pager")
    assert audience(alert, What.LAPSED) == ("mail", "slack", "pager")


@pytest.mark.parametrize("what", [What.RESOLVED, What.EASED, What.ACKNOWLEDGED, What.NO_DATA])
def test_good_news_goes_only_to_those_who_know(what: What) -> None:
    """Who was never called needs no all-clear."""
    assert audience(an_alert(severity=Severity.CRITICAL, told=("slack",)), what) == ("slack",)
    assert audience(an_alert(told=()), what) == ()


def test_action_is_asked_for_once_in_an_episode() -> None:
    """At the firing, by its own way out, and never again; another one when it gets worse."""
    policy = with_policy(actions={Severity.WARNING: (NOTE,), Severity.CRITICAL: (NOTE, DUMP)})
    first, notices = told(an_alert(told=(), policy=policy), What.FIRED, now=START)
    assert [(n.what, n.channel, n.action) for n in notices] == [
        (What.FIRED, "mail", None),
        (What.ACTION, "action:command:note", NOTE),
    ]
    worse, more = told(replace(first, severity=Severity.CRITICAL, sequence=2), What.WORSENED, now=START + 1)
    assert [(n.what, n.channel) for n in more] == [
        (What.WORSENED, "mail"),
        (What.WORSENED, "pager"),
        (What.ACTION, "action:backup:nightly"),
    ]
    again, last = told(replace(worse, sequence=3), What.FIRED, now=START + 2)
    assert [n.channel for n in last] == ["mail", "pager"]
    assert again.told == ("mail", "action:command:note", "pager", "action:backup:nightly")


def test_action_is_not_asked_for_when_the_ladder_is_climbed() -> None:
    """It belongs to the trouble, not to the silence about it."""
    policy = with_policy(actions={Severity.WARNING: (NOTE,)})
    _, notices = told(an_alert(policy=policy), What.ESCALATED, now=START, step=1)
    assert [notice.channel for notice in notices] == ["slack"]


def test_what_was_owed_is_paid_when_it_is_told() -> None:
    """Nothing is told twice."""
    alert, _ = told(an_alert(owed=What.WORSENED), What.WORSENED, now=START)
    assert alert.owed is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a1", "a2"]),
            st.integers(0, 3),
            st.integers(0, 3),
            st.sampled_from(["mail", "sms"]),
            st.sampled_from([What.FIRED, What.RESOLVED]),
        ),
        unique=True,
        max_size=20,
    )
)
def test_idempotency_keys_are_unique(tellings: list[tuple[str, int, int, str, What]]) -> None:
    """Another episode, transition, rung, channel or occasion is another key; the same is the same."""
    keys = [
        idempotency_key(an_alert(episode=episode, sequence=sequence), what, channel, step)
        for episode, sequence, step, channel, what in tellings
    ]
    assert len(set(keys)) == len(tellings)
    assert all(len(key) == 64 for key in keys)


def test_rung_for_the_new_severity_alone_is_told_of_what_worsens_above_it() -> None:
    """The ladder was climbed past it as a warning, and is not gone back to."""
    steps = (
        Step(after_seconds=15 * MINUTE, channels=("slack",)),
        Step(after_seconds=30 * MINUTE, channels=("sms",), severities=(Severity.CRITICAL,)),
        Step(after_seconds=60 * MINUTE, channels=("voice",), severities=(Severity.CRITICAL,)),
    )
    worse = an_alert(severity=Severity.CRITICAL, level=2, told=("mail", "slack"), policy=with_policy(steps=steps))
    assert audience(worse, What.WORSENED) == ("mail", "slack", "pager", "sms")
    assert audience(worse, What.LAPSED) == ("mail", "slack", "pager")


def test_ladder_that_rested_skips_ahead_by_the_time_that_is_left_now() -> None:
    """Acknowledged for two hours, and full in 20 min: an hour's ladder would come too late."""
    rested: dict[str, Any] = {"seen_at": START + 2 * HOUR, "rested_seconds": 2 * HOUR, "left_seconds": 20 * MINUTE}
    assert rung(2 * HOUR, **rested) == (What.ESCALATED, 2)
    assert rung(2 * HOUR + 10 * MINUTE, level=2, **rested) == (What.ESCALATED, 3)
