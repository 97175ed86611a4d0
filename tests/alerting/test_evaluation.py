from dataclasses import replace
from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

import alerting.evaluation as engine
from alerting.evaluation import Evaluation
from alerting.rules.rule import Verdict
from alerting.watches import Standing
from alerting.windows import Windows
from tests.alerting.ruling import DISK, ROOT, a_rule, collected, disks, failing, of, told
from tests.builders import START, a_collection, a_failure, a_gap
from toban.alerts import Data, Key, Severity
from toban.outcomes import Reason

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


def test_evaluation_tells_what_is_not_well_and_nothing_else() -> None:
    """One verdict for each series beyond its threshold."""
    engine_ = of(rule := a_rule())
    (verdict,) = engine_.accept(disks(root=0.5, srv=0.85, home=0.8))
    assert verdict == Verdict(
        key=Key("disk", "main", (("mount", "/srv"),)),
        rule=rule,
        severity=WARNING,
        value=0.85,
        bound="> 80%",
        at=START,
        reason="85.0 % is > 80%",
    )


def test_evaluation_tells_that_what_stands_open_is_well() -> None:
    """Until somebody says that its alert is over: neither a rare look nor a machine that slept makes that so."""
    engine_ = of(a_rule())
    engine_.accept(disks(root=0.96))
    for at in (60, 90_000, 180_000):
        assert told(engine_.accept(disks(at, root=0.5))) == [(ROOT, None, Data.OK)]
    engine_.settle(ROOT)
    assert engine_.accept(disks(270_000, root=0.5)) == []
    assert told(engine_.accept(disks(360_000, root=0.9))) == [(ROOT, WARNING, Data.OK)]


def test_evaluation_is_told_that_an_alert_is_over() -> None:
    """Then it says no more of it, whether it was at a series or a resumed one."""
    engine_ = of(a_rule())
    engine_.accept(disks(root=0.96))
    engine_.settle(ROOT)
    assert engine_.accept(disks(60, root=0.5)) == []
    assert engine_.accept(disks(120)) == []
    engine_.resume(ROOT, CRITICAL)
    engine_.settle(ROOT)
    assert engine_.accept(disks(180, root=0.5)) == []


def test_evaluation_has_hysteresis_once_the_breach_has_lasted() -> None:
    """A spike shorter than `for` does not stand until `clear`; a breach that was one does."""
    engine_ = of(a_rule(**{"for": "1m"}, clear="< 75%"))
    engine_.accept(disks(root=0.85))
    assert told(engine_.accept(disks(30, root=0.78))) == [(ROOT, None, Data.OK)]
    engine_.accept(disks(60, root=0.85))
    engine_.accept(disks(120, root=0.85))
    assert told(engine_.accept(disks(150, root=0.78))) == [(ROOT, WARNING, Data.OK)]
    assert told(engine_.accept(disks(180, root=0.74))) == [(ROOT, None, Data.OK)]


def test_evaluation_goes_by_target_and_labels() -> None:
    """`where` takes globs, lists and `!`."""
    engine_ = of(a_rule(where={"target": ["main", "sp*"], "mount": "!/srv*"}))
    assert told(engine_.accept(disks(root=0.9, srv=0.9))) == [(ROOT, WARNING, Data.OK)]
    assert engine_.accept(disks(target="other", root=0.9)) == []
    assert len(engine_.accept(disks(target="spare", root=0.9))) == 1


def test_evaluation_of_thresholds_that_point_both_ways_looks_at_each() -> None:
    """`!= 1` and `> 5` are no line on which one lies beyond the other."""
    engine_ = of(a_rule(warning="!= 0", critical="> 90%"), a_rule(name="odd", warning="< 10%", critical="== 50%"))
    assert told(engine_.accept(disks(root=0.0))) == [(Key("odd", *ROOT[1:]), WARNING, Data.OK)]
    assert (Key("odd", *ROOT[1:]), CRITICAL, Data.OK) in told(engine_.accept(disks(1, root=0.5)))


def test_evaluation_keeps_what_stands_when_its_collector_fails() -> None:
    """Only of that collector, and never as resolved."""
    engine_ = of(a_rule())
    engine_.accept(disks(root=0.9, srv=0.2))
    (verdict,) = engine_.accept(failing(60))
    assert told([verdict]) == [(ROOT, WARNING, Data.FAILING)]
    assert (verdict.reason, verdict.value) == ("disks fails: connection refused", 0.9)
    assert engine_.accept(a_collection(collector="activity", failure=a_failure(Reason.TIMEOUT))) == []
    assert engine_.accept(a_collection(collector="activity")) == []


