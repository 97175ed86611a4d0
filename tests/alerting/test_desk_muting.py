from zoneinfo import ZoneInfo

import pytest

from alerting.quiet import Window
from tests.alerting.builders import HOUR, MINUTE, NewScene, a_rule, a_verdict, with_policy
from tests.builders import START
from toban.alerts import Data, Severity, Silence, What
from toban.outcomes import Failure

DOWN = a_rule("target_down", for_seconds=0)
HOST = a_rule("host_down")
SYMPTOM = a_rule("slow", symptom_of=("target_down", "host_down"))


async def test_alert_that_fires_in_a_silence_is_told_when_it_ends(new_scene: NewScene) -> None:
    """Muted is not lost, and the ladder begins then."""
    scene = new_scene()
    silence = scene.desk.silence([("rule", "conn*")], why="a move", who="kim", for_seconds=HOUR)
    assert isinstance(silence, Silence)
    assert await scene.judged(0.97) == []
    assert (scene.alert.muted, scene.alert.owed) == (f"silence {silence.id}", What.FIRED)
    assert await scene.after(HOUR - 1) == []
    assert await scene.after(1) == [("fired", "mail"), ("fired", "pager")]
    assert scene.alert.reason == f"silence {silence.id} is over: 97%"
    assert await scene.after(14 * MINUTE) == []
    assert await scene.after(MINUTE) == [("escalated", "slack")]
    assert scene.desk.silences() == ()


async def test_alert_that_is_over_before_its_silence_is_never_told(new_scene: NewScene) -> None:
    """Nobody knew, nobody needs to."""
    scene = new_scene()
    scene.desk.silence([], why="a move", who="kim", for_seconds=HOUR)
    assert await scene.judged(0.9, 0.97, 0.5) == []
    assert scene.desk.active() == ()
    assert await scene.after(2 * HOUR) == []


async def test_silence_ended_early_lets_them_speak(new_scene: NewScene) -> None:
    """The alert that it muted is told at once."""
    scene = new_scene()
    silence = scene.desk.silence([], why="a move", who="kim", for_seconds=HOUR)
    assert isinstance(silence, Silence)
    await scene.judged(0.9)
    ended = scene.desk.end_silence(silence.id[:2], who="lee")
    assert isinstance(ended, Silence)
    assert (ended.ended_by, ended.ends_at) == ("lee", START)
    assert await scene.after(0) == [("fired", "mail")]
    assert isinstance(scene.desk.end_silence("zz", who="lee"), Failure)
    assert scene.book.pages[-1].silences == () or scene.book.found().silences == ()


async def test_silence_after_the_firing_rests_the_ladder_but_not_the_all_clear(new_scene: NewScene) -> None:
    """Who knows of an alert hears of its end, muted or not."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.desk.silence([("target", "main")], why="known", who="kim", for_seconds=HOUR)
    assert await scene.after(30 * MINUTE) == []
    assert scene.alert.muted.startswith("silence ")
    assert await scene.judged(0.5) == [("resolved", "mail")]


async def test_what_worsens_in_a_silence_is_told_after_it(new_scene: NewScene) -> None:
    """Unless it has eased again meanwhile."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.desk.silence([], why="known", who="kim", for_seconds=HOUR)
    assert await scene.judged(0.97) == []
    assert scene.alert.owed is What.WORSENED
    assert await scene.after(HOUR) == [("worsened", "mail"), ("worsened", "pager")]
    scene.desk.silence([], why="known", who="kim", for_seconds=HOUR)
    scene.desk.resolve(scene.alert.episode, who="kim")
    assert await scene.judged(0.9, labels=(("n", "1"),)) == [("resolved", "mail"), ("resolved", "pager")]


