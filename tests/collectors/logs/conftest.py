"""A log that was there before us, and one that is followed."""

from pathlib import Path

import pytest

from tests.collectors.logs.followed import Followed, write


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with two lines that nobody asked for."""
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    write(log, "0001 INFO before our time\n0002 INFO the same\n")
    return log


@pytest.fixture
def followed(log: Path) -> Followed:
    """That log, followed from its end."""
    found = Followed(log.parent)
    found.turn()
    return found
