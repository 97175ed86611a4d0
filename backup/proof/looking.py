"""Questions to a restored PostgreSQL server: are the rows there, can every one be read, do the assertions hold."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import asyncpg

from backup.engines.contract import Tell
from backup.errors import BackupError
from backup.proof.assertions import answered, asserted, databases_of
from backup.proof.configuration import PATIENT
from backup.proof.rows import Counted, Table
from backup.proof.scratch import ScratchServer
from backup.proof.verdict import of_reading, spoiled, worst
from backup.settings import Assertion
from backup.sql import query, quote_identifier
from toban.backups import Check, Progress, TableRows, Trouble

READABLE: Final = "readable"
MOST_NAMED: Final = 5
MOST_FAULTS: Final = 100  # where so many tables cannot be read, the rest tells nothing more
LOST: Final = (OSError, asyncpg.InterfaceError, asyncpg.PostgresConnectionError)
GRACE_SECONDS: Final = 5.0
SPOILED_CLASS: Final = "XX00"
Fault = tuple[bool | None, str]


@contextmanager
def heard() -> Iterator[None]:
    """A driver's error as one of ours: spoiled data is told apart from a server that went away."""
    try:
        yield
    except BackupError as error:  # no way in: to a catalog that is spoiled there is none
        if error.trouble is not Trouble.UNREACHABLE or not spoiled(error.why):
            raise
        raise BackupError("scratch server", error.why, trouble=Trouble.DAMAGED) from error
    except asyncpg.PostgresError as error:
        damaged = (error.sqlstate or "").startswith(SPOILED_CLASS) or spoiled(str(error))
        trouble = Trouble.DAMAGED if damaged else Trouble.TOOL
        raise BackupError("scratch server", str(error), trouble=trouble) from error
    except LOST as error:
        raise BackupError("scratch server", f"went away: {error}", trouble=Trouble.UNREACHABLE) from error


async def databases_in(server: ScratchServer, *, templates: bool = False) -> tuple[str, ...]:
    """The databases that take connections."""
    with heard():
        async with server.way.connected("template1", settings=PATIENT) as connection:
            rows = await connection.fetch(query(__package__, "databases"))
    return tuple(row["name"] for row in rows if templates or not row["is_template"])


# --- rows ------------------------------------------------------------------------------------------------------------


async def counted(
    server: ScratchServer, promised: Sequence[TableRows], *, exact: bool, tell: Tell
) -> dict[Table, Counted]:
    """How many rows each of these tables has now; what is absent is left out."""
    there = await databases_in(server, templates=True)
    found: dict[Table, Counted] = {}
    for database in dict.fromkeys(table.database for table in promised if table.database in there):
        tables = [table for table in promised if table.database == database]
        tell(Progress(phase="rows", what=database))
        with heard():
            async with server.way.connected(database, settings=PATIENT) as connection:
                for table, number in await _counts(connection, tables, exact=exact):
                    found[database, table.schema, table.table] = number
    return found


async def uncounted(server: ScratchServer, databases: Iterable[str], promised: Sequence[TableRows]) -> list[str]:
    """The tables that nobody has counted the rows of when the backup was made."""
    known = {(table.database, table.schema, table.table) for table in promised}
    found: list[str] = []
    for database in databases:
        with heard():
            async with server.way.connected(database, settings=PATIENT) as connection:
                tables = [(row["schema"], row["name"]) for row in await connection.fetch(query(__package__, "holding"))]
        found += [f"{database}: {schema}.{name}" for schema, name in tables if (database, schema, name) not in known]
    return found


async def _counts(
    connection: Any,  # noqa: ANN401 - asyncpg ships no types
    tables: Sequence[TableRows],
    *,
    exact: bool,
) -> list[tuple[TableRows, Counted]]:
    existing = {(row["schema"], row["name"]) for row in await connection.fetch(query(__package__, "tables"))}
    return [
        (table, await _count(connection, table, exact=exact))
        for table in tables
        if (table.schema, table.table) in existing
    ]


async def _count(connection: Any, table: TableRows, *, exact: bool) -> Counted:  # noqa: ANN401 - asyncpg ships no types
    name = f"{quote_identifier(table.schema)}.{quote_identifier(table.table)}"
    try:
        if exact:
            return Counted(rows=await connection.fetchval(f"SELECT count(*) FROM ONLY {name}"))  # noqa: S608 - quoted
        async with connection.transaction(readonly=False):
            await connection.execute(f"ANALYZE {name}")
        rows = await connection.fetchval(query(__package__, "estimated"), table.schema, table.table)
        return Counted(rows=max(0, rows), exact=False)
    except asyncpg.PostgresError as error:
        return Counted(why=f"cannot be counted: {error}", ok=of_reading(error.sqlstate or "", str(error)))


