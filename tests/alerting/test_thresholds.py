import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.rules.rule import Rule
from alerting.thresholds import Judgement, judge
from tests.alerting.ruling import a_rule
from toban.alerts import Severity

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
RULE = a_rule(clear="< 75%")


@pytest.mark.parametrize(
    ("value", "standing", "judgement"),
    [
        (0.5, None, Judgement(None, "> 80%", "50.0 % is not > 80%")),
        (0.8, None, Judgement(None, "> 80%", "80.0 % is not > 80%")),
        (0.81, None, Judgement(WARNING, "> 80%", "81.0 % is > 80%")),
        (0.96, None, Judgement(CRITICAL, "> 95%", "96.0 % is > 95%")),
        (0.78, None, Judgement(None, "> 80%", "78.0 % is not > 80%")),
        (0.78, WARNING, Judgement(WARNING, "> 80%", "78.0 % is not > 80%, but not yet < 75%")),
        (0.78, CRITICAL, Judgement(WARNING, "> 80%", "78.0 % is not > 80%, but not yet < 75%")),
        (0.90, CRITICAL, Judgement(WARNING, "> 80%", "90.0 % is > 80%")),
        (0.96, WARNING, Judgement(CRITICAL, "> 95%", "96.0 % is > 95%")),
        (0.74, CRITICAL, Judgement(None, "> 80%", "74.0 % is < 75%")),
        (0.75, WARNING, Judgement(WARNING, "> 80%", "75.0 % is not > 80%, but not yet < 75%")),
    ],
)
def test_judgement_by_value_and_what_stands(value: float, standing: Severity | None, judgement: Judgement) -> None:
    """The worst threshold that is broken; while something stands, well only beyond `clear`."""
    assert judge(RULE, value, standing) == judgement


def test_judgement_without_clear_is_over_with_its_threshold() -> None:
    """No hysteresis unless it is asked for."""
    assert judge(a_rule(), 0.8, CRITICAL) == Judgement(None, "> 80%", "80.0 % is not > 80%")


def test_judgement_of_a_critical_alone_stays_critical_until_clear() -> None:
    """There is nothing milder for it to fall to."""
    alone = a_rule(warning=None, clear="< 75%")
    assert judge(alone, 0.8, CRITICAL).severity is CRITICAL
    assert judge(alone, 0.7, CRITICAL).severity is None


def test_judgement_from_below() -> None:
    """A cache hit ratio is bad when it is low."""
    low = a_rule(warning="< 90%", critical="< 80%", clear="> 92%")
    assert [judge(low, value, None).severity for value in (0.95, 0.85, 0.7)] == [None, WARNING, CRITICAL]
    assert judge(low, 0.91, CRITICAL).severity is WARNING
    assert judge(low, 0.93, WARNING).severity is None


def test_judgement_of_no_number_leaves_what_stands() -> None:
    """NaN is neither well nor bad."""
    assert judge(RULE, float("nan"), CRITICAL) == Judgement(CRITICAL, "> 80%", "it is no number")
    assert judge(RULE, float("nan"), None).severity is None


def test_judgement_of_a_rule_without_thresholds_is_well() -> None:
    """It says nothing."""
    assert judge(Rule(name="empty", metric="x"), 5.0, None) == Judgement(None, "", "5")


@given(st.lists(st.floats(0, 1), max_size=60))
def test_hysteresis_never_ends_inside_its_band(values: list[float]) -> None:
    """What stands ends only below 75 %, begins only above 80 %, and is critical only above 95 %."""
    standing: Severity | None = None
    for value in values:
        after = judge(RULE, value, standing).severity
        if standing is None:
            assert (after is None) == (value <= 0.8)
        elif after is None:
            assert value < 0.75
        assert (after is CRITICAL) == (value > 0.95)
        standing = after
