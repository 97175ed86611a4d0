"""What goes on all the time: WAL that is received, the heartbeat, and how the WAL of each target stands."""

import os
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from backup.children import Children, Command
from backup.engines.contract import Origin, Surroundings
from backup.plan import Plan, planned
from backup.programs import Programs
from backup.repository.repository import Repository
from backup.settings import Backups, Beat, Encryption, Job
from backup.wal.command import answer
from backup.wal.manner import known_manner
from daemon.backups.streams import Streams, manner_of, slot_of
from tests.backup.keeper.records import MAIN, a_job
from tests.backup.wal.places import a_file, names_in
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.waiting import eventually
from toban.backups import Method
from toban.clock import SystemClock
from toban.secrets import Dsn

WAL = a_job("wal", method=Method.WAL, compress="none")


@pytest.mark.parametrize(("name", "slot"), [("wal", "toban_wal"), ("WAL-Main.1", "toban_wal_main_1"), ("é", "toban__")])
def test_slot_is_named_by_its_job_as_postgresql_allows(name: str, slot: str) -> None:
    """Or as the configuration says."""
    job = a_job("wal", method=Method.WAL).model_copy(update={"name": name})
    assert slot_of(job) == slot
    assert slot_of(a_job("wal", method=Method.WAL, slot="mine")) == "mine"


def test_wal_is_sealed_as_backups_are() -> None:
    """By the same recipients, with the programs that the configuration names."""
    age = Encryption(method="age", recipients=("age1x",), identity=Path("/etc/toban/age.key"))
    settings = Backups(repository=Path("/r"), jobs=(WAL,), encryption=age, programs=(Path("/opt/bin"),))
    found = manner_of(WAL, planned(settings, (MAIN,)))
    assert (found.compress, found.seal, found.recipients) == ("none", "age", ("age1x",))
    assert (found.identity, found.home, found.programs) == ("/etc/toban/age.key", "", ("/opt/bin",))
    plain = manner_of(WAL, planned(Backups(repository=Path("/r"), jobs=(WAL,)), (MAIN,)))
    assert (plain.seal, plain.recipients) == ("", ())


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Surroundings]:
    """The machine's own."""
    children = Children()
    workspace = tmp_path / "work"
    workspace.mkdir()
    yield Surroundings(clock=SystemClock(), children=children, programs=Programs(), workspace=workspace, node="db1")
    await children.close()


def a_plan(server: Cluster, root: Path, *jobs: Job, **more: object) -> Plan:
    """For one server."""
    origin = Origin(name="main", kind="postgresql", dsn=Dsn(server.dsn()))
    return planned(Backups(**{"repository": root, "jobs": jobs, **more}), (origin,))


