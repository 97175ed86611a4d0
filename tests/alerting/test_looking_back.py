from functools import partial
from pathlib import Path

import pytest

from alerting.evaluation import Evaluation
from alerting.windows import Windows
from history.reading import open_reader
from tests.alerting.ruling import ROOT, a_rule, disks, of, told
from tests.builders import START, ManualClock, a_collection, a_failure, a_metric, a_sample
from tests.recorded import COMMITS, FULL_HOUR, commits, record, recording
from toban.alerts import Data, Key, Severity
from toban.events import Event, EventKind
from toban.samples import Collection, Type

WARNING = Severity.WARNING
HITS = a_metric("toban_hits_total", type=Type.COUNTER)


def hits(at: float, value: float, *rows: object) -> Collection:
    """A counter."""
    return a_collection(a_sample(HITS, value, taken_at=START + at), taken_at=START + at, rows=rows)


def test_rate_breaks_off_at_a_failover() -> None:
    """Another server counts from elsewhere: no spike, though its count is higher."""
    engine_ = of(a_rule(metric=HITS.name, function="rate(3m)", warning="> 10", critical=None))
    for at, value in ((0, 0.0), (60, 60.0), (120, 120.0)):
        assert engine_.accept(hits(at, value)) == []
    promoted = Event(kind=EventKind.PROMOTED, at=START + 170)
    changed = Event(kind=EventKind.SETTING_CHANGED, at=START + 230)
    assert told(engine_.accept(hits(180, 9e9)))[0][1] is WARNING  # nobody has told yet
    engine_.accept(a_collection(collector="server", taken_at=START + 185, rows=(promoted, changed)))
    (verdict,) = engine_.accept(hits(240, 9e9 + 60))
    assert (verdict.severity, verdict.value) == (None, 1.0)


def test_rate_breaks_off_while_a_target_is_down() -> None:
    """What came back may be another, or the same after a crash."""
    engine_ = of(a_rule(metric=HITS.name, function="rate(2m)", warning="> 10", critical=None))
    for at, value in ((0, 0.0), (60, 6000.0)):
        engine_.accept(hits(at, value))
    for at in (70, 80):
        engine_.accept(a_collection(collector="server", taken_at=START + at, failure=a_failure()))
    (verdict,) = engine_.accept(hits(120, 9e9))
    assert (verdict.severity, verdict.data) == (WARNING, Data.NONE)
    assert verdict.reason == "rate(2m) is not known: it was reset, restarted or broken off at the last reading"


def test_function_without_a_value_says_nothing_of_what_is_not_open() -> None:
    """Nor, of a rule whose series may vanish, anything that would be taken for its end."""
    engine_ = of(a_rule(metric=HITS.name, function="rate(1m)", warning="> 10", critical=None, vanish=True))
    assert engine_.accept(hits(0, 0.0)) == []
    assert told(engine_.accept(hits(60, 6000.0)))[0][1] is WARNING
    assert engine_.accept(hits(120, 5.0)) == []


def test_function_without_room_for_its_window_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is left out, and counted, until others have gone."""
    monkeypatch.setattr("alerting.windows.MOST_WINDOWS", 1)
    windows = Windows()
    engine_ = Evaluation([a_rule(function="max(1m)")], windows)
    engine_.accept(disks(0, root=0.9, srv=0.9))
    found = engine_.accept(disks(60, root=0.9, srv=0.9))
    assert told(found) == [(ROOT, WARNING, Data.OK)]
    assert windows.dropped == 3
    assert engine_.full
    monkeypatch.setattr("alerting.windows.MOST_WINDOWS", 2)
    engine_.accept(disks(90, root=0.9, srv=0.9))
    assert len(engine_.accept(disks(150, root=0.9, srv=0.9))) == 2


async def test_function_knows_what_the_file_knew_before_the_restart(tmp_path: Path) -> None:
    """A real history, its real reader: the rate is known with the second reading."""
    clock = ManualClock(FULL_HOUR)
    path = tmp_path / "state.db"
    async with recording(path, clock) as history:
        await record(history, clock, [number * 150.0 for number in range(40)])
        windows = Windows(partial(open_reader, path))
        rule = a_rule(metric=COMMITS.name, function="rate(10m)", warning="> 9", critical=None)
        engine_ = Evaluation([rule], windows)
        assert engine_.accept(commits(clock, 0.0)) == []
        assert await windows.tend(clock.now())
        clock.advance(15)
        (verdict,) = engine_.accept(commits(clock, 150.0))
    assert verdict.severity is WARNING
    assert verdict.value == pytest.approx(10.0, rel=0.01)


def test_function_that_cannot_be_known_yet_after_a_restart_is_not_told_as_missing() -> None:
    """What no file remembers has to be seen for half its window again; only then something is the matter."""
    engine_ = of(a_rule(metric=HITS.name, function="rate(4m)", warning="> 10", critical=None))
    engine_.resume(Key("disk", "main"), WARNING)
    for at, value in ((0, 0.0), (60, 6000.0), (119, 12000.0)):
        assert engine_.accept(hits(at, value)) == []
    assert told(engine_.accept(hits(120, 5.0))) == [(Key("disk", "main"), WARNING, Data.NONE)]
    assert told(engine_.accept(hits(180, 6000.0))) == [(Key("disk", "main"), WARNING, Data.OK)]
