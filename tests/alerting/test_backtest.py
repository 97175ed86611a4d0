from math import sin
from typing import Any

import pytest

from alerting.backtest import Course, Episode, Span, altered, backtest, cannot, course
from alerting.rules.rule import Rule
from history.past import Point
from history.reading import SeriesHistory
from tests.alerting.ruling import DISK, a_rule
from toban.alerts import Key, Severity
from toban.samples import Type, Unit

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL
ROOT = Key("disk", "main", (("mount", "/"),))
STEP = 300.0
HOUR = 3600.0


def a_history(*means: float | None, step: float = STEP, of: Type = Type.GAUGE, mount: str = "/") -> SeriesHistory:
    """One mean a step, lowest and highest a tenth beside it; None where nothing is known."""
    points = [
        Point(number * step, mean - 0.1, mean, mean + 0.1) for number, mean in enumerate(means) if mean is not None
    ]
    return SeriesHistory(
        name=DISK.name,
        target="main",
        labels={"mount": mount},
        type=of,
        unit=Unit.RATIO,
        since=0.0,
        until=len(means) * step,
        points=tuple(points),
        lowest=None,
        mean=None,
        highest=None,
        last=None,
    )


def spans(rule: Rule, *means: float | None, **said: Any) -> list[tuple[Severity, float, float | None]]:  # noqa: ANN401 - of a_history
    """What would have fired, in steps."""
    found = course(rule, a_history(*means, **said)).spans
    return [
        (span.severity, span.fired_at // STEP, None if span.ended_at is None else span.ended_at // STEP)
        for span in found
    ]


def test_course_tells_when_a_rule_would_have_fired_and_cleared() -> None:
    """A rule that waits goes by the mean: the tenth above it does not count."""
    rule = a_rule(**{"for": "1m"})
    assert spans(rule, 0.5, 0.75, 0.9, 0.9, 0.5, 0.97, 0.6) == [(WARNING, 2, 4), (CRITICAL, 5, 6)]
    assert course(rule, a_history(0.5, 0.9, 0.9, 0.5)).seconds == 2 * STEP - 60


def test_course_of_a_rule_that_does_not_wait_goes_by_the_worst_value() -> None:
    """From above the highest, from below the lowest; of `==` the mean."""
    assert spans(a_rule(), 0.5, 0.75, 0.5) == [(WARNING, 1, 2)]
    assert spans(a_rule(warning="< 20%", critical=None), 0.5, 0.25, 0.5) == [(WARNING, 1, 2)]
    assert spans(a_rule(warning="== 25%", critical=None), 0.5, 0.25, 0.5) == [(WARNING, 1, 2)]


def test_course_that_has_not_ended_is_still_firing() -> None:
    """Its time counts until the history ends."""
    rule = a_rule(**{"for": "1m"})
    assert spans(rule, 0.5, 0.9, 0.9) == [(WARNING, 1, None)]
    assert course(rule, a_history(0.5, 0.9, 0.9)).seconds == 2 * STEP - 60


def test_course_waits_as_long_as_the_rule_does() -> None:
    """A breach shorter than `for` is none; `clear` and `keep` hold it."""
    rule = a_rule(**{"for": "10m"}, clear="< 60%", keep="10m")
    assert spans(rule, 0.5, 0.9, 0.5, 0.9, 0.9, 0.9, 0.7, 0.5, 0.5, 0.5, 0.5) == [(WARNING, 5, 9)]


def test_course_of_functions() -> None:
    """Over the readings that the stretches stand for."""
    rule = a_rule(function="mean(15m)", critical=None, **{"for": "1m"})
    assert spans(rule, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 0.5, 0.5) == [(WARNING, 5, 6)]
    grown = a_rule(function="rate(10m)", warning="> 5", critical=None, **{"for": "1m"})
    assert spans(grown, 1.0, 1.0, 1.0, 10.0, 10.0, 10.0, 1.0, 1.0, of=Type.COUNTER) == [(WARNING, 3, 7)]
    total = a_rule(function="delta(10m)", warning="> 3000", critical=None, **{"for": "1m"})
    assert spans(total, 1.0, 1.0, 1.0, 10.0, 10.0, 1.0, 1.0, of=Type.COUNTER) == [(WARNING, 3, 6)]


def test_course_of_a_deviation_takes_the_same_hours_of_earlier_weeks() -> None:
    """The fifth week differs at one hour; before, too little was known."""
    usual = [0.3 + 0.01 * sin(hour) for hour in range(24 * 7 * 5)]
    usual[24 * 7 * 4 + 10] = 0.9
    rule = a_rule(function="deviation(4w)", warning="> 10", critical=None, **{"for": "1m"})
    (span,) = course(rule, a_history(*usual, step=HOUR)).spans
    assert span.fired_at // HOUR == 24 * 7 * 4 + 10


def test_course_across_a_gap_keeps_what_stands() -> None:
    """Where nothing is known nothing ends."""
    assert spans(a_rule(**{"for": "1m"}), 0.9, None, None, 0.9, 0.5) == [(WARNING, 0, 4)]


def test_backtest_compares_with_what_was_recorded() -> None:
    """Caught, missed and new, and which of them a person called real or false."""
    rule = a_rule(**{"for": "1m"})
    histories = [a_history(0.9, 0.5, 0.5, 0.5, 0.9, 0.9, 0.5, step=HOUR), a_history(0.5, 0.5, mount="/srv", step=HOUR)]
    real = Episode(key=ROOT, fired_at=10.0, ended_at=250.0, mark="real")
    false = Episode(key=ROOT, fired_at=2.2 * HOUR, ended_at=2.6 * HOUR, mark="false")
    other = Episode(key=ROOT._replace(rule="other"), fired_at=10.0, ended_at=250.0)
    found = backtest(rule, histories, [real, false, other])
    assert (found.caught, found.missed) == ((real,), (false,))
    assert [(key, span.fired_at // HOUR) for key, span in found.new] == [(ROOT, 4)]
    assert (found.fired, found.seconds) == (2, 3 * HOUR - 2 * 60)
    assert (found.marked("real"), found.marked("false")) == ((1, 0), (0, 1))


def test_backtest_takes_what_goes_on_until_the_end() -> None:
    """An episode that is still open meets a span that is."""
    still = Episode(key=ROOT, fired_at=STEP)
    found = backtest(a_rule(**{"for": "1m"}), [a_history(0.5, 0.9, 0.9)], [still])
    assert (found.caught, found.new) == ((still,), ())


def test_backtest_is_about_the_series_of_the_rule() -> None:
    """`where` counts, and a series without a single point is none."""
    rule = a_rule(where={"mount": "/srv"})
    assert [one.key.labels for one in backtest(rule, [a_history(0.9), a_history(0.9, mount="/srv")]).courses] == [
        (("mount", "/srv"),)
    ]
    assert backtest(a_rule(), [a_history(None)]).courses == ()


def test_backtest_says_what_the_history_cannot_tell() -> None:
    """An absence, and how high a counter stood."""
    assert cannot(a_rule(), Type.GAUGE) == ""
    assert cannot(a_rule(function="rate(5m)"), Type.COUNTER) == ""
    assert cannot(a_rule(), Type.COUNTER) == "of a counter the history keeps by how much it grew, not how high it stood"
    assert cannot(a_rule(function="absent(5m)"), Type.GAUGE) == (
        "the history does not tell a series that was absent from a daemon that did not run"
    )
    assert backtest(a_rule(), [a_history(1.0, of=Type.COUNTER)]).courses == ()


def test_altered_rule_has_the_thresholds_that_are_asked_for() -> None:
    """And keeps what is not."""
    rule = altered(a_rule(), {"warning": "> 70%", "critical": None, "for": "5m", "clear": "< 60%"})
    assert (str(rule.warning), str(rule.critical), str(rule.clear)) == ("> 70%", "> 95%", "< 60%")
    assert (rule.for_seconds, rule.keep_seconds) == (300.0, 0.0)
    with pytest.raises(ValueError, match="compares with nothing"):
        altered(rule, {"warning": "70%"})


def test_course_of_one_point_is_a_minute_long() -> None:
    """Nothing says how long its stretch is."""
    assert course(a_rule(), a_history(0.5)) == Course(key=ROOT, spans=(), since=0.0, until=60.0, step_seconds=60.0)
    assert Span(severity=WARNING, fired_at=1.0).ended_at is None


def test_course_begins_each_episode_without_the_hysteresis_of_the_last() -> None:
    """A spike after it does not stand until `clear`: live, it would not either."""
    rule = a_rule(**{"for": "6m"}, critical=None, clear="< 60%")
    assert spans(rule, 0.9, 0.9, 0.5, 0.9, 0.7, 0.7, 0.7) == [(WARNING, 1, 2)]
