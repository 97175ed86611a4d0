import pytest

from collectors.contract import CollectorSettings
from collectors.postgresql.identity import STARTED, STATIC, Identity, short_version
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server, the_value
from tests.conftest import NewCluster
from toban.clock import SystemClock

pytestmark = pytest.mark.integration


async def test_identity_is_the_servers_own(postgres: Cluster) -> None:
    """The version in words and in three numbers, as the server itself tells them."""
    server = a_server(postgres)
    findings = await Identity(server, CollectorSettings(), SystemClock()).collect()
    (static,) = (sample for sample in findings.samples if sample.metric is STATIC)
    assert static.labelled["version"] == postgres.psql("select version()")
    assert static.labelled["short_version"] == f"{server.version // 10000}.{server.version % 10000}.0"
    assert static.labelled["short_version"].startswith(f"{postgres.major}.")
    await server.close()


async def test_identity_shows_a_restart(new_cluster: NewCluster) -> None:
    """The start time moves when the server is restarted, and not before."""
    cluster = new_cluster()
    server = a_server(cluster)
    identity = Identity(server, CollectorSettings(), SystemClock())
    first, second = [the_value(await identity.collect(), STARTED) for _ in range(2)]
    cluster.stop()
    cluster.start()
    third = the_value(await identity.collect(), STARTED)
    assert first == second < third
    await server.close()


def test_identity_writes_versions_as_the_exporter_does() -> None:
    """Dashboards compare these strings."""
    assert (short_version(150014), short_version(180000)) == ("15.14.0", "18.0.0")
