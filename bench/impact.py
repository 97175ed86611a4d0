"""What a watcher takes from the application: pgbench at full speed with it and without it, in turns."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Thread

from bench.load import throughput
from bench.plan import Plan
from bench.quantiles import spread, throughput_ratio
from bench.scraping import Scraper
from bench.stage import Stage
from bench.subjects import Subject, running


def throughput_beside(stage: Stage, make: Callable[[], Subject], plan: Plan) -> dict[str, float]:
    """Throughput with the watcher as a share of that without. It is started afresh, and settled, for each run."""
    beside, alone = [], []
    for _ in range(plan.throughput_pairs):
        alone.append(_run(stage, None, plan))
        beside.append(_run(stage, make(), plan))
    return {"throughput": throughput_ratio(beside, alone), "throughput_spread": spread(alone)}


def _run(stage: Stage, subject: Subject | None, plan: Plan) -> float:
    with ExitStack() as stack:
        if subject is not None:
            stack.enter_context(_scraped(subject, plan))
        time.sleep(plan.throughput_settle_seconds)
        return throughput(stage, plan.throughput_seconds)


@contextmanager
def _scraped(subject: Subject, plan: Plan) -> Iterator[None]:
    """The subject, running and scraped in the background."""
    over = Event()

    def scrape(port: int) -> None:
        scraper = Scraper(port)
        while not over.wait(plan.scrape_every_seconds):
            scraper.ask()

    with running(subject) as watcher:
        thread = Thread(target=scrape, args=(watcher.port,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