def test_evaluation_says_no_data_of_a_series_that_is_missing() -> None:
    """A good collection without it is no end of it, as often as it comes."""
    engine_ = of(a_rule())
    engine_.accept(disks(root=0.9))
    for at in (60, 120):
        assert told(engine_.accept(disks(at))) == [(ROOT, WARNING, Data.NONE)]
    assert told(engine_.accept(disks(180, root=0.9))) == [(ROOT, WARNING, Data.OK)]


def test_evaluation_takes_a_series_that_may_vanish_for_over() -> None:
    """An index that was dropped is invalid no more; until its alert is over that is said again."""
    engine_ = of(a_rule(vanish=True))
    engine_.accept(disks(root=0.9))
    for at in (60, 120, 90_000):
        (verdict,) = engine_.accept(disks(at))
        assert told([verdict]) == [(ROOT, None, Data.OK)]
        assert verdict.reason == "no longer there"
    engine_.settle(ROOT)
    assert engine_.accept(disks(90_060)) == []


def test_evaluation_does_not_take_what_was_left_out_for_gone() -> None:
    """A collection that was locked out of a part proves nothing; one that never may look there does."""
    engine_ = of(a_rule(vanish=True))
    engine_.accept(disks(root=0.9))
    left_out = a_collection(collector="disks", taken_at=START + 60, gaps=(a_gap(reason=Reason.LOCKED),))
    (verdict,) = engine_.accept(left_out)
    assert (verdict.severity, verdict.data, verdict.reason) == (WARNING, Data.FAILING, "relations was left out: locked")
    never = a_collection(collector="disks", taken_at=START + 120, gaps=(a_gap(reason=Reason.PRIVILEGE),))
    assert told(engine_.accept(never)) == [(ROOT, None, Data.OK)]


def test_evaluation_does_not_doubt_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that nobody may enter is left out of each look: what vanished beside it a day ago has vanished."""
    monkeypatch.setattr(engine, "DOUBT_SECONDS", 600)
    engine_ = of(a_rule(vanish=True))
    engine_.accept(disks(root=0.9))

    def look(at: float) -> tuple[Severity | None, Data]:
        gaps = (a_gap(reason=Reason.LOCKED),)
        ((_, severity, data),) = told(engine_.accept(a_collection(collector="disks", taken_at=START + at, gaps=gaps)))
        return severity, data

    assert [look(at) for at in (60, 659, 660)] == [(WARNING, Data.FAILING), (WARNING, Data.FAILING), (None, Data.OK)]
    engine_.accept(disks(700, root=0.9))
    assert look(760) == (WARNING, Data.FAILING)


@pytest.mark.parametrize(("vanish", "severity", "data"), [(True, None, Data.OK), (False, WARNING, Data.NONE)])
def test_evaluation_after_a_restart_waits_before_it_takes_a_series_for_gone(
    *, vanish: bool, severity: Severity | None, data: Data
) -> None:
    """A busy disk needs two looks, a target that hangs its time: until then nothing is said of their end."""
    engine_ = of(a_rule(vanish=vanish), sources={DISK.name: ["disks"]})
    engine_.resume(ROOT, WARNING)
    for at in (0, 15, 299):
        assert engine_.accept(disks(at, srv=0.1)) == []
    assert told(engine_.accept(disks(300, srv=0.1))) == [(ROOT, severity, data)]
    engine_ = of(a_rule(vanish=True), sources={DISK.name: ["disks"]})
    engine_.resume(ROOT, WARNING)
    assert engine_.accept(disks(0)) == []
    assert told(engine_.accept(disks(15, root=0.9))) == [(ROOT, WARNING, Data.OK)]


def test_evaluation_says_of_what_nobody_brings_after_a_restart_that_it_is_not_heard_of() -> None:
    """A metric of somebody's own that is no longer asked for has no collector that could say so."""
    engine_ = of(a_rule())
    engine_.resume(ROOT, WARNING)
    assert engine_.overdue(START) == []
    engine_.accept(disks(30, srv=0.1))
    assert engine_.overdue(START + 3599) == []
    assert told(engine_.overdue(START + 3600)) == [(ROOT, WARNING, Data.FAILING)]
    engine_.accept(a_collection(collector="activity", failure=a_failure(Reason.UNREACHABLE)))
    assert engine_.overdue(START + 3610) == []  # whoever is down says so itself
    engine_.accept(disks(3615, root=0.9))
    assert engine_.overdue(START + 3630) == []


