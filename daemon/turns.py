"""One (target, collector) pair taking its turns, for ever: bounded, cancelled when late, abandoned when deaf."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from collectors.contract import Collector
from daemon.pacing import Due, Spending, after_failure, first_turn, next_turn, phase, stretched
from toban.clock import Clock
from toban.outcomes import Failure, Reason
from toban.samples import Collection, Findings

LANE_WAIT_SECONDS = 60.0
GRACE_SECONDS = 1.0
MOST_ABANDONED = 2
FRESH_FOR_BEATS = 2.5
GROUP_SECONDS = 15.0  # the pairs of one target turn together: one wake-up, one entry in the history; targets spread

logger = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turned:
    """One ended turn: what it brought, until when that is the present, and how the next one was decided."""

    collection: Collection
    fresh_until: float
    due: Due


class Pair:
    """One collector at one target."""

    def __init__(
        self,
        target: str,
        collector: Collector[Any, Any],
        *,
        lane: asyncio.Lock,
        spending: Spending,
        clock: Clock,
    ) -> None:
        self.target = target
        self.collector = collector
        self.name = f"{target}/{collector.title}"
        self.failures = 0
        self.abandoned_total = 0
        self.due_at: float | None = None
        """The monotonic moment for which the next turn was decided; None before the first decision."""
        self._begun = False
        self._lane = lane
        self._spending = spending
        self._clock = clock
        self._offset = phase(target, GROUP_SECONDS)
        self._abandoned: set[asyncio.Task[Findings]] = set()
        self._hurry = asyncio.Event()

    @property
    def every_seconds(self) -> float:
        """The configured cadence."""
        return float(self.collector.settings.every)

    @property
    def _lane_wait_seconds(self) -> float:
        """What turns seldom may wait long: each one before it is bounded, and giving up would cost a whole beat."""
        return max(LANE_WAIT_SECONDS, self.every_seconds)

    def hurry(self) -> None:
        """Do not wait for the beat: the target has just come back."""
        self._hurry.set()

    async def run(self, deliver: Callable[[Turned], None], *, beginning: int = 1) -> None:
        """Turn for ever; so many targets begin together."""
        due = first_turn(self.name, self._clock.monotonic(), beginning, self.every_seconds)
        while True:
            self.due_at = due.at
            await self._rest(due)
            due = Due(at=self._clock.monotonic() + self.every_seconds, reason="a fault of our own")
            try:
                turned = await self.turn()
                due = turned.due
                deliver(turned)
            except Exception:  # a loop of its own: whoever stumbles over one turn must not end all that follow
                logger.exception("turn_lost", pair=self.name)

    async def turn(self) -> Turned:
        """Measure once, whatever happens within a bounded time."""
        collection = await self._in_lane()
        now = self._clock.monotonic()
        source = self.collector.source
        self._spending.note(now, source.spent_seconds - source.asked_seconds, beginning=not self._begun)
        self._begun = True
        stretch = self._spending.stretch(now)
        due = self._due(now, stretch, collection.failure)
        fresh_seconds = FRESH_FOR_BEATS * stretched(self.every_seconds, stretch) + self.collector.settings.timeout
        return Turned(collection=collection, fresh_until=now + fresh_seconds, due=due)

    def _due(self, now: float, stretch: float, failure: Failure | None) -> Due:
        every = self.every_seconds
        due = next_turn(now=now, every_seconds=every, offset=self._offset, stretch=stretch)
        self.failures = 0 if failure is None else self.failures + 1
        if failure is None:
            return due
        return after_failure(due, now=now, every_seconds=every, failure=failure, failures=self.failures)

    async def _rest(self, due: Due) -> None:
        try:
            async with asyncio.timeout(max(0.0, due.at - self._clock.monotonic())):
                await self._hurry.wait()
        except TimeoutError:
            pass
        self._hurry.clear()

    async def _in_lane(self) -> Collection:
        """Wait for the lane apart from the deadline: a turn's time must not run out while another holds the line."""
        if not await self._enter_lane():
            detail = f"{self._lane_wait_seconds:.0f} s behind the other collectors of this target"
            return self._collection(self._clock.now(), 0.0, Failure(reason=Reason.STUCK, detail=detail))
        try:
            started, began = self._clock.now(), self._clock.monotonic()
            outcome = await self._measured(began)
            return self._collection(started, self._clock.monotonic() - began, outcome)
        finally:
            self._lane.release()

    async def _enter_lane(self) -> bool:
        if not self._lane.locked():
            return await self._lane.acquire()
        try:
            async with asyncio.timeout(self._lane_wait_seconds):
                return await self._lane.acquire()
        except TimeoutError:
            return False

    async def _measured(self, began: float) -> Findings | Failure:
        if len(self._abandoned) >= MOST_ABANDONED:
            detail = f"{len(self._abandoned)} earlier turns never came back"
            return Failure(reason=Reason.STUCK, detail=detail)
        task = asyncio.create_task(self.collector.collect(), name=self.name)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.collector.settings.timeout)
            if not done:
                return await self._cut_off(task, began)
        except asyncio.CancelledError:
            task.cancel()
            raise
        return self._outcome(task)

    def _outcome(self, task: asyncio.Task[Findings]) -> Findings | Failure:
        error = asyncio.CancelledError("cancelled") if task.cancelled() else task.exception()
        return task.result() if error is None else self.collector.source.explain(error)

    async def _cut_off(self, task: asyncio.Task[Findings], began: float) -> Failure:
        """Cancel a late turn; leave behind, and count, one that does not hear."""
        task.cancel()
        done, _ = await asyncio.wait({task}, timeout=GRACE_SECONDS)
        late = f"not done within {self.collector.settings.timeout:g} s"
        if done:
            if not task.cancelled():
                task.exception()  # retrieved: the lateness is what matters
            slow = self.collector.source.answered_at >= began
            return Failure(reason=Reason.TIMEOUT if slow else Reason.UNANSWERED, detail=late)
        self.collector.source.abandon()
        self.abandoned_total += 1
        self._abandoned.add(task)
        task.add_done_callback(self._came_back)
        return Failure(reason=Reason.STUCK, detail=f"{late}, and could not be cancelled: left behind")

    def _came_back(self, task: asyncio.Task[Findings]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()

    def _collection(self, started: float, seconds: float, outcome: Findings | Failure) -> Collection:
        found = outcome if isinstance(outcome, Findings) else Findings(samples=())
        return Collection(
            target=self.target,
            collector=self.collector.title,
            taken_at=started,
            duration_seconds=seconds,
            samples=found.samples,
            gaps=found.gaps,
            rows=found.rows,
            failure=outcome if isinstance(outcome, Failure) else None,
            asks=self.collector.asks,
        )
