"""What `toban setup postgresql` grants beside pg_monitor, in every database; all of it on real servers."""

import asyncio
import json
import subprocess
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from collectors.postgresql.security import RULES, PgSecurity, PgSecuritySettings
from collectors.postgresql.sequences import USED, Sequences, SequencesSettings
from collectors.postgresql.server import PostgresServer
from collectors.postgresql.sql import quote_identifier
from daemon.setup.applying import apply
from daemon.setup.looking import look
from daemon.setup.plan import Step
from daemon.setup.postgresql import script
from tests.clusters import Cluster
from tests.collectors.postgresql.measuring import series, watching
from tests.conftest import NewCluster
from tests.daemon.preparing import run_setup
from tests.waiting import eventually_sync
from toban.clock import SystemClock
from toban.errors import UnavailableError
from toban.outcomes import Reason
from toban.secrets import Dsn

pytestmark = pytest.mark.integration
ODD_DATABASES = ('we"ird', "在庫　台帳", "a='b\\c", "postgres://x", ":name \\x")


def sequences_everywhere(cluster: Cluster) -> None:
    """Sequences in the DSN's database and in some with names that have to be quoted; in each schema one more."""
    for database in ODD_DATABASES:
        asked(cluster, f"CREATE DATABASE {quote_identifier(database)}")
    for database in ("postgres", *ODD_DATABASES):
        for schema in ("public", 'odd "schema" \n\\!', "倉庫"):
            asked(cluster, f"CREATE SCHEMA IF NOT EXISTS {quote_identifier(schema)}", database)
            asked(cluster, f'CREATE SEQUENCE {quote_identifier(schema)}."連番 \'1"', database)


def asked(cluster: Cluster, sql: str, database: str = "postgres") -> None:
    """One statement of the superuser, in a database of whatever name."""
    asyncio.run(cluster.execute(sql, database))


async def gaps_of(cluster: Cluster, collector: str) -> tuple[list[tuple[str, Reason]], int]:
    """What a collector misses as the role toban, and of how many sequences or rules it tells."""
    async with watching(cluster, SystemClock(), user="toban") as server:
        if collector == "sequences":
            found = await Sequences(server, SequencesSettings(top=1000, pause=0.0), SystemClock()).collect()
            shown = series(found, USED)
        else:
            found = await PgSecurity(server, PgSecuritySettings(), SystemClock()).collect()
            shown = series(found, RULES)
    return [(gap.what, gap.reason) for gap in found.gaps], len(shown)


@pytest.mark.parametrize("way", ["psql", "--apply"])
@pytest.mark.parametrize("major", [15, 16, 18])
def test_setup_lets_the_role_read_sequences_and_pg_hba(
    new_cluster: NewCluster, capsys: pytest.CaptureFixture[str], major: int, way: str
) -> None:
    """In every database, whatever the names; a second run has nothing to do until there are new ones."""
    cluster = new_cluster(major)
    sequences_everywhere(cluster)
    if way == "psql":
        assert run_setup(cluster) == 0
        psql = [str(cluster.bin_dir / "psql"), "-X", "-v", "ON_ERROR_STOP=1", "-f", "-", cluster.dsn()]
        subprocess.run(psql, input=capsys.readouterr().out, text=True, check=True, capture_output=True)
    else:
        assert run_setup(cluster, apply=True) == 0
    assert asyncio.run(gaps_of(cluster, "sequences")) == ([], 3 * 6)
    assert asyncio.run(gaps_of(cluster, "security")) == ([("stored passwords", Reason.PRIVILEGE)], 3)
    capsys.readouterr()
    assert run_setup(cluster) == 0
    assert "-- nothing is missing" in capsys.readouterr().out
    asked(cluster, "CREATE SEQUENCE later", ODD_DATABASES[1])
    assert asyncio.run(gaps_of(cluster, "sequences")) == (
        [(f"sequences in {ODD_DATABASES[1]}", Reason.PRIVILEGE)],
        3 * 6,
    )
    assert run_setup(cluster, apply=True, as_json=True) == 0
    (done,) = json.loads(capsys.readouterr().out)["applied"]
    assert done["sql"] == 'GRANT SELECT ON ALL SEQUENCES IN SCHEMA "public" TO "toban"'
    assert (done["database"], done["ok"]) == (ODD_DATABASES[1], True)
    assert asyncio.run(gaps_of(cluster, "sequences")) == ([], 3 * 6 + 1)


