from itertools import pairwise

import pytest

from tests.backup.dump.dumps import Bench, content_of, databases_of, properties_of
from tests.clusters import Cluster

pytestmark = pytest.mark.integration
NAMES = ("q\"uo'te \\ 店", "-rf %s\nlines a%20b&dbname=x host='y'")
ROLES = ("-r %n", 'o\'neill "x"; DROP', "役割 \\", "PUBLIC", "two words")


def quoted(name: str) -> str:
    """As SQL has it."""
    return '"' + name.replace('"', '""') + '"'


async def test_databases_and_roles_of_any_name_come_back_equal(elsewhere: Cluster, bench: Bench) -> None:
    """Each with its owner, who is not there any more, and what roles may do and have set in it."""
    sql = [f"CREATE ROLE {quoted(name)} LOGIN PASSWORD 'of {number}'" for number, name in enumerate(ROLES)]
    sql += [f"GRANT {quoted(one)} TO {quoted(other)}" for one, other in pairwise(ROLES)]
    elsewhere.psql(";".join(sql))
    for place, name in enumerate(NAMES):
        owner, other = (quoted(ROLES[(place + step) % len(ROLES)]) for step in (0, 1))
        elsewhere.psql(f"CREATE DATABASE {quoted(name)} OWNER {owner}")
        sql = [
            f"CREATE TABLE {quoted(name)} AS SELECT {place} AS {quoted(name)}",
            f"CREATE SCHEMA s AUTHORIZATION {owner}",
        ]
        sql += [f"ALTER TABLE {quoted(name)} OWNER TO {owner}", f"GRANT SELECT ON {quoted(name)} TO {other}"]
        sql += [f"ALTER ROLE {other} IN DATABASE {quoted(name)} SET work_mem = '5MB'"]
        elsewhere.psql(";".join(sql), name)
    roles = "SELECT rolname, rolpassword FROM pg_authid WHERE oid >= 16384 ORDER BY 1"
    before = {name: (content_of(elsewhere, name), properties_of(elsewhere, name)) for name in NAMES}
    known = elsewhere.psql(roles)

    record = await bench.dumped(elsewhere)
    assert all(check.ok for check in await bench.verified(record))
    for name in NAMES:
        elsewhere.psql(f"DROP DATABASE {quoted(name)}")
    elsewhere.psql("; ".join(f"DROP ROLE {quoted(name)}" for name in ROLES))
    await bench.restored(record, elsewhere.dsn())

    assert databases_of(elsewhere) >= {"postgres", *(name for name in NAMES if "\n" not in name)}
    assert {name: (content_of(elsewhere, name), properties_of(elsewhere, name)) for name in NAMES} == before
    assert elsewhere.psql(roles) == known
    assert [(row.database, row.table, row.rows) for row in record.manifest.rows] == [
        (name, name, 1) for name in sorted(NAMES)
    ]


async def test_roles_are_what_they_are_called_whatever_the_encoding(elsewhere: Cluster, bench: Bench) -> None:
    """A server's roles are called in the encoding of its databases, which here is none of ours."""
    for name in ("old", "shop"):
        await elsewhere.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' TEMPLATE template0")
    await elsewhere.execute('CREATE ROLE "Zoé"; ALTER DATABASE shop OWNER TO "Zoé"', "old")
    record = await bench.made(bench.making(elsewhere.dsn("old"), chosen=lambda name: name == "shop"))
    await elsewhere.execute("DROP DATABASE shop", "old")
    await elsewhere.execute('DROP ROLE "Zoé"', "old")
    await bench.restored(record, elsewhere.dsn("old"), rename="shop")
    connection = await elsewhere.connect("shop")
    owner = await connection.fetchval("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'shop'")
    await connection.close(timeout=60)
    await elsewhere.execute('REASSIGN OWNED BY "Zoé" TO postgres; DROP ROLE "Zoé"', "shop")
    assert owner == "Zoé"
