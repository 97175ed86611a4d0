from tests.alerting.builders import HOUR, KEY, MINUTE, NewScene, Scene, a_rule, with_policy
from tests.builders import START
from toban.alerts import Action, Key, Severity, State, What

KEPT = a_rule(keep_seconds=300)


async def test_breach_is_kept_and_then_told_with_its_evidence(new_scene: NewScene) -> None:
    """One page holds the alert, its transition, its notices and what was going on."""
    scene = new_scene()
    assert await scene.judged(0.97) == [("fired", "mail"), ("fired", "pager")]
    (page,) = scene.book.pages
    assert ([step.what for step in page.transitions], len(page.notices)) == ([What.FIRED], 2)
    assert page.evidence == {scene.alert.episode: '{"sessions": 3}'}
    assert page.alerts == (scene.alert,)
    assert scene.desk.counts == {Severity.INFO: 0, Severity.WARNING: 0, Severity.CRITICAL: 1}


async def test_pending_alert_is_counted_only_when_it_fires(new_scene: NewScene) -> None:
    """Nobody is told of it, and nothing is said to be wrong."""
    scene = new_scene(a_rule(for_seconds=60))
    assert await scene.judged(0.9) == []
    assert (scene.states, scene.desk.counts[Severity.WARNING]) == ([State.PENDING], 0)
    assert await scene.judged(0.5) == []
    assert (scene.states, [step.what for step in scene.book.transitions]) == ([], [None, None])


async def test_values_that_change_nothing_are_not_written(new_scene: NewScene) -> None:
    """A page a value would wear the disk out."""
    scene = new_scene()
    await scene.judged(0.9)
    pages = len(scene.book.pages)
    assert await scene.judged(0.91, 0.92) == []
    assert (len(scene.book.pages), scene.alert.value) == (pages, 0.92)


async def test_resolution_goes_to_those_who_know(new_scene: NewScene) -> None:
    """And the desk forgets the alert."""
    scene = new_scene(KEPT)
    await scene.judged(0.9)
    assert await scene.judged(0.5) == []
    scene.clock.advance(300)
    assert await scene.judged(0.5) == [("resolved", "mail")]
    assert scene.desk.active() == ()
    assert await scene.judged(0.5) == []


async def test_new_episode_soon_after_the_last_is_a_flap(new_scene: NewScene) -> None:
    """The desk remembers what was over of late, for an hour."""
    scene = new_scene()
    assert await scene.judged(0.9, 0.5, 0.9) == [("fired", "mail"), ("resolved", "mail"), ("fired", "mail")]
    assert len(scene.alert.flaps) == 1
    assert await scene.judged(0.5) == []
    scene.clock.advance(2 * MINUTE)
    assert await scene.judged(0.5) == [("resolved", "mail")]
    scene.clock.advance(HOUR)
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert len(scene.alert.flaps) == 0


async def test_alerts_of_a_rule_or_target_that_is_gone_are_over(new_scene: NewScene) -> None:
    """A reload that removes it says so; what stays keeps its policy."""
    other = a_rule("other")
    scene = new_scene(a_rule(), other)
    await scene.judged(0.9)
    await scene.judged(0.9, rule=other)
    await scene.judged(0.9, rule=other, target="gone")
    await scene.judged(0.9, rule=other, target="*")  # what looks for nothing at no target of its own
    scene.desk.renew([a_rule("other", policy=with_policy(first={}))], targets={"main"})
    assert await scene.told() == [("resolved", "mail"), ("resolved", "mail")]
    reasons = [step.reason for step in scene.book.transitions if step.after is State.RESOLVED]
    assert reasons == ["the rule connections is no longer configured", "the target gone is no longer configured"]
    assert [alert.key.target for alert in scene.desk.active()] == ["main", "*"]
    assert scene.desk.active()[0].policy.first[Severity.WARNING] == ("mail",)


