import asyncio
from collections.abc import Callable

import pytest

from collectors.contract import CollectorSettings
from collectors.postgresql.identity import STARTED, STATIC, Identity, short_version
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server, the_value
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.clock import SystemClock
from toban.events import Event, EventKind
from toban.memories import Memory
from toban.samples import Findings

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


def kinds(findings: Findings) -> list[EventKind]:
    """What has happened, in order."""
    return [row.kind for row in findings.rows if isinstance(row, Event)]


def remembered(findings: Findings) -> str | None:
    """What is to be remembered; None when that has not changed."""
    bodies = [row.body for row in findings.rows if isinstance(row, Memory) and row.name == "identity"]
    return bodies[0] if bodies else None


async def test_restart_is_an_event_once(new_cluster: NewCluster) -> None:
    """Seen for the first time nothing has happened; after a restart one thing has, and after that nothing more."""
    cluster = new_cluster()
    server = a_server(cluster)
    identity = Identity(server, CollectorSettings(), SystemClock())
    first = await identity.collect()
    assert (kinds(first), remembered(first) is None) == ([], False)
    assert (await identity.collect()).rows == ()
    cluster.stop()
    cluster.start()
    restarted = await identity.collect()
    assert kinds(restarted) == [EventKind.RESTARTED]
    assert remembered(restarted) not in (None, remembered(first))
    assert (await identity.collect()).rows == ()
    await server.close()


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_promotion_and_demotion_are_events(major: int, new_cluster: NewCluster, standby_of: StandbyOf) -> None:
    """Promoted while watched, a standby is not restarted; turned back into a standby, it is."""
    standby = standby_of(new_cluster(major))
    server = a_server(standby)
    identity = Identity(server, CollectorSettings(), SystemClock())
    assert kinds(await identity.collect()) == []
    await standby.execute("select pg_promote()")
    seen: list[EventKind] = []

    async def changed() -> bool:
        seen.extend(kinds(await identity.collect()))
        return bool(seen)

    await eventually(changed)
    assert seen == [EventKind.PROMOTED]
    assert '"timeline": 2' in str(await first_memory(standby))
    standby.stop()
    (standby.data_dir / "standby.signal").touch()
    standby.start()
    assert kinds(await identity.collect()) == [EventKind.RESTARTED, EventKind.DEMOTED]
    await server.close()


async def first_memory(cluster: Cluster) -> str | None:
    """What is remembered of a server that is seen for the first time."""
    server = a_server(cluster)
    found = await Identity(server, CollectorSettings(), SystemClock()).collect()
    await server.close()
    return remembered(found)


def recalling(body: str | None) -> Callable[[str], object]:
    """A memory that has this of whatever it is asked."""

    async def recall(name: str) -> str | None:
        assert name == "identity"
        return body

    return recall


async def test_what_an_earlier_daemon_saw_is_compared(new_cluster: NewCluster) -> None:
    """A restart while the daemon was down is told by the next daemon; without a restart there is nothing to tell."""
    cluster = new_cluster()
    server = a_server(cluster)
    body = remembered(await Identity(server, CollectorSettings(), SystemClock()).collect())
    for restart, expected in ((False, []), (True, [EventKind.RESTARTED])):
        if restart:
            cluster.stop()
            cluster.start()
        later = Identity(server, CollectorSettings(), SystemClock())
        later.recall = recalling(body)  # type: ignore[assignment] # as much of it as matters
        findings = await later.collect()
        assert kinds(findings) == expected
        assert (remembered(findings) is None) is not restart
    await server.close()


async def test_memory_that_does_not_answer_holds_up_no_sign_of_life(
    postgres15: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is compared nor remembered until it answers; the metrics are there all the same."""
    monkeypatch.setattr("collectors.contract.RECALL_SECONDS", 0.01)
    server = a_server(postgres15)
    identity = Identity(server, CollectorSettings(), SystemClock())

    async def hang(name: str) -> str | None:
        await asyncio.Event().wait()
        return None

    identity.recall = hang
    findings = await identity.collect()
    assert the_value(findings, STARTED) > 0
    assert findings.rows == ()
    identity.recall = None
    assert remembered(await identity.collect()) is not None
    await server.close()


def test_identity_writes_versions_as_the_exporter_does() -> None:
    """Dashboards compare these strings."""
    assert (short_version(150014), short_version(180000)) == ("15.14.0", "18.0.0")
