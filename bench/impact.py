"""What a watcher takes from the application: pgbench at full speed with it and without it, in turns."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

from bench.load import throughput
from bench.plan import Plan
from bench.quantiles import spread, throughput_ratio
from bench.scraping import Scraper
from bench.stage import Stage
from bench.subjects import Running, Subject, running


def throughput_beside(stage: Stage, make: Callable[[], Subject], plan: Plan) -> dict[str, float]:
    """Throughput with the watcher as a share of that without.

    One watcher serves all runs: for those without it, it is stopped by SIGSTOP. Turns that fall due meanwhile are made
    up for in the run that follows, so its cost is rather over- than understated, and the runs are near enough to one
    another in time for the machine's own moods to cancel out.
    """
    beside, alone = [], []
    with running(make()) as watcher:
        for _ in range(plan.throughput_pairs):
            with _stopped(watcher):
                alone.append(throughput(stage, plan.throughput_seconds))
            with _scraped(watcher, plan):
                beside.append(throughput(stage, plan.throughput_seconds))
    return {"throughput": throughput_ratio(beside, alone), "throughput_spread": spread(alone)}


@contextmanager
def _stopped(watcher: Running) -> Iterator[None]:
    """The watcher takes nothing."""
    os.kill(watcher.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(watcher.pid, signal.SIGCONT)


@contextmanager
def _scraped(watcher: Running, plan: Plan) -> Iterator[None]:
    """The watcher does all it does, scrapes included."""
    over = Event()

    def scrape() -> None:
        scraper = Scraper(watcher.port)
        scraper.ask()
        while not over.wait(plan.scrape_every_seconds):
            scraper.ask()
        scraper.close()

    thread = Thread(target=scrape, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