def test_evaluation_lets_go_of_alerts_whose_collector_is_gone() -> None:
    """It was switched off, while the daemon ran or while it did not; what nobody knows the source of stays."""
    engine_ = of(a_rule(), a_rule(name="own", metric="toban_custom_x"), sources={DISK.name: ["disks"]})
    engine_.accept(disks(root=0.9))
    engine_.resume(srv := Key("disk", "main", (("mount", "/srv"),)), WARNING)
    engine_.resume(Key("own", "main"), WARNING)
    engine_.retain({"main": {"disks"}, "spare": set()})
    assert engine_.overdue(START) == []
    engine_.retain({"main": {"cpu"}})
    verdicts = engine_.overdue(START)
    assert {(verdict.key, verdict.reason) for verdict in verdicts} == {
        (ROOT, "its collector is no longer configured"),
        (srv, "its collector is no longer configured"),
    }
    assert len(engine_) == 0


def test_evaluation_of_a_target_that_is_watched_anew_goes_on() -> None:
    """A reload that gives a target other settings ends none of its alerts."""
    engine_ = of(a_rule(vanish=True))
    engine_.accept(disks(root=0.96))
    engine_.restart("main")
    assert engine_.overdue(START) == []
    assert engine_.accept(disks(15)) == []
    assert told(engine_.accept(disks(30, root=0.9))) == [(ROOT, WARNING, Data.OK)]


def test_evaluation_takes_no_number_for_no_data() -> None:
    """NaN is neither a breach nor well; of a series that may vanish it is no end."""
    engine_ = of(a_rule(**{"for": "1m"}), a_rule(name="may", vanish=True), a_rule(name="odd", warning="!= 1"))
    assert engine_.accept(disks(root=nan)) == []
    engine_.accept(disks(15, root=0.9))
    assert told(engine_.accept(disks(30, root=nan))) == [
        (ROOT, WARNING, Data.NONE),
        (Key("odd", *ROOT[1:]), WARNING, Data.NONE),
    ]


def test_evaluation_takes_up_what_stood_before_a_restart() -> None:
    """With its hysteresis, and without a word while nothing is heard."""
    engine_ = of(a_rule(clear="< 75%"), sources={DISK.name: ["disks"]})
    engine_.resume(ROOT, CRITICAL)
    assert told(engine_.accept(failing())) == [(ROOT, CRITICAL, Data.FAILING)]
    assert engine_.accept(disks(30, srv=0.2)) == []
    assert engine_.accept(a_collection(collector="activity")) == []
    assert told(engine_.accept(disks(60, root=0.78))) == [(ROOT, WARNING, Data.OK)]
    assert told(engine_.accept(disks(90, root=0.7))) == [(ROOT, None, Data.OK)]


def test_evaluation_that_resumes_a_pending_one_waits_for_its_breach_to_last() -> None:
    """It has not fired, so there is no hysteresis yet."""
    engine_ = of(a_rule(**{"for": "1m"}, clear="< 75%"))
    engine_.resume(ROOT, WARNING, fired=False)
    assert told(engine_.accept(disks(root=0.78))) == [(ROOT, None, Data.OK)]


def test_evaluation_that_resumes_a_target_that_is_down_says_failing() -> None:
    """Whatever collector brought the series: none of them does now."""
    engine_ = of(a_rule())
    engine_.resume(ROOT, CRITICAL)
    down = a_collection(collector="activity", failure=a_failure(Reason.UNREACHABLE))
    assert told(engine_.accept(down)) == [(ROOT, CRITICAL, Data.FAILING)]


def test_evaluation_takes_no_target_for_down_that_was_not_asked() -> None:
    """What another collector brought is waited for; only what that one brings fails."""
    engine_ = of(a_rule())
    engine_.resume(ROOT, CRITICAL)
    failed = a_collection(collector="custom:x", failure=a_failure(Reason.UNREACHABLE))
    assert told(engine_.accept(replace(failed, asks=False))) == []


