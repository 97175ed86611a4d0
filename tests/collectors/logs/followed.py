"""A log that a test writes, rotates and reads, with the daemon's restarts in between."""

import asyncio
import gzip
import os
import shutil
from itertools import count
from pathlib import Path
from typing import Any

from collectors.checkpoints import Checkpoints
from collectors.host.machine import HostMachine
from collectors.logs.collector import Logs
from collectors.logs.settings import LogsSettings
from tests.builders import ManualClock
from toban.config import WRITTEN
from toban.samples import Findings

_moments = count(1_790_000_000_000_000_000, 1_000_000)  # a disk's clock that no two writings share


def touch(path: Path) -> None:
    """The file was written just now."""
    now = next(_moments)
    os.utime(path, ns=(now, now))


def write(path: Path, content: bytes | str) -> None:
    """Append to a file."""
    with path.open("ab") as file:
        file.write(content.encode() if isinstance(content, str) else content)
    touch(path)


def copytruncate(path: Path, copy: Path) -> None:
    """As logrotate does it."""
    shutil.copyfile(path, copy)
    touch(copy)
    os.truncate(path, 0)
    touch(path)


def compress(path: Path) -> Path:
    """As gzip does it: the moment of the content stays."""
    packed = path.with_name(f"{path.name}.gz")
    with gzip.open(packed, "wb") as file:
        file.write(path.read_bytes())
    shutil.copystat(path, packed)
    path.unlink()
    return packed


class Followed:
    """One entry of `logs` in a folder of its own, and a daemon around it that can be started anew."""

    def __init__(self, folder: Path, **settings: Any) -> None:  # noqa: ANN401 - whatever a configuration may hold
        self.folder = folder
        self.clock = ManualClock()
        written = {"name": "app", "path": str(folder / "app.log"), **settings}
        self.settings = LogsSettings.model_validate(written, context=WRITTEN)
        self.checkpoints = Checkpoints(folder.parent / f"{folder.name}.checkpoints", "host")
        self.restart()

    def restart(self) -> None:
        """Everything in memory is gone."""
        machine = HostMachine(checkpoints=Checkpoints(self.checkpoints.path, "host"))
        self.collector = Logs(machine, self.settings, self.clock)

    def turn(self, *, after_seconds: float = 15.0) -> Findings:
        """Measure once."""
        self.clock.advance(after_seconds)
        return asyncio.run(self.collector.collect())

    def values(self, metric: str) -> dict[tuple[str, ...], float]:
        """A turn's values of one metric, by its labels behind the first, which is the log."""
        return values(self.turn(), metric)

    @property
    def lines(self) -> float:
        """All lines that a turn knows of."""
        return sum(self.values("toban_log_lines_total").values())


def values(findings: Findings, metric: str) -> dict[tuple[str, ...], float]:
    """The values of one metric, by its labels behind the first, which is the log; not what is known and never came."""
    expected = {"toban_log_lines_total", "toban_log_matches_total"}
    return {
        s.labels[1:]: s.value
        for s in findings.samples
        if s.metric.name == metric and (s.value or metric not in expected)
    }
