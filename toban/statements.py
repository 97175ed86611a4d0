"""What is said of SQL: the use of one normalised statement, and a query that runs now. Never a literal."""

import re
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementUse:
    """What one normalised statement cost between two readings of `pg_stat_statements`.

    `queryid` is a decimal string, or `other` for the row that sums up what the cardinality budget left out.
    """

    queryid: str
    datname: str
    usename: str
    interval_seconds: float
    calls: float
    seconds: float
    rows: float
    hit_blocks: float
    read_blocks: float
    temp_blocks: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StatementText:
    """The normalised text of a statement, cut to a bounded length."""

    queryid: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningQuery:
    """A session that has been at work for long: its identity and age, never its SQL text with literals."""

    pid: int
    datname: str
    usename: str
    application_name: str
    state: str
    queryid: str
    query_seconds: float | None
    transaction_seconds: float | None
    wait_event: str


_START = r"[A-Za-z_\x80-\U0010ffff]"
_REST = r"[A-Za-z0-9_\x80-\U0010ffff]"
_TOKEN = re.compile(
    rf"""
      (?P<comment> --[^\r\n]* | /\*)
    | (?P<escaped> [eE]'(?:[^'\\]|\\.|'')*'?)
    | (?P<string> (?:[bBxXnN]|[uU]&)?'(?:[^']|'')*'?)
    | (?P<dollar> \$(?:{_START}{_REST}*)?\$)
    | (?P<parameter> \$[0-9]+)
    | (?P<name> {_START}(?:{_REST}|\$)*)
    | (?P<quoted> "(?:[^"]|"")*"?)
    | (?P<number> \.?[0-9][0-9A-Za-z_.$\x80-\U0010ffff]*(?:(?<=[eE])[+-]?[0-9]+)?)
    | (?P<other> .)
    """,
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")
# What is assigned to a setting may be a bare word: SET app.token = abcdef.
_ASSIGNMENT = re.compile(
    r"\s*(?:(?:ALTER|CREATE(?:\s+OR\s+REPLACE)?)\s+"
    r"(?:SYSTEM|ROLE|USER|GROUP|DATABASE|FUNCTION|PROCEDURE|ROUTINE)\b.*?)?"
    r"\bSET\s+(?:SESSION\s+|LOCAL\s+)?[^\s=]+?\s*(?:=|\sTO\b)",
    re.IGNORECASE | re.DOTALL,
)
BLOT = "?"


def blot_literals(text: str) -> str:
    """SQL with every literal replaced by `?`, and without comments, for what the server did not normalise itself.

    Names and parameters ($1) stay. Where the end of a literal cannot be told, nothing behind its start stays.
    """
    return ";".join(map(_unassigned, "".join(_blotted(text)).split(";")))


def _unassigned(statement: str) -> str:
    """One of several statements, whatever it is that it assigns blotted out."""
    assignment = _ASSIGNMENT.match(statement)
    return f"{assignment[0]} {BLOT}" if assignment else statement


def _blotted(text: str) -> Iterator[str]:
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        piece, kind = match[0], match.lastgroup
        if kind == "comment":
            at = _end_of_comment(text, at) if piece == "/*" else at
            yield " "
        elif kind == "dollar":
            at = _behind(text, piece, at)
            yield BLOT
        elif kind == "string" and "\\'" in piece:
            # Under standard_conforming_strings = off the string goes on behind this quote; the text does not say.
            yield BLOT
            return
        else:
            yield BLOT if kind in {"escaped", "string", "number"} else piece


def _end_of_comment(text: str, at: int) -> int:
    """Where a block comment that began before `at` ends; they nest."""
    depth = 1
    for edge in _COMMENT_EDGE.finditer(text, at):
        depth += 1 if edge[0] == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(text)


def _behind(text: str, closing: str, at: int) -> int:
    """Just behind the next `closing`, or the end of the text."""
    found = text.find(closing, at)
    return len(text) if found < 0 else found + len(closing)
