import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import uvloop

from collectors.pgbouncer.console import ConsoleLimits, PgBouncerConsole
from collectors.pgbouncer.failures import STATS_HINT, explain
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.pgbouncers import PASSWORD, NewPgBouncer, PgBouncer
from tests.waiting import eventually
from toban.clock import Clock, SystemClock
from toban.outcomes import Failure, Reason
from toban.secrets import Dsn

ROOT = Path(__file__).parents[3]


def a_console(
    dsn: str, clock: Clock | None = None, *, statement: float = 4.0, connect: float = 4.0
) -> PgBouncerConsole:
    """A way to a console."""
    limits = ConsoleLimits(statement_timeout=statement, connect_timeout=connect)
    return PgBouncerConsole(Dsn(dsn), clock or SystemClock(), limits)


async def failure_of(console: PgBouncerConsole, what: str = "LISTS") -> Failure:
    """Why a question has no answer."""
    try:
        rows = await console.show(what)
    except Exception as error:  # noqa: BLE001 - whatever it is, it has a reason
        return console.explain(error)
    raise AssertionError(f"answered: {rows}")


@pytest.fixture
def pgbouncer(postgres15: Cluster, new_pgbouncer: NewPgBouncer) -> PgBouncer:
    """A PgBouncer before PostgreSQL 15."""
    return new_pgbouncer(postgres15)


@pytest.fixture
async def console(pgbouncer: PgBouncer) -> AsyncIterator[PgBouncerConsole]:
    """A way to its console."""
    opened = a_console(pgbouncer.dsn())
    yield opened
    await opened.close()


@pytest.mark.integration
async def test_console_gives_rows_by_column(console: PgBouncerConsole) -> None:
    """Rows come over the simple protocol, several times on one connection; the time they took is noted."""
    (version,) = await console.show("VERSION")
    assert str(version["version"]).startswith("PgBouncer 1.")
    lists = {row["list"]: row["items"] for row in await console.show("LISTS")}
    assert lists["used_clients"] == 1
    assert console.connected_total == 1
    assert console.spent_seconds > 0
    assert console.answered_at > 0


@pytest.mark.integration
async def test_console_says_who_it_is(pgbouncer: PgBouncer, console: PgBouncerConsole) -> None:
    """PgBouncer's own list of clients names Toban."""
    assert {"application_name": "toban"}.items() <= {**(await console.show("CLIENTS"))[0]}.items()


@pytest.mark.integration
async def test_console_needs_no_database_in_the_dsn(pgbouncer: PgBouncer) -> None:
    """A DSN that ends with the port leads to the console all the same."""
    console = a_console(pgbouncer.dsn(""))
    assert await console.show("VERSION")
    await console.close()


@pytest.mark.integration
async def test_console_refuses_an_unknown_command_and_lives_on(console: PgBouncerConsole) -> None:
    """A command that this version lacks is a reason; the connection stays."""
    failure = await failure_of(console, "BOGUS")
    assert (failure.reason, failure.down) == (Reason.VERSION, False)
    assert (await failure_of(console, "FDS")).reason is Reason.PRIVILEGE
    assert await console.show("LISTS")
    assert console.connected_total == 1


@pytest.mark.integration
async def test_console_tells_why_the_door_stays_shut(pgbouncer: PgBouncer, postgres15: Cluster) -> None:
    """Each refusal has its reason and its mend, and none of them quotes the password."""
    shut = {
        pgbouncer.dsn(password="wr0ng-one"): (Reason.AUTHENTICATION, "auth_file"),
        pgbouncer.dsn(password=None): (Reason.AUTHENTICATION, "auth_file"),
        pgbouncer.dsn(user="nobody"): (Reason.AUTHENTICATION, "auth_file"),
        pgbouncer.dsn(user="stranger"): (Reason.AUTHENTICATION, STATS_HINT),
        pgbouncer.dsn() + "?sslmode=require": (Reason.UNREACHABLE, "sslmode"),
        pgbouncer.dsn() + "?nonsense=1": (Reason.UNREACHABLE, "not understood"),
        postgres15.dsn(): (Reason.NOT_FOUND, "PgBouncer's port"),
        f"postgresql://toban:{PASSWORD}@127.0.0.1:1/pgbouncer": (Reason.UNREACHABLE, "running"),
        f"postgresql://toban:{PASSWORD}@nowhere.invalid/pgbouncer": (Reason.UNREACHABLE, "host's name"),
        f"postgresql://toban:{PASSWORD}@/pgbouncer?host=/nowhere": (Reason.UNREACHABLE, "running"),
    }
    for dsn, (reason, hint) in shut.items():
        console = a_console(dsn)
        failure = await failure_of(console)
        assert (failure.reason, failure.down) == (reason, True), dsn
        assert hint in failure.hint, dsn
        assert PASSWORD not in repr(failure)
        assert "wr0ng-one" not in repr(failure)
        await console.close()


@pytest.mark.integration
async def test_console_comes_back_after_a_kill(pgbouncer: PgBouncer, manual_clock: ManualClock) -> None:
    """While PgBouncer is down the next attempt waits its time; then it is the first that counts."""
    console = a_console(pgbouncer.dsn(), manual_clock)
    await console.show("LISTS")
    pgbouncer.stop(signal.SIGKILL)
    assert (await failure_of(console)).reason is Reason.UNREACHABLE
    pgbouncer.start()
    assert (await failure_of(console)).reason is Reason.UNREACHABLE  # the next attempt is not due
    manual_clock.advance(0.5)
    assert await console.show("LISTS")
    assert console.connected_total == 2
    await console.close()


