"""What a MariaDB server and its driver say, as typed reasons with a hint: a table from error number to meaning."""

import ssl
from collections.abc import Mapping

from toban.outcomes import Failure, Reason
from toban.secrets import Dsn, blot

DETAIL_LENGTH = 300
ROLE_HINT = "docs/configure.md has the GRANTs that mend it, under `mariadb`"
INSTALL = "pip install 'toban[mariadb]'"

_LOGIN = "check the role, its host and its password in `dsn`"
_SLOTS = "no connection slot is left; raise max_connections or close idle sessions"
_SLOW = "raise `statement_timeout` of the target if it should be allowed to"
_LOST = "did the server restart, or drop idle connections?"

_MEANINGS: Mapping[int, tuple[Reason, str]] = {
    1040: (Reason.FULL, _SLOTS),
    1203: (Reason.FULL, "the role's max_user_connections is reached"),
    1226: (Reason.FULL, "a resource limit of the role is reached"),
    1045: (Reason.AUTHENTICATION, _LOGIN),
    1698: (Reason.AUTHENTICATION, "the role may only enter through the Unix socket: `?socket=/run/mysqld/mysqld.sock`"),
    1130: (Reason.AUTHENTICATION, "the server knows no role for this machine; CREATE USER …@'this host'"),
    1129: (Reason.AUTHENTICATION, "this machine is blocked after too many failed attempts; FLUSH HOSTS on the server"),
    1251: (Reason.AUTHENTICATION, _LOGIN),
    1820: (Reason.AUTHENTICATION, "the role's password has expired"),
    1862: (Reason.AUTHENTICATION, "the role's password has expired"),
    2059: (Reason.AUTHENTICATION, "the role's authentication plugin is not supported"),
    4151: (Reason.AUTHENTICATION, "the role is locked; ALTER USER … ACCOUNT UNLOCK"),
    1049: (Reason.NOT_FOUND, "name a database that exists at the end of `dsn`, or none"),
    1142: (Reason.PRIVILEGE, ROLE_HINT),
    1143: (Reason.PRIVILEGE, ROLE_HINT),
    1227: (Reason.PRIVILEGE, ROLE_HINT),
    1370: (Reason.PRIVILEGE, ROLE_HINT),
    1044: (Reason.PRIVILEGE, ROLE_HINT),
    1969: (Reason.TIMEOUT, _SLOW),  # MariaDB's max_statement_time
    3024: (Reason.TIMEOUT, _SLOW),  # MySQL's max_execution_time
    1317: (Reason.TIMEOUT, "somebody killed the statement"),
    1205: (Reason.LOCKED, ""),
    1213: (Reason.LOCKED, ""),
    3572: (Reason.LOCKED, ""),
    1053: (Reason.STARTING, ""),
    1080: (Reason.STARTING, ""),
    1927: (Reason.UNREACHABLE, "somebody killed our connection"),
    2002: (Reason.UNREACHABLE, "is the server running, and the socket right?"),
    2003: (Reason.UNREACHABLE, "is the server running, and host and port right?"),
    2006: (Reason.UNREACHABLE, _LOST),
    2013: (Reason.UNREACHABLE, _LOST),
    2055: (Reason.UNREACHABLE, _LOST),
    1064: (Reason.UNSUPPORTED, "check the SQL"),
    1054: (Reason.UNSUPPORTED, "check the SQL, or this server has no such column"),
    1109: (Reason.UNSUPPORTED, "this server has no such table"),
    1146: (Reason.UNSUPPORTED, "this server has no such table"),
    1792: (Reason.UNSUPPORTED, "only what reads may be asked"),
}
LOST = frozenset({1053, 1080, 1927, 2006, 2013, 2055})  # the connection is gone, and a new one may do
_TLS = "check `ssl-mode` and `ssl-ca` in `dsn`, and whether the server offers TLS"


class ServerError(Exception):
    """What went wrong between us and the server, with its number and its reason."""

    def __init__(self, number: int, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.number = number
        self.failure = failure


def explain(error: BaseException, dsn: Dsn) -> Failure:
    """The typed reason behind an exception of the driver's, or of the network below it."""
    detail = _detail(error, dsn)
    if isinstance(error, ssl.SSLError) or isinstance(error.__cause__, ssl.SSLError):
        return Failure(reason=Reason.UNREACHABLE, detail=detail, hint=_TLS)
    if isinstance(error, TimeoutError):
        return Failure(reason=Reason.UNANSWERED, detail=detail)
    reason, hint = _MEANINGS.get(number_of(error), (None, ""))
    if reason is None and isinstance(error, OSError):
        return Failure(reason=Reason.UNREACHABLE, detail=detail, hint=_MEANINGS[2003][1])
    if reason is None:
        number = number_of(error)
        named = f"{detail} (error {number})" if number else f"{type(error).__name__}: {detail}"
        return Failure(reason=Reason.INTERNAL, detail=named)
    return Failure(reason=reason, detail=detail, hint=hint)


def explain_refusal(error: BaseException, dsn: Dsn) -> Failure:
    """The typed reason why the door stayed shut: for each of them the target is down."""
    if number_of(error) == 1044:  # noqa: PLR2004 - ER_DBACCESS_DENIED_ERROR: a privilege inside, but this is the door
        hint = "GRANT a privilege in the database that `dsn` names, or name none"
        return Failure(reason=Reason.AUTHENTICATION, detail=_detail(error, dsn), hint=hint)
    if isinstance(error, RuntimeError):  # the driver wants a package for this way of proving who we are
        hint = "connect over TLS or the Unix socket, or give the role another authentication plugin"
        return Failure(reason=Reason.AUTHENTICATION, detail=_detail(error, dsn), hint=hint)
    return explain(error, dsn)


def number_of(error: BaseException) -> int:
    """The error's number, as the driver puts it first; 0 when there is none."""
    first = error.args[0] if error.args else 0
    return first if isinstance(first, int) and not isinstance(error, OSError) else 0


def _detail(error: BaseException, dsn: Dsn) -> str:
    said = str(error.args[1]) if number_of(error) and len(error.args) > 1 else str(error)
    said = blot(" ".join(said.split()), *dsn.secrets)[:DETAIL_LENGTH]
    return said or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
