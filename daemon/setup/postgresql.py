"""`toban setup postgresql`: look at a server, read only; print in SQL what it lacks for Toban, or run that."""

import asyncio
import csv
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import typer

from collectors.postgresql.failures import explain, explain_refusal
from collectors.postgresql.server import PostgresServer, ServerLimits
from collectors.postgresql.sql import Query
from daemon.setup.plan import LIBRARY, Facts, Plan, Step, plan
from toban.catalogue import say
from toban.clock import Clock, SystemClock
from toban.errors import TobanError, UnavailableError, UsageError
from toban.language import Language
from toban.outcomes import Failure
from toban.printable import printable
from toban.secrets import Dsn

WHAT = "setup postgresql"
CONNECT_SECONDS = 10.0
STATEMENT_SECONDS = 60.0
SCHEMES = frozenset({"postgresql", "postgres"})
_SETUP = Query("setup")
_FILES = Query("setup_files")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one statement went."""

    step: Step
    failure: Failure | None


def setup(written: str, *, role: str, apply: bool, as_json: bool, language: Language) -> int:
    """Print what is missing, or run it. The exit status: 1 when a statement was refused."""
    dsn = _readable(written)
    facts = asyncio.run(look(dsn, role, SystemClock()))
    found = plan(facts)
    if not apply:
        typer.echo(_as_json(found, None) if as_json else "\n".join(_preview(found, facts, language)))
        return 0
    ran = asyncio.run(_applied(dsn, found, tell=not as_json))
    typer.echo(_as_json(found, ran) if as_json else "\n".join(_conclusion(found, ran, language)))
    return int(any(one.failure for one in ran))


async def look(dsn: Dsn, role: str, clock: Clock) -> Facts:
    """What the server has. Raises an error for the operator when it cannot be asked."""
    server = PostgresServer(dsn, clock, ServerLimits(connect_timeout=CONNECT_SECONDS))
    try:
        (row,) = await server.fetch(_SETUP, role)
        files = await server.fetch(_FILES) if row["sees_files"] else []
    except Exception as error:  # the source has a reason for each, and one for a fault of our own
        raise _unavailable(server.explain(error)) from error
    finally:
        await server.close()
    return facts_of(dict(row), files[0]["preloaded"] if files else None)


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


async def apply(dsn: Dsn, steps: tuple[Step, ...]) -> AsyncIterator[Ran]:
    """Run the statements one by one, up to the first that is refused: the others lean on it."""
    try:
        connection = await asyncpg.connect(
            dsn.reveal(),
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings={"application_name": "toban setup", "default_transaction_read_only": "off"},
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise _unavailable(explain_refusal(error, dsn)) from error
    try:
        for step in steps:
            ran = await _run(connection, step, dsn)
            yield ran
            if ran.failure is not None:
                return
    finally:
        connection.terminate()


async def _run(connection: Any, step: Step, dsn: Dsn) -> Ran:  # noqa: ANN401 - asyncpg ships no types
    try:
        await connection.execute(step.sql)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return Ran(step=step, failure=explain(error, dsn))
    return Ran(step=step, failure=None)


async def _applied(dsn: Dsn, found: Plan, *, tell: bool) -> list[Ran]:
    ran = []
    if found.steps:
        async for one in apply(dsn, found.steps):
            ran.append(one)
            if tell:
                typer.echo(_told(one))
    return ran


def _told(one: Ran) -> str:
    sql = printable(one.step.sql)
    return f"ok: {sql}" if one.failure is None else f"{one.failure.reason}: {sql}: {printable(one.failure.detail)}"


def _preview(found: Plan, facts: Facts, language: Language) -> Iterator[str]:
    """A script for psql: what is no SQL is a comment."""
    if found.steps:
        yield f"-- {say('setup.preview', language, database=printable(facts.database))}\n"
    for step in found.steps:
        yield f"-- {printable(step.why)}\n{step.sql};\n"
    for line in _closing(found, language):
        yield f"-- {line}"


def _conclusion(found: Plan, ran: list[Ran], language: Language) -> Iterator[str]:
    done = sum(one.failure is None for one in ran)
    if done:
        yield say("setup.applied", language, count=done)
    if done < len(found.steps):
        yield say("setup.stopped", language, count=len(found.steps) - done)
    else:
        yield from _closing(found, language)


def _closing(found: Plan, language: Language) -> Iterator[str]:
    if not found.steps:
        yield say("setup.nothing", language)
    if found.restart:
        yield say("setup.restart", language, settings=", ".join(found.restart))
    yield from map(printable, found.advice)


def _as_json(found: Plan, ran: list[Ran] | None) -> str:
    document: dict[str, object] = {
        "missing": [{"sql": step.sql, "why": step.why, "needs_restart": step.needs_restart} for step in found.steps],
        "advice": list(found.advice),
        "restart": list(found.restart),
    }
    if ran is not None:
        document["applied"] = [_outcome(one) for one in ran]
    return json.dumps(document, ensure_ascii=False)


def _outcome(one: Ran) -> dict[str, object]:
    failure = one.failure
    return {
        "sql": one.step.sql,
        "ok": failure is None,
        "reason": failure.reason if failure else None,
        "detail": failure.detail if failure else None,
    }


def _readable(written: str) -> Dsn:
    dsn = Dsn(written)
    if dsn.fault or dsn.parts.scheme not in SCHEMES:
        why = dsn.fault or "begins with another scheme"
        raise UsageError(WHAT, f"the DSN {why}", "write postgresql://user@host:port/database")
    return dsn


def _unavailable(failure: Failure) -> TobanError:
    kind = UnavailableError if failure.down else TobanError
    return kind(WHAT, f"{failure.reason}: {failure.detail}", failure.hint)