@pytest.mark.integration
async def test_console_does_not_notice_a_restart_between_two_turns(
    pgbouncer: PgBouncer, console: PgBouncerConsole
) -> None:
    """A connection that a restart has cut is replaced within the same question."""
    await console.show("LISTS")
    pgbouncer.stop()
    pgbouncer.start()
    assert await console.show("LISTS")
    assert console.connected_total == 2


@pytest.mark.integration
async def test_console_is_bounded_when_nobody_answers(pgbouncer: PgBouncer, manual_clock: ManualClock) -> None:
    """A PgBouncer stopped in mid-breath costs a statement's time, then an attempt's, and is asked anew later."""
    console = a_console(pgbouncer.dsn(), manual_clock, statement=0.5, connect=1.0)
    await console.show("LISTS")
    pgbouncer.signal(signal.SIGSTOP)
    async with asyncio.timeout(60):
        failures = [await failure_of(console), await failure_of(console)]
    assert [failure.reason for failure in failures] == [Reason.UNANSWERED] * 2
    assert all(failure.down for failure in failures)
    pgbouncer.signal(signal.SIGCONT)
    manual_clock.advance(0.5)
    assert await console.show("LISTS")
    await console.close()


@pytest.mark.integration
async def test_console_survives_being_cancelled(pgbouncer: PgBouncer, manual_clock: ManualClock) -> None:
    """Cancelled at a question or while connecting, it hangs up, and the next question has a connection of its own."""
    console = a_console(pgbouncer.dsn(), manual_clock)
    await console.show("LISTS")
    pgbouncer.signal(signal.SIGSTOP)
    for _ in range(2):  # at the question, then at the door
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await console.show("LISTS")
        assert console._wire is None
    assert (await failure_of(console)).reason is Reason.UNANSWERED
    pgbouncer.signal(signal.SIGCONT)
    manual_clock.advance(0.5)
    assert await console.show("LISTS")
    await console.close()


@pytest.mark.integration
async def test_console_can_be_abandoned(pgbouncer: PgBouncer, manual_clock: ManualClock) -> None:
    """Whoever waits when it is abandoned gets a reason at once, be it for an answer or at the door."""
    console = a_console(pgbouncer.dsn(), manual_clock)
    await console.show("LISTS")
    pgbouncer.signal(signal.SIGSTOP)
    waiting = asyncio.create_task(failure_of(console))
    await eventually(lambda: console._wire is not None and console._wire.lock.locked())
    console.abandon()
    assert (await waiting).reason is Reason.UNREACHABLE
    at_the_door = asyncio.create_task(failure_of(console))
    await eventually(console._asking.locked)
    console.abandon()
    pgbouncer.signal(signal.SIGCONT)
    assert (await at_the_door).reason is Reason.UNANSWERED
    assert console._wire is None
    assert await console.show("LISTS")
    await console.close()


@pytest.mark.integration
async def test_console_shuts_no_connection_that_is_gone(pgbouncer: PgBouncer, console: PgBouncerConsole) -> None:
    """To close and to abandon may come twice, and in any order."""
    await console.show("LISTS")
    console.abandon()
    await console.close()
    assert await console.show("LISTS")
    assert console.connected_total == 2


@pytest.mark.integration
async def test_console_works_in_the_daemons_loop(pgbouncer: PgBouncer) -> None:
    """With uvloop psycopg's socket is watched as in asyncio's own loop, also when a wait ends early."""

    async def ask() -> list[Reason | int]:
        console = a_console(pgbouncer.dsn(), statement=0.2)
        answered = len(await console.show("LISTS"))
        pgbouncer.signal(signal.SIGSTOP)
        deaf = (await failure_of(console)).reason
        pgbouncer.signal(signal.SIGCONT)
        again = len(await console.show("LISTS"))
        await console.close()
        return [answered, deaf, again]

    assert await asyncio.to_thread(uvloop.run, ask()) == [12, Reason.UNANSWERED, 12]


@pytest.mark.integration
def test_console_loads_its_driver_late() -> None:
    """A daemon that watches no PgBouncer does not carry psycopg."""
    code = "import sys, daemon.service, daemon.wiring; sys.exit(any(m.startswith('psycopg') for m in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), Reason.UNANSWERED),
        (OSError("closed"), Reason.UNREACHABLE),
        (OSError("FATAL: no more connections allowed (max_client_conn)"), Reason.FULL),
        (OSError("FATAL: pgbouncer is shutting down"), Reason.STARTING),
        (ValueError("password=hunter2"), Reason.INTERNAL),
    ],
)
def test_failure_is_told_by_its_words(error: Exception, reason: Reason) -> None:
    """What PgBouncer says tells the reason; a fault of our own is told as such, without what looks like a password."""
    failure = explain(error, Dsn("postgresql://toban@h/pgbouncer"))
    assert failure.reason is reason
    assert failure.detail
    assert "hunter2" not in failure.detail


@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ("SSL error: certificate verify failed", "sslrootcert"),
        ("server does not support SSL, but SSL was required", "sslmode"),
        ("consuming input failed: SSL SYSCALL error: EOF detected", "is PgBouncer running"),
        ("consuming input failed: SSL connection has been closed unexpectedly", "is PgBouncer running"),
    ],
)
def test_console_that_hangs_up_is_no_matter_of_certificates(said: str, hint: str) -> None:
    """What to look at, when the way is by TLS."""
    assert hint in explain(OSError(said), Dsn("postgresql://toban@h/pgbouncer")).hint