async def test_what_worsened_and_eased_in_a_silence_is_not_told(new_scene: NewScene) -> None:
    """It is as it was."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.desk.silence([], why="known", who="kim", for_seconds=10 * MINUTE)
    await scene.judged(0.97)
    await scene.judged(0.9)
    scene.clock.advance(MINUTE)
    assert await scene.judged(0.9) == []
    assert (scene.alert.severity, scene.alert.owed) == (Severity.WARNING, None)
    assert await scene.after(9 * MINUTE) == []


async def test_silence_of_warnings_does_not_hide_a_critical_one(new_scene: NewScene) -> None:
    """Getting worse leaves the silence."""
    scene = new_scene()
    scene.desk.silence([("severity", "warning")], why="known", who="kim", for_seconds=HOUR)
    assert await scene.judged(0.9) == []
    assert await scene.judged(0.97) == [("worsened", "mail"), ("worsened", "pager")]


async def test_silences_that_make_no_sense_are_refused(new_scene: NewScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over before it begins, no cron line, too many."""
    scene = new_scene()
    answers = [
        scene.desk.silence([], why="", who="", for_seconds=0),
        scene.desk.silence([], why="", who="", for_seconds=60, ends_at=START - 1),
        scene.desk.silence([], why="", who="", for_seconds=60, cron="at night"),
    ]
    monkeypatch.setattr("alerting.desk.orders.MOST_SILENCES", 0)
    answers.append(scene.desk.silence([], why="", who="", for_seconds=60))
    assert [answer.detail for answer in answers if isinstance(answer, Failure)] == [
        "the silence would be over before it begins",
        "the silence would be over before it begins",
        "'at night' is no cron line; write minute hour day month weekday, as in `0 1 * * *`",
        "there are 0 silences already",
    ]
    assert scene.desk.silences() == ()


async def test_recurring_silence_comes_again(new_scene: NewScene) -> None:
    """Each hour for ten minutes, until somebody ends it."""
    scene = new_scene(a_rule(policy=with_policy(steps=(), repeat_seconds=30 * MINUTE)))
    silence = scene.desk.silence([], why="batch", who="kim", for_seconds=10 * MINUTE, cron="0 * * * *")
    assert isinstance(silence, Silence)
    scene.clock.advance(-START % HOUR + HOUR)
    assert await scene.judged(0.9) == []
    assert await scene.after(10 * MINUTE) == [("fired", "mail")]
    assert await scene.after(30 * MINUTE) == [("repeated", "mail")]
    assert await scene.after(25 * MINUTE) == []
    assert await scene.after(5 * MINUTE) == [("repeated", "mail")]


async def test_quiet_window_mutes_what_it_matches(new_scene: NewScene) -> None:
    """And only that; it ends in the configured zone."""
    window = Window(name="nightly", cron="0 1 * * *", for_seconds=HOUR, match=(("rule", "disk_*"),))
    disk = a_rule("disk_full")
    one = START - START % 86400 + 16 * HOUR  # one in the night of Tokyo
    scene = new_scene(a_rule(), disk, windows=[window], zone=ZoneInfo("Asia/Tokyo"), at=one)
    assert await scene.judged(0.9, rule=disk) == []
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert await scene.after(HOUR) == [("fired", "mail"), ("escalated", "voice")]


async def test_window_that_ends_while_values_come_in_frees_all_that_it_muted(new_scene: NewScene) -> None:
    """Whoever notices the end first, the others are told of it too."""
    window = Window(name="hourly", cron="0 * * * *", for_seconds=10 * MINUTE)
    scene = new_scene(windows=[window], at=START - START % HOUR)
    assert await scene.judged(0.9) == []
    scene.clock.advance(10 * MINUTE)
    assert await scene.judged(0.9, target="other") == [("fired", "mail")]
    assert await scene.after(0) == [("fired", "mail")]


async def test_silence_that_runs_out_while_somebody_looks_frees_what_it_muted(new_scene: NewScene) -> None:
    """Asking for the silences takes nothing from those who wait for their end."""
    scene = new_scene()
    scene.desk.silence([], why="a move", who="kim", for_seconds=60)
    assert await scene.judged(0.9) == []
    scene.clock.advance(60)
    assert scene.desk.silences() == ()
    assert await scene.after(0) == [("fired", "mail")]


async def test_maintenance_under_way_excuses_only_what_fires_while_it_is(new_scene: NewScene) -> None:
    """A vacuum does not excuse what was there before it; when it is over, what still fires is told."""
    busy = a_rule("disk_busy", excused_by=("vacuum",))
    scene = new_scene(busy)
    await scene.judged(0.9, target="old")
    scene.surroundings.under_way = {"main": ("vacuum",), "old": ("vacuum",)}
    assert await scene.judged(0.9) == []
    assert [alert.muted for alert in scene.desk.active()] == ["", "maintenance vacuum"]
    assert await scene.after(30) == []
    scene.surroundings.under_way = {}
    assert await scene.after(30) == [("fired", "mail")]


async def test_symptom_of_an_open_cause_is_muted_and_listed_under_it(new_scene: NewScene) -> None:
    """The cause is told even when the symptom's verdict comes first in the same breath."""
    scene = new_scene(DOWN, SYMPTOM)
    scene.desk.judged([a_verdict(0.9, rule=SYMPTOM), a_verdict(0.97, rule=DOWN)])
    assert await scene.told() == [("fired", "mail"), ("fired", "pager")]
    cause, symptom = scene.desk.active()
    assert (symptom.muted, symptom.cause) == (f"caused by {cause.episode}", cause.episode)
    assert scene.desk.symptoms(cause.episode) == (symptom,)
    assert list(scene.book.pages[0].evidence) == [cause.episode]


