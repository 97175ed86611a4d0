"""One channel's post: its queue, its pace, its retries. Slow or broken, it delays no other."""

import asyncio
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import chain, islice
from typing import Any

import structlog

from alerting.channels.contract import Channel
from alerting.dispatch.entries import ANSWERS, LONE, MOST_NAMED, Entry, digest_of
from alerting.dispatch.handing import FAULT, handed
from alerting.dispatch.letters import plain
from alerting.dispatch.office import Office
from alerting.dispatch.overtaking import Overtaking
from alerting.dispatch.queue import Queue
from alerting.messages import Letter
from alerting.pace import LONGEST_BACKOFF_SECONDS, Bucket, bounded_wait, full_jitter
from history.book.contract import in_digest
from toban.alerts import Delivery, Notice, Outcome, Standing, What

MOST_IN_DIGEST = 20_000
AT_ONCE = 250  # of many, before the loop may turn to something else
CHANNEL_BACKOFF_SECONDS = 60.0  # a channel that fails may be well again: what is critical waits no longer
OVERDUE_SECONDS = 300.0
SWEEP_SECONDS = 60.0
LONGEST_SLEEP_SECONDS = 5.0
FAULT_SECONDS = 1.0

logger = structlog.get_logger(__name__)


class Post:
    """The queue and the state of one channel."""

    def __init__(self, channel: Channel[Any], office: Office) -> None:
        self.queue = Queue()
        self.shut = ""
        """Why nothing is sent until the next reload; empty: it is open."""
        self.failures = 0
        """In a row."""
        self.trouble = ""
        """Of the last attempt."""
        self.resting = False
        """Nothing new is begun: the daemon stops."""
        self.removed = False
        self.busy = False
        self._unseen = False
        self._office = office
        self._clock = office.clock
        self._woken = asyncio.Event()
        self._overtaking = Overtaking(channel, self.queue, office)
        self._progress_at = self._clock.monotonic()
        self._swept_at = self._clock.monotonic()
        self.renew(channel)

    @property
    def name(self) -> str:
        """The channel's."""
        return self.channel.name

    def renew(self, channel: Channel[Any]) -> None:
        """The channel as it is configured now: it begins afresh, with what waits."""
        self.channel = channel
        self._overtaking.renew(channel)
        self.shut = self.trouble = ""
        self.failures = 0
        self._bucket = Bucket(channel.per_second, channel.burst, self._clock.monotonic())
        self._paused_until = -math.inf
        self.wake()

    def wake(self) -> None:
        """Look again."""
        self._woken.set()

    def add(self, notice: Notice, members: tuple[Notice, ...] | None = None) -> None:
        """Something to be told."""
        now, wall = self._clock.monotonic(), self._clock.now()
        left = notice.created_at + self.channel.settings.retry_for - wall
        entry = Entry(
            notice=notice,
            arrived=now,
            due=now + bounded_wait(notice.next_at - wall),
            deadline=now + min(max(0.0, left), self.channel.settings.retry_for),  # the wall clock may have jumped
            members=members,
        )
        self.queue.add(entry)
        self._unseen = True
        self.wake()

    def stuck(self, now: float) -> bool:
        """Whether something is due for long, and nothing is done although the channel is not backing off."""
        if self.shut or self._paused_until > now - OVERDUE_SECONDS or self._progress_at > now - OVERDUE_SECONDS:
            return False
        due = self.queue.next_due()
        return due is not None and due < now - OVERDUE_SECONDS

    async def run(self) -> None:
        """Send until cancelled, or until the channel is configured no more."""
        while not self.removed:
            self._woken.clear()
            try:
                wait = await self.turn()
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("outbox_fault", channel=self.name)
                wait = FAULT_SECONDS
            if wait > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(wait, LONGEST_SLEEP_SECONDS) if len(self.queue) else None):
                        await self._woken.wait()
        await self._lay_down()

    async def turn(self) -> float:
        """Do one thing. How many seconds until there may be another."""
        now = self._clock.monotonic()
        await self._answer()
        if now - self._swept_at >= SWEEP_SECONDS:
            await self._sweep(now)
        if self.resting or self.shut:
            await self._cry_shut()
            return LONGEST_SLEEP_SECONDS
        if (wait := max(self._paused_until - now, self._bucket.wait_seconds(now))) > 0:
            return wait
        if self.queue.digestible > self.channel.settings.digest_above:
            await self._digest()
        entry = self.queue.next(now)
        if entry is None:
            self._progress_at = now
            due = self.queue.next_due()
            return math.inf if due is None else max(due - now, 0.001)
        self.busy = True
        try:
            await self._send(entry)
        finally:
            self.busy = False
            self._progress_at = self._clock.monotonic()
        return 0.0

    async def _send(self, entry: Entry) -> None:
        if reason := await self._overtaking.reason(entry):
            await self._drop([(entry, reason)])
            return
        entry.notice = replace(entry.notice, standing=Standing.INFLIGHT, attempts=entry.notice.attempts + 1)
        kept = await self._office.keep(entry.notice)
        entry.notice = replace(entry.notice, kept=kept)
        if reason := await self._overtaking.reason(entry):  # the disk may have taken its time
            await self._drop([(entry, reason)])
            return
        self._bucket.take(self._clock.monotonic())
        channel, (letter, proper) = self.channel, self._letter(entry)
        delivery = await handed(channel, letter)
        if channel is not self.channel and delivery.outcome is Outcome.GONE:
            delivery = replace(delivery, outcome=Outcome.RETRY)  # it is another way by now
        await self._judge(entry, delivery, proper=proper)

    def _letter(self, entry: Entry) -> tuple[Letter, bool]:
        """The letter, and whether it is the proper one."""
        notice, members = entry.notice, entry.members or ()
        proper = not entry.plain
        try:
            letter = self._office.letter(notice, self.channel, members) if proper else plain(notice, members)
        except Exception:  # a plain letter is better than none
            logger.exception("letter_fault", channel=self.name, rule=notice.alert.key.rule)
            letter, proper = plain(notice, members), False
        thread = None if notice.what in LONE else self._office.thread(notice.alert.episode, self.name)
        return replace(letter, thread=thread or {}), proper

    async def _judge(self, entry: Entry, delivery: Delivery, *, proper: bool) -> None:
        """What became of an attempt."""
        notice = entry.notice
        self.failures = self.failures + 1 if delivery.outcome is Outcome.RETRY and not delivery.partly else 0
        self.trouble = "" if delivery.outcome is Outcome.SENT else delivery.detail
        if delivery.outcome is Outcome.GONE:
            self.shut, self._unseen = delivery.detail or "gone", True
            logger.error("channel_shut", channel=self.name, why=self.shut)
        if delivery.outcome is Outcome.SENT:
            await self._sent(entry, delivery)
        elif notice.what is What.UNDELIVERED and self._office.handed_over(notice, entry.members or ()):
            if delivery.outcome is Outcome.RETRY:
                self._retried(entry, delivery)  # the others wait all the same
            await self._drop([(entry, f"left to another channel: {delivery.detail}")])
        elif delivery.outcome is Outcome.RETRY and self._retried(entry, delivery):
            entry.plain = entry.plain or (proper and delivery.detail.startswith(FAULT))
            self._office.count(self.name, "retry")
            await self._office.keep(entry.notice)
            waited = self._clock.monotonic() - entry.arrived
            if entry.urgent and max(waited, delivery.after_seconds or 0.0) >= OVERDUE_SECONDS:
                await self._cry([entry], delivery.detail)
        else:
            times = f" (given up after {notice.attempts})" if delivery.outcome is Outcome.RETRY else ""
            await self._bury([(entry, f"{delivery.outcome}: {delivery.detail}{times}")])

    async def _sent(self, entry: Entry, delivery: Delivery) -> None:
        notice = replace(
            entry.notice,
            standing=Standing.SENT,
            settled_at=self._clock.now(),
            detail=_said(entry.notice, delivery),
            receipt=dict(delivery.receipt),
        )
        if entry.notice.what is What.DIGEST:
            for member in entry.members or ():
                self._knows(member.alert.episode, {})
        elif entry.notice.what is not What.UNDELIVERED:
            self._knows(notice.alert.episode, notice.receipt)
        self._close(entry)
        await self._office.keep(notice)
        self._office.settled(notice, "sent")

    def _knows(self, episode: str, receipt: Mapping[str, str]) -> None:
        self._office.told(episode, self.name, receipt)
        self._overtaking.told(episode)

    def _retried(self, entry: Entry, delivery: Delivery) -> bool:
        """Whether there is another time; then it is set."""
        now, notice = self._clock.monotonic(), entry.notice
        asked = None if delivery.after_seconds is None else bounded_wait(delivery.after_seconds)
        share = self._office.random.random()
        pause = full_jitter(self.failures, share, longest_seconds=CHANNEL_BACKOFF_SECONDS)
        if asked is not None or not delivery.partly:
            self._paused_until = now + (pause if asked is None else asked)
        longest = CHANNEL_BACKOFF_SECONDS if entry.urgent else LONGEST_BACKOFF_SECONDS
        wait = max(full_jitter(notice.attempts, share, longest_seconds=longest), asked or 0.0)
        if not entry.urgent:
            if now >= entry.deadline or now + (asked or 0.0) > entry.deadline:
                return False
            wait = min(wait, entry.deadline - now)
        entry.due = now + wait
        entry.notice = replace(
            notice,
            standing=Standing.PENDING,
            next_at=self._clock.now() + wait,
            detail=_said(notice, delivery),
            perhaps_sent=notice.perhaps_sent or delivery.unsure,
        )
        return True

    async def _answer(self) -> None:
        """Where something is over or taken up, what was still to be told of it is not: a pair never sent collapses."""
        gone: list[tuple[Entry, str]] = []
        for number, lane in enumerate(self.queue.ended()):
            gone.extend(self._overtaking.collapsed(lane))
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        await self._drop(gone)

    async def _drop(self, gone: Sequence[tuple[Entry, str]], *also: Notice, result: str = "dropped") -> None:
        """Overtaken, each for its reason; in one transaction."""
        if not gone and not also:
            return
        notices = []
        for number, (entry, reason) in enumerate(gone):
            notices.append(_ended(entry.notice, Standing.DROPPED, reason, self._clock.now()))
            self._close(entry)
            for told in _told_by(entry) if result == "dropped" else ():
                self._overtaking.never_told(told)
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        await self._office.keep(*also, *notices)
        for notice in notices:
            self._office.settled(notice, result)

    async def _digest(self) -> None:
        """Many become one: written together, so that each is in one of them whatever happens."""
        gone: list[tuple[Entry, str]] = []
        stay: list[Entry] = []
        found = self.queue.many(MOST_IN_DIGEST)
        apart = {entry.lane for entry in found if self._apart(entry)}  # whole lanes: what follows must not go first
        together = [entry for entry in found if entry.lane not in apart]
        for number, entry in enumerate(together):
            reason = await self._overtaking.reason(entry)
            gone.append((entry, reason)) if reason else stay.append(entry)
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        await self._drop(gone)
        if len(stay) <= self.channel.settings.digest_above:
            return
        members = tuple(entry.notice for entry in stay)
        digest = digest_of(self.name, members, self._clock.now())
        if any(member.perhaps_sent for member in members):
            digest = replace(digest, perhaps_sent=True)
        reason = in_digest(digest.key)
        self._office.entered(digest)
        await self._drop([(entry, reason) for entry in stay], digest, result="digest")
        self.add(digest, members)

    def _apart(self, entry: Entry) -> bool:
        """Whether it ends what the provider finds again by its own receipt alone: a digest would leave that open."""
        answers = self.channel.answers_apart and entry.notice.what in ANSWERS
        return answers and bool(self._office.thread(entry.lane, self.name))

    async def _bury(self, given_up: Sequence[tuple[Entry, str]]) -> None:
        """Dead letters: in one transaction with what another channel is told of them."""
        if not given_up:
            return
        dead = [_ended(entry.notice, Standing.DEAD, why, self._clock.now()) for entry, why in given_up]
        for entry, _ in given_up:
            self._close(entry)
            for notice in _told_by(entry):
                self._overtaking.never_told(notice)
        first, why = dead[0], given_up[0][1]
        alert = first.alert.key.text
        logger.error("undelivered", channel=self.name, alert=alert, what=first.what, count=len(dead), why=why)
        lost = [notice for notice in dead if notice.what is not What.UNDELIVERED]
        if lost:  # of an UNDELIVERED nobody is told
            members = (entry.members or () for entry, _ in given_up if entry.notice.what is What.DIGEST)
            waiting = (other.notice for other in self.queue)
            lost = list(islice(chain(lost, chain.from_iterable(members), waiting), MOST_NAMED))
        await self._office.cry(self.name, lost, why, *dead)
        for notice in dead:
            self._office.settled(notice, "dead")

    def _out_of_time(self, entry: Entry) -> str:
        return f"out of time: {entry.notice.detail or self.shut or self.trouble or 'not sent'}"

    async def _cry(self, entries: Iterable[Entry], why: str) -> None:
        """Another channel is told of these, once."""
        new = [entry for entry in entries if not entry.cried]
        for entry in new:
            entry.cried = True
        if new:
            lost = chain.from_iterable(entry.members or (entry.notice,) for entry in new)
            await self._office.cry(self.name, tuple(islice(lost, MOST_NAMED)), why)

    async def _cry_shut(self) -> None:
        if self.shut and self._unseen:
            self._unseen = False
            await self._cry(list(self.queue), self.shut)

    async def _sweep(self, now: float) -> None:
        """What waits behind others grows old as well, or is overtaken."""
        self._swept_at = now
        gone: list[tuple[Entry, str]] = []
        late: list[Entry] = []
        overdue: list[Entry] = []
        for number, entry in enumerate(list(self.queue)):
            if entry.notice.what is not What.DIGEST and (reason := self._office.overtaken(entry.notice)):
                gone.append((entry, reason))
            elif now >= entry.deadline and not entry.urgent:
                late.append(entry)
            elif entry.urgent and now >= entry.arrived + OVERDUE_SECONDS:
                overdue.append(entry)
            if number % AT_ONCE == AT_ONCE - 1:
                await asyncio.sleep(0)
        await self._drop(gone)
        await self._bury([(entry, self._out_of_time(entry)) for entry in late])
        await self._cry(overdue, self.shut or self.trouble or "not sent yet")

    async def _lay_down(self) -> None:
        """The channel is configured no more. A fault here would end the posts of all the others."""
        try:
            await self._bury([(entry, "the channel is configured no more") for entry in self.queue])
        except Exception:  # they are in the book, and the next start tells of them
            logger.exception("outbox_fault", channel=self.name)

    def _close(self, entry: Entry) -> None:
        self.queue.remove(entry)


def _said(notice: Notice, delivery: Delivery) -> str:
    """The detail of the last attempt; but what an UNDELIVERED is about stands there, and stays."""
    return notice.detail if notice.what is What.UNDELIVERED else delivery.detail


def _told_by(entry: Entry) -> Sequence[Notice]:
    """What of episodes a channel would have heard by it."""
    if entry.notice.what is What.DIGEST:
        return entry.members or ()
    return () if entry.notice.what in LONE else (entry.notice,)


def _ended(notice: Notice, standing: Standing, why: str, now: float) -> Notice:
    return replace(notice, standing=standing, detail=why, settled_at=now)
