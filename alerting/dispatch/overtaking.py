"""What need not be sent any more, and why: what is over or taken up, and the answers to what was never sent."""

from collections.abc import Sequence
from typing import Any

from alerting.channels.contract import Channel
from alerting.dispatch.entries import ANSWERS, Entry
from alerting.dispatch.office import Office
from alerting.dispatch.queue import Queue
from toban.alerts import Notice, What

MOST_UNTOLD = 20_000


class Overtaking:
    """Of one channel: it remembers of which episodes the channel was to hear, and never did."""

    def __init__(self, channel: Channel[Any], queue: Queue, office: Office) -> None:
        self._channel = channel
        self._queue = queue
        self._office = office
        self._untold: dict[str, bool] = {}
        """Episodes; whether they are over."""

    def renew(self, channel: Channel[Any]) -> None:
        """The channel as it is configured now."""
        self._channel = channel

    def told(self, episode: str) -> None:
        """The channel has heard of it."""
        self._untold.pop(episode, None)

    async def reason(self, entry: Entry) -> str:
        """Why it need not be sent: by what has happened since, or because it answers what was never sent."""
        notice = entry.notice
        if notice.what is What.DIGEST:
            return await self._of_digest(entry)
        if notice.what is What.UNDELIVERED and self._office.arrived(entry.members or ()):
            return "what it tells of has arrived, or is over"
        if notice.what in ANSWERS:
            if not self._channel.acks:
                return "the channel is told of new trouble alone"
            if notice.alert.episode in self._untold:
                return "what it answers was never sent"
        return self._office.overtaken(notice)

    async def _of_digest(self, entry: Entry) -> str:
        if entry.members is None:
            found = await self._office.members(entry.notice)
            self._queue.remove(entry)
            entry.members = found
            self._queue.add(entry)
        left = tuple(member for member in entry.members if not self._over(member))
        if entry.members and not left and not entry.notice.perhaps_sent:
            return "all of it is over"
        if len(left) < len(entry.members):
            self._queue.remove(entry)
            entry.members = left or entry.members
            self._queue.add(entry)
        return ""

    def _over(self, member: Notice) -> bool:
        silent = self._untold.get(member.alert.episode, False)
        gone = silent or bool(self._office.overtaken(member))
        if gone and not silent:
            self.never_told(member)
        return gone

    def never_told(self, notice: Notice) -> None:
        """Dropped or given up: what answers it is dropped as well, unless the channel has heard of the episode."""
        if not notice.perhaps_sent and self._office.thread(notice.alert.episode, self._channel.name) is None:
            self._untold.setdefault(notice.alert.episode, False)
            while len(self._untold) > MOST_UNTOLD:
                del self._untold[next(iter(self._untold))]

    def collapsed(self, lane: Sequence[Entry]) -> list[tuple[Entry, str]]:
        """What need not be sent of a lane in which something was answered, and why."""
        *before, last = lane
        if last.notice.what is not What.RESOLVED:
            overtaken = ((entry, self._office.overtaken(entry.notice)) for entry in before)
            return [(entry, reason) for entry, reason in overtaken if reason]
        gone = [(entry, "resolved before it could be sent") for entry in before]
        holder = self._queue.holder(last.lane)
        unsure = any(entry.notice.perhaps_sent for entry in before) or (holder and holder.notice.perhaps_sent)
        known = self._office.thread(last.lane, self._channel.name) is not None
        if not unsure and not known and (before or holder or last.lane in self._untold):
            self._untold[last.lane] = True
            gone.append((last, "what it ends was never sent"))
        return gone
