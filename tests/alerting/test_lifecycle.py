from typing import Any

import pytest

from alerting.lifecycle import (
    Change,
    acknowledged,
    advance,
    keep_seconds,
    lapsed,
    muted,
    next_at,
    resolved,
    shifted,
    timed,
    unmuted,
    unwatched,
)
from alerting.rules.bounds import parse_bound
from alerting.rules.rule import Rule
from tests.alerting.builders import HOUR, a_rule, a_verdict, an_alert, with_policy
from tests.builders import START
from toban.alerts import Alert, Data, Severity, State, What
from toban.samples import Unit


def after(before: Alert | None, value: float, at: float, rule: Rule | None = None, **more: Any) -> Change:  # noqa: ANN401 - as a verdict takes it
    """What a value makes of an alert, which must be something."""
    change = advance(before, a_verdict(value, rule=rule, at=at, **more), now=at, mint=lambda: "new00000")
    assert change is not None
    return change


def test_first_breach_is_pending_until_it_has_lasted() -> None:
    """`for` has to pass between the first breach and the one that fires; the episode is named at the first."""
    rule = a_rule(for_seconds=60)
    first = after(None, 0.9, START, rule)
    assert (first.alert.state, first.alert.episode, first.tell) == (State.PENDING, "new00000", None)
    assert (first.alert.sequence, first.alert.started_at, first.alert.policy) == (1, START, rule.policy)
    early = after(first.alert, 0.9, START + 59, rule)
    assert (early.alert.state, early.transition, early.minor) == (State.PENDING, None, True)
    fired = after(early.alert, 0.91, START + 60, rule)
    assert (fired.alert.state, fired.tell, fired.alert.fired_at) == (State.FIRING, What.FIRED, START + 60)
    assert fired.transition is not None
    assert (fired.transition.before, fired.transition.sequence, fired.alert.started_at) == (State.PENDING, 2, START)


def test_rule_without_for_fires_at_once() -> None:
    """There is nothing to wait for."""
    change = after(None, 0.97, START)
    assert (change.alert.state, change.alert.severity, change.tell) == (State.FIRING, Severity.CRITICAL, What.FIRED)
    assert change.transition is not None
    assert change.transition.before is None


def test_value_that_is_well_or_missing_opens_nothing() -> None:
    """Neither calm nor silence is an alert."""
    for verdict in (a_verdict(0.5), a_verdict(0.9, data=Data.NONE), a_verdict(0.9, data=Data.FAILING)):
        assert advance(None, verdict, now=START, mint=lambda: "never000") is None


def test_pending_that_clears_ends_without_a_word() -> None:
    """Nobody was told that it began."""
    pending = an_alert(state=State.PENDING, fired_at=None)
    change = after(pending, 0.5, START + 10, a_rule(for_seconds=60))
    assert (change.alert.state, change.tell) == (State.RESOLVED, None)


def test_pending_keeps_its_beginning_when_the_severity_changes() -> None:
    """The breach has lasted since it began, however bad it was."""
    rule = a_rule(for_seconds=60)
    pending = after(None, 0.9, START, rule).alert
    worse = after(pending, 0.97, START + 30, rule)
    assert (worse.alert.severity, worse.minor, worse.transition) == (Severity.CRITICAL, False, None)
    fired = after(worse.alert, 0.97, START + 60, rule)
    assert (fired.alert.severity, fired.tell) == (Severity.CRITICAL, What.FIRED)


def test_severity_goes_up_at_once_inside_the_episode() -> None:
    """Worse is told now, and is the same episode."""
    change = after(an_alert(), 0.97, START + 10)
    assert (change.tell, change.alert.severity, change.alert.episode) == (
        What.WORSENED,
        Severity.CRITICAL,
        "4f7k2m1x",
    )
    assert change.alert.threshold == "> 95%"


