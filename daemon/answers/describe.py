"""`toban metrics --describe NAME`: what a metric is, what it is good for, where it comes from, and why it is empty."""

from collections import Counter
from difflib import get_close_matches
from typing import Any

from rich.table import Table

from collectors.custom.settings import PREFIX
from daemon.answers.asking import Asked, ask
from daemon.answers.printing import console, plain, print_json, table
from daemon.documents import Document
from daemon.reference.facts import DAEMON, OWN, Fact, Section, facts, section_of
from toban.catalogue import say
from toban.errors import NotFoundError
from toban.language import Language
from toban.outcomes import Reason


def answer(asked: Asked, *, name: str, as_json: bool) -> int:
    """Print it; 1 when there is no such metric."""
    section = section_of(name)
    if section is None:
        near = get_close_matches(name, [fact.name for fact in facts()], n=1, cutoff=0.5)
        raise NotFoundError(f"metric {name}", "no metric has this name", f"did you mean {near[0]}?" if near else "")
    fact = next((fact for fact in section.facts if fact.name == name), None)
    document = {**described(name, fact, section), "targets": _now(asked, name, section)}
    if as_json:
        print_json(document)
    else:
        _show(document, asked.language)
    return 0


def described(name: str, fact: Fact | None, section: Section) -> Document:
    """What is known of it without measuring; one that only its target knows has no declaration."""
    return {
        "name": name,
        "help": fact.help if fact else "",
        "type": fact.type if fact else "",
        "unit": fact.unit if fact else "",
        "labels": list(fact.labels) if fact else [],
        "kept": fact.kept if fact else False,
        "collector": section.name,
        "kind": section.kind,
        "every": section.every,
        "purpose": f"{section.what} {section.purpose}".strip(),
        "sql": list(section.sql),
    }


def _now(asked: Asked, name: str, section: Section) -> list[Document] | None:
    """For each target that has the collector: how many values there are, and why there are none. None: no daemon."""
    standing = ask(asked.configuration, "/api/v1/targets")
    if standing is None:
        return None
    values = ask(asked.configuration, "/api/v1/metrics", match=name) or []
    if section.kind == DAEMON:
        return _own(values, section)
    return [
        _target(target, pair, sum(_brought(value, target["name"], pair["name"]) for value in values))
        for target in standing
        for pair in target["collectors"]
        if pair["name"].partition(":")[0] == section.name
    ]


def _brought(value: Document, target: str, pair: str) -> bool:
    """Whether it is of this target, and of this entry where the collector is a list."""
    others = dict(value["labels"])
    if others.pop("target", None) != target:
        return False
    entry = pair.partition(":")[2]
    return not entry or entry in others.values() or str(value["name"]).startswith(f"{PREFIX}{entry}_")


def _own(values: list[Document], section: Section) -> list[Document]:
    """What the daemon tells by itself, of targets and of its own: nobody has to be asked for it."""
    told = Counter(value["labels"].get("target", OWN) for value in values) or Counter({OWN: 0})
    nothing: Document = {"reason": "", "detail": "", "hint": "", "gaps": []}
    return [
        {"target": target, "collector": section.name, "series": series, **nothing}
        for target, series in sorted(told.items())
    ]


def _target(target: Document, pair: Document, series: int) -> Document:
    reason = pair["reason"] or ("" if target["up"] else target["reason"])
    return {
        "target": target["name"],
        "collector": pair["name"],
        "series": series,
        "reason": reason,
        "detail": pair["detail"],
        "hint": pair["hint"],
        "gaps": pair["gaps"],
    }


def _show(document: Document, language: Language) -> None:
    out = console()
    out.print(f"[bold]{document['name']}[/]  {plain(document['help'])}")
    for key in ("type", "unit", "labels", "collector", "kind", "every", "purpose", "sql"):
        if document[key]:
            out.print(f"  {say(f'describe.{key}', language)}: {plain(_said(document[key]))}")
    out.print(f"  {say('describe.kept' if document['kept'] else 'describe.not_kept', language)}")
    if document["targets"] is None:
        out.print(f"[dim]{say('status.no_daemon', language)}[/]")
    elif document["targets"]:
        out.print(_table(document["targets"], language))
    else:
        out.print(say("describe.nowhere", language, kind=document["kind"]))


def _said(value: Any) -> str:  # noqa: ANN401 - a text or a list of them
    return value if isinstance(value, str) else ", ".join(value)


def _table(targets: list[Document], language: Language) -> Table:
    columns = ("target", "collector", "values", "reason")
    made = table("", *(say(f"column.{column}", language) for column in columns))
    for one in targets:
        made.add_row(plain(one["target"]), plain(one["collector"]), str(one["series"]), plain(_why(one, language)))
    return made


def _why(one: Document, language: Language) -> str:
    """Why there is nothing; where there is something, what was left out."""
    word = one["reason"].partition(":")[0]
    if word in set(Reason):
        said = [say(f"reason.{word}", language), one["detail"], one["hint"]]
    elif one["series"]:
        said = one["gaps"]
    else:
        said = one["gaps"] or [say("describe.nothing_to_tell", language)]
    return "; ".join(part for part in said if part)
