"""The steps of the bench. Each puts its figures into the columns, and needs nothing of the others."""

import sys
from collections.abc import Callable
from contextlib import ExitStack

from bench import growth, impact, large, latency, load, many, starting, window
from bench.plan import Plan
from bench.projection import full_size_bytes
from bench.stage import Stage
from bench.subjects import Subject, running

Makers = dict[str, Callable[[], Subject]]
Columns = dict[str, dict[str, float]]
Step = Callable[[Stage, Makers, Plan, Columns], None]


def together(there: Stage, makers: Makers, plan: Plan, columns: Columns) -> None:
    """Both on the same server beside the same load: costs side by side, answers one after the other."""
    with ExitStack() as stack:
        stack.enter_context(load.steady(there))
        watchers = [stack.enter_context(running(make())) for make in makers.values()]
        _say(f"costs over {plan.window_seconds:.0f} s")
        for name, figures in window.over_minutes(there, watchers, plan).items():
            columns[name] |= figures
        _say("answers")
        for watcher in watchers:
            columns[watcher.subject.name] |= latency.in_health(watcher, plan)
        _say("answers while the server is stopped")
        for name, figures in latency.while_stopped(there, watchers, plan).items():
            columns[name] |= figures
    states = [watcher.subject.folder / "state.db" for watcher in watchers if watcher.subject.name == "toban"]
    for state in states:
        columns["toban"]["history"] = full_size_bytes(state, state.with_name("full.db"))


def starts(_: Stage, makers: Makers, plan: Plan, columns: Columns) -> None:
    """How soon each is of use."""
    _say("starts")
    for name, make in makers.items():
        columns[name]["first_sample"] = starting.first_sample(make, plan)
    if "toban" in makers:
        columns["toban"]["help"] = starting.help_ratio(plan)


def beside(there: Stage, makers: Makers, plan: Plan, columns: Columns) -> None:
    """What each takes from the application."""
    for name, make in makers.items():
        _say(f"pgbench at full speed, with and without {name}")
        columns[name] |= impact.throughput_beside(there, make, plan)


def grown(there: Stage, makers: Makers, plan: Plan, columns: Columns) -> None:
    """What a further database costs. It comes last, for it leaves them behind."""
    _say("further databases")
    for name, size_bytes in growth.further_databases(there, makers, plan).items():
        columns[name]["further_database"] = size_bytes


def on_a_large_server(_: Stage, makers: Makers, plan: Plan, columns: Columns) -> None:
    """What a server of ten thousand tables costs. It makes a server of its own."""
    if "toban" in makers:
        _say(f"a large server, over {plan.large_seconds:.0f} s")
        columns["toban"] |= large.large_server(plan)


def with_many_targets(_: Stage, makers: Makers, plan: Plan, columns: Columns) -> None:
    """What a hundred targets cost. It makes a server of its own."""
    if "toban" in makers:
        _say(f"{plan.many_targets} targets, over {plan.many_seconds:.0f} s")
        columns["toban"] |= many.many_targets(plan)


STEPS: dict[str, Step] = {
    "window": together,
    "starting": starts,
    "impact": beside,
    "growth": grown,
    "large": on_a_large_server,
    "many": with_many_targets,
}


def _say(step: str) -> None:
    print(f"bench: {step} …", file=sys.stderr, flush=True)
