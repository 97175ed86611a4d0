"""A process whose memory only grows: decided from the lowest point of each of several equal spans of time.

Memory swings: a cache fills and is emptied, a collector of garbage comes by. The lowest point of a span is what is
left after that, and where it rises span after span for hours, nothing gives back what it took.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

SPANS = 6  # complete ones, each with a lower point higher than the one before
LEAST_BYTES = 8 * 1024**2  # over all of them: less than that is noise
LEAST_RATIO = 0.02  # of the memory at the first of them

Identity = tuple[int, int]
"""A process's number and when it started, in clock ticks since the boot: numbers are given again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What one process holds for itself at one moment."""

    number: int
    started: int
    name: str
    size_bytes: int


@dataclass(slots=True, kw_only=True)
class Track:
    """One process over time: the lowest point of the latest span, and of the complete ones before it."""

    name: str
    span: int
    lowest_bytes: int
    first: bool = True
    lows: list[int] = field(default_factory=list)

    def note(self, span: int, size_bytes: int) -> None:
        """Take in one more look. A span that nobody looked at breaks the row: it begins anew."""
        if span == self.span:
            self.lowest_bytes = min(self.lowest_bytes, size_bytes)
            return
        if span > self.span + 1:
            self.lows = []
        elif not self.first:  # in the first it was starting, or not seen from the beginning
            self.lows = [*self.lows[1 - SPANS :], self.lowest_bytes]
        self.span, self.lowest_bytes, self.first = span, size_bytes, span > self.span + 1

    def growth_bytes(self) -> int | None:
        """By how much it grew over all spans; 0 when it did not grow in every one, None before it was seen so long."""
        if len(self.lows) < SPANS:
            return None
        rising = all(later > earlier for earlier, later in zip(self.lows, self.lows[1:], strict=False))
        growth = self.lows[-1] - self.lows[0]
        return growth if rising and growth >= max(LEAST_BYTES, self.lows[0] * LEAST_RATIO) else 0


class Growth:
    """The tracks of the processes that hold the most."""

    def __init__(self, span_seconds: float) -> None:
        self.span_seconds = span_seconds
        self._tracks: dict[Identity, Track] = {}

    def note(self, at: float, held: Iterable[Held]) -> None:
        """Take in what the processes hold at this monotonic moment. One not named has ended or become small."""
        span = int(at // self.span_seconds)
        tracks = {}
        for one in held:
            identity = one.number, one.started
            track = self._tracks.get(identity)
            if track is None:
                track = Track(name=one.name, span=span, lowest_bytes=one.size_bytes)
            track.note(span, one.size_bytes)
            track.name = one.name
            tracks[identity] = track
        self._tracks = tracks

    def rates(self) -> dict[str, float]:
        """Bytes a second by program: its quickest process's. 0 for one whose memory does not only grow."""
        found: dict[str, float] = {}
        for track in self._tracks.values():
            growth = track.growth_bytes()
            if growth is not None:
                rate = growth / ((SPANS - 1) * self.span_seconds)
                found[track.name] = max(rate, found.get(track.name, 0.0))
        return found
