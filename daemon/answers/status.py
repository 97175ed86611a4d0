"""`toban status`: overall health, and why."""

from collections.abc import Sequence

from rich.table import Table

from daemon.answers.asking import Asked, ask, measured
from daemon.answers.printing import STYLES, console, plain, print_json, table
from daemon.documents import Document, status_document
from daemon.documents_alerts import counts_document
from daemon.duty.telling import component
from daemon.past_alerts import open_past
from daemon.world import World
from toban.alerts import Alert
from toban.catalogue import say
from toban.clock import SystemClock
from toban.errors import UnavailableError
from toban.language import Language
from toban.status import NOT_OFFERED


def answer(asked: Asked, *, every: bool, as_json: bool) -> int:
    """Print it; 1 when it is not fine."""
    document = ask(asked.configuration, "/api/v1/status")
    running = document is not None
    if document is None:
        document = measured(asked.configuration, lambda world: _judged(world, _remembered(asked)))
    if as_json:
        print_json({**document, "daemon": running})
    else:
        _show(document, asked, running=running, every=every)
    return 0 if document["health"] == "ok" else 1


def _judged(world: World, alerts: Sequence[Alert]) -> Document:
    """What was measured now, and what fired last: nobody judges anew while no daemon runs."""
    world.components = lambda: [component(alerts, ())]
    return status_document(world.status(), world.zone, counts_document(alerts))


def _remembered(asked: Asked) -> Sequence[Alert]:
    """The alerts that the book has, where there is one."""
    try:
        with open_past(asked.configuration.state_path, SystemClock(), asked.configuration.zone) as book:
            return book.active()
    except UnavailableError:
        return ()


def _show(document: Document, asked: Asked, *, running: bool, every: bool) -> None:
    language, health, out = asked.language, document["health"], console()
    title = plain(say("status.title", language, node=asked.configuration.node))
    verdict = f"[{STYLES[health]}]{say(f'health.{health}', language)}[/]"
    out.print(f"[bold]{title}[/]: {verdict}, {say(f'health.{health}.why', language)}")
    if not running:
        out.print(f"[dim]{say('status.no_daemon', language)}; {say('status.measured_now', language)}[/]")
    out.print(_targets(document["targets"], language))
    for line in [*_own(document), *(r for t in document["targets"] for r in _remarks(t, language, every=every))]:
        out.print(line)
    hidden = 0 if every else sum(_not_offered(target) for target in document["targets"])
    if hidden:
        out.print(f"[dim]{say('status.not_offered', language, count=hidden)}[/]")
    alerts = document["alerts"]
    out.print(say("status.alerts", language, **alerts) if any(alerts.values()) else say("status.no_alerts", language))


def _targets(targets: list[Document], language: Language) -> Table:
    columns = ("name", "kind", "state", "last_success", "reason")
    made = table(say("table.targets", language), *(say(f"column.{column}", language) for column in columns))
    for target in targets:
        state, style = _state(target)
        made.add_row(
            plain(target["name"]),
            say(f"kind.{target['kind']}", language),
            f"[{style}]{say(f'state.{state}', language)}[/]",
            target["last_success_at"] or say("status.never", language),
            plain(target["reason"]),
        )
    return made


def _state(target: Document) -> tuple[str, str]:
    if target["up"] is None:
        return "waiting", "dim"
    if not target["up"]:
        return "down", "bold red"
    wanting = any(c["reason"] not in ("", *NOT_OFFERED) for c in target["collectors"])
    return ("partial", "yellow") if wanting else ("up", "green")


def _own(document: Document) -> list[str]:
    """What is no target has no row in the table; the targets stand last."""
    own = document["components"][: len(document["components"]) - len(document["targets"])]
    wrong = (one for one in own if one["state"] != "ok")
    return [f"[{STYLES[one['state']]}]{plain(one['name'])}[/]: {plain(one['reason'])}" for one in wrong]


def _remarks(target: Document, language: Language, *, every: bool) -> list[str]:
    """One line for each thing that is missing, with the mend."""
    if not target["up"]:
        return [f"[bold]{plain(target['name'])}[/]{_hint(target, language)}"] if target["hint"] else []
    lines = []
    for collector in target["collectors"]:
        name = plain(f"{target['name']}/{collector['name']}")
        if collector["reason"] and (every or collector["reason"] not in NOT_OFFERED):
            reason = say(f"reason.{collector['reason']}", language)
            why = say("status.reason", language, reason=reason, detail=collector["detail"])
            lines.append(f"[yellow]{name}[/]: {plain(why)}{_hint(collector, language)}")
        shown = (gap for gap in collector["gaps"] if every or gap not in collector["not_offered"])
        lines.extend(f"{name}: {plain(gap)}" for gap in shown)
    return lines


def _not_offered(target: Document) -> int:
    """How much of a target that is up is left unsaid, because nobody need mend it."""
    if not target["up"]:
        return 0
    return sum(len(each["not_offered"]) + (each["reason"] in NOT_OFFERED) for each in target["collectors"])


def _hint(told: Document, language: Language) -> str:
    return f"; {plain(say('status.hint', language, hint=told['hint']))}" if told["hint"] else ""
