"""The real daemon as a process of its own, for tests that talk to it from outside."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.ports import free_port
from tests.waiting import eventually_sync

STOP_SECONDS = 30.0  # the contract promises 10, of a machine that does not run three tests at once


class Daemon:
    """One `toban run`."""

    def __init__(self, home: Path, configuration: str, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.config = home / "config.yaml"
        self.log_path = home / "log"
        self.environment = {**os.environ, "XDG_STATE_HOME": str(home), **environment}
        self.write(configuration)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def write(self, configuration: str) -> None:
        """The configuration; the state and the listening address are put in front."""
        own = f'state: sqlite://{self.home}/state.db\nhttp: {{listen: "127.0.0.1:{self.port}"}}\n'
        self.config.write_text(own + configuration)

    def start(self, *, most_bytes: int | None = None) -> None:
        """Start it; what it says goes to the log file. No file that it writes may be larger than `most_bytes`."""
        limit = [] if most_bytes is None else ["prlimit", f"--fsize={most_bytes}"]
        environment = self.environment
        if limit:  # what coverage writes would be cut off as well, and spoil the rest
            environment = {name: value for name, value in environment.items() if not name.startswith("COVERAGE")}
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen(
                [*limit, sys.executable, "-m", "daemon", "-c", str(self.config), "run"],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.process is not None
        self.process.send_signal(number)

    def stop(self) -> int:
        """SIGTERM, and its exit status; SIGKILL and a failure when it does not go in time."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def metrics(self) -> str:
        """`/metrics`, or nothing while nobody answers."""
        try:
            return httpx.get(f"{self.url}/metrics", timeout=60).text
        except httpx.TransportError:
            return ""

    def value(self, series: str) -> float | None:
        """The value of one line of `/metrics`, by the line up to its value."""
        for line in self.metrics().splitlines():
            if line.startswith(f"{series} "):
                return float(line.rpartition(" ")[2])
        return None

    def shows(self, text: str) -> Callable[[], bool]:
        """A probe: whether `/metrics` has this text."""
        return lambda: text in self.metrics()

    def brings(self, series: str, *, beyond: float = float("-inf")) -> Callable[[], bool]:
        """A probe: whether a series is there, with more than this value."""
        return lambda: (found := self.value(series)) is not None and found > beyond

    def events(self) -> list[dict[str, Any]]:
        """What it has logged."""
        lines = self.log_path.read_text().splitlines(keepends=True) if self.log_path.exists() else []
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]

    def told(self, event: str, **also: str) -> list[dict[str, Any]]:
        """The events with this name and these fields."""
        return [e for e in self.events() if e["event"] == event and also.items() <= e.items()]

    def toban(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command of the same configuration."""
        return subprocess.run(
            [sys.executable, "-m", "daemon", "-c", str(self.config), *words],
            env={**self.environment, "NO_COLOR": "1", "COLUMNS": "200", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )


@contextmanager
def running(home: Path, configuration: str, **environment: str) -> Iterator[Daemon]:
    """A daemon that answers, and that is gone afterwards."""
    daemon = Daemon(home, configuration, **environment)
    daemon.start()
    try:
        eventually_sync(lambda: ready(daemon))
        yield daemon
    finally:
        if daemon.process is not None and daemon.process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                daemon.stop()


def ready(daemon: Daemon) -> bool:
    """Whether each target was tried."""
    with suppress(httpx.TransportError):
        return httpx.get(f"{daemon.url}/readyz", timeout=60).status_code == 200
    assert daemon.process is None or daemon.process.poll() is None, daemon.log_path.read_text()
    return False
