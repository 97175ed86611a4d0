"""`toban advise indexes` and `toban advise bloat` as a person types them, with and without the daemon."""

import json
from pathlib import Path

import httpx
import pytest

from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.daemon.commanding import toban
from tests.daemon.running import running
from tests.waiting import eventually_sync

pytestmark = pytest.mark.integration

TARGETS = """
targets:
  - {{name: main, kind: postgresql, dsn: "{dsn}"}}
  - {{name: ledger, kind: sqlite, path: /nowhere/ledger.db}}
collect: {{indexes: {{unused_after: 1ms}}, bloat: {{every: 1m}}}}
"""
BLOATED = """
CREATE TABLE t (a int, b int, c text) WITH (autovacuum_enabled = off);
INSERT INTO t SELECT g, g, repeat('x', 100) FROM generate_series(1, 200000) g;
CREATE INDEX t_a ON t (a); CREATE INDEX t_ab ON t (a, b); CREATE UNIQUE INDEX t_b ON t (b);
ANALYZE t; DELETE FROM t WHERE a > 20000; ANALYZE t
"""


def configured(folder: Path, cluster: Cluster, database: str = "postgres") -> Path:
    """A configuration file for one server, and a file that is none of a database."""
    path = folder / "config.yaml"
    own = f"state: sqlite://{folder}/state.db\nhttp: {{listen: null}}\n"
    path.write_text(own + TARGETS.format(dsn=cluster.dsn(database)))
    return path


def test_advise_indexes_measures_now_when_no_daemon_runs(new_cluster: NewCluster, tmp_path: Path) -> None:
    """A table for people with the SQL below it and what is never said; a list of objects for programs."""
    cluster = new_cluster()
    cluster.psql("CREATE TABLE t (a int, b int); CREATE INDEX t_a ON t (a); CREATE INDEX t_ab ON t (a, b)")
    config = configured(tmp_path, cluster)
    shown = toban("-c", config, "advise", "indexes")
    assert shown.status == 0
    assert 'DROP INDEX CONCURRENTLY "public"."t_a";' in shown.out.splitlines()
    assert "-- main, database postgres" in shown.out
    assert "Never advised" in shown.out
    told = json.loads(toban("-c", config, "advise", "indexes", "--json", "--target", "main").out)
    assert [(a["target"], a["database"], a["subject"], a["action"], a["run"], a["gain_bytes"]) for a in told] == [
        ("main", "postgres", "public.t_a", "drop", 'DROP INDEX CONCURRENTLY "public"."t_a";', 8192)
    ]
    assert told[0]["why"].startswith("public.t_ab begins with the same columns")
    assert "同じ列で始まって" in toban("-c", config, "--lang", "ja", "advise", "indexes").out


def test_advise_indexes_asks_the_daemon_that_runs(new_cluster: NewCluster, tmp_path: Path) -> None:
    """The same, from its memory: what has changed since is not seen."""
    cluster = new_cluster()
    cluster.psql("CREATE TABLE t (a int, b int); CREATE INDEX t_a ON t (a); CREATE INDEX t_ab ON t (a, b)")
    with running(tmp_path, TARGETS.format(dsn=cluster.dsn())) as daemon:

        def told() -> list[str]:
            return [advice["run"] for advice in json.loads(daemon.toban("advise", "indexes", "--json").stdout)]

        assert eventually_sync(told) == ['DROP INDEX CONCURRENTLY "public"."t_a";']
        cluster.psql("DROP INDEX t_a")
        assert told() == ['DROP INDEX CONCURRENTLY "public"."t_a";']
        assert daemon.toban("advise", "bloat").stdout == "nothing to advise\n"
        assert httpx.get(f"{daemon.url}/api/v1/advice/indexes", params={"target": "ledger"}).json() == []
        refused = httpx.get(f"{daemon.url}/api/v1/advice/weather")
        assert refused.status_code == 404
        assert refused.json()["detail"].startswith("no advice on 'weather'; there is: indexes, bloat")


