"""What of a configuration backups are about."""

from pathlib import Path

from backup.settings import Backups, Beat, Copy
from daemon.configuration.backing import backup_problems, backup_secrets, origin_of, plan_of
from daemon.configuration.targets import MariadbTarget, PgbouncerTarget, PostgresqlTarget, SqliteTarget
from daemon.configuration.tree import Configuration
from daemon.running import secrets_of
from tests.backup.keeper.records import a_job
from toban.backups import Method
from toban.secrets import Dsn, Secret

MAIN = PostgresqlTarget(
    name="main", dsn=Dsn("postgresql://toban@127.0.0.1:5432/postgres"), databases={"exclude": ["scratch"]}
)
PLACE = Path("/var/backups/toban")


def test_targets_become_origins_of_their_kind() -> None:
    """The databases that are looked at are those that are backed up."""
    shop = MariadbTarget(name="shop", dsn=Dsn("mysql://toban@127.0.0.1:3306/"))
    pool = PgbouncerTarget(name="pool", dsn=Dsn("postgresql://toban@127.0.0.1:6432/pgbouncer"))
    found = [origin_of(one) for one in (MAIN, SqliteTarget(name="ledger", path=Path("/srv/l.db")), shop, pool)]
    assert [(one.name, one.kind) for one in found] == [
        ("main", "postgresql"),
        ("ledger", "sqlite"),
        ("shop", "mariadb"),
        ("pool", "pgbouncer"),
    ]
    assert [found[0].chosen(name) for name in ("shop", "scratch")] == [True, False]
    assert found[1].path == Path("/srv/l.db")


def test_machine_itself_is_a_target_listed_or_not() -> None:
    """Its folders can be kept."""
    etc = a_job("etc", "host", Method.FILES, paths=("/etc",))
    configuration = Configuration(targets=(MAIN,), backups=Backups(repository=PLACE, jobs=(etc,)))
    assert list(backup_problems(configuration)) == []
    assert plan_of(configuration).origins["host"].kind == "host"


def test_secrets_of_backups_are_blotted_out_like_all_others() -> None:
    """Each of them, wherever it is written."""
    jobs = (
        a_job(dsn="postgresql://backup:one@h/"),
        a_job("etc", "host", Method.FILES, paths=("/etc",), password="two"),
    )
    copy = Copy(
        name="bucket",
        url="s3://b/p",
        access_key=Secret("three"),
        secret_key=Secret("four"),
        options={"token": Secret("five"), "region": "x"},
    )
    beat = Beat(dsn=Dsn("postgresql://beat:six@h/"))
    backups = Backups(repository=PLACE, jobs=jobs, copies=(copy,), heartbeat=beat)
    configuration = Configuration(targets=(MAIN,), backups=backups)
    revealed = [secret.reveal() for secret in backup_secrets(configuration)]
    assert revealed == [
        "postgresql://backup:one@h/",
        "two",
        "three",
        "four",
        "five",
        "postgresql://beat:six@h/",
    ]
    assert set(backup_secrets(configuration)) <= set(secrets_of(configuration))
