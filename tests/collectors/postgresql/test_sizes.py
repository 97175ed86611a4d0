from pathlib import Path

import asyncpg
import pytest

from collectors.postgresql.server import Databases, DownError, PostgresServer, ServerLimits
from collectors.postgresql.sizes import SHARE_OF_TIMEOUT, SIZE, TOTAL, Sizes, SizesSettings
from collectors.postgresql.sql import Query
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask
from tests.collectors.postgresql.sources import Asking, a_server, found, the_value
from tests.conftest import NewCluster
from toban.clock import Clock, SystemClock
from toban.outcomes import Reason
from toban.samples import Findings
from toban.secrets import Dsn

pytestmark = pytest.mark.integration


def a_collector(cluster: Cluster, *, user: str = "postgres", clock: Clock | None = None, **asked: Query) -> Sizes:
    """The collector under test; `asked` replaces its queries."""
    clock = clock or SystemClock()
    server = a_server(cluster, user=user, clock=clock, databases=Databases(exclude=("test_*",)))
    collector = Sizes(server, SizesSettings(), clock)
    for name, query in asked.items():
        setattr(collector, name, query)
    return collector


def measured(findings: Findings) -> set[str]:
    """The databases whose size is told."""
    return {sample.labelled["datname"] for sample in findings.samples if sample.metric is SIZE}


async def test_sizes_are_the_servers_own(postgres: Cluster) -> None:
    """Every database but templates has its size, and together they are the total."""
    collector = a_collector(postgres)
    findings = await collector.collect()
    await collector.source.close()
    assert the_value(findings, SIZE, datname="postgres") == float(postgres.psql("select pg_database_size('postgres')"))
    assert "template1" not in measured(findings)
    assert the_value(findings, TOTAL) == sum(found(findings, SIZE))
    assert findings.gaps == ()


async def test_sizes_leave_out_what_is_excluded(new_cluster: NewCluster) -> None:
    """A database that the configuration leaves out is not asked for."""
    cluster = new_cluster()
    cluster.psql("create database test_scratch")
    collector = a_collector(cluster)
    assert measured(await collector.collect()) == {"postgres"}
    await collector.source.close()


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_sizes_of_a_dropped_database_are_a_gap(new_cluster: NewCluster, major: int) -> None:
    """A database that vanishes between the list and its turn is a gap, and no other suffers."""
    cluster = new_cluster(major)
    listing = Asking(
        "select oid::int8, datname::text, null as data_directory from pg_database where datname = 'postgres'"
        " union select 99, 'gone', null"
    )
    collector = a_collector(cluster, listing=listing)
    findings = await collector.collect()
    await collector.source.close()
    (gap,) = findings.gaps
    assert (gap.reason, gap.count, gap.detail) == (Reason.NOT_FOUND, 1, "gone")
    assert measured(findings) == {"postgres"}
    assert the_value(findings, TOTAL) > 0


async def test_sizes_without_the_right_to_connect_are_a_gap(new_cluster: NewCluster) -> None:
    """What the role may not connect to has no size, and no total is claimed; the gap says how it is mended."""
    cluster = new_cluster()
    cluster.psql("create role blind login")
    for number in range(7):
        cluster.psql(f"create database closed_{number}")
        cluster.psql(f"revoke connect on database closed_{number} from public")
    collector = a_collector(cluster, user="blind")
    findings = await collector.collect()
    (gap,) = findings.gaps
    assert (gap.reason, gap.count) == (Reason.PRIVILEGE, 7)
    assert gap.detail == "closed_0, closed_1, closed_2, closed_3, closed_4, …"
    assert "toban setup postgresql" in gap.hint
    assert measured(findings) == {"postgres"}
    assert found(findings, TOTAL) == []
    cluster.psql("grant pg_monitor to blind")
    assert len(measured(await collector.collect())) == 8
    await collector.source.close()


async def test_sizes_stop_when_the_server_is_too_slow(new_cluster: NewCluster) -> None:
    """After a statement that ran out of time no further one is begun; what is missing is said, with the count."""
    cluster = new_cluster()
    cluster.psql("create database slow")
    cluster.psql("create database unasked")
    slow = "select case when (select datname from pg_database where oid = $1::oid) = 'slow' "
    query = Asking(slow + "then (select 1 from pg_sleep(60)) else 8 end::int8 as size_bytes")
    collector = a_collector(cluster, query=query)
    collector.source.limits = collector.source.limits.model_copy(update={"statement_timeout": 0.1})
    findings = await collector.collect()
    await collector.source.close()
    (gap,) = findings.gaps
    assert (gap.reason, gap.count, gap.detail) == (Reason.TIMEOUT, 2, "slow, unasked")
    assert measured(findings) == {"postgres"}
    assert found(findings, TOTAL) == []


class Slow(Query):
    """The real query; each time it is asked, time passes."""

    def __init__(self, clock: ManualClock, seconds: float) -> None:
        super().__init__("sizes")
        self._clock = clock
        self._seconds = seconds

    def text(self, version: int) -> str:
        """Asked once a database."""
        self._clock.advance(self._seconds)
        return super().text(version)


async def test_sizes_begin_the_next_turn_where_this_one_ended(new_cluster: NewCluster) -> None:
    """A turn ends before its deadline with what it has; the next one asks first for what was left."""
    cluster, clock = new_cluster(), ManualClock()
    for name in ("a", "b", "c"):
        cluster.psql(f"create database {name}")
    half = SizesSettings().timeout * SHARE_OF_TIMEOUT / 2
    collector = a_collector(cluster, clock=clock, query=Slow(clock, half))
    first, second = await collector.collect(), await collector.collect()
    await collector.source.close()
    assert measured(first) == {"a", "b"}
    assert [(gap.reason, gap.count) for gap in first.gaps] == [(Reason.TIMEOUT, 2)]
    assert measured(second) == {"c", "postgres"}


async def test_sizes_fail_when_the_server_goes(new_cluster: NewCluster) -> None:
    """A server that is lost is no gap: the turn fails, and its reason is the server's."""
    collector = a_collector(new_cluster(), query=Asking("select pg_terminate_backend(pg_backend_pid()), $1::oid"))
    with pytest.raises((asyncpg.PostgresConnectionError, DownError)) as caught:
        await collector.collect()
    assert collector.source.explain(caught.value).down
    await collector.source.close()


async def test_sizes_learn_where_the_databases_lie(postgres: Cluster, unique_database: str) -> None:
    """On this machine: so that it can be told when the disk below them is full."""
    collector = a_collector(postgres)
    assert place_of(collector.source) is None
    await collector.collect()
    await collector.source.close()
    assert place_of(collector.source) == Path(collector.source.data_directory or "")
    assert (await ask(postgres, "show data_directory")) == str(place_of(collector.source))


async def test_place_of_a_server_elsewhere_is_not_known(postgres15: Cluster, tmp_path: Path) -> None:
    """A directory that this machine has not, or that is across a network, is nowhere; a shut door is no absence."""
    server = a_server(postgres15)
    server.data_directory = "/nowhere/at/all"
    assert place_of(server) is None
    server.data_directory = str(tmp_path)
    assert place_of(server) == tmp_path
    far = PostgresServer(Dsn("postgresql://toban@db2.example.org/postgres"), SystemClock(), ServerLimits())
    far.data_directory = str(tmp_path)
    assert place_of(far) is None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "stat", refuse)
        assert place_of(server) == tmp_path


def place_of(server: PostgresServer) -> Path | None:
    """What it says now; it may say otherwise in a moment."""
    return server.place


def refuse(*_: object, **__: object) -> None:
    """As a folder of another user does."""
    raise PermissionError
