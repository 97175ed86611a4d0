"""Two servers of PostgreSQL 15 for the tests of dumps: one that is dumped, one that takes what comes back."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from tests.backup.dump.dumps import AWKWARD, Bench
from tests.clusters import Cluster, absence, installations

FULL = """
CREATE SCHEMA "s x"; COMMENT ON SCHEMA "s x" IS E'a schema\\nof two lines';
CREATE TYPE "s x".mood AS ENUM ('ok', 'it''s', '良い');
CREATE FUNCTION "s x".touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
CREATE TABLE users (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text UNIQUE);
INSERT INTO users (name) SELECT 'user ' || n FROM generate_series(1, 50) AS n;
CREATE TABLE "s x"."注文 ""o"" 1" (id serial PRIMARY KEY, m "s x".mood DEFAULT 'ok', u int REFERENCES users, note text);
INSERT INTO "s x"."注文 ""o"" 1" (m, u, note) SELECT 'it''s', n, E'line\\n\\\\.\\ttab' FROM generate_series(1, 40) AS n;
CREATE TRIGGER touch BEFORE UPDATE ON "s x"."注文 ""o"" 1" FOR EACH ROW EXECUTE FUNCTION "s x".touch();
CREATE INDEX ON users (lower(name)); CREATE VIEW named AS SELECT name FROM users;
CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM users;
CREATE TABLE days (d int, v int) PARTITION BY RANGE (d);
CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (10);
CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (10) TO (100);
INSERT INTO days SELECT n, n FROM generate_series(0, 29) AS n;
CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3), (4, 5);
CREATE SEQUENCE counter START 7; SELECT nextval('counter'), nextval('counter');
SELECT lo_from_bytea(4711, 'a large object'::bytea); COMMENT ON LARGE OBJECT 4711 IS 'large';
GRANT SELECT ON users TO readers; GRANT USAGE ON SCHEMA "s x" TO "o'neill"; COMMENT ON COLUMN users.name IS 'é';
ALTER TABLE users OWNER TO "o'neill"; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO readers;
ALTER TABLE parent ENABLE ROW LEVEL SECURITY; CREATE POLICY seen ON parent USING (a > 0);
CREATE UNLOGGED TABLE fleeting (n int, twice int GENERATED ALWAYS AS (n * 2) STORED); INSERT INTO fleeting VALUES (21);
CREATE TABLE bare (); INSERT INTO bare DEFAULT VALUES; INSERT INTO bare DEFAULT VALUES;
CREATE TABLE days_rest PARTITION OF days DEFAULT PARTITION BY LIST (v);
CREATE TABLE days_rest_1 PARTITION OF days_rest FOR VALUES IN (500); INSERT INTO days VALUES (500, 500);
CREATE SCHEMA "a.b" CREATE TABLE c (n int); CREATE SCHEMA a CREATE TABLE "b.c" (n int);
INSERT INTO "a.b".c VALUES (1); INSERT INTO a."b.c" SELECT generate_series(1, 3);
CREATE TABLE "%s ""-c"" \n" ("a%sb" int DEFAULT 1 CHECK ("a%sb" > 0)); INSERT INTO "%s ""-c"" \n" VALUES (7);
CREATE DOMAIN "s x".small AS int CHECK (value < 10); CREATE STATISTICS of_users ON id, name FROM users;
CREATE FUNCTION hush() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER hush ON ddl_command_end EXECUTE FUNCTION hush(); ALTER EVENT TRIGGER hush DISABLE;
"""
OF_DATABASE = """
ALTER DATABASE {name} SET search_path TO "$user", public, "s x"; ALTER DATABASE {name} SET work_mem = '5MB';
ALTER ROLE readers IN DATABASE {name} SET statement_timeout = '1min'; ALTER DATABASE {name} CONNECTION LIMIT 30;
COMMENT ON DATABASE {name} IS 'it''s a shop'; REVOKE CONNECT ON DATABASE {name} FROM PUBLIC;
GRANT CONNECT ON DATABASE {name} TO readers WITH GRANT OPTION; ALTER DATABASE {name} OWNER TO "o'neill";
"""
ROLES = """
CREATE ROLE readers; CREATE ROLE "o'neill" LOGIN PASSWORD 'open "sesame"'; GRANT readers TO "o'neill";
CREATE ROLE bystander LOGIN; COMMENT ON ROLE readers IS 'who reads; nothing else';
"""
ROWS = {
    ("a", "b.c"): 3,
    ("a.b", "c"): 1,
    ("public", '%s "-c" \n'): 1,
    ("public", "bare"): 2,
    ("public", "child"): 2,
    ("public", "days_1"): 10,
    ("public", "days_2"): 20,
    ("public", "days_rest_1"): 1,
    ("public", "fleeting"): 1,
    ("public", "parent"): 1,
    ("public", "users"): 50,
    ("s x", '注文 "o" 1'): 40,
    ("pg_catalog", "pg_largeobject_metadata"): 1,
}


def fill(cluster: Cluster, database: str = AWKWARD) -> None:
    """A database with some of everything in it."""
    quoted = '"' + database.replace('"', '""') + '"'
    cluster.psql(ROLES)
    cluster.psql(f"CREATE DATABASE {quoted}")
    cluster.psql(FULL, database)
    cluster.psql(OF_DATABASE.format(name=quoted), database)


async def unfill(cluster: Cluster, *databases: str) -> None:
    """Away with that, and with the roles."""
    for database in databases:
        quoted = '"' + database.replace('"', '""') + '"'
        await cluster.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")
    await cluster.execute('DROP ROLE IF EXISTS readers, "o\'neill", bystander')


@pytest.fixture(scope="session")
def of_15() -> Callable[[], Cluster]:
    """Makes servers of PostgreSQL 15 that ask nobody but `scrambled` for a password."""

    def make() -> Cluster:
        if 15 not in installations():
            pytest.skip(absence(15))
        return Cluster(installations()[15], hba=("host all scrambled 127.0.0.1/32 scram-sha-256",))

    return make


@pytest.fixture(scope="session")
def source(of_15: Callable[[], Cluster]) -> Iterator[Cluster]:
    """A server with one database of everything. Tests leave it as it is."""
    cluster = of_15()
    try:
        cluster.start()
        fill(cluster)
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture(scope="session")
def _elsewhere(of_15: Callable[[], Cluster]) -> Iterator[Cluster]:
    cluster = of_15()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()


@pytest.fixture
async def elsewhere(_elsewhere: Cluster) -> AsyncIterator[Cluster]:
    """An empty server; empty again after each test."""
    yield _elsewhere
    connection = await _elsewhere.connect("template1")
    try:
        for row in await connection.fetch("SELECT quote_ident(datname) FROM pg_database WHERE NOT datistemplate"):
            if row[0] != "postgres":
                await connection.execute(f"DROP DATABASE {row[0]} WITH (FORCE)")
        for row in await connection.fetch("SELECT quote_ident(rolname) FROM pg_roles WHERE oid >= 16384"):
            await connection.execute(f"DROP ROLE {row[0]}")
    finally:
        await connection.close(timeout=60)


@pytest.fixture
async def shop(elsewhere: Cluster) -> Cluster:
    """The same with a database `shop` of one table, `stock`, of a thousand rows."""
    await elsewhere.execute("CREATE DATABASE shop")
    stock = "CREATE TABLE stock AS SELECT n, md5(n::text) AS mark FROM generate_series(1, 1000) AS n"
    await elsewhere.execute(stock, "shop")
    return elsewhere


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Where dumps are made and restored."""
    found = Bench(home=tmp_path)
    yield found
    await found.children.close()
