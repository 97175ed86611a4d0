"""`toban advise security`: what is open, expired, out of date or left lying about, the gravest first."""

from collectors import COLLECTORS
from collectors.contract import Kind
from daemon.answers.advising import print_advice
from daemon.answers.asking import Asked, measured
from daemon.answers.narrowing import known_about, must_be_there, tell, unanswered
from daemon.configuration.tree import Configuration
from daemon.documents import Document
from daemon.documents_advice import advice_of, security_documents
from daemon.security_advice import COLLECTORS_OF_SECURITY
from daemon.world import World

PATIENCE_SECONDS = 10.0  # a person waits for the package manager, a turn of the daemon does not
Told = tuple[list[Document], list[str]]


def answer(asked: Asked, *, target: str | None, as_json: bool) -> int:
    """Print it, and what could not be looked at."""
    must_be_there(asked.configuration, target)
    documents, silent = _told(asked, target)
    print_advice([advice_of(document) for document in documents], asked, as_json=as_json)
    tell(silent, as_json=as_json)
    return 0


def _told(asked: Asked, target: str | None) -> Told:
    known = known_about(asked, "security", COLLECTORS_OF_SECURITY, target)
    if known is not None:
        return known

    def told(world: World) -> Told:
        titles = {title for watch in world.watches.values() for title in watch.ledgers}
        silent = [line for title in sorted(titles) for line in unanswered(world, title, asked.language)]
        return security_documents(world, target, asked.language), silent

    return measured(_narrowed(asked.configuration, target), told)


def _narrowed(configuration: Configuration, target: str | None) -> Configuration:
    """No collector but those of security, and no target but the one that was asked for."""
    kept = [each for each in COLLECTORS if each.name in COLLECTORS_OF_SECURITY]
    targets = tuple(
        each
        for each in configuration.targets
        if target in (None, each.name) and any(one.serves(Kind(each.kind)) for one in kept)
    )
    silenced = {
        each.name: () if each.listed else configuration.settings_of(each.name).model_copy(update={"enabled": False})
        for each in COLLECTORS
        if each.name not in COLLECTORS_OF_SECURITY
    }
    silenced["security"] = configuration.settings_of("security").model_copy(update={"patience": PATIENCE_SECONDS})
    collect = configuration.collect.model_copy(update=silenced)
    return configuration.model_copy(update={"targets": targets, "collect": collect})
