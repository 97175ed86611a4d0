"""The whole daemon, as a process: killed with a message on its way, and beside a disk that takes nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.alerting.receivers import HANGS, Receiver, Reply
from tests.daemon.running import Daemon, running
from tests.waiting import eventually

pytestmark = pytest.mark.integration
RULES = """
language: en
collect: {memory: {every: 100ms}}
channels: {hook: {kind: webhook, url: "URL", timeout: 30s}}
alerts:
  defaults: false
  rules: [{name: memory, metric: toban_host_memory_used_ratio, critical: "> 0%"}]
"""


@pytest.fixture
async def hook() -> AsyncIterator[Receiver]:
    """A receiver of whatever comes."""
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


async def test_daemon_killed_in_mid_send_sends_the_same_again_and_says_so(tmp_path: Path, hook: Receiver) -> None:
    """Killed by -9 while the receiver holds the request: the next daemon takes it up, under the same key."""
    hook.always(HANGS)
    with running(tmp_path, RULES.replace("URL", hook.url())) as daemon:
        await eventually(lambda: len(hook.requests) == 1)
        await asyncio.to_thread(daemon.kill)
        hook.always(Reply(status=204))
        daemon.start()
        await eventually(lambda: len(hook.requests) == 2)
        first, again = hook.requests
        assert again.headers["idempotency-key"] == first.headers["idempotency-key"] == again.json["id"]
        assert (again.json["episode"], again.json["status"]) == (first.json["episode"], "firing")
        await eventually(lambda: _sent(daemon))


async def test_daemon_whose_disk_is_full_tells_all_the_same_and_says_that_it_is_not_kept(
    tmp_path: Path, hook: Receiver
) -> None:
    """No file of its own may grow: the alert is in memory alone."""
    hook.always(Reply(status=204))
    with running(tmp_path, "targets: []\n") as daemon:
        await asyncio.to_thread(daemon.stop)
        await asyncio.to_thread(_forget, tmp_path)
        daemon.write(RULES.replace("URL", hook.url()))
        daemon.start(most_bytes=512)
        await eventually(lambda: len(hook.requests) == 1)
        assert "not kept: the state disk" in hook.requests[0].json["description"]
        assert "toban_book_trouble 1.0" in await asyncio.to_thread(daemon.metrics)


def _forget(folder: Path) -> None:
    for kept in folder.glob("state.db*"):
        kept.unlink()


def _sent(daemon: Daemon) -> bool:
    return 'toban_notifications_total{channel="hook",result="sent"} 1.0' in daemon.metrics()
