import asyncio
import json
from collections.abc import Collection, Sequence

import asyncpg
import pytest
from structlog.testing import capture_logs

from backup.engines.dumping.reading import Entry
from backup.errors import BackupError
from backup.restore import dump
from backup.restore.contract import Wanted
from backup.restore.dumping.filling import Filling
from backup.restore.dumping.naming import Destination
from backup.restore.dumping.site import Site, site
from backup.way import Way
from tests.backup.dump.dumps import Bench, databases_of, failure_of, file_of, partial_of
from tests.clusters import Cluster
from tests.daemon.answers.kept import a_record
from tests.waiting import eventually
from toban.backups import Trouble
from toban.secrets import Dsn

pytestmark = pytest.mark.integration


async def test_two_restores_of_one_name_do_not_meet(shop: Cluster, bench: Bench) -> None:
    """The second is told that another is at it, though that one came another way, and leaves what it has made alone."""
    record = await bench.dumped(shop)
    partial = partial_of(record, "again")
    await shop.execute(f'CREATE DATABASE "{partial}"')
    other = await shop.connect("template1")
    await other.execute("SELECT pg_advisory_lock(hashtextextended($1, 0))", partial)
    error = await failure_of(bench.restored(record, shop.dsn(), rename="again"))
    await other.close()
    assert (error.what, error.why, error.trouble) == ("database again", "another restore is making it", Trouble.BUSY)
    assert databases_of(shop) == {"postgres", "shop", partial}


