"""What PostgreSQL and its driver throw, as typed reasons with a hint: a table from exception to meaning."""

import socket
import ssl

import asyncpg

from toban.outcomes import Failure, Reason
from toban.secrets import Dsn, blot

SETUP_HINT = "`toban setup postgresql DSN` prints the SQL that mends it"
DETAIL_LENGTH = 300

_Meaning = tuple[type[BaseException] | tuple[type[BaseException], ...], Reason, str]

# First match wins: the narrow before the wide.
_MEANINGS: tuple[_Meaning, ...] = (
    (asyncpg.InsufficientPrivilegeError, Reason.PRIVILEGE, SETUP_HINT),
    (asyncpg.LockNotAvailableError, Reason.LOCKED, ""),
    (asyncpg.QueryCanceledError, Reason.TIMEOUT, "raise `statement_timeout` of the target if it should be allowed to"),
    (
        asyncpg.InvalidAuthorizationSpecificationError,  # InvalidPasswordError is one of these
        Reason.AUTHENTICATION,
        "check the role and password in `dsn`, and pg_hba.conf on the server",
    ),
    (asyncpg.InvalidCatalogNameError, Reason.NOT_FOUND, "name a database that exists at the end of `dsn`"),
    (
        asyncpg.TooManyConnectionsError,
        Reason.FULL,
        "no connection slot is left; reserve some for pg_monitor roles or close idle sessions",
    ),
    (asyncpg.CannotConnectNowError, Reason.STARTING, ""),
    ((asyncpg.AdminShutdownError, asyncpg.CrashShutdownError), Reason.STARTING, ""),
    (asyncpg.UndefinedTableError, Reason.EXTENSION_MISSING, SETUP_HINT),
    (
        (asyncpg.UndefinedFunctionError, asyncpg.UndefinedColumnError),
        Reason.EXTENSION_OLD,
        "ALTER EXTENSION … UPDATE in that database",
    ),
    (asyncpg.ObjectNotInPrerequisiteStateError, Reason.UNSUPPORTED, ""),
    (asyncpg.PostgresConnectionError, Reason.UNREACHABLE, ""),
    (asyncpg.ClientConfigurationError, Reason.UNREACHABLE, "`dsn` is not understood"),
    (asyncpg.InterfaceError, Reason.UNREACHABLE, ""),
    (ssl.SSLError, Reason.UNREACHABLE, "check `sslmode` and `sslrootcert` in `dsn`"),
    (TimeoutError, Reason.UNANSWERED, ""),
    (socket.gaierror, Reason.UNREACHABLE, "is the host's name in `dsn` right?"),
    (OSError, Reason.UNREACHABLE, "is the server running, and the port right?"),
)
# Refused at the door, these mean something else than they do inside.
_REFUSALS: tuple[_Meaning, ...] = (
    (asyncpg.InsufficientPrivilegeError, Reason.AUTHENTICATION, "GRANT CONNECT ON DATABASE … TO the role in `dsn`"),
    (asyncpg.ObjectNotInPrerequisiteStateError, Reason.NOT_FOUND, "name a database that takes connections in `dsn`"),
    *_MEANINGS,
)


def explain(error: BaseException, dsn: Dsn) -> Failure:
    """The typed reason for an exception out of asyncpg or the network below it."""
    if isinstance(error, asyncpg.ObjectNotInPrerequisiteStateError) and "shared_preload_libraries" in str(error):
        return Failure(reason=Reason.EXTENSION_MISSING, detail=_detail(error, dsn), hint=SETUP_HINT)
    return _meant(error, dsn, _MEANINGS)


def explain_refusal(error: BaseException, dsn: Dsn) -> Failure:
    """The typed reason why a server's door stayed shut: for each of them the target is down."""
    return _meant(error, dsn, _REFUSALS)


def _meant(error: BaseException, dsn: Dsn, meanings: tuple[_Meaning, ...]) -> Failure:
    detail = _detail(error, dsn)
    for types, reason, hint in meanings:
        if isinstance(error, types):
            return Failure(reason=reason, detail=detail, hint=hint)
    return Failure(reason=Reason.INTERNAL, detail=f"{type(error).__name__}: {detail}")


def _detail(error: BaseException, dsn: Dsn) -> str:
    said = blot(" ".join(str(error).split()), *dsn.secrets)[:DETAIL_LENGTH]
    return said or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
