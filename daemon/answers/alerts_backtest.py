"""`toban alerts backtest`: how often a rule would have fired on the stored history, as it is and with other bounds."""

from collections.abc import Iterator, Mapping, Sequence

from alerting.backtest import Episode, Result, altered, backtest, cannot
from alerting.rules.rule import Rule
from daemon.answers.asking import Asked
from daemon.answers.printing import console, plain, print_json, table
from daemon.asked import moment_asked
from daemon.configuration.ruling import rules_of
from daemon.documents import Document, stamp
from history.book.book import book_path
from history.book.reader import open_book_reader
from history.reading import SeriesHistory, open_reader
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.config import format_duration
from toban.errors import NotFoundError, UnavailableError, UsageError
from toban.language import Language
from toban.units import count_text, seconds_text

WIDTH = 8640  # stretches of a series: five minutes each in thirty days
MOST_SERIES = 200
COLUMNS = ("would_fire", "caught", "missed", "extra", "false_caught", "real_missed", "firing_seconds")


def answer(
    asked: Asked,
    *,
    rule: str,
    other: Mapping[str, str | None],
    target: str | None,
    since: str,
    as_json: bool,
    clock: Clock | None = None,
) -> int:
    """Print both; 1 where there is no such rule, or no history that it is about."""
    zone, until = asked.configuration.zone, (clock or SystemClock()).now()
    begin = moment_asked(since, until, zone)
    written = _rule(asked, rule)
    variants = {"written": written, **_asked_for(written, other)}
    histories = _histories(asked, written, target, begin, until)
    episodes = _episodes(asked, rule, begin)
    results = {name: backtest(variant, histories, episodes) for name, variant in variants.items()}
    courses = results["written"].courses
    if not courses:
        why = f"there is no history of {written.metric} that it is about since {stamp(begin, zone)}"
        raise NotFoundError(f"rule {rule}", why)
    document = {
        "rule": rule,
        "since": stamp(min(course.since for course in courses), zone),
        "series": len(courses),
        "results": [_result(name, result) for name, result in results.items()],
    }
    if as_json:
        print_json(document)
    else:
        _show(document, asked.language)
    return 0


def _rule(asked: Asked, name: str) -> Rule:
    found = next((rule for rule in rules_of(asked.configuration) if rule.name == name), None)
    if found is None:
        raise NotFoundError(f"rule {name}", "none is called so", "toban alerts rules lists them")
    return found


def _asked_for(written: Rule, other: Mapping[str, str | None]) -> dict[str, Rule]:
    """The rule as somebody would have it; nothing where nothing else was asked for."""
    if not any(other.values()):
        return {}
    try:
        return {"asked": altered(written, other)}
    except ValueError as error:
        raise UsageError("backtest", str(error)) from error


def _histories(asked: Asked, rule: Rule, target: str | None, begin: float, until: float) -> tuple[SeriesHistory, ...]:
    with open_reader(asked.configuration.state_path) as reader:
        found = reader.series(rule.metric, target, since=begin, until=until, width=WIDTH, most=MOST_SERIES)
    why = next((why for one in found if (why := cannot(rule, one.type))), "")
    if why:
        raise NotFoundError(f"rule {rule.name}", why)
    return tuple(found)


def _episodes(asked: Asked, rule: str, begin: float) -> Sequence[Episode]:
    """What was recorded, with what people called it; nothing where there is no book yet."""
    try:
        return tuple(_recorded(asked, rule, begin))
    except UnavailableError:
        return ()


def _recorded(asked: Asked, rule: str, begin: float) -> Iterator[Episode]:
    with open_book_reader(book_path(asked.configuration.state_path)) as reader:
        for alert in reader.alerts(since=begin, rule=rule):
            if alert.fired_at is not None and not alert.test:
                mark = reader.mark(alert.episode)
                yield Episode(
                    key=alert.key,
                    fired_at=alert.fired_at,
                    ended_at=alert.resolved_at,
                    mark=mark[0] if mark else "",
                )


def _result(name: str, result: Result) -> Document:
    false_caught, false_missed = result.marked("false")
    real_caught, real_missed = result.marked("real")
    rule = result.rule
    return {
        "variant": name,
        "info": rule.info.text if rule.info else None,
        "warning": rule.warning.text if rule.warning else None,
        "critical": rule.critical.text if rule.critical else None,
        "clear": rule.clear.text if rule.clear else None,
        "for_seconds": rule.for_seconds,
        "would_fire": result.fired,
        "caught": len(result.caught),
        "missed": len(result.missed),
        "extra": len(result.new),
        "false_caught": false_caught,
        "false_missed": false_missed,
        "real_caught": real_caught,
        "real_missed": real_missed,
        "firing_seconds": result.seconds,
    }


def _show(document: Document, language: Language) -> None:
    title = say("table.backtest", language, rule=plain(document["rule"]), since=document["since"])
    headings = (f">{say(f'column.{name}', language)}" for name in COLUMNS)
    made = table(title, say("column.variant", language), *headings)
    for one in document["results"]:
        figures = (_figure(name, one[name], language) for name in COLUMNS)
        made.add_row(plain(say(f"backtest.{one['variant']}", language, bounds=_bounds(one, language))), *figures)
    out = console()
    out.print(made)
    out.print(say("backtest.about", language, series=document["series"]))


def _bounds(one: Document, language: Language) -> str:
    """`warning > 80%, critical > 95%, for 1m`."""
    said = [
        f"{say(f'column.{name}', language)} {one[name]}"
        for name in ("critical", "warning", "info", "clear")
        if one[name] is not None
    ]
    length = [f"{say('column.for_span', language)} {format_duration(one['for_seconds'])}"] if one["for_seconds"] else []
    return ", ".join(said + length)


def _figure(name: str, value: float, language: Language) -> str:
    return seconds_text(value, language) if name.endswith("_seconds") else count_text(value)
