"""Collectors and sources that misbehave on purpose: what no real server can be made to do at a chosen moment."""

import asyncio
from collections.abc import Callable
from typing import Any

from collectors.contract import Collector, CollectorSettings, Kind, Source
from daemon.pacing import Spending
from daemon.turns import Pair
from tests.builders import some_findings
from toban.clock import Clock, SystemClock
from toban.outcomes import Failure, Reason
from toban.samples import Findings


class FakeSource(Source):
    """A source that does nothing by itself, and counts."""

    kind = Kind.POSTGRESQL

    def __init__(self) -> None:
        self.spent_seconds = 0.0
        self.answered_at = 0.0
        self.abandoned = 0
        self.closed = 0

    def explain(self, error: BaseException) -> Failure:
        """An error is down, or a fault of ours."""
        reason = Reason.UNREACHABLE if isinstance(error, OSError) else Reason.INTERNAL
        return Failure(reason=reason, detail=str(error))

    def abandon(self) -> None:
        """Counted."""
        self.abandoned += 1

    async def close(self) -> None:
        """Counted."""
        self.closed += 1


class FakeCollector(Collector[FakeSource, CollectorSettings]):
    """Does what the test says, turn by turn."""

    name = "fake"
    kind = Kind.POSTGRESQL
    metrics = ()
    settings_model = CollectorSettings

    def __init__(
        self,
        source: FakeSource,
        acts: Callable[[], Any],
        *,
        every: float = 0.05,
        timeout: float = 0.05,
        name: str = "fake",
    ) -> None:
        super().__init__(source, CollectorSettings(every=float(every), timeout=float(timeout)), SystemClock())
        self.acts = acts
        self.turns = 0
        self.__dict__["name"] = name  # a class variable everywhere but here

    async def collect(self) -> Findings:
        """One act."""
        self.turns += 1
        outcome = self.acts()
        if asyncio.iscoroutine(outcome):
            outcome = await outcome
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome if isinstance(outcome, Findings) else some_findings()


def a_pair(collector: FakeCollector, *, lane: asyncio.Lock | None = None, clock: Clock | None = None) -> Pair:
    """A pair on a lane of its own, without a budget."""
    return Pair("main", collector, lane=lane or asyncio.Lock(), spending=Spending(0), clock=clock or SystemClock())


async def hang() -> None:
    """Until cancelled."""
    await asyncio.Event().wait()


async def be_deaf(until: asyncio.Event) -> None:
    """Cancelled as often as you like: goes on."""
    while not until.is_set():
        try:
            await until.wait()
        except asyncio.CancelledError:
            continue
