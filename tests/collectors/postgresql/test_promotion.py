"""A standby is promoted while it is watched: lag, sides and rates stay right on every turn."""

import pytest

from collectors.contract import CollectorSettings
from collectors.postgresql.identity import Identity
from collectors.postgresql.replication import (
    IS_REPLICA,
    LAG,
    RECEIVER_STREAMING,
    REPLAY_BACKLOG,
    STANDBY_BYTES,
    STANDBYS,
    SYNC_WANTED,
    Replication,
    ReplicationSettings,
)
from collectors.postgresql.wal import POSITION, RATE, TIMELINE, Wal, WalSettings
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import ask, names, value, watching
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.events import Event, EventKind
from toban.samples import Findings

pytestmark = pytest.mark.integration
MESSAGE = "select pg_logical_emit_message(true, 'toban', repeat('x', 1000000))"
PRIMARY_POSITION = "select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint"
REPLAYED = "select pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::bigint"


class Watched:
    """The three collectors that a promotion concerns, on one server."""

    def __init__(self, identity: Identity, replication: Replication, wal: Wal) -> None:
        self.identity, self.replication, self.wal = identity, replication, wal

    async def turn(self) -> tuple[list[EventKind], Findings, Findings]:
        """What has happened, and what replication and WAL look like."""
        happened = [row.kind for row in (await self.identity.collect()).rows if isinstance(row, Event)]
        return happened, await self.replication.collect(), await self.wal.collect()


async def caught_up(primary: Cluster, standby: Cluster) -> None:
    """Wait until the standby has replayed all that there is."""

    async def same() -> bool:
        return bool(await ask(primary, PRIMARY_POSITION) == await ask(standby, REPLAYED))

    await eventually(same)


@pytest.mark.parametrize("major", [15, 16, 18])
async def test_promotion_while_watched_leaves_no_spike_and_no_stale_lag(
    major: int, new_cluster: NewCluster, standby_of: StandbyOf, manual_clock: ManualClock
) -> None:
    """A standby's rate is what it replays, a primary's what it writes; over the change it is unknown, never a spike."""
    primary = new_cluster(major, settings={"autovacuum": "off"})
    standby = standby_of(primary)
    async with watching(standby, manual_clock) as server:
        watched = Watched(
            Identity(server, CollectorSettings(), manual_clock),
            Replication(server, ReplicationSettings(), manual_clock),
            Wal(server, WalSettings(), manual_clock),
        )
        await caught_up(primary, standby)
        _, _, wal = await watched.turn()
        assert RATE.name not in names(wal)
        before = value(wal, POSITION) or 0
        timeline = value(wal, TIMELINE)

        await primary.execute(MESSAGE)
        await caught_up(primary, standby)
        manual_clock.advance(10)
        happened, replication, wal = await watched.turn()
        replayed = (value(wal, POSITION) or 0) - before
        assert replayed > 1_000_000
        assert value(wal, RATE) == replayed / 10
        assert happened == []
        assert value(replication, IS_REPLICA) == 1
        assert SYNC_WANTED.name not in names(replication)

        primary.stop()
        manual_clock.advance(10)
        await standby.execute("select pg_promote()")
        happened, replication, wal = await watched.turn()
        assert happened == [EventKind.PROMOTED]
        assert [value(replication, metric) for metric in (IS_REPLICA, LAG)] == [0, 0]
        assert not {REPLAY_BACKLOG.name, RECEIVER_STREAMING.name} & names(replication)
        assert RATE.name not in names(wal)
        at_promotion = value(wal, POSITION) or 0
        assert at_promotion >= before + replayed

        await standby.execute(MESSAGE)
        await standby.execute("checkpoint")
        manual_clock.advance(10)
        _, _, wal = await watched.turn()
        assert value(wal, RATE) == ((value(wal, POSITION) or 0) - at_promotion) / 10
        assert value(wal, TIMELINE) == (timeline or 0) + 1

        follower = standby_of(standby, settings={"cluster_name": "new", "wal_receiver_status_interval": "1s"})

        async def followed() -> bool:
            findings = await watched.replication.collect()
            return value(findings, STANDBYS) == 1 and value(findings, STANDBY_BYTES, "new", "127.0.0.1", "replay") == 0

        await eventually(followed)
        follower.stop()


async def test_rate_of_another_servers_position_is_unknown(
    new_cluster: NewCluster, manual_clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A position that is behind the last one belongs to somebody else; two looks at one moment have no rate either."""
    cluster = new_cluster(settings={"autovacuum": "off"})
    async with watching(cluster, manual_clock) as server:
        wal = Wal(server, WalSettings(), manual_clock)
        await wal.collect()
        assert value(await wal.collect(), RATE) is None
        manual_clock.advance(10)
        assert (value(await wal.collect(), RATE) or 0) >= 0
        monkeypatch.setattr(wal, "_before", (1e18, False, manual_clock.monotonic()))
        manual_clock.advance(10)
        assert value(await wal.collect(), RATE) is None
