"""Bloat as pgstattuple counts it, on demand: it reads whole tables, so only those that are said to be worth it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import asyncpg

from collectors.postgresql.bloat import BTREES, MOST_MEASURED, TABLES, estimates
from collectors.postgresql.server import DownError, PostgresServer, Visit
from collectors.postgresql.sql import Query
from collectors.postgresql.tour import databases_of, locked_gap
from toban.bloat import Bloat
from toban.outcomes import Failure, Gap, Reason

_LOCATED, _TABLE, _INDEX = Query("pgstattuple"), Query("bloat_exact_table"), Query("bloat_exact_index")
TROUBLE = (DownError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_MISSING = Failure(
    reason=Reason.EXTENSION_MISSING,
    detail="pgstattuple is not installed in this database",
    hint="CREATE EXTENSION pgstattuple there; it is among PostgreSQL's contrib modules",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted in one database, and what could not be."""

    found: tuple[Bloat, ...] = ()
    gaps: tuple[Gap, ...] = ()


async def count_all(server: PostgresServer, databases: Sequence[str] | None, top: int) -> Counted:
    """The given databases, else all that are looked at. What keeps us from one is told, and the next one is counted."""
    found: list[Bloat] = []
    gaps: list[Gap] = []
    try:
        for database in await databases_of(server) if databases is None else databases:
            counted = await count_bloat(server, database, top)
            found += counted.found
            gaps += counted.gaps
    except TROUBLE as error:
        gaps.append(_gap("exact bloat", server.explain(error)))
    return Counted(found=tuple(found), gaps=tuple(gaps))


async def count_bloat(server: PostgresServer, database: str, top: int) -> Counted:
    """The tables and indexes that may be the most bloated, `top` of each, counted one by one."""
    what = f"exact bloat of {database}"
    try:
        async with server.visiting(database) as visit:
            located = await visit.fetch(_LOCATED)
            if not located:
                return Counted(gaps=(_gap(what, _MISSING),))
            tables = await visit.fetch(TABLES, MOST_MEASURED)
            indexes = await visit.fetch(BTREES, MOST_MEASURED)
            chosen = [*_worst(database, tables, top), *_worst(database, indexes, top)]
            counted = await _count(server, visit, located[0]["schema"], chosen)
            held = locked_gap("exact bloat", database, sum(row["held"] for row in (*tables, *indexes)))
            return replace(counted, gaps=(*held, *counted.gaps))
    except TROUBLE as error:
        return Counted(gaps=(_gap(what, server.explain(error)),))


def _worst(database: str, rows: Sequence[Any], top: int) -> list[Bloat]:
    """Those that may have most to give back: what nobody can estimate may be nothing but bloat."""
    return estimates(database, [{**row, "ideal_bytes": row["ideal_bytes"] or 0.0} for row in rows])[:top]


async def _count(server: PostgresServer, visit: Visit, schema: str, chosen: Sequence[Bloat]) -> Counted:
    """One that is locked or takes too long is left out, and the next one is counted."""
    found, gaps = [], []
    for one in chosen:
        query, name = (_INDEX, one.index) if one.index else (_TABLE, one.table)
        try:
            (row,) = await visit.fetch(query, one.schema, name, schema=schema)
        except TROUBLE as error:
            gaps.append(_gap(f"exact bloat of {one.database}: {one.schema}.{name}", server.explain(error)))
            if not isinstance(error, asyncpg.PostgresError):
                break  # the connection is gone; what was counted before is not lost with it
        else:
            size, bloat = row["size_bytes"], row["bloat_bytes"]
            found.append(replace(one, size_bytes=size, bloat_bytes=bloat, exact=True, standby=server.in_recovery))
    return Counted(found=tuple(found), gaps=tuple(gaps))


def _gap(what: str, failure: Failure) -> Gap:
    return Gap(what=what, reason=failure.reason, detail=failure.detail, hint=failure.hint)
