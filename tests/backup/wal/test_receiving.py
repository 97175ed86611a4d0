"""Receiving: pg_receivewal of each version, through kills, promotions and holes, never two on one place."""

import asyncio
import os
import shutil
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from backup.engines.contract import Surroundings
from backup.errors import BackupError
from backup.wal.chain import Listing, Position, gaps, ranges
from backup.wal.listing import look
from backup.wal.manner import Manner
from backup.wal.position import ask
from backup.wal.receiving import Receiver, Stream, alone
from backup.wal.segments import lsn_number, lsn_text
from backup.way import Way
from tests.backup.wal.places import PLAIN, a_repository
from tests.clusters import Cluster
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.backups import GapKind
from toban.secrets import Dsn

SMALL = {"wal_level": "replica", "max_wal_senders": "5", "wal_keep_size": "64MB", "archive_timeout": "0"}
PAUSES = (0.1,)
ZSTD, GZIP, LZ4 = (Manner(compress=f"{name}:1") for name in ("zstd", "gzip", "lz4"))


def a_stream(cluster: Cluster, root: Path, *, manner: Manner = PLAIN) -> Stream:
    """What is received from a server, into a repository of the test's own."""
    place = a_repository(root) / "main" / "wal"
    return Stream(target="main", dsn=Dsn(cluster.dsn()), slot="toban_wal", place=place, manner=manner)


@asynccontextmanager
async def receiving(stream: Stream, around: Surroundings) -> AsyncIterator[Receiver]:
    """A receiver at work."""
    receiver = Receiver(stream, around, pauses=PAUSES, ripen_seconds=0.1, settle_seconds=0.2)
    task = asyncio.create_task(receiver.run())
    try:
        yield receiver
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def switch(cluster: Cluster, times: int = 1) -> int:
    """Write a little and finish the segment, so many times; where the server then stands."""
    for _ in range(times):
        cluster.psql("create table if not exists t (n int); insert into t values (1); select pg_switch_wal()")
    return lsn_number(cluster.psql("select pg_current_wal_lsn()"))


def reached(place: Path, lsn: int) -> Callable[[], bool]:
    """Whether all of the segments before a position have come."""

    def there() -> bool:
        listing = look(place)
        return bool(ranges(listing)) and lsn_number(ranges(listing)[-1].to_lsn) >= lsn - lsn % listing.segment_bytes

    return there


def lost(listing: Listing, position: Position | None = None) -> list[str]:
    """Where WAL is lost."""
    return [gap.from_lsn for gap in gaps(listing, now=0.0, position=position) if gap.kind is GapKind.LOST]


