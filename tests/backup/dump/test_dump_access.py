import asyncio
from urllib.parse import quote

import pytest

from backup.engines.dump import Dump
from tests.backup.dump.dumps import Bench, content_of, failure_of, file_of, holding, pg_dump_of
from tests.clusters import Cluster
from toban.backups import Trouble

pytestmark = pytest.mark.integration
PASSWORD = "".join(chr(code) for code in range(32, 127)) + "パス"


async def test_a_password_with_every_character_is_nowhere_to_be_seen(shop: Cluster, bench: Bench) -> None:
    """It opens the server for asyncpg, pg_dump, pg_dumpall and pg_restore, and stands in no words or environment."""
    literal = PASSWORD.replace("'", "''")
    await shop.execute(f"CREATE ROLE scrambled SUPERUSER LOGIN PASSWORD '{literal}'")
    dsn = shop.dsn(user="scrambled", password=PASSWORD)
    making = bench.making(dsn)
    async with holding(shop):
        making_it = asyncio.create_task(bench.made(making))
        process = await pg_dump_of(shop)
        seen = " ".join([*process.cmdline(), *process.environ().values()])
    record = await making_it
    written = [PASSWORD, quote(PASSWORD, safe=""), PASSWORD.replace("\\", "\\\\").replace(":", "\\:")]
    assert not any(secret in seen for secret in written)
    told = record.manifest.detail["databases"][0]["name"] + repr(record)
    assert not any(secret in told for secret in written)
    await bench.restored(record, dsn, rename="again")
    assert content_of(shop, "again") == content_of(shop, "shop")


async def test_a_wrong_password_is_not_repeated(elsewhere: Cluster, bench: Bench) -> None:
    """The reason names the server and the role, never the secret."""
    await elsewhere.execute("CREATE ROLE scrambled LOGIN PASSWORD 'right'")
    error = await failure_of(bench.made(bench.making(elsewhere.dsn(user="scrambled", password="wrong:pass"))))
    assert error.trouble is Trouble.PRIVILEGE
    assert error.line == (
        f"toban: postgresql://scrambled:********@127.0.0.1:{elsewhere.port}/postgres: "
        'password authentication failed for user "scrambled"'
    )


async def test_row_security_that_hides_rows_is_refused_with_its_mend(shop: Cluster, bench: Bench) -> None:
    """pg_dump would fail after hours; a dump without the hidden rows would be worse."""
    shop.psql("CREATE ROLE keeper LOGIN IN ROLE pg_read_all_data")
    shop.psql("ALTER TABLE stock ENABLE ROW LEVEL SECURITY", "shop")
    error = await failure_of(Dump().estimate(bench.making(shop.dsn(user="keeper"))))
    assert (error.trouble, error.why, error.hint) == (
        Trouble.PRIVILEGE,
        "row security hides rows of database shop from role keeper: public.stock",
        'ALTER ROLE "keeper" BYPASSRLS',
    )
    shop.psql('ALTER ROLE "keeper" BYPASSRLS')
    record = await bench.made(bench.making(shop.dsn(user="keeper")))
    assert [row.rows for row in record.manifest.rows] == [1000]


async def test_tables_that_may_not_be_read_are_named_with_the_mend(shop: Cluster, bench: Bench) -> None:
    """Also those whose schema is closed; what the mend grants is enough."""
    shop.psql("CREATE ROLE keeper LOGIN")
    shop.psql("CREATE SCHEMA closed CREATE TABLE hidden (a int) CREATE SEQUENCE counter", "shop")
    error = await failure_of(Dump().estimate(bench.making(shop.dsn(user="keeper"))))
    assert (error.trouble, error.why, error.hint) == (
        Trouble.PRIVILEGE,
        "role keeper may not read in database shop: closed.counter, closed.hidden, public.stock",
        'GRANT pg_read_all_data TO "keeper"',
    )
    shop.psql('GRANT pg_read_all_data TO "keeper"')
    record = await bench.made(bench.making(shop.dsn(user="keeper")))
    assert [row.table for row in record.manifest.rows] == ["hidden", "stock"]


async def test_large_objects_that_may_not_be_read_are_named_with_the_mend(shop: Cluster, bench: Bench) -> None:
    """pg_read_all_data does not open them, and pg_dump would find out after hours."""
    shop.psql(
        "SELECT lo_create(n) FROM generate_series(4711, 4713) AS n; GRANT SELECT ON LARGE OBJECT 4712 TO PUBLIC", "shop"
    )
    shop.psql("CREATE ROLE keeper LOGIN IN ROLE pg_read_all_data")
    error = await failure_of(Dump().estimate(bench.making(shop.dsn(user="keeper"))))
    assert (error.trouble, error.why, error.hint) == (
        Trouble.PRIVILEGE,
        "role keeper may not read large objects in database shop: 4711, 4713",
        'GRANT SELECT ON LARGE OBJECT 4711, 4713 TO "keeper", or dump as a superuser',
    )
    shop.psql('GRANT SELECT ON LARGE OBJECT 4711, 4713 TO "keeper"', "shop")
    await Dump().estimate(bench.making(shop.dsn(user="keeper")))
    record = await bench.made(bench.making(shop.dsn(user="keeper")))
    assert [(row.table, row.rows) for row in record.manifest.rows] == [("pg_largeobject_metadata", 3), ("stock", 1000)]
    shop.psql("DROP OWNED BY keeper", "shop")


async def test_passwords_that_may_not_be_read_are_left_out_and_noted(shop: Cluster, bench: Bench) -> None:
    """A role that may read the tables alone; whoever restores is told to give new ones."""
    shop.psql("CREATE ROLE keeper LOGIN PASSWORD 'open sesame'")
    shop.psql("GRANT SELECT ON stock TO keeper", "shop")
    record = await bench.made(bench.making(shop.dsn(user="keeper")))
    said = "passwords of roles are not in it: keeper may not read them, only a superuser may"
    assert record.manifest.notes == (said,)
    assert "PASSWORD" not in file_of(record, "globals.sql").read_text()
    shop.psql("DROP OWNED BY keeper", "shop")
    shop.psql("DROP ROLE keeper")
    restored = await bench.restored(record, shop.dsn(), rename="again")
    assert "give passwords to the roles keeper: the dump has none" in restored.left_to_do


async def test_a_database_that_may_not_be_entered_is_named_with_the_mend(shop: Cluster, bench: Bench) -> None:
    """It is not left out in silence."""
    shop.psql("CREATE ROLE keeper LOGIN; REVOKE CONNECT ON DATABASE shop FROM PUBLIC")
    error = await failure_of(bench.made(bench.making(shop.dsn(user="keeper"))))
    assert (error.trouble, error.why, error.hint) == (
        Trouble.PRIVILEGE,
        "may not connect to database shop",
        'GRANT CONNECT ON DATABASE "shop" TO "keeper"',
    )
