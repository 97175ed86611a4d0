"""The one way into a watched SQLite file: read only, nothing created, no application ever made to wait.

What a reader may do depends on the journal mode:

- **WAL**, with its `-wal` and `-shm` beside it: the cheap look reads the log's index and takes no lock at all (see
  `walindex`); the check and somebody's SQL are an ordinary read transaction, which writers hardly ever notice.
  `readonly_shm=1`, and never without both files: a reader that had to create them would own them, and the
  application might then not be able to open its own database.
- **Rollback journal**: no lock at all. A reader's SHARED lock makes a writer's COMMIT fail or wait. The header is read
  through a descriptor; the long check runs under `nolock=1`, and counts only if the file was the same after as before.
- **WAL that nobody has open** (no `-wal`): everything is in the file itself. `immutable=1`, under the same condition.

Two traps of POSIX advisory locks shape the rest. Closing *any* descriptor of a file drops every lock this process
holds on it, those of other connections to it included (Toban's own state may be a watched file). So the file is never
opened by hand: what reads the header and asks for locks is the descriptor that SQLite itself has opened, found by its
inode, and SQLite closes it when that is safe. Only `nolock=1` closes without regard: nothing else in this process may
lock a file in rollback mode while `check` runs on it. And F_GETLK only asks: it neither takes nor frees a lock.

The standard library's sqlite3 and a daemon thread for each call (collectors/blocking.py), not aiosqlite: its thread
could not be left behind when the disk hangs.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from collectors.blocking import Blocking
from collectors.contract import Answer, AskedError, Kind, SqlSource
from collectors.sqlite.looking import Look, explain
from toban.outcomes import Failure

THREADS_AT_ONCE = 3  # the cheap look, the long check and somebody's own SQL
PATIENCE = 1.08  # times its limit, until a query counts as one that hears nothing
T = TypeVar("T")


class SqliteFile(SqlSource):
    """One watched database file."""

    kind = Kind.SQLITE

    def __init__(self, path: Path) -> None:
        self.path = path
        self.blocking = Blocking(limit=THREADS_AT_ONCE)
        self._looks: set[Look] = set()

    @property
    def place(self) -> Path:
        """Where it is on this machine."""
        return self.path

    async def look(self, name: str, call: Callable[[Look], T], *, timeout_seconds: float) -> T:
        """The call's result, out of a thread of its own; it is ended when the wait for it ends."""
        look = Look(self.path)
        self._looks.add(look)
        try:
            return await self.blocking.run(name, partial(call, look), timeout_seconds=timeout_seconds)
        finally:
            look.end()
            self._looks.discard(look)

    async def ask(self, sql: str, *, timeout_seconds: float, most_rows: int, database: str | None = None) -> Answer:
        """Somebody's own SQL, interrupted at its limit."""
        from collectors.sqlite.asking import ONE_DATABASE, UNHEARD, answer_of  # noqa: PLC0415 - it stands on this module

        if database is not None:
            raise AskedError(ONE_DATABASE)
        look = Look(self.path)
        self._looks.add(look)
        limit = asyncio.get_running_loop().call_later(timeout_seconds, look.end)
        try:
            return await self.blocking.run(
                f"custom SQL {hash(sql):x}",
                partial(answer_of, look, sql, most_rows),
                timeout_seconds=timeout_seconds * PATIENCE,
            )
        except TimeoutError as error:
            raise AskedError(UNHEARD) from error
        finally:
            limit.cancel()
            look.end()
            self._looks.discard(look)

    def explain(self, error: BaseException) -> Failure:
        """The typed reason behind an exception."""
        return explain(error)

    def abandon(self) -> None:
        """End every look under way. A thread that hangs in the kernel cannot be cut, only left behind."""
        for look in self._looks:
            look.end()

    async def close(self) -> None:
        """No connection outlives a look at the file; end those under way."""
        self.abandon()
