"""`toban alerts rules`: what is judged, from when on, and who hears of it."""

from fnmatch import fnmatchcase

from rich.console import Console

from alerting.rules.rule import Rule
from daemon.answers.asking import Asked
from daemon.answers.printing import STYLES, console, plain, print_json, table
from daemon.answers.tables import facts_grid
from daemon.configuration.ruling import rules_of
from daemon.documents import Document
from toban.alerts import Severity, Step
from toban.catalogue import say
from toban.config import format_duration
from toban.errors import NotFoundError
from toban.language import Language

COLUMNS = ("rule", "metric", "where", "info", "warning", "critical", "for_span", "notify")
WORST_FIRST = tuple(reversed(Severity))


def answer(asked: Asked, *, name: str | None, as_json: bool) -> int:
    """Print them; 1 where none is called so."""
    rules = sorted(rules_of(asked.configuration), key=lambda rule: rule.name)
    chosen = [rule for rule in rules if name is None or fnmatchcase(rule.name, name)]
    if not chosen:
        raise NotFoundError(f"rule {name}", "none is called so", "toban alerts rules lists them")
    found = [rule_document(rule) for rule in chosen]
    if as_json:
        print_json(found)
    elif name is not None and len(found) == 1:
        _show_one(found[0], asked.language, console())
    else:
        _show_all(found, asked.language, console())
    return 0


def rule_document(rule: Rule) -> Document:
    """One rule, its thresholds as they are written."""
    policy = rule.policy
    return {
        "name": rule.name,
        "metric": rule.metric,
        "function": str(rule.function) if rule.function else "",
        "where": {matcher.name: list(matcher.written) for matcher in rule.where},
        "info": rule.info.text if rule.info else None,
        "warning": rule.warning.text if rule.warning else None,
        "critical": rule.critical.text if rule.critical else None,
        "for_seconds": rule.for_seconds,
        "clear": rule.clear.text if rule.clear else None,
        "keep_seconds": rule.keep_seconds,
        "vanish": rule.vanish,
        "symptom_of": list(rule.symptom_of),
        "excused_by": list(rule.excused_by),
        "notify": {str(severity): list(policy.first.get(severity, ())) for severity in WORST_FIRST},
        "escalation": [_step(step) for step in policy.steps],
        "repeat_seconds": policy.repeat_seconds or None,
        "actions": {str(s): [f"{a.kind} {a.name}" for a in done] for s, done in policy.actions.items() if done},
        "runbook": rule.runbook,
    }


def _step(step: Step) -> Document:
    return {
        "after_seconds": step.after_seconds,
        "notify": list(step.channels),
        "severities": [str(severity) for severity in WORST_FIRST if step.climbs(severity)],
    }


def _show_all(found: list[Document], language: Language, out: Console) -> None:
    made = table(say("table.rules", language), *(say(f"column.{name}", language) for name in COLUMNS))
    for one in found:
        bounds = (one["info"], one["warning"], one["critical"])
        cells = (one["name"], _judged(one), where_text(one["where"]), *(bound or "" for bound in bounds))
        length = format_duration(one["for_seconds"]) if one["for_seconds"] else ""
        told = dict.fromkeys(
            channel for severity, channels in one["notify"].items() if one[severity] for channel in channels
        )
        made.add_row(*map(plain, (*cells, length, ", ".join(told))))
    out.print(made)


def _show_one(one: Document, language: Language, out: Console) -> None:
    """All of it, a line each."""
    facts = facts_grid()
    known = {
        "metric": _judged(one),
        "where": where_text(one["where"]),
        **{name: one[name] for name in ("info", "warning", "critical")},
        "for_span": format_duration(one["for_seconds"]) if one["for_seconds"] else "",
        "clear": one["clear"],
        "keep": format_duration(one["keep_seconds"]) if one["keep_seconds"] else "",
        "cause": ", ".join(one["symptom_of"]),
        "excused": ", ".join(one["excused_by"]),
        "notify": notify_text(one, language),
        "escalation": "; ".join(_rung(step, language) for step in one["escalation"]),
        "repeat": format_duration(one["repeat_seconds"]) if one["repeat_seconds"] else "",
        "actions": "; ".join(f"{severity}: {', '.join(done)}" for severity, done in one["actions"].items()),
        "runbook": one["runbook"],
    }
    out.print(f"[bold]{plain(one['name'])}[/]")
    for name, value in known.items():
        if value:
            style = STYLES.get(name, "dim")
            facts.add_row(f"[{style}]{say(f'column.{name}', language)}[/]", plain(value))
    out.print(facts)


def _judged(one: Document) -> str:
    return f"{one['function']} {one['metric']}".strip()


def where_text(where: dict[str, list[str]]) -> str:
    """`target=main|shop, mount=/srv*`."""
    return ", ".join(f"{name}={'|'.join(patterns)}" for name, patterns in where.items())


def notify_text(one: Document, language: Language) -> str:
    """Which channels hear of which severity; those that no threshold leads to are left out."""
    said = [
        f"{say(f'alerts.severity.{severity}', language)}: {', '.join(channels)}"
        for severity, channels in one["notify"].items()
        if channels and one[severity]
    ]
    return "; ".join(said)


def _rung(step: Document, language: Language) -> str:
    after = format_duration(step["after_seconds"])
    return say("rules.step", language, after=after, channels=", ".join(step["notify"]))