def test_evaluation_breaks_off_what_a_target_counts_once_for_each_time_that_it_was_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A collector that does not ask the target tells of no break."""
    engine_ = of(a_rule())
    broken: list[str] = []
    monkeypatch.setattr(engine_._windows, "break_off", broken.append)
    failed = a_collection(failure=a_failure(Reason.UNREACHABLE))
    told_by = [replace(failed, asks=False), failed, failed, disks(root=0.1), replace(failed, asks=False), failed]
    counts = []
    for collection in told_by:
        engine_.accept(collection)
        counts.append(len(broken))
    assert counts == [0, 1, 1, 1, 1, 2]


def test_evaluation_lets_go_of_alerts_whose_rule_or_target_is_gone() -> None:
    """At once and for good: nothing later could say so again."""
    engine_ = of(a_rule(where={"mount": "/"}))
    engine_.resume(Key("old", "main"), WARNING)
    engine_.resume(Key("disk", "main", (("mount", "/srv"),)), WARNING)
    engine_.accept(disks(target="spare", root=0.9))
    engine_.resume(Key("disk", "spare", (("mount", "/"),)), WARNING)
    engine_.forget("spare")
    verdicts = engine_.overdue(START)
    assert {(v.key.rule, v.key.target, v.severity, v.data, v.rule.vanish, v.reason) for v in verdicts} == {
        ("old", "main", None, Data.NONE, True, "the rule is no longer there"),
        ("disk", "main", None, Data.NONE, True, "the rule is no longer about it"),
        ("disk", "spare", None, Data.NONE, True, "the target is no longer watched"),
    }
    assert engine_.overdue(START) == []


def test_evaluation_renewed_goes_on_with_what_stands() -> None:
    """A reload resolves nothing that its rules still judge, and takes the new thresholds."""
    engine_ = of(a_rule(clear="< 75%"), a_rule(name="old"), a_rule(name="none", function="absent(1m)", warning=None))
    engine_.accept(disks(root=0.96))
    engine_.resume(Key("disk", "spare", (("mount", "/"),)), CRITICAL)
    engine_.renew([a_rule(warning="> 70%", clear="< 65%")])
    assert told(engine_.overdue(START)) == [(Key("old", *ROOT[1:]), None, Data.NONE)]
    assert engine_.accept(disks(30)) == []
    assert told(engine_.accept(disks(60, root=0.66))) == [(ROOT, WARNING, Data.OK)]
    assert told(engine_.accept(disks(60, target="spare", root=0.66))) == [
        (Key("disk", "spare", (("mount", "/"),)), WARNING, Data.OK)
    ]


def test_evaluation_says_when_a_collector_falls_silent() -> None:
    """No collection at all is no calm."""
    engine_ = of(a_rule())
    engine_.accept(disks(root=0.9))
    engine_.accept(disks(60, root=0.9))
    assert engine_.overdue(START + 60 + 480) == []
    (verdict,) = engine_.overdue(START + 60 + 481)
    assert told([verdict]) == [(ROOT, WARNING, Data.FAILING)]
    assert verdict.reason == "nothing came from disks for 481s"


def test_evaluation_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One series more is left out, and counted; series that are gone make room."""
    monkeypatch.setattr(engine, "MOST_WATCHES", 2)
    monkeypatch.setattr(engine, "SPARE", 0)
    engine_ = of(a_rule())
    engine_.accept(disks(root=0.1, srv=0.9, home=0.9))
    assert (len(engine_), engine_.dropped) == (2, 1)
    monkeypatch.setattr(engine, "MOST_WATCHES", 10)
    for number in range(10):
        engine_.accept(collected(number, "main", {f"d{number}": 0.1}))
    assert len(engine_) <= 5
    assert (Key("disk", "main", (("mount", "/srv"),)), WARNING, Data.NONE) in told(engine_.accept(disks(60)))


def test_evaluation_forgets_the_windows_of_what_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Series, targets and rules take their readings along."""
    monkeypatch.setattr(engine, "SPARE", 0)
    windows = Windows()
    engine_ = Evaluation([a_rule(function="mean(5m)")], windows)
    for number in range(10):
        engine_.accept(collected(number, "main", {f"d{number}": 0.1}))
    assert len(windows) <= 4
    engine_.accept(disks(target="spare", root=0.1))
    engine_.renew([a_rule(function="mean(5m)")])
    before = len(windows)
    engine_.forget("spare")
    assert len(windows) == before - 1
    engine_.renew([a_rule(function="max(5m)")])
    assert len(windows) == 0


@given(
    st.sampled_from(["> 0.5", "< 0.5", "!= 0.5", ">= 0.9"]),
    st.sampled_from(["> 0.7", "< 0.2", "== 0.9"]),
    st.sampled_from([None, "< 0.4", "> 0.6"]),
    st.sampled_from([None, "1m"]),
    st.lists(st.sampled_from([0.1, 0.3, 0.45, 0.5, 0.55, 0.65, 0.8, 0.9, 1.0]), max_size=30),
)
def test_evaluation_skips_nothing_that_its_rule_would_tell(
    warning: str, critical: str, clear: str | None, length: str | None, values: list[float]
) -> None:
    """The quick look at a value that is well gives what the slow one gives."""
    rule = a_rule(warning=warning, critical=critical, clear=clear, **{"for": length})
    engine_, standing = of(rule), Standing()
    for number, value in enumerate(values):
        severities = [verdict.severity for verdict in engine_.accept(disks(number * 30, root=value))]
        expected = standing.judged(rule, value, START + number * 30).severity
        assert severities in ([expected], [] if expected is None else [expected])