@pytest.mark.integration
@pytest.mark.parametrize("major", [15, 16, 18])
async def test_receiver_has_each_segment_once_it_is_finished(
    major: int, new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """By the program of the server's own version; the newest stays in the clear, those before are packed."""
    if shutil.which("zstd") is None:
        pytest.skip("no zstd on this machine")
    cluster = new_cluster(major, settings=SMALL)
    stream = replace(a_stream(cluster, tmp_path, manner=ZSTD), synchronous=major == 16)
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        lsn = await asyncio.to_thread(switch, cluster, 3)
        await eventually(reached(stream.place, lsn))
        await eventually(lambda: len([p for p in stream.place.iterdir() if p.suffix == ".zst"]) >= 2)
        position = (await ask(Way(stream.dsn, tmp_path), stream.slot)).position
        assert position is not None
        assert (position.timeline, position.receiving, position.written_to >= lsn) == (1, True, True)
    listing = look(stream.place)
    assert lost(listing) == []
    assert len([p for p in stream.place.iterdir() if len(p.name) == 24]) == 1
    assert listing.system_identifier == cluster.psql("select system_identifier from pg_control_system()")
    assert receiver.state.reason == ""


@pytest.mark.integration
async def test_receiver_goes_on_after_its_program_and_then_its_server_were_killed(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """Nothing is missing: the slot has kept it, and the unfinished segment is begun again."""
    cluster = new_cluster(15, settings=SMALL)
    stream = a_stream(cluster, tmp_path)
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        await asyncio.to_thread(switch, cluster)
        await eventually(lambda: _programs(stream.place))
        assert "tcp_user_timeout=60000" in _words(stream.place)  # a cut wire must not be waited for
        os.kill(_programs(stream.place)[0], signal.SIGKILL)
        await eventually(lambda: receiver.state.restarts >= 1)
        assert "signal 9" in receiver.state.reason
        lsn = await asyncio.to_thread(switch, cluster, 2)
        await eventually(reached(stream.place, lsn))
        await asyncio.to_thread(cluster.kill)
        await eventually(lambda: not receiver.state.receiving)
        await asyncio.to_thread(cluster.start)
        lsn = await asyncio.to_thread(switch, cluster, 2)
        await eventually(reached(stream.place, lsn))
    assert lost(look(stream.place)) == []
    await eventually(lambda: _programs(stream.place) == [])


@pytest.mark.integration
async def test_receiver_goes_on_after_its_disk_was_full(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings, small_disk: Path
) -> None:
    """It says so, and what was cut off in the middle is no stumbling block once there is room."""
    cluster = new_cluster(15, settings=SMALL)
    stream = a_stream(cluster, small_disk)
    filler = small_disk / "filler"
    filler.write_bytes(bytes(96 * 1024**2))
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        await asyncio.to_thread(switch, cluster, 3)
        await eventually(lambda: "No space left on device" in receiver.state.reason)
        filler.unlink()
        lsn = await asyncio.to_thread(switch, cluster)
        await eventually(reached(stream.place, lsn))
    assert lost(look(stream.place)) == []


@pytest.mark.integration
async def test_receiver_follows_a_promotion_to_the_new_timeline(
    new_cluster: NewCluster, standby_of: StandbyOf, tmp_path: Path, around: Surroundings
) -> None:
    """A receiver at the standby goes over to timeline 2 with it, and has its history."""
    primary = new_cluster(15, settings=SMALL)
    standby = standby_of(primary)
    stream = a_stream(standby, tmp_path)
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        await asyncio.to_thread(switch, primary, 2)
        await asyncio.to_thread(standby.psql, "select pg_promote()")
        lsn = await asyncio.to_thread(switch, standby, 2)
        await eventually(lambda: 2 in look(stream.place).timelines and reached(stream.place, lsn)())
    listing = look(stream.place)
    assert [departure.timeline for departure in listing.histories[2]] == [1]
    assert lost(listing) == []


@pytest.mark.integration
async def test_receiver_that_was_ahead_of_the_promoted_server_begins_where_the_timelines_part(
    new_cluster: NewCluster, standby_of: StandbyOf, tmp_path: Path, around: Surroundings
) -> None:
    """What the lost primary had written alone stays for whoever wants it; the chain goes on along the new timeline."""
    primary = new_cluster(15, settings=SMALL)
    standby = standby_of(primary)
    await asyncio.to_thread(switch, primary)
    stream = a_stream(primary, tmp_path, manner=LZ4)
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        await eventually(lambda: standby.psql("select pg_last_wal_replay_lsn()") != "")
        await asyncio.to_thread(standby.stop)
        lsn = await asyncio.to_thread(switch, primary, 3)
        await eventually(reached(stream.place, lsn))
    await asyncio.to_thread(primary.kill)
    await asyncio.to_thread(standby.configure, primary_conninfo="")
    await asyncio.to_thread(standby.start)
    await asyncio.to_thread(standby.psql, "select pg_promote()")
    moved = a_stream(standby, tmp_path, manner=LZ4)
    async with receiving(moved, around):
        lsn = await asyncio.to_thread(switch, standby, 2)

        def along_the_new_one() -> bool:
            listing = look(moved.place)
            numbers = listing.numbers(2)
            return bool(numbers) and (numbers[-1] + 1) * listing.segment_bytes >= lsn - lsn % listing.segment_bytes

        await eventually(along_the_new_one)
    listing = look(moved.place)
    parted = listing.number_at(listing.histories[2][-1].at)
    assert listing.numbers(2)[0] == parted
    assert parted < listing.numbers(1)[-1]
    assert lost(listing) == []


@pytest.mark.integration
async def test_receiver_says_what_is_lost_and_goes_on_behind_it(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """A server that removed WAL before it came, for a limit on its slots: a hole, and never an end to receiving."""
    limits = {"wal_keep_size": "0", "max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    cluster = new_cluster(15, settings={**SMALL, **limits})
    stream = a_stream(cluster, tmp_path, manner=GZIP)
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        lsn = await asyncio.to_thread(switch, cluster)
        await eventually(reached(stream.place, lsn))
    before = look(stream.place).numbers(1)[-1]
    await asyncio.to_thread(switch, cluster, 5)
    await asyncio.to_thread(cluster.psql, "checkpoint")
    await eventually(lambda: cluster.psql("select wal_status from pg_replication_slots") == "lost")
    position = (await ask(Way(stream.dsn, tmp_path), stream.slot)).position
    assert lost(look(stream.place), position) == [lsn_text((before + 1) * 16 * 1024**2)]
    await asyncio.to_thread(cluster.configure, max_slot_wal_keep_size="-1")
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        lsn = await asyncio.to_thread(switch, cluster, 2)
        await eventually(reached(stream.place, lsn))
    assert lost(look(stream.place)) == [lsn_text((before + 1) * 16 * 1024**2)]


@pytest.mark.integration
async def test_receiver_whose_slot_was_given_up_loses_nothing_that_the_server_still_has(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """A daemon that stood still for longer than the server waits for a slot: a new one, and no hole."""
    cluster = new_cluster(18, settings={**SMALL, "idle_replication_slot_timeout": "1s"})
    stream = a_stream(cluster, tmp_path)
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        lsn = await asyncio.to_thread(switch, cluster)
        await eventually(reached(stream.place, lsn))

    async def given_up() -> bool:
        await asyncio.to_thread(cluster.psql, "checkpoint")
        return cluster.psql("select wal_status from pg_replication_slots") == "lost"

    await asyncio.to_thread(switch, cluster, 2)
    await eventually(given_up)
    position = (await ask(Way(stream.dsn, tmp_path), stream.slot)).position
    assert lost(look(stream.place), position) == []
    cluster.psql("create role ordinary login")
    unseen = (await ask(Way(Dsn(cluster.dsn(user="ordinary")), tmp_path), stream.slot)).position
    assert unseen is not None
    assert unseen.kept_from is None  # who may not look does not say that it is gone
    await asyncio.to_thread(cluster.configure, idle_replication_slot_timeout="0")
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        lsn = await asyncio.to_thread(switch, cluster)
        await eventually(reached(stream.place, lsn))
    listing = look(stream.place)
    assert (lost(listing), len(ranges(listing))) == ([], 1)


@pytest.mark.integration
@pytest.mark.parametrize("may_look", [True, False])
async def test_receiver_whose_slot_was_dropped_goes_on_with_a_new_one(
    new_cluster: NewCluster,
    tmp_path: Path,
    around: Surroundings,
    may_look: bool,  # noqa: FBT001 - a parameter
) -> None:
    """By an operator in a hurry, while nobody received: what the server removed meanwhile is lost, and said to be."""
    limits = {"wal_keep_size": "0", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    cluster = new_cluster(15, settings={**SMALL, **limits}, hba=("host replication all 127.0.0.1/32 trust",))
    cluster.psql("create role streaming login replication")
    stream = a_stream(cluster, tmp_path)
    if not may_look:
        stream = replace(stream, dsn=Dsn(cluster.dsn(user="streaming")))
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.receiving)
        lsn = await asyncio.to_thread(switch, cluster)
        await eventually(reached(stream.place, lsn))
    before = look(stream.place).numbers(1)[-1]
    await eventually(lambda: cluster.psql("select active from pg_replication_slots") == "f")
    await asyncio.to_thread(cluster.psql, "select pg_drop_replication_slot('toban_wal')")
    await asyncio.to_thread(switch, cluster, 5)
    await asyncio.to_thread(cluster.psql, "checkpoint")
    async with receiving(stream, around) as receiver:
        await eventually(lambda: "has already been removed" in receiver.state.reason)
        await eventually(lambda: receiver.state.receiving)
        assert receiver.state.restarts >= (1 if may_look else 3)
        lsn = await asyncio.to_thread(switch, cluster, 2)
        await eventually(reached(stream.place, lsn))
    assert lost(look(stream.place)) == [lsn_text((before + 1) * 16 * 1024**2)]


@pytest.mark.integration
async def test_receiver_refuses_a_place_of_another_server(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings
) -> None:
    """With what to do."""
    cluster = new_cluster(15, settings=SMALL)
    stream = a_stream(cluster, tmp_path)
    stream.place.mkdir(parents=True)
    (stream.place / "identity.json").write_text('{"system_identifier": "42", "segment_bytes": 16777216}')
    async with receiving(stream, around) as receiver:
        await eventually(lambda: "holds the WAL of another server: 42, not" in receiver.state.reason)
    assert [path.name for path in stream.place.iterdir()] == ["identity.json"]


@pytest.mark.integration
async def test_receiver_says_why_it_cannot_get_in(tmp_path: Path, around: Surroundings) -> None:
    """Nobody listens there; and no password stands in the reason."""
    a_repository(tmp_path)
    dsn = Dsn("postgresql://toban:s3cret@127.0.0.1:1/postgres")
    stream = Stream(target="main", dsn=dsn, slot="s", place=tmp_path / "repository" / "main" / "wal", manner=PLAIN)
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.reason)
    assert "127.0.0.1:1" in receiver.state.reason
    assert "s3cret" not in receiver.state.reason


@pytest.mark.integration
async def test_receiver_says_when_the_repository_is_gone(
    postgres15: Cluster, tmp_path: Path, around: Surroundings
) -> None:
    """A disk that is not mounted; and nothing is made in its place."""
    stream = replace(a_stream(postgres15, tmp_path), place=tmp_path / "gone" / "main" / "wal")
    async with receiving(stream, around) as receiver:
        await eventually(lambda: "gone: is no repository: it has no repository.json" in receiver.state.reason)
    assert not (tmp_path / "gone").exists()
    around.workspace.rmdir()
    async with receiving(stream, around) as receiver:
        await eventually(lambda: receiver.state.reason.endswith("No such file or directory"))
    around.workspace.mkdir()


@pytest.mark.integration
async def test_receiver_goes_on_when_packing_fails(
    new_cluster: NewCluster, tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came is safe in the clear; it is packed when that works again."""
    tried: list[Path] = []

    def fail(place: Path, _: Manner) -> int:
        tried.append(place)
        raise BackupError("zstd", "is not on this machine")

    cluster = new_cluster(15, settings=SMALL)
    stream = a_stream(cluster, tmp_path, manner=ZSTD)
    with monkeypatch.context() as patch:
        patch.setattr("backup.wal.receiving.ripen", fail)
        async with receiving(stream, around) as receiver:
            await eventually(lambda: receiver.state.receiving)
            lsn = await asyncio.to_thread(switch, cluster, 2)
            await eventually(reached(stream.place, lsn))
            await eventually(lambda: len(tried) > 1)
            assert receiver.state.receiving
            assert receiver.state.packing == "zstd: is not on this machine"
    async with receiving(stream, around):
        await eventually(lambda: [path for path in stream.place.iterdir() if path.suffix == ".zst"])
    assert lost(look(stream.place)) == []


async def test_receiver_that_has_a_fault_does_not_say_that_it_receives(
    tmp_path: Path, around: Surroundings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever supervises it hears of the fault."""
    dsn = Dsn("postgresql://toban@127.0.0.1:1/postgres")
    receiver = Receiver(Stream(target="main", dsn=dsn, slot="s", place=tmp_path, manner=PLAIN), around)
    receiver.state = replace(receiver.state, receiving=True)

    async def faulty(_: Receiver) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Receiver, "_once", faulty)
    with pytest.raises(ZeroDivisionError):
        await receiver.run()
    assert (receiver.state.receiving, receiver.state.reason) == (False, "internal fault: ZeroDivisionError")


def test_place_is_received_into_by_one_alone(tmp_path: Path) -> None:
    """The second is told who holds it; once the first is gone it may."""
    held = f"another receiver writes here: process {os.getpid()}"
    with alone(tmp_path), pytest.raises(BackupError, match=held), alone(tmp_path):
        pass
    with alone(tmp_path):
        pass


def _programs(place: Path) -> list[int]:
    """The pg_receivewal processes that write into a place."""
    return [process.pid for process in psutil.process_iter(["cmdline"]) if _writes(process.info["cmdline"], place)]


def _words(place: Path) -> str:
    """Their words."""
    found = [process.info["cmdline"] for process in psutil.process_iter(["cmdline"])]
    return " ".join(word for words in found if _writes(words, place) for word in words)


def _writes(words: list[str] | None, place: Path) -> bool:
    return words is not None and f"--directory={place}" in words and "--verbose" in words
