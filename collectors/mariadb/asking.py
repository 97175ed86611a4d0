"""Somebody's own SQL at a server: one statement in a read-only transaction; and what the server said of it.

The transaction holds back what writes, and the first word what would change the session or call a procedure. The
connection ends with the answer, and with it whatever the statement set or locked. `SELECT … INTO OUTFILE` writes beside
every transaction, where a role has the privilege FILE: those words are refused, and comments that the server runs.
"""

import re
from typing import Any

from collectors.contract import Answer, AskedError
from collectors.mariadb.failures import DETAIL_LENGTH, ServerError
from toban.outcomes import Failure, Reason
from toban.secrets import Dsn, blot
from toban.statements import blot_literals

SLOW_HINT = "make the query cheaper (EXPLAIN), or raise `timeout` of the entry"
_COMMENT = r"/\*(?!!|M!).*?\*/|(?:--\s|\#)[^\n]*\n"  # but /*! … */, which the server runs
_READING = re.compile(
    rf"(?:\s|\(|{_COMMENT})*(?:select|with|show|values|table|explain|desc|describe)\b", re.IGNORECASE | re.DOTALL
)
_RUN_COMMENT = re.compile(r"/\*M?!", re.IGNORECASE)
_INTO_FILE = re.compile(rf"\binto(?:\s|{_COMMENT})*(?:out|dump)file\b", re.IGNORECASE | re.DOTALL)
_NEAR = re.compile(r"(?<=near ')(.*)(?=' at line)", re.DOTALL)
_QUOTED = re.compile(r"'.*'", re.DOTALL)
_NAMING = frozenset({1044, 1049, 1054, 1109, 1142, 1143, 1146, 1227, 1305, 1370})  # they quote names, never a value
_SYNTAX = 1064
_NO_DATABASE = frozenset({1044, 1049})
_KEPT = frozenset({Reason.PRIVILEGE, Reason.TIMEOUT, Reason.LOCKED})


def check_reads(sql: str) -> None:
    """Refuse what is more than a question."""
    wrong = ""
    if not _READING.match(sql):
        wrong = "the SQL does not begin with SELECT, WITH, SHOW, VALUES, TABLE, EXPLAIN or DESCRIBE"
    elif _RUN_COMMENT.search(sql):
        wrong = "the SQL has a comment that the server runs (/*! … */)"
    elif _INTO_FILE.search(sql):
        wrong = "the SQL writes a file (INTO OUTFILE or DUMPFILE)"
    if wrong:
        raise AskedError(Failure(reason=Reason.QUERY, detail=wrong, hint="Toban only reads"))


async def answer_of(connection: Any, cursor_class: Any, sql: str, *, most_rows: int) -> Answer:  # noqa: ANN401 - the driver's
    """At most so many rows of the answer, which is not read to its end; one more, to know whether there is one."""
    await connection.query("START TRANSACTION READ ONLY")
    cursor = connection.cursor(cursor_class)
    await cursor.execute(sql)
    rows = tuple(tuple(row) for row in await cursor.fetchmany(most_rows + 1))
    columns = tuple(column[0] for column in cursor.description or ())
    return Answer(columns=columns, rows=rows[:most_rows], more=len(rows) > most_rows)


def explain_asked(error: BaseException, dsn: Dsn) -> Exception:
    """Why there is no answer: in the server's words without a literal. The target's own trouble stays what it is."""
    if isinstance(error, TimeoutError):
        return AskedError(Failure(reason=Reason.TIMEOUT, detail="no answer in time", hint=SLOW_HINT))
    assert isinstance(error, ServerError)  # noqa: S101 - there is nothing else
    if error.number in _NO_DATABASE:
        hint = "check `database` of the entry, and what the role may see"
        return AskedError(Failure(reason=Reason.QUERY, detail=error.failure.detail, hint=hint))
    if error.failure.down or not error.number:
        return error
    reason = error.failure.reason if error.failure.reason in _KEPT else Reason.QUERY
    hint = {Reason.TIMEOUT: SLOW_HINT, Reason.PRIVILEGE: "GRANT it to the role in `dsn`"}.get(reason, "")
    detail = blot(_said(error.number, error.failure.detail), *dsn.secrets)
    return AskedError(Failure(reason=reason, detail=detail[:DETAIL_LENGTH], hint=hint))


def _said(number: int, message: str) -> str:
    """The message. What it quotes is the SQL's own words or a value, according to its number."""
    if number == _SYNTAX:
        return _NEAR.sub(lambda near: blot_literals(near[0]), message)
    return message if number in _NAMING else _QUOTED.sub("?", message)
