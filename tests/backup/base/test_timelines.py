"""A promotion between a backup and now, the old primary going on; and WAL that is gone from the chain."""

import asyncio
import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.restore.basing.feeding import must_carry_on
from backup.restore.contract import Aim, Moment
from backup.restore.recovery import Course
from backup.wal.segments import SEGMENT_BYTES, lsn_number, segment_name
from tests.backup.base.bench import LATEST, ROWS, Bench, archiving, begin
from tests.clusters import Cluster, absence, installations
from tests.installations import as_account
from tests.waiting import eventually_sync
from toban.backups import BackupRecord, Trouble

pytestmark = pytest.mark.integration
FIRST = Moment(aim=Aim.LATEST, timeline=1)


@pytest.fixture(scope="module")
def split() -> Iterator[Bench]:
    """Row 1 by the first primary, row 2 by the one that was promoted, row 99 by the first that went on alone."""
    if 15 not in installations():
        pytest.skip(absence(15))
    with archiving(15) as bench:
        first = bench.cluster
        first.psql("CREATE TABLE t (n int)")
        asyncio.run(bench.back_up())
        for row in ("1", "11", "12"):
            first.psql(f"INSERT INTO t VALUES ({row})")
            bench.archived()
        second = Cluster(installations()[15], primary=first)
        try:
            second.start()
            second.psql("SELECT pg_promote()")
            second.psql("INSERT INTO t VALUES (2)")
            bench.cluster = second
            asyncio.run(bench.back_up("later"))
            second.psql("INSERT INTO t VALUES (3)")
            bench.archived()
            bench.cluster = first
            first.psql("INSERT INTO t VALUES (99)")
            bench.archived()
            eventually_sync((bench.wal / "00000002.history").exists)
        finally:
            second.remove()
        yield bench


@contextmanager
def without(bench: Bench, timeline: int, place: int) -> Iterator[str]:
    """One segment of a timeline taken away for a while, counted from its oldest."""
    gone = sorted(bench.wal.glob(f"{timeline:08X}{'?' * 16}"))[place]
    kept: Path = gone.rename(bench.home / gone.name)
    try:
        yield gone.name
    finally:
        kept.rename(gone)


@contextmanager
def closed(bench: Bench) -> Iterator[None]:
    """A repository as it should be: for us alone."""
    if not as_account():
        pytest.skip("this machine cannot: whoever runs the tests runs the servers too, and may enter every folder")
    bench.home.chmod(0o700)
    try:
        yield
    finally:
        bench.home.chmod(0o755)


def fetched(restore_command: str, segment: str, data_dir: Path) -> int:
    """What PostgreSQL would be answered."""
    told = restore_command.replace("%f", segment).replace("%p", "got").replace("%%", "%")
    return subprocess.run(("/bin/sh", "-c", told), cwd=data_dir, capture_output=True, check=False).returncode


async def test_promotion_is_followed(split: Bench) -> None:
    """Without a word of it the newest timeline is meant: what the promoted server has written."""
    assert await split.rows_at(LATEST) == "1,2,3,11,12"


async def test_old_timeline_comes_back_when_it_is_asked_for(split: Bench) -> None:
    """By its number: what the old primary wrote alone."""
    assert await split.rows_at(FIRST) == "1,11,12,99"


async def test_backup_of_the_new_timeline_comes_back(split: Bench) -> None:
    """It brings the history along that says where its timeline came from."""
    later = split.records[0]
    assert later.manifest.timeline == 2
    assert await split.rows_at(Moment(), later) == "1,2,11,12"


async def test_backup_of_the_new_timeline_does_not_lead_to_the_old_one(split: Bench) -> None:
    """Nothing of it is promised."""
    preflight = await split.look(split.wanted(split.records[0], split.home / "new", FIRST))
    refused = {check.name: check.detail for check in preflight.checks if check.ok is False}
    assert refused == {"wal": "timeline 1 does not lead on from this backup, which ends on timeline 2"}


async def test_gap_is_not_passed_over_in_silence(split: Bench) -> None:
    """A segment in the middle is gone: to the latest moment nothing is restored, and nothing is left behind."""
    with without(split, 1, -3) as gone, split.room() as server:
        with pytest.raises(BackupError, match="PostgreSQL would end there without a word") as refused:
            await split.restore(split.wanted(split.records[-1], server.data_dir, FIRST))
        assert refused.value.trouble is Trouble.MISSING
        assert "--accept-gap" in refused.value.hint
        assert gone not in refused.value.why
        assert not server.data_dir.exists()
        assert sorted(path.name for path in server.data_dir.parent.iterdir()) == ["s"]


async def test_gap_that_is_accepted_is_the_end(split: Bench) -> None:
    """What is before it comes back, and the server is promoted there on purpose."""
    with without(split, 1, -3):
        assert await split.rows_at(FIRST, accept_gap=True) == "1,11"


async def test_gap_before_the_promotion_is_not_mended_by_the_old_timeline(split: Bench) -> None:
    """The new timeline cannot be entered; the old one up to the gap is not what was asked for."""
    with without(split, 1, -3):
        preflight = await split.look(split.wanted(split.records[-1], split.home / "new", LATEST))
        assert preflight.ok is False


