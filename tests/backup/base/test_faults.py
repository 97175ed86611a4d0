"""What goes wrong while a base backup is made: somebody dies, somebody is not allowed, a page is broken."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from backup.engines.base import Base
from backup.engines.contract import Engine, Estimate, Made, Origin
from backup.engines.pgbackrest import PgBackRest
from backup.errors import BackupError
from tests.backup.base.bench import Bench, archiving
from tests.clusters import absence, installations
from tests.conftest import StandbyOf
from tests.waiting import eventually, eventually_sync
from toban.backups import Trouble

pytestmark = pytest.mark.integration
SLOTS = "SELECT count(*) FROM pg_replication_slots"
SENDERS = "SELECT count(*) FROM pg_stat_replication"


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """A server that nothing happens to but what each test does."""
    if 15 not in installations():
        pytest.skip(absence(15))
    with archiving(15, full_page_writes="on") as found:
        yield found


def copying(bench: Bench) -> psutil.Process | None:
    """The pg_basebackup that copies now, once something has come of it."""
    if not any(path.stat().st_size for path in Path(bench.told_place).glob("base.tar*")):
        return None
    with suppress(psutil.NoSuchProcess):
        return next((process for process in programs() if process.ppid() == os.getpid()), None)
    return None


def programs() -> list[psutil.Process]:
    """Every pg_basebackup of ours."""
    return [one for one in psutil.Process().children(recursive=True) if name_of(one) == "pg_basebackup"]


def name_of(process: psutil.Process) -> str:
    """Its name, if it has not gone meanwhile."""
    with suppress(psutil.NoSuchProcess):
        return str(process.name())
    return ""


async def begun(bench: Bench) -> tuple["asyncio.Task[Made]", psutil.Process]:
    """A backup that takes its time, in the middle of it."""
    making = bench.making("slow", bandwidth="4MB")
    bench.told_place = str(making.place)
    work = asyncio.create_task(Base().make(making))
    process = await eventually(lambda: copying(bench))
    assert process is not None
    return work, process


async def interrupted(bench: Bench, do: Callable[[psutil.Process], None]) -> BackupError:
    """Begin a backup that takes its time, do something to it in the middle, and see how it ends."""
    work, process = await begun(bench)
    do(process)
    with pytest.raises(BackupError) as failed:
        await work
    assert programs() == []
    return failed.value


def nobody_is_left(bench: Bench) -> None:
    """Neither a slot nor a sender of it stays in the server."""
    eventually_sync(lambda: bench.cluster.psql(SLOTS) == "0")
    eventually_sync(lambda: bench.cluster.psql(SENDERS) == "0")


async def test_killed_pg_basebackup_is_a_failure_and_leaves_no_slot(bench: Bench) -> None:
    """With all that it had started: its receiver of WAL would hold the slot on."""
    failed = await interrupted(bench, lambda process: process.kill())
    assert (failed.trouble, failed.why) == (Trouble.TOOL, "pg_basebackup ended by signal 9")
    nobody_is_left(bench)


async def test_cancelled_backup_ends_what_it_started(bench: Bench) -> None:
    """Before it lets go."""
    work, process = await begun(bench)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert not process.is_running()
    assert list(bench.around.workspace.iterdir()) == []
    nobody_is_left(bench)


async def test_backup_that_takes_too_long_is_ended(bench: Bench) -> None:
    """Its time is the job's."""
    with pytest.raises(BackupError, match="not done within 1 s") as failed:
        await Base().make(bench.making("slow", bandwidth="4MB", timeout="1s"))
    assert failed.value.trouble is Trouble.TIMEOUT
    nobody_is_left(bench)


async def test_role_that_may_not_replicate_is_told_what_it_lacks(bench: Bench) -> None:
    """Before anything is copied, with the mend."""
    bench.cluster.psql('CREATE ROLE "o\'neill" LOGIN')
    making = bench.making("base", dsn=bench.cluster.dsn(user="o'neill"))
    with pytest.raises(BackupError) as failed:
        await Base().estimate(making)
    assert failed.value.trouble is Trouble.PRIVILEGE
    assert failed.value.reason == (
        "backup base: role o'neill may not replicate "
        '(ALTER ROLE "o\'neill" REPLICATION, and a line for replication in pg_hba.conf)'
    )


async def test_role_that_may_replicate_and_nothing_more_is_enough(bench: Bench) -> None:
    """What it may not know is said; the backup is whole."""
    bench.cluster.psql("CREATE ROLE humble LOGIN REPLICATION")
    made = await Base().make(bench.making("base", dsn=bench.cluster.dsn(user="humble")))
    assert made.notes == ("where the configuration lies is not known to this role: GRANT pg_read_all_settings to it",)


