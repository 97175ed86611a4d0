"""Somebody's own SQL at a file: one query, by the same ways in as every look, so that no writer ever meets it.

The file is opened to be read only, the authorizer lets through what a query needs and nothing else (no ATTACH, no
PRAGMA, no temporary table), and what one value or one answer may hold is bounded.
"""

import re
import sqlite3
import time
from collections.abc import Callable
from typing import TypeVar

from collectors.contract import Answer, AskedError
from collectors.sqlite.looking import PRIMARY_CODE, Look, UnusableError
from collectors.sqlite.stamp import PARAMETERS, stamp_of
from collectors.sqlite.survey import NOT_SHARED, Access
from toban.outcomes import Failure, Reason
from toban.statements import blot_literals

ATTEMPTS = 4
PAUSE_SECONDS = 0.02  # before the second attempt, and twice as long before each further one
MOST_VALUE_BYTES = 16 * 1024 * 1024
SHOWN_CHARACTERS = 300
SLOW_HINT = "make the query cheaper (EXPLAIN QUERY PLAN), or raise `timeout` of the entry"
_QUERYING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE})
# What a table for full-text search (FTS5) asks of SQLite when it is opened. None of it changes anything.
_SEARCHING = frozenset({(sqlite3.SQLITE_PRAGMA, "data_version"), (sqlite3.SQLITE_UPDATE, "sqlite_master")})
_LOADING = (sqlite3.SQLITE_FUNCTION, "load_extension")
# What says something of the SQL. Any other code says something of the file.
_CODES = {
    sqlite3.SQLITE_ERROR: (Reason.QUERY, ""),
    sqlite3.SQLITE_AUTH: (Reason.QUERY, "Toban only reads"),
    sqlite3.SQLITE_INTERRUPT: (Reason.TIMEOUT, SLOW_HINT),
    sqlite3.SQLITE_TOOBIG: (Reason.QUERY, "leave the large values out of the query"),
    sqlite3.SQLITE_MISMATCH: (Reason.QUERY, ""),
    sqlite3.SQLITE_SCHEMA: (Reason.QUERY, ""),
}
_IN_QUOTES = re.compile(r'(?<=")(.*)(?=")', re.DOTALL)
_BLAMED = re.compile(r'near "(.+)": |no such \w+: (?:\w+\.)?(\w+)')
T = TypeVar("T")

_WRITTEN = Failure(
    reason=Reason.LOCKED,
    detail="the file was written to during every attempt",
    hint="in WAL mode (PRAGMA journal_mode=wal) readers and writers do not meet",
)
UNHEARD = Failure(reason=Reason.TIMEOUT, detail="one step of the query took longer than its limit", hint=SLOW_HINT)
ONE_DATABASE = Failure(
    reason=Reason.QUERY, detail="an SQLite file is one database", hint="leave `database` out of the entry"
)


def answer_of(look: Look, sql: str, most_rows: int) -> Answer:
    """The answer; where there is no lock that a writer would not meet, only if nobody wrote meanwhile."""
    for attempt in range(ATTEMPTS):
        if attempt:
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
        before = stamp_of(look)
        if before.access is Access.ALONE:
            raise UnusableError(NOT_SHARED)
        if before.access is Access.SHARED:
            return _patient(lambda: _asked(look, Access.SHARED, sql, most_rows))
        if before.write_locked:
            continue
        try:
            answer = _asked(look, before.access, sql, most_rows)
        except (sqlite3.Error, AskedError):
            if stamp_of(look) == before:
                raise
            continue
        if stamp_of(look) == before:
            return answer
    raise AskedError(_WRITTEN)


def _patient(read: Callable[[], T]) -> T:
    """READONLY means for a reader of a WAL that its header was being changed in that moment: see survey.rows_of."""
    for _ in range(ATTEMPTS - 1):
        try:
            return read()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_READONLY:
                raise
    return read()


def _asked(look: Look, access: Access, sql: str, most_rows: int) -> Answer:
    with look.connection(PARAMETERS[access]) as connection:
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_VALUE_BYTES)
        connection.text_factory = _text
        connection.set_authorizer(_authorize)
        try:
            cursor = connection.execute(sql)
            rows = cursor.fetchmany(most_rows + 1)
        except (sqlite3.Error, sqlite3.Warning) as error:
            failure = failure_of(error, sql)
            if failure is None:
                raise
            raise AskedError(failure) from error
        columns = tuple(str(column[0]) for column in cursor.description or ())
        return Answer(columns=columns, rows=tuple(map(tuple, rows[:most_rows])), more=len(rows) > most_rows)


def _text(value: bytes) -> str:
    """SQLite keeps whatever bytes it was given."""
    return value.decode(errors="replace")


def _authorize(action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
    allowed = action in _QUERYING or (action, first) in _SEARCHING
    return sqlite3.SQLITE_OK if allowed and (action, second) != _LOADING else sqlite3.SQLITE_DENY


def failure_of(error: sqlite3.Error | sqlite3.Warning, sql: str) -> Failure | None:
    """What is wrong with the SQL: in SQLite's words, without a literal. None when the file is what is wrong."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & PRIMARY_CODE
    if code not in _CODES:
        return None
    reason, hint = _CODES[code]
    said = " ".join(str(error).split())
    detail = _IN_QUOTES.sub(lambda quoted: blot_literals(quoted[0]), said)[:SHOWN_CHARACTERS]
    return Failure(reason=reason, detail=detail + _place(said, sql), hint=hint)


def _place(said: str, sql: str) -> str:
    """Where it is, if the word that SQLite blames stands in the SQL once: this SQLite's module tells no more."""
    blamed = _BLAMED.search(said)
    word = blamed and (blamed[1] or blamed[2])
    places = [found.start() for found in re.finditer(rf"(?<!\w){re.escape(word)}(?!\w)", sql)] if word else []
    if len(places) != 1:
        return ""
    before = sql[: places[0]]
    return f" (line {before.count(chr(10)) + 1}, column {places[0] - before.rfind(chr(10))})"
