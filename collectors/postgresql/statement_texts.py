"""The texts of statements: asked for rarely, a few at a time, cut by the server, and without literals."""

from collections.abc import Set as AbstractSet

import asyncpg

from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import Query
from toban.outcomes import Gap
from toban.statements import StatementText, blot_literals

MISSING_SECONDS = 600.0  # before one that had no answer is asked for again
TEXT_LENGTH = 2000
_TEXTS = Query("statement_texts")


class Texts:
    """Remembers which texts were handed on, and when it asked last."""

    def __init__(self, server: PostgresServer, new_seconds: float) -> None:
        self._server = server
        self._new_seconds = new_seconds
        self._known: set[int] = set()
        self._asked: set[int] = set()
        self._asked_at: float | None = None

    async def fetch(self, schema: str, needed: AbstractSet[int], at: float) -> tuple[list[StatementText], list[Gap]]:
        """The texts of those among `needed` that are not yet known, if it is time to ask. `at` is monotonic."""
        self._known &= needed
        self._asked &= needed
        missing = needed - self._known
        if not self._due(missing, at):
            return [], []
        self._asked_at = at
        self._asked |= missing
        try:
            rows = await self._server.fetch(_TEXTS, list(missing), TEXT_LENGTH, schema=schema)
        except asyncpg.PostgresError as error:  # one text in a foreign encoding is enough; the numbers stay good
            failure = self._server.explain(error)
            return [], [Gap(what="statement texts", reason=failure.reason, detail=failure.detail, hint=failure.hint)]
        texts = {row["queryid"]: row["text"] for row in rows if row["text"] is not None}
        self._known |= texts.keys()
        return [StatementText(queryid=str(q), text=blot_literals(text)) for q, text in texts.items()], []

    def _due(self, missing: AbstractSet[int], at: float) -> bool:
        if not missing or self._asked_at is None:
            return bool(missing)
        return at - self._asked_at >= (self._new_seconds if missing - self._asked else MISSING_SECONDS)
