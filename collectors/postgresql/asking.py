"""Somebody's own SQL at a server: a cursor in a read-only transaction, and what the server said when it has no answer.

The server itself holds it: `DECLARE … CURSOR FOR` takes one query and nothing else (no COPY, no COMMIT, no DO, no SET),
the extended protocol one statement, and the transaction nothing that writes. It is never committed, and its session
ends behind it: what the query sets, locks or opens goes with it.
"""

import re
from typing import Any

import asyncpg

from collectors.contract import Answer, AskedError
from collectors.postgresql.failures import DETAIL_LENGTH, explain
from toban.outcomes import Failure, Reason
from toban.secrets import Dsn, blot
from toban.statements import blot_literals

DECLARE = "DECLARE toban_custom NO SCROLL CURSOR FOR "
BEGIN = """\
BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL statement_timeout = {statement_timeout_ms};
SET LOCAL cursor_tuple_fraction = 1;
"""  # all rows are wanted: a cursor's plan is else one for the first tenth of them
MARGIN_SECONDS = 0.05  # the server's limit comes before ours, so that it is the server who says what happened
LEAST_SECONDS = 0.01
SLOW_HINT = "make the query cheaper (EXPLAIN), or raise `timeout` of the entry"
_WRONG = "42"  # the class of errors that quote the SQL's own words: syntax, names, privileges
_RAISED = "P0"  # the class of what functions say in words of their own
_NEAR = re.compile(r'(?<=at or near ")(.*)(?=")', re.DOTALL)
_QUOTED = re.compile(r"""(["']).*\1""", re.DOTALL)

# First match wins: the narrow before the wide. Whatever else the server says of the query is Reason.QUERY.
_MEANINGS: tuple[tuple[type[asyncpg.PostgresError], Reason, str], ...] = (
    (asyncpg.InsufficientPrivilegeError, Reason.PRIVILEGE, "GRANT it to the role in `dsn`: SELECT, EXECUTE, CONNECT"),
    (asyncpg.QueryCanceledError, Reason.TIMEOUT, SLOW_HINT),
    (asyncpg.LockNotAvailableError, Reason.LOCKED, ""),
    (asyncpg.ReadOnlySQLTransactionError, Reason.QUERY, "Toban only reads"),
    (asyncpg.ActiveSQLTransactionError, Reason.QUERY, "Toban only reads"),
    (asyncpg.InvalidCatalogNameError, Reason.QUERY, "check `database` of the entry"),
    (asyncpg.PostgresError, Reason.QUERY, ""),
)
# What says nothing of the query: the way to its answer was shut.
_DOOR = (
    asyncpg.PostgresConnectionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.TooManyConnectionsError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
)


async def answer_of(connection: Any, sql: str, *, timeout_seconds: float, most_rows: int) -> Answer:  # noqa: ANN401 - asyncpg ships no types
    """At most so many rows of the query's answer; the server is asked for one more, to know whether there is one."""
    limit = max(timeout_seconds - MARGIN_SECONDS, LEAST_SECONDS)
    await connection.execute(BEGIN.format(statement_timeout_ms=round(limit * 1000)))
    await connection.fetch(DECLARE + sql, timeout=timeout_seconds)
    reading = await connection.prepare(f"FETCH FORWARD {most_rows + 1} FROM toban_custom", timeout=timeout_seconds)
    rows = await reading.fetch(timeout=timeout_seconds)
    return Answer(
        columns=tuple(attribute.name for attribute in reading.get_attributes()),
        rows=tuple(tuple(row) for row in rows[:most_rows]),
        more=len(rows) > most_rows,
    )


def session_of(settings: dict[str, str]) -> dict[str, str]:
    """A session for SQL as its author would find it: with the search path, time zone and dates of the role."""
    return {name: value for name, value in settings.items() if name not in ("search_path", "DateStyle", "TimeZone")}


def explain_asked(error: BaseException, sql: str, dsn: Dsn) -> AskedError:
    """Why there is no answer: in the server's words and with the place in the SQL, but without a literal."""
    if isinstance(error, TimeoutError):
        return AskedError(Failure(reason=Reason.TIMEOUT, detail="no answer in time", hint=SLOW_HINT))
    if isinstance(error, _DOOR) or not isinstance(error, asyncpg.PostgresError):
        return AskedError(explain(error, dsn))
    reason, hint = next((reason, hint) for kind, reason, hint in _MEANINGS if isinstance(error, kind))
    detail = blot(f"{_said(error)}{_place(error, sql)}", *dsn.secrets)
    return AskedError(Failure(reason=reason, detail=detail[:DETAIL_LENGTH], hint=hint))


def _said(error: asyncpg.PostgresError) -> str:
    """The message. What it quotes is the SQL's own words or a value, according to its class."""
    state, message = str(error.sqlstate or ""), " ".join(str(error.args[0]).split())
    if state.startswith(_RAISED):
        return f"a function raised an exception ({state})"
    if state.startswith(_WRONG):
        return _NEAR.sub(lambda near: blot_literals(near[0]), message)
    return _QUOTED.sub("?", message)


def _place(error: asyncpg.PostgresError, sql: str) -> str:
    """Where in the SQL, as its author counts."""
    at = int(getattr(error, "position", None) or 0) - 1 - len(DECLARE)
    if not 0 <= at <= len(sql):
        return ""
    before = sql[:at]
    column = at - before.rfind("\n")
    return f" (line {before.count(chr(10)) + 1}, column {column})"
