"""The heartbeat: a row that goes on, in a schema of ours, and is read back; and where a server stands with its WAL."""

import asyncio
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

import pytest

from backup.errors import BackupError
from backup.settings import Beat
from backup.wal.heartbeat import Heart, newest
from backup.wal.position import ask
from backup.wal.segments import lsn_number
from backup.way import Way
from tests.clusters import Cluster
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.backups import Trouble
from toban.secrets import Dsn

ODD = 'it\'s "東京"'


def a_heart(cluster: Cluster, database: str, workspace: Path, *, user: str = "postgres") -> Heart:
    """One that beats into an oddly named schema."""
    beat = Beat(enabled=True, every=0.2, schema_=ODD)
    return Heart(beat, Dsn(cluster.dsn(database, user)), workspace=workspace, node="db1")


async def read(cluster: Cluster, database: str, schema: str = ODD) -> float | None:
    """What a restored database says."""
    connection = await cluster.connect(database)
    try:
        return await newest(connection, schema)
    finally:
        await connection.close()


@pytest.mark.integration
async def test_heart_beats_and_is_read_back(postgres15: Cluster, unique_database: str, tmp_path: Path) -> None:
    """One row, made where it is not there, updated ever after; a restore tells by it how new it is."""
    assert await read(postgres15, unique_database) is None
    heart = a_heart(postgres15, unique_database, tmp_path)
    first = await heart.once()
    assert first is not None
    assert await read(postgres15, unique_database) == pytest.approx(first, abs=1e-5)
    again = await heart.once()
    assert again is not None
    assert again > first
    assert heart.newest_at == again
    table = '"' + ODD.replace('"', '""') + '".heartbeat'
    assert postgres15.psql(f"select count(*), max(beats), max(node) from {table}", unique_database) == "1|2|db1"
    assert list(tmp_path.iterdir()) == []  # noqa: ASYNC240 - an empty folder of the test's own


@pytest.mark.integration
async def test_heart_goes_on_by_itself_and_says_what_stops_it(
    postgres15: Cluster, unique_database: str, tmp_path: Path
) -> None:
    """Until cancelled; a table that is gone is made anew."""
    heart = a_heart(postgres15, unique_database, tmp_path)
    task = asyncio.create_task(heart.run())
    await eventually(lambda: heart.newest_at)
    schema = '"' + ODD.replace('"', '""') + '"'
    await postgres15.execute(f"drop schema {schema} cascade", unique_database)
    await eventually(lambda: "does not exist" in heart.reason)
    assert heart.reason.startswith("heartbeat: ")
    before = heart.newest_at
    await eventually(lambda: heart.newest_at != before and heart.reason == "")
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.integration
async def test_heart_that_may_not_write_says_what_to_grant(
    postgres15: Cluster, unique_database: str, tmp_path: Path
) -> None:
    """Its role is ours, and has no rights by itself."""
    role = f"r_{uuid4().hex[:8]}"
    postgres15.psql(f"create role {role} login")
    try:
        heart = a_heart(postgres15, unique_database, tmp_path, user=role)
        with pytest.raises(BackupError) as refused:
            await heart.once()
    finally:
        postgres15.psql(f"drop role {role}")
    assert refused.value.trouble is Trouble.PRIVILEGE
    assert refused.value.reason == (
        f"heartbeat: permission denied for database {unique_database} (grant create on the database to its role,"
        " or name another one in backups.heartbeat.dsn)"
    )


async def test_heart_without_a_server_says_so(tmp_path: Path) -> None:
    """And no password."""
    heart = Heart(Beat(enabled=True), Dsn("postgresql://u:s3cret@127.0.0.1:1/d"), workspace=tmp_path)
    with pytest.raises(BackupError) as refused:
        await heart.once()
    assert refused.value.trouble is Trouble.UNREACHABLE
    assert "s3cret" not in heart.reason
    assert "127.0.0.1:1" in heart.reason


@pytest.mark.integration
async def test_position_tells_of_primary_and_standby(
    new_cluster: NewCluster, standby_of: StandbyOf, tmp_path: Path
) -> None:
    """How far each has come, what is kept for a slot; and a standby beats for nobody."""
    primary = new_cluster(15, settings={"archive_mode": "on", "archive_command": "false"})
    primary.psql("select pg_create_physical_replication_slot('kept', true)")
    standby = standby_of(primary)
    primary.psql("create table t (n int); select pg_switch_wal()")
    server = await ask(Way(Dsn(primary.dsn()), tmp_path), "kept")
    assert (server.major, server.in_recovery, server.slot_status) == (15, False, "reserved")
    assert server.segment_bytes == 16 * 1024**2
    assert server.system_identifier == primary.psql("select system_identifier from pg_control_system()")
    assert server.position is not None
    assert server.position.timeline == 1
    kept = primary.psql("select restart_lsn from pg_replication_slots")
    assert server.position.kept_from == lsn_number(kept)
    assert (server.position.behind_seconds, server.position.receiving) == (None, False)
    assert server.position.waiting_since is not None
    following = await ask(Way(Dsn(standby.dsn()), tmp_path))
    assert (following.in_recovery, following.slot_status) == (True, None)
    assert following.position is not None
    assert following.position.receiving is None
    assert following.position.timeline == 1
    assert await a_heart(standby, "postgres", tmp_path).once() is None


@pytest.mark.integration
async def test_position_is_told_to_an_ordinary_role_as_far_as_it_may_know(postgres15: Cluster, tmp_path: Path) -> None:
    """What takes pg_monitor is left out."""
    role = f"r_{uuid4().hex[:8]}"
    postgres15.psql(f"create role {role} login")
    try:
        server = await ask(Way(Dsn(postgres15.dsn(user=role)), tmp_path))
    finally:
        postgres15.psql(f"drop role {role}")
    assert server.position is not None
    assert server.position.waiting_since is None
