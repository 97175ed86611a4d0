"""The application beside which both are measured: pgbench."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from bench.stage import Stage

DATABASE = "bench01"
SCALE = 5
CLIENTS = 2
RATE_PER_SECOND = 100
SEED = 20
LONGEST_SECONDS = 3600
_THROUGHPUT = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)


def prepare(stage: Stage) -> None:
    """The tables of pgbench itself, in the first of the databases."""
    _pgbench(stage, "-i", "-q", "-s", str(SCALE))


@contextmanager
def steady(stage: Stage) -> Iterator[None]:
    """A hundred small transactions a second, for as long as the block takes."""
    with subprocess.Popen(
        _words(stage, "-n", "-c", str(CLIENTS), "-R", str(RATE_PER_SECOND), "-T", str(LONGEST_SECONDS)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        try:
            yield
        finally:
            process.terminate()


def throughput(stage: Stage, seconds: int) -> float:
    """Transactions a second with nothing held back.

    Reads only, prepared: no disk and no checkpoint blurs the figure, so what a watcher takes of the processors shows.
    """
    said = _pgbench(
        stage, "-n", "-S", "-M", "prepared", "-c", str(CLIENTS), "-T", str(seconds), f"--random-seed={SEED}"
    )
    found = _THROUGHPUT.search(said)
    if found is None:
        raise RuntimeError(f"pgbench did not say its throughput: {said}")
    return float(found[1])


def _pgbench(stage: Stage, *arguments: str) -> str:
    ran = subprocess.run(_words(stage, *arguments), capture_output=True, text=True, timeout=600, check=True)
    return ran.stdout


def _words(stage: Stage, *arguments: str) -> list[str]:
    return [str(stage.bin_dir / "pgbench"), *arguments, stage.dsn("postgres", DATABASE)]