async def test_server_without_senders_left_is_told(bench: Bench) -> None:
    """pg_basebackup wants two of them."""
    wanted = Base().estimate(bench.making())
    bench.cluster.psql("ALTER SYSTEM SET max_wal_senders = 1")
    try:
        bench.cluster.stop()
        bench.cluster.start()
        with pytest.raises(BackupError, match="0 of max_wal_senders = 1 are taken, and it wants 2"):
            await wanted
    finally:
        bench.cluster.psql("ALTER SYSTEM RESET max_wal_senders")
        bench.cluster.stop()
        bench.cluster.start()


async def test_increment_of_a_version_without_them_is_refused(bench: Bench) -> None:
    """PostgreSQL 15 has none; what has is named."""
    with pytest.raises(BackupError) as failed:
        await Base().estimate(bench.making("daily", type="incremental", of="base"))
    assert failed.value.reason == (
        "backup daily: PostgreSQL 15 has no incremental backups of its own; 17 has (engine: pgbackrest has them)"
    )


async def test_estimate_goes_by_what_the_last_one_took(bench: Bench) -> None:
    """Without one it is taken for as large as the server; an increment's size nobody knows."""
    first = await Base().estimate(bench.making())
    assert first.source_bytes is not None
    assert first.size_bytes == first.source_bytes
    last = await bench.back_up()
    share = last.manifest.size_bytes / (last.manifest.source_bytes or 1)
    found = await Base().estimate(bench.making())
    assert found == Estimate(source_bytes=found.source_bytes, size_bytes=round((found.source_bytes or 0) * share))
    assert found.size_bytes is not None
    assert found.size_bytes < first.size_bytes / 2
    bench.records.clear()


async def test_backup_without_compression_is_archives_as_they_come(bench: Bench) -> None:
    """None is asked for; and no configuration either."""
    made = await bench.back_up(compress="none", configuration=False, checkpoint="spread")
    bench.records.clear()
    assert made.manifest.compression is None
    assert made.manifest.detail["archives"] == ["base.tar", "pg_wal.tar"]
    assert [check.ok for check in (await bench.verify(made)).values()] == [True] * 6


@pytest.mark.parametrize("engine", [Base(), PgBackRest()])
async def test_target_without_a_dsn_is_refused(bench: Bench, engine: Engine) -> None:
    """There is no way to it."""
    making = bench.making(stanza="main")
    nowhere = replace(making, origin=Origin(name="main", kind="postgresql"))
    with pytest.raises(BackupError, match="target main has no dsn") as failed:
        await engine.estimate(nowhere)
    assert failed.value.exit_status == 2


async def test_backup_of_a_standby_comes_from_the_standby(bench: Bench, standby_of: StandbyOf) -> None:
    """And is whole, though the standby ends no segment behind it."""
    own = Bench(home=bench.home, cluster=standby_of(bench.cluster))
    found = await own.back_up("aside")
    assert found.manifest.detail["from_standby"] is True
    assert [check.ok for check in (await own.verify(found)).values()] == [True] * 6


@pytest.mark.parametrize("form", ["custom", "directory"])
async def test_format_of_a_dump_is_none_of_a_base_backup(bench: Bench, form: str) -> None:
    """Said, and not replaced by another."""
    with pytest.raises(BackupError, match=f"a base backup has no format {form}; it is tar or plain"):
        await Base().make(bench.making("base", format=form))


async def test_server_that_is_killed_in_the_middle_is_unreachable(bench: Bench) -> None:
    """A failure that is worth another try."""

    def kill(_: psutil.Process) -> None:
        bench.cluster.kill()

    failed = await interrupted(bench, kill)
    assert failed.trouble is Trouble.UNREACHABLE
    assert failed.worth_another_try
    bench.cluster.start()
    nobody_is_left(bench)


async def test_broken_page_of_the_live_server_makes_no_backup() -> None:
    """With page checksums the server looks while it copies: what is broken there is no good backup."""
    if 18 not in installations():
        pytest.skip(absence(18))
    with archiving(18) as own:
        own.cluster.psql("CREATE TABLE t AS SELECT n, repeat('x', 500) FROM generate_series(1, 1000) AS n; CHECKPOINT")
        path = own.cluster.data_dir / own.cluster.psql("SELECT pg_relation_filepath('t')")
        with path.open("r+b") as file:
            file.seek(8192 + 4000)
            file.write(b"broken")
        with pytest.raises(BackupError) as failed:
            await Base().make(own.making())
        assert failed.value.trouble is Trouble.DAMAGED
        assert failed.value.hint == "pages of the live server are damaged: look at its log"
