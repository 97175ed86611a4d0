"""Reads and writes on real servers: where pg_stat_io is, what it counts, and what is said where it is not."""

import pytest

from collectors.postgresql.io import AMOUNTS, SLRU, TIMES, Io, IoSettings
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import names, series, value, watching
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Findings

pytestmark = pytest.mark.integration
CLIENT = ("client backend", "relation", "normal")


async def look(cluster: Cluster, clock: ManualClock, user: str = "postgres") -> Findings:
    """One look."""
    async with watching(cluster, clock, user=user) as server:
        return await Io(server, IoSettings(), clock).collect()


@pytest.mark.parametrize("major", [16, 18])
async def test_io_counts_what_a_client_reads(major: int, new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """A table of 600 pages, too large to be kept, is read after a restart: exactly so many bytes, and no hit."""
    cluster = new_cluster(major, settings={"autovacuum": "off"})
    await cluster.execute("create table pages (t text storage plain)")
    await cluster.execute("insert into pages select repeat('x', 6000) from generate_series(1, 600)")
    assert cluster.psql("select pg_relation_size('pages')") == str(600 * 8192)
    cluster.stop()
    cluster.start()
    labels = ("client backend", "relation", "bulkread")
    assert value(await look(cluster, manual_clock), AMOUNTS["reads"], *labels) is None
    await cluster.execute("select count(*) from pages")

    async def read() -> Findings | None:
        findings = await look(cluster, manual_clock)
        return findings if value(findings, AMOUNTS["read_bytes"], *labels) == 600 * 8192 else None

    findings = await eventually(read)
    assert findings is not None
    assert findings.gaps == ()
    assert (value(findings, AMOUNTS["reads"], *labels) == 600) is (major == 16)  # from 17 on several blocks at once
    assert value(findings, AMOUNTS["hits"], *labels) == 0
    assert value(findings, AMOUNTS["fsyncs"], *labels) is None  # nothing is synced in that way


async def test_io_times_are_there_only_while_they_are_taken(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Off they are absent, not zero; on they count."""
    cluster = new_cluster(16)
    await cluster.execute("create table pages as select repeat('x', 6000) as t from generate_series(1, 1000)")
    await cluster.execute("checkpoint")
    assert not names(await look(cluster, manual_clock)) & {metric.name for metric in TIMES.values()}
    cluster.configure(track_io_timing="on")
    await cluster.execute("create table more as select repeat('x', 6000) as t from generate_series(1, 1000)")

    async def timed() -> bool:
        findings = await look(cluster, manual_clock)
        return sum(series(findings, TIMES["extend_seconds"]).values()) > 0

    await eventually(timed)


@pytest.mark.parametrize("major", [16, 18])
async def test_io_of_wal_counts_from_18_on(major: int, new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """A newer server has more objects; the metric is the same."""
    cluster = new_cluster(major)
    await cluster.execute("select pg_logical_emit_message(true, 'x', repeat('y', 100000))")

    async def wal() -> bool:
        written = series(await look(cluster, manual_clock), AMOUNTS["writes"])
        return any(labels[1] == "wal" for labels in written) is (major >= 18) and bool(written)

    await eventually(wal)


async def test_io_is_a_gap_with_its_reason_before_16(new_cluster: NewCluster, manual_clock: ManualClock) -> None:
    """Nothing fails: the small caches are there, and why the rest is empty is said."""
    cluster = new_cluster(15)
    findings = await look(cluster, manual_clock)
    (gap,) = findings.gaps
    assert (gap.what, gap.reason) == ("pg_stat_io", Reason.VERSION)
    assert gap.detail == "pg_stat_io needs PostgreSQL 16, this server is 15"
    assert names(findings) == {metric.name for metric in SLRU.values()}
    assert "ERROR" not in cluster.log_text()


async def test_small_caches_count_by_name(postgres: Cluster, manual_clock: ManualClock) -> None:
    """Each has its hits; a plain role sees them too."""
    findings = await look(postgres, manual_clock)
    transactions = "transaction" if postgres.major >= 17 else "Xact"
    assert (value(findings, SLRU["hits"], transactions) or 0) > 0
    assert len(series(findings, SLRU["reads"])) >= 7


async def test_io_needs_no_privilege(postgres: Cluster, unique_database: str, manual_clock: ManualClock) -> None:
    """A role without pg_monitor sees the same."""
    role = f"plain_{unique_database}"
    postgres.psql(f"create role {role} login")
    try:
        findings = await look(postgres, manual_clock, user=role)
    finally:
        postgres.psql(f"drop role {role}")
    assert {gap.reason for gap in findings.gaps} <= {Reason.VERSION}
    if postgres.major >= 16:
        assert (value(findings, AMOUNTS["hits"], *CLIENT) or 0) > 0
