"""A server that is killed, comes back or freezes: told in bounded time, and forgotten afterwards."""

import asyncio

import pytest

from collectors.contract import CollectorSettings
from collectors.mariadb.server import DownError
from collectors.mariadb.status import MariadbStatus
from tests.builders import ManualClock
from tests.collectors.mariadb.watched import CENSUS, ONE, SLEEP, a_server, failure_of
from tests.mariadbs import Mariadb, NewMariadb
from tests.waiting import eventually
from toban.outcomes import Reason

pytestmark = pytest.mark.integration


@pytest.fixture
def server(new_mariadb: NewMariadb) -> Mariadb:
    """One to break, with a role of ours."""
    made = new_mariadb()
    made.sql("create user toban; grant process on *.* to toban")
    return made


async def test_killed_server_is_down_and_then_back(server: Mariadb, manual_clock: ManualClock) -> None:
    """Unreachable while it is gone; when it is back, the next attempt that is due finds it."""
    source = a_server(server.dsn(user="toban"), clock=manual_clock)
    await source.fetch(ONE)
    server.kill()
    assert (await failure_of(source)).reason is Reason.UNREACHABLE
    server.start()
    assert (await failure_of(source)).reason is Reason.UNREACHABLE  # not due yet
    manual_clock.advance(0.5)
    assert await source.fetch(ONE) == [{"one": 1}]
    await source.close()


async def test_restart_between_two_turns_goes_unnoticed(server: Mariadb) -> None:
    """A connection that broke while nobody asked is made anew within the same turn."""
    source = a_server(server.dsn(user="toban"))
    await source.fetch(ONE)
    server.stop()
    server.start()
    assert await source.fetch(ONE) == [{"one": 1}]
    await source.close()


async def test_killed_session_is_made_anew(server: Mariadb) -> None:
    """Somebody's KILL costs nothing but a new connection."""
    source = a_server(server.dsn(user="toban"))
    await source.fetch(ONE)
    server.sql("kill user toban")
    assert await source.fetch(ONE) == [{"one": 1}]
    await source.close()


async def test_killed_statement_is_told(server: Mariadb) -> None:
    """Lost in the middle of its own turn, a connection is not tried again."""
    source = a_server(server.dsn(user="toban"), statement_timeout=30.0)
    asking = asyncio.create_task(failure_of(source, SLEEP))
    await eventually(lambda: "sleep" in server.sql("select info from information_schema.processlist"))
    server.sql("kill user toban")
    assert (await asking).reason is Reason.UNREACHABLE
    await source.close()


async def test_frozen_server_is_unanswered_within_its_bounds(server: Mariadb, manual_clock: ManualClock) -> None:
    """Neither an open connection nor a new one waits longer than the limits say; thawed, it is well at once."""
    limits = {"statement_timeout": 0.5, "connect_timeout": 1.0}
    source = a_server(server.dsn(user="toban"), clock=manual_clock, **limits)
    await source.fetch(ONE)
    server.freeze()
    assert (await failure_of(source)).reason is Reason.UNANSWERED  # by the open connection
    assert (await failure_of(source)).reason is Reason.UNANSWERED  # by a new one
    with pytest.raises(DownError):  # and not even tried
        await source.ask("select 1", timeout_seconds=0.2, most_rows=1)
    manual_clock.advance(1)
    with pytest.raises(TimeoutError):
        await source.ask("select 1", timeout_seconds=0.1, most_rows=1)
    server.thaw()
    manual_clock.advance(2)
    assert await source.fetch(ONE) == [{"one": 1}]
    await source.close()


async def test_asked_sql_that_the_server_does_not_end_is_cut(server: Mariadb) -> None:
    """It hangs in mid-answer: the entry is told, since the server had just let us in."""
    source = a_server(server.dsn(user="toban"))
    await source.fetch(ONE)
    asking = asyncio.create_task(source.ask("select sleep(50)", timeout_seconds=2.5, most_rows=1))
    await eventually(lambda: "sleep" in server.sql("select info from information_schema.processlist"))
    server.freeze()
    with pytest.raises(Exception) as caught:  # noqa: PT011 - what it is, is the point
        await asking
    server.thaw()
    assert source.explain(caught.value).reason is Reason.TIMEOUT
    await source.close()


async def test_cancelled_question_leaves_nothing_behind(server: Mariadb) -> None:
    """The connection of a turn that was given up goes, and the next turn has its own answer."""
    source = a_server(server.dsn(user="toban"), statement_timeout=30.0)
    asking = asyncio.create_task(source.fetch(SLEEP))
    await eventually(lambda: "sleep" in server.sql("select info from information_schema.processlist"))
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert await source.fetch(ONE) == [{"one": 1}]
    await source.close()


async def test_cancelled_attempt_counts_as_one(server: Mariadb, manual_clock: ManualClock) -> None:
    """A turn's deadline in the middle of connecting: the next attempt is put off like after any other failure."""
    source = a_server(server.dsn(user="toban"), clock=manual_clock)
    server.freeze()
    asking = asyncio.create_task(source.fetch(ONE))
    await eventually(source._opening.locked)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert (await failure_of(source)).reason is Reason.UNANSWERED
    server.thaw()


async def test_abandoned_source_starts_afresh(server: Mariadb) -> None:
    """Whoever still connects gets nothing; the next turn has a connection, and it is the only one."""
    source = a_server(server.dsn(user="toban"))
    server.freeze()
    stuck = asyncio.create_task(failure_of(source))
    await eventually(source._opening.locked)
    source.abandon()
    server.thaw()
    assert (await stuck).reason is Reason.UNANSWERED
    assert await source.fetch(ONE) == [{"one": 1}]
    source.abandon()
    assert await source.fetch(ONE) == [{"one": 1}]
    await eventually(lambda: server.sql(CENSUS) == "1")
    await source.close()
    await eventually(lambda: server.sql(CENSUS) == "0")


async def test_goodbye_to_a_frozen_server_is_bounded(server: Mariadb, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a server that no longer listens."""
    monkeypatch.setattr("collectors.mariadb.server.PARTING_SECONDS", 0.05)
    source = a_server(server.dsn(user="toban"))
    await source.fetch(ONE)
    connection = source._connection

    async def never() -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(source, "_connection", _Deaf(connection, never))
    await source.close()
    assert connection.connected is False


async def test_restart_makes_ratios_unknown_for_one_interval(server: Mariadb) -> None:
    """The counters begin anew: no ratio rather than a wrong one."""
    source = a_server(server.dsn(user="toban"))
    collector = MariadbStatus(source, CollectorSettings(), source.clock)

    async def has_ratio() -> bool:
        names = {sample.metric.name for sample in (await collector.collect()).samples}
        return "toban_mysql_tmp_disk_tables_ratio" in names

    assert not await has_ratio()
    assert await has_ratio()
    await eventually(lambda: int(server.sql("show global status like 'Uptime'").split()[1]) >= 4)
    server.sql("flush status")
    assert not await has_ratio()
    assert await has_ratio()
    server.stop()
    server.start()
    assert not await has_ratio()
    await source.close()


class _Deaf:
    """A connection whose goodbye is never heard."""

    def __init__(self, connection: object, ensure_closed: object) -> None:
        self._connection = connection
        self.ensure_closed = ensure_closed

    def __getattr__(self, name: str) -> object:
        return getattr(self._connection, name)
