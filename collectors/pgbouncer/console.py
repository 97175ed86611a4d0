"""The one way into a PgBouncer: one connection to its admin console, which only shows; bounded on our side.

The console knows no statement_timeout and cancels nothing: who waits no longer hangs up. Whatever the DSN leaves out,
libpq takes from the environment (PGPASSFILE, PGSSLMODE …).
"""

import asyncio
import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from collectors.contract import Kind, Source
from collectors.pgbouncer.failures import CONSOLE, DownError, explain
from toban.clock import Clock
from toban.config import Duration, Model
from toban.outcomes import Failure
from toban.secrets import Dsn

if TYPE_CHECKING:
    from collectors.pgbouncer.wire import Wire

APPLICATION_NAME = "toban"
RETRY_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)  # between two attempts to connect to a console that is down
Row = Mapping[str, object]


class ConsoleLimits(Model):
    """How long a console may take."""

    statement_timeout: Duration = 4.0
    connect_timeout: Duration = 4.0


class PgBouncerConsole(Source):
    """One watched PgBouncer."""

    kind = Kind.PGBOUNCER

    def __init__(self, dsn: Dsn, clock: Clock, limits: ConsoleLimits | None = None) -> None:
        self.dsn = dsn.replace_database(CONSOLE)
        self.clock = clock
        self.limits = limits or ConsoleLimits()
        self.spent_seconds = 0.0
        self.connected_total = 0
        """Connections made so far: another one means that PgBouncer may be another."""
        self._wire: Wire | None = None
        self._asking = asyncio.Lock()  # one connection, one question at a time
        self._failure: Failure | None = None
        self._attempts = 0
        self._next_attempt = 0.0

    async def show(self, what: str) -> list[Row]:
        """The rows of `SHOW what`."""
        lock = self._asking
        async with lock:
            held = self._wire
            wire = await self._opened(lock)
            try:
                return await self._asked(wire, what)
            except TimeoutError:
                raise  # deaf, not restarted
            except Exception:  # raised again, but for a connection that had gone stale
                if wire is not held or self._wire is not None or lock is not self._asking:
                    raise
            # It had been open since an earlier turn, and PgBouncer has restarted since: what counts is the one now.
            return await self._asked(await self._opened(lock), what)

    def explain(self, error: BaseException) -> Failure:
        """The typed reason behind an exception."""
        return explain(error, self.dsn)

    def abandon(self) -> None:
        """Hang up now. Whoever still waits for an answer gets none."""
        self._hang_up()
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        """Hang up: libpq says goodbye by itself."""
        self.abandon()

    async def _opened(self, lock: asyncio.Lock) -> "Wire":
        if self._wire is not None:
            return self._wire
        if self._failure is not None and self.clock.monotonic() < self._next_attempt:
            raise DownError(self._failure)
        wire = await self._attempt()
        if lock is not self._asking:
            wire.hang_up()
            raise DownError(self.explain(TimeoutError("given up while connecting")))
        self._wire, self._failure, self._attempts = wire, None, 0
        self.connected_total += 1
        return wire

    async def _attempt(self) -> "Wire":
        try:
            return await self._dialled()
        except asyncio.CancelledError:
            self._put_off(self.explain(TimeoutError("no answer to the attempt to connect")))
            raise
        except Exception as error:  # noqa: BLE001 - psycopg's are not imported here; a fault of our own is told as such
            raise self._put_off(self.explain(error)) from None  # its text may quote the DSN

    async def _dialled(self) -> "Wire":
        # In a thread, once in a daemon's life: the import takes a tenth of a second.
        wire = await asyncio.to_thread(importlib.import_module, "collectors.pgbouncer.wire")
        written = dict(self.dsn.parameters)
        # Looking for Kerberos tickets would block the loop, and PgBouncer takes none.
        kerberos = {} if "gssencmode" in written else {"gssencmode": "disable"}
        bound = self.limits.connect_timeout
        started = self.clock.monotonic()
        async with asyncio.timeout(bound):
            dialled: Wire = await wire.dial(
                self.dsn.reveal(), application_name=APPLICATION_NAME, timeout_seconds=bound, **kerberos
            )
        self._note_answer(started)
        return dialled

    def _put_off(self, failure: Failure) -> DownError:
        wait = RETRY_SECONDS[min(self._attempts, len(RETRY_SECONDS) - 1)]
        self._failure = failure
        self._attempts += 1
        self._next_attempt = self.clock.monotonic() + wait
        return DownError(failure)

    async def _asked(self, wire: "Wire", what: str) -> list[Row]:
        started = self.clock.monotonic()
        try:
            async with asyncio.timeout(self.limits.statement_timeout):
                rows = await wire.show(f"SHOW {what}")
        except BaseException:  # raised again, once what was begun is cleared away
            if wire.closed:
                self._hang_up()
            else:
                self._note_answer(started)  # a proper answer, though not the one that was hoped for
            raise
        self._note_answer(started)
        return [*rows]

    def _hang_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.hang_up()

    def _note_answer(self, asked_at: float) -> None:
        self.answered_at = self.clock.monotonic()
        self.spent_seconds += self.answered_at - asked_at
