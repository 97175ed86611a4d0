import asyncio
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from alerting.quiet import Window
from history.book.contract import Found
from tests.alerting.builders import HOUR, MINUTE, Scene, a_rule, a_verdict, an_alert, with_policy
from tests.builders import START
from toban.alerts import Alert, Data, Notice, Severity, State, Transition, What

BERLIN = ZoneInfo("Europe/Berlin")


def berlin(text: str, *, fold: int = 0) -> float:
    """A local time as epoch seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


async def passing(scene: Scene, until: float, *, value: float) -> list[tuple[str, str, str]]:
    """Minute by minute, with a value each; what was told, and at what local time."""
    seen = []
    while scene.clock.now() < until:
        scene.clock.advance(MINUTE)
        at = datetime.fromtimestamp(scene.clock.now(), BERLIN).strftime("%d %H:%M")
        told = await scene.judged(value)
        scene.desk.tick()
        seen += [(at, what, channel) for what, channel in (*told, *await scene.told())]
    return seen


async def test_whole_ladder_with_windows_summer_time_a_restart_and_a_lease_that_lapses() -> None:
    """A night in which the clocks go forward, minute by minute: exactly these messages and no other."""
    nightly = Window(name="nightly", cron="30 2 * * *", for_seconds=HOUR, why="batch")  # there is no 02:30 that night
    rule = a_rule(for_seconds=2 * MINUTE, keep_seconds=5 * MINUTE, policy=with_policy(repeat_seconds=2 * HOUR))
    scene = Scene(rule, windows=[nightly], zone=BERLIN, at=berlin("2026-03-29 01:28"))

    assert await passing(scene, berlin("2026-03-29 01:45"), value=0.9) == [("29 01:31", "fired", "mail")]
    assert await passing(scene, berlin("2026-03-29 03:59"), value=0.9) == [("29 01:46", "escalated", "slack")]
    assert scene.alert.muted == "quiet nightly"  # since 03:00, after 29 minutes of the ladder

    await scene.restart(after_seconds=20)
    assert await passing(scene, berlin("2026-03-29 05:30"), value=0.9) == [
        ("29 04:01", "escalated", "sms"),  # fired 31 minutes ago by the ladder's time, which rested for the window
        ("29 04:31", "escalated", "voice"),
    ]
    assert scene.alert.episode == next(iter(scene.book.alerts))

    scene.desk.acknowledge(scene.alert.episode[:2], who="kim", for_seconds=3 * HOUR)
    assert await scene.told() == [("acknowledged", channel) for channel in ("mail", "slack", "sms", "voice")]
    lapsed = await passing(scene, berlin("2026-03-29 08:31"), value=0.9)
    assert lapsed == [("29 08:30", "lapsed", channel) for channel in ("mail", "slack", "sms", "voice")]
    assert await passing(scene, berlin("2026-03-29 10:35"), value=0.9) == [
        ("29 10:30", "repeated", channel) for channel in ("mail", "slack", "sms", "voice")
    ]
    over = await passing(scene, berlin("2026-03-29 12:00"), value=0.5)
    assert over == [("29 10:41", "resolved", channel) for channel in ("mail", "slack", "sms", "voice")]
    assert [step.sequence for step in scene.book.transitions] == list(range(1, len(scene.book.transitions) + 1))
    assert len({notice.key for notice in scene.dispatcher.offered}) == len(scene.dispatcher.offered)


async def test_window_in_the_night_that_is_an_hour_longer_mutes_once() -> None:
    """The clocks go back: two in the night comes twice, the window does not."""
    nightly = Window(name="nightly", cron="0 2 * * *", for_seconds=HOUR)
    policy = with_policy(steps=(), repeat_seconds=30 * MINUTE)
    scene = Scene(a_rule(policy=policy), windows=[nightly], zone=BERLIN, at=berlin("2026-10-25 01:29"))
    assert await passing(scene, berlin("2026-10-25 03:45"), value=0.9) == [
        ("25 01:30", "fired", "mail"),
        ("25 02:00", "repeated", "mail"),  # the second time that it is two: the window has been open for an hour
        ("25 02:30", "repeated", "mail"),
        ("25 03:00", "repeated", "mail"),
        ("25 03:30", "repeated", "mail"),
    ]


async def test_downtime_through_the_whole_ladder_brings_one_message() -> None:
    """A day later nobody is called four times at once."""
    scene = Scene()
    assert await scene.judged(0.9) == [("fired", "mail")]
    await scene.restart(after_seconds=24 * HOUR)
    assert await scene.judged(0.9) == []
    assert await scene.after(1) == [("escalated", "voice")]
    assert await scene.after(1) == []
    assert await scene.after(4 * HOUR) == [("repeated", "mail"), ("repeated", "voice")]


async def test_alert_that_was_over_while_no_daemon_ran_is_resolved_and_not_escalated() -> None:
    """The first value says so before anybody is called."""
    scene = Scene()
    await scene.judged(0.9)
    await scene.restart(after_seconds=2 * HOUR)
    assert await scene.judged(0.5) == [("resolved", "mail")]
    assert await scene.after(HOUR) == []


async def test_alert_without_data_is_told_once_and_lives_on_through_a_restart() -> None:
    """Neither silence nor a restart resolves it; the value does."""
    scene = Scene()
    await scene.judged(0.9)
    assert await scene.judged(0.9, data=Data.FAILING) == []
    assert await scene.after(2 * MINUTE) == [("no_data", "mail")]
    await scene.restart(after_seconds=MINUTE)
    assert await scene.judged(0.9, data=Data.FAILING) == []
    assert await scene.after(5 * MINUTE) == []
    assert scene.states == [State.FIRING]
    assert await scene.judged(0.5) == [("resolved", "mail")]


async def test_whole_ladder_is_the_frozen_one() -> None:
    """A reload gives the rule another ladder: this episode climbs the one that it began with."""
    scene = Scene()
    await scene.judged(0.9)
    scene.desk.renew([a_rule(policy=with_policy(steps=()))])
    assert await scene.after(15 * MINUTE) == [("escalated", "slack")]
    changed = a_rule(policy=with_policy(steps=()))
    assert await scene.judged(0.9, rule=changed) == []
    assert await scene.after(15 * MINUTE) == [("escalated", "sms")]


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(
            ["well", "warning", "critical", "none", "failing", "tick", "ack", "resolve", "silence", "end", "restart"]
        ),
        st.sampled_from([0.0, 1.0, 61.0, 300.0, 1000.0, 4000.0, 20_000.0]),
        st.sampled_from(["main", "other"]),
    ),
    max_size=40,
)
VALUES = {"well": 0.5, "warning": 0.9, "critical": 0.97, "none": 0.9, "failing": 0.9}
DATA = {"none": Data.NONE, "failing": Data.FAILING}


async def _happen(scene: Scene, event: str, target: str) -> None:
    named = next((alert.episode for alert in scene.desk.active() if alert.key.target == target), "zzzzzzzz")
    if event in VALUES:
        await scene.judged(VALUES[event], target=target, data=DATA.get(event, Data.OK))
    elif event == "ack":
        scene.desk.acknowledge(named, who="kim", for_seconds=1000)
    elif event == "resolve":
        scene.desk.resolve(named, who="kim")
    elif event == "silence":
        scene.desk.silence([("target", target)], why="so", who="kim", for_seconds=2000)
    elif event == "end":
        for silence in scene.desk.silences():
            scene.desk.end_silence(silence.id, who="kim")
    elif event == "restart":
        await scene.told()
        await scene.restart()
    scene.desk.tick()
    await scene.told()


def _check_transitions(steps: list[Transition]) -> None:
    by_episode: dict[str, list[Transition]] = {}
    for step in steps:
        by_episode.setdefault(step.episode, []).append(step)
    for own in by_episode.values():
        assert [step.sequence for step in own] == list(range(1, len(own) + 1)), "the sequence grows by one"
        assert all(one.after is not State.RESOLVED for one in own[:-1]), "what is over stays over"
        assert all(later.before is earlier.after for earlier, later in pairwise(own))


def _check_notices(notices: list[Notice], alerts: dict[str, Alert]) -> None:
    assert len({notice.key for notice in notices}) == len(notices), "a key is used once"
    for notice in notices:
        assert notice.alert.episode in alerts, "what is told is kept"
        fresh = notice.what in (What.RESOLVED, What.ACKNOWLEDGED, What.REPEATED, What.NO_DATA, What.EASED)
        if fresh:
            before = [other for other in notices if other.alert.episode == notice.alert.episode]
            assert before[0].what in (What.FIRED, What.WORSENED, What.LAPSED, What.ESCALATED)


@settings(deadline=None, max_examples=60)
@given(for_seconds=st.sampled_from([0.0, 60.0]), keep=st.sampled_from([0.0, 120.0]), events=EVENTS)
def test_desk_keeps_its_promises(for_seconds: float, keep: float, events: list[tuple[str, float, str]]) -> None:
    """Whatever happens: one open episode a key, no gap in a sequence, no key twice, nothing resolved by silence."""

    async def story() -> None:
        scene = Scene(a_rule(for_seconds=for_seconds, keep_seconds=keep))
        for event, seconds, target in events:
            scene.clock.advance(seconds)
            fired_before = {alert.episode for alert in scene.desk.active() if alert.fired_at is not None}
            await _happen(scene, event, target)
            now_open = scene.desk.active()
            assert len({alert.key for alert in now_open}) == len(now_open), "one open episode a key"
            if event not in ("well", "resolve"):
                assert fired_before <= {alert.episode for alert in now_open}, "only a value or a person resolves"
            assert {alert.episode for alert in scene.book.found().alerts} == {alert.episode for alert in now_open}
            assert scene.desk.faults == 0
        _check_transitions(scene.book.transitions)
        _check_notices(scene.dispatcher.offered, scene.book.alerts)

    asyncio.run(story())


async def test_resumed_desk_opens_no_second_episode_for_a_key() -> None:
    """Of two open alerts of one key in a damaged book, one goes on and the other is over."""
    scene = Scene()
    twins = (an_alert(episode="twin0001"), an_alert(episode="twin0002", severity=Severity.CRITICAL))
    scene.desk.resume(Found(alerts=twins))
    scene.desk.judged([a_verdict(0.97, at=START)])
    assert len(scene.desk.active()) == 1
    await scene.told()
    assert [step.episode for step in scene.book.transitions if step.after is State.RESOLVED] == ["twin0001"]
