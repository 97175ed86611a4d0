"""What waits to be written: one collection cut down to what is kept, and its form in the journal. Pure."""

import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from toban.events import Event
from toban.memories import Memory
from toban.samples import Collection, Metric, Sample
from toban.statements import StatementText, StatementUse

_POINT_BYTES = 12  # a series id of 4 bytes and a number of 8
_ROW_WEIGHT = 10  # a statement's row takes about ten times the memory of a reading
_LETTERS_A_READING = 16

Key = tuple[Metric, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """Which series a collector brings back. It seldom changes, so every entry of a collector shares one."""

    target: str
    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One collection, or what of it was measured at one moment."""

    shape: Shape
    at_ms: int
    values: tuple[float, ...]
    uses: tuple[StatementUse, ...] = ()
    texts: tuple[StatementText, ...] = ()
    events: tuple[Event, ...] = ()
    memories: tuple[Memory, ...] = ()
    broken: bool = False
    """The clock was set since this collector's last entry: no rate is to be taken across."""

    @property
    def weight(self) -> int:
        """How much memory it holds, in readings."""
        rows = len(self.uses) + len(self.texts) + len(self.events)
        bodies = sum(len(memory.body) for memory in self.memories)
        return len(self.values) + _ROW_WEIGHT * rows + bodies // _LETTERS_A_READING


class Shapes:
    """The last shape of each (target, collector), and which of them have been heard of since the clock was set."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], Shape] = {}
        self._heard: dict[tuple[str, str], int] = {}
        self._clock_settings = 0

    def break_off(self) -> None:
        """The clock was set: the next entry of each collector begins anew."""
        self._clock_settings += 1

    def entries(self, collection: Collection) -> Iterator[Entry]:
        """What is kept of a collection; nothing, where nothing is."""
        pair = (collection.target, collection.collector)
        broken = self._heard.get(pair, 0) < self._clock_settings
        self._heard[pair] = self._clock_settings
        for taken_at, samples in _by_moment(collection.samples).items():
            values = tuple([sample.value for sample in samples])
            yield Entry(shape=self._shape(pair, samples), at_ms=round(taken_at * 1000), values=values, broken=broken)
        if collection.rows:
            yield from _rows(collection)

    def _shape(self, pair: tuple[str, str], samples: list[Sample]) -> Shape:
        keys = tuple([(sample.metric, sample.labels) for sample in samples])
        shape = self._last.get(pair)
        if shape is None or shape.keys != keys:
            shape = self._last[pair] = Shape(pair[0], keys)
        return shape


def _rows(collection: Collection) -> Iterator[Entry]:
    """What is kept of the rows, all in one entry: events and what goes with them are committed together."""
    entry = Entry(
        shape=Shape(collection.target, ()),
        at_ms=round(collection.taken_at * 1000),
        values=(),
        uses=tuple(row for row in collection.rows if isinstance(row, StatementUse)),
        texts=tuple(row for row in collection.rows if isinstance(row, StatementText)),
        events=tuple(row for row in collection.rows if isinstance(row, Event)),
        memories=tuple(row for row in collection.rows if isinstance(row, Memory)),
    )
    if entry.uses or entry.texts or entry.events or entry.memories:
        yield entry


def _by_moment(samples: Iterable[Sample]) -> dict[float, list[Sample]]:
    found: dict[float, list[Sample]] = {}
    for sample in samples:
        if sample.metric.kept and math.isfinite(sample.value):
            found.setdefault(sample.taken_at, []).append(sample)
    return found


def pack_entry(series_ids: Iterable[int], values: Iterable[float]) -> bytes:
    """Readings of one moment as the journal has them: all ids, then all values."""
    ids, numbers = tuple(series_ids), tuple(values)
    return struct.pack(f"<{len(ids)}I", *ids) + struct.pack(f"<{len(numbers)}d", *numbers)


def ids_of(body: bytes) -> tuple[int, ...]:
    """The series ids alone."""
    return struct.unpack_from(f"<{len(body) // _POINT_BYTES}I", body)


def unpack_entry(body: bytes) -> Iterator[tuple[int, float]]:
    """Series ids with their values."""
    count = len(body) // _POINT_BYTES
    ids = struct.unpack_from(f"<{count}I", body)
    return zip(ids, struct.unpack_from(f"<{count}d", body, 4 * count), strict=True)