async def test_target_behind_a_gap_is_never_promoted(split: Bench) -> None:
    """Nobody can tell beforehand where a restore point lies: the server itself does not start without coming to it."""
    with without(split, 1, -3), split.room() as server:
        moment = Moment(aim=Aim.NAME, value="never", timeline=1)
        await split.restore(split.wanted(split.records[-1], server.data_dir, moment))
        server.configure(port=str(server.port), unix_socket_directories=str(server.socket_dir))
        with pytest.raises(RuntimeError):
            begin(server)
        assert "recovery ended before configured recovery target was reached" in server.log_text()
        assert "selected new timeline" not in server.log_text()


async def test_wal_is_fetched_by_whoever_can(split: Bench) -> None:
    """Whose interpreter and repository are open to the server's account: by `toban wal fetch`, exact in how it ends."""
    with split.room() as server:
        me = pwd.getpwuid(os.geteuid()).pw_name
        done = await split.restore(split.wanted(split.records[-1], server.data_dir, FIRST, owner=me))
        assert done.detail["wal"] == "fetched"
        assert not (server.data_dir / "toban-wal").exists()
        told = done.detail["restore_command"]
        names = sorted(path.name for path in split.wal.glob(f"00000001{'?' * 16}"))
        assert fetched(told, names[-1], server.data_dir) == 0
        assert (server.data_dir / "got").read_bytes() == (split.wal / names[-1]).read_bytes()
        assert fetched(told, "0000000100000000000000FF", server.data_dir) == 1
        with without(split, 1, -3):
            assert fetched(told, names[-3], server.data_dir) == 126


async def test_wal_that_is_laid_out_is_exact_in_how_it_ends(split: Bench) -> None:
    """There, not there, and there but not to be read: the last must end the recovery."""
    with closed(split), split.room() as server:
        done = await split.restore(split.wanted(split.records[-1], server.data_dir, FIRST))
        told = done.detail["restore_command"]
        laid_out = sorted((server.data_dir / "toban-wal").iterdir())
        assert laid_out[0].name == ending(split.records[-1])
        assert fetched(told, laid_out[0].name, server.data_dir) == 0
        assert fetched(told, "0000000100000000000000FF", server.data_dir) == 1
        laid_out[0].unlink()
        laid_out[0].mkdir()
        assert fetched(told, laid_out[0].name, server.data_dir) == 200


async def test_wal_is_laid_out_for_a_server_that_may_not_enter_the_repository(split: Bench) -> None:
    """A repository is closed to all but its owner; then the WAL comes along, and nothing of it can vanish."""
    with closed(split), split.room() as server:
        server.data_dir = server.data_dir.parent / "復元 'of' 100% \"data\""
        done = await split.restore(split.wanted(split.records[-1], server.data_dir, LATEST))
        assert done.detail["wal"] == "staged"
        with without(split, 1, -3):
            begin(server)
        assert server.psql(ROWS) == "1,2,3,11,12"


def ending(record: BackupRecord) -> str:
    """The segment in which a backup ends."""
    return segment_name(1, (lsn_number(record.manifest.stop_lsn or "") - 1) // SEGMENT_BYTES)


async def test_backup_leads_over_to_wal_that_begins_behind_it(split: Bench) -> None:
    """The server ends the segment with the backup, which holds a copy of it: nothing else stands there."""
    place = sorted(path.name for path in split.wal.glob(f"00000001{'?' * 16}")).index(ending(split.records[-1]))
    with without(split, 1, place) as gone:
        assert gone == ending(split.records[-1])
        assert await split.rows_at(FIRST) == "1,11,12,99"


async def test_backup_whose_copy_does_not_lead_over_is_refused(split: Bench) -> None:
    """The recovery would end in it, without a word."""
    record, stage = split.records[-1], split.home / "stage"
    name, stop = ending(record), lsn_number(record.manifest.stop_lsn or "")
    content = (split.wal / name).read_bytes()
    (stage / "pg_wal").mkdir(parents=True)
    (stage / "pg_wal" / name).write_bytes(content[: stop % SEGMENT_BYTES].ljust(SEGMENT_BYTES, b"\0"))
    following = segment_name(1, stop // SEGMENT_BYTES + 1)
    way = Course(moment=FIRST, timeline=1, allowed=True, reason="", segments=(following,))
    with pytest.raises(BackupError, match=f"segment {name} is missing, in which this backup ends") as refused:
        await must_carry_on(way, record, None, stage, split.around)
    assert refused.value.trouble is Trouble.MISSING
    await must_carry_on(way, record, split.wal, stage, split.around)  # there it is whole, and goes before the copy


async def test_segment_in_which_a_backup_ends_is_taken_from_where_it_is_kept(split: Bench) -> None:
    """Behind the backup's end something may stand in it that the backup's own copy has not."""
    record = split.records[-1]
    later = [path for path in split.wal.glob(f"00000001{'?' * 16}") if path.name > ending(record)]
    kept = [path.rename(split.home / path.name) for path in later]
    try:
        with split.room() as server:
            done = await split.restore(split.wanted(record, server.data_dir, FIRST))
    finally:
        for path in kept:
            path.rename(split.wal / path.name)
    assert done.detail["wal"] != "none"


async def test_last_unfinished_segment_comes_back_too(split: Bench) -> None:
    """What was still being received when the server was lost is the newest there is."""
    last = max(split.wal.glob(f"00000001{'?' * 16}"))
    half = last.rename(last.with_name(last.name + ".partial"))
    try:
        assert await split.rows_at(FIRST) == "1,11,12,99"
    finally:
        half.rename(last)
