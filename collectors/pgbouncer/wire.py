"""The console's wire: psycopg, since the console speaks the simple query protocol only, where asyncpg gives no rows.

It costs a tenth of a second and 10 MB to import, so `console` imports this module when it first connects.
"""

import os
import socket
from typing import Any, TypeVar

from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus
from psycopg.waiting import wait_async

LOOK_SECONDS = 0.1  # psycopg's own: how often it looks up from a silent socket
T = TypeVar("T")


class Wire(AsyncConnection[tuple[object, ...]]):
    """One connection. When a wait for an answer ends early, it hangs up at once."""

    async def wait(self, gen: PQGen[T], interval: float = LOOK_SECONDS, timeout: float | None = None) -> T:  # noqa: ASYNC109 - psycopg's signature
        """Wait for an answer. psycopg would ask for a cancellation, and wait seconds more for what a deaf one says."""
        try:
            return await wait_async(gen, self.pgconn.socket, interval=interval, timeout=timeout)
        except BaseException:  # raised again, once what was begun is cleared away
            if self.pgconn.transaction_status != TransactionStatus.IDLE:
                self.pgconn.finish()
            raise

    async def show(self, command: str) -> list[dict[str, object]]:
        """The rows of one command, each by the names of its columns."""
        cursor = AsyncClientCursor(self)
        await cursor.execute(command.encode())
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    def hang_up(self) -> None:
        """Close the socket. Under somebody's wait it is only shut: the loop watches it until that wakes."""
        if self.lock.locked() and not self.closed:
            with socket.socket(fileno=os.dup(self.pgconn.socket)) as same:
                same.shutdown(socket.SHUT_RDWR)
        else:
            self.pgconn.finish()


async def dial(dsn: str, *, application_name: str, timeout_seconds: float, **settings: Any) -> Wire:  # noqa: ANN401 - whatever libpq takes
    """A connection that is open. Nothing is said on it before the first command: no BEGIN, no SET."""
    return await Wire.connect(
        dsn,
        autocommit=True,
        application_name=application_name,
        connect_timeout=max(1, round(timeout_seconds)),
        **settings,
    )
