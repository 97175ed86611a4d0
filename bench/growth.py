"""What a further database costs in memory."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from bench.plan import Plan
from bench.processes import memory
from bench.quantiles import per_further_item
from bench.scraping import ask_in_turn
from bench.stage import Stage, add_databases
from bench.subjects import Subject, running

Makers = dict[str, Callable[[], Subject]]


def further_databases(stage: Stage, makers: Makers, plan: Plan) -> dict[str, float]:
    """Bytes a database, from one process that sees few and another that sees many, both settled alike."""
    few = _settled_bytes(makers, plan)
    add_databases(stage, plan.further_databases)
    many = _settled_bytes(makers, plan)
    return {name: per_further_item(few[name], many[name], plan.further_databases) for name in makers}


def _settled_bytes(makers: Makers, plan: Plan) -> dict[str, int]:
    with ExitStack() as stack:
        watchers = {name: stack.enter_context(running(make())) for name, make in makers.items()}
        end = time.monotonic() + plan.settle_seconds
        while time.monotonic() < end:
            for watcher in watchers.values():
                ask_in_turn(watcher.port, 1, plan.scrape_every_seconds / 3)
        return {name: memory(watcher.pid).resident_bytes for name, watcher in watchers.items()}