def test_severity_goes_down_once_it_has_lasted() -> None:
    """A minute of less bad values makes it milder; one worse value in between begins that minute anew."""
    critical = an_alert(severity=Severity.CRITICAL, value=0.97)
    first = after(critical, 0.9, START + 1)
    assert (first.tell, first.alert.severity, first.alert.milder_at) == (None, Severity.CRITICAL, START + 1)
    back = after(first.alert, 0.97, START + 30)
    assert (back.alert.milder_at, back.minor) == (None, False)
    again = after(back.alert, 0.9, START + 40)
    assert after(again.alert, 0.9, START + 99).minor
    eased = after(again.alert, 0.9, START + 100)
    assert (eased.tell, eased.alert.severity, eased.alert.threshold) == (What.EASED, Severity.WARNING, "> 80%")


def test_cleared_alert_is_kept_and_then_resolved() -> None:
    """Only values that are well for `keep` make it over."""
    rule = a_rule(keep_seconds=300)
    calm = after(an_alert(), 0.5, START + 10, rule)
    assert (calm.alert.state, calm.alert.calm_at, calm.tell, calm.minor) == (State.FIRING, START + 10, None, False)
    assert calm.alert.reason == "50%; kept until it has been clear for 5m"
    assert after(calm.alert, 0.5, START + 309, rule).minor
    over = after(calm.alert, 0.5, START + 310, rule)
    assert (over.alert.state, over.tell, over.alert.resolved_at) == (State.RESOLVED, What.RESOLVED, START + 310)


def test_return_while_kept_is_the_same_episode_and_a_flap() -> None:
    """Coming and going in silence, but counted."""
    rule = a_rule(keep_seconds=300)
    calm = after(an_alert(), 0.5, START + 10, rule).alert
    back = after(calm, 0.9, START + 20, rule)
    assert (back.tell, back.alert.calm_at, back.alert.flaps, back.alert.sequence) == (None, None, (START + 20,), 1)
    assert not back.minor


def test_flapping_is_said_once_and_damped() -> None:
    """The third return within an hour is told, the following are not, and the keep doubles with each up to an hour."""
    rule = a_rule(keep_seconds=300)
    alert, told, kept = an_alert(), [], []
    for turn in range(5):
        alert = after(alert, 0.5, START + 60 * turn, rule).alert
        change = after(alert, 0.9, START + 60 * turn + 30, rule)
        alert = change.alert
        told.append(change.tell)
        kept.append(keep_seconds(alert, rule, START + 60 * turn + 30))
    assert told == [None, None, What.REPEATED, None, None]
    assert kept == [600, 1200, 2400, 3600, 3600]
    assert alert.flapping


def test_flapping_alert_says_why_it_is_repeated() -> None:
    """The message is about the flapping."""
    alert = an_alert(calm_at=START + 9, flaps=(START, START + 1))
    change = after(alert, 0.9, START + 10, a_rule(keep_seconds=60))
    assert change.alert.reason == "it flaps: 3 returns within an hour; over once it has been clear for 8m"


def test_flaps_are_forgotten_after_an_hour() -> None:
    """What came and went long ago keeps nothing."""
    alert = an_alert(flaps=(START, START + 1, START + 2))
    assert keep_seconds(alert, a_rule(keep_seconds=300), START + HOUR + 10) == 300
    calm = after(alert, 0.5, START + HOUR + 10, a_rule(keep_seconds=300)).alert
    assert after(calm, 0.9, START + HOUR + 20, a_rule(keep_seconds=300)).alert.flaps == (START + HOUR + 20,)


def test_next_episode_soon_after_counts_as_a_return() -> None:
    """A rule that keeps nothing can flap too: then its new episodes are kept."""
    over = resolved(an_alert(flaps=(START - 10,)), START, "well").alert
    again = after(over, 0.9, START + 5)
    assert (again.alert.episode, again.alert.sequence, again.alert.flaps) == ("new00000", 1, (START - 10, START + 5))
    assert keep_seconds(again.alert, a_rule(), START + 5) == 240


def test_kept_alert_that_returns_milder_keeps_its_severity_for_a_while() -> None:
    """Critical, calm, warning: not at once a warning."""
    critical = an_alert(severity=Severity.CRITICAL, calm_at=START)
    change = after(critical, 0.9, START + 5, a_rule(keep_seconds=300))
    assert (change.alert.severity, change.alert.flaps, change.minor) == (Severity.CRITICAL, (START + 5,), False)


