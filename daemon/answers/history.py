"""`toban history`: values over time, read from the state file whether or not a daemon runs."""

import sys
from collections.abc import Sequence

from daemon.answers.asking import Asked
from daemon.answers.printing import console, plain, print_json, table
from daemon.asked import moment_asked
from daemon.documents import series_document, stamp
from history.past import Point
from history.reading import SeriesHistory, open_reader
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.language import Language
from toban.samples import Type
from toban.units import NOTHING, value_text

MOST_SHOWN = 20
SPARKS = "▁▂▃▄▅▆▇█"
SPARKLINE_WIDTH = 32
JSON_WIDTH = 240


def answer(
    asked: Asked,
    *,
    metric: str,
    since: str,
    target: str | None,
    show_all: bool,
    as_json: bool,
    clock: Clock | None = None,
) -> int:
    """Print the series; 1 when none of them has a value in the span."""
    zone, until = asked.configuration.zone, (clock or SystemClock()).now()
    begin = moment_asked(since, until, zone)
    with open_reader(asked.configuration.state_path) as reader:
        names = reader.names(metric, target)
        most = None if show_all else MOST_SHOWN
        width = JSON_WIDTH if as_json else SPARKLINE_WIDTH
        found = reader.series(metric, target, since=begin, until=until, width=width, most=most)
    if as_json:
        print_json([series_document(series, zone) for series in found])
    else:
        _show(found, begin, asked)
    if more := len(names) - len(found):
        print(say("history.more", asked.language, count=more), file=sys.stderr)
    return 0 if any(series.points for series in found) else 1


def sparkline(points: Sequence[Point], since: float, until: float, width: int) -> str:
    """The means as blocks, from the lowest to the highest; a blank where there is no value."""
    if not points:
        return ""
    means = [point.mean for point in points]
    lowest, span = min(means), max(means) - min(means)
    drawn = [" "] * width
    for point in points:
        place = min(round((point.at - since) / (until - since) * width), width - 1)
        height = (point.mean - lowest) / span if span else 0.0
        drawn[place] = SPARKS[min(int(height * len(SPARKS)), len(SPARKS) - 1)]
    return "".join(drawn)


def _show(found: Sequence[SeriesHistory], since: float, asked: Asked) -> None:
    language, zone = asked.language, asked.configuration.zone
    numbers = [f">{say(f'column.{name}', language)}" for name in ("min", "mean", "max", "last")]
    names = sorted({series.name for series in found})
    title = say("table.history", language, metric=plain(", ".join(names[:3])), since=stamp(since, zone))
    made = table(title, say("column.series", language), say("column.course", language), *numbers)
    for series in found:
        course = sparkline(series.points, series.since, series.until, SPARKLINE_WIDTH)
        figures = (series.lowest, series.mean, series.highest, series.last)
        made.add_row(_named(series), course, *(_figure(value, series, language) for value in figures))
    console().print(made)


def _named(series: SeriesHistory) -> str:
    labels = {"target": series.target} | series.labels
    return plain(series.name + "{" + ", ".join(f"{key}={value}" for key, value in labels.items() if value) + "}")


def _figure(value: float | None, series: SeriesHistory, language: Language) -> str:
    """With its unit; a counter's by the second."""
    said = value_text(value, series.unit, language)
    return f"{said}/s" if series.type is Type.COUNTER and said != NOTHING else said
