import asyncio
import re
import shutil
import signal
from functools import partial

import asyncpg
import pytest

from backup import children
from backup.children import Command, Ended, Output
from backup.engines.dump import Dump
from backup.engines.dumping import running
from backup.engines.dumping.counting import Counter, dumped_of, tables_of
from backup.engines.dumping.failures import explained
from backup.engines.dumping.listening import Listener
from backup.engines.dumping.survey import working
from backup.errors import BackupError
from backup.programs import Programs
from tests.backup.dump.dumps import (
    HOLD,
    Bench,
    a_job,
    are_waiting,
    connected_to_shop,
    content_of,
    failure_of,
    file_of,
    holding,
    pg_dump_of,
)
from tests.clusters import Cluster
from tests.conftest import NewCluster, StandbyOf
from tests.waiting import eventually
from toban.backups import Progress, Trouble

pytestmark = pytest.mark.integration


async def test_a_killed_pg_dump_is_a_failure_and_what_it_left_is_no_dump(shop: Cluster, bench: Bench) -> None:
    """By kill -9: the reason says so, nothing runs on, and nobody takes what lies there for a dump."""
    making = bench.making(shop.dsn(), a_job(compress="none"))
    async with holding(shop):
        making_it = asyncio.create_task(bench.made(making))
        process = await pg_dump_of(shop)
        process.send_signal(signal.SIGKILL)
        error = await failure_of(making_it)
    assert error.line == "toban: dump of main: shop: pg_dump ended by signal 9"
    assert error.trouble is Trouble.TOOL
    assert not process.is_running()
    whole = await bench.dumped(shop, a_job(compress="none"))
    shutil.copyfile(making.place / "1-shop.dump", file_of(whole, "1-shop.dump"))
    assert [check.ok for check in await bench.verified(whole)] == [False, True]


async def test_a_packer_that_finds_no_room_is_the_reason(shop: Cluster, bench: Bench) -> None:
    """Not the broken pipe that pg_dump complains of."""
    folder = bench.home / "bin"
    folder.mkdir()
    (folder / "zstd").write_text(
        "#!/bin/sh\necho 'zstd: error 70 : Write error : No space left on device' >&2\nexit 70\n"
    )
    (folder / "zstd").chmod(0o755)
    bench.programs = Programs([folder])
    error = await failure_of(bench.dumped(shop))
    assert (error.trouble, error.why) == (
        Trouble.SPACE,
        "shop: zstd ended with status 70: zstd: error 70 : Write error : No space left on device",
    )


async def test_a_cancelled_dump_ends_its_programs(shop: Cluster, bench: Bench) -> None:
    """Nothing of it runs on, here or in the server."""
    async with holding(shop):
        making_it = asyncio.create_task(bench.dumped(shop))
        process = await pg_dump_of(shop)
        making_it.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making_it
        assert not process.is_running()

    def others() -> str:
        return shop.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'toban'")

    await eventually(lambda: others() == "0")


