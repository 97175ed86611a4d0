import asyncio
import json
import shutil
import stat
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from collectors.pgbouncer.pool_advice import AUTH_QUERY_SQL, Upstream, advise
from collectors.postgresql.server import PostgresServer
from daemon.answers import advice_pool
from daemon.answers.advice_pool import Files, answer, installed_version, look, place
from daemon.answers.asking import Asked
from daemon.configuration.targets import PostgresqlTarget
from daemon.configuration.tree import Configuration
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.mounts import small
from tests.pgbouncers import NewPgBouncer, PgBouncer
from toban.clock import SystemClock
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError
from toban.language import Language
from toban.secrets import Dsn

APP = "app-s3cret"
SCRAM_ONLY = ("host all app,pgbouncer all scram-sha-256",)
ROLES = (
    "set password_encryption = 'scram-sha-256';"
    f"create role app login password '{APP}'; create role toban login password 'w4tch' in role pg_monitor;"
    "create role nobody login"
)


@pytest.fixture
def cluster(new_cluster: NewCluster) -> Cluster:
    """A server whose applications need a password, with one database."""
    made = new_cluster(15, hba=SCRAM_ONLY)
    made.psql(ROLES)
    made.psql("create database shop")
    return made


def asking(*targets: PostgresqlTarget, language: Language = Language.EN) -> Asked:
    """What a command begins with."""
    return Asked(configuration=Configuration(targets=targets), language=language)


def a_target(cluster: Cluster, user: str = "postgres", name: str = "main") -> PostgresqlTarget:
    """That server as a target."""
    return PostgresqlTarget(name=name, dsn=Dsn(cluster.dsn(user=user)))


def ask(options: Asked, **given: Any) -> int:  # noqa: ANN401 - the options of the command
    """The command, with nothing asked for but what the test names."""
    nothing: dict[str, Any] = {"target": None, "preset": None, "clients": None, "out": None, "as_json": False}
    return answer(options, **{**nothing, **given})


def put_into_force(pgbouncer: PgBouncer, written: Path, users: str | None = None) -> None:
    """Give a PgBouncer the written files; of the ini only its places are others."""
    listed = pgbouncer.write("userlist.txt", (written / "userlist.txt").read_text() if users is None else users)
    places = {"listen_port": str(pgbouncer.port), "unix_socket_dir": "", "auth_file": str(listed)}
    lines = [
        f"{name} = {places[name]}" if (name := line.partition(" = ")[0]) in places else line
        for line in (written / "pgbouncer.ini").read_text().splitlines()
    ]
    pgbouncer.stop()
    pgbouncer.write("pgbouncer.ini", "\n".join(lines) + "\n")
    pgbouncer.start()


def asked_through(pgbouncer: PgBouncer, password: str, database: str = "shop") -> object:
    """What a client gets that logs in by SCRAM and asks."""
    dsn = pgbouncer.dsn(database, "app", password)
    with psycopg.connect(dsn, autocommit=True, connect_timeout=5) as client:
        row = client.execute("select current_user || '@' || current_database()").fetchone()
    return row and row[0]


@pytest.mark.integration
@pytest.mark.parametrize("preset", [None, "high_load", "stable"])
@pytest.mark.parametrize("language", [Language.EN, Language.JA])
def test_pool_that_is_advised_works(
    cluster: Cluster, new_pgbouncer: NewPgBouncer, tmp_path: Path, preset: str | None, language: Language
) -> None:
    """With the written files a client comes in by SCRAM, and through to the server; not with another password."""
    assert ask(asking(a_target(cluster), language=language), preset=preset, out=str(tmp_path / "out")) == 0
    pgbouncer = new_pgbouncer(cluster)
    put_into_force(pgbouncer, tmp_path / "out")
    assert asked_through(pgbouncer, APP) == "app@shop"
    with pytest.raises(psycopg.OperationalError, match="SASL authentication failed"):
        asked_through(pgbouncer, "another")
    with psycopg.connect(
        pgbouncer.dsn(password="w4tch"), autocommit=True, cursor_factory=psycopg.ClientCursor
    ) as console:
        config = {row[0]: row[1] for row in console.execute("SHOW CONFIG").fetchall()}
    assert config["default_pool_size"] == {None: "16", "high_load": "12", "stable": "12"}[preset]
    assert config["auth_type"] == "scram-sha-256"