@pytest.mark.parametrize("data", [Data.NONE, Data.FAILING])
def test_missing_data_leaves_the_state(data: Data) -> None:
    """What is not heard of is neither over nor worse; what had cleared must be seen clear anew."""
    change = after(an_alert(calm_at=START), 0.9, START + 10, data=data)
    assert (change.alert.state, change.alert.data, change.alert.unheard_at) == (State.FIRING, data, START + 10)
    assert (change.alert.calm_at, change.alert.value, change.tell, change.minor) == (None, 0.9, None, False)
    assert after(change.alert, 0.9, START + 20, data=data).minor


def test_missing_data_is_told_once_after_the_grace() -> None:
    """Two minutes of nothing are worth a word, and only one."""
    unheard = after(an_alert(), 0.9, START + 10, data=Data.FAILING).alert
    assert next_at(unheard) == START + 130
    assert timed(unheard, now=START + 129) is None
    told = timed(unheard, now=START + 130)
    assert told is not None
    assert (told.tell, told.alert.state) == (What.NO_DATA, State.FIRING)
    assert told.alert.reason == "nothing is heard of it: the collector fails; it is not taken for resolved"
    assert timed(told.alert, now=START + HOUR) is None
    assert next_at(told.alert) is None


def test_missing_data_of_a_series_says_that_the_collector_works() -> None:
    """The reader looks at another place then."""
    unheard = after(an_alert(), 0.9, START, data=Data.NONE).alert
    told = timed(unheard, now=START + HOUR)
    assert told is not None
    assert "the collector brings it no more" in told.alert.reason


def test_missing_data_of_a_pending_alert_is_not_told() -> None:
    """Nobody knows of it."""
    unheard = after(an_alert(state=State.PENDING, fired_at=None), 0.9, START, data=Data.NONE).alert
    assert timed(unheard, now=START + HOUR) is None
    assert next_at(unheard) is None


def test_data_that_comes_back_well_resolves_in_the_usual_way() -> None:
    """It must have been clear for `keep`, counted from its return."""
    rule = a_rule(keep_seconds=60)
    unheard = after(an_alert(), 0.9, START + 10, rule, data=Data.NONE).alert
    back = after(unheard, 0.5, START + 500, rule)
    assert (back.alert.state, back.alert.data, back.alert.calm_at) == (State.FIRING, Data.OK, START + 500)
    assert (back.alert.unheard_at, back.minor) == (None, False)
    assert after(back.alert, 0.5, START + 560, rule).tell is What.RESOLVED


def test_series_that_vanishes_is_over_where_the_rule_says_so() -> None:
    """An index that was dropped is invalid no more; but a collector that fails proves nothing."""
    rule = a_rule(vanish=True, keep_seconds=300)
    assert after(an_alert(), 0.9, START, rule, data=Data.NONE).tell is What.RESOLVED
    assert after(an_alert(), 0.9, START, rule, data=Data.FAILING).alert.state is State.FIRING


def test_acknowledgement_is_a_lease_that_lapses_in_time() -> None:
    """After its time it fires again; the ladder rested meanwhile."""
    change = acknowledged(an_alert(), now=START + 100, who="kim", note="on it")
    alert = change.alert
    assert (alert.state, alert.acknowledged_by, alert.acknowledged_until) == (
        State.ACKNOWLEDGED,
        "kim",
        START + 100 + 8 * HOUR,
    )
    assert (change.tell, alert.reason, alert.note) == (What.ACKNOWLEDGED, "acknowledged by kim for 8h", "on it")
    assert change.transition is not None
    assert (change.transition.by, change.transition.before) == ("kim", State.FIRING)
    assert next_at(alert) == START + 100 + 8 * HOUR
    assert timed(alert, now=START + 99 + 8 * HOUR) is None
    over = timed(alert, now=START + 100 + 8 * HOUR)
    assert over is not None
    assert (over.tell, over.alert.state, over.alert.rested_seconds) == (What.LAPSED, State.FIRING, 8 * HOUR)
    assert over.alert.reason == "the acknowledgement of kim has run out after 8h"
    assert over.alert.acknowledged_by == ""