async def test_symptom_that_outlives_its_cause_is_told_after_half_a_minute(new_scene: NewScene) -> None:
    """It is trouble of its own then; one that ends with its cause was not."""
    scene = new_scene(DOWN, SYMPTOM)
    await scene.judged(0.97)
    assert await scene.judged(0.9, rule=SYMPTOM) == []
    assert await scene.judged(0.9, rule=SYMPTOM, labels=(("n", "1"),)) == []
    assert await scene.judged(0.5) == [("resolved", "mail"), ("resolved", "pager")]
    assert await scene.after(29) == []
    assert await scene.judged(0.5, rule=SYMPTOM, labels=(("n", "1"),)) == []
    assert await scene.after(1) == [("fired", "mail")]
    assert (scene.alert.cause, scene.alert.muted) == ("", "")


async def test_symptom_waits_while_its_cause_is_pending(new_scene: NewScene) -> None:
    """If the cause comes to nothing the symptom is told, half a minute later."""
    down = a_rule("target_down", for_seconds=60)
    scene = new_scene(down, SYMPTOM)
    assert await scene.judged(0.97) == []
    assert await scene.judged(0.9, rule=SYMPTOM) == []
    cause, symptom = scene.desk.active()
    assert symptom.muted == f"waits for {cause.episode}"
    scene.clock.advance(60)
    assert await scene.judged(0.97) == [("fired", "mail"), ("fired", "pager")]
    assert await scene.after(0) == []
    assert scene.desk.symptoms(cause.episode)[0].muted == f"caused by {cause.episode}"


async def test_cause_that_comes_late_stops_the_symptoms_ladder(new_scene: NewScene) -> None:
    """The symptom was told already; from then on it rests."""
    scene = new_scene(DOWN, SYMPTOM)
    assert await scene.judged(0.9, rule=SYMPTOM) == [("fired", "mail")]
    await scene.judged(0.97)
    assert await scene.after(15 * MINUTE) == [("escalated", "slack")]
    assert sorted(alert.level for alert in scene.desk.active()) == [0, 1]


async def test_host_that_is_down_is_the_cause_of_its_targets_alerts(new_scene: NewScene) -> None:
    """By the name of the host that the target runs on."""
    scene = new_scene(HOST, SYMPTOM)
    scene.surroundings.hosts = {"main": "db1", "other": "db2"}
    assert await scene.judged(0.9, target="db1") == [("fired", "mail")]
    assert await scene.judged(0.9, rule=SYMPTOM) == []
    assert await scene.judged(0.9, rule=SYMPTOM, target="other") == [("fired", "mail")]


async def test_reload_that_adds_a_window_mutes_from_then_on(new_scene: NewScene) -> None:
    """What is open is looked at anew."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.desk.renew(scene.rules, windows=[Window(name="all", cron="* * * * *", for_seconds=60)])
    assert await scene.after(HOUR) == []
    assert scene.alert.muted == "quiet all"


async def test_symptom_of_two_causes_is_put_down_to_the_one_that_is_left(new_scene: NewScene) -> None:
    """Only the end of the last one counts."""
    scene = new_scene(DOWN, HOST, SYMPTOM)
    scene.surroundings.hosts = {"main": "db1"}
    await scene.judged(0.9, target="db1", rule=HOST)
    assert await scene.judged(0.9, rule=SYMPTOM) == []
    scene.clock.advance(1)
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert await scene.judged(0.5) == [("resolved", "mail")]
    assert await scene.after(HOUR) == [("escalated", "voice")]
    assert await scene.judged(0.5, target="db1", rule=HOST) == [("resolved", "mail"), ("resolved", "voice")]
    assert await scene.after(30) == [("fired", "mail")]


async def test_restart_keeps_silences(new_scene: NewScene) -> None:
    """What was muted stays muted."""
    scene = new_scene()
    scene.desk.silence([], why="a move", who="kim", for_seconds=HOUR)
    await scene.judged(0.9)
    await scene.restart(after_seconds=60)
    assert len(scene.desk.silences()) == 1
    assert await scene.after(HOUR - 61) == []
    assert await scene.after(1) == [("fired", "mail")]


async def test_what_worsens_in_a_silence_is_told_though_it_is_not_heard_of_any_more(new_scene: NewScene) -> None:
    """The pager has not heard yet that it is critical; that no data comes is the smaller news."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.desk.silence([], why="known", who="kim", for_seconds=HOUR)
    await scene.judged(0.97)
    await scene.judged(0.97, data=Data.FAILING)
    assert await scene.after(10 * MINUTE) == []
    assert (scene.alert.unheard_told, scene.alert.owed) == (True, What.WORSENED)
    assert await scene.after(HOUR) == [("worsened", "mail"), ("worsened", "pager")]


