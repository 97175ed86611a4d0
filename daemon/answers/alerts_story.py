"""`toban alerts show`: one alert with its life, who was told of it, and what was the matter when it fired."""

import json
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from alerting.evidence import drawn
from daemon.answers.alerts import age_text, remarks
from daemon.answers.asking import Asked, ask
from daemon.answers.printing import STYLES, console, plain, print_json, table
from daemon.answers.tables import facts_grid
from daemon.asked_alerts import beginning_asked
from daemon.documents import Document
from daemon.past_alerts import open_past
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.errors import NotFoundError, UnavailableError
from toban.language import Language
from toban.samples import Unit
from toban.units import seconds_text, value_text

LIFE = ("at", "alert_state", "severity", "value", "reason", "by")
TOLD = ("at", "channel", "what", "level", "standing", "attempts", "receipt")
RECEIPT_LETTERS = 80


def answer(asked: Asked, *, alert: str, as_json: bool, clock: Clock | None = None) -> int:
    """Print it; 1 where there is none."""
    now = clock or SystemClock()
    try:
        with open_past(asked.configuration.state_path, now, asked.configuration.zone, asked.language) as book:
            story = book.story(alert)
    except (NotFoundError, UnavailableError):
        remembered = _remembered(asked, alert)  # what a full disk did not take, the daemon still knows
        if remembered is None:
            raise
        story = remembered
    if as_json:
        print_json(story)
    else:
        _show(story, asked, now.now(), console())
    return 0


def _remembered(asked: Asked, alert: str) -> Document | None:
    try:
        active: list[Document] = ask(asked.configuration, "/api/v1/alerts", lang=asked.language) or []
    except UnavailableError:
        return None
    beginning = beginning_asked(alert)
    found = [one for one in active if one["id"].startswith(beginning)]
    return found[0] | {"transitions": [], "notices": [], "evidence": None, "mark": None} if len(found) == 1 else None


def _show(story: Document, asked: Asked, now: float, out: Console) -> None:
    language = asked.language
    severity = story["severity"]
    style = STYLES.get(severity, "cyan")
    state = say(f"alerts.state.{story['state']}", language)
    heading = f"[{style}]{say(f'alerts.severity.{severity}', language)}[/] {state}"
    out.print(f"{heading}  [bold]{plain(story['rule'])}[/]  {plain(story['target'])}  {story['id']}")
    out.print(plain(story["summary"]))
    facts = facts_grid()
    for name, value in _facts(story, language, now):
        facts.add_row(f"[dim]{name}[/]", plain(value))
    out.print(facts)
    if story["transitions"]:
        out.print(_life(story, language))
    if story["notices"]:
        out.print(_told(story["notices"], language))
    _evidence(story, asked, out)


def _facts(story: Document, language: Language, now: float) -> Iterator[tuple[str, str]]:
    """What there is to know, each with its heading."""
    labels = ", ".join(f"{name}={value}" for name, value in story["labels"].items())
    since, left = story["started_at"], story["left_seconds"]
    known = {
        "metric": story["metric"],
        "labels": labels,
        "since": f"{since} ({age_text(since, now, language)})",
        "resolved_at": story["resolved_at"],
        "reason": story["reason"],
        "level": str(story["escalation_level"] or ""),
        "told": ", ".join(story["told"]),
        "who": story["acknowledged_by"],
        "remark": "; ".join(remarks(story, language)),
        "cause": story["cause"],
        "left": "" if left is None else seconds_text(left, language),
        "mark": _mark(story, language),
        "runbook": story["runbook"],
    }
    yield from ((say(f"column.{name}", language), value) for name, value in known.items() if value)


def _mark(story: Document, language: Language) -> str:
    mark = story["mark"]
    return (
        say("alerts.mark", language, verdict=say(f"column.{mark['verdict']}", language), who=mark["by"]) if mark else ""
    )


def _life(story: Document, language: Language) -> Table:
    made = table(say("table.alert_life", language), *(say(f"column.{name}", language) for name in LIFE))
    for one in story["transitions"]:
        made.add_row(
            one["at"],
            say(f"alerts.state.{one['after']}", language),
            say(f"alerts.severity.{one['severity']}", language),
            value_text(one["value"], Unit(story["unit"]), language),
            plain(one["reason"]),
            plain(one["by"]),
        )
    return made


def _told(notices: list[Document], language: Language) -> Table:
    made = table(say("table.alert_notices", language), *(say(f"column.{name}", language) for name in TOLD))
    for one in notices:
        made.add_row(
            one["settled_at"] or one["created_at"],
            plain(one["channel"]),
            say(f"alerts.what.{one['what']}", language),
            str(one["step"] or ""),
            say(f"alerts.standing.{one['standing']}", language),
            str(one["attempts"]),
            plain(receipt_text(one["receipt"], one["detail"])),
        )
    return made


def receipt_text(receipt: dict[str, str], detail: str) -> str:
    """What the provider gave, else what it said."""
    given = ", ".join(f"{name} {value}" for name, value in receipt.items())
    told = given or detail
    return told if len(told) <= RECEIPT_LETTERS else f"{told[: RECEIPT_LETTERS - 1]}…"


def _evidence(story: Document, asked: Asked, out: Console) -> None:
    if story["evidence"] is None:
        return
    out.print(f"\n[bold]{say('table.alert_evidence', asked.language)}[/]")
    kept = json.dumps(story["evidence"], ensure_ascii=False)
    for line in drawn(kept, asked.language, asked.configuration.zone):
        out.print(plain(line), soft_wrap=True)
