"""The way to a server: every awkward password and name arrives, and no secret shows."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from backup.children import Children, Command
from backup.errors import BackupError
from backup.way import Way
from tests.clusters import Cluster
from tests.conftest import NewCluster
from toban.backups import Trouble
from toban.secrets import Dsn

AWKWARD = "a:b\\c'd\"e %@/?#[]&=日本 "


def test_way_says_everything_but_the_secret(tmp_path: Path) -> None:
    """Host, port, role and parameters as keywords; what the query says wins, as libpq has it."""
    dsn = Dsn("postgresql://ad%20min:s%3Acret@db1:5433/sh%20op?sslmode=require&password=other&connect_timeout=3")
    way = Way(dsn, tmp_path)
    assert way.words() == "host='db1' port='5433' user='ad min' dbname='sh op' sslmode='require' connect_timeout='3'"
    assert way.words("it's") == (
        "host='db1' port='5433' user='ad min' dbname='it\\'s' sslmode='require' connect_timeout='3'"
    )
    assert (tmp_path / "pgpass").read_text() == "*:*:*:*:other\n"
    assert (tmp_path / "pgpass").stat().st_mode & 0o777 == 0o600
    assert way.environment["PGPASSFILE"] == str(tmp_path / "pgpass")
    assert set(way.secrets) >= {"s:cret", "other"}


@pytest.mark.parametrize(
    ("dsn", "words", "database"),
    [
        ("postgresql://toban@/shop?host=/run/pg", "user='toban' dbname='shop' host='/run/pg'", "shop"),
        ("postgresql://toban@[::1]:5432/", "host='::1' port='5432' user='toban'", "toban"),
        ("postgresql://a,b:5433/x", "host='a,b' port=',5433' dbname='x'", "x"),
        ("postgresql:///?database=y", "dbname='y'", "y"),
        ("postgresql:///", "", "postgres"),
    ],
)
def test_way_reads_a_dsn_as_libpq_does(tmp_path: Path, dsn: str, words: str, database: str) -> None:
    """Sockets, IPv6, several hosts, next to nothing."""
    way = Way(Dsn(dsn), tmp_path)
    assert (way.words(), way.database) == (words, database)


def test_way_without_a_password_leaves_the_password_file_of_the_account_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `~/.pgpass` is where many keep theirs."""
    monkeypatch.delenv("PGPASSFILE", raising=False)
    assert "PGPASSFILE" not in Way(Dsn("postgresql://toban@db1/x"), tmp_path).environment
    monkeypatch.setenv("PGPASSFILE", "/etc/toban/pgpass")
    assert Way(Dsn("postgresql://toban@db1/x"), tmp_path).environment["PGPASSFILE"] == "/etc/toban/pgpass"
    assert not (tmp_path / "pgpass").exists()


def test_way_refuses_a_password_that_programs_cannot_be_given(tmp_path: Path) -> None:
    """By its reason, which the server's `authentication failed` is not, and without the password."""
    with pytest.raises(BackupError, match="its password has a line break") as refused:
        Way(Dsn("postgresql://toban:hun%0Ater2@127.0.0.1/postgres"), tmp_path)
    assert refused.value.trouble is Trouble.CONFIGURATION
    assert "ter2" not in refused.value.line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.integration
async def test_way_of_an_awkward_password_and_name_arrives(new_cluster: NewCluster, tmp_path: Path) -> None:
    """By psql and by a connection of our own; neither the words nor the environment of the program tell it."""
    cluster = new_cluster(hba=("host all keeper 127.0.0.1/32 scram-sha-256",))
    quoted = AWKWARD.replace("'", "''")
    cluster.psql(f"CREATE ROLE keeper LOGIN PASSWORD '{quoted}'")
    odd = "we'ird \"名\\前"
    cluster.psql('CREATE DATABASE "{}"'.format(odd.replace('"', '""')))
    way = Way(Dsn(cluster.dsn(odd, "keeper", AWKWARD)), tmp_path)
    async with way.connected() as connection:
        assert await connection.fetchval("SELECT current_database()") == odd
        assert await connection.fetchval("SHOW default_transaction_read_only") == "on"
        assert await connection.fetchval("SHOW application_name") == "toban"
    psql = Command(
        words=(str(cluster.bin_dir / "psql"), "-w", "-XAt", "-c", "SELECT current_database()", "-d", way.words()),
        environment=way.environment,
        secrets=way.secrets,
    )
    done = await Children().run(psql, within_seconds=60)
    assert done.checked("psql").text == odd + "\n"
    said = " ".join((*psql.words, *psql.environment.values()))
    assert AWKWARD not in said
    assert quote(AWKWARD) not in said


@pytest.mark.integration
async def test_way_that_is_refused_or_barred_says_why_without_the_password(
    postgres15: Cluster, new_cluster: NewCluster, tmp_path: Path
) -> None:
    """Two troubles: one that time may mend, one that a person must."""
    closed = Way(Dsn("postgresql://toban:hunter2@127.0.0.1:1/x"), tmp_path)
    with pytest.raises(BackupError) as failed:
        async with closed.connected():
            raise AssertionError
    assert failed.value.trouble is Trouble.UNREACHABLE
    assert "hunter2" not in failed.value.line
    cluster = new_cluster(hba=("host all stranger 127.0.0.1/32 scram-sha-256",))
    cluster.psql("CREATE ROLE stranger LOGIN PASSWORD 'right'")
    barred = Way(Dsn(cluster.dsn("postgres", "stranger", "hunter2")), tmp_path)
    with pytest.raises(BackupError) as failed:
        async with barred.connected():
            raise AssertionError
    assert failed.value.trouble is Trouble.PRIVILEGE
    assert "hunter2" not in failed.value.line
    assert os.environ.get("PGPASSWORD") is None
