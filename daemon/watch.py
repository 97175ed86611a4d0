"""One target under watch: its source, its pairs, and the verdict whether it is up."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from collectors.contract import Collector, Kind, Source
from daemon.pacing import Spending
from daemon.turns import Pair, Turned
from toban.clock import Clock
from toban.outcomes import Failure, Gap, Reason
from toban.samples import Collection
from toban.status import NOT_OFFERED, PairStanding, TargetStanding

CLOSE_SECONDS = 3.0
TELLS_NOTHING = frozenset({Reason.STUCK, Reason.INTERNAL})  # of whether the target is up

logger = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Ledger:
    """What is remembered of one pair's turns."""

    last: Collection | None = None
    last_success_at: float | None = None
    errors_total: int = 0

    @property
    def failure(self) -> Failure | None:
        """Why the last turn came back empty, if it did."""
        return self.last.failure if self.last else None


class Watch:
    """Keeps the pairs of one target turning."""

    def __init__(
        self,
        name: str,
        kind: Kind,
        source: Source,
        collectors: Sequence[Collector[Any, Any]],
        *,
        budget_seconds: float,
        clock: Clock,
        labels: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.labels = dict(labels or {})
        self.kind = kind
        self.source = source
        self.up: bool | None = None
        self.failure: Failure | None = None
        self.tried_at: float | None = None
        self._opened_at = clock.monotonic()
        self.spending = Spending(budget_seconds)
        self.clock = clock
        lanes: dict[str, asyncio.Lock] = {}
        self.pairs = [
            Pair(name, c, lane=lanes.setdefault(c.lane, asyncio.Lock()), spending=self.spending, clock=clock)
            for c in collectors
        ]
        self._asking = {pair.collector.title for pair in self.pairs if pair.collector.asks}
        self.ledgers = {pair.collector.title: Ledger() for pair in self.pairs}
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, accept: Callable[["Watch", Turned], None], *, beginning: int = 1) -> None:
        """Set every pair turning; so many targets begin together."""

        def deliver(turned: Turned) -> None:
            self.note(turned.collection)
            accept(self, turned)

        self._tasks = [
            asyncio.create_task(pair.run(deliver, beginning=beginning), name=f"pair {pair.name}") for pair in self.pairs
        ]

    async def stop(self) -> None:
        """End the turns and part from the target, bounded."""
        for task in self._tasks:
            task.cancel()
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                if self._tasks:
                    await asyncio.wait(self._tasks)
                await self.source.close()
        except TimeoutError:
            self.source.abandon()
        except Exception:  # one that stumbles while it says goodbye must not keep all others from it
            logger.exception("not_parted", target=self.name)
            self.source.abandon()

    async def once(self, slowest_seconds: float) -> list[Turned]:
        """One turn of each pair that is no slower, one after the other: for what measures without a daemon."""
        turned = []
        for pair in self.pairs:
            if pair.every_seconds <= slowest_seconds:
                turned.append(await pair.turn())
                self.note(turned[-1].collection)
        return turned

    def note(self, collection: Collection) -> None:
        """Learn from one turn whether the target is up; the pairs that found it down are called when it is back."""
        ledger = self.ledgers[collection.collector]
        failure = collection.failure
        ledger.last = collection
        if failure is None:
            ledger.last_success_at = collection.taken_at
        else:
            ledger.errors_total += 1
        if collection.collector in self._asking:
            self._learn(collection.collector, failure)

    def _learn(self, collector: str, failure: Failure | None) -> None:
        self.tried_at = self.clock.monotonic()
        if failure is not None and failure.down:
            self.up, self.failure = False, failure
        elif failure is None or failure.reason not in TELLS_NOTHING:
            came_back = self.up is False
            self.up, self.failure = True, None
            if came_back:
                self._call_back(collector)

    def _call_back(self, already: str) -> None:
        for pair in self.pairs:
            failure = self.ledgers[pair.collector.title].failure
            if failure is not None and failure.down and pair.collector.title != already:
                pair.hurry()

    @property
    def asked(self) -> bool:
        """Whether anything asks the target at all: else nothing tries it, and nobody waits for that."""
        return bool(self._asking)

    @property
    def expected_at(self) -> float:
        """The monotonic moment since when the target might have been tried: the last turn that ended, or the start.

        A pair that is put off (it fails, or costs too much) is expected no sooner than it was put off to.
        """
        due = [pair.due_at for pair in self.pairs if pair.due_at is not None and pair.collector.asks]
        return max(self._opened_at if self.tried_at is None else self.tried_at, min(due, default=self._opened_at))

    @property
    def shortest_every_seconds(self) -> float:
        """The cadence of the pair that turns most often."""
        return min((pair.every_seconds for pair in self.pairs), default=0.0)

    @property
    def longest_turn_seconds(self) -> float:
        """What the slowest of its pairs may take; others of its lane wait for it meanwhile."""
        return max((float(pair.collector.settings.timeout) for pair in self.pairs), default=0.0)

    @property
    def abandoned_total(self) -> int:
        """Turns left behind since the start."""
        return sum(pair.abandoned_total for pair in self.pairs)

    def standing(self) -> TargetStanding:
        """What `toban status` says of this target."""
        pairs = tuple(_standing(name, ledger) for name, ledger in self.ledgers.items())
        asked = [pair.last_success_at for pair in pairs if pair.collector in self._asking]
        return TargetStanding(
            name=self.name,
            kind=self.kind,
            up=self.up,
            reason=f"{self.failure.reason}: {self.failure.detail}" if self.failure else "",
            hint=self.failure.hint if self.failure else "",
            last_success_at=max((at for at in asked if at is not None), default=None),
            pairs=pairs,
            asked=self.asked,
        )


def _standing(collector: str, ledger: Ledger) -> PairStanding:
    failure = ledger.failure
    gaps = ledger.last.gaps if ledger.last else ()
    return PairStanding(
        collector=collector,
        last_success_at=ledger.last_success_at,
        reason=str(failure.reason) if failure else "",
        detail=failure.detail if failure else "",
        hint=failure.hint if failure else "",
        gaps=tuple(map(_gap, gaps)),
        not_offered=tuple(_gap(gap) for gap in gaps if gap.reason in NOT_OFFERED),
    )


def _gap(gap: Gap) -> str:
    """What was left out, in one line: why, how many, and what would mend it."""
    said = f"{gap.what}: {gap.reason} ({gap.count})" + (f", {gap.detail}" if gap.detail else "")
    return said + (f" ({gap.hint})" if gap.hint else "")