def test_acknowledgement_holds_without_end_where_no_lease_is() -> None:
    """Zero means until it is resolved."""
    alert = acknowledged(an_alert(policy=with_policy(lease_seconds=0)), now=START, who="kim").alert
    assert (alert.acknowledged_until, next_at(alert)) == (None, None)
    assert timed(alert, now=START + 1e9) is None


def test_acknowledgement_again_is_a_new_lease() -> None:
    """The rest before it is not counted twice."""
    first = acknowledged(an_alert(), now=START, who="kim", for_seconds=600).alert
    second = acknowledged(first, now=START + 300, who="lee", for_seconds=600).alert
    assert (second.acknowledged_until, second.rested_seconds) == (START + 900, 300)
    assert lapsed(second, START + 900, "time").alert.rested_seconds == 900


@pytest.mark.parametrize(
    ("threshold", "known", "value", "ends"),
    [
        ("> 80%", 0.8, 0.95, False),
        ("> 80%", 0.75, 0.90, True),
        ("< 10", 10.0, 8.1, False),
        ("< 10", 10.0, 8.0, True),
        ("< 10", 10.0, 20.0, False),
        ("> 0", 0.0, 1.0, True),
        ("> 0", 0.0, 0.0, False),
        ("> -10", -10.0, -8.0, True),
        ("!= 1", 5.0, 50.0, False),
    ],
)
def test_acknowledgement_lapses_when_the_value_is_markedly_worse(
    threshold: str, known: float, value: float, *, ends: bool
) -> None:
    """Worse by a fifth, in the direction of the threshold."""
    alert = acknowledged(an_alert(value=known, threshold=threshold), now=START, who="kim").alert
    change = after(alert, value, START + 10, severity=Severity.WARNING, bound=threshold)
    assert (change.tell is What.LAPSED) is ends
    assert change.alert.state is (State.FIRING if ends else State.ACKNOWLEDGED)


def test_acknowledgement_outlives_worse_values_where_no_share_is_set() -> None:
    """Zero means that no value ends it."""
    alert = acknowledged(an_alert(policy=with_policy(worse_ratio=0)), now=START, who="kim").alert
    assert after(alert, 0.94, START + 10).alert.state is State.ACKNOWLEDGED


def test_acknowledgement_ends_when_the_severity_rises() -> None:
    """Whoever is at a warning does not know that it is critical."""
    alert = acknowledged(an_alert(), now=START, who="kim").alert
    change = after(alert, 0.97, START + 10)
    assert (change.tell, change.alert.state, change.alert.acknowledged_by) == (What.WORSENED, State.FIRING, "")
    assert change.transition is not None
    assert change.transition.before is State.ACKNOWLEDGED


def test_acknowledged_alert_flaps_and_resolves_in_silence_but_for_its_end() -> None:
    """Somebody is at it: a flapping is not told, its end is."""
    alert = acknowledged(an_alert(flaps=(START, START), calm_at=START), now=START, who="kim").alert
    back = after(alert, 0.9, START + 1, a_rule(keep_seconds=60))
    assert (back.tell, len(back.alert.flaps)) == (None, 3)
    assert after(alert, 0.5, START + HOUR, a_rule()).tell is What.RESOLVED


def test_resolution_by_hand_says_who() -> None:
    """It is over because somebody says so."""
    change = resolved(an_alert(calm_at=START, owed=What.FIRED), START + 5, "resolved by kim", by="kim")
    assert change.transition is not None
    assert (change.transition.by, change.alert.owed, change.alert.calm_at) == ("kim", None, None)


def test_rest_that_is_muted_and_acknowledged_counts_once() -> None:
    """Muted for 100 s, of which the last 40 and 60 more were acknowledged: 160 s of rest."""
    quiet = muted(an_alert(), "silence x", now=START)
    at_it = acknowledged(quiet, now=START + 60, who="kim", for_seconds=100).alert
    assert muted(at_it, "silence x", now=START + 70, cause="c").muted_at is None
    loud = unmuted(at_it, now=START + 100)
    assert lapsed(loud, START + 160, "time").alert.rested_seconds == 160
    still_quiet = lapsed(at_it, START + 160, "time").alert
    assert unmuted(still_quiet, now=START + 200).rested_seconds == 200


