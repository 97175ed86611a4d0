"""The one way into a MariaDB or MySQL server: one connection that stays, read only, bounded on the server's side.

Somebody's own SQL (`ask`) comes on a connection of its own, which ends with the answer: whatever that SQL did to its
session ends with it.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any

from collectors.contract import Answer, Kind, SqlSource
from collectors.mariadb.asking import answer_of, check_reads, explain_asked
from collectors.mariadb.failures import LOST, ServerError, explain, explain_refusal, number_of
from collectors.mariadb.session import (
    MissingDriverError,
    Settings,
    arguments,
    asked_settings,
    context_of,
    load_driver,
    prepare,
    settings,
    ssl_mode,
)
from collectors.mariadb.sql import Edition, Query
from toban.clock import Clock
from toban.config import Duration, Model
from toban.outcomes import Failure, Reason
from toban.secrets import Dsn

RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # between two attempts to connect to a server that is down
PARTING_SECONDS = 2.0
GRACE_SECONDS = 1.0  # for the server to say that it ended a statement itself
MARGIN_SECONDS = 0.05  # by which the server's limit comes before that of whoever asks
LEAST_SECONDS = 0.01


class MariadbLimits(Model):
    """How much of a server Toban may take."""

    statement_timeout: Duration = 4.0
    connect_timeout: Duration = 4.0


class DownError(Exception):
    """There is no way in: the attempt just failed, or one failed a moment ago and the next is not due yet."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class MariadbServer(SqlSource):
    """One watched server."""

    kind = Kind.MARIADB

    def __init__(self, dsn: Dsn, clock: Clock, limits: MariadbLimits) -> None:
        self.dsn = dsn
        self.clock = clock
        self.limits = limits
        self.edition = Edition("")
        self.spent_seconds = 0.0
        self._connection: Any = None
        self._asking: Any = None
        self._tls = ssl_mode(dsn) != "disabled"
        self._context: ssl.SSLContext | None = None
        self._opening = asyncio.Lock()
        self._asked = asyncio.Lock()
        self._failure: Failure | None = None
        self._attempts = 0
        self._next_attempt = 0.0

    async def fetch(self, query: Query, *values: object) -> list[dict[str, Any]]:
        """The rows of one question, by column in small letters. A value stands as %s in the SQL."""
        held = self._connection
        connection = await self._opened()
        try:
            return await self._timed(connection, query.text(self.edition), values)
        except ServerError as error:
            if connection is not held or error.number not in LOST:
                raise
        # It had been open since an earlier turn, and the server has restarted since: what counts is the server now.
        connection = await self._opened()
        return await self._timed(connection, query.text(self.edition), values)

    async def ask(self, sql: str, *, timeout_seconds: float, most_rows: int, database: str | None = None) -> Answer:
        """The answer to somebody's own SQL, which must read: one statement, in a transaction that can only read."""
        check_reads(sql)
        began = self.clock.monotonic()
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._opened()  # refuses at once while the server is known to be down
                async with self._asked:
                    left = timeout_seconds - (self.clock.monotonic() - began)
                    return await self._answered(sql, left, most_rows, database)
        except TimeoutError as error:
            if self.answered_at < began:
                raise  # not a word from the server since: it hangs
            raise explain_asked(error, self.dsn) from error
        except ServerError as error:
            raise explain_asked(error, self.dsn) from error

    async def _answered(self, sql: str, seconds: float, most_rows: int, database: str | None) -> Answer:
        """However it ends, its time is the server's time, and counts apart."""
        began = self.clock.monotonic()
        connection = None
        try:
            limit = max(seconds - MARGIN_SECONDS, LEAST_SECONDS)
            connection = self._asking = await self._connect(asked_settings(limit), database)
            self.answered_at = self.clock.monotonic()
            return await answer_of(connection, load_driver().cursors.SSCursor, sql, most_rows=most_rows)
        except Exception as error:  # the driver raises more than its own errors; each becomes one of ours
            raise self._error(error) from error
        finally:
            if connection is not None:
                connection.close()  # with what was not taken of the answer; the server notices
            if self._asking is connection:
                self._asking = None
            self.spent_seconds += self.clock.monotonic() - began
            self.asked_seconds += self.clock.monotonic() - began

    def explain(self, error: BaseException) -> Failure:
        """The typed reason behind an exception."""
        failure = getattr(error, "failure", None)
        return failure if isinstance(failure, Failure) else explain(error, self.dsn)

    def abandon(self) -> None:
        """Cut what is open now. Whoever still waits for it gets nothing."""
        for connection in (self._connection, self._asking):
            if connection is not None:
                connection.close()
        self._connection = None
        self._opening, self._asked = asyncio.Lock(), asyncio.Lock()

    async def close(self) -> None:
        """Part from the server in good order, within two seconds."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _part(connection)
        self.abandon()

    async def _opened(self) -> Any:  # noqa: ANN401 - the driver's
        lock = self._opening
        async with lock:
            if self._connection is not None and self._connection.connected:
                return self._connection
            if self._failure is not None and self.clock.monotonic() < self._next_attempt:
                raise DownError(self._failure)
            connection = await self._attempt()
            if lock is not self._opening:
                raise self._abandoned(connection)
            self._connection = connection
            self._failure, self._attempts = None, 0
            return connection

    async def _attempt(self) -> Any:  # noqa: ANN401 - the driver's
        started = self.clock.monotonic()
        try:
            connection = await self._connect(settings(self.limits.statement_timeout))
        except (MissingDriverError, ServerError) as error:
            raise self._put_off(error.failure) from error
        except asyncio.CancelledError:
            self._put_off(explain_refusal(TimeoutError("no answer to the attempt to connect"), self.dsn))
            raise
        self._note_answer(started)
        return connection

    def _abandoned(self, connection: Any) -> DownError:  # noqa: ANN401 - the driver's
        connection.close()
        return DownError(explain(TimeoutError("given up while connecting"), self.dsn))

    def _put_off(self, failure: Failure) -> DownError:
        wait = RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)]
        self._failure = failure
        self._attempts += 1
        self._next_attempt = self.clock.monotonic() + wait
        return DownError(failure)

    async def _connect(self, said: Settings, database: str | None = None) -> Any:  # noqa: ANN401 - the driver's
        """A connection that is ours. Where TLS is merely preferred and not offered, it is not asked for again."""
        driver = load_driver()
        try:
            async with asyncio.timeout(self.limits.connect_timeout):
                try:
                    return await self._entered(driver, said, database)
                except driver.errors.OperationalError as error:
                    if not (isinstance(error.__cause__, ssl.SSLError) and ssl_mode(self.dsn) == "preferred"):
                        raise
                self._tls = False
                return await self._entered(driver, said, database)
        except ServerError:
            raise
        except Exception as error:  # the driver raises more than its own errors; each becomes one of ours
            self._context = None  # its files may have been renewed: they are read again
            raise ServerError(number_of(error), explain_refusal(error, self.dsn)) from error

    async def _entered(self, driver: Any, said: Settings, database: str | None) -> Any:  # noqa: ANN401 - the driver's
        if self._tls and self._context is None:  # in a thread: the machine's authorities take a tenth of a second
            self._context = await asyncio.to_thread(context_of, self.dsn)
        context = self._context if self._tls else None
        told = arguments(self.dsn, timeout_seconds=self.limits.connect_timeout, database=database, tls=context)
        connection = driver.connection.Connection(**told)
        try:
            await connection.connect()
            self.edition = _accepted(Edition(connection.get_server_info()))
            await prepare(connection, said(self.edition))
        except BaseException:  # raised again, once what was begun is cleared away
            connection.close()
            raise
        return connection

    async def _timed(self, connection: Any, sql: str, values: Sequence[object]) -> list[dict[str, Any]]:  # noqa: ANN401 - the driver's
        started = self.clock.monotonic()
        try:
            async with asyncio.timeout(self.limits.statement_timeout + GRACE_SECONDS):
                rows = await _rows(connection, sql, values)
        except Exception as error:  # the driver raises more than its own errors; each becomes one of ours
            raised = self._error(error)
            if raised.number in LOST or not raised.number:
                connection.close()  # the answer is still to come, or nobody knows: of no further use
            else:
                self._note_answer(started)  # a proper answer, and it cost the server its time
            raise raised from error
        except BaseException:  # raised again, once what was begun is cleared away
            connection.close()
            raise
        self._note_answer(started)
        return rows

    def _error(self, error: Exception) -> ServerError:
        return error if isinstance(error, ServerError) else ServerError(number_of(error), explain(error, self.dsn))

    def _note_answer(self, asked_at: float) -> None:
        self.answered_at = self.clock.monotonic()
        self.spent_seconds += self.answered_at - asked_at


def _accepted(edition: Edition) -> Edition:
    if edition.shortfall:
        raise ServerError(0, Failure(reason=Reason.VERSION, detail=edition.shortfall))
    return edition


async def _rows(connection: Any, sql: str, values: Sequence[object]) -> list[dict[str, Any]]:  # noqa: ANN401 - the driver's
    cursor = connection.cursor()
    await cursor.execute(sql, values or None)
    names = [column[0].lower() for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]


async def _part(connection: Any) -> None:  # noqa: ANN401 - the driver's
    """Say goodbye and see the server hang up, so that the next connection is never one too many."""
    try:
        async with asyncio.timeout(PARTING_SECONDS):
            await connection.ensure_closed()
    except Exception:  # noqa: BLE001 - whatever the driver finds: we are leaving
        connection.close()
