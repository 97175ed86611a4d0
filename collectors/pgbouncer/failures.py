"""What PgBouncer, libpq and the network below say, as typed reasons with a hint.

libpq brings no SQLSTATE out of a refused login, only its text; PgBouncer's texts are English and old.
"""

from toban.outcomes import Failure, Reason
from toban.secrets import Dsn, blot

DETAIL_LENGTH = 300
CONSOLE = "pgbouncer"  # the name of the console among the databases
STATS_HINT = "add the user in `dsn` to `stats_users` in pgbouncer.ini, then RELOAD"
_WHO = "check the user and password in `dsn` against PgBouncer's `auth_file`"
_NO_CONSOLE = "a PostgreSQL server answers there; name PgBouncer's port in `dsn`"
_RUNNING = "is PgBouncer running, and the port right?"

# First match wins. The words are PgBouncer's own unless they are libpq's.
_SAID: tuple[tuple[tuple[str, ...], Reason, str], ...] = (
    (("not allowed",), Reason.AUTHENTICATION, STATS_HINT),
    (("admin access needed",), Reason.PRIVILEGE, STATS_HINT),
    (("authentication failed", "no such user", "login rejected", "no password supplied"), Reason.AUTHENTICATION, _WHO),
    (("no more connections allowed", "too many"), Reason.FULL, "raise `max_client_conn` in pgbouncer.ini"),
    (("shutting down", "shut down", "suspend"), Reason.STARTING, ""),
    (("no such database",), Reason.NOT_FOUND, f"end `dsn` with /{CONSOLE}, the console's name"),
    (("invalid command",), Reason.VERSION, "this PgBouncer does not have the command"),
    (('database "pgbouncer" does not exist',), Reason.NOT_FOUND, _NO_CONSOLE),
    (("unrecognized configuration parameter",), Reason.NOT_FOUND, _NO_CONSOLE),
    (("invalid URI", "invalid connection option"), Reason.UNREACHABLE, "`dsn` is not understood"),
    (("client_login_timeout", "timeout expired"), Reason.UNANSWERED, ""),
    (("could not translate host", "failed to resolve host"), Reason.UNREACHABLE, "is the host's name in `dsn` right?"),
    (("closed the connection", "closed unexpectedly", "SSL SYSCALL error"), Reason.UNREACHABLE, _RUNNING),
    (("certificate", "SSL"), Reason.UNREACHABLE, "check `sslmode` and `sslrootcert` in `dsn`"),
)


class DownError(Exception):
    """There is no way in: the attempt just failed, or one failed a moment ago and the next is not due yet."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


def explain(error: BaseException, dsn: Dsn) -> Failure:
    """The typed reason for an exception out of psycopg or the network."""
    if isinstance(error, DownError):
        return error.failure
    detail = _detail(error, dsn)
    if isinstance(error, TimeoutError):
        return Failure(reason=Reason.UNANSWERED, detail=detail)
    for words, reason, hint in _SAID:
        if any(word in detail for word in words):
            return Failure(reason=reason, detail=detail, hint=hint)
    if isinstance(error, OSError) or _of_psycopg(error):
        return Failure(reason=Reason.UNREACHABLE, detail=detail, hint=_RUNNING)
    return Failure(reason=Reason.INTERNAL, detail=f"{type(error).__name__}: {detail}")


def _of_psycopg(error: BaseException) -> bool:
    """Whether it is psycopg's own, which need not be imported to tell."""
    return any(one.__module__.startswith("psycopg") and one.__name__ == "Error" for one in type(error).__mro__)


def _detail(error: BaseException, dsn: Dsn) -> str:
    said = blot(" ".join(str(error).split()), *dsn.secrets)[:DETAIL_LENGTH]
    return said or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
