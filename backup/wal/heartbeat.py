"""The heartbeat: one row written every minute, so that an idle server has moments to restore to, and the RPO is true.

It writes, so it is opt-in; the row lies in a schema of its own. After a restore the row tells how new the data is.
"""

import asyncio
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog

from backup.errors import BackupError
from backup.settings import Beat
from backup.sql import query, quote_identifier
from backup.way import Way, database_of
from toban.backups import Trouble
from toban.secrets import Dsn

WITHIN_SECONDS: Final = 10.0
_WRITING: Final = {
    "default_transaction_read_only": "off",
    "synchronous_commit": "local",
    "statement_timeout": "5s",
}


logger = structlog.get_logger(__name__)


class Heart:
    """Beats into one server. `schema` is made when it is not there."""

    def __init__(self, beat: Beat, dsn: Dsn, *, workspace: Path, node: str = "") -> None:
        self.newest_at: float | None = None
        """The last moment that was written, by the server's clock."""
        self.reason = ""
        """Why it does not beat."""
        self._beat = beat
        self._dsn = beat.dsn or dsn
        self._database = beaten(beat, dsn)
        self._workspace = workspace
        self._node = node
        self._made = False

    async def run(self) -> None:
        """Beat until cancelled; what fails is said in `reason`, once in the log, and tried again."""
        said = ""
        while True:
            with suppress(BackupError):
                await self.once()
            if self.reason and self.reason != said:
                logger.warning("heartbeat_failed", server=self._dsn.masked, why=self.reason)
            said = self.reason
            await asyncio.sleep(self._beat.every)

    async def once(self) -> float | None:
        """One beat; None on a server that only follows another, which beats for it."""
        try:
            with tempfile.TemporaryDirectory(dir=self._workspace, prefix="beat-") as folder:
                way = Way(self._dsn, Path(folder))
                async with asyncio.timeout(WITHIN_SECONDS), way.connected(self._database, settings=_WRITING) as to:
                    self.newest_at = await self._written(to)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:  # a TimeoutError is an OSError
            self._made = False
            failure = BackupError("heartbeat", _why(error), _hint(error), trouble=_trouble(error))
            self.reason = failure.reason
            raise failure from error
        except BackupError as error:
            self.reason = error.reason
            raise
        self.reason = ""
        return self.newest_at

    async def _written(self, connection: Any) -> float | None:  # noqa: ANN401 - asyncpg ships no types
        if await connection.fetchval("select pg_is_in_recovery()"):
            return None
        if not self._made:
            await make(connection, self._beat.schema_)
            self._made = True
        at: float = await connection.fetchval(_sql("beat", self._beat.schema_), self._node)
        return at


def beaten(beat: Beat, dsn: Dsn) -> str:
    """The database that holds the row of a server with this DSN."""
    return beat.database or database_of(beat.dsn or dsn)


async def make(connection: Any, schema: str) -> None:  # noqa: ANN401 - asyncpg ships no types
    """The schema and the table, where they are not there yet; a role that may write needs not own them."""
    if await connection.fetchval("select to_regclass($1) is null", f"{quote_identifier(schema)}.heartbeat"):
        if await connection.fetchval("select to_regnamespace($1) is null", quote_identifier(schema)):
            await connection.execute(_sql("beat_schema", schema))
        await connection.execute(_sql("beat_table", schema))


async def newest(connection: Any, schema: str) -> float | None:  # noqa: ANN401 - asyncpg ships no types
    """The moment of the newest beat that a restored database holds; None where it holds none."""
    if await connection.fetchval("select to_regclass($1) is null", f"{quote_identifier(schema)}.heartbeat"):
        return None
    at: float | None = await connection.fetchval(_sql("beat_read", schema))
    return at


def _sql(name: str, schema: str) -> str:
    return query(__package__ or "", name).format(schema=quote_identifier(schema))


def _why(error: Exception) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else " ".join(str(error).split())


def _hint(error: Exception) -> str:
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return "grant create on the database to its role, or name another one in backups.heartbeat.dsn"
    return ""


def _trouble(error: Exception) -> Trouble:
    if isinstance(error, asyncpg.InsufficientPrivilegeError):
        return Trouble.PRIVILEGE
    return Trouble.UNREACHABLE if isinstance(error, OSError) else Trouble.TOOL
