"""The daemon's pulse: it feels that the loop turns and that every target is tried, and tells systemd so."""

import asyncio
from collections import deque

from daemon.systemd import Notifier
from daemon.watch import Watch
from daemon.world import World
from toban.catalogue import Language, say, say_reason
from toban.units import count_text, seconds_text

FEEL_SECONDS = 1.0  # between two looks whether the loop comes in time
BEAT_SECONDS = 5.0
ROUND_BEATS = 3
ROUND_SECONDS = 15.0
LATE_AFTER_BEATS = 4
LATE_AFTER_SECONDS = 90.0
SPARE_SECONDS = 30.0  # beyond the longest turn


class Pulse:
    """Feels the loop once a second by a bare timer, which costs next to nothing, and beats every five."""

    def __init__(self, world: World, notifier: Notifier, language: Language) -> None:
        self.world = world
        self.notifier = notifier
        self.language = language
        self._lags: deque[float] = deque(maxlen=int(ROUND_SECONDS / FEEL_SECONDS))

    async def run(self) -> None:
        """Beat for ever; every third beat is a round with a sentence."""
        loop = asyncio.get_running_loop()
        feeling = Feeling(loop, self._lags)
        try:
            while True:
                self.notifier.status(self.sentence())
                for _ in range(ROUND_BEATS):
                    await asyncio.sleep(self._beat_seconds())
                    self.world.instruments.loop_lag.set(self.lag_seconds)
                    if not self.overdue():
                        self.notifier.watchdog()
        finally:
            feeling.end()

    def _beat_seconds(self) -> float:
        """Twice within the watchdog's patience, should an administrator have made that short."""
        patience = self.notifier.watchdog_seconds
        return BEAT_SECONDS if patience is None else min(BEAT_SECONDS, patience / 2)

    @property
    def lag_seconds(self) -> float:
        """The longest that the loop came late in the last round."""
        return max(self._lags, default=0.0)

    def overdue(self) -> list[str]:
        """Targets that nobody has tried for far too long: then the watchdog goes hungry, and systemd starts us anew."""
        now = self.world.clock.monotonic()
        return [
            watch.name
            for watch in self.world.watches.values()
            if watch.asked and now - watch.expected_at > _patience(watch)
        ]

    def sentence(self) -> str:
        """One human sentence on how it stands."""
        standings = [watch.standing() for watch in self.world.watches.values()]
        collections = self.world.current.collections(self.world.clock.monotonic())
        down = [(watch.name, watch.failure.reason) for watch in self.world.watches.values() if watch.failure]
        slowest = max((c.duration_seconds for c in collections), default=0.0)
        return say(
            "daemon.round.down" if down else "daemon.round",
            self.language,
            answering=sum(1 for target in standings if target.up),
            targets=len(standings),
            down=", ".join(f"{name} ({say_reason(reason, self.language)})" for name, reason in down[:3]),
            values=count_text(sum(len(c.samples) for c in collections)),
            slowest=seconds_text(slowest, self.language),
        )


class Feeling:
    """A timer that sets itself again and notes how late it came."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lags: deque[float]) -> None:
        self._loop = loop
        self._lags = lags
        self._timer = loop.call_later(FEEL_SECONDS, self._feel)

    def end(self) -> None:
        """Feel no more."""
        self._timer.cancel()

    def _feel(self) -> None:
        self._lags.append(max(0.0, self._loop.time() - self._timer.when()))
        self._timer = self._loop.call_later(FEEL_SECONDS, self._feel)


def _patience(watch: Watch) -> float:
    slow = watch.longest_turn_seconds + SPARE_SECONDS
    return max(LATE_AFTER_SECONDS, LATE_AFTER_BEATS * watch.shortest_every_seconds, slow)