def test_advice_says_what_the_daemon_could_not_judge(new_cluster: NewCluster, tmp_path: Path) -> None:
    """A server that is down there; a collector that is switched off there is measured here and now."""
    cluster, gone = new_cluster(), new_cluster(start=False)
    cluster.psql("CREATE TABLE t (a int, b int); CREATE INDEX t_a ON t (a); CREATE INDEX t_ab ON t (a, b)")
    second = f'  - {{name: gone, kind: postgresql, dsn: "{gone.dsn()}"}}\ncollect:'
    targets = TARGETS.format(dsn=cluster.dsn()).replace("collect:", second)
    with running(tmp_path, targets.replace("unused_after: 1ms", "unused_after: 1ms, enabled: false")) as daemon:
        told = daemon.toban("advise", "indexes", "--json")
        assert [advice["subject"] for advice in json.loads(told.stdout)] == ["public.t_a"]
        assert "gone: no advice on indexes: unreachable" in told.stderr
        down = eventually_sync(
            lambda: [
                line
                for line in daemon.toban("advise", "bloat").stdout.splitlines()
                if line.startswith("gone: no advice on bloat: unreachable")
            ],
        )
        assert len(down) == 1
        assert "gone" not in daemon.toban("advise", "bloat", "--target", "main").stdout
        counted = daemon.toban("advise", "bloat", "--exact", "--target", "main").stdout
        assert "extension not installed" in counted
        assert "gone" not in counted


def test_advice_on_a_target_that_there_is_not_is_an_error(new_cluster: NewCluster, tmp_path: Path) -> None:
    """With those that there are."""
    config = configured(tmp_path, new_cluster(start=False))
    for about in ("indexes", "bloat"):
        ended = toban("-c", config, "advise", about, "--target", "mian")
        assert ended.status == 1
        assert ended.err == "toban: target mian: no target has this name (there are: host, main, ledger)\n"


def test_advice_that_cannot_be_given_says_why(new_cluster: NewCluster, tmp_path: Path) -> None:
    """A server that is down, and what is locked: below the table, or beside the JSON."""
    cluster = new_cluster(start=False)
    config = configured(tmp_path, cluster)
    assert "main: no advice on indexes: unreachable" in toban("-c", config, "advise", "indexes").out
    told = toban("-c", config, "advise", "indexes", "--json")
    assert json.loads(told.out) == []
    assert "main: no advice on indexes: unreachable" in told.err
    counted = toban("-c", config, "advise", "bloat", "--exact")
    assert counted.status == 1
    assert "main: no advice on exact bloat: unreachable" in counted.out


def test_advise_bloat_estimates_and_counts(postgres15: Cluster, unique_database: str, tmp_path: Path) -> None:
    """By estimate at once; exactly where pgstattuple is, and a reason with its mend where it is not."""
    postgres15.psql(BLOATED, unique_database)
    config = configured(tmp_path, postgres15, unique_database)
    config.write_text(config.read_text().replace('"}', f'", databases: {{include: [{unique_database}]}}}}', 1))
    estimated = json.loads(toban("-c", config, "advise", "bloat", "--json").out)
    assert {a["subject"]: a["run"] for a in estimated} == {
        "public.t": 'VACUUM (FULL, ANALYZE) "public"."t";',
    }
    missing = toban("-c", config, "advise", "bloat", "--exact")
    assert missing.status == 1
    assert "extension not installed: pgstattuple is not installed in this database" in missing.out
    assert "hint: CREATE EXTENSION pgstattuple" in missing.out
    postgres15.psql("CREATE SCHEMA tools; CREATE EXTENSION pgstattuple SCHEMA tools", unique_database)
    command = ("-c", config, "advise", "bloat", "--exact", "--database", unique_database, "--json")
    counted = {a["subject"]: a for a in json.loads(toban(*command).out)}
    assert {name: a["action"] for name, a in counted.items()} == {
        "public.t": "rebuild",
        "public.t_a": "keep",
        "public.t_ab": "keep",
        "public.t_b": "keep",
    }
    size = postgres15.psql("SELECT dead_tuple_len + free_space FROM tools.pgstattuple('t')", unique_database)
    assert counted["public.t"]["gain_bytes"] == float(size)
    for advice in counted.values():
        if advice["run"]:
            postgres15.psql(advice["run"], unique_database)
    again = toban("-c", config, "advise", "bloat", "--exact", "--database", unique_database, "--top", "1")
    assert "not worth a rebuild" in again.out