@pytest.mark.integration
async def test_stream_flows_as_long_as_its_job_is_there(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """It begins with its job, is left alone by a reload that changes nothing of it, and ends with it."""
    server = new_cluster(15, settings={"wal_level": "replica", "max_wal_senders": "4"})
    root = tmp_path / "repository"
    plan = a_plan(server, root, WAL, a_job(), heartbeat=Beat(enabled=True, every=0.2))
    repository = Repository(root, around=around)
    await repository.open()
    streams = Streams(around)
    try:
        assert streams.receiving("main") is None
        await streams.renew(plan, repository)
        await eventually(lambda: streams.receiving("main") is True)
        assert streams.troubles() == {}
        receiver = streams._kept["main"].receiver
        await streams.renew(a_plan(server, root, WAL, heartbeat=plan.settings.heartbeat), repository)
        assert streams._kept["main"].receiver is receiver

        async def stands() -> bool:
            found = await streams.standings(plan, ())
            return found["main"].lag_seconds is not None

        await eventually(stands)
        assert known_manner(str(root / "main" / "wal")).compress == "none"

        async def beats() -> bool:
            connection = await server.connect()
            try:
                return bool(await connection.fetch("select 1 from pg_tables where schemaname = 'toban'"))
            finally:
                await connection.close(timeout=60)

        await eventually(beats)
        with capture_logs() as logged:
            await streams.renew(a_plan(server, root, a_job()), repository)
        left = [(one["slot"], one["hint"]) for one in logged if one["event"] == "wal_slot_left"]
        assert left == [("toban_wal", "if nobody needs it: select pg_drop_replication_slot('toban_wal')")]
        assert streams.receiving("main") is None
        assert await streams.standings(plan, ()) == {}
    finally:
        await streams.stop()


@pytest.mark.integration
async def test_stream_that_cannot_flow_says_why(tmp_path: Path, around: Surroundings, new_cluster: NewCluster) -> None:
    """Nobody answers there; how the WAL stands is told all the same."""
    server = new_cluster(15, start=False)
    root = tmp_path / "repository"
    plan = a_plan(server, root, WAL)
    repository = Repository(root, around=around)
    await repository.open()
    streams = Streams(around)
    try:
        await streams.renew(plan, repository)
        assert streams.troubles() == {}  # it is only about to begin
        await eventually(lambda: "Connect call failed" in streams.troubles().get("main", ""))
        assert (await streams.standings(plan, ()))["main"].ranges == ()
        around.workspace.rename(tmp_path / "away")
        assert await streams.standings(plan, ()) == {}
        (tmp_path / "away").rename(around.workspace)
    finally:
        await streams.stop()


@pytest.mark.integration
async def test_idle_server_that_archives_is_not_late(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """All that it wrote came an hour ago: nothing would be lost with it."""
    server = new_cluster(15, settings={"wal_level": "replica", "archive_mode": "on", "archive_command": "true"})
    root = tmp_path / "repository"
    repository = Repository(root, around=around)
    await repository.open()
    streams = Streams(around)
    job = a_job("wal", method=Method.WAL, mode="archive", compress="none")
    plan = a_plan(server, root, job)
    await streams.renew(plan, repository)
    server.psql("checkpoint")
    name = server.psql("select pg_walfile_name(pg_switch_wal())")
    place = root / "main" / "wal"
    shutil.copyfile(server.data_dir / "pg_wal" / name, place / name)
    os.utime(place / name, times=(0, SystemClock().now() - 3600))
    standing = (await streams.standings(plan, ()))["main"]
    assert standing.lag_seconds == 0
    server.stop()
    standing = (await streams.standings(plan, ()))["main"]
    assert standing.lag_seconds == pytest.approx(3600, abs=300)
    await streams.stop()
    assert list(around.workspace.iterdir()) == []


@pytest.mark.integration
async def test_first_push_that_knows_the_repository_alone_is_sealed(tmp_path: Path, around: Surroundings) -> None:
    """The place is made with the manner in it, before any WAL has come."""
    root = tmp_path / "repository"
    keys = await around.children.run(Command(words=("age-keygen",)), within_seconds=60)
    made = keys.checked("age-keygen").text
    recipient = next(line.rpartition(" ")[2] for line in made.splitlines() if "public key" in line)
    sealed = Encryption(method="age", recipients=(recipient,))
    job = a_job("wal", method=Method.WAL, mode="archive", compress="none")
    plan = planned(Backups(repository=root, jobs=(job,), encryption=sealed), (MAIN,))
    repository = Repository(root, around=around)
    await repository.open()
    streams = Streams(around)
    await streams.renew(plan, repository)
    segment = a_file(tmp_path / "pg_wal")
    assert answer(["wal", "push", "--repository", str(root), "--target", "main", str(segment)], {}) == 0
    assert f"{segment.name}.age" in names_in(root / "main" / "wal")
    assert segment.name not in names_in(root / "main" / "wal")
    await streams.stop()


@pytest.mark.integration
async def test_stream_whose_wal_is_not_packed_says_why(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """It is received, and lies there in the clear: its program is not on this machine."""
    server = new_cluster(15, settings={"wal_level": "replica", "max_wal_senders": "4"})
    root = tmp_path / "repository"
    plan = a_plan(server, root, WAL, heartbeat=Beat(enabled=True, every=3600.0))
    repository = Repository(root, around=around)
    await repository.open()
    streams = Streams(around)
    try:
        await streams.renew(plan, repository)
        await eventually(lambda: streams.receiving("main") is True)
        receiver = streams._kept["main"].receiver
        assert receiver is not None
        receiver.state = replace(receiver.state, packing="age: is not on this machine")
        lying = "it is received, and lies there as it came: age: is not on this machine"
        assert streams.troubles() == {"main": lying}
        heart = streams._kept["main"].heart
        assert heart is not None
        heart.reason = "heartbeat: permission denied"
        assert streams.troubles() == {"main": f"{lying}; no heartbeat is written: heartbeat: permission denied"}
    finally:
        await streams.stop()


@pytest.mark.integration
async def test_archived_wal_has_no_stream(tmp_path: Path, around: Surroundings) -> None:
    """The server brings it itself: its standing is all that is looked at."""
    root = tmp_path / "repository"
    job = a_job("wal", method=Method.WAL, mode="archive")
    plan = planned(Backups(repository=root, jobs=(job,)), (MAIN,))
    repository = Repository(root, around=around)
    await repository.open()
    streams = Streams(around)
    await streams.renew(plan, repository)
    assert (streams.receiving("main"), streams.troubles()) == (None, {})
    assert (await streams.standings(plan, ()))["main"].size_bytes == 0
    await streams.stop()
