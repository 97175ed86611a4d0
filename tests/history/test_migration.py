"""Migrations lead to the schema; what is not ours to change is not changed."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from importlib import resources

import pytest

from history import migration
from history.migration import ForeignStateError, NewerStateError, migrate, migrations, transaction


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    """A database with nothing in it."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as opened:
        yield opened


def shape_of(connection: sqlite3.Connection) -> dict[str, str]:
    """Every table and index with its definition."""
    rows = connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
    return {name: " ".join(sql.split()) for name, sql in rows}


def test_migrations_on_an_empty_database_equal_the_schema(connection: sqlite3.Connection) -> None:
    """What the steps build is what schema.sql says, to the letter."""
    migrate(connection)
    with closing(sqlite3.connect(":memory:")) as wanted:
        wanted.executescript(resources.files("history").joinpath("schema.sql").read_text())
        assert shape_of(connection) == shape_of(wanted)
        assert len(shape_of(wanted)) > 5


def test_migrations_are_taken_once(connection: sqlite3.Connection) -> None:
    """A second time there is nothing to do."""
    migrate(connection)
    migrate(connection)
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(migrations())


def test_migrations_refuse_a_newer_file(connection: sqlite3.Connection) -> None:
    """What a later Toban wrote is not touched."""
    migrate(connection)
    connection.execute("PRAGMA user_version = 999")
    with pytest.raises(NewerStateError, match="999"):
        migrate(connection)


def test_migrations_refuse_a_foreign_database(connection: sqlite3.Connection) -> None:
    """Somebody else's tables stay alone."""
    connection.execute("CREATE TABLE invoices (id)")
    with pytest.raises(ForeignStateError):
        migrate(connection)
    assert list(shape_of(connection)) == ["invoices"]


def test_a_migration_that_fails_leaves_nothing(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step is taken whole or not at all."""
    monkeypatch.setattr(migration, "migrations", lambda _line: ("CREATE TABLE one (id);\nCREATE TABLE one (id);\n",))
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection)
    assert shape_of(connection) == {}
    assert connection.execute("PRAGMA user_version").fetchone()[0] == 0


def test_a_transaction_that_sqlite_has_rolled_back_raises_the_first_error(connection: sqlite3.Connection) -> None:
    """After a full disk there is nothing left to roll back, and that is no second error."""
    connection.execute("CREATE TABLE one (id PRIMARY KEY)")
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"), transaction(connection):
        connection.execute("INSERT OR ROLLBACK INTO one VALUES (1), (1)")
