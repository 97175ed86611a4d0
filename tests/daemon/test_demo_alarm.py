"""The alert of the demonstration: what it says when a part of it does not happen, and a receiver that checks."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from daemon.demo import alarm
from daemon.demo.acts import Act
from daemon.demo.alarm import RULE, alarmed
from daemon.demo.receiver import MOST_BYTES, Heard, Receiver
from toban.clock import SystemClock
from toban.language import Language
from toban.secrets import Secret

pytestmark = pytest.mark.integration
SECRET = "hunter2"
TOLD = {
    "id": "1",
    "status": "firing",
    "severity": "warning",
    "rule": RULE,
    "episode": "a1b2c3d4",
    "title": "WARNING",
    "description": "all of it",
}


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """It listens, and tells nobody."""
    made = Receiver(Secret(SECRET), lambda _: None)
    await made.open()
    yield made
    await made.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come within a moment does not come."""
    for name in ("FIRES_WITHIN_SECONDS", "OVER_WITHIN_SECONDS"):
        monkeypatch.setattr(alarm, name, 0.2)


async def post(receiver: Receiver, body: bytes, secret: str = SECRET) -> int:
    """One message, signed with this."""
    mac = hmac.new(secret.encode(), b"1." + body, hashlib.sha256).hexdigest()
    async with httpx.AsyncClient() as client:
        answer = await client.post(receiver.url, content=body, headers={"toban-signature": f"t=1,v1={mac}"})
    return answer.status_code


async def play(receiver: Receiver, folder: Path) -> list[Act]:
    """The alarm, with a daemon that nobody runs."""
    (folder / "config.yaml").write_text(f"state: sqlite://{folder}/state.db\n")
    return await alarmed(receiver, folder / "config.yaml", Language.EN, SystemClock().monotonic)


async def test_alert_that_never_comes_is_said(receiver: Receiver, tmp_path: Path) -> None:
    """Nothing after it is claimed."""
    assert await play(receiver, tmp_path) == [Act(key="demo.alert.fired", done=False)]


async def test_answer_that_cannot_be_given_is_said_with_its_reason(receiver: Receiver, tmp_path: Path) -> None:
    """`toban alerts ack` without a daemon; and then it never ends."""
    monkey = pytest.MonkeyPatch()
    monkey.setattr(alarm, "ANSWERED_WITHIN_SECONDS", 0.2)
    assert await post(receiver, json.dumps(TOLD).encode()) == 204
    acts = await play(receiver, tmp_path)
    monkey.undo()
    assert [(act.key, act.done) for act in acts] == [
        ("demo.alert.fired", True),
        ("demo.alert.acknowledged", False),
        ("demo.alert.resolved", False),
    ]
    assert "daemon" in acts[1].detail


async def test_message_that_is_not_signed_by_us_is_refused(receiver: Receiver) -> None:
    """Anybody on this machine may post."""
    assert await post(receiver, json.dumps(TOLD).encode(), "guessed") == 401
    assert await post(receiver, b"x" * (MOST_BYTES + 1)) == 401
    assert (receiver.heard, receiver.refused) == ([], 2)


async def test_message_that_comes_twice_is_heard_once() -> None:
    """By its id, as every receiver should."""
    told: list[Heard] = []
    made = Receiver(Secret(SECRET), told.append)
    await made.open()
    for _ in range(2):
        assert await post(made, json.dumps(TOLD).encode()) == 204
    await made.close()
    assert [one.id for one in told] == ["1"]
