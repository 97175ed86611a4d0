"""A configuration cut down to what a question needs, so that the answer does not wait for everything else."""

import sys
from collections.abc import Iterable, Iterator

from collectors import COLLECTORS
from collectors.contract import Kind
from daemon.answers.asking import Asked, ask
from daemon.answers.printing import console, plain
from daemon.configuration.tree import Configuration
from daemon.documents import Document
from daemon.world import World
from toban.catalogue import say, say_reason
from toban.errors import NotFoundError
from toban.language import Language
from toban.outcomes import Gap, Reason
from toban.printable import printable


def must_be_there(configuration: Configuration, target: str | None, *, own: bool = False) -> None:
    """A target that there is not is an error, and no empty answer; `own` where Toban itself may be meant."""
    names = [*(each.name for each in configuration.targets), *(["toban"] if own else [])]
    if target is not None and target not in names:
        raise NotFoundError(f"target {target}", "no target has this name", f"there are: {', '.join(names)}")


def narrowed(configuration: Configuration, collector: str, target: str | None) -> Configuration:
    """The targets that the collector serves, and it alone, switched on. A target that there is not is an error."""
    must_be_there(configuration, target)
    (serving,) = (each for each in COLLECTORS if each.name == collector)
    targets = tuple(each for each in configuration.targets if serving.serves(Kind(each.kind)))
    chosen = {
        each.name: ()
        if each.listed
        else configuration.settings_of(each.name).model_copy(update={"enabled": each.name == collector})
        for each in COLLECTORS
    }
    collect = configuration.collect.model_copy(update=chosen)
    return configuration.model_copy(update={"targets": targets, "collect": collect})


def advice_known(asked: Asked, collector: str, target: str | None) -> tuple[list[Document], list[str]] | None:
    """The running daemon's advice, and what it could not judge; None where none runs, or it does not measure this."""
    if not asked.configuration.settings_of(collector).enabled:
        return None
    return known_about(asked, collector, (collector,), target)


def known_about(
    asked: Asked, about: str, collectors: Iterable[str], target: str | None
) -> tuple[list[Document], list[str]] | None:
    """The running daemon's advice, and what those collectors could not judge that it rests on; None where none runs."""
    documents = ask(asked.configuration, f"/api/v1/advice/{about}", target=target)
    if documents is None:
        return None
    status = ask(asked.configuration, "/api/v1/status") or {"targets": []}
    told = [each for each in status["targets"] if target in (None, each["name"])]
    return documents, [line for each in collectors for line in _unanswered_there(told, each, asked.language)]


def _unanswered_there(targets: Iterable[Document], collector: str, language: Language) -> Iterator[str]:
    for each in targets:
        for pair in (pair for pair in each["collectors"] if pair["name"].partition(":")[0] == collector):
            what = pair["name"]
            if pair["reason"]:
                gap = Gap(what=what, reason=Reason(pair["reason"]), detail=pair["detail"], hint=pair["hint"])
                yield gap_line(each["name"], gap, language)
            elif pair["last_success_at"] is None:
                why = say("state.waiting", language)
                yield say("advice.without", language, target=each["name"], what=what, why=why)
            yield from (f"{each['name']}: {gap}" for gap in pair["gaps"])


def unanswered(world: World, collector: str, language: Language) -> Iterator[str]:
    """What was asked in vain, target by target, and why."""
    for name, watch in world.watches.items():
        ledger = watch.ledgers[collector]
        failure = ledger.failure
        if failure is not None:
            whole = Gap(what=collector, reason=failure.reason, detail=failure.detail, hint=failure.hint)
            yield gap_line(name, whole, language)
        yield from (gap_line(name, gap, language) for gap in (ledger.last.gaps if ledger.last else ()))


def gap_line(target: str, gap: Gap, language: Language) -> str:
    """What is missing at a target, why, and the mend."""
    why = say("status.reason", language, reason=say_reason(gap.reason, language), detail=gap.detail)
    hint = f"; {say('status.hint', language, hint=gap.hint)}" if gap.hint else ""
    return say("advice.without", language, target=target, what=gap.what, why=why) + hint


def tell(lines: Iterable[str], *, as_json: bool) -> None:
    """Below the answer for people; beside it, on standard error, where programs read the answer."""
    for line in lines:
        if as_json:
            print(printable(line), file=sys.stderr)
        else:
            console().print(f"[yellow]{plain(line)}[/]")