async def test_whoever_asked_hears_of_each_key_whose_alert_is_over() -> None:
    """By its value, by hand, or by a reload."""
    over: list[Key] = []
    scene = Scene(over=over.append)
    for target in ("one", "two", "three"):
        await scene.judged(0.9, target=target)
    await scene.judged(0.5, target="one")
    scene.desk.resolve(scene.desk.active()[0].episode, who="kim")
    scene.desk.renew([])
    assert [key.target for key in over] == ["one", "two", "three"]


async def test_time_left_goes_into_the_ladder(new_scene: NewScene) -> None:
    """What is full in ten minutes climbs at once, to the rung that fits."""
    scene = new_scene()
    scene.surroundings.left = 600.0
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert await scene.after(0) == [("escalated", "sms")]
    assert scene.alert.left_seconds == 600


async def test_action_is_asked_for_once(new_scene: NewScene) -> None:
    """However often the severity changes."""
    policy = with_policy(actions={Severity.CRITICAL: (Action(kind="command", name="note"),)})
    scene = new_scene(a_rule(policy=policy))
    fired = [("fired", "mail"), ("fired", "pager"), ("action", "action:command:note")]
    assert await scene.judged(0.97) == fired
    assert await scene.judged(0.9) == []
    scene.clock.advance(MINUTE)
    assert await scene.judged(0.9, 0.97) == [
        ("eased", "mail"),
        ("eased", "pager"),
        ("worsened", "mail"),
        ("worsened", "pager"),
    ]
    assert await scene.judged(0.5) == [("resolved", "mail"), ("resolved", "pager")]


async def test_clock_set_back_leaves_the_ladder_where_it_was(new_scene: NewScene) -> None:
    """An hour back: the rung comes a quarter of an hour after the firing all the same."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.clock.advance(5 * MINUTE)
    scene.clock.jump(-HOUR)
    assert await scene.after(0) == []
    assert scene.alert.fired_at == START - HOUR
    assert await scene.after(10 * MINUTE - 1) == []
    assert await scene.after(1) == [("escalated", "slack")]
    assert scene.book.alerts[scene.alert.episode].started_at == START - HOUR


async def test_suspend_brings_only_the_highest_rung_and_first_a_look_at_the_values(new_scene: NewScene) -> None:
    """The machine slept for two hours; it looks before it calls."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.clock.jump(2 * HOUR)
    assert await scene.after(0) == []
    assert await scene.after(29) == []
    assert await scene.after(1) == [("escalated", "voice")]


async def test_suspend_does_not_make_a_pending_alert_fire(new_scene: NewScene) -> None:
    """It was not seen to last."""
    scene = new_scene(a_rule(for_seconds=60))
    await scene.judged(0.9)
    scene.clock.jump(2 * HOUR)
    assert await scene.judged(0.9) == []
    scene.clock.advance(60)
    assert await scene.judged(0.9) == [("fired", "mail")]


async def test_restart_continues_what_was_pending(new_scene: NewScene) -> None:
    """`for` goes on over a restart, in the same episode."""
    scene = new_scene(a_rule(for_seconds=60))
    await scene.judged(0.9)
    episode = scene.alert.episode
    await scene.restart(after_seconds=40)
    assert (scene.states, scene.alert.episode) == ([State.PENDING], episode)
    scene.clock.advance(20)
    assert await scene.judged(0.9) == [("fired", "mail")]
    assert [step.sequence for step in scene.book.transitions] == [1, 2]


async def test_restart_after_the_clock_was_set_back_moves_the_moments(new_scene: NewScene) -> None:
    """Nothing lies in the future."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.clock.jump(-HOUR)
    await scene.restart()
    assert scene.alert.fired_at == START - HOUR


async def test_restart_resolves_what_is_no_longer_configured(new_scene: NewScene) -> None:
    """The configuration changed while no daemon ran."""
    scene = new_scene()
    await scene.judged(0.9)
    scene.rules = (a_rule("other"),)
    await scene.restart()
    assert await scene.told() == [("resolved", "mail")]


async def test_desk_says_of_what_is_well_that_nobody_waits_for_it(new_scene: NewScene) -> None:
    """An alert that it had no room for would keep its series under watch for ever."""
    over: list[Key] = []
    scene = new_scene(over=over.append)
    assert await scene.judged(0.5) == []
    assert over == [KEY]