def test_setup_leaves_sequences_that_need_nothing(new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that cycle, those of a session, those in templates, and those that the role reads already."""
    cluster = new_cluster(15)
    assert run_setup(cluster, apply=True) == 0
    cluster.psql("CREATE SEQUENCE round CYCLE")
    cluster.psql("CREATE SEQUENCE shared; GRANT USAGE ON SEQUENCE shared TO PUBLIC")
    asked(cluster, "CREATE SEQUENCE of_a_template", "template1")
    capsys.readouterr()
    asyncio.run(_with_temporary(cluster.connect, lambda: run_setup(cluster)))
    assert "-- nothing is missing" in capsys.readouterr().out


async def _with_temporary(connect: Callable[[], Awaitable[Any]], act: Callable[[], int]) -> None:
    connection = await connect()
    await connection.execute("CREATE TEMP SEQUENCE mine")
    assert await asyncio.to_thread(act) == 0
    await connection.close()


def test_setup_raises_the_limit_of_an_earlier_version(
    new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role made for three connections gets its fourth."""
    cluster = new_cluster(15)
    assert run_setup(cluster, apply=True) == 0
    cluster.psql("ALTER ROLE toban CONNECTION LIMIT 3")
    capsys.readouterr()
    assert run_setup(cluster, apply=True) == 0
    assert 'ok: ALTER ROLE "toban" CONNECTION LIMIT 4' in capsys.readouterr().out
    assert cluster.psql("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'toban'") == "4"


def test_setup_of_a_database_that_lets_nobody_in_goes_on_with_the_others(
    new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one whose removal was interrupted: it is named as advice, and the next is prepared."""
    cluster = new_cluster(15)
    for database in ("broken", "shop"):
        asked(cluster, f"CREATE DATABASE {database}")
    asked(cluster, "CREATE SEQUENCE s", "shop")
    cluster.psql("UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'broken'")
    assert run_setup(cluster, apply=True) == 0
    said = capsys.readouterr().out
    assert 'ok: shop: GRANT SELECT ON ALL SEQUENCES IN SCHEMA "public" TO "toban"' in said
    assert "broken was not looked at" in said


async def test_setup_refused_in_one_database_goes_on_with_the_next(new_cluster: NewCluster) -> None:
    """What a database lacks leans on nothing in another; on the DSN's own all of them lean."""
    cluster = new_cluster(15)
    dsn = Dsn(cluster.dsn())
    steps = (
        Step(sql="select 1", why="test"),
        Step(sql="select 2", why="test", database="gone"),
        Step(sql="nonsense", why="test", database="template1"),
        Step(sql="select 3", why="test", database="template1"),
        Step(sql="select 4", why="test", database="postgres"),
    )

    async def told(steps: tuple[Step, ...]) -> list[tuple[str, bool]]:
        return [(ran.step.sql, ran.failure is None) async for ran in apply(dsn, steps)]

    assert await told(steps) == [("select 1", True), ("select 2", False), ("nonsense", False), ("select 4", True)]
    assert await told((Step(sql="nonsense", why="test"), *steps[1:])) == [("nonsense", False)]


async def test_setup_of_a_server_that_goes_during_the_look_is_unavailable(
    new_cluster: NewCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the server that is gone, no single database."""
    cluster = new_cluster(15)
    visiting = PostgresServer.visiting

    def gone(server: PostgresServer, database: str) -> Any:  # noqa: ANN401 - a context manager of asyncpg's
        cluster.stop("immediate")
        server.abandon()
        return visiting(server, database)

    monkeypatch.setattr(PostgresServer, "visiting", gone)
    with pytest.raises(UnavailableError):
        await look(Dsn(cluster.dsn()), "toban", SystemClock())


def test_setup_says_where_psql_cannot_go() -> None:
    """A line break in a database's name: psql's own command for it would end there, so it stays a comment."""
    step = Step(sql="select 1", why="test", database="a\n\\! b")
    assert list(script(step.database, [step])) == ["-- a\\n\\! b: no name that psql could connect to; --apply can\n"]


def test_setup_for_backups_gives_what_reads_everything_and_nothing_that_writes(
    new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """A role that was made for watching gets the rest; the second time nothing is missing but the advice on slots."""
    cluster = new_cluster()
    assert run_setup(cluster, apply=True) == 0
    capsys.readouterr()
    assert run_setup(cluster, apply=True, backups=True) == 0
    ran = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ok: ")]
    assert ran == [
        'ok: ALTER ROLE "toban" CONNECTION LIMIT 16',
        'ok: ALTER ROLE "toban" REPLICATION',
        'ok: GRANT pg_read_all_data TO "toban"',
        'ok: ALTER ROLE "toban" BYPASSRLS',
    ]
    assert run_setup(cluster, backups=True) == 0
    said = capsys.readouterr().out
    assert "nothing is missing" in said
    assert "max_slot_wal_keep_size = '10GB'" in said
    cluster.configure(max_slot_wal_keep_size="1GB")
    eventually_sync(lambda: cluster.psql("SHOW max_slot_wal_keep_size") == "1GB")
    assert run_setup(cluster, backups=True) == 0
    assert "max_slot_wal_keep_size" not in capsys.readouterr().out
    assert run_setup(cluster) == 0  # for watching alone, more than enough is left as it is
    assert "nothing is missing" in capsys.readouterr().out


def test_setup_for_backups_says_what_a_server_without_replication_lacks(
    new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """A setting that wants a restart is for a person."""
    cluster = new_cluster(settings={"wal_level": "minimal", "max_wal_senders": "0"})
    assert run_setup(cluster, backups=True) == 0
    assert "base backups and WAL want wal_level = replica" in capsys.readouterr().out
