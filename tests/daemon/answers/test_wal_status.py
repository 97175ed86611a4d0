"""`toban wal status` as a person sees it, on a narrow and a wide terminal, in both languages."""

import io
from dataclasses import replace
from datetime import UTC
from types import SimpleNamespace
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from daemon.answers.backups_wal import _show
from daemon.documents_backups import standings_document
from tests.builders import START, ManualClock
from toban.backups import GapKind, Reachable, WalGap, WalRange, WalStanding
from toban.language import Language

HOUR = 3600.0
FIRST, LAST = "000000010000000000000002", "000000010000000000000009"
A_RANGE = WalRange(
    timeline=1, from_lsn="0/2000000", to_lsn="0/A000000", first_segment=FIRST, last_segment=LAST, size_bytes=8
)
LOST = WalGap(timeline=1, from_lsn="0/A000000", to_lsn="0/B000000", kind=GapKind.LOST, segments=1, why="gone")


def a_standing(*spans: tuple[float, float], **more: Any) -> WalStanding:  # noqa: ANN401 - any of its parts
    """Spans by hours before now."""
    reachable = tuple(
        Reachable(timeline=1, from_at=START - begin * HOUR, to_at=START - end * HOUR, backup="b")
        for begin, end in spans
    )
    return WalStanding(target="main", reachable=reachable, **more)


def shown(found: WalStanding, *, width: int = 200, language: Language = Language.EN) -> list[str]:
    """The lines."""
    shelf: Any = SimpleNamespace(language=language, zone=UTC, around=SimpleNamespace(clock=ManualClock()))
    out = Console(width=width, highlight=False, no_color=True, file=io.StringIO())
    _show(found, shelf, out)
    text = out.file.getvalue()  # type: ignore[attr-defined] # it is the one made above
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.parametrize("language", list(Language))
def test_status_fits_a_narrow_terminal_with_nothing_folded_past_reading(language: Language) -> None:
    """Names of segments are left to wide ones; of the tables and the map no line is longer than the terminal."""
    found = a_standing((40, 30), (20, 0), ranges=(A_RANGE,), gaps=(LOST,))
    narrow, wide = shown(found, width=80, language=language), shown(found, width=200, language=language)
    drawn = [line for line in narrow if "│" in line or "█" in line or "0/" in line]
    assert max(cell_len(line) for line in drawn) <= 80
    assert len([line for line in narrow if "0/2000000" in line]) == 1
    assert [any(FIRST in line for line in lines) for lines in (narrow, wide)] == [False, True]


def test_status_of_parts_lists_each_and_says_what_to_do_about_what_is_lost() -> None:
    """From when to when, and which signs the map is drawn with."""
    lines = shown(a_standing((40, 30), (20, 0), ranges=(A_RANGE,), gaps=(LOST,)))
    assert lines[0].startswith("main: moments in 2 separate spans, the last from ")
    assert [line.strip()[:5] for line in lines[1:3]] == ["from ", "from "]
    assert "█ can be restored to   ▌ in part   · cannot" in [line.strip() for line in lines]
    assert lines[-1] == "No restore goes over what is lost: make a base backup now (toban backup run NAME)."
    assert "no gaps" not in lines


@pytest.mark.parametrize(
    ("found", "first", "last"),
    [
        (a_standing(), "main: no moment can be reached; WAL 0 B, lag ", "main: no moment can be reached"),
        (a_standing((1, 1)), "main: one moment alone, ", "█ can be restored to"),
        (a_standing((2, 1), ranges=(A_RANGE,), lag_seconds=7.0), "main: any moment from ", "no gaps"),
        (a_standing((1, 1), map_whole=False), "main: one moment alone, ", "The WAL cannot be read here: more may"),
        (a_standing((1, 1), notes=("as [told]",)), "main: one moment alone, ", "as [told]"),
    ],
    ids=["nothing", "a backup alone", "whole", "unread", "noted"],
)
def test_status_says_no_more_than_is_known(found: WalStanding, first: str, last: str) -> None:
    """Where there is no WAL nothing is without gaps; one moment is no span; what cannot be read is not missing."""
    lines = shown(found)
    assert lines[0].startswith(first)
    assert lines[-1].strip().startswith(last)


def test_moments_are_written_so_that_each_of_them_can_be_asked_for() -> None:
    """Fractions of a second are cut off: a span begins with the first whole one, and ends with the last."""
    found = replace(a_standing(), reachable=(Reachable(timeline=1, from_at=10.2, to_at=12.9, backup="b"),))
    (span,) = standings_document([found], UTC)["reachable"]
    assert (span["from"], span["to"]) == ("1970-01-01T00:00:11+00:00", "1970-01-01T00:00:12+00:00")
    assert "from 1970-01-01T00:00:11+00:00 to 1970-01-01T00:00:12+00:00" in shown(found)[0]
    alone = replace(found, reachable=(Reachable(timeline=1, from_at=10.2, to_at=10.2, backup="b"),))
    (span,) = standings_document([alone], UTC)["reachable"]
    assert span["from"] == span["to"] == "1970-01-01T00:00:11+00:00"
