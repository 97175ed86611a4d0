"""What fires is told again to those who would take silence for the end of it."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from alerting.messages import Letter
from daemon.duty.refreshing import refreshing
from tests.alerting.fakes import REFUSED, SENT, Answer, FakeChannel
from tests.builders import ManualClock
from tests.waiting import eventually
from toban.alerts import Delivery


class Wanting(FakeChannel):
    """One that wants to be told a hundred times a second."""

    refresh_seconds = 0.01

    def __init__(self, name: str, *answers: Answer, **settings: Any) -> None:  # noqa: ANN401 - of any setting
        super().__init__(name, clock=ManualClock(), **settings)
        self.script.extend(answers)
        self.refreshed = 0

    async def refresh(self, letters: Sequence[Letter]) -> Delivery:
        """As scripted."""
        assert letters == ()
        self.refreshed += 1
        answer = self.script.popleft() if self.script else SENT
        if isinstance(answer, Exception):
            raise answer
        if not isinstance(answer, Delivery):
            await asyncio.Event().wait()
        return answer if isinstance(answer, Delivery) else SENT


async def test_channels_are_refreshed_whatever_another_does_and_as_a_reload_leaves_them() -> None:
    """One refuses, fails and hangs; one comes later; one wants nothing."""
    bad, good, later = Wanting("bad", REFUSED, OSError("no"), _hangs, timeout="10ms"), Wanting("good"), Wanting("later")
    channels = [FakeChannel("mail", clock=ManualClock()), bad, good]
    task = asyncio.create_task(refreshing(lambda: channels, lambda _: ()))
    try:
        await eventually(lambda: bad.refreshed > 3 and good.refreshed > 3)
        channels[1:] = [later]
        await eventually(lambda: later.refreshed > 0)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _hangs(_: Letter) -> Delivery:
    return SENT
