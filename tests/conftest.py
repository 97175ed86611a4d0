"""What every test may ask for: real servers, shared or of its own, and a clock."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from typing import Protocol
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from tests.builders import ManualClock
from tests.clusters import Cluster, absence, installations
from tests.mariadbs import mariadb, new_mariadb
from tests.pgbouncers import new_pgbouncer
from tests.skips import (
    pytest_collectreport,
    pytest_configure,
    pytest_runtest_call,
    pytest_runtest_logreport,
    pytest_runtest_setup,
    pytest_sessionfinish,
    pytest_terminal_summary,
)

__all__ = [
    "mariadb",
    "new_mariadb",
    "new_pgbouncer",
    "pytest_collectreport",
    "pytest_configure",
    "pytest_runtest_call",
    "pytest_runtest_logreport",
    "pytest_runtest_setup",
    "pytest_sessionfinish",
    "pytest_terminal_summary",
]

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])  # others work here
settings.load_profile("unhurried")
settings.register_profile("quick", max_examples=25)  # `make check`; `make test` takes hypothesis' own hundred
MAJORS = tuple(installations())
SHARED_FIXTURES = ("postgres", "postgres15", "postgres16", "postgres18")


class NewCluster(Protocol):
    """Makes a server for one test."""

    def __call__(
        self,
        major: int | None = None,
        *,
        settings: Mapping[str, str] | None = None,
        hba: tuple[str, ...] = (),
        start: bool = True,
    ) -> Cluster:
        """By default of the lowest major version on this machine, and started."""
        ...


class StandbyOf(Protocol):
    """Makes a standby for one test."""

    def __call__(self, primary: Cluster, *, settings: Mapping[str, str] | None = None, start: bool = True) -> Cluster:
        """A streaming replica; `primary` is better one of the test's own."""
        ...


@pytest.fixture(scope="session")
def shared_cluster() -> Iterator[Callable[[int], Cluster]]:
    """The server of a major version that this worker's tests share; it starts when first asked for."""
    made: dict[int, Cluster] = {}
    with ExitStack() as stack:

        def shared(major: int) -> Cluster:
            if major not in installations():
                pytest.skip(absence(major))
            if major not in made:
                made[major] = _with_statements(major)
                stack.callback(made[major].remove)
            return made[major]

        yield shared


@pytest.fixture(scope="session")
def postgres15(shared_cluster: Callable[[int], Cluster]) -> Cluster:
    """PostgreSQL 15, with pg_stat_statements where contrib is installed. Make a database of your own in it."""
    return shared_cluster(15)


@pytest.fixture(scope="session")
def postgres16(shared_cluster: Callable[[int], Cluster]) -> Cluster:
    """PostgreSQL 16. Make a database of your own in it."""
    return shared_cluster(16)


@pytest.fixture(scope="session")
def postgres18(shared_cluster: Callable[[int], Cluster]) -> Cluster:
    """PostgreSQL 18. Make a database of your own in it."""
    return shared_cluster(18)


@pytest.fixture(scope="session", params=MAJORS or (15,))
def postgres(request: pytest.FixtureRequest, shared_cluster: Callable[[int], Cluster]) -> Cluster:
    """Every major version on this machine, one after the other."""
    major: int = request.param
    return shared_cluster(major)


@pytest.fixture
def unique_database(request: pytest.FixtureRequest) -> Iterator[str]:
    """A database of the test's own, in the shared server it asks for; PostgreSQL 15's when it asks for none."""
    asked = [name for name in SHARED_FIXTURES if name in request.fixturenames]
    cluster: Cluster = request.getfixturevalue((asked or ["postgres15"])[0])
    name = f"test_{uuid4().hex[:12]}"
    cluster.psql(f'CREATE DATABASE "{name}"')
    yield name
    cluster.psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')


@pytest.fixture
def new_cluster() -> Iterator[NewCluster]:
    """Makes servers that this test alone has, and may break."""
    with ExitStack() as stack:

        def make(
            major: int | None = None,
            *,
            settings: Mapping[str, str] | None = None,
            hba: tuple[str, ...] = (),
            start: bool = True,
        ) -> Cluster:
            chosen = major or min(installations(), default=15)
            if chosen not in installations():
                pytest.skip(absence(chosen))
            return _kept(stack, Cluster(installations()[chosen], settings=settings, hba=hba), start=start)

        yield make


@pytest.fixture
def standby_of() -> Iterator[StandbyOf]:
    """Makes streaming replicas, by pg_basebackup."""
    with ExitStack() as stack:

        def make(primary: Cluster, *, settings: Mapping[str, str] | None = None, start: bool = True) -> Cluster:
            standby = Cluster(installations()[primary.major], settings=settings, primary=primary)
            return _kept(stack, standby, start=start)

        yield make


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that moves only when the test says so."""
    return ManualClock()


def _kept(stack: ExitStack, cluster: Cluster, *, start: bool) -> Cluster:
    stack.callback(cluster.remove)
    if start:
        cluster.start()
    return cluster


def _with_statements(major: int) -> Cluster:
    installation = installations()[major]
    preloaded = {"shared_preload_libraries": "pg_stat_statements"} if installation.has_contrib else {}
    cluster = Cluster(installation, settings=preloaded)
    try:
        cluster.start()
        if installation.has_contrib:
            cluster.psql("CREATE EXTENSION pg_stat_statements")
    except BaseException:
        cluster.remove()
        raise
    return cluster
