"""The server that is watched: PostgreSQL 15 with contrib, its databases and tables, a role for each watcher."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.clusters import Cluster
from tests.installations import installations

MAJOR = 15
ROWS = 100
ROLES = ("exporter", "toban")
SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "250",  # the exporter keeps one a database
    "shared_preload_libraries": "pg_stat_statements",
    "pg_stat_statements.track": "all",
    "pg_stat_statements.max": "20000",
    "pg_stat_statements.track_planning": "on",
    "track_io_timing": "on",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much there is to watch; `used` of each database's tables are asked once, by a statement of their own."""

    databases: int = 20
    tables: int = 50
    used: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The server, and the way in."""

    cluster: Cluster

    @property
    def bin_dir(self) -> Path:
        """Where the server's programs are."""
        return Path(self.cluster.bin_dir)

    def dsn(self, role: str, database: str = "postgres") -> str:
        """The way in over the loopback."""
        return self.cluster.dsn(database, user=role)


@contextmanager
def stage(size: Size, **settings: int) -> Iterator[Stage]:
    """The server, made, filled and running; gone afterwards."""
    installation = installations().get(MAJOR)
    if installation is None or not installation.has_contrib:
        raise SystemExit(f"the bench needs PostgreSQL {MAJOR} with contrib: apt-get install postgresql-{MAJOR}")
    cluster = Cluster(installation, settings=SETTINGS | {name: str(value) for name, value in settings.items()})
    try:
        cluster.start()
        asyncio.run(_fill(cluster, size))
        yield Stage(cluster=cluster)
    finally:
        cluster.remove()


def add_databases(there: Stage, count: int) -> None:
    """So many further, empty databases."""
    asyncio.run(_create(there.cluster, [f"further{n:03}" for n in range(1, count + 1)], template="template1"))


async def _fill(cluster: Cluster, size: Size) -> None:
    await cluster.execute("create extension pg_stat_statements")
    for role in ROLES:
        await cluster.execute(f"create role {role} login; grant pg_monitor to {role}")
    first, *others = names = [f"bench{n:02}" for n in range(1, size.databases + 1)]
    await _create(cluster, [first], template="template1")
    await cluster.execute("".join(_table(n) for n in range(1, size.tables + 1)), first)
    await _create(cluster, others, template=first)
    for database in names:
        await cluster.execute("".join(_use(n) for n in range(1, size.used + 1)), database)


async def _create(cluster: Cluster, names: list[str], *, template: str) -> None:
    connection = await cluster.connect()
    for name in names:
        await connection.execute(f"create database {name} template {template} strategy file_copy", timeout=60)
    await connection.close()


def _table(number: int) -> str:
    name = f"table{number:02}"
    return (
        f"create table {name} (id bigint primary key, customer text, amount numeric, at timestamptz default now());"
        f"create index on {name} (customer);"
        f"insert into {name} select n, 'customer ' || n % 20, n from generate_series(1, {ROWS}) as n;"
    )


def _use(number: int) -> str:
    """A statement of its own for each table of each database: pg_stat_statements is as full as in real life."""
    return f"select count(*), max(amount) from table{number:02};"
