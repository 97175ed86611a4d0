"""The statements of a plan, run: each in its database, as the administrator."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import asyncpg

from collectors.postgresql.failures import explain, explain_refusal
from daemon.setup.looking import CONNECT_SECONDS, unavailable
from daemon.setup.plan import Step
from toban.outcomes import Failure
from toban.secrets import Dsn

STATEMENT_SECONDS = 60.0
SESSION = {
    "application_name": "toban setup",
    "default_transaction_read_only": "off",
    "lock_timeout": "5s",  # whoever waits for a lock makes all others wait behind it
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """How one statement went."""

    step: Step
    failure: Failure | None


async def apply(dsn: Dsn, steps: tuple[Step, ...]) -> AsyncIterator[Ran]:
    """Run the statements one by one. A refusal ends its database; in the DSN's, on which all lean, it ends all."""
    for database, group in groupby(steps, key=lambda step: step.database):
        refused = False
        async for ran in _in_one(dsn, database, tuple(group)):
            refused = ran.failure is not None
            yield ran
        if refused and database is None:
            return


async def _in_one(dsn: Dsn, database: str | None, steps: tuple[Step, ...]) -> AsyncIterator[Ran]:
    """The statements of one database, up to the first that is refused; None is the DSN's own."""
    here = dsn if database is None else dsn.replace_database(database)
    try:
        connection = await asyncpg.connect(
            here.reveal(),
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings=SESSION,
        )
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        failure = explain_refusal(error, here)
        if database is None:
            raise unavailable(failure) from error
        yield Ran(step=steps[0], failure=failure)
        return
    try:
        for step in steps:
            ran = await _run(connection, step, here)
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
