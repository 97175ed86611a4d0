"""`python -m bench.evaluations`: how many rule evaluations a second one core makes, by how many rules and series.

An evaluation is one rule at one value. Collections of so many series pass so many rules of one metric again and again;
all is well, as it is on any good day. Then the same where everything is beyond its threshold, and where the rules look
back over a window. The last column is the time of one evaluation over that of the smallest grid: 1 is linear.
"""

import argparse
import gc
from collections.abc import Iterable, Sequence
from time import process_time
from typing import NamedTuple

from alerting.evaluation import Evaluation
from alerting.rules.bounds import parse_bound
from alerting.rules.functions import parse_function
from alerting.rules.rule import Rule
from alerting.windows import Windows
from bench.goals import Form, Row, at_least, at_most, missed
from bench.table import table
from toban.samples import Collection, Metric, Sample, Unit

ROWS = (
    Row(
        key="evaluations",
        label="rule evaluations a second on one core",
        form=Form.COUNT,
        goal=at_least("evaluations", 200_000, "≥ 200,000"),
    ),
    Row(
        key="growth",
        label="an evaluation, in the largest grid to the smallest",
        form=Form.TIMES,
        goal=at_most("growth", 2.0, "linear: ≤ 2"),
    ),
)
GRIDS = ((50, 200), (100, 1000), (200, 2000))
WINDOW_GRIDS = ((5, 200), (10, 500))
MINUTE = 60.0
START = 1_700_000_000.0
METRIC = Metric(name="toban_bench_ratio", help="Made up for the bench", unit=Unit.RATIO, labels=("number",))


class Load(NamedTuple):
    """What passes the rules: a name for it, the value of most series, and the function if there is one."""

    name: str
    value: float
    function: str = ""


WELL = Load("all is well", 0.5)
STORM = Load("all is beyond", 0.99)
WINDOW = Load("mean(5m)", 0.5, "mean(5m)")


class Measured(NamedTuple):
    """One grid."""

    rules: int
    series: int
    load: Load
    evaluations: int
    seconds: float

    @property
    def per_second(self) -> float:
        """What one core makes."""
        return self.evaluations / self.seconds


def main() -> None:
    """Measure, print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench.evaluations", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each grid is measured")
    options = parser.parse_args()
    plan = [(WELL, GRIDS), (STORM, GRIDS[:1]), (WINDOW, WINDOW_GRIDS)]
    found = [measured(*grid, load, options.seconds) for load, grids in plan for grid in grids]
    print("\n".join(lines(found)))
    figures = judged([one for one in found if one.load is WELL])
    print(f"\n{table({}, figures, ROWS)}")
    if missed({}, figures, ROWS):
        raise SystemExit(1)


def judged(found: Sequence[Measured]) -> dict[str, float]:
    """The figures that are held to a goal."""
    return {
        "evaluations": min(one.per_second for one in found),
        "growth": max(found[0].per_second / one.per_second for one in found),
    }


def lines(found: Iterable[Measured]) -> list[str]:
    """The grids, as Markdown."""
    told = [
        "| load | rules x series | evaluations a second | each | to the smallest |",
        "| --- | --- | --- | --- | --- |",
    ]
    first: dict[str, float] = {}
    for one in found:
        each = 1 / one.per_second
        smallest = first.setdefault(one.load.name, each)
        told.append(
            f"| {one.load.name} | {one.rules} x {one.series} | {one.per_second:,.0f} | {each * 1e9:,.0f} ns | "
            f"{each / smallest:.2f} |"
        )
    return told


def measured(rules: int, series: int, load: Load, seconds: float) -> Measured:
    """Turn after turn until the time is over; making the collections does not count."""
    evaluation = Evaluation(_rules(rules, load), Windows())
    at, busy, turns = START, 0.0, 0
    for collection in _turns(series, load, at, 3):  # until every series is known and its window has begun
        evaluation.accept(collection)
    gc.collect()
    at += 3 * MINUTE
    while busy < seconds:
        (collection,) = _turns(series, load, at, 1)
        began = process_time()
        evaluation.accept(collection)
        busy += process_time() - began
        at += MINUTE
        turns += 1
    if evaluation.dropped or len(evaluation) != rules * series:
        raise SystemExit(f"{rules} x {series}: only {len(evaluation)} were judged")
    return Measured(rules, series, load, turns * rules * series, busy)


def _rules(count: int, load: Load) -> list[Rule]:
    function = parse_function(load.function) if load.function else None
    return [
        Rule(
            name=f"rule_{number}",
            metric=METRIC.name,
            unit=Unit.RATIO,
            function=function,
            warning=parse_bound(f"> {80 + number % 10}%"),
            critical=parse_bound("> 95%"),
            clear=parse_bound("< 75%"),
            for_seconds=MINUTE,
        )
        for number in range(count)
    ]


def _turns(series: int, load: Load, at: float, count: int) -> Iterable[Collection]:
    """Collections a minute apart; each value a little different."""
    for turn in range(count):
        moment = at + turn * MINUTE
        samples = tuple(
            Sample(metric=METRIC, value=load.value + number % 7 / 1000, labels=(str(number),), taken_at=moment)
            for number in range(series)
        )
        yield Collection(target="main", collector="bench", taken_at=moment, duration_seconds=0.1, samples=samples)


if __name__ == "__main__":
    main()