@pytest.mark.integration
def test_pool_that_asks_for_verifiers_works(cluster: Cluster, new_pgbouncer: NewPgBouncer, tmp_path: Path) -> None:
    """Where Toban may not read the verifiers, the SQL at the end of the file makes PgBouncer ask for them."""
    more = [f"more{number}" for number in range(5)]
    for database in more:
        cluster.psql(f"create database {database}")
    assert ask(asking(a_target(cluster, "toban")), out=str(tmp_path)) == 0
    text = (tmp_path / "pgbouncer.ini").read_text()
    shown = [line.removeprefix("; ") for line in text.splitlines() if line.startswith("; ")]
    assert AUTH_QUERY_SQL.splitlines() == shown[-len(AUTH_QUERY_SQL.splitlines()) :]
    assert (tmp_path / "userlist.txt").read_text() == ""
    sql = AUTH_QUERY_SQL.replace("\\password pgbouncer", "alter role pgbouncer password 'l00kup';")
    cluster.psql(sql, "shop")
    for database in more:  # in each of them PgBouncer keeps a connection of its own to ask by
        cluster.psql(sql[sql.index("CREATE SCHEMA") :], database)
    pgbouncer = new_pgbouncer(cluster)
    put_into_force(pgbouncer, tmp_path, '"pgbouncer" "l00kup"\n')
    assert [asked_through(pgbouncer, APP, name) for name in (*more, "shop")] == [f"app@{n}" for n in (*more, "shop")]
    assert (
        cluster.psql("select count(*) from pgbouncer.user_lookup('postgres')  where secret is not null", "shop") == "0"
    )
    with pytest.raises(RuntimeError, match="permission denied"):
        cluster.psql("select pgbouncer.user_lookup('app')", "shop", user="toban")


