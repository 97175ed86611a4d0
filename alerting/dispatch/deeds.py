"""What is to be done rather than told: at most once, with a look at what came of it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from alerting.dispatch.office import Office
from toban.alerts import Delivery, Notice, Outcome, Standing

AT_ONCE = 4  # a backup that takes hours holds up no other deed
LONGEST_SECONDS = 86400.0
KEEP_SECONDS = 15.0
MOST_REFUSALS = 20  # of the book, before it is given up
INTERRUPTED = "interrupted: it was begun before the daemon ended, and is not begun twice"
UNKEPT = "not begun: the book cannot be written, and so it might be begun twice"

logger = structlog.get_logger(__name__)


class Deeds:
    """The actions that wait, and those under way."""

    def __init__(self, office: Office, act: Callable[[Notice], Awaitable[Delivery]]) -> None:
        self._office = office
        self._act = act
        self._waiting: deque[Notice] = deque()
        self._woken = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, notice: Notice) -> None:
        """Something to be done."""
        self._waiting.append(notice)
        self._woken.set()

    async def run(self) -> None:
        """Do until cancelled, a few at a time."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(self._work())

    async def do(self, notice: Notice) -> None:
        """Once, if it is still to be done; what was begun before the daemon ended is not begun again."""
        if notice.standing is Standing.INFLIGHT:
            await self._fail(notice, INTERRUPTED)
            return
        if reason := self._office.overtaken(notice):
            await self._settle(notice, Standing.DROPPED, reason)
            return
        begun = replace(notice, standing=Standing.INFLIGHT, attempts=notice.attempts + 1)
        if not await self._kept(begun):
            await self._fail(notice, UNKEPT)
            return
        delivery = await self._outcome(begun)
        if delivery.outcome is Outcome.SENT:
            done = replace(begun, receipt=dict(delivery.receipt))
            await self._settle(done, Standing.SENT, delivery.detail)
        else:
            await self._fail(begun, delivery.detail or delivery.outcome.value)

    async def _work(self) -> None:
        while True:
            while self._waiting:
                try:
                    await self.do(self._waiting.popleft())
                except Exception:  # a loop of its own: it must outlive any fault
                    logger.exception("outbox_fault")
            self._woken.clear()
            await self._woken.wait()

    async def _kept(self, notice: Notice) -> bool:
        """Whether the book has it, after a few tries: only then may it begin."""
        for attempt in range(MOST_REFUSALS):
            if attempt:
                await asyncio.sleep(KEEP_SECONDS)
            if await self._office.keep(notice):
                return True
        return False

    async def _outcome(self, notice: Notice) -> Delivery:
        try:
            async with asyncio.timeout(LONGEST_SECONDS):
                return await self._act(notice)
        except TimeoutError:
            return Delivery(outcome=Outcome.REFUSED, detail="no end within a day")
        except Exception as error:  # whatever an action raises is what became of it
            logger.exception("action_fault")
            return Delivery(outcome=Outcome.REFUSED, detail=f"a fault of the action's own: {type(error).__name__}")

    async def _fail(self, notice: Notice, why: str) -> None:
        dead = replace(notice, standing=Standing.DEAD, detail=why, settled_at=self._office.clock.now())
        name = f"{dead.action.kind} {dead.action.name}" if dead.action else dead.channel
        logger.error("action_failed", action=name, alert=dead.alert.key.text, why=why)
        await self._office.cry(dead.channel, [dead], f"{name}: {why}", dead)
        self._office.settled(dead, "dead")

    async def _settle(self, notice: Notice, standing: Standing, detail: str) -> None:
        settled = replace(notice, standing=standing, detail=detail, settled_at=self._office.clock.now())
        await self._office.keep(settled)
        self._office.settled(settled, standing.value)
