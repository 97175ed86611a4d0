from alerting.evaluation import Evaluation
from alerting.rules.rule import Rule, Verdict
from tests.alerting.ruling import a_rule, disks, of, told
from tests.builders import START
from toban.alerts import Data, Key, Severity

WARNING, CRITICAL = Severity.WARNING, Severity.CRITICAL


def absent(**said: object) -> Rule:
    """A rule that fires when nothing comes for ten minutes."""
    return a_rule(**{"name": "quiet", "function": "absent(10m)", "warning": None, "critical": None, **said})


def wait(evaluation: Evaluation, begin: float, end: float) -> list[Verdict]:
    """Looks every thirty seconds; what the last one says."""
    found: list[Verdict] = []
    for at in range(int(begin), int(end) + 1, 30):
        found = evaluation.overdue(START + at)
    return found


def test_absence_fires_when_nothing_has_come_for_so_long() -> None:
    """Also when it never came since the start; one alert for each target that is named."""
    engine_ = of(absent(where={"target": ["main", "spare"]}))
    assert wait(engine_, 0, 570) == []
    engine_.accept(disks(570, root=0.1))
    verdicts = wait(engine_, 600, 600)
    assert told(verdicts) == [(Key("quiet", "spare"), WARNING, Data.OK)]
    assert (verdicts[0].value, verdicts[0].bound, verdicts[0].reason) == (600.0, ">= 10m", "nothing came for 10m")
    assert told(wait(engine_, 630, 1170)) == [
        (Key("quiet", "main"), WARNING, Data.OK),
        (Key("quiet", "spare"), WARNING, Data.OK),
    ]


def test_absence_is_over_when_something_comes() -> None:
    """Whatever its value is."""
    engine_ = of(absent())
    key = Key("quiet", "*")
    assert told(wait(engine_, 0, 600)) == [(key, WARNING, Data.OK)]
    assert told(engine_.accept(disks(610, root=0.1))) == [(key, None, Data.OK)]
    assert wait(engine_, 630, 660) == []


def test_absence_may_grow_worse_and_goes_by_labels() -> None:
    """Its value is how long nothing came."""
    engine_ = of(absent(warning="> 0", critical="> 20m", where={"mount": "/srv"}))
    wait(engine_, 0, 570)
    assert engine_.accept(disks(570, root=0.1)) == []
    assert told(wait(engine_, 600, 600)) == [(Key("quiet", "*"), WARNING, Data.OK)]
    assert told(wait(engine_, 630, 1230)) == [(Key("quiet", "*"), CRITICAL, Data.OK)]


def test_absence_is_taken_up_after_a_restart_and_a_reload() -> None:
    """Until something comes it stands."""
    engine_ = of(absent())
    engine_.resume(Key("quiet", "*"), WARNING)
    engine_.renew([absent()])
    assert wait(engine_, 0, 300) == []
    assert told(engine_.accept(disks(300, root=0.1))) == [(Key("quiet", "*"), None, Data.OK)]
    engine_.settle(Key("quiet", "*"))
    assert engine_.accept(disks(330, root=0.1)) == []
    wait(engine_, 330, 960)
    engine_.renew([])
    assert told(engine_.overdue(START + 961)) == [(Key("quiet", "*"), None, Data.NONE)]


def test_absence_does_not_count_a_time_that_nobody_watched() -> None:
    """A suspend or a clock that was set, either way."""
    engine_ = of(absent())
    wait(engine_, 0, 300)
    assert engine_.overdue(START + 86400) == []
    assert wait(engine_, 86430, 86400 + 270) == []
    assert told(wait(engine_, 86400 + 300, 86400 + 300)) == [(Key("quiet", "*"), WARNING, Data.OK)]
    engine_.accept(disks(86400 + 310, root=0.1))
    assert engine_.overdue(START) == []