# --- reading ---------------------------------------------------------------------------------------------------------


async def all_read(server: ScratchServer, tell: Tell) -> Check:
    """Every row of every table, the catalog's too, read as COPY reads it: unpacked, and written out as text."""
    faults: list[Fault] = []
    tables = rows = 0
    for database in await databases_in(server, templates=True):
        try:
            more_tables, more_rows = await _read_database(server, database, faults, tell)
        except BackupError as error:  # no way in
            faults.append((False if spoiled(error.why) else None, f"{database}: {error.why}"))
        except LOST as error:
            faults.append((None, f"{database}: the server went away: {error}"))
            break
        except asyncpg.PostgresError as error:  # its catalog does not even say what there is
            faults.append((of_reading(error.sqlstate or "", str(error)), f"{database}: its catalog: {error}"))
        else:
            tables, rows = tables + more_tables, rows + more_rows
    if not faults:
        return Check(name=READABLE, ok=True, detail=f"{tables} tables, {rows} rows")
    faults.sort(key=lambda one: one[0] is None)
    more = len(faults) - MOST_NAMED
    said = "; ".join(why for _, why in faults[:MOST_NAMED]) + (f"; and {more} more tables" if more > 0 else "")
    return Check(name=READABLE, ok=worst(ok for ok, _ in faults), detail=said)


async def _read_database(server: ScratchServer, database: str, faults: list[Fault], tell: Tell) -> tuple[int, int]:
    """How many tables and rows were read; what could not be is added to the faults."""
    tables = rows = 0
    async with server.way.connected(database, settings=PATIENT) as connection:
        for relation in await connection.fetch(query(__package__, "relations")):
            if len(faults) >= MOST_FAULTS:
                break
            name = f"{quote_identifier(relation['schema'])}.{quote_identifier(relation['name'])}"
            tell(Progress(phase="read", what=f"{database}: {name}"))
            try:
                rows += await _read(connection, name, is_view=relation["is_view"])
                tables += 1
            except asyncpg.PostgresError as error:
                answer = of_reading(error.sqlstate or "", str(error))
                faults.append((answer, f"{database}: {name} cannot be read: {error}"))
    return tables, rows


async def _read(connection: Any, name: str, *, is_view: bool) -> int:  # noqa: ANN401 - asyncpg ships no types
    """The server writes to nowhere: not a byte goes over the socket, and nothing is converted."""
    source = f"(SELECT * FROM {name})" if is_view else name  # noqa: S608 - quoted
    status = await connection.execute(f"COPY {source} TO '/dev/null' (ENCODING 'SQL_ASCII')")
    return int(status.split()[-1])


# --- assertions ------------------------------------------------------------------------------------------------------


async def all_asserted(server: ScratchServer, assertions: Iterable[Assertion], restored: Sequence[str]) -> list[Check]:
    """Each assertion's check."""
    found = []
    for assertion in assertions:
        answers = [
            (database, *await _ask(server, assertion, database)) for database in databases_of(assertion, restored)
        ]
        found.append(asserted(assertion, answers))
    return found


async def _ask(server: ScratchServer, assertion: Assertion, database: str) -> tuple[bool | None, str]:
    """One answer. What fails or takes too long is none: it may be the question's own fault."""
    milliseconds = str(max(1, round(assertion.timeout * 1000)))
    try:
        async with (
            asyncio.timeout(assertion.timeout + GRACE_SECONDS),
            server.way.connected(database, settings={**PATIENT, "statement_timeout": milliseconds}) as connection,
        ):
            cursor_rows = await _first_rows(connection, assertion.sql)
    except TimeoutError:
        return None, f"no answer within {assertion.timeout:.0f} s"
    except asyncpg.QueryCanceledError:
        return None, f"no answer within {assertion.timeout:.0f} s"
    except BackupError as error:
        return None, error.why
    except (asyncpg.PostgresError, *LOST) as error:
        return None, f"failed: {error}"
    return answered(cursor_rows)


async def _first_rows(connection: Any, sql: str) -> Sequence[Sequence[Any]]:  # noqa: ANN401 - asyncpg ships no types
    """The first two rows: one is wanted, and a million shall not be fetched."""
    async with connection.transaction():
        statement = await connection.prepare(sql)
        if not statement.get_attributes():
            return ()
        return [tuple(row) for row in await (await statement.cursor()).fetch(2)]