@pytest.mark.integration
def test_pool_files_are_private_and_never_replaced(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both files are the owner's alone; where one of them exists nothing is written."""
    options, folder = asking(a_target(cluster)), tmp_path / "new" / "pool"
    assert ask(options, out=str(folder)) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == [f"written: {folder}/pgbouncer.ini", f"written: {folder}/userlist.txt"]
    assert said[2:] == ["left out of the userlist: nobody (no password)"]
    assert [stat.S_IMODE(file.stat().st_mode) for file in sorted(folder.iterdir())] == [0o600, 0o600]
    (folder / "pgbouncer.ini").unlink()
    with pytest.raises(TobanError, match=r"userlist\.txt exists"):
        ask(options, out=str(folder))
    assert [file.name for file in folder.iterdir()] == ["userlist.txt"]


@pytest.mark.integration
def test_pool_files_are_both_there_or_neither(tmp_path: Path) -> None:
    """A disk that has room for the one and not for the other: the next attempt finds nothing in its way."""
    upstream = Upstream(
        host="127.0.0.1",
        port=5432,
        max_connections=100,
        reserved_connections=3,
        databases=("shop",),
        may_read_verifiers=True,
        watcher="toban",
    )
    advice = advise(upstream, preset=None, clients=None, version=None, auth_file="userlist.txt")
    listed = "".join(f'"role{number}" "{"x" * 100}"\n' for number in range(300))
    files = Files(advice=advice, upstream=upstream, userlist=listed, left_out={})
    with small(tmp_path / "disk", "16k") as disk:
        with pytest.raises(OSError, match="No space left"):
            advice_pool._write(disk, files, Language.EN)
        assert list(disk.iterdir()) == []


@pytest.mark.integration
def test_pool_shows_verifiers_only_when_asked(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """On the terminal and in JSON roles are counted; only `--out -` prints the userlist."""
    options = asking(a_target(cluster))
    verifier = cluster.psql("select rolpassword from pg_authid where rolname = 'app'")
    assert ask(options) == 0
    printed = capsys.readouterr().out
    assert "; userlist.txt: roles 2;" in printed
    assert "; left out of the userlist: nobody (no password)" in printed
    assert ask(options, as_json=True, preset="stable", clients=70) == 0
    document = json.loads(written := capsys.readouterr().out)
    assert "SCRAM-SHA-256$" not in printed + written
    left = {"role": "nobody", "reason": "no_password", "detail": "no password"}
    assert document["userlist"] == {"method": "verifiers", "roles": 2, "left_out": [left]}
    assert (document["target"], document["preset"], document["sql"], document["written"]) == ("main", "stable", "", [])
    found = {line["name"]: line["value"] for line in document["settings"] if line["on"]}
    assert (found["max_client_conn"], found["stats_users"]) == ("70", "toban")
    assert document["databases"] == [{"name": "shop", "value": f"host=127.0.0.1 port={cluster.port} dbname=shop"}]
    assert ask(asking(a_target(cluster, "toban"))) == 0
    assert "userlist.txt: roles" not in capsys.readouterr().out  # it may not read them
    assert ask(options, out="-") == 0
    assert f'"app" "{verifier}"\n' in capsys.readouterr().out


@pytest.mark.integration
async def test_pool_facts_are_read_on_every_version(postgres: Cluster, unique_database: str) -> None:
    """Slots, what is reserved of them, and databases, as the server has them."""
    upstream, _ = await look(a_target(postgres), SystemClock())
    assert (upstream.max_connections, upstream.reserved_connections) == (40, 3)
    assert upstream.port == postgres.port
    assert upstream.may_read_verifiers
    assert unique_database in upstream.databases


@pytest.mark.integration
def test_pool_counts_reserved_connections_of_16(new_cluster: NewCluster) -> None:
    """What 16 reserves for pg_use_reserved_connections is counted out as well."""
    cluster = new_cluster(16, settings={"reserved_connections": "4"})
    upstream, _ = asyncio.run(look(a_target(cluster), SystemClock()))
    assert upstream.reserved_connections == 7


@pytest.mark.integration
async def test_pool_tells_why_the_server_does_not_answer(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is down ends the command as unreachable, a fault inside as a fault; neither quotes a password."""
    cluster.stop()
    with pytest.raises(UnavailableError, match="unreachable"):
        await look(a_target(cluster), SystemClock())

    async def refused(*_: object) -> None:
        raise asyncpg.InsufficientPrivilegeError("permission denied")

    monkeypatch.setattr(PostgresServer, "fetch", refused)
    with pytest.raises(TobanError, match="privilege: permission denied") as caught:
        await look(a_target(cluster), SystemClock())
    assert not isinstance(caught.value, UnavailableError)


def test_pool_wants_one_target_and_a_known_preset() -> None:
    """What is not there, ambiguous or misspelt is told before any server is asked."""
    one, two = (PostgresqlTarget(name=name, dsn=Dsn("postgresql://h/d")) for name in ("one", "two"))
    with pytest.raises(UsageError, match="several PostgreSQL targets") as several:
        ask(asking(one, two))
    assert "one, two" in several.value.hint
    with pytest.raises(NotFoundError, match="no PostgreSQL target three"):
        ask(asking(one, two), target="three")
    with pytest.raises(NotFoundError, match=r"no PostgreSQL target$"):
        ask(asking())
    with pytest.raises(UsageError, match="no preset 'calm'"):
        ask(asking(one), preset="calm")


@pytest.mark.parametrize(
    ("dsn", "expected"),
    [
        ("postgresql://u@db1:5433/x", ("db1", 5433)),
        ("postgresql://u@db1/x", ("db1", 5432)),
        ("postgresql://u@db1:1,db2:2/x", ("db1", 1)),
        ("postgresql://u@[::1]:7/x", ("::1", 7)),
        ("postgresql://u@[::1]/x", ("::1", 5432)),
        ("postgresql://u@/x?host=/run/pg&port=5434", ("/run/pg", 5434)),
        ("postgresql:///x", ("127.0.0.1", 5432)),
    ],
)
def test_place_is_where_the_dsn_leads(dsn: str, expected: tuple[str, int]) -> None:
    """A host, an address or a socket's folder, and the port that goes with it."""
    assert place(Dsn(dsn)) == expected


@pytest.mark.parametrize(
    ("script", "expected"),
    [("echo PgBouncer 1.24.1", (1, 24)), ("echo hello", None), ("exec sleep 60", None), (None, None)],
)
def test_version_is_that_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, expected: tuple[int, int] | None
) -> None:
    """The installed program tells it, if it does so in time."""
    monkeypatch.setattr(advice_pool, "VERSION_SECONDS", 0.2)
    program = tmp_path / "pgbouncer"
    if script is not None:
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: str(program) if script else None)
    assert installed_version() == expected


def test_tls_of_the_target_is_kept() -> None:
    """A target that insists on TLS has its way to the server encrypted behind the pool too."""
    strict = Dsn("postgresql://h/d?sslmode=verify-full&sslrootcert=/ca.crt")
    assert advice_pool._tls(strict) == {"server_tls_sslmode": "verify-full", "server_tls_ca_file": "/ca.crt"}
    assert advice_pool._tls(Dsn("postgresql://h/d?sslmode=prefer")) == {}
    system = Dsn("postgresql://h/d?sslmode=verify-full&sslrootcert=system")
    assert advice_pool._tls(system) == {"server_tls_sslmode": "verify-full"}


@pytest.mark.integration
def test_pool_tells_of_a_database_that_cannot_be_listed(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    """A database whose name has a line break is left out of the file, and named there without one."""
    cluster.psql('create database "new\nline"')
    assert ask(asking(a_target(cluster))) == 0
    printed = capsys.readouterr().out
    assert "; left out, its name cannot stand in the file: new" in printed
    assert "new\nline" not in printed
