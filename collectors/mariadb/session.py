"""How a session with a MariaDB server begins: who, where, by TLS or not, and what holds in it from then on."""

import ssl
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote

from collectors.mariadb.failures import INSTALL, ServerError
from collectors.mariadb.sql import Edition
from toban.outcomes import Failure, Reason
from toban.secrets import Dsn

PROGRAM_NAME = "toban"
PORT = 3306
SSL_MODES = ("disabled", "preferred", "required", "verify-ca", "verify-identity")
PARAMETERS = ("socket", "ssl-mode", "ssl-ca", "ssl-cert", "ssl-key")
IDLE_SECONDS = 3600  # after which the server gives our connection up, whatever became of us
_READ_ONLY = "SET SESSION TRANSACTION READ ONLY"
_SET_OPTION, _MULTI_STATEMENTS_OFF = 0x1B, b"\x01\x00"

Settings = Callable[[Edition], tuple[str, ...]]
"""The statements that a session of ours begins with, once it is known what server it is."""


class MissingDriverError(Exception):
    """The optional driver is not installed."""

    failure = Failure(
        reason=Reason.UNREACHABLE,
        detail="MariaDB and MySQL need a driver that is not installed",
        hint=f"{INSTALL}, in Toban's own environment",
    )


def load_driver() -> Any:  # noqa: ANN401 - an optional package
    """The driver. It is loaded here and nowhere else, so that a daemon without such a target never does."""
    try:
        import asyncmy  # noqa: PLC0415 - optional: only who watches a MariaDB has it
        import asyncmy.cursors  # noqa: PLC0415 - likewise
        import asyncmy.errors  # noqa: PLC0415 - likewise
    except ImportError:
        raise MissingDriverError from None
    return asyncmy


def ssl_mode(dsn: Dsn) -> str:
    """How the way is secured. Who says nothing gets TLS where it is offered, but for this very machine."""
    named = dict(dsn.parameters)
    return named.get("ssl-mode", "disabled" if dsn.local else "preferred").lower()


def arguments(
    dsn: Dsn, *, timeout_seconds: float, database: str | None = None, tls: ssl.SSLContext | None = None
) -> dict[str, Any]:
    """What the driver is told."""
    parts, named = dsn.parts, dict(dsn.parameters)
    wanted = unquote(parts.path.lstrip("/")) if database is None else database
    return {
        "host": parts.hostname or "127.0.0.1",
        "port": parts.port or PORT,
        "unix_socket": named.get("socket"),
        "user": unquote(parts.username or "") or PROGRAM_NAME,
        "password": unquote(parts.password or "").encode(),
        "database": wanted or None,
        "connect_timeout": timeout_seconds,
        "charset": "utf8mb4",
        "autocommit": None,  # said with everything else in `settings`, at one go
        "program_name": PROGRAM_NAME,
        "ssl": tls,
    }


def settings(statement_seconds: float) -> Settings:
    """What holds in our own session: read only, bounded, waiting for no lock, in UTC."""

    def told(edition: Edition) -> tuple[str, ...]:
        own = f"autocommit = 1, time_zone = '+00:00', sql_mode = '', wait_timeout = {IDLE_SECONDS}"
        return (f"SET SESSION {_bounds(edition, statement_seconds)}, {own}", _READ_ONLY)

    return told


def asked_settings(statement_seconds: float) -> Settings:
    """The same for somebody's own SQL, which finds the time zone and the SQL mode of the server."""
    return lambda edition: (f"SET SESSION {_bounds(edition, statement_seconds)}", _READ_ONLY)


async def prepare(connection: Any, settings: tuple[str, ...]) -> None:  # noqa: ANN401 - the driver's
    """Make a fresh connection ours: one statement at a time, and what holds in it."""
    await connection._execute_command(_SET_OPTION, _MULTI_STATEMENTS_OFF)  # noqa: SLF001 - the driver has no word for it
    await connection.read_packet()
    for setting in settings:
        await connection.query(setting)


def _bounds(edition: Edition, statement_seconds: float) -> str:
    if edition.mariadb:
        return f"max_statement_time = {statement_seconds:.3f}, lock_wait_timeout = 0, innodb_lock_wait_timeout = 0"
    milliseconds = f"{statement_seconds * 1000:.0f}"  # MySQL, which takes no zero for the others
    return f"max_execution_time = {milliseconds}, lock_wait_timeout = 1, innodb_lock_wait_timeout = 1"


def context_of(dsn: Dsn) -> ssl.SSLContext:
    """TLS as the server's own programs mean it: only `verify-…` looks at the certificate, or the name. Slow."""
    named, mode = dict(dsn.parameters), ssl_mode(dsn)
    try:
        context = ssl.create_default_context(cafile=named.get("ssl-ca"))
        context.check_hostname = mode == "verify-identity"
        context.verify_mode = ssl.CERT_REQUIRED if mode.startswith("verify") else ssl.CERT_NONE
        if "ssl-cert" in named:  # for a key under a password OpenSSL would ask at the terminal, and wait
            context.load_cert_chain(named["ssl-cert"], named.get("ssl-key"), password="")
    except OSError as error:  # what is wrong with a certificate is one as well
        files = ", ".join(f"{name} {named[name]}" for name in ("ssl-ca", "ssl-cert", "ssl-key") if name in named)
        hint = "name files in PEM that Toban's user may read, and a key without a password"
        detail = f"TLS with {files}: {error.strerror or error}"
        raise ServerError(0, Failure(reason=Reason.UNREACHABLE, detail=detail, hint=hint)) from error
    return context
