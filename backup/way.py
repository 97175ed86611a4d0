"""The way to a PostgreSQL server for programs and for a few questions of our own: no secret in words or environment."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import asyncpg

from backup.errors import BackupError
from toban.backups import Trouble
from toban.secrets import SECRET_PARAMETERS, Dsn, blot

APPLICATION_NAME: Final = "toban"
CONNECT_SECONDS: Final = 10
PASSFILE: Final = "pgpass"
BREAKS: Final = frozenset("\r\n")
QUIET: Final = {
    "application_name": APPLICATION_NAME,
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "lock_timeout": "2s",
    "idle_in_transaction_session_timeout": "0",
}
_URL_KEYS: Final = {"database": "dbname"}


class Way:
    """How programs of libpq's and our own queries reach a server. `folder` is private and goes with the work."""

    def __init__(self, dsn: Dsn, folder: Path) -> None:
        self.dsn = dsn
        self._passfile = folder / PASSFILE
        password = _password(dsn)
        if password is not None and BREAKS & set(password):
            why = "its password has a line break, which no password file can hold"
            raise BackupError(dsn.masked, why, "give the role another one", trouble=Trouble.CONFIGURATION)
        if password is not None:
            _write_private(self._passfile, f"*:*:*:*:{_escaped(password)}\n")

    @property
    def environment(self) -> Mapping[str, str]:
        """What a program of libpq's needs beside its words."""
        found = {"PGAPPNAME": APPLICATION_NAME, "PGCONNECT_TIMEOUT": str(CONNECT_SECONDS)}
        if self._passfile.exists():
            found["PGPASSFILE"] = str(self._passfile)
        elif "PGPASSFILE" in os.environ:
            found["PGPASSFILE"] = os.environ["PGPASSFILE"]
        return found

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must be blotted out of whatever a program says."""
        return self.dsn.secrets

    def words(self, database: str | None = None) -> str:
        """A connection string of keywords, without any secret: for --dbname, also of programs that take a URL there."""
        found = _parameters(self.dsn)
        if database is not None:
            found["dbname"] = database
        return " ".join(f"{key}={_quoted(value)}" for key, value in found.items())

    @property
    def database(self) -> str:
        """The database that the DSN names, else the role's namesake as libpq has it, else postgres."""
        return database_of(self.dsn)

    @asynccontextmanager
    async def connected(
        self, database: str | None = None, *, settings: Mapping[str, str] | None = None, replication: bool = False
    ) -> AsyncIterator[Any]:
        """A connection of our own: read only, bounded, named; ended with the block."""
        dsn = self.dsn if database is None else self.dsn.replace_database(database)
        try:
            connection = await asyncpg.connect(
                dsn.reveal(),
                timeout=CONNECT_SECONDS,
                command_timeout=None,
                server_settings=({} if replication else dict(QUIET)) | dict(settings or {}),
                statement_cache_size=0,  # poolers in between may not know them
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError, ValueError) as error:
            raise self.unreachable(error) from error
        try:
            yield connection
        finally:
            try:
                await connection.close(timeout=2)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError):
                connection.terminate()

    def unreachable(self, error: BaseException) -> BackupError:
        """Why there is no way in."""
        refused = isinstance(error, (asyncpg.InvalidAuthorizationSpecificationError, asyncpg.InvalidPasswordError))
        words = "no answer in time" if isinstance(error, TimeoutError) else str(error)
        why = blot(" ".join(words.split()) or type(error).__name__, *self.secrets)
        if refused:
            return BackupError(self.dsn.masked, why, trouble=Trouble.PRIVILEGE)
        hint = "is the server running, and its address right?"
        return BackupError(self.dsn.masked, why, hint, trouble=Trouble.UNREACHABLE)


def database_of(dsn: Dsn) -> str:
    """The database that a DSN names, else the role's namesake as libpq has it, else postgres."""
    named = _parameters(dsn)
    return named.get("dbname") or named.get("user") or "postgres"


def _parameters(dsn: Dsn) -> dict[str, str]:
    """The DSN's parts as libpq's keywords, in libpq's order of precedence: the query's come last and win."""
    parts = dsn.parts
    login, _, places = parts.netloc.rpartition("@")
    found: dict[str, str] = {}
    if places:
        hosts, ports = zip(*(_place(place) for place in places.split(",")), strict=True)
        if any(hosts):
            found["host"] = ",".join(hosts)
        if any(ports):
            found["port"] = ",".join(ports)
    user = unquote(login.partition(":")[0])
    if user:
        found["user"] = user
    if parts.path.strip("/"):
        found["dbname"] = unquote(parts.path.lstrip("/"))
    for key, value in dsn.parameters:
        if key.lower() not in SECRET_PARAMETERS:
            found[_URL_KEYS.get(key, key)] = value
    return found


def _place(place: str) -> tuple[str, str]:
    """A host and its port, as `::1` of `[::1]:5432`."""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        return host, port.removeprefix(":")
    host, _, port = place.partition(":")
    return unquote(host), port


def _password(dsn: Dsn) -> str | None:
    named = [value for key, value in dsn.parameters if key.lower() in ("password", "passwd")]
    login = dsn.parts.netloc.rpartition("@")[0]
    written = unquote(login.partition(":")[2]) if ":" in login else None
    return named[-1] if named else written


def _escaped(password: str) -> str:
    """As a password file has it."""
    return password.replace("\\", "\\\\").replace(":", "\\:")


def _quoted(value: str) -> str:
    """As a keyword's value in a connection string."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _write_private(path: Path, text: str) -> None:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
