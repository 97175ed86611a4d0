"""A dispatcher with two channels, on a clock that the test turns."""

import pytest

from tests.alerting.fakes import FakeChannel, Stage
from tests.builders import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    """A clock that the test turns."""
    return ManualClock()


@pytest.fixture
def slack(clock: ManualClock) -> FakeChannel:
    """The channel that it is mostly about."""
    return FakeChannel("slack", clock=clock)


@pytest.fixture
def mail(clock: ManualClock) -> FakeChannel:
    """Another channel."""
    return FakeChannel("mail", clock=clock)


@pytest.fixture
def stage(clock: ManualClock, slack: FakeChannel, mail: FakeChannel) -> Stage:
    """A dispatcher with both."""
    return Stage(clock, {"slack": slack, "mail": mail})
