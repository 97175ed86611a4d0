"""`toban setup postgresql`: look at a server, read only; print in SQL what it lacks for Toban, or run that."""

import asyncio
import json
from collections.abc import Iterator
from itertools import groupby

import typer

from collectors.postgresql.sql import quote_identifier
from daemon.setup.applying import Ran, apply
from daemon.setup.looking import WHAT, look
from daemon.setup.plan import Facts, Plan, Step, plan
from toban.catalogue import say
from toban.clock import SystemClock
from toban.errors import UsageError
from toban.language import Language
from toban.printable import printable
from toban.secrets import Dsn

ROLE_BYTES = 63
SCHEMES = frozenset({"postgresql", "postgres"})
READ_AS_AN_ADDRESS = ("postgresql://", "postgres://")  # by psql, where it expects a database's name


def setup(written: str, *, role: str, apply: bool, as_json: bool, language: Language, backups: bool = False) -> int:
    """Print what is missing, or run it. The exit status: 1 when a statement was refused."""
    dsn = _readable(written)
    if not 0 < len(role.encode(errors="replace")) <= ROLE_BYTES:
        raise UsageError("--role", f"a role's name has 1 to {ROLE_BYTES} bytes; PostgreSQL cuts longer ones")
    facts = asyncio.run(look(dsn, role, SystemClock(), backups=backups))
    found = plan(facts)
    if not apply:
        typer.echo(_as_json(found, None, facts) if as_json else "\n".join(_preview(found, facts, language)))
        return 0
    ran = asyncio.run(_applied(dsn, found, facts, tell=not as_json))
    typer.echo(_as_json(found, ran, facts) if as_json else "\n".join(_conclusion(found, ran, language)))
    return int(any(one.failure for one in ran))


async def _applied(dsn: Dsn, found: Plan, facts: Facts, *, tell: bool) -> list[Ran]:
    ran = []
    async for one in apply(dsn, found.steps):
        ran.append(one)
        if tell:
            typer.echo(_told(one, facts))
    return ran


def _told(one: Ran, facts: Facts) -> str:
    database = one.step.database
    where = "" if database in (None, facts.database) else f"{database}: "
    sql = printable(f"{where}{one.step.sql}")
    return f"ok: {sql}" if one.failure is None else f"{one.failure.reason}: {sql}: {printable(one.failure.detail)}"


def _preview(found: Plan, facts: Facts, language: Language) -> Iterator[str]:
    """A script for psql: what is no SQL is a comment."""
    if found.steps:
        yield f"-- {say('setup.preview', language, database=printable(facts.database))}\n"
    for database, steps in groupby(found.steps, key=lambda step: step.database):
        yield from script(database, list(steps))
    for line in _closing(found, language):
        yield f"-- {line}"


def script(database: str | None, steps: list[Step]) -> Iterator[str]:
    """The part of the script that is for one database; None is the one that it begins in."""
    if database is not None and any(end in database for end in "\r\n"):
        yield f"-- {printable(database)}: no name that psql could connect to; --apply can\n"
        return
    if database is not None:
        yield connecting(database)
    if not all(step.sql.isascii() for step in steps):
        yield "\\encoding UTF8"  # this script is; psql takes it to be written as the database is
    for step in steps:
        yield f"-- {printable(step.why)}\n{step.sql};\n"


def connecting(database: str) -> str:
    """Psql's command for going to another database. What it would take for a whole DSN is written as one."""
    if "=" in database or database.startswith(READ_AS_AN_ADDRESS):
        value = database.replace("\\", "\\\\").replace("'", "\\'")
        named = quote_identifier(f"dbname='{value}'")
        return f"\\connect -reuse-previous=on {named}"
    return f"\\connect {quote_identifier(database)}"


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


def _as_json(found: Plan, ran: list[Ran] | None, facts: Facts) -> str:
    document: dict[str, object] = {
        "missing": [_lacking(step, facts) for step in found.steps],
        "advice": list(found.advice),
        "restart": list(found.restart),
    }
    if ran is not None:
        document["applied"] = [_outcome(one, facts) for one in ran]
    return json.dumps(document, ensure_ascii=False)


def _lacking(step: Step, facts: Facts) -> dict[str, object]:
    database = step.database or facts.database
    return {"database": database, "sql": step.sql, "why": step.why, "needs_restart": step.needs_restart}


def _outcome(one: Ran, facts: Facts) -> dict[str, object]:
    failure = one.failure
    return {
        "database": one.step.database or facts.database,
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
