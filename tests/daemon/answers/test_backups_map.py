"""The map of reachable moments is drawn as it is, and never rosier."""

from datetime import UTC
from zoneinfo import ZoneInfo

from daemon.answers.backups_map import Line, drawn_map, merged
from tests.builders import START
from toban.backups import Reachable

DAY = 86400.0


def a_span(begin: float, end: float, *, timeline: int = 1, backup: str = "b") -> Reachable:
    """By seconds after the start."""
    return Reachable(timeline=timeline, from_at=START + begin, to_at=START + end, backup=backup)


def drawn(*spans: Reachable, now: float, cells: int = 20) -> tuple[Line, ...]:
    """In UTC, with short labels."""
    return drawn_map(spans, now=START + now, zone=UTC, cells=cells, timeline="timeline", bases="backups")


def test_map_of_nothing_is_empty() -> None:
    """Where no moment can be reached there is nothing to draw."""
    assert drawn(now=0) == ()


def test_map_is_full_where_every_moment_is_reached() -> None:
    """From the oldest moment to now."""
    ends, line, bases = drawn(a_span(0, 20 * DAY), now=20 * DAY, cells=40)
    assert ends.drawn == "11-18 11:06" + " " * 18 + "12-08 11:06"
    assert line == Line(label="timeline 1", drawn="█" * 40)
    assert bases == Line(label="backups", drawn="▲")


def test_map_shows_what_cannot_be_reached_any_more() -> None:
    """WAL was lost in the middle, and the last hours are not here yet; a cell that is reached in part says so."""
    _, line, bases = drawn(a_span(0, 5 * DAY), a_span(10 * DAY, 18.5 * DAY, backup="c"), now=20 * DAY)
    assert line.drawn == "█████·····████████▌·"
    assert bases.drawn == "▲         ▲"


def test_map_has_a_line_for_each_timeline() -> None:
    """After a promotion the old one ends where the new one begins."""
    _, first, second, _ = drawn(a_span(0, 10 * DAY), a_span(10 * DAY, 20 * DAY, timeline=2), now=20 * DAY)
    assert (first.label, first.drawn[:11]) == ("timeline 1", "██████████·")
    assert (second.label, second.drawn[-11:]) == ("timeline 2", "·██████████")


def test_map_joins_spans_that_touch() -> None:
    """Two backups that both reach a moment are no gap."""
    _, line, _ = drawn(a_span(0, 12 * DAY), a_span(7 * DAY, 20 * DAY), now=20 * DAY)
    assert line.drawn == "█" * 20


def test_map_shows_a_moment_that_is_no_span() -> None:
    """A backup without any WAL behind it reaches its own end alone."""
    _, line, _ = drawn(a_span(0, 0), now=20 * DAY)
    assert line.drawn == "▌" + "·" * 19
    assert drawn(a_span(0, 0), now=0)[1].drawn == "█" * 20


def test_map_names_seconds_where_it_is_short() -> None:
    """A minute alone would say the same at both ends; the zone is the configured one."""
    lines = drawn_map((a_span(0, 60),), now=START + 60, zone=ZoneInfo("Asia/Tokyo"), cells=5, timeline="t", bases="b")
    assert lines[0].drawn == "11-18 20:06:40 11-18 20:07:40"
    assert len(lines[1].drawn) == 20


def test_spans_are_merged_over_backups_and_timelines() -> None:
    """What can be reached at all, in order."""
    found = merged((a_span(50, 60), a_span(0, 10), a_span(5, 20, timeline=2)))
    assert found == ((START, START + 20), (START + 50, START + 60))