async def test_a_dump_cancelled_twice_ends_its_programs_all_the_same(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As by its time limit and by our own end at once: it lets go when they have ended, not before."""
    monkeypatch.setattr(children, "TERM_SECONDS", 0.2)
    async with holding(shop):
        making_it = asyncio.create_task(bench.dumped(shop))
        process = await pg_dump_of(shop)
        process.suspend()  # it does not hear that it is to end
        for _ in range(10):
            making_it.cancel()
            await asyncio.sleep(0)
        with pytest.raises(asyncio.CancelledError):
            await making_it
        assert not process.is_running()


@pytest.mark.parametrize(
    ("options", "program", "what"),
    [
        (
            {},
            "pg_dumpall",
            "globals.sql: was cut off: it does not end with '-- PostgreSQL database cluster dump complete'",
        ),
        (
            {"format": "plain", "compress": "none", "globals": False},
            "pg_dump",
            "1-shop.sql: was cut off: it does not end with '-- PostgreSQL database dump complete'",
        ),
    ],
)
async def test_a_script_that_came_to_be_cut_off_is_no_dump(
    options: dict[str, object], program: str, what: str, shop: Cluster, bench: Bench
) -> None:
    """Onto a full disk both print in vain, and end with 0."""
    folder = bench.home / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_dumpall"):
        real = f'"{shop.bin_dir / name}" "$@"'
        cut = f'[ "$1" = --version ] || {{ {real} | head -c 300; exit 0; }}\n' if name == program else ""
        (folder / name).write_text(f"#!/bin/sh\n{cut}exec {real}\n")
        (folder / name).chmod(0o755)
    bench.programs = Programs([folder])
    error = await failure_of(bench.dumped(shop, a_job(**options)))
    assert error.line == f"toban: {what} (is there room in the repository?)"


async def test_a_file_that_cannot_be_made_is_not_told_of_the_server(shop: Cluster, bench: Bench) -> None:
    """The repository says what it means: no room, read-only, gone."""
    making = bench.making(shop.dsn())
    (making.place / "1-shop.dump.zst").touch()
    with pytest.raises(FileExistsError):
        await bench.made(making)


async def test_a_database_dropped_before_its_turn_is_left_out_and_noted(shop: Cluster, bench: Bench) -> None:
    """What a test run made and dropped does not cost the others their backup; none at all is no backup."""
    await shop.execute("CREATE DATABASE brief")

    def dropping(name: str) -> bool:
        if name == "brief":
            shop.psql("DROP DATABASE brief")
        return name in chosen

    chosen = {"brief", "shop"}
    assert (await Dump().estimate(bench.making(shop.dsn(), chosen=dropping))).source_bytes is not None
    await shop.execute("CREATE DATABASE brief")
    making = bench.making(shop.dsn(), chosen=dropping)
    made = await Dump().make(making)
    assert (made.databases, [row.database for row in made.rows]) == (("shop",), ["shop"])
    assert made.notes == ("database brief is not in it: it was dropped or renamed before its turn",)
    await shop.execute("CREATE DATABASE brief")
    chosen = {"brief"}
    error = await failure_of(Dump().make(bench.making(shop.dsn(), chosen=dropping)))
    assert (error.why, error.trouble) == ("dropped before it could be dumped: brief", Trouble.MISSING)


async def test_a_table_dropped_before_the_dump_had_hold_of_it_starts_it_anew(shop: Cluster, bench: Bench) -> None:
    """The snapshot still sees the table, the lock finds it gone: a new snapshot knows what there is."""
    async with holding(shop) as connection:
        making_it = asyncio.create_task(bench.dumped(shop))
        await pg_dump_of(shop)
        await connection.execute("DROP TABLE stock; CREATE TABLE later AS SELECT 1 AS one; COMMIT")
        record = await making_it
    assert [(row.table, row.rows) for row in record.manifest.rows] == [("later", 1)]
    assert all(check.ok for check in await bench.verified(record))


@pytest.mark.parametrize("change", ["ALTER TABLE stock ALTER COLUMN n TYPE bigint", "TRUNCATE stock"])
async def test_a_table_rewritten_before_the_dump_had_hold_of_it_is_not_dumped_empty(
    change: str, shop: Cluster, bench: Bench
) -> None:
    """The old snapshot sees neither the old rows nor the new ones: bare pg_dump writes an empty table, silently."""
    async with holding(shop) as connection:
        making_it = asyncio.create_task(bench.dumped(shop))
        await pg_dump_of(shop)
        await connection.execute(f"{change}; INSERT INTO stock VALUES (1001, 'new'); COMMIT")
        record = await making_it
    there = int(shop.psql("SELECT count(*) FROM stock", "shop"))
    assert [(row.table, row.rows) for row in record.manifest.rows] == [("stock", there)]
    await bench.restored(record, shop.dsn(), rename="again")
    assert content_of(shop, "again") == content_of(shop, "shop")


async def test_what_becomes_of_a_table_that_is_left_out_is_no_matter(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rows are not in the dump anyway: a queue that is emptied every second keeps nobody from being backed up."""
    monkeypatch.setattr(running, "ATTEMPTS", 1)
    async with holding(shop) as connection:
        making_it = asyncio.create_task(bench.dumped(shop, a_job(exclude_tables=("stock",))))
        await pg_dump_of(shop)
        await connection.execute("TRUNCATE stock; COMMIT")
        record = await making_it
    assert (record.manifest.rows, record.manifest.notes) == ((), ())


async def test_tables_that_change_again_and_again_end_the_dump(shop: Cluster, bench: Bench) -> None:
    """After three snapshots it says why instead of trying for ever."""
    async with holding(shop) as first, connected_to_shop(shop) as second, connected_to_shop(shop) as third:
        failing = asyncio.create_task(failure_of(bench.dumped(shop)))
        for connection, following in ((first, second), (second, third), (third, None)):
            await pg_dump_of(shop)
            wanting = asyncio.create_task(following.execute(HOLD.format("stock"))) if following else None
            await eventually(partial(are_waiting, shop, 2 if following else 1))
            await connection.execute("TRUNCATE stock; COMMIT")
            if wanting is not None:
                await wanting
        error = await failing
    assert error.trouble is Trouble.LOCKED
    assert error.why == "shop: rewritten, emptied or dropped as the dump began: public.stock, 3 times"


async def test_a_table_made_or_filled_during_the_dump_is_not_in_it(shop: Cluster, bench: Bench) -> None:
    """Counts and dump are of one snapshot: what came later is in neither."""

    def change(progress: Progress) -> None:
        if progress.what.endswith("stock"):  # its rows are being read
            shop.psql("INSERT INTO stock VALUES (1001, 'new'); CREATE TABLE IF NOT EXISTS later AS SELECT 1", "shop")

    record = await bench.dumped(shop, tell=change)
    assert int(shop.psql("SELECT count(*) FROM stock", "shop")) > 1000
    assert [(row.table, row.rows) for row in record.manifest.rows] == [("stock", 1000)]
    await bench.restored(record, shop.dsn(), rename="again")
    assert shop.psql("SELECT count(*), to_regclass('later') FROM stock", "again") == "1000|"


async def test_a_lock_held_too_long_is_named_with_its_holder(shop: Cluster, bench: Bench) -> None:
    """Who holds which table, how long a dump waits, and what to do."""
    async with holding(shop) as connection:
        pid = await connection.fetchval("SELECT pg_backend_pid()")
        error = await failure_of(bench.dumped(shop, a_job(lock_wait=0.2)))
    assert error.trouble is Trouble.LOCKED
    assert error.worth_another_try
    held = f"shop: public.stock is held by process {pid} (postgres, schema change)"
    assert re.sub(r" for \d+ s;", ";", error.why) == f"{held}; a dump waits 200ms for it"
    assert error.hint == "dump when nobody changes tables, or let it wait longer: lock_wait"


async def test_a_table_that_somebody_holds_is_estimated_and_noted(shop: Cluster, bench: Bench) -> None:
    """Whoever wants it alone waits for the dump; to count it would mean to wait for him."""
    shop.psql("ANALYZE stock", "shop")
    job = a_job()
    async with holding(shop), connected_to_shop(shop) as connection:
        await connection.execute("SET lock_timeout = '50ms'")
        await connection.transaction(isolation="repeatable_read").start()
        counter = Counter(connection, "shop", job)
        counter.know(dumped_of(await tables_of(connection), (), standby=False))
        counter.finish()
        await counter.run()
    assert [(row.table, row.rows, row.exact) for row in counter.rows] == [("stock", 1000, False)]
    assert list(counter.notes()) == ["shop: estimated, since somebody wanted them alone: public.stock"]


async def test_a_count_that_breaks_off_is_a_note_and_no_failure(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The dump has its snapshot by then; what is not known is said."""

    async def broken(_counter: Counter) -> None:
        raise asyncpg.InterfaceError("connection is closed")

    monkeypatch.setattr(Counter, "run", broken)
    record = await bench.dumped(shop)
    assert record.manifest.rows == ()
    assert record.manifest.notes == ("shop: 2 tables were not counted: connection is closed",)


async def test_progress_goes_on_while_a_dump_waits(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what has been written, whether file or folder; without compression by a pipe it begins anew just as well."""
    monkeypatch.setattr(running, "TICK_SECONDS", 0.01)
    async with holding(shop) as connection:
        making_it = asyncio.create_task(bench.dumped(shop, a_job(format="directory")))
        await pg_dump_of(shop)
        told = len(bench.told)
        await eventually(lambda: len(bench.told) > told)
        await connection.execute("TRUNCATE stock; COMMIT")
        record = await making_it
    assert [(row.table, row.rows) for row in record.manifest.rows] == [("stock", 0)]


@pytest.mark.parametrize(
    ("said", "trouble", "hint"),
    [
        (
            "pg_dump: error: query failed: ERROR:  permission denied for table a",
            Trouble.PRIVILEGE,
            "give the role what it lacks: GRANT pg_read_all_data TO it, or ALTER ROLE it BYPASSRLS",
        ),
        (
            "pg_dump: error: query failed: ERROR:  canceling statement due to conflict with recovery",
            Trouble.TOOL,
            "set hot_standby_feedback = on there, or a longer max_standby_streaming_delay",
        ),
        ('pg_dump: error: connection to server at "h" failed: no', Trouble.UNREACHABLE, ""),
        ("pg_dump: error: could not obtain lock on relation", Trouble.LOCKED, None),
        ("pg_dump: error: something else", Trouble.TOOL, ""),
    ],
)
async def test_a_failure_is_told_by_what_pg_dump_said(
    said: str, trouble: Trouble, hint: str | None, bench: Bench
) -> None:
    """In words for an operator, with the mend where there is one; also when the server cannot be asked any more."""
    async with working(bench.making("postgresql://127.0.0.1:1/shop")) as work:
        listener = Listener(lambda _: None)
        listener.hear(said)
        output = Output(stdout=b"", ended=(Ended(command=Command(words=("pg_dump",)), status=1, said=said),))
        error = await explained(work, "shop", output, listener)
    assert isinstance(error, BackupError)
    assert error.why == "shop: " + said.removeprefix("pg_dump: ")
    assert error.trouble is trouble
    assert hint is None or error.hint == hint


async def test_a_standby_can_be_dumped(new_cluster: NewCluster, standby_of: StandbyOf, bench: Bench) -> None:
    """In a snapshot of its own with its rows counted; unlogged tables, which it cannot read, without their rows."""
    primary = new_cluster()
    primary.psql("CREATE DATABASE shop")
    primary.psql(
        "CREATE TABLE stock AS SELECT generate_series(1, 5) AS n; CREATE UNLOGGED TABLE fleeting (a int)", "shop"
    )
    standby = standby_of(primary)
    record = await bench.dumped(standby, a_job(format="directory", jobs=2))
    assert [(row.table, row.rows, row.exact) for row in record.manifest.rows] == [("stock", 5, True)]
    without = "shop: without the rows of unlogged tables, which a standby has not: public.fleeting"
    assert record.manifest.notes == (without,)
    await bench.restored(record, primary.dsn(), rename="again")
    assert content_of(primary, "again") == content_of(primary, "shop")


async def test_a_server_that_goes_away_is_said_to(new_cluster: NewCluster, bench: Bench) -> None:
    """Killed in the middle: the dump fails as one that may work later."""
    cluster = new_cluster()
    cluster.psql("CREATE DATABASE shop")
    cluster.psql("CREATE TABLE stock AS SELECT 1 AS one", "shop")
    async with holding(cluster):
        making_it = asyncio.create_task(bench.dumped(cluster))
        await pg_dump_of(cluster)
        await asyncio.to_thread(cluster.kill)
        error = await failure_of(making_it)
    assert error.trouble is Trouble.UNREACHABLE
    assert error.worth_another_try
