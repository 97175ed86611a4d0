import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from collectors.postgresql.server import PostgresServer, ServerLimits
from collectors.postgresql.sql import Query
from daemon.setup.applying import apply
from daemon.setup.looking import facts_of, libraries
from daemon.setup.plan import Facts, Plan, Step, plan
from daemon.setup.postgresql import setup
from tests.clusters import Cluster
from tests.conftest import NewCluster, StandbyOf
from tests.daemon.preparing import run_setup
from toban.clock import SystemClock
from toban.errors import TobanError, UnavailableError, UsageError
from toban.language import Language
from toban.secrets import Dsn

ROOT = Path(__file__).parents[2]
ALL_SET = frozenset({"statement_timeout", "lock_timeout", "default_transaction_read_only", "search_path"})


def some_facts(**changed: Any) -> Facts:  # noqa: ANN401 - any of the fields
    """A server on which nothing is missing."""
    facts = {
        "role": "toban",
        "role_exists": True,
        "can_login": True,
        "role_is_superuser": False,
        "connection_limit": 4,
        "monitors": True,
        "role_settings": ALL_SET,
        "closed_databases": (),
        "database": "postgres",
        "standby": False,
        "available": "1.10",
        "installed": "1.10",
        "extension_schema": "public",
        "schema_open": True,
        "io_timing": True,
        "preload_seen": True,
        "preloaded": ("pg_stat_statements",),
        "running": ("pg_stat_statements",),
        "sees_hba": True,
        "calls_hba": True,
        **changed,
    }
    return Facts(**facts)


def sql_of(found: Plan) -> list[str]:
    """The statements of a plan."""
    return [step.sql for step in found.steps]


def test_setup_of_a_prepared_server_is_empty() -> None:
    """Where nothing is missing, nothing is said."""
    assert plan(some_facts()) == Plan(steps=(), advice=(), restart=())


def test_setup_of_a_bare_server_is_everything() -> None:
    """A server that knows nothing of Toban gets the role, its bounds, the extension and the library."""
    bare = some_facts(
        role_exists=False,
        can_login=False,
        connection_limit=-1,
        monitors=False,
        role_settings=frozenset(),
        installed=None,
        preloaded=("auto_explain",),
        running=("auto_explain",),
        sees_hba=False,
        calls_hba=False,
        hidden_sequences=(("another", ("a", "b")), ("postgres", ("public",))),
    )
    found = plan(bare)
    assert sql_of(found) == [
        'CREATE ROLE "toban" LOGIN CONNECTION LIMIT 4',
        'GRANT pg_monitor TO "toban"',
        "ALTER ROLE \"toban\" SET statement_timeout = '4s'",
        "ALTER ROLE \"toban\" SET lock_timeout = '100ms'",
        "ALTER ROLE \"toban\" SET default_transaction_read_only = 'on'",
        "ALTER ROLE \"toban\" SET search_path = 'pg_catalog'",
        'GRANT SELECT ON pg_catalog.pg_hba_file_rules TO "toban"',
        'GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO "toban"',
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements",
        "ALTER SYSTEM SET shared_preload_libraries = 'auto_explain', 'pg_stat_statements'",
        'GRANT SELECT ON ALL SEQUENCES IN SCHEMA "public" TO "toban"',
        'GRANT SELECT ON ALL SEQUENCES IN SCHEMA "a", "b" TO "toban"',
    ]
    assert [step.database for step in found.steps] == [None] * 11 + ["another"]
    assert all(step.why for step in found.steps)
    assert found.restart == ("shared_preload_libraries",)


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"can_login": False}, ['ALTER ROLE "toban" LOGIN']),
        ({"connection_limit": -1}, ['ALTER ROLE "toban" CONNECTION LIMIT 4']),
        ({"connection_limit": 3}, ['ALTER ROLE "toban" CONNECTION LIMIT 4']),  # as Toban 0.1 made it
        ({"connection_limit": 10}, []),
        ({"monitors": False}, ['GRANT pg_monitor TO "toban"']),
        (
            {"role_settings": ALL_SET - {"lock_timeout"}},
            ["ALTER ROLE \"toban\" SET lock_timeout = '100ms'"],
        ),
        ({"closed_databases": ('we"ird',)}, ['GRANT CONNECT ON DATABASE "we""ird" TO "toban"']),
        ({"sees_hba": False}, ['GRANT SELECT ON pg_catalog.pg_hba_file_rules TO "toban"']),
        ({"calls_hba": False}, ['GRANT EXECUTE ON FUNCTION pg_catalog.pg_hba_file_rules() TO "toban"']),
        (
            {"hidden_sequences": (("shop", ('we"ird', "連番")),)},
            ['GRANT SELECT ON ALL SEQUENCES IN SCHEMA "we""ird", "連番" TO "toban"'],
        ),
        ({"installed": "1.9"}, ["ALTER EXTENSION pg_stat_statements UPDATE"]),
        ({"schema_open": False}, ['GRANT USAGE ON SCHEMA "public" TO "toban"']),
        ({"available": None, "installed": None, "preloaded": (), "running": ()}, []),
        ({"role_is_superuser": True, "connection_limit": -1, "role_settings": frozenset()}, []),
        ({"standby": True, "role_exists": False, "installed": None}, []),
        (
            {"standby": True, "preloaded": (), "running": ()},
            ["ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"],
        ),
        ({"role": 'x"; drop role y; --', "monitors": False}, ['GRANT pg_monitor TO "x""; drop role y; --"']),
    ],
)
def test_setup_says_only_what_is_missing(changed: dict[str, Any], expected: list[str]) -> None:
    """One thing missing is one statement; what an administrator chose differently is left as it is."""
    assert sql_of(plan(some_facts(**changed))) == expected


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"available": None, "installed": None, "preloaded": ()}, "contrib"),
        ({"io_timing": False}, "track_io_timing"),
        ({"preload_seen": False, "preloaded": (), "running": ()}, "superuser"),
        ({"role_is_superuser": True}, "--role"),
        ({"standby": True}, "primary"),
        ({"unseen_databases": (("broken", "out of order"),)}, "broken was not looked at"),
    ],
)
def test_setup_advises_what_it_does_not_do(changed: dict[str, Any], word: str) -> None:
    """What cannot or should not be done from here is advice, and no statement."""
    (advice,) = plan(some_facts(**changed)).advice
    assert word in advice


