"""`toban wal status`: which moments can be reached, which WAL is missing, and how much would be lost right now."""

from collections.abc import Sequence

from rich.cells import set_cell_size
from rich.console import Console

from daemon.answers.backups_map import drawn_map, merged
from daemon.answers.backups_opening import Place, Shelf, carried_out, opened
from daemon.answers.printing import console, plain, print_json, table
from daemon.answers.wal_standings import standings
from daemon.documents import stamp
from daemon.documents_backups import is_whole, standings_document
from toban.backups import GapKind, WalStanding
from toban.catalogue import say
from toban.language import Language
from toban.units import NOTHING, seconds_text, size_text

LABEL_CELLS = 16
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
    out.print(_headline(found, shelf), soft_wrap=True)
    _draw(found, shelf, out)
    _ranges(found, out, language)
    _gaps(found, out, language)
    for note in found.notes:
        out.print(f"[yellow]{plain(note)}[/]", soft_wrap=True)


def _headline(found: WalStanding, shelf: Shelf) -> str:
    language, zone = shelf.language, shelf.zone
    lag = NOTHING if found.lag_seconds is None else seconds_text(max(0.0, found.lag_seconds), language)
    target = f"[bold]{plain(found.target)}[/]"
    spans = merged(found.reachable)
    if not spans:
        return f"{target}: {say('wal.nothing', language, size=size_text(found.size_bytes), lag=lag)}"
    begin, end = spans[-1]
    words = {"begin": stamp(begin, zone), "end": stamp(end, zone), "span": seconds_text(end - begin, language)}
    key = "wal.reaches" if len(spans) == 1 else "wal.reaches_in_part"
    return f"{target}: {say(key, language, **words, lag=lag, size=size_text(found.size_bytes), parts=len(spans))}"


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


def _ranges(found: WalStanding, out: Console, language: Language) -> None:
    if not found.ranges:
        return
    names = ("timeline", "from_lsn", "to_lsn", "first_segment", "last_segment", ">size")
    made = table(say("table.wal_ranges", language), *_headings(names, language))
    for one in found.ranges:
        cells = (str(one.timeline), one.from_lsn, one.to_lsn, one.first_segment, one.last_segment)
        made.add_row(*cells, size_text(one.size_bytes))
    out.print(made)


def _gaps(found: WalStanding, out: Console, language: Language) -> None:
    if not found.gaps:
        out.print(f"[green]{say('wal.whole', language)}[/]")
        return
    names = ("gap", "timeline", "from_lsn", "to_lsn", ">segments", "why")
    made = table(say("table.wal_gaps", language), *_headings(names, language))
    for one in found.gaps:
        kind = f"[{GAP_STYLES[one.kind]}]{say(f'wal.gap.{one.kind}', language)}[/]"
        made.add_row(kind, str(one.timeline), one.from_lsn, one.to_lsn, str(one.segments), plain(one.why))
    out.print(made)


def _headings(names: Sequence[str], language: Language) -> list[str]:
    return [(">" if name.startswith(">") else "") + say(f"column.{name.removeprefix('>')}", language) for name in names]
