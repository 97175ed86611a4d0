"""How long /metrics takes, with the server in health and with the server stopped in mid-breath."""

import time
from collections.abc import Sequence

from bench.plan import Plan
from bench.quantiles import percentile
from bench.scraping import Answer, ask_a_silent_one, ask_in_turn
from bench.stage import Stage
from bench.subjects import Running


def in_health(watcher: Running, plan: Plan) -> dict[str, float]:
    """The figures of one watcher whose server answers."""
    answers = ask_in_turn(watcher.port, plan.requests, plan.request_pause_seconds)
    return {**_quantiles(answers, ""), "series": answers[-1].series}


def while_stopped(stage: Stage, watchers: Sequence[Running], plan: Plan) -> dict[str, dict[str, float]]:
    """The figures of each watcher, one after the other, while the whole server is stopped by SIGSTOP."""
    stage.cluster.freeze()
    try:
        time.sleep(plan.stopped_after_seconds)
        return {watcher.subject.name: _silence(watcher, plan) for watcher in watchers}
    finally:
        stage.cluster.thaw()


def _silence(watcher: Running, plan: Plan) -> dict[str, float]:
    answers = ask_a_silent_one(watcher.port, plan.stopped_requests, plan.stopped_pause_seconds)
    timeouts = sum(1 for answer in answers if answer.text is None)
    return {**_quantiles(answers, "stopped_"), "stopped_timeouts": timeouts}


def _quantiles(answers: Sequence[Answer], prefix: str) -> dict[str, float]:
    seconds = [answer.seconds for answer in answers]
    return {prefix + "p50": percentile(seconds, 0.50), prefix + "p99": percentile(seconds, 0.99)}
