"""A configuration, somebody on duty, and a book, for the tests of `toban alerts`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from history.book.contract import Page
from tests.daemon.duties import FakeDuty, on_duty, some_alerts, written
from toban.clock import SystemClock


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state is, and with it the book and the socket."""
    return tmp_path / "state.db"


@pytest.fixture
def config(tmp_path: Path, state: Path) -> Path:
    """A configuration in Japan's time."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{state}\ntimezone: Asia/Tokyo\nlanguage: en\n")
    return path


@pytest.fixture
def duty(state: Path) -> FakeDuty:
    """Somebody on duty, with some alerts."""
    clock = SystemClock()
    return FakeDuty(clock=clock, book_path=state, alerts=some_alerts(clock.now()))


@pytest.fixture
def daemon(state: Path, duty: FakeDuty) -> Iterator[FakeDuty]:
    """Running, with the same alerts in its book."""
    written(state, Page(alerts=tuple(duty.alerts)))
    with on_duty(state, duty):
        yield duty