async def test_a_name_that_somebody_comes_back_to_is_tried_again(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is free for a moment; and when it never is, all is as it was before."""
    record = await bench.dumped(shop)
    rename, tries = Site._rename, []

    async def in_use(site: Site, renamings: Collection[tuple[str, str]]) -> None:
        tries.append(renamings)
        if len(tries) != 2:
            raise asyncpg.ObjectInUseError("database is being accessed by other users")
        await rename(site, renamings)

    monkeypatch.setattr(Site, "_rename", in_use)
    await bench.restored(record, shop.dsn(), rename="again")
    assert databases_of(shop) == {"postgres", "shop", "again"}
    error = await failure_of(bench.restored(record, shop.dsn(), replace=True))
    assert error.why == "database is being accessed by other users"
    assert len(tries) == 2 + 5
    assert databases_of(shop) == {"postgres", "shop", "again"}


async def test_several_databases_get_their_names_together_or_not_at_all(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An application never meets one of today beside one of last night."""
    await shop.execute("CREATE DATABASE work")
    record = await bench.dumped(shop)
    shop.psql("INSERT INTO stock VALUES (1001, 'today')", "shop")
    publish = Site.publish

    async def spoiled(site: Site, ones: Sequence[Destination], standing: Collection[str], stamp: str) -> dict[str, str]:
        await site.drop(ones[-1].partial)
        return await publish(site, ones, standing, stamp)

    monkeypatch.setattr(Site, "publish", spoiled)
    error = await failure_of(bench.restored(record, shop.dsn(), replace=True))
    assert "does not exist" in error.why
    assert databases_of(shop) == {"postgres", "shop", "work"}
    assert shop.psql("SELECT count(*) FROM stock", "shop") == "1001"


async def test_a_database_filled_meanwhile_is_put_aside_though_it_was_empty(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What came into it while the restore went on is somebody's."""
    record = await bench.dumped(shop)
    shop.psql("CREATE DATABASE again")
    dress = Site.dress

    async def meanwhile(site: Site, one: Destination) -> tuple[str, ...]:
        shop.psql("CREATE TABLE precious AS SELECT 1 AS one", "again")
        return await dress(site, one)

    monkeypatch.setattr(Site, "dress", meanwhile)
    restored = await bench.restored(record, shop.dsn(), rename="again")
    assert shop.psql("SELECT one FROM precious", restored.detail["aside"]["again"]) == "1"
    assert shop.psql("SELECT count(*) FROM stock", "again") == "1000"


async def test_a_database_that_somebody_makes_meanwhile_is_not_in_the_way(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an application does that finds none: hours of work are not thrown away for an empty one."""
    record = await bench.dumped(shop)
    dress = Site.dress

    async def meanwhile(site: Site, one: Destination) -> tuple[str, ...]:
        shop.psql("CREATE DATABASE again")
        return await dress(site, one)

    monkeypatch.setattr(Site, "dress", meanwhile)
    restored = await bench.restored(record, shop.dsn(), rename="again")
    assert restored.detail["aside"] == {}
    assert databases_of(shop) == {"postgres", "shop", "again"}
    assert shop.psql("SELECT count(*) FROM stock", "again") == "1000"


async def test_a_setting_that_the_server_does_not_know_is_left_to_do(shop: Cluster, bench: Bench) -> None:
    """Another version has other settings: all the rest comes back."""
    shop.psql("ALTER DATABASE shop SET work_mem = '5MB'")
    record = await bench.dumped(shop)
    told = json.loads(file_of(record, "settings.json").read_text())
    told["shop"].insert(0, {"name": "no_such", "value": "it's", "role": None})
    file_of(record, "settings.json").write_text(json.dumps(told))
    restored = await bench.restored(record, shop.dsn(), rename="again")
    said = 'ALTER DATABASE "again" SET "no_such": unrecognized configuration parameter "no_such"'
    assert restored.left_to_do[-1] == f"this server did not take: {said}"
    assert shop.psql("SHOW work_mem", "again") == "5MB"


async def test_a_role_that_somebody_makes_meanwhile_is_not_taken_away(
    source: Cluster, elsewhere: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All the roles of a dump are made, or none: what is there then is another's."""
    record = await bench.dumped(source)
    make = Filling.make_roles

    async def too_late(filling: Filling, script: str) -> None:
        elsewhere.psql("CREATE ROLE readers")
        await make(filling, script)

    monkeypatch.setattr(Filling, "make_roles", too_late)
    error = await failure_of(bench.restored(record, elsewhere.dsn()))
    assert 'role "readers" already exists' in error.why
    assert elsewhere.psql("SELECT rolname FROM pg_roles WHERE oid >= 16384") == "readers"


async def test_a_server_that_goes_away_once_all_is_there_takes_nothing_back(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database has its name; only its size is not known."""
    record = await bench.dumped(shop)

    async def away(_site: Site, _database: str) -> int:
        raise BackupError("postgresql://", "connection lost", trouble=Trouble.UNREACHABLE)

    monkeypatch.setattr(Site, "size_bytes", away)
    restored = await bench.restored(record, shop.dsn(), rename="again")
    assert (restored.databases, restored.restored_bytes) == (("again",), 0)


async def test_what_could_not_be_cleared_away_is_told(
    shop: Cluster, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under which name it lies there."""
    record = await bench.dumped(shop)

    async def away(*_: object) -> None:
        raise BackupError("postgresql://", "connection lost", trouble=Trouble.UNREACHABLE)

    async def silent(*_: object) -> None:
        await asyncio.get_running_loop().create_future()

    monkeypatch.setattr(dump, "UNDO_SECONDS", 0.01)
    monkeypatch.setattr(Site, "publish", away)
    partial = partial_of(record, "again")
    for abandon, why in ((away, "postgresql://: connection lost"), (silent, "not done within 0 s")):
        monkeypatch.setattr(Site, "abandon", abandon)
        with capture_logs() as told:
            error = await failure_of(bench.restored(record, shop.dsn(), rename="again"))
        assert error.why == "connection lost"
        assert [(one["event"], one["why"], one["databases"]) for one in told] == [
            ("restore_not_undone", why, [partial])
        ]
    assert databases_of(shop) == {"postgres", "shop", partial}


async def test_a_role_that_is_no_superuser_can_put_a_name_on_what_is_being_tended(shop: Cluster, bench: Bench) -> None:
    """The server's own worker is in the new database, and is none of ours to send away: the renaming sees to it."""
    entry = Entry(name="whole", file="")
    one = Destination(entry=entry, name="whole")
    wanted = Wanted(record=a_record(), lineage=())
    shop.psql("CREATE ROLE keeper LOGIN CREATEDB")
    shop.psql("ALTER SYSTEM SET autovacuum_naptime = 1")
    shop.psql(f'CREATE DATABASE "{one.partial}" OWNER keeper')
    slow = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold = 0"
    shop.psql(f"CREATE TABLE worn WITH ({slow}) AS SELECT generate_series(1, 50000) AS n", one.partial)
    shop.psql("DELETE FROM worn", one.partial)
    shop.reload()
    tended = "SELECT max(datname) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
    try:
        await eventually(lambda: shop.psql(tended) == one.partial)
        async with site(Way(Dsn(shop.dsn(user="keeper")), bench.home), (entry,), wanted) as there:
            await there.publish([one], (), "now")
    finally:
        shop.psql("ALTER SYSTEM RESET autovacuum_naptime")
        shop.reload()
    assert databases_of(shop) == {"postgres", "shop", "whole"}
