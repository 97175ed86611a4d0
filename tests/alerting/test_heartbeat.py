"""The dead man's switch: heard, unheard, withheld."""

from collections.abc import Sequence

import pytest
from structlog.testing import capture_logs

from alerting.client import HttpWeb
from alerting.heartbeat import Beat, Heartbeat
from tests.alerting.conftest import NewReceiver
from tests.alerting.receivers import HANGS_UP, Reply
from toban.secrets import Secret

pytestmark = pytest.mark.integration


def a_heart(url: str, problems: Sequence[str] = ()) -> Heartbeat:
    """One that calls this address."""
    return Heartbeat(Secret(url), 60.0, web=HttpWeb(), problems=lambda: problems)


async def test_heart_is_heard(new_receiver: NewReceiver) -> None:
    """A GET, and nothing in it."""
    receiver = await new_receiver()
    receiver.script(Reply(status=200))
    assert await a_heart(receiver.url("/ping/secret")).beat() is Beat.HEARD
    assert (receiver.requests[0].method, receiver.requests[0].body) == ("GET", b"")


async def test_heart_that_is_not_well_keeps_still(new_receiver: NewReceiver) -> None:
    """Nobody is called; whoever listens raises the alarm. It is said once why."""
    receiver = await new_receiver()
    heart = a_heart(receiver.url(), ["messages are stuck: mail"])
    with capture_logs() as lines:
        assert [await heart.beat(), await heart.beat()] == [Beat.WITHHELD, Beat.WITHHELD]
    assert [line["why"] for line in lines] == ["messages are stuck: mail"]
    assert heart.totals[Beat.WITHHELD] == 2


@pytest.mark.parametrize(("reply", "why"), [(Reply(status=500), "answered 500"), (HANGS_UP, "hung up")])
async def test_heart_that_is_not_heard_says_why_without_the_address(
    new_receiver: NewReceiver, reply: Reply, why: str
) -> None:
    """Its address is a secret."""
    receiver = await new_receiver()
    receiver.script(reply)
    with capture_logs() as lines:
        assert await a_heart(receiver.url("/ping/secret")).beat() is Beat.UNHEARD
    assert why in lines[0]["why"]
    assert "secret" not in str(lines)
