"""Empties the outbox: a post for each channel, so that a slow one delays no other; what is done rather than told apart.

Whatever waits is in the book first. What the book cannot take goes out all the same, and is written once it can.
"""

import asyncio
import math
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, islice
from random import Random
from typing import Any, Protocol

import structlog

from alerting.channels.contract import Channel
from alerting.dispatch.deeds import Deeds
from alerting.dispatch.entries import undelivered
from alerting.dispatch.handing import handed
from alerting.dispatch.outcry import Outcry
from alerting.dispatch.post import Post
from alerting.messages import Letter
from history.book.contract import Page
from toban.alerts import Delivery, Notice, Outcome, Standing, What
from toban.clock import Clock

MOST_WAITING = 100_000  # notices in memory; what is more stays in the book
MOST_THREADS = 200_000
AT_ONCE = 250  # taken in before the loop may turn to something else
KEEP_SECONDS = 15.0
DRAIN_SECONDS = 5.0
REFILL = 10_000

logger = structlog.get_logger(__name__)


class Book(Protocol):
    """What the dispatcher asks of the book."""

    @property
    def renewed(self) -> int:
        """Grows when what was kept before may be missing."""
        ...

    async def write(self, page: Page) -> bool:
        """Keep a page; False where that cannot be."""
        ...

    async def pending(self, known: frozenset[str], most: int) -> tuple[Notice, ...]:
        """The oldest notices that wait and are not known."""
        ...

    async def members(self, digest: str) -> tuple[Notice, ...]:
        """What was taken into a digest."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outbox:
    """How the outbox stands."""

    pending: int
    oldest_seconds: float
    totals: Mapping[tuple[str, str], int]
    """(channel, result): sent, retry, dropped, digest, dead, lost."""
    stuck: tuple[str, ...]
    """The channels where something is due for long, and nothing is done."""
    shut: Mapping[str, str]
    """The channels that are shut until the next reload, and why."""
    failing: Mapping[str, str]
    """The channels whose last attempt failed, and why."""


class Dispatcher:
    """The outbox at work."""

    def __init__(
        self,
        channels: Mapping[str, Channel[Any]],
        book: Book,
        clock: Clock,
        random: Random,
        *,
        letter: Callable[[Notice, Channel[Any], Sequence[Notice]], Letter],
        recheck: Callable[[Notice], str],
        act: Callable[[Notice], Awaitable[Delivery]],
    ) -> None:
        self.clock = clock
        self.random = random
        self.letter = letter
        self._recheck = recheck
        self._book = book
        self._posts = {name: Post(channel, self) for name, channel in channels.items()}
        self._deeds = Deeds(self, act)
        self._arrived: deque[Notice] = deque()
        self._stranded: deque[Notice] = deque()
        self._known: dict[str, float] = {}
        self._threads: dict[tuple[str, str], Mapping[str, str]] = {}
        self._totals: dict[tuple[str, str], int] = {}
        self._unkept: dict[str, Notice] = {}
        self._renewed = book.renewed
        self._more_in_book = False
        self._outcry = Outcry()
        self._retired: list[Channel[Any]] = []
        self._tasks: asyncio.TaskGroup | None = None
        self._woken = asyncio.Event()

    @property
    def standing(self) -> Outbox:
        """How the outbox stands now."""
        now, posts = self.clock.monotonic(), self._posts
        oldest = min(self._known.values(), default=math.inf)
        return Outbox(
            pending=len(self._known),
            oldest_seconds=max(0.0, self.clock.now() - oldest),
            totals=dict(self._totals),
            stuck=tuple(name for name, post in posts.items() if post.stuck(now)),
            shut={name: post.shut for name, post in posts.items() if post.shut},
            failing={name: post.trouble for name, post in posts.items() if post.failures},
        )

    def offer(self, notices: Sequence[Notice]) -> None:
        """Take notices in: those that the book has, and those that it could not take. Never waits, never fails."""
        for notice in notices:
            if len(self._known) >= MOST_WAITING:
                self._turn_away(notice)
            elif notice.key not in self._known:
                self.entered(notice)
                self._arrived.append(notice)
        if len(self._arrived) <= AT_ONCE:
            self._take(AT_ONCE)
        self._woken.set()

    def resume(self, notices: Sequence[Notice], threads: Mapping[tuple[str, str], Mapping[str, str]]) -> None:
        """Take up what was found in the book at the start."""
        self._threads.update(threads)
        self._more_in_book = len(notices) >= MOST_WAITING
        self.offer(notices)

    async def run(self) -> None:
        """Send until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                self._tasks = tasks
                tasks.create_task(self._deeds.run())
                tasks.create_task(self._mind())
                for post in self._posts.values():
                    tasks.create_task(post.run())
        finally:
            self._tasks = None

    def renew(self, channels: Mapping[str, Channel[Any]]) -> None:
        """The channels as they are configured now. What waits for one that is no more is told through another."""
        for name in [name for name in self._posts if name not in channels]:
            gone = self._posts.pop(name)
            gone.removed = True
            gone.wake()
            self._retired.append(gone.channel)
        for name, channel in channels.items():
            if name not in self._posts:
                self._begin(Post(channel, self))
            elif (post := self._posts[name]).channel is not channel:
                self._retired.append(post.channel)
                post.renew(channel)
        self._posts = {name: self._posts[name] for name in channels}
        self._woken.set()

    async def send_now(self, channel: str, letter: Letter) -> Delivery:
        """Past the queue and the book, once: for a person who tries a channel."""
        post = self._posts.get(channel)
        if post is None:
            return Delivery(outcome=Outcome.REFUSED, detail="no channel has this name")
        return await handed(post.channel, replace(letter, thread={}))

    async def drain(self, within_seconds: float = DRAIN_SECONDS) -> bool:
        """Begin nothing more, and let what is on its way arrive. False where that took too long."""
        for post in self._posts.values():
            post.resting = True
        with suppress(TimeoutError):
            async with asyncio.timeout(within_seconds):
                while any(post.busy for post in self._posts.values()):  # noqa: ASYNC110 - at the end of the daemon alone
                    await asyncio.sleep(0.02)
                return True
        return False

    # What the posts ask for (see `office`).

    async def keep(self, *notices: Notice) -> bool:
        """Write these together; what could not be written is written later, as it is then."""
        for notice in notices:
            self._unkept.pop(notice.key, None)  # an older state shall not be written after this one
        if await self._book.write(Page(notices=notices)):
            return True
        for notice in notices:
            if len(self._unkept) < MOST_WAITING:
                self._unkept[notice.key] = notice
        return False

    async def members(self, digest: Notice) -> tuple[Notice, ...]:
        """What a digest found in the book stands for."""
        return await self._book.members(digest.key)

    def settled(self, notice: Notice, result: str) -> None:
        """It needs no memory any more."""
        self._known.pop(notice.key, None)
        self.count(notice.channel, result)
        if result != "dead":
            self._outcry.forget(notice)
        if notice.what is What.RESOLVED:
            self._threads.pop((notice.alert.episode, notice.channel), None)

    def count(self, channel: str, result: str) -> None:
        """For the totals."""
        self._totals[channel, result] = self._totals.get((channel, result), 0) + 1

    def entered(self, notice: Notice) -> None:
        """It is in memory. What is to be done may take hours and is no message that waits."""
        self._known[notice.key] = math.inf if notice.what is What.ACTION else notice.created_at

    def overtaken(self, notice: Notice) -> str:
        """Why it need not be sent. A fault in telling that is no reason to keep silent."""
        try:
            return self._recheck(notice)
        except Exception:  # in doubt a message is sent
            logger.exception("recheck_fault", rule=notice.alert.key.rule)
            return ""

    def thread(self, episode: str, channel: str) -> Mapping[str, str] | None:
        """The receipt of the first message; None where none was sent."""
        return self._threads.get((episode, channel))

    def told(self, episode: str, channel: str, receipt: Mapping[str, str]) -> None:
        """The channel knows of an episode. A digest gives no receipt to hang an answer on: the next message may."""
        if not self._threads.get((episode, channel)):
            self._threads[episode, channel] = receipt
        while len(self._threads) > MOST_THREADS:
            del self._threads[next(iter(self._threads))]

    def arrived(self, lost: Sequence[Notice]) -> bool:
        """Whether what an outcry is about has arrived after all."""
        return self._outcry.over(lost)

    def handed_over(self, outcry: Notice, lost: Sequence[Notice]) -> bool:
        """Whether a channel that works will make an outcry which another one could not."""
        channel = outcry.receipt.get("channel", "")
        through = self._substitute(channel, lost) if lost else None
        if through is None or through.name == outcry.channel or through.trouble or through.channel.kind == "dashboard":
            return False
        self._outcry.add(channel, lost, outcry.detail)
        return True

    async def cry(self, channel: str, lost: Sequence[Notice], why: str, *also: Notice) -> None:
        """Tell of undelivered notices through another channel, but not of that again; what comes too soon waits."""
        self._outcry.add(channel, lost, why)
        if channel in self._outcry.due(self.clock.monotonic()):
            await self._tell_of(channel, *also)
        elif also:
            await self.keep(*also)

    async def _tell_of(self, channel: str, *also: Notice) -> None:
        """In one transaction with the dead letters that it is about."""
        lost = self._outcry.lost(channel)
        through = self._substitute(channel, lost)
        if through is None:
            if also:
                await self.keep(*also)
            return
        why = self._outcry.told(channel, self.clock.monotonic())
        notice = undelivered(through.name, lost, why, self.clock.now())
        await self.keep(*also, notice)
        self.entered(notice)
        through.add(notice, lost)

    def _substitute(self, channel: str, lost: Sequence[Notice]) -> Post | None:
        """Who tells of a channel that cannot: one that works, and rather one that is told of the like anyway.

        The dashboard only where there is no other.
        """
        wanted = {name for one in lost for name in one.alert.policy.first.get(one.alert.severity, ())}
        able = [post for name, post in self._posts.items() if name != channel and not post.shut]
        return min(
            able,
            key=lambda post: (post.channel.kind == "dashboard", bool(post.trouble), post.name not in wanted),
            default=None,
        )

    def _begin(self, post: Post) -> None:
        self._posts[post.name] = post
        if self._tasks is not None:
            self._tasks.create_task(post.run())

    def _turn_away(self, notice: Notice) -> None:
        """No room: the book gives it again later; what it has not got is lost, and that is said."""
        self._more_in_book = True
        if not notice.kept:
            self.count(notice.channel, "lost")
            logger.error("notice_lost", channel=notice.channel, alert=notice.alert.key.text)

    def _take(self, most: int) -> None:
        """Hand what has arrived to those who send it."""
        for _ in range(min(most, len(self._arrived))):
            notice = self._arrived.popleft()
            if not notice.kept:
                self._unkept[notice.key] = notice
            if notice.what is What.ACTION:
                self._deeds.add(notice)
            elif (post := self._posts.get(notice.channel)) is not None:
                post.add(notice)
            else:
                self._stranded.append(notice)

    async def mind(self) -> None:
        """What nobody waits for: the rest of what has arrived, what has no channel, what the book is still to learn."""
        while self._arrived:
            self._take(AT_ONCE)
            await asyncio.sleep(0)
        while self._stranded:
            await self._lay_down(self._stranded.popleft())
        for channel in self._outcry.due(self.clock.monotonic()):
            await self._tell_of(channel)
        await self._keep_again()
        await self._refill()
        while self._retired:
            await _parted(self._retired.pop())

    async def _mind(self) -> None:
        while True:
            self._woken.clear()
            try:
                await self.mind()
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("outbox_fault")
            with suppress(TimeoutError):
                async with asyncio.timeout(KEEP_SECONDS):
                    await self._woken.wait()

    async def _lay_down(self, notice: Notice) -> None:
        why = "no channel has this name"
        dead = replace(notice, standing=Standing.DEAD, detail=why, settled_at=self.clock.now())
        logger.error("undelivered", channel=notice.channel, alert=notice.alert.key.text, what=notice.what, why=why)
        await self.cry(notice.channel, [dead], why, dead)
        self.settled(dead, "dead")

    async def _keep_again(self) -> None:
        """Write what the book has not got: what it refused, and after a loss all that waits."""
        if self._renewed != self._book.renewed:
            self._renewed = self._book.renewed
            waiting = chain.from_iterable(post.queue for post in self._posts.values())
            self._unkept = {entry.notice.key: entry.notice for entry in waiting} | self._unkept
        while self._unkept:
            batch = list(islice(self._unkept.values(), AT_ONCE))
            if not await self._book.write(Page(notices=tuple(batch))):
                return
            for notice in batch:
                if self._unkept.get(notice.key) is notice:
                    del self._unkept[notice.key]

    async def _refill(self) -> None:
        """Take up what had no room."""
        if not self._more_in_book or len(self._known) > MOST_WAITING - REFILL:
            return
        known = frozenset(self._known) | frozenset(self._unkept)  # some is settled, and the book does not know it yet
        found = await self._book.pending(known, REFILL)
        self._more_in_book = len(found) == REFILL
        self.offer(found)


async def _parted(channel: Channel[Any]) -> None:
    """The old channel ends; what it has under way has ended with its time at the latest."""
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await channel.close()
    except Exception as error:  # noqa: BLE001 - it is of no use any more; its text may hold a secret
        logger.warning("channel_not_closed", channel=channel.name, error=type(error).__name__)
