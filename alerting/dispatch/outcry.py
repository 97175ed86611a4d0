"""What other channels are still to be told: of each channel that cannot tell by itself, what is lost there."""

from collections.abc import Iterator, Sequence
from itertools import islice

from alerting.dispatch.entries import MOST_NAMED
from toban.alerts import Notice, Severity, What

PAUSE_SECONDS = 600.0  # from one outcry about a channel to the next
URGENT_PAUSE_SECONDS = 60.0  # where something critical has reached nobody
MOST_CHANNELS = 200
MOST_REMEMBERED = 20_000


class Outcry:
    """By channel: what is lost there and not told elsewhere yet, why, and when others were told last."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[str, Notice]] = {}
        self._why: dict[str, str] = {}
        self._told_at: dict[str, float] = {}
        self._missing: dict[str, None] = {}
        """The keys of what others were told of, and what has not arrived since."""

    def add(self, channel: str, lost: Sequence[Notice], why: str) -> None:
        """These are lost. Of an UNDELIVERED nobody is told."""
        named = {one.key: one for one in lost if one.what is not What.UNDELIVERED}
        if named and (channel in self._waiting or len(self._waiting) < MOST_CHANNELS):
            together = self._waiting.get(channel, {}) | named
            self._waiting[channel] = dict(islice(together.items(), MOST_NAMED))
            self._why[channel] = why

    def forget(self, notice: Notice) -> None:
        """It went out after all, or need not any more."""
        self._missing.pop(notice.key, None)
        waiting = self._waiting.get(notice.channel)
        if waiting is not None and waiting.pop(notice.key, None) is not None and not waiting:
            del self._waiting[notice.channel]

    def lost(self, channel: str) -> tuple[Notice, ...]:
        """What is to be told of a channel."""
        return tuple(self._waiting.get(channel, {}).values())

    def over(self, lost: Sequence[Notice]) -> bool:
        """Whether all of it has arrived by now, or need not any more: there is nothing to tell of."""
        return bool(lost) and not any(one.key in self._missing for one in lost)

    def due(self, now: float) -> Iterator[str]:
        """The channels of which it is time to tell."""
        for channel, waiting in list(self._waiting.items()):
            urgent = any(one.alert.open and one.alert.severity is Severity.CRITICAL for one in waiting.values())
            pause = URGENT_PAUSE_SECONDS if urgent else PAUSE_SECONDS
            if now - self._told_at.get(channel, now - pause) >= pause:
                yield channel

    def told(self, channel: str, now: float) -> str:
        """It is told now. Why the channel cannot."""
        self._missing |= dict.fromkeys(self._waiting.pop(channel))
        while len(self._missing) > MOST_REMEMBERED:
            del self._missing[next(iter(self._missing))]
        self._told_at[channel] = now
        while len(self._told_at) > MOST_CHANNELS:
            del self._told_at[next(iter(self._told_at))]
        return self._why.pop(channel)
