import socket
import ssl

import asyncpg
import pytest

from collectors.postgresql.failures import DETAIL_LENGTH, explain, explain_refusal
from toban.outcomes import Reason
from toban.secrets import Dsn

DSN = Dsn("postgresql://toban:s3cret%21@127.0.0.1:5432/postgres")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncpg.InsufficientPrivilegeError("permission denied"), Reason.PRIVILEGE),
        (asyncpg.LockNotAvailableError("canceling statement due to lock timeout"), Reason.LOCKED),
        (asyncpg.QueryCanceledError("canceling statement due to statement timeout"), Reason.TIMEOUT),
        (asyncpg.InvalidPasswordError("password authentication failed"), Reason.AUTHENTICATION),
        (asyncpg.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"), Reason.AUTHENTICATION),
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), Reason.NOT_FOUND),
        (asyncpg.TooManyConnectionsError("too many clients"), Reason.FULL),
        (asyncpg.CannotConnectNowError("the database system is starting up"), Reason.STARTING),
        (asyncpg.AdminShutdownError("terminating connection"), Reason.STARTING),
        (asyncpg.CrashShutdownError("terminating connection"), Reason.STARTING),
        (asyncpg.UndefinedTableError("no relation"), Reason.EXTENSION_MISSING),
        (asyncpg.UndefinedFunctionError("no function"), Reason.EXTENSION_OLD),
        (asyncpg.UndefinedColumnError("no column"), Reason.EXTENSION_OLD),
        (
            asyncpg.ObjectNotInPrerequisiteStateError("must be loaded via shared_preload_libraries"),
            Reason.EXTENSION_MISSING,
        ),
        (asyncpg.ObjectNotInPrerequisiteStateError("recovery is in progress"), Reason.UNSUPPORTED),
        (asyncpg.SerializationError("canceling statement due to conflict with recovery"), Reason.LOCKED),
        (asyncpg.DatabaseDroppedError("terminating connection"), Reason.NOT_FOUND),
        (asyncpg.DiskFullError("could not write to file"), Reason.UNEXPECTED),
        (asyncpg.OutOfMemoryError("out of shared memory"), Reason.UNEXPECTED),
        (asyncpg.IndexCorruptedError("could not read block 3"), Reason.UNEXPECTED),
        (asyncpg.PostgresSyntaxError("syntax error at or near"), Reason.INTERNAL),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), Reason.UNREACHABLE),
        (asyncpg.ClientConfigurationError("invalid DSN"), Reason.UNREACHABLE),
        (asyncpg.InterfaceError("connection is closed"), Reason.UNREACHABLE),
        (ssl.SSLError("certificate verify failed"), Reason.UNREACHABLE),
        (TimeoutError(), Reason.UNANSWERED),
        (socket.gaierror("Name or service not known"), Reason.UNREACHABLE),
        (ConnectionRefusedError("refused"), Reason.UNREACHABLE),
        (ZeroDivisionError("a fault of ours"), Reason.INTERNAL),
    ],
)
def test_failure_of_each_kind_has_its_reason(error: BaseException, reason: Reason) -> None:
    """Every exception that a server or the driver throws becomes one word that programs can rely on."""
    assert explain(error, DSN).reason is reason


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (asyncpg.InsufficientPrivilegeError("permission denied for database"), Reason.AUTHENTICATION),
        (asyncpg.ObjectNotInPrerequisiteStateError("not currently accepting connections"), Reason.NOT_FOUND),
        (asyncpg.InvalidPasswordError("password authentication failed"), Reason.AUTHENTICATION),
        (TimeoutError(), Reason.UNANSWERED),
        (asyncpg.DiskFullError("could not write init file"), Reason.UNREACHABLE),
    ],
)
def test_failure_at_the_door_means_that_the_target_is_down(error: BaseException, reason: Reason) -> None:
    """What would be a detail inside is the whole matter when nobody gets in."""
    failure = explain_refusal(error, DSN)
    assert failure.reason is reason
    assert failure.down


@pytest.mark.parametrize(
    ("error", "down"),
    [
        (asyncpg.TooManyConnectionsError("too many clients"), False),
        (asyncpg.InvalidPasswordError("password authentication failed"), False),
        (asyncpg.InvalidCatalogNameError('database "x" does not exist'), False),
        (asyncpg.CannotConnectNowError("the database system is shutting down"), True),
        (asyncpg.ConnectionDoesNotExistError("connection was closed"), True),
    ],
)
def test_a_second_connection_that_is_refused_does_not_take_the_target_down(error: BaseException, down: bool) -> None:  # noqa: FBT001 - a case of a table
    """The first one stands and answers: who has no slot left, or another password by now, is up."""
    assert explain(error, DSN).down is down


def test_failure_never_quotes_the_password() -> None:
    """A driver that puts the DSN into its message, decoded or not, does not put it into ours."""
    failure = explain(OSError("cannot reach postgresql://toban:s3cret%21@h/ with s3cret! inside"), DSN)
    assert "s3cret" not in failure.detail
    assert "cannot reach" in failure.detail


def test_failure_is_one_bounded_line() -> None:
    """A page of text becomes one line of bounded length."""
    detail = explain(OSError("much\nto  say " * 100), DSN).detail
    assert len(detail) == DETAIL_LENGTH
    assert "\n" not in detail


def test_failure_without_words_gets_some() -> None:
    """Timeouts of asyncio carry no message; an operator still reads one."""
    assert explain(TimeoutError(), DSN).detail == "no answer in time"
    assert explain(BrokenPipeError(), DSN).detail == "BrokenPipeError"


def test_failure_of_our_own_names_its_exception() -> None:
    """A fault of Toban's own must be findable."""
    assert explain(KeyError("usable"), DSN).detail == "KeyError: 'usable'"
