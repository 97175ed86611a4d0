"""What the tests of alerting may ask for: receivers that fail the test for what they did not expect."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Protocol

import pytest

from alerting.rules.rule import Rule
from tests.alerting.builders import NewScene, Scene
from tests.alerting.receivers import Check, Receiver
from tests.authority import Authority, Pair


class NewReceiver(Protocol):
    """Makes a receiver for one test."""

    async def __call__(self, check: Check | None = None, *, pair: Pair | None = None) -> Receiver:
        """It listens; with a certificate, by TLS."""
        ...


@pytest.fixture
async def new_receiver() -> AsyncIterator[NewReceiver]:
    """Receivers that are gone after the test, and judge it then."""
    made: list[Receiver] = []

    async def make(check: Check | None = None, *, pair: Pair | None = None) -> Receiver:
        receiver = Receiver(check, pair)
        await receiver.start()
        made.append(receiver)
        return receiver

    yield make
    for receiver in made:
        await receiver.stop()
    for receiver in made:
        receiver.judge()


@pytest.fixture(scope="session")
def web_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A root that signs the certificates of receivers."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def new_scene() -> Iterator[NewScene]:
    """Desks whose every notice must have been looked at."""
    scenes: list[Scene] = []

    def make(*rules: Rule, **more: Any) -> Scene:  # noqa: ANN401 - as a Scene takes it
        scenes.append(Scene(*rules, **more))
        return scenes[-1]

    yield make
    for scene in scenes:
        assert scene.dispatcher.taken() == [], "somebody was told of what no test expected"
        keys = [notice.key for notice in scene.dispatcher.offered]
        assert len(set(keys)) == len(keys), "two notices of one key"
        assert scene.desk.faults == 0
