"""`toban advise indexes`: what to drop, rebuild or create, with the SQL. From the daemon, else measured now."""

from daemon.answers.advising import print_advice
from daemon.answers.asking import Asked, measured
from daemon.answers.narrowing import advice_known, narrowed, tell, unanswered
from daemon.answers.printing import console
from daemon.documents import Document
from daemon.documents_advice import advice_of, index_documents
from daemon.world import World
from toban.catalogue import say
from toban.language import Language

COLLECTOR = "indexes"


def answer(asked: Asked, *, target: str | None, as_json: bool) -> int:
    """Print it, and where none could be given, why."""
    configuration = narrowed(asked.configuration, COLLECTOR, target)
    known = advice_known(asked, COLLECTOR, target)
    documents, silent = known or measured(configuration, lambda world: _told(world, target, asked.language))
    print_advice([advice_of(document) for document in documents], asked, as_json=as_json)
    tell(silent, as_json=as_json)
    if not as_json:
        console().print(f"[dim]{say('advice.indexes_never', asked.language)}[/]")
    return 0


def _told(world: World, target: str | None, language: Language) -> tuple[list[Document], list[str]]:
    return index_documents(world, target, language), list(unanswered(world, COLLECTOR, language))
