"""The present: the last good collection of each pair, in memory. What is scraped, shown and asked for reads this.

Nothing here outlives its truth: a target that goes down takes its values along at once, and a value that was not
renewed in time expires.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypeVar

from toban.samples import Collection, Sample

RowT = TypeVar("RowT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One collection and the monotonic moment at which it stops being the present."""

    collection: Collection
    expires_at: float


class Current:
    """The values of now."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, str], Held] = {}

    def accept(self, collection: Collection, expires_at: float) -> None:
        """Take in one turn. One that failed because its target is down drops all that the target had."""
        if collection.failure is None:
            self._held[collection.target, collection.collector] = Held(collection=collection, expires_at=expires_at)
        elif collection.down:
            self.forget(collection.target)

    def forget(self, target: str, collector: str | None = None) -> None:
        """Drop what a target, or one pair of it, had."""
        self._held = {k: v for k, v in self._held.items() if k[0] != target or collector not in (None, k[1])}

    def collections(self, now: float) -> list[Collection]:
        """What is true at this monotonic moment. What expired is dropped on the way."""
        late = [key for key, held in self._held.items() if held.expires_at < now]
        for key in late:
            del self._held[key]
        return [held.collection for held in self._held.values()]

    def samples(self, now: float, *, pattern: str = "*", target: str | None = None) -> Iterator[tuple[str, Sample]]:
        """The values whose metric matches, each with its target."""
        for collection in self.collections(now):
            if target in (None, collection.target):
                for sample in collection.samples:
                    if fnmatchcase(sample.metric.name, pattern):
                        yield collection.target, sample

    def rows(self, now: float, row_type: type[RowT], *, target: str | None = None) -> Iterator[tuple[str, RowT]]:
        """The typed rows of one kind, each with its target."""
        for collection in self.collections(now):
            if target in (None, collection.target):
                for row in collection.rows:
                    if isinstance(row, row_type):
                        yield collection.target, row
