"""`toban wal status`: which moments can be reached, which WAL is missing, and how much would be lost right now."""

from collections.abc import Sequence

from rich.cells import set_cell_size
from rich.console import Console

from daemon.answers.backups_map import drawn_map, merged
from daemon.answers.backups_opening import Place, Shelf, carried_out, opened
from daemon.answers.printing import console, plain, print_json, table
from daemon.answers.wal_standings import standings
from daemon.documents import stamp
from daemon.documents_backups import is_whole, standings_document, whole_seconds
from toban.backups import GapKind, WalStanding
from toban.catalogue import say
from toban.language import Language
from toban.units import NOTHING, seconds_text, size_text

LABEL_CELLS = 16
WIDE_CELLS = 110
MOST_SPANS = 10
GAP_STYLES = {GapKind.LATE: "yellow", GapKind.UPLOADING: "cyan", GapKind.LOST: "bold red"}


def answer(place: Place, *, target: str | None, as_json: bool) -> int:
    """Print how the WAL of each target stands; 1 where some is lost, or none is kept at all."""

    async def work() -> int:
        async with opened(place) as shelf:
            found = await standings(shelf, target)
            if as_json:
                print_json(standings_document(found, shelf.zone))
            else:
                for one in found:
                    _show(one, shelf, console())
            return 0 if all(is_whole(one) for one in found) else 1

    return carried_out(work)


def _show(found: WalStanding, shelf: Shelf, out: Console) -> None:
    language = shelf.language
    spans = merged(found.reachable)
    out.print(_headline(found, spans, shelf), soft_wrap=True)
    if len(spans) > 1:
        for begin, end in spans[-MOST_SPANS:]:
            out.print(f"  {say('wal.span', language, **_span(begin, end, shelf))}", soft_wrap=True)
    _draw(found, shelf, out)
    _ranges(found, out, language)
    _gaps(found, out, language)
    if not found.map_whole:
        out.print(f"[yellow]{say('wal.unread', language)}[/]", soft_wrap=True)
    for note in found.notes:
        out.print(f"[yellow]{plain(note)}[/]", soft_wrap=True)


def _headline(found: WalStanding, spans: Sequence[tuple[float, float]], shelf: Shelf) -> str:
    language = shelf.language
    lag = NOTHING if found.lag_seconds is None else seconds_text(max(0.0, found.lag_seconds), language)
    words = {"lag": lag, "size": size_text(found.size_bytes), "parts": str(len(spans))}
    key = "wal.nothing" if not spans else "wal.reaches" if len(spans) == 1 else "wal.reaches_in_part"
    if spans:
        begin, end = spans[-1]
        words |= _span(begin, end, shelf)
        key = "wal.alone" if len(spans) == 1 and begin == end else key
    return f"[bold]{plain(found.target)}[/]: {say(key, language, **words)}"


def _span(begin: float, end: float, shelf: Shelf) -> dict[str, str]:
    words = {"span": seconds_text(end - begin, shelf.language)}
    for name, at in zip(("begin", "end"), whole_seconds(begin, end), strict=True):
        words[name] = stamp(at, shelf.zone) or ""
    return words


def _draw(found: WalStanding, shelf: Shelf, out: Console) -> None:
    language = shelf.language
    lines = drawn_map(
        found.reachable,
        now=shelf.around.clock.now(),
        zone=shelf.zone,
        cells=min(out.width - LABEL_CELLS - 2, 100),
        timeline=say("column.timeline", language),
        bases=say("wal.bases", language),
    )
    for line in lines:
        out.print(f"{plain(set_cell_size(line.label, LABEL_CELLS))}[green]{line.drawn}[/]", soft_wrap=True)
    if lines:
        out.print(f"[dim]{' ' * LABEL_CELLS}{say('wal.legend', language)}[/]", soft_wrap=True)


def _ranges(found: WalStanding, out: Console, language: Language) -> None:
    """On a narrow terminal without the segments' names, which would be folded past reading."""
    if not found.ranges:
        return
    wide = out.width >= WIDE_CELLS
    names = ("timeline", "from_lsn", "to_lsn", *(("first_segment", "last_segment") if wide else ()), ">size")
    made = table(say("table.wal_ranges", language), *_headings(names, language))
    for one in found.ranges:
        segments = (one.first_segment, one.last_segment) if wide else ()
        made.add_row(str(one.timeline), one.from_lsn, one.to_lsn, *segments, size_text(one.size_bytes))
    out.print(made)


def _gaps(found: WalStanding, out: Console, language: Language) -> None:
    if not found.gaps:
        if found.ranges:
            out.print(f"[green]{say('wal.whole', language)}[/]")
        return
    names = ("gap", "timeline", "from_lsn", "to_lsn", ">segments", "why")
    made = table(say("table.wal_gaps", language), *_headings(names, language))
    for one in found.gaps:
        kind = f"[{GAP_STYLES[one.kind]}]{say(f'wal.gap.{one.kind}', language)}[/]"
        made.add_row(kind, str(one.timeline), one.from_lsn, one.to_lsn, str(one.segments), plain(one.why))
    out.print(made)
    if not is_whole(found):
        out.print(say("wal.lost", language), soft_wrap=True)


def _headings(names: Sequence[str], language: Language) -> list[str]:
    return [(">" if name.startswith(">") else "") + say(f"column.{name.removeprefix('>')}", language) for name in names]
