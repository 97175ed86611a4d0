"""Brings a state file to the present schema, one numbered step at a time, each in a transaction of its own."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import NamedTuple

APPLICATION_ID = 0x546F6261  # "Toba", in the file's header: how a state file is told from somebody else's database


class Line(NamedTuple):
    """A line of descent: the package whose `migrations/` a file has gone through, and the mark in its header."""

    package: str
    application_id: int


STATE = Line("history", APPLICATION_ID)


class NewerStateError(Exception):
    """The file was written by a later Toban; touching it could only do harm."""


class ForeignStateError(Exception):
    """The file is a database, but not one of Toban's."""


@cache
def migrations(line: Line = STATE) -> tuple[str, ...]:
    """The steps in order; the first leads from nothing to version 1."""
    folder = resources.files(line.package).joinpath("migrations")
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return tuple(folder.joinpath(name).read_text(encoding="utf-8") for name in names)


def migrate(connection: sqlite3.Connection, line: Line = STATE) -> None:
    """Take the steps that this file has not seen. A file newer than the code, or not ours, is left as it is."""
    if _pragma(connection, "schema_version") != 0:
        check_ours(connection, line)
    version = _pragma(connection, "user_version")
    for number, script in enumerate(migrations(line)[version:], start=version + 1):
        with transaction(connection):
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {line.application_id}")
            connection.execute(f"PRAGMA user_version = {number}")


def check_ours(connection: sqlite3.Connection, line: Line = STATE) -> None:
    """Refuse what is not Toban's, or of a later one."""
    check_version(_pragma(connection, "user_version"), line)
    if _pragma(connection, "application_id") != line.application_id:
        raise ForeignStateError


def version_of(connection: sqlite3.Connection) -> int:
    """The last step that this file has seen."""
    return _pragma(connection, "user_version")


def check_version(version: int, line: Line = STATE) -> None:
    """Refuse what a later Toban wrote."""
    known = len(migrations(line))
    if version > known:
        raise NewerStateError(f"written by a newer Toban: its version is {version}, this Toban knows {known}")


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of it or nothing. The write lock is taken at once, so that a wait for it comes before the work."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:  # raised again, once what was begun is cleared away
        if connection.in_transaction:  # a full disk has rolled back by itself already
            connection.execute("ROLLBACK")
        raise


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _statements(script: str) -> Iterator[str]:
    """A script's statements one by one: `executescript` would commit in between."""
    pending = ""
    for line in script.splitlines(keepends=True):
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending
            pending = ""
