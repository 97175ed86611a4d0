"""`python -m bench`: Toban beside Debian's postgres_exporter on one PostgreSQL, as one table with its goals.

Exit status 0 when every goal that was measured is met, 1 when one is missed or could not be measured.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path

from bench import load, subjects
from bench.goals import missed
from bench.machine import facts
from bench.plan import FULL, QUICK, Plan
from bench.stage import Size, Stage, stage
from bench.steps import STEPS, Columns, Makers
from bench.subjects import Subject, SubjectError
from bench.table import table

MAKERS = {"exporter": subjects.exporter, "toban": subjects.toban}


def main() -> int:
    """Measure, print, judge."""
    options = _options()
    signal.signal(signal.SIGTERM, _end)
    plan = QUICK if options.quick else FULL
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="toban-bench-")))
        there = stack.enter_context(stage(Size()))
        known = facts(there.bin_dir, subjects.EXPORTER)
        load.prepare(there)
        columns, failures = _measured(there, _makers(there, folder, options.only), plan, options.steps)
    _print(known, columns, failures)
    if options.json:
        options.json.write_text(json.dumps({"machine": known, **columns}, indent=2) + "\n")
    return 1 if failures or missed(columns["exporter"], columns["toban"]) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="a short run, for work on the bench: its figures are rough"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    parser.add_argument("--only", choices=MAKERS, help="one column")
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS), help="a part of the measurements")
    return parser.parse_args()


def _end(*_: object) -> None:
    """A SIGTERM ends us as Ctrl-C does: the stack unwinds, and with it goes every process and folder."""
    signal.raise_signal(signal.SIGINT)


def _makers(there: Stage, folder: Path, only: str | None) -> Makers:
    """For each watcher what makes a fresh one, with a folder and a port of its own."""
    numbers = count()
    wanted = [only] if only else list(MAKERS)

    def fresh(name: str) -> Subject:
        return MAKERS[name](there, folder / f"{name}-{next(numbers)}")

    return {name: partial(fresh, name) for name in wanted}


def _measured(there: Stage, makers: Makers, plan: Plan, steps: Sequence[str]) -> tuple[Columns, list[str]]:
    """The figures, and what could not be had: a step that fails takes only its own figures along."""
    columns: Columns = {name: {} for name in MAKERS}
    failures = []
    for step in steps:
        try:
            STEPS[step](there, makers, plan, columns)
        except SubjectError as error:
            failures.append(f"{step}: {error}")
    return columns, failures


def _print(known: dict[str, str], columns: Columns, failures: Sequence[str]) -> None:
    print("\n".join(f"- {name}: {value}" for name, value in known.items()))
    print()
    print(table(columns["exporter"], columns["toban"]))
    for failure in failures:
        print(f"bench: {failure}", file=sys.stderr)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
