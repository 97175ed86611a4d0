"""How soon a watcher is of use: from exec to the first sample, and from typing `--help` to the prompt."""

import subprocess
import sys
import time
from collections.abc import Callable
from statistics import median

from bench.plan import Plan
from bench.subjects import TOBAN, Running, Subject, running


def first_sample(make: Callable[[], Subject], plan: Plan) -> float:
    """Seconds from exec to the first pg_up 1, the median of several starts, each with a fresh state."""
    return median(_start(make()).first_sample_seconds for _ in range(plan.starts))


def _start(subject: Subject) -> Running:
    with running(subject) as started:
        return started


def help_ratio(plan: Plan) -> float:
    """`toban --help` as a multiple of `python -c pass` in the same environment, run in turns."""
    helps, nothings = [], []
    for _ in range(plan.help_runs):
        helps.append(_seconds(TOBAN, "--help"))
        nothings.append(_seconds(sys.executable, "-c", "pass"))
    return median(helps) / median(nothings)


def _seconds(*command: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, timeout=60, check=True)
    return time.perf_counter() - started
