"""What a large server costs: twenty databases of five hundred tables, and five thousand statements."""

import tempfile
from dataclasses import replace
from pathlib import Path

from bench import window
from bench.plan import Plan
from bench.scraping import Scraper
from bench.stage import Size, stage
from bench.subjects import running, toban

LARGE = Size(databases=20, tables=500, used=250)


def large_server(plan: Plan) -> dict[str, float]:
    """Toban's costs there at its defaults.

    The window begins with the daemon: the first round of every collector falls into it, those of the slow ones too,
    whose next is hours away. An hour's mean is lower. So does the one daily question to the package manager: a program
    that lives for two seconds, whose memory is told apart.
    """
    whole = replace(plan, warm_up_seconds=0.0, window_seconds=plan.large_seconds)
    with (
        stage(LARGE) as there,
        tempfile.TemporaryDirectory(prefix="toban-bench-") as folder,
        running(toban(there, Path(folder) / "large")) as watcher,
    ):
        figures = window.over_minutes(there, [watcher], whole)["toban"]
        series = Scraper(watcher.port).ask().series
    wanted = ("server_per_minute", "connections", "own", "resident", "cpu_per_minute", "lag")
    return {f"large_{key}": figures[key] for key in wanted} | {"large_series": series}
