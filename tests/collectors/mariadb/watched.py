"""A watched MariaDB around a throw-away server, and short ways to work on it."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from collectors.mariadb.server import MariadbLimits, MariadbServer
from collectors.mariadb.sql import Edition, Query
from tests.mariadbs import Mariadb
from toban.clock import Clock, SystemClock
from toban.outcomes import Failure
from toban.samples import Findings, Metric
from toban.secrets import Dsn


class Asking(Query):
    """A query of the test's own."""

    def __init__(self, sql: str) -> None:
        super().__init__("asking")
        self.sql = sql

    def text(self, edition: Edition) -> str:
        """The same for every version."""
        return self.sql


ONE = Asking("select 1 as one")
SLEEP = Asking("select sleep(60)")
CENSUS = "select count(*) from information_schema.processlist where user = 'toban'"


def a_server(dsn: str, *, clock: Clock | None = None, **limits: float) -> MariadbServer:
    """A way in; nothing is connected yet."""
    return MariadbServer(Dsn(dsn), clock or SystemClock(), MariadbLimits(**limits))


@asynccontextmanager
async def watching(server: Mariadb, *, clock: Clock | None = None, **how: Any) -> AsyncIterator[MariadbServer]:  # noqa: ANN401 - handed on
    """The way into a server, closed in the end."""
    source = a_server(server.dsn(**how), clock=clock)
    try:
        yield source
    finally:
        await source.close()


async def failure_of(source: MariadbServer, query: Query = ONE) -> Failure:
    """Why a question is not answered."""
    try:
        await source.fetch(query)
    except Exception as error:  # noqa: BLE001 - the subject of the test
        return source.explain(error)
    raise AssertionError("it was answered")


def value(findings: Findings, metric: Metric | str, *labels: str) -> float | None:
    """The value of one series; None when there is none. Two samples of one series are an error."""
    name = metric if isinstance(metric, str) else metric.name
    found = [s.value for s in findings.samples if s.metric.name == name and s.labels == labels]
    assert len(found) <= 1, f"{name}{labels} was measured {len(found)} times"
    return found[0] if found else None


@contextmanager
def session(server: Mariadb, database: str = "") -> Iterator["Session"]:
    """A session that somebody else holds open."""
    process = server.session(database)
    try:
        yield Session(process)
    finally:
        process.kill()
        process.communicate()


class Session:
    """What somebody else has going on."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def say(self, statement: str) -> None:
        """Send a statement; nobody waits for its end."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{statement};\n".encode())
        self._process.stdin.flush()
