"""The map of reachable moments: a line for each timeline, from the oldest moment to now, drawn where one can go."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Final

from toban.backups import Reachable
from toban.clock import moment

REACHED: Final = "█"
HALF: Final = "▌"  # a span that is shorter than a cell
NOT_REACHED: Final = "·"
BASE: Final = "▲"
LEAST_CELLS: Final = 20
NARROW: Final = 200.0  # seconds; below it the ends want their seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the map: what stands before it, and what is drawn."""

    label: str
    drawn: str


def drawn_map(
    reachable: Sequence[Reachable], *, now: float, zone: tzinfo, cells: int, timeline: str, bases: str
) -> tuple[Line, ...]:
    """The lines of the map; none where no moment can be reached. `timeline` and `bases` are the labels' words."""
    if not reachable:
        return ()
    begin = min(one.from_at for one in reachable)
    end = max(now, *(one.to_at for one in reachable))
    cells = max(cells, LEAST_CELLS)
    lines = [Line(label="", drawn=_ends(begin, end, zone, cells))]
    for number in sorted({one.timeline for one in reachable}):
        spans = [(one.from_at, one.to_at) for one in reachable if one.timeline == number]
        lines.append(Line(label=f"{timeline} {number}", drawn=_span(spans, begin, end, cells)))
    marks = [_cell(one.from_at, begin, end, cells) for one in reachable]
    lines.append(Line(label=bases, drawn="".join(BASE if cell in marks else " " for cell in range(cells)).rstrip()))
    return tuple(lines)


def merged(reachable: Sequence[Reachable]) -> tuple[tuple[float, float], ...]:
    """The spans of time that can be reached at all, from whichever backup and on whichever timeline."""
    spans: list[tuple[float, float]] = []
    for begin, end in sorted((one.from_at, one.to_at) for one in reachable):
        if spans and begin <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((begin, end))
    return tuple(spans)


def _span(spans: Sequence[tuple[float, float]], begin: float, end: float, cells: int) -> str:
    """Each cell by how much of it is reached: never all, where a part is not."""
    return "".join(_filled(spans, left, right) for left, right in _cells(begin, end, cells))


def _filled(spans: Sequence[tuple[float, float]], left: float, right: float) -> str:
    touching = sorted((begin, end) for begin, end in spans if _touches(begin, end, left, right))
    if not touching:
        return NOT_REACHED
    reached = left
    for begin, end in touching:
        if begin > reached:
            return HALF
        reached = max(reached, end)
    return REACHED if reached >= right else HALF


def _touches(begin: float, end: float, left: float, right: float) -> bool:
    """A span that is one moment alone is in the cell that begins before it, or with it."""
    return (begin < right and end > left) or begin == end == left or left < begin == end == right


def _cells(begin: float, end: float, cells: int) -> Iterator[tuple[float, float]]:
    width = (end - begin) / cells
    yield from ((begin + place * width, begin + (place + 1) * width) for place in range(cells))


def _cell(at: float, begin: float, end: float, cells: int) -> int:
    return min(int((at - begin) / (end - begin) * cells), cells - 1) if end > begin else 0


def _ends(begin: float, end: float, zone: tzinfo, cells: int) -> str:
    """The first and the last moment, at both ends of the line."""
    form = "%m-%d %H:%M:%S" if end - begin < NARROW else "%m-%d %H:%M"
    first, last = (moment(at).astimezone(zone).strftime(form) for at in (begin, end))
    return first + last.rjust(cells - len(first)) if cells > len(first) + len(last) else f"{first} {last}"
