"""The one way into a PostgreSQL server: at most two connections, read only, bounded on the server's side.

The first stays open for server-wide views; the second opens for a visit to one database and closes behind it.
Whatever the DSN leaves out, asyncpg takes from the environment as libpq does (PGHOST, PGUSER, PGPASSFILE, PGSSLMODE …),
and a database that is not named is the one called as the role: a DSN is best complete.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import asyncpg

from collectors.contract import Answer, Kind, SqlSource
from collectors.postgresql.asking import answer_of, explain_asked, session_of
from collectors.postgresql.failures import explain, explain_refusal
from collectors.postgresql.sql import OLDEST, Query, UnsupportedVersionError, quote_identifier
from toban.clock import Clock
from toban.config import Duration, Model
from toban.outcomes import Failure, Reason
from toban.secrets import Dsn

APPLICATION_NAME = "toban"
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # between two attempts to connect to a server that is down
PARTING_SECONDS = 2.0
POOLED_HINT = "does `dsn` lead to a pooler? name the server itself, and the pooler as a target of `kind: pgbouncer`"
LOST = (asyncpg.PostgresConnectionError, asyncpg.AdminShutdownError, asyncpg.CrashShutdownError, ConnectionError)
_NAME = re.compile(r"@(\w+)@")
_VISITING = {"jit": "off", "max_parallel_workers_per_gather": "0"}


class Databases(Model):
    """Which databases are looked at; patterns as in a shell. Templates never are."""

    include: tuple[str, ...] = ("*",)
    exclude: tuple[str, ...] = ()

    def chosen(self, name: str) -> bool:
        """Whether a database of this name is looked at."""
        return _matches(name, self.include) and not _matches(name, self.exclude)


class ServerLimits(Model):
    """How much of a server Toban may take."""

    statement_timeout: Duration = 4.0
    lock_timeout: Duration = 0.1
    connect_timeout: Duration = 4.0


class DownError(Exception):
    """There is no way in: the attempt just failed, or one failed a moment ago and the next is not due yet."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class PostgresServer(SqlSource):
    """One watched server."""

    kind = Kind.POSTGRESQL

    def __init__(self, dsn: Dsn, clock: Clock, limits: ServerLimits, databases: Databases | None = None) -> None:
        self.dsn = dsn
        self.clock = clock
        self.limits = limits
        self.databases = databases or Databases()
        self.spent_seconds = 0.0
        self.data_directory: str | None = None  # on the server's own machine; `sizes` learns it
        self._connection: Any = None
        self._visitor: Any = None
        self._session: Any = None  # what the last connection said of the server; it outlives the connection
        self._opening = asyncio.Lock()  # two lanes that find no connection must not make two
        self._visiting = asyncio.Lock()
        self._failure: Failure | None = None
        self._attempts = 0
        self._next_attempt = 0.0

    @property
    def version(self) -> int:
        """`server_version_num`, as of the last connection; 0 before the first."""
        return 0 if self._session is None else _version(self._session)

    @property
    def place(self) -> Path | None:
        """Where its files are, if that is on this machine and we were told."""
        if self.data_directory is None or not self.dsn.local:
            return None
        place = Path(self.data_directory)
        try:
            place.stat()
        except PermissionError:
            pass  # it is there, behind a door that is shut to us
        except OSError:
            return None  # a container's or another machine's: it only looks local
        return place

    @property
    def in_recovery(self) -> bool:
        """Whether the server is a standby, as of the last answer. The server itself reports its promotion."""
        return self._session is not None and str(self._session.get_settings().in_hot_standby) == "on"

    async def fetch(self, query: Query, *args: object, **names: str) -> list[Any]:
        """Ask the server-wide connection. `names` are quoted identifiers that stand as `@name@` in the SQL."""
        held, lock = self._connection, self._opening
        connection = await self._opened()
        try:
            return await self._timed(connection, _spell(query.text(self.version), names), *args)
        except LOST:
            if connection is not held or lock is not self._opening:
                raise
        # It had been open since an earlier turn, and the server has restarted since: what counts is the server now.
        connection = await self._opened()
        return await self._timed(connection, _spell(query.text(self.version), names), *args)

    @asynccontextmanager
    async def visiting(self, database: str, session: Mapping[str, str] | None = None) -> AsyncIterator["Visit"]:
        """A short stay in one database, on the second connection. A second visitor waits for the first to leave."""
        await self._opened()  # refuses at once while the server is known to be down
        lock = self._visiting
        async with lock:
            settings = {**(session or _session_settings(self.limits)), **_VISITING}
            visitor = await self._connect(self.dsn.replace_database(database), settings)
            if lock is not self._visiting:
                raise self._abandoned(visitor)
            self._visitor = visitor
            try:
                yield Visit(self, visitor)
                await _part(visitor)
            finally:
                self._visitor = None
                visitor.terminate()

    async def ask(self, sql: str, *, timeout_seconds: float, most_rows: int, database: str | None = None) -> Answer:
        """Somebody's own SQL, in a session of its own."""
        began = self.clock.monotonic()
        session = session_of(_session_settings(self.limits))
        try:
            async with asyncio.timeout(timeout_seconds), self.visiting(database or home(self.dsn), session) as visit:
                left = timeout_seconds - (self.clock.monotonic() - began)
                return await visit.ask(sql, timeout_seconds=left, most_rows=most_rows)
        except TimeoutError as error:
            if self.answered_at < began:
                raise  # not a word from the server since: it hangs
            raise explain_asked(error, sql, self.dsn) from error
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise explain_asked(error, sql, self.dsn) from error

    def explain(self, error: BaseException) -> Failure:
        """The typed reason behind an exception."""
        failure = getattr(error, "failure", None)
        if isinstance(failure, Failure):  # an exception of our own, which brings its reason along
            return failure
        return explain(error, self.dsn)

    def abandon(self) -> None:
        """Cut both connections now. Whoever still waits for one of them gets none."""
        for connection in (self._connection, self._visitor):
            if connection is not None:
                connection.terminate()
        self._connection = self._visitor = None
        self._opening, self._visiting = asyncio.Lock(), asyncio.Lock()

    async def close(self) -> None:
        """Part from the server in good order, within two seconds."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await _part(connection)
        self.abandon()

    async def _opened(self) -> Any:  # noqa: ANN401 - asyncpg ships no types
        lock = self._opening
        async with lock:
            if self._connection is not None and not self._connection.is_closed():
                return self._connection
            if self._failure is not None and self.clock.monotonic() < self._next_attempt:
                raise DownError(self._failure)
            connection = await self._attempt()
            if lock is not self._opening:
                raise self._abandoned(connection)
            self._connection = self._session = connection
            self._failure, self._attempts = None, 0
            return connection

    async def _attempt(self) -> Any:  # noqa: ANN401 - asyncpg ships no types
        try:
            connection = await self._connect(self.dsn, _session_settings(self.limits))
        except asyncpg.UndefinedObjectError as error:
            raise self._put_off(_too_old(error)) from error
        except asyncpg.ProtocolViolationError as error:  # a server takes our settings, a pooler does not
            raise self._put_off(replace(explain_refusal(error, self.dsn), hint=POOLED_HINT)) from error
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise self._put_off(explain_refusal(error, self.dsn)) from error
        except asyncio.CancelledError:
            self._put_off(explain_refusal(TimeoutError("no answer to the attempt to connect"), self.dsn))
            raise
        if _version(connection) < OLDEST:
            connection.terminate()
            raise self._put_off(UnsupportedVersionError("Toban", OLDEST, _version(connection)).failure)
        return connection

    def _put_off(self, failure: Failure) -> DownError:
        wait = RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)]
        self._failure = failure
        self._attempts += 1
        self._next_attempt = self.clock.monotonic() + wait
        return DownError(failure)

    def _abandoned(self, connection: Any) -> DownError:  # noqa: ANN401 - asyncpg ships no types
        connection.terminate()
        return DownError(explain(TimeoutError("given up while connecting"), self.dsn))

    async def _connect(self, dsn: Dsn, settings: Mapping[str, str]) -> Any:  # noqa: ANN401 - asyncpg ships no types
        started = self.clock.monotonic()
        connection = await asyncpg.connect(
            dsn.reveal(),
            timeout=self.limits.connect_timeout,
            command_timeout=self.limits.statement_timeout + 1,
            max_cached_statement_lifetime=0,  # planned once for each connection, not anew every five minutes
            server_settings=dict(settings),
        )
        self._note_answer(started)
        return connection

    async def _timed(self, connection: Any, sql: str, *args: object) -> list[Any]:  # noqa: ANN401 - asyncpg ships no types
        started = self.clock.monotonic()
        try:
            rows = await connection.fetch(sql, *args)
        except LOST:
            connection.terminate()
            raise
        except asyncpg.PostgresError:  # a proper answer, and it cost the server its time
            self._note_answer(started)
            raise
        except BaseException:  # raised again, once what was begun is cleared away
            connection.terminate()  # the answer is still to come, or nobody knows: of no further use
            raise
        self._note_answer(started)
        return list(rows)

    def _note_answer(self, asked_at: float) -> None:
        self.answered_at = self.clock.monotonic()
        self.spent_seconds += self.answered_at - asked_at


class Visit:
    """One stay in one database."""

    def __init__(self, server: PostgresServer, connection: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
        self._server = server
        self._connection = connection

    async def fetch(self, query: Query, *args: object, **names: str) -> list[Any]:
        """Ask this database. `names` are as in `PostgresServer.fetch`."""
        sql = _spell(query.text(self._server.version), names)
        return await self._server._timed(self._connection, sql, *args)  # noqa: SLF001 - a visit is the server's own

    async def ask(self, sql: str, *, timeout_seconds: float, most_rows: int) -> Answer:
        """Somebody's own SQL. However it ends, its time is the server's time, and counts apart."""
        began = self._server.clock.monotonic()
        try:
            return await answer_of(self._connection, sql, timeout_seconds=timeout_seconds, most_rows=most_rows)
        finally:
            took = self._server.clock.monotonic() - began
            self._server.spent_seconds += took
            self._server.asked_seconds += took


def home(dsn: Dsn) -> str:
    """The database that a DSN names, else the one that every server has."""
    named = dict(dsn.parameters)
    return unquote(dsn.parts.path.lstrip("/")) or named.get("dbname") or named.get("database") or "postgres"


def _session_settings(limits: ServerLimits) -> dict[str, str]:
    """What holds for every session of ours. It is said at the start, so that it costs no round trip."""
    return {
        "application_name": APPLICATION_NAME,
        "default_transaction_read_only": "on",
        # serializable, our reading might undo the work of others, and no standby would answer at all
        "default_transaction_isolation": "read committed",
        "statement_timeout": f"{limits.statement_timeout * 1000:.0f}",
        "lock_timeout": f"{limits.lock_timeout * 1000:.0f}",
        "idle_in_transaction_session_timeout": "10000",
        "idle_session_timeout": "0",  # the first connection stays, whatever the server thinks of idle ones
        "client_connection_check_interval": "1000",  # a statement whose asker is gone ends within a second
        "search_path": "pg_catalog",
        "DateStyle": "ISO",
        "TimeZone": "UTC",
    }


def _version(connection: Any) -> int:  # noqa: ANN401 - asyncpg ships no types
    found = connection.get_server_version()
    return int(found.major * 10000 + found.micro)  # asyncpg writes 15.14 as 15.0.14


def _too_old(error: asyncpg.UndefinedObjectError) -> Failure:
    """It does not know a setting of our session: some of them came with the oldest version that we take."""
    detail = f"Toban needs PostgreSQL {OLDEST // 10000}, this server is older: {error.args[0]}"
    return Failure(reason=Reason.VERSION, detail=detail)


async def _part(connection: Any) -> None:  # noqa: ANN401 - asyncpg ships no types
    """Say goodbye and see the server hang up, so that the next connection is never one too many."""
    try:
        await connection.close(timeout=PARTING_SECONDS)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        connection.terminate()


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _spell(sql: str, names: dict[str, str]) -> str:
    """Put the quoted identifiers into their places; what one of them holds is not looked at again."""
    return _NAME.sub(lambda place: quote_identifier(names[place[1]]) if place[1] in names else place[0], sql)