def test_clock_that_was_set_back_moves_every_moment_along() -> None:
    """What has passed since each moment is what it was."""
    alert = acknowledged(an_alert(flaps=(START,), muted_at=None), now=START + 10, who="kim").alert
    moved = shifted(alert, -500)
    assert (moved.fired_at, moved.acknowledged_at, moved.flaps, moved.calm_at) == (
        START - 500,
        START - 490,
        (START - 500,),
        None,
    )


def test_time_that_nobody_watched_proves_nothing() -> None:
    """A pending alert has not lasted through a suspend, and a calm one has not been clear."""
    pending = unwatched(an_alert(state=State.PENDING, fired_at=None), 1000)
    assert pending.started_at == START + 1000
    calm = unwatched(an_alert(calm_at=START, milder_at=START + 1, unheard_at=START + 2), 1000)
    assert (calm.started_at, calm.calm_at, calm.milder_at, calm.unheard_at) == (
        START,
        START + 1000,
        START + 1001,
        START + 1002,
    )


def test_acknowledgement_holds_while_something_only_grows_older() -> None:
    """An hour overdue is two hours overdue an hour later: nothing has become worse. What grows faster has."""
    rule = a_rule(unit=Unit.SECONDS, warning=parse_bound("> 1m"), critical=None)
    said: dict[str, Any] = {"severity": Severity.WARNING, "bound": "> 1m"}
    alert = acknowledged(an_alert(value=3600.0, unit=Unit.SECONDS, threshold="> 1m"), now=START, who="kim").alert
    older = after(alert, 7200.0, START + 3600, rule, **said)
    assert (older.alert.state, older.tell) == (State.ACKNOWLEDGED, None)
    faster = after(alert, 9000.0, START + 3600, rule, **said)
    assert (faster.alert.state, faster.tell) == (State.FIRING, What.LAPSED)
    slower = after(alert, 5000.0, START + 3600, rule, **said)
    assert slower.tell is What.LAPSED
    plain = acknowledged(an_alert(value=3600.0, threshold="> 1m"), now=START, who="kim").alert
    assert after(plain, 7200.0, START + 3600, rule, **said).tell is What.LAPSED


def test_pending_does_not_count_the_time_in_which_nothing_was_heard() -> None:
    """A breach before a gap and one behind it are no breach that has lasted."""
    rule = a_rule(for_seconds=60)
    pending = after(None, 0.9, START, rule).alert
    unheard = after(pending, 0.9, START + 15, rule, data=Data.FAILING).alert
    back = after(unheard, 0.9, START + 615, rule)
    assert (back.alert.state, back.alert.started_at, back.minor) == (State.PENDING, START + 600, False)
    assert after(back.alert, 0.9, START + 660, rule).tell is What.FIRED


def test_pending_of_which_nothing_is_heard_for_long_ends_without_a_word() -> None:
    """Nobody was told of it, and it need not wait for ever."""
    pending = an_alert(state=State.PENDING, fired_at=None)
    unheard = after(pending, 0.9, START, data=Data.NONE).alert
    assert after(unheard, 0.9, START + HOUR - 1, data=Data.NONE).alert.open
    ended = after(unheard, 0.9, START + HOUR, data=Data.NONE)
    assert (ended.alert.state, ended.tell) == (State.RESOLVED, None)


def test_acknowledgement_of_the_worse_severity_outlives_an_easing() -> None:
    """Critical at 97 %, a warning for a while, critical again at 96 %: whoever is at it knows. At 98 % it is news."""
    critical = an_alert(severity=Severity.CRITICAL, value=0.97, threshold="> 95%")
    alert = acknowledged(critical, now=START, who="kim").alert
    milder = after(alert, 0.9, START + 10).alert
    eased = after(milder, 0.9, START + 70)
    assert (eased.tell, eased.alert.state) == (What.EASED, State.ACKNOWLEDGED)
    again = after(eased.alert, 0.96, START + 80)
    assert (again.tell, again.alert.state, again.alert.severity) == (None, State.ACKNOWLEDGED, Severity.CRITICAL)
    assert (again.minor, again.alert.sequence) == (False, eased.alert.sequence + 1)
    assert after(eased.alert, 0.98, START + 80).tell is What.WORSENED
