"""Claims about the receivers of the tests: what was not expected fails the test that saw it."""

import pytest

from alerting.client import HttpWeb
from tests.alerting import shapes
from tests.alerting.receivers import Receiver, Reply

pytestmark = pytest.mark.integration


async def asked(receiver: Receiver, body: bytes = b"{}") -> int:
    """One request, and the status of its answer."""
    await receiver.start()
    try:
        return (await HttpWeb().post(receiver.url(), body=body)).status
    finally:
        await receiver.stop()


async def test_receiver_fails_for_a_request_that_nobody_scripted() -> None:
    """It is answered with an error, and the test fails in the end."""
    receiver = Receiver()
    assert await asked(receiver) == 500
    with pytest.raises(AssertionError, match="unexpected: POST /"):
        receiver.judge()


async def test_receiver_fails_for_a_request_that_never_came() -> None:
    """A script is a promise."""
    receiver = Receiver()
    receiver.script(Reply(), Reply(status=204))
    assert await asked(receiver) == 200
    with pytest.raises(AssertionError, match="never came"):
        receiver.judge()


async def test_receiver_fails_for_a_request_out_of_shape() -> None:
    """With what is wrong about it."""
    receiver = Receiver(shapes.pagerduty)
    receiver.script(Reply())
    await asked(receiver)
    with pytest.raises(AssertionError, match="out of shape"):
        receiver.judge()


async def test_receiver_is_content_with_what_was_scripted() -> None:
    """In the order of the script, then as always."""
    receiver = Receiver()
    receiver.script(Reply(status=201))
    receiver.always(Reply(status=204))
    assert [await asked(receiver), await asked(receiver)] == [201, 204]
    receiver.judge()
    assert len(receiver.requests) == 2
