from collections.abc import Callable
from itertools import count, pairwise

from hypothesis import given
from hypothesis import strategies as st

from alerting.lifecycle import Change, acknowledged, advance, resolved, timed
from alerting.rules.rule import Rule
from tests.alerting.builders import KEY, a_rule, a_verdict
from tests.builders import START
from toban.alerts import Alert, Data, State

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["well", "warning", "critical", "none", "failing", "ack", "resolve", "time"]),
        st.sampled_from([0.0, 1.0, 15.0, 61.0, 400.0, 4000.0]),
    ),
    max_size=60,
)
RULES = st.builds(
    a_rule,
    for_seconds=st.sampled_from([0.0, 30.0]),
    keep_seconds=st.sampled_from([0.0, 60.0]),
    vanish=st.just(value=False),
)
VALUES = {"well": 0.5, "warning": 0.9, "critical": 0.97, "none": 0.9, "failing": 0.9}
DATA = {"none": Data.NONE, "failing": Data.FAILING}


def _happened(alert: Alert | None, event: str, now: float, rule: Rule, mint: Callable[[], str]) -> Change | None:
    if event in VALUES:
        verdict = a_verdict(VALUES[event], rule=rule, at=now, data=DATA.get(event, Data.OK))
        return advance(alert, verdict, now=now, mint=mint)
    if alert is None or not alert.open:
        return None
    if event == "ack" and alert.state is not State.PENDING:
        return acknowledged(alert, now=now, who="kim", for_seconds=500)
    if event == "resolve":
        return resolved(alert, now, "by hand", by="kim")
    return timed(alert, now=now)


@given(rule=RULES, events=EVENTS)
def test_life_of_an_alert_keeps_its_promises(rule: Rule, events: list[tuple[str, float]]) -> None:
    """One open episode at a time, a sequence without gaps, and nothing resolved by data that is missing."""
    alert: Alert | None = None
    now, names = START, count()
    transitions = []
    for event, seconds in events:
        now += seconds
        before = alert
        change = _happened(alert, event, now, rule, lambda: f"e{next(names)}")
        if change is None:
            continue
        alert = change.alert
        assert alert.key == KEY
        if before is not None and before.open:
            assert alert.episode == before.episode, "an open episode is not replaced by another"
        if event in DATA:
            given_up = before is not None and before.state is State.PENDING and alert.state is State.RESOLVED
            assert given_up or alert.state is (before.state if before else None), "missing data changes no state"
        if change.transition is not None:
            transitions.append(change.transition)
            assert change.transition.after is alert.state
    for one, other in pairwise(transitions):
        expected = one.sequence + 1 if other.episode == one.episode else 1
        assert other.sequence == expected
        assert (one.after is State.RESOLVED) is (other.episode != one.episode)
        if other.episode == one.episode:
            assert other.before is one.after
