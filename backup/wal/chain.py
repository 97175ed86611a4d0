"""The chain: which stretches of WAL are there on each timeline, what is missing between them, and why. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise, takewhile
from typing import Final

from backup.wal.segments import SEGMENT_BYTES, lsn_number, lsn_text, segment_name, segment_number
from toban.backups import GapKind, WalGap, WalRange

LATE_AFTER_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """One stored file of the chain."""

    name: str
    size_bytes: int
    modified_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Departure:
    """Where a timeline was left for the next."""

    timeline: int
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The part of a timeline that a way through the timelines takes; `ends_at` is None on the last."""

    timeline: int
    begins_at: int
    ends_at: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where the server stands, and how far we have followed it."""

    timeline: int
    written_to: int
    kept_from: int | None = None  # it has its WAL from there on; None where nobody knows
    waiting_since: float | None = None  # when the oldest segment was finished that waits to be archived
    receiving: bool | None = None  # whether somebody is connected to our slot; None where there is none
    behind_seconds: float | None = None  # our receiver is, as the server measures it


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What lies in a place: complete segments, those still being written, where the timelines came from."""

    segments: Mapping[str, File] = field(default_factory=dict)  # by PostgreSQL's own name
    partials: Mapping[str, File] = field(default_factory=dict)  # by the name that they will have
    histories: Mapping[int, tuple[Departure, ...]] = field(default_factory=dict)  # oldest ancestor first
    doubles: tuple[str, ...] = ()  # segments that are there more than once
    unfinished: tuple[str, ...] = ()  # by pushes, under way or cut off
    segment_bytes: int = SEGMENT_BYTES
    system_identifier: str | None = None

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(file.size_bytes for files in (self.segments, self.partials) for file in files.values())

    @property
    def newest_at(self) -> float | None:
        """When the last segment came, or was last written to."""
        times = [file.modified_at for files in (self.segments, self.partials) for file in files.values()]
        return max(times, default=None)

    @property
    def timelines(self) -> tuple[int, ...]:
        """Those that there are segments of, or histories, in their order."""
        named = {int(name[:8], 16) for files in (self.segments, self.partials) for name in files}
        return tuple(sorted(named | set(self.histories)))

    def numbers(self, timeline: int) -> list[int]:
        """The numbers of a timeline's complete segments, in their order."""
        sign = f"{timeline:08X}"
        return sorted(segment_number(name, self.segment_bytes) for name in self.segments if name.startswith(sign))

    def is_coming(self, segment: str) -> bool:
        """Whether it is being received, or pushed."""
        return segment in self.partials or any(name.startswith(f".{segment}.") for name in self.unfinished)

    def number_at(self, lsn: int) -> int:
        """The number of the segment that a position lies in."""
        return lsn // self.segment_bytes

    def name(self, timeline: int, number: int) -> str:
        """PostgreSQL's name of a segment."""
        return segment_name(timeline, number, self.segment_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """How far the WAL leads on from a backup, on the way to one timeline."""

    timeline: int
    ends_at: int  # behind the last byte before the first gap
    last_segment: str | None  # that it leads to; None when not even the first is there
    segments: tuple[str, ...]
    gap: WalGap | None  # what it ends at; None when it simply ends with what there is
    partial: str | None = None  # the segment behind it that is still being received


def history_of(text: str) -> tuple[Departure, ...]:
    """A timeline's history file: whom it descends from, and where each was left."""
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if len(words) > 1 and words[0].isdigit():
            try:
                found.append(Departure(timeline=int(words[0]), at=lsn_number(words[1])))
            except ValueError:
                continue
    return tuple(found)


def spans(histories: Mapping[int, tuple[Departure, ...]], timeline: int, lsn: int, to: int) -> tuple[Span, ...] | None:
    """The way from a position on one timeline to another timeline; None when there is none."""
    if to == timeline:
        return (Span(timeline=timeline, begins_at=lsn),)
    departures = histories.get(to, ())
    start = next((place for place, one in enumerate(departures) if one.timeline == timeline), None)
    if start is None or departures[start].at < lsn:
        return None
    found, begins_at = [], lsn
    for one in departures[start:]:
        found.append(Span(timeline=one.timeline, begins_at=begins_at, ends_at=one.at))
        begins_at = one.at
    return (*found, Span(timeline=to, begins_at=begins_at))


def needed(listing: Listing, way: tuple[Span, ...], to_lsn: int | None) -> Iterator[tuple[int, int]]:
    """Timeline and number of each segment on the way, up to a position; without one, up to the newest there is.

    The segment in which a timeline begins holds a copy of what was before: the older timeline's is not needed.
    """
    for place, span in enumerate(way):
        first = listing.number_at(span.begins_at)
        if span.ends_at is not None:
            after = listing.number_at(way[place + 1].begins_at)
        elif to_lsn is not None:
            after = listing.number_at(max(to_lsn - 1, span.begins_at)) + 1
        else:
            after = max(listing.numbers(span.timeline), default=first - 1) + 1
        if to_lsn is not None:
            after = min(after, listing.number_at(max(to_lsn - 1, 0)) + 1)
        for number in range(first, after):
            yield span.timeline, number


def missing(
    listing: Listing,
    timeline: int,
    from_lsn: int,
    to_lsn: int | None = None,
    *,
    to_timeline: int | None = None,
    held_to: int | None = None,
) -> tuple[WalGap, ...]:
    """What is not there of the WAL from a position on a timeline to another position, perhaps on a later timeline.

    A backup that carries its own WAL holds it up to and with the segment of `held_to`.
    """
    way = spans(listing.histories, timeline, from_lsn, to_timeline or timeline)
    if way is None:
        why = f"timeline {to_timeline} does not lead on from timeline {timeline} at {lsn_text(from_lsn)}"
        at = lsn_text(from_lsn)
        return (WalGap(timeline=timeline, from_lsn=at, to_lsn=at, kind=GapKind.LOST, segments=0, why=why),)
    held = _held(listing, timeline, held_to)
    wanted = [one for one in needed(listing, way, to_lsn) if one > held]
    absent = [one for one in wanted if listing.name(*one) not in listing.segments]
    last = max((one for one in wanted if listing.name(*one) in listing.segments), default=(0, 0))
    return tuple(
        _gap(listing, run[0], run[-1][1], GapKind.LOST if run[0] < last else _pending(listing, run[0]))
        for run in _runs(absent)
    )


def leads(listing: Listing, timeline: int, lsn: int, *, held_to: int | None = None) -> tuple[Lead, ...]:
    """How far the WAL leads on from a position, for each timeline that descends from it; the newest timeline first."""
    found = []
    for to in reversed(listing.timelines):
        way = spans(listing.histories, timeline, lsn, to)
        if way is not None:
            found.append(_lead(listing, way, held_to))
    return tuple(found)


def _lead(listing: Listing, way: tuple[Span, ...], held_to: int | None) -> Lead:
    first, to = way[0], way[-1]
    held = _held(listing, first.timeline, held_to)
    wanted = [one for one in needed(listing, way, None) if one > held]
    there = list(takewhile(lambda one: listing.name(*one) in listing.segments, wanted))
    gaps = missing(listing, first.timeline, first.begins_at, None, to_timeline=to.timeline, held_to=held_to)
    names = tuple(listing.name(*one) for one in there)
    begun = max(held[1] if held[0] == to.timeline else -1, listing.number_at(to.begins_at) - 1)
    following = listing.name(to.timeline, (there[-1][1] if there else begun) + 1)
    return Lead(
        timeline=to.timeline,
        ends_at=(there[-1][1] + 1) * listing.segment_bytes if there else max(first.begins_at, held_to or 0),
        last_segment=names[-1] if names else None,
        segments=names,
        gap=gaps[0] if gaps else None,
        partial=following if following in listing.partials and len(there) == len(wanted) else None,
    )


def _held(listing: Listing, timeline: int, held_to: int | None) -> tuple[int, int]:
    """The last segment that the backup itself holds."""
    return (timeline, listing.number_at(max(held_to - 1, 0))) if held_to is not None else (0, -1)


# --- the whole place --------------------------------------------------------------------------------------------------


def ranges(listing: Listing) -> tuple[WalRange, ...]:
    """The unbroken stretches, by timeline and place."""
    return tuple(
        _range(listing, timeline, [number for _, number in run])
        for timeline in listing.timelines
        for run in _runs((timeline, number) for number in listing.numbers(timeline))
    )


def gaps(
    listing: Listing, *, now: float, position: Position | None = None, late_after_seconds: float = LATE_AFTER_SECONDS
) -> tuple[WalGap, ...]:
    """What is missing: between stretches, where a timeline begins or ends, and behind the newest."""
    found = [gap for timeline in listing.timelines for gap in _inner(listing, timeline)]
    return (*found, *_behind(listing, position, now, late_after_seconds))


def _inner(listing: Listing, timeline: int) -> Iterator[WalGap]:
    """What is missing of one timeline though later WAL shows that it was there."""
    numbers = listing.numbers(timeline)
    departures = listing.histories.get(timeline, ())
    if departures and numbers:
        parent, begins_in = departures[-1].timeline, listing.number_at(departures[-1].at)
        reached = max(listing.numbers(parent), default=None)
        if numbers[0] > begins_in and reached is not None and reached >= begins_in - 1:
            yield _gap(listing, (timeline, begins_in), numbers[0] - 1, GapKind.LOST)
    for before, after in pairwise(numbers):
        if after > before + 1:
            yield _gap(listing, (timeline, before + 1), after - 1, GapKind.LOST)
    left_in = _left_in(listing, timeline)
    if numbers and left_in is not None and numbers[-1] < left_in - 1:
        yield _gap(listing, (timeline, numbers[-1] + 1), left_in - 1, GapKind.LOST)


def _left_in(listing: Listing, timeline: int) -> int | None:
    """The segment in which a timeline was left for the last of those that are there."""
    found = [
        listing.number_at(one.at)
        for child, departures in listing.histories.items()
        for one in departures
        if one.timeline == timeline and listing.numbers(child)
    ]
    return max(found, default=None)


def _behind(listing: Listing, position: Position | None, now: float, late_after_seconds: float) -> Iterator[WalGap]:
    """What the server has written and we have not: whole segments, and the one that is being received."""
    partial = _receiving(listing)
    if position is not None:
        timeline, current = position.timeline, listing.number_at(position.written_to)
        numbers = listing.numbers(timeline)
        first = numbers[-1] + 1 if numbers else _begun_in(listing, timeline, current)
        kept_from = listing.number_at(position.kept_from) if position.kept_from is not None else first
        gone = min(kept_from, current)
        if first < gone:
            yield _gap(listing, (timeline, first), gone - 1, GapKind.LOST, "the server has it no more")
        first = max(first, gone)
        before = partial[1] if partial is not None and partial[0] == timeline and partial[1] >= first else current
        if first < before:
            kind, why = _pending(listing, (timeline, first)), ""
            waited = _waited(position, now)
            if waited is not None and waited > late_after_seconds:
                kind, why = GapKind.LATE, f"it has waited for {waited:.0f} s"
            elif waited is not None:
                kind, why = GapKind.UPLOADING, "it is on its way"
            yield _gap(listing, (timeline, first), before - 1, kind, why)
    if partial is not None:
        alone = position is not None and position.receiving is False
        kind, why = (GapKind.LATE, "nobody receives it now") if alone else (GapKind.UPLOADING, "")
        yield _gap(listing, partial, partial[1], kind, why)


def _waited(position: Position, now: float) -> float | None:
    """For how long the oldest that should be here has been awaited; None where nobody knows."""
    if position.behind_seconds is not None:
        return position.behind_seconds
    return None if position.waiting_since is None else now - position.waiting_since


def _receiving(listing: Listing) -> tuple[int, int] | None:
    """The newest segment that is not finished, unless nobody will ever finish it."""
    newest = max(listing.partials, default=None)
    if newest is None or _is_past(listing, newest):
        return None
    return int(newest[:8], 16), segment_number(newest, listing.segment_bytes)


def _begun_in(listing: Listing, timeline: int, last: int) -> int:
    departures = listing.histories.get(timeline, ())
    return listing.number_at(departures[-1].at) if departures else last


def _is_past(listing: Listing, segment: str) -> bool:
    """Whether a newer timeline has taken over in this segment or before: nobody will finish it."""
    timeline, number = int(segment[:8], 16), segment_number(segment, listing.segment_bytes)
    left_in = _left_in(listing, timeline)
    return (left_in is not None and left_in <= number) or number <= max(listing.numbers(timeline), default=-1)


def _pending(listing: Listing, first: tuple[int, int]) -> GapKind:
    """Of what is not here yet, as far as the place itself shows."""
    return GapKind.UPLOADING if listing.is_coming(listing.name(*first)) else GapKind.LATE


def _gap(listing: Listing, first: tuple[int, int], last: int, kind: GapKind, why: str = "") -> WalGap:
    timeline, number = first
    said = {
        GapKind.LOST: "later WAL is there",
        GapKind.UPLOADING: "it is being received",
        GapKind.LATE: "not archived yet",
    }
    return WalGap(
        timeline=timeline,
        from_lsn=lsn_text(number * listing.segment_bytes),
        to_lsn=lsn_text((last + 1) * listing.segment_bytes),
        kind=kind,
        segments=last - number + 1,
        why=why or said[kind],
    )


def _range(listing: Listing, timeline: int, numbers: list[int]) -> WalRange:
    names = [listing.name(timeline, number) for number in numbers]
    return WalRange(
        timeline=timeline,
        from_lsn=lsn_text(numbers[0] * listing.segment_bytes),
        to_lsn=lsn_text((numbers[-1] + 1) * listing.segment_bytes),
        first_segment=names[0],
        last_segment=names[-1],
        size_bytes=sum(listing.segments[name].size_bytes for name in names),
    )


def _runs(ones: Iterable[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Segments of one timeline whose numbers follow each other, together."""
    run: list[tuple[int, int]] = []
    for timeline, number in ones:
        if run and run[-1] != (timeline, number - 1):
            yield run
            run = []
        run.append((timeline, number))
    if run:
        yield run