def test_setup_remembers_a_restart_that_is_due() -> None:
    """A library that is configured and not loaded yet still waits for the restart."""
    found = plan(some_facts(running=()))
    assert found == Plan(steps=(), advice=(), restart=("shared_preload_libraries",))


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("", ()),
        (" ", ()),
        ("auto_explain", ("auto_explain",)),
        ('auto_explain, "with, comma",pg_stat_statements', ("auto_explain", "with, comma", "pg_stat_statements")),
        ("$libdir/a, b ", ("$libdir/a", "b")),
    ],
)
def test_setup_reads_a_list_of_libraries(setting: str, expected: tuple[str, ...]) -> None:
    """As PostgreSQL writes such a list."""
    assert libraries(setting) == expected


@pytest.mark.parametrize(
    ("configured", "pending", "expected"),
    [(None, False, ("a",)), (None, True, ("a", "pg_stat_statements")), ("a, b", True, ("a", "b")), ("", True, ())],
)
def test_setup_takes_the_libraries_of_the_next_start(
    configured: str | None, *, pending: bool, expected: tuple[str, ...]
) -> None:
    """The files tell what is loaded next time; who may not read them sees only that something has changed."""
    row = {name: getattr(some_facts(), name) for name in Facts.__slots__}
    row |= {"role_settings": None, "closed_databases": None, "preloaded": "a", "preload_pending": pending}
    facts = facts_of(row, configured)
    assert (facts.preloaded, facts.running) == (expected, ("a",))


@pytest.mark.parametrize("dsn", ["mysql://x@h/y", "nonsense", "postgresql://u:a/b@h/x"])
def test_setup_refuses_what_is_no_dsn(dsn: str) -> None:
    """A DSN that cannot be used is wrong usage, said without quoting it."""
    with pytest.raises(UsageError) as caught:
        setup(dsn, role="toban", apply=False, as_json=False, language=Language.EN)
    assert dsn not in caught.value.line


