"""What many targets cost in one process: a hundred databases of one real server, each listed as a target of its own.

Real servers, in that every target has its own connections, its own turns and its own answers; one server, in that a
hundred would not fit on the machine that measures.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from bench.plan import Plan
from bench.processes import cpu_seconds, memory
from bench.quantiles import percentile
from bench.scraping import Answer, Scraper
from bench.stage import Size, Stage, add_databases, stage
from bench.subjects import TOBAN, Running, Subject, free_port, running

SMALL = Size(databases=1, tables=10, used=10)
CONNECTIONS = 450
QUICK_COLLECTORS = ("identity", "activity", "databases", "locks", "replication", "wal")
QUICK_SECONDS = 15.0


def many_targets(plan: Plan) -> dict[str, float]:
    """Whether each target keeps its cadence, and what all of them cost."""
    with (
        stage(SMALL, max_connections=CONNECTIONS) as there,
        tempfile.TemporaryDirectory(prefix="toban-bench-") as folder,
    ):
        add_databases(there, plan.many_targets)
        with running(_subject(there, Path(folder), plan.many_targets)) as watcher:
            time.sleep(plan.many_settle_seconds)
            return asyncio.run(_watched(watcher, plan))


def _subject(there: Stage, folder: Path, count: int) -> Subject:
    port = free_port()
    lines = [f"state: sqlite://{folder / 'state.db'}", f'http: {{listen: "127.0.0.1:{port}"}}', "targets:"]
    for number in range(1, count + 1):
        database = f"further{number:03}"
        dsn = there.dsn("toban", database)
        only = f"{{include: [{database}]}}"
        lines.append(f'  - {{name: {database}, kind: postgresql, dsn: "{dsn}", databases: {only}}}')
    (folder / "config.yaml").write_text("\n".join(lines) + "\n")
    command = (TOBAN, "-c", str(folder / "config.yaml"), "run")
    return Subject(name="toban", role="toban", command=command, environment={}, folder=folder, port=port)


async def _watched(watcher: Running, plan: Plan) -> dict[str, float]:
    scraper = Scraper(watcher.port)
    lags: list[float] = []
    resident = 0
    before, spent, started = scraper.ask(), cpu_seconds(watcher.pid), time.monotonic()
    last = before
    while time.monotonic() - started < plan.many_seconds:
        await asyncio.sleep(plan.scrape_every_seconds)
        last = await asyncio.to_thread(scraper.ask)
        lags += last.values("toban_loop_lag_seconds")
        resident = max(resident, memory(watcher.pid).resident_bytes)
    seconds = time.monotonic() - started
    due = plan.many_targets * len(QUICK_COLLECTORS) * seconds / QUICK_SECONDS
    return {
        "many_turns": (_turns(last) - _turns(before)) / due,
        "many_resident": resident,
        "many_cpu": (cpu_seconds(watcher.pid) - spent) / seconds,
        "many_lag": percentile(lags, 0.99),
    }


def _turns(answer: Answer) -> float:
    """Turns of the quick collectors since the start, over all targets."""
    return sum(_each(answer, QUICK_COLLECTORS))


def _each(answer: Answer, collectors: Iterable[str]) -> Iterable[float]:
    for collector in collectors:
        yield from answer.values(f'toban_collect_duration_seconds_count{{collector="{collector}"}}')
