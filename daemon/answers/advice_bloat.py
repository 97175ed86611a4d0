"""`toban advise bloat`: what takes more room than it needs, by estimate, or counted by pgstattuple on demand."""

import asyncio

from collectors.postgresql.bloat_advice import bloat_advice
from collectors.postgresql.bloat_exact import Counted, count_all
from collectors.postgresql.server import PostgresServer
from daemon.answers.advising import print_advice
from daemon.answers.asking import Asked, measured
from daemon.answers.narrowing import advice_known, gap_line, narrowed, tell, unanswered
from daemon.configuration.targets import PostgresqlTarget
from daemon.configuration.tree import Configuration
from daemon.documents import Document
from daemon.documents_advice import advice_document, advice_of, bloat_documents
from daemon.wiring import open_source
from daemon.world import World
from toban.clock import SystemClock
from toban.language import Language

COLLECTOR = "bloat"
EXACT_SECONDS = 600.0  # for one table; the daemon's own limit is for what is asked all day
Told = tuple[list[Document], list[str]]


def answer(asked: Asked, *, target: str | None, exact: bool, database: str | None, top: int, as_json: bool) -> int:
    """Print it; 1 when it was to be counted and nothing could be."""
    configuration = narrowed(asked.configuration, COLLECTOR, target)
    if exact:
        documents, silent = asyncio.run(_counted(configuration, asked.language, target, database, top))
    else:
        known = advice_known(asked, COLLECTOR, target)
        documents, silent = known or measured(configuration, lambda world: _told(world, target, asked.language))
    documents = [document for document in documents if database in (None, document["database"])]
    print_advice([advice_of(document) for document in documents], asked, as_json=as_json)
    tell(silent, as_json=as_json)
    return 1 if exact and silent and not documents else 0


def _told(world: World, target: str | None, language: Language) -> Told:
    return bloat_documents(world, target, language), list(unanswered(world, COLLECTOR, language))


async def _counted(
    configuration: Configuration, language: Language, target: str | None, database: str | None, top: int
) -> Told:
    documents: list[Document] = []
    lines: list[str] = []
    for each in configuration.targets:
        if isinstance(each, PostgresqlTarget) and target in (None, each.name):
            counted = await _counted_at(each, database, top)
            advice = bloat_advice((each.name, row) for row in counted.found)
            documents += [advice_document(one, language) for one in advice]
            lines += [gap_line(each.name, gap, language) for gap in counted.gaps]
    return documents, lines


async def _counted_at(target: PostgresqlTarget, database: str | None, top: int) -> Counted:
    limits = target.limits.model_copy(update={"statement_timeout": EXACT_SECONDS})
    server = open_source(target.model_copy(update={"limits": limits}), SystemClock())
    assert isinstance(server, PostgresServer)  # noqa: S101 - what such a target opens
    try:
        return await count_all(server, [database] if database else None, top)
    finally:
        await server.close()
