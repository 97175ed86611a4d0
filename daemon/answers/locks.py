"""`toban locks`: who blocks whom, as trees; from the running daemon, else measured here and now, and that alone."""

from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.tree import Tree

from collectors import COLLECTORS
from collectors.contract import Kind
from collectors.postgresql.locks import Locks
from daemon.answers.asking import Asked, ask, measured
from daemon.answers.printing import console, plain, print_json
from daemon.configuration.tree import Configuration
from daemon.documents import Document, target_document
from daemon.documents_locks import lock_documents
from daemon.world import World
from toban.catalogue import say
from toban.errors import NotFoundError, UnavailableError
from toban.language import Language
from toban.locks import LockSession
from toban.printable import printable
from toban.units import seconds_text

QUERY_LETTERS = 200


def answer(asked: Asked, *, target: str | None, as_json: bool) -> int:
    """Print them; 1 when a target could not be asked."""
    narrowed = _narrowed(asked.configuration, target)
    nodes = ask(asked.configuration, "/api/v1/locks", target=target)
    if nodes is None:
        nodes, targets = measured(narrowed, _measured)
    else:
        targets = ask(asked.configuration, "/api/v1/targets") or []
    names = {t.name for t in narrowed.targets}
    known = [t for t in targets if t["name"] in names]
    unknown = names - {t["name"] for t in known}  # written since the daemon read its configuration
    asked_in_vain = dict(_unasked(known, asked.language)) | dict.fromkeys(unknown, say("locks.untried", asked.language))
    if asked_in_vain and asked_in_vain.keys() == names:
        name, reason = next(iter(asked_in_vain.items()))
        raise UnavailableError(f"target {name}", reason)
    if as_json:
        print_json(nodes)
    else:
        _show(nodes, asked_in_vain, asked.language, console())
    return 1 if asked_in_vain else 0


def _narrowed(configuration: Configuration, target: str | None) -> Configuration:
    """The PostgreSQL targets asked about, and of the collectors only this one, be it switched off for the daemon."""
    served = [t for t in configuration.targets if Locks.serves(Kind(t.kind))]
    chosen = [t for t in served if target in (None, t.name)]
    if not chosen:
        names = ", ".join(t.name for t in served) or "none"
        why = "no PostgreSQL target has this name" if target else "no target is a PostgreSQL server"
        raise NotFoundError(f"target {target}" if target else "locks", why, f"there are: {names}")
    only: dict[str, Any] = {}
    for collector in COLLECTORS:
        if collector.listed:
            only[collector.name] = ()
        else:
            settings = configuration.settings_of(collector.name)
            only[collector.name] = settings.model_copy(update={"enabled": collector is Locks})
    collect = configuration.collect.model_copy(update=only)
    return configuration.model_copy(update={"targets": tuple(chosen), "collect": collect})


def _measured(world: World) -> tuple[list[Document], list[Document]]:
    """The nodes, and how the targets stand."""
    rows = world.current.rows(world.clock.monotonic(), LockSession)
    return lock_documents(rows), [target_document(w.standing(), world.zone) for w in world.watches.values()]


def _unasked(targets: list[Document], language: Language) -> Iterator[tuple[str, str]]:
    """The targets whose locks are not known, each with its reason."""
    for target in targets:
        pair = next((pair for pair in target["collectors"] if pair["name"] == Locks.name), None)
        if pair is None:
            yield target["name"], say("locks.off", language)
        elif target["up"] is False:
            yield target["name"], target["reason"]
        elif pair["reason"]:
            yield target["name"], f"{pair['reason']}: {pair['detail']}"
        elif pair["last_success_at"] is None:
            yield target["name"], say("locks.untried", language)


def _show(nodes: list[Document], unasked: dict[str, str], language: Language, out: Console) -> None:
    for target, reason in unasked.items():
        out.print(f"[yellow]{plain(say('locks.unasked', language, target=target, reason=reason))}[/]")
    if not nodes:
        out.print(say("locks.none", language))
        return
    for target in dict.fromkeys(node["target"] for node in nodes):
        out.print(_tree(target, [node for node in nodes if node["target"] == target], language))
    to_run = list(_to_run(nodes, language))
    if to_run:
        out.print(say("locks.run", language))
    for line in to_run:  # unwrapped and unadorned, so that it can be copied
        out.print(printable(line), soft_wrap=True, markup=False, highlight=False)


def _tree(target: str, nodes: list[Document], language: Language) -> Tree:
    """Nodes come parents first: the one above is the last of the depth before."""
    roots = sum(node["root"] for node in nodes)
    waiting = sum(bool(node["blocked_by"]) for node in nodes)
    made = Tree(plain(say("locks.target", language, target=target, waiting=waiting, roots=roots)))
    branches = [made]
    above: list[object] = []
    for node in nodes:
        depth = node["depth"]
        above[depth:], branches[depth + 1 :] = [node["prepared"] or node["pid"]], []
        others = [
            str(who) for who in (*filter(None, node["blocked_by"]), *node["blocked_by_prepared"]) if who not in above
        ]
        branches.append(branches[depth].add(_label(node, others, language)))
    return made


def _label(node: Document, others: list[str], language: Language) -> str:
    name = (
        say("locks.prepared", language, name=node["prepared"])
        if node["prepared"]
        else say("locks.session", language, pid=node["pid"])
    )
    who = " ".join(filter(None, (f"{node['user']}@{node['database']}", node["application"])))
    style = "bold red" if node["root"] else "bold"
    said = [f"[{style}]{plain(name)}[/]", plain(who), *map(plain, _doing(node, others, language))]
    query = f"\n[dim]{plain(node['query'][:QUERY_LETTERS])}[/]" if node["query"] else ""
    return ", ".join(said) + query


def _doing(node: Document, others: list[str], language: Language) -> Iterator[str]:
    """What it is at, what it waits for, `others` than those above it among them, and whom it holds up."""
    if node["wait_seconds"] is None:
        span = node["transaction_seconds"]
        state = node["state"]
        yield state if span is None else say("locks.since", language, state=state, span=seconds_text(span, language))
    else:
        thing = node["relation"] or node["lock_type"]
        lock = say("locks.lock_on", language, mode=node["lock"], thing=thing)
        yield say("locks.waits", language, span=seconds_text(node["wait_seconds"], language), lock=lock)
    if node["cycle"]:
        yield say("locks.cycle", language)
    elif others:
        yield say("locks.also", language, others=", ".join(others))
    if node["victims"]:
        yield say("locks.victims", language, count=node["victims"])


def _to_run(nodes: list[Document], language: Language) -> Iterator[str]:
    """The statements, each place once: a prepared transaction can be ended in its own database alone."""
    place = ""
    for node in (node for node in nodes if node["run"]):
        target, database = node["target"], node["database"]
        here = say("locks.place", language, target=target, database=database) if node["prepared"] else target
        if here != place:
            place = here
            yield f"-- {place}"
        yield node["run"]
