"""What PostgreSQL and its driver throw, as typed reasons with a hint: a table from exception to meaning."""

import socket
import ssl
from dataclasses import replace

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
    (asyncpg.DatabaseDroppedError, Reason.NOT_FOUND, ""),
    (asyncpg.TransactionRollbackError, Reason.LOCKED, ""),  # on a standby: replay needed what we were reading
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
    (asyncpg.SyntaxOrAccessError, Reason.INTERNAL, ""),  # what we ask is wrong
    (asyncpg.PostgresError, Reason.UNEXPECTED, ""),  # no space for a file, no memory, a damaged index …
    (ssl.SSLError, Reason.UNREACHABLE, "check `sslmode` and `sslrootcert` in `dsn`"),
    (TimeoutError, Reason.UNANSWERED, ""),
    (socket.gaierror, Reason.UNREACHABLE, "is the host's name in `dsn` right?"),
    (OSError, Reason.UNREACHABLE, "is the server running, and the port right?"),
)
_OURS = (Reason.INTERNAL, "")
_AT_A_VISIT = (Reason.AUTHENTICATION, Reason.FULL, Reason.NOT_FOUND)
# Refused at the door, these mean something else than they do inside.
_REFUSALS: tuple[_Meaning, ...] = (
    (asyncpg.InsufficientPrivilegeError, Reason.AUTHENTICATION, "GRANT CONNECT ON DATABASE … TO the role in `dsn`"),
    (asyncpg.ObjectNotInPrerequisiteStateError, Reason.NOT_FOUND, "name a database that takes connections in `dsn`"),
    *_MEANINGS,
)


def explain(error: BaseException, dsn: Dsn) -> Failure:
    """The typed reason for an exception out of asyncpg or the network below it, met while the first connection stands.

    Who refuses a second one then is not down: it has no slot left, or the password was changed behind the first.
    """
    if isinstance(error, asyncpg.ObjectNotInPrerequisiteStateError) and "shared_preload_libraries" in str(error):
        return Failure(reason=Reason.EXTENSION_MISSING, detail=_detail(error, dsn), hint=SETUP_HINT)
    failure = _meant(error, dsn, _MEANINGS)
    return replace(failure, partial=failure.reason in _AT_A_VISIT)


def explain_refusal(error: BaseException, dsn: Dsn) -> Failure:
    """The typed reason why a server's door stayed shut: for each of them the target is down."""
    failure = _meant(error, dsn, _REFUSALS)
    return failure if failure.down else replace(failure, reason=Reason.UNREACHABLE)


def _meant(error: BaseException, dsn: Dsn, meanings: tuple[_Meaning, ...]) -> Failure:
    detail = _detail(error, dsn)
    reason, hint = next(((reason, hint) for types, reason, hint in meanings if isinstance(error, types)), _OURS)
    if reason is Reason.INTERNAL:
        detail = f"{type(error).__name__}: {detail}"
    return Failure(reason=reason, detail=detail, hint=hint)


def _detail(error: BaseException, dsn: Dsn) -> str:
    said = blot(" ".join(str(error).split()), *dsn.secrets)[:DETAIL_LENGTH]
    return said or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