@pytest.mark.parametrize("role", ["", "x" * 64, "監" * 22])
def test_setup_refuses_a_role_that_no_server_could_have_under_that_name(role: str) -> None:
    """PostgreSQL would cut it, and the next look would not find what was made."""
    with pytest.raises(UsageError, match="1 to 63 bytes"):
        setup("postgresql://x@127.0.0.1:1/x", role=role, apply=True, as_json=False, language=Language.EN)


@pytest.mark.integration
def test_setup_prints_a_script_that_psql_can_run(new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The output as it is, fed to psql, leaves nothing to do; each statement has its reason above it."""
    cluster = new_cluster(15)
    cluster.psql('create database "clo""sed"')
    cluster.psql('revoke connect on database "clo""sed" from public')
    assert run_setup(cluster) == 0
    script = capsys.readouterr().out
    assert cluster.psql("select count(*) from pg_roles where rolname = 'toban'") == "0"  # only looked
    psql = [str(cluster.bin_dir / "psql"), "-v", "ON_ERROR_STOP=1", "-f", "-", cluster.dsn()]
    subprocess.run(psql, input=script, text=True, check=True, capture_output=True)
    assert run_setup(cluster) == 0
    assert "-- nothing is missing" in capsys.readouterr().out
    assert 'GRANT CONNECT ON DATABASE "clo""sed"' in script
    lines = script.splitlines()
    statements = [number for number, line in enumerate(lines) if line and not line.startswith("--")]
    assert len(statements) == 11
    assert all(lines[number - 1].startswith("-- ") for number in statements)


@pytest.mark.integration
@pytest.mark.parametrize("major", [15, 16, 18])
def test_setup_applied_twice_does_nothing_the_second_time(
    new_cluster: NewCluster, capsys: pytest.CaptureFixture[str], major: int
) -> None:
    """Each statement is reported as done; then nothing is missing, before and after the restart it asks for."""
    cluster = new_cluster(major)
    assert run_setup(cluster, apply=True) == 0
    first = capsys.readouterr().out
    assert first.count("ok: ") >= 6
    assert ("must be restarted" in first) == cluster.has_contrib
    assert run_setup(cluster, apply=True) == 0
    second = capsys.readouterr().out
    assert "ok: " not in second
    assert "nothing is missing" in second
    cluster.stop()
    cluster.start()
    assert run_setup(cluster) == 0
    assert "must be restarted" not in capsys.readouterr().out


@pytest.mark.integration
def test_setup_keeps_the_libraries_that_are_there(new_cluster: NewCluster) -> None:
    """The list is added to, and the server starts with all of it."""
    cluster = new_cluster(15, settings={"shared_preload_libraries": "auto_explain, auth_delay"})
    assert run_setup(cluster, apply=True) == 0
    cluster.stop()
    cluster.start()
    assert cluster.psql("show shared_preload_libraries") == "auto_explain, auth_delay, pg_stat_statements"


@pytest.mark.integration
async def test_setup_leaves_a_role_that_suffices(new_cluster: NewCluster) -> None:
    """As the role that was made, Toban sees everything it asks for, and can write nothing."""
    cluster = new_cluster(15)
    await asyncio.to_thread(run_setup, cluster, apply=True)
    cluster.stop()
    cluster.start()
    server = PostgresServer(Dsn(cluster.dsn(user="toban")), SystemClock(), ServerLimits())
    (row,) = await server.fetch(Query("activity"), 100, 5.0, 20)
    assert row["hidden"] == 0
    await server.close()
    toban = await cluster.connect(user="toban")
    assert await toban.fetchval("select count(*) from public.pg_stat_statements where query like 'select%'") >= 0
    with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
        await toban.execute("create temp table t ()")
    assert await toban.fetchval("show statement_timeout") == "4s"
    await toban.close()


@pytest.mark.integration
def test_setup_without_the_privilege_stops_at_the_first_refusal(
    new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who may not create roles is told so once, and how much was left undone; the status is 1."""
    cluster = new_cluster(15)
    cluster.psql("create role somebody login")
    assert run_setup(cluster, user="somebody", apply=True) == 1
    said = capsys.readouterr().out
    assert said.splitlines()[0].startswith('privilege: CREATE ROLE "toban"')
    assert "stopped; statements not run: 9" in said


@pytest.mark.integration
def test_setup_in_json_says_the_same(new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get what is missing, and after --apply how each statement went."""
    cluster = new_cluster(15)
    cluster.psql("create role somebody login")
    assert run_setup(cluster, as_json=True) == 0
    looked = json.loads(capsys.readouterr().out)
    assert looked["missing"][0]["sql"].startswith("CREATE ROLE")
    assert "applied" not in looked
    assert run_setup(cluster, user="somebody", apply=True, as_json=True) == 1
    (refused,) = json.loads(capsys.readouterr().out)["applied"]
    assert (refused["ok"], refused["reason"]) == (False, "privilege")
    assert run_setup(cluster, apply=True, as_json=True) == 0
    applied = json.loads(capsys.readouterr().out)
    assert all(one["ok"] for one in applied["applied"])
    assert applied["restart"] == ["shared_preload_libraries"]


@pytest.mark.integration
def test_setup_on_a_standby_touches_its_configuration_alone(
    new_cluster: NewCluster, standby_of: StandbyOf, capsys: pytest.CaptureFixture[str]
) -> None:
    """What lives in the data comes from the primary; what is loaded at the start is the standby's own affair."""
    standby = standby_of(new_cluster(15))
    assert run_setup(standby, apply=True, as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert [one["sql"] for one in said["applied"]] == [
        "ALTER SYSTEM SET shared_preload_libraries = 'pg_stat_statements'"
    ]
    assert any("primary" in advice for advice in said["advice"])


@pytest.mark.integration
def test_setup_of_a_server_that_is_not_there_is_unavailable(new_cluster: NewCluster) -> None:
    """Nobody listens: status 3, and the reason."""
    with pytest.raises(UnavailableError) as caught:
        run_setup(new_cluster(start=False))
    assert "unreachable" in caught.value.line


@pytest.mark.integration
async def test_setup_applied_to_a_server_that_just_went_is_unavailable(new_cluster: NewCluster) -> None:
    """A server that goes between the look and the first statement is told as such."""
    dsn = Dsn(new_cluster(start=False).dsn())
    with pytest.raises(UnavailableError):
        _ = [one async for one in apply(dsn, (Step(sql="select 1", why="test"),))]


@pytest.mark.integration
def test_setup_that_may_not_look_is_an_error(
    postgres15: Cluster, monkeypatch: pytest.MonkeyPatch, unique_database: str
) -> None:
    """A failure that does not mean the server is down ends with status 1."""
    from collectors.postgresql import server  # noqa: PLC0415 - the module, to age every server

    monkeypatch.setattr(server, "OLDEST", 990000)
    with pytest.raises(TobanError) as caught:
        run_setup(postgres15)
    assert caught.value.exit_status == 1
    assert "PostgreSQL 99" in caught.value.line


@pytest.mark.integration
def test_setup_speaks_japanese(new_cluster: NewCluster, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentences for people are in the language that was asked for."""
    cluster = new_cluster(15)
    setup(cluster.dsn(), role="toban", apply=False, as_json=False, language=Language.JA)
    assert "スーパーユーザ" in capsys.readouterr().out


@pytest.mark.integration
def test_setup_command_prints_and_ends_as_the_contract_says(new_cluster: NewCluster) -> None:
    """`toban setup postgresql`: 0 with SQL on stdout, 2 for a bad DSN, 3 for a server that is away; one line each."""
    cluster = new_cluster(15)

    def toban(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from daemon.cli import main; main()", *words]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    printed = toban("--lang", "en", "setup", "postgresql", cluster.dsn(), "--role", "watcher")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert 'CREATE ROLE "watcher"' in printed.stdout
    cluster.stop()
    for dsn, status in ((cluster.dsn(password="s3cret"), 3), ("mysql://x:s3cret@h/", 2)):
        failed = toban("setup", "postgresql", dsn)
        assert (failed.returncode, failed.stdout) == (status, "")
        assert failed.stderr.startswith("toban: setup postgresql: ")
        assert failed.stderr.count("\n") == 1
        assert "s3cret" not in failed.stderr
