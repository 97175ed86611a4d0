"""What `toban setup postgresql` finds on a server: read only, and in every database that can be visited."""

import csv
import json
from dataclasses import replace
from typing import Any

import asyncpg

from collectors.postgresql.server import DownError, PostgresServer, ServerLimits
from collectors.postgresql.sql import Query
from daemon.setup.plan import LIBRARY, Facts, Keeping
from toban.clock import Clock
from toban.errors import TobanError, UnavailableError
from toban.outcomes import Failure
from toban.secrets import Dsn

WHAT = "setup postgresql"
CONNECT_SECONDS = 10.0
_SETUP = Query("setup")
_FILES = Query("setup_files")
_DATABASES = Query("visited_databases")
_SEQUENCES = Query("setup_sequences")
_BACKUPS = Query("setup_backups")


async def look(dsn: Dsn, role: str, clock: Clock, *, backups: bool = False) -> Facts:
    """What the server has, with `backups` also for those. Raises an error for the operator when it cannot be asked."""
    server = PostgresServer(dsn, clock, ServerLimits(connect_timeout=CONNECT_SECONDS))
    try:
        (row,) = await server.fetch(_SETUP, role)
        files = await server.fetch(_FILES) if row["sees_files"] else []
        facts = facts_of(dict(row), files[0]["preloaded"] if files else None)
        if backups:
            (kept,) = await server.fetch(_BACKUPS, role)
            facts = replace(facts, keeping=Keeping(**dict(kept)))
        return facts if facts.standby or facts.role_is_superuser else await _toured(server, facts)
    except Exception as error:  # the source has a reason for each, and one for a fault of our own
        raise unavailable(server.explain(error)) from error
    finally:
        await server.close()


def facts_of(row: dict[str, Any], configured: str | None) -> Facts:
    """The query's one row. `configured` are the libraries that the files name, when they may be read."""
    seen = {name: value for name, value in row.items() if name in Facts.__slots__}
    seen["role_settings"] = frozenset(entry.partition("=")[0] for entry in json.loads(row["role_settings"] or "[]"))
    seen["closed_databases"] = tuple(json.loads(row["closed_databases"] or "[]"))
    seen["preload_seen"] = row["preloaded"] is not None
    seen["running"] = libraries(row["preloaded"] or "")
    seen["preloaded"] = seen["running"] if configured is None else libraries(configured)
    if configured is None and row["preload_pending"]:
        seen["preloaded"] = (*seen["running"], LIBRARY)  # changed, but not to be seen: taken to be this
    return Facts(**seen)


def libraries(setting: str) -> tuple[str, ...]:
    """The members of a setting like shared_preload_libraries: commas between them, some in double quotes."""
    (members,) = csv.reader([setting], skipinitialspace=True) if setting.strip() else ([],)
    return tuple(member.strip() for member in members if member.strip())


def unavailable(failure: Failure) -> TobanError:
    """The error for the operator behind a server's refusal."""
    kind = UnavailableError if failure.down else TobanError
    return kind(WHAT, f"{failure.reason}: {failure.detail}", failure.hint)


async def _toured(server: PostgresServer, facts: Facts) -> Facts:
    """With what only each database itself can tell. One that does not let us in keeps no other from being seen."""
    hidden, unseen = [], []
    for row in await server.fetch(_DATABASES):
        database = row["datname"]
        try:
            async with server.visiting(database) as visit:
                schemas = tuple(found["schemaname"] for found in await visit.fetch(_SEQUENCES, facts.role))
        except DownError:
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            unseen.append((database, server.explain(error).detail))
        else:
            hidden += [(database, schemas)] if schemas else []
    return replace(facts, hidden_sequences=tuple(hidden), unseen_databases=tuple(unseen))
