"""`toban alerts silences|dead|stats|review`: what the book knows beside the alerts themselves."""

from collections.abc import Callable
from typing import Any

from rich.console import Console

from daemon.answers.asking import Asked
from daemon.answers.printing import console, plain, print_json, table
from daemon.asked import moment_asked
from daemon.asked_alerts import goal_asked
from daemon.documents import Document
from daemon.past_alerts import PastAlerts, open_past
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.language import Language
from toban.units import NOTHING, count_text, ratio_text, seconds_text

KEY_LETTERS = 12
DETAIL_LETTERS = 200
FALSE_SHARE = 0.3  # of the marked ones: from here on a rule's threshold wants another look
LEAST_FALSE = 2


def silences(asked: Asked, *, every: bool, as_json: bool, clock: Clock | None = None) -> int:
    """Those that have not ended; with `every` all that the book has."""
    found = _read(asked, clock, lambda book: book.silences(every=every))
    if as_json:
        print_json(found)
    elif not found:
        console().print(say("empty.silences", asked.language))
    else:
        _show_silences(found, asked.language, console())
    return 0


def _show_silences(found: list[Document], language: Language, out: Console) -> None:
    names = ("silence_id", "match", "begins", "ends", "why", "who")
    made = table(say("table.silences", language), *(say(f"column.{name}", language) for name in names))
    for one in found:
        begins = one["begins_at"]
        if one["cron"]:
            begins = say("silence.cron", language, cron=one["cron"], span=seconds_text(one["for_seconds"], language))
        ends = say("silence.ended", language, who=one["ended_by"]) if one["ended_by"] else one["ends_at"]
        cells = (one["id"], match_text(one["match"], language), begins, ends, one["why"], one["who"])
        made.add_row(*map(plain, cells), style=None if one["standing"] else "dim")
    out.print(made)


def match_text(match: dict[str, str | list[str]], language: Language) -> str:
    """`rule=disk_*, target=main|shop`; or that it is everything."""
    sides = {name: "|".join([patterns] if isinstance(patterns, str) else patterns) for name, patterns in match.items()}
    return ", ".join(f"{name}={side}" for name, side in sides.items()) or say("silence.everything", language)


def dead(asked: Asked, *, as_json: bool, clock: Clock | None = None) -> int:
    """What was given up; 1 while there is any."""
    language = asked.language
    found = _read(asked, clock, lambda book: book.dead())
    if as_json:
        print_json(found)
    elif not found:
        console().print(say("empty.dead", language))
    else:
        names = ("letter_key", "at", "channel", "what", "rule", "target", "attempts", "reason")
        made = table(say("table.dead", language), *(say(f"column.{name}", language) for name in names))
        for one in found:
            made.add_row(
                one["key"][:KEY_LETTERS],
                one["settled_at"] or one["created_at"],
                plain(one["channel"]),
                say(f"alerts.what.{one['what']}", language),
                plain(one["rule"]),
                plain(one["target"]),
                str(one["attempts"]),
                plain(one["detail"][:DETAIL_LETTERS]),
            )
        console().print(made)
        console().print(say("dead.retry", language))
    return 1 if found else 0


def stats(asked: Asked, *, since: str, as_json: bool, clock: Clock | None = None) -> int:
    """Counts by severity, and how long people took."""
    language = asked.language
    found = _read(asked, clock, lambda book: book.statistics(_begin(book, since)))
    if as_json:
        print_json(found)
        return 0
    names = ("total", "critical", "warning", "info", "mtta_seconds", "mttr_seconds")
    made = table(
        say("table.alert_stats", language, since=found["since"]),
        *(f">{say(f'column.{name}', language)}" for name in names),
    )
    made.add_row(*(_figure(name, found[name], language) for name in names))
    console().print(made)
    return 0


def review(asked: Asked, *, since: str, goal: str, as_json: bool, clock: Clock | None = None) -> int:
    """Per rule how often it fired, was answered, and was marked; and how the targets kept up."""
    ratio, targets = goal_asked(goal), [target.name for target in asked.configuration.targets]
    found = _read(asked, clock, lambda book: book.review(_begin(book, since), targets, ratio))
    if as_json:
        print_json(found)
    else:
        _show_review(found, asked.language, since, console())
    return 0


def _show_review(found: Document, language: Language, since: str, out: Console) -> None:
    names = ("fired", "acknowledged", "real", "false", "unmarked", "false_ratio", "mtta_seconds", "mttr_seconds")
    headings = [f">{say(f'column.{name}', language)}" for name in names]
    made = table(say("table.review", language, since=found["since"]), say("column.rule", language), *headings)
    for one in found["rules"]:
        made.add_row(plain(one["rule"]), *(_figure(name, one[name], language) for name in names))
    out.print(made if found["rules"] else say("empty.review", language))
    rate = count_text(round(found["incidents_per_day"], 2))
    out.print(say("review.rate", language, incidents=found["incidents"], rate=rate))
    for one in found["targets"]:
        out.print(_uptime(one, found["goal_ratio"], language))
    for one in (rule for rule in found["rules"] if doubtful(rule)):
        said = say("review.hint", language, rule=one["rule"], count=one["false"], marked=one["false"] + one["real"])
        out.print(f"[yellow]{plain(said)}[/]")
        out.print(plain(f"  toban alerts backtest {one['rule']} --since {since}"), soft_wrap=True)


def _uptime(one: Document, goal_ratio: float, language: Language) -> str:
    """With as many digits as the goal wants."""
    share, goal = (f"{ratio * 100:.6g} %" for ratio in (one["up_ratio"], goal_ratio))
    key = "review.up" if one["attained"] else "review.short"
    down = seconds_text(one["down_seconds"], language)
    said = plain(say(key, language, target=one["target"], share=share, down=down, goal=goal))
    return said if one["attained"] else f"[yellow]{said}[/]"


def doubtful(rule: Document) -> bool:
    """Whether a rule was marked false so often that its threshold wants another look."""
    marked = rule["false"] + rule["real"]
    return bool(rule["false"] >= LEAST_FALSE and rule["false"] >= FALSE_SHARE * marked)


def _figure(name: str, value: float | None, language: Language) -> str:
    if value is None:
        return NOTHING
    if name.endswith("_seconds"):
        return seconds_text(value, language)
    return ratio_text(value, language) if name.endswith("_ratio") else count_text(value)


def _begin(book: PastAlerts, since: str) -> float:
    return moment_asked(since, book.now, book.zone)


def _read(asked: Asked, clock: Clock | None, read: Callable[[PastAlerts], Any]) -> Any:  # noqa: ANN401 - whatever JSON can carry
    configuration = asked.configuration
    with open_past(configuration.state_path, clock or SystemClock(), configuration.zone, asked.language) as book:
        return read(book)
