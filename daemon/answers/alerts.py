"""`toban alerts`: what is wrong now, the worst first; from the running daemon, else out of the book."""

from datetime import datetime

from rich.console import Console
from rich.table import Table

from daemon.answers.asking import Asked, ask
from daemon.answers.narrowing import must_be_there
from daemon.answers.narrowing import tell as remark
from daemon.answers.printing import STYLES, console, plain, print_json, table
from daemon.asked_alerts import severity_asked, state_asked
from daemon.documents import Document
from daemon.past_alerts import open_past
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.errors import UnavailableError
from toban.language import Language
from toban.samples import Unit
from toban.units import seconds_text, value_text

COLUMNS = ("alert_id", "severity", "alert_state", "rule", "target", "labels", "value", "threshold", "age")
COLUMNS_BEHIND = ("level", "who", "remark")
LABEL_LETTERS = 120
REMARK_LETTERS = 120


def answer(  # noqa: PLR0913 - an option each
    asked: Asked,
    *,
    every: bool,
    since: str | None,
    target: str | None,
    severity: str | None,
    state: str | None,
    as_json: bool,
    clock: Clock | None = None,
) -> int:
    """Print them. That there are some is no fault of the command's: 0."""
    now = clock or SystemClock()
    past = every or since is not None or state is not None
    wanted_severity, wanted_state = severity_asked(severity), state_asked(state)
    found, why_not = (None, "") if past else _active(asked, target, severity)
    if found is None:
        with open_past(asked.configuration.state_path, now, asked.configuration.zone, asked.language) as book:
            found = book.alerts(every=every, since=since, target=target, severity=wanted_severity, state=wanted_state)
        remark([why_not] if why_not else [], as_json=as_json)
    if not found:
        must_be_there(asked.configuration, target, own=True)
    if as_json:
        print_json(found)
    elif found:
        _show(found, asked, now.now(), console(), past=past)
    else:
        console().print(say("empty.alerts_past" if past else "empty.alerts", asked.language))
    return 0


def _active(asked: Asked, target: str | None, severity: str | None) -> tuple[list[Document] | None, str]:
    """The daemon's answer; where none runs, or it does not answer, the book has to do, and that is told."""
    try:
        found = ask(asked.configuration, "/api/v1/alerts", target=target, severity=severity, lang=asked.language)
    except UnavailableError as error:
        return None, say("alerts.from_book", asked.language, why=f"{error.what}: {error.why}")
    return found, say("alerts.no_daemon", asked.language) if found is None else ""


def _show(found: list[Document], asked: Asked, now: float, out: Console, *, past: bool) -> None:
    language = asked.language
    headings = (say(f"column.{name}", language) for name in (*COLUMNS, *COLUMNS_BEHIND))
    made = table(say("table.alerts_past" if past else "table.alerts", language), *headings)
    depths: dict[str, int] = {}
    for one in found:
        depths[one["id"]] = depths.get(one["cause"], -1) + 1
        _add(made, one, depths[one["id"]], language, now)
    out.print(made)
    if hidden := sum(bool(one["muted"]) for one in found):
        out.print(f"[dim]{say('alerts.muted', language, count=hidden)}[/]")


def _add(made: Table, one: Document, depth: int, language: Language, now: float) -> None:
    """One row; what nobody is told of is dim."""
    severity = one["severity"]
    style = STYLES.get(severity, "cyan")
    below = "  " * (depth - 1) + "└ " if depth else ""
    labels = ", ".join(f"{name}={value}" for name, value in one["labels"].items())
    made.add_row(
        one["id"],
        f"[{style}]{say(f'alerts.severity.{severity}', language)}[/]",
        say(f"alerts.state.{one['state']}", language),
        below + plain(one["rule"]),
        plain(one["target"]),
        plain(labels[:LABEL_LETTERS]),
        value_text(one["value"], Unit(one["unit"]), language),
        plain(one["threshold"]),
        age_text(one["started_at"], now, language),
        str(one["escalation_level"] or ""),
        plain(one["acknowledged_by"]),
        plain("; ".join(remarks(one, language))[:REMARK_LETTERS]),
        style="dim" if one["muted"] or one["state"] in ("pending", "resolved") else None,
    )


def age_text(since: str, now: float, language: Language) -> str:
    """How long ago a moment of a document was."""
    return seconds_text(max(0.0, now - datetime.fromisoformat(since).timestamp()), language)


def remarks(one: Document, language: Language) -> list[str]:
    """What else is to be known of an alert in a list."""
    found = [
        say("alerts.is_test", language) if one["test"] else "",
        say("alerts.is_muted", language, why=one["muted"]) if one["muted"] else "",
        say(f"alerts.data.{one['data']}", language) if one["data"] != "ok" else "",
        say("alerts.is_flapping", language) if one["flapping"] else "",
        say("alerts.is_until", language, at=one["acknowledged_until"]) if one["acknowledged_until"] else "",
        one["note"],
    ]
    return [text for text in found if text]