async def test_alert_that_is_not_heard_of_is_put_down_to_its_target_being_down(new_scene: NewScene) -> None:
    """Also one whose rule names no cause; when the target is back, it has its half minute to be heard of again."""
    own = a_rule("orders_late")
    scene = new_scene(DOWN, own)
    assert await scene.judged(0.9, rule=own) == [("fired", "mail")]
    assert await scene.judged(0.9) == [("fired", "mail")]
    await scene.judged(0.9, rule=own, data=Data.FAILING)
    assert await scene.after(10 * MINUTE) == []
    assert await scene.judged(0.5) == [("resolved", "mail")]
    assert await scene.after(29) == []
    assert await scene.judged(0.9, rule=own) == []
    assert await scene.after(MINUTE) == []
    assert await scene.judged(0.9, rule=own, data=Data.FAILING) == []
    assert await scene.after(2 * MINUTE) == [("no_data", "mail")]


async def test_symptom_may_outlive_its_cause_as_long_as_its_rule_waits(new_scene: NewScene) -> None:
    """The error share of the last attempts still tells of the outage that is over."""
    slow = a_rule("slow", symptom_of=("target_down",), for_seconds=5 * MINUTE)
    scene = new_scene(DOWN, slow)
    assert await scene.judged(0.9) == [("fired", "mail")]
    await scene.judged(0.9, rule=slow)
    assert await scene.after(5 * MINUTE) == []
    assert await scene.judged(0.9, rule=slow) == []
    assert await scene.judged(0.5) == [("resolved", "mail")]
    assert await scene.after(5 * MINUTE - 1) == []
    assert await scene.after(1) == [("fired", "mail")]
    assert scene.book.pages[-1].evidence == {scene.alert.episode: '{"sessions": 3}'}  # for the first time


async def test_alert_is_told_though_its_targets_host_became_another(new_scene: NewScene) -> None:
    """After a reload a target may be elsewhere: what stood there under its old host leaves no trace when it is over."""
    scene = new_scene(DOWN, HOST, SYMPTOM)
    scene.surroundings.hosts["main"] = "db1"
    assert await scene.judged(0.9) == [("fired", "mail")]
    scene.surroundings.hosts["main"] = "db2"
    assert await scene.judged(0.5) == [("resolved", "mail")]
    scene.surroundings.hosts["main"] = "db1"
    assert await scene.judged(0.9, rule=SYMPTOM) == [("fired", "mail")]


async def test_alert_that_stays_unheard_of_is_told_soon_after_its_target_is_back(new_scene: NewScene) -> None:
    """Without another word from its collector; until then it is listed under what explains it."""
    own = a_rule("orders_late")
    scene = new_scene(DOWN, own)
    assert await scene.judged(0.9, rule=own) == [("fired", "mail")]
    assert await scene.judged(0.9) == [("fired", "mail")]
    await scene.judged(0.9, rule=own, data=Data.FAILING)
    down, late = sorted(scene.desk.active(), key=lambda alert: alert.key.rule != "target_down")
    assert scene.desk.symptoms(down.episode) == (late,)
    assert await scene.after(10 * MINUTE) == []
    assert await scene.judged(0.5) == [("resolved", "mail")]
    assert await scene.after(29) == []
    assert await scene.after(1) == [("no_data", "mail")]
    assert scene.desk.symptoms(down.episode) == ()


async def test_symptom_that_becomes_worse_than_its_cause_is_told_at_once(new_scene: NewScene) -> None:
    """The cause is not over: there is nothing to wait for."""
    slow = a_rule("slow", symptom_of=("target_down",), for_seconds=5 * MINUTE)
    scene = new_scene(DOWN, slow)
    assert await scene.judged(0.9) == [("fired", "mail")]
    await scene.judged(0.9, rule=slow)
    assert await scene.after(5 * MINUTE) == []
    assert await scene.judged(0.9, rule=slow) == []
    assert await scene.judged(0.97, rule=slow) == [("worsened", "mail"), ("worsened", "pager")]
