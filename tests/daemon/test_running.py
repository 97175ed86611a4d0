import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from history.reading import open_reader
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.daemon.commanding import toban
from tests.daemon.running import Daemon, running
from tests.ports import free_port
from tests.waiting import eventually_sync
from toban.clock import SystemClock

pytestmark = pytest.mark.integration
QUICK = (
    "collect: {"
    + ", ".join(
        f"{name}: {{every: 200ms}}" for name in ("identity", "activity", "databases", "locks", "replication", "wal")
    )
    + "}\n"
    "alerts: {defaults: false}\n"  # a full disk or a busy machine is no news of the daemon
)


def watching(*clusters: Cluster, more: str = "") -> str:
    """A configuration with these servers as `main`, `second` …, measured five times a second."""
    names = ("main", "second", "third")
    targets = "".join(
        f'  - {{name: {name}, kind: postgresql, dsn: "{cluster.dsn()}"}}\n'
        for name, cluster in zip(names, clusters, strict=False)
    )
    return f"targets:\n{targets}{more}{QUICK}"


@pytest.fixture(scope="module")
def shared_daemon(tmp_path_factory: pytest.TempPathFactory, postgres15: Cluster) -> Iterator[Daemon]:
    """A daemon on the shared server, for the tests that only look at it."""
    with running(tmp_path_factory.mktemp("shared"), watching(postgres15)) as started:
        yield started


@pytest.fixture
def daemon(tmp_path: Path, postgres16: Cluster) -> Iterator[Daemon]:
    """A daemon of the test's own, on another server: its sessions are to be told from those of the shared one."""
    with running(tmp_path, watching(postgres16)) as started:
        yield started


def test_the_daemon_shows_live_values_of_the_server_and_the_host(shared_daemon: Daemon) -> None:
    """From nothing to values in one command."""
    daemon = shared_daemon
    eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)
    for name in ("pg_stat_database_xact_commit", "toban_host_memory_used_ratio", "pg_connections_used_ratio"):
        eventually_sync(daemon.shows(f"\n{name}{{"))


def test_sigterm_ends_the_daemon_with_zero_and_leaves_no_connection_and_no_socket(
    daemon: Daemon, postgres16: Cluster
) -> None:
    """In good order: the server sees its sessions go, the local socket is gone, the history is closed."""
    assert daemon.stop() == 0
    mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'toban'"
    eventually_sync(lambda: postgres16.psql(mine) == "0")
    assert not (daemon.home / "state.sock").exists()
    assert daemon.told("stopped")


def test_a_server_that_is_killed_and_returns_is_down_and_up_again_and_its_counters_show_no_spike(
    tmp_path: Path, new_cluster: NewCluster
) -> None:
    """/metrics answers throughout; a counter starts again at what the server says, never at less than zero."""
    cluster = new_cluster(15)
    with running(tmp_path, watching(cluster)) as daemon:
        up = 'pg_up{target="main"}'
        eventually_sync(lambda: daemon.value(up) == 1)
        cluster.kill()
        eventually_sync(lambda: daemon.value(up) == 0)
        eventually_sync(lambda: "pg_stat_database_xact_commit{" not in daemon.metrics())
        cluster.start()
        eventually_sync(lambda: daemon.value(up) == 1)
        eventually_sync(lambda: "pg_stat_database_xact_commit{" in daemon.metrics())
        eventually_sync(lambda: daemon.told("target down", target="main"))
        eventually_sync(lambda: daemon.told("target up again", target="main"))


def test_a_frozen_server_is_called_down_while_metrics_answer_and_no_connection_is_left_behind(
    tmp_path: Path, new_cluster: NewCluster
) -> None:
    """SIGSTOP: the kernel still takes connections, nobody answers. The daemon neither hangs nor piles up sessions."""
    cluster = new_cluster(15)
    limits = "limits: {statement_timeout: 500ms, connect_timeout: 500ms}"
    target = f'targets: [{{name: main, kind: postgresql, dsn: "{cluster.dsn()}", {limits}}}]\n'
    timeouts = QUICK.replace("every: 200ms", "every: 200ms, timeout: 1s")
    with running(tmp_path, target + timeouts) as daemon:
        cluster.freeze()
        eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 0)
        eventually_sync(lambda: daemon.value("toban_loop_lag_seconds") is not None)
        cluster.thaw()
        eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)
        mine = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'toban'"
        eventually_sync(lambda: int(cluster.psql(mine)) <= 2)


def test_a_target_that_is_down_at_the_start_is_tried_until_it_is_there(tmp_path: Path, new_cluster: NewCluster) -> None:
    """A server that starts after its watcher is found (postgres_exporter#880)."""
    cluster = new_cluster(15, start=False)
    with running(tmp_path, watching(cluster)) as daemon:
        assert daemon.value('pg_up{target="main"}') == 0
        cluster.start()
        eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)


def test_a_blackholed_target_holds_up_no_other(tmp_path: Path, postgres15: Cluster, postgres16: Cluster) -> None:
    """One of three never answers; the last successes of the two others go on and on."""
    with closing(socket.socket()) as hole:
        hole.bind(("127.0.0.1", 0))
        hole.listen(0)
        port = hole.getsockname()[1]
        way = f'dsn: "postgresql://x@127.0.0.1:{port}/x", limits: {{connect_timeout: 1s}}'
        more = f"  - {{name: hole, kind: postgresql, {way}}}\n"
        with running(tmp_path, watching(postgres15, postgres16, more=more)) as daemon:
            for target in ("main", "second"):
                series = f'toban_collect_last_success_timestamp_seconds{{collector="activity",target="{target}"}}'
                for _ in range(5):
                    eventually_sync(daemon.brings(series))
                    before = daemon.value(series) or 0.0
                    eventually_sync(daemon.brings(series, beyond=before))
            assert daemon.value('pg_up{target="hole"}') == 0
            assert daemon.stop() == 0


def test_a_locked_table_in_every_database_makes_nobody_wait_and_is_told(
    tmp_path: Path, new_cluster: NewCluster
) -> None:
    """ACCESS EXCLUSIVE held: Toban leaves out what is locked, says so, and never stands in a queue."""
    cluster = new_cluster(15)
    databases = ("postgres", "one", "two")
    for name in databases[1:]:
        cluster.psql(f"CREATE DATABASE {name}")
    for name in databases:
        cluster.psql("CREATE TABLE held (id int); CREATE TABLE free (id int); INSERT INTO held SELECT 1", name)
    holders = [hold(cluster, name) for name in databases]
    try:
        locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation > 16000"
        eventually_sync(lambda: int(cluster.psql(locked)) == len(databases))
        quick = watching(cluster).replace("collect: {", "collect: {relations: {every: 300ms}, sizes: {every: 300ms}, ")
        with running(tmp_path, quick) as daemon:
            for name in databases:
                series = f'toban_pg_relations_skipped{{datname="{name}",reason="locked",target="main"}}'
                eventually_sync(daemon.brings(series))
                assert daemon.value(series) == 1
                free = f'datname="{name}",relname="free",schemaname="public",target="main"'
                assert daemon.value(f"pg_stat_user_tables_n_live_tup{{{free}}}") is not None
            gap = re.search(r'toban_collect_gaps\{collector="relations",reason="locked",[^}]*\} \d', daemon.metrics())
            assert gap is not None
            waiting = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted"
            for _ in range(20):
                assert cluster.psql(waiting) == "0"
    finally:
        for holder in holders:
            holder.kill()
            holder.wait(60)


def hold(cluster: Cluster, database: str) -> subprocess.Popen[bytes]:
    """Somebody who holds a table in this database until killed."""
    sql = "BEGIN; LOCK TABLE held IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(600);"
    return subprocess.Popen(
        [cluster.bin_dir / "psql", "-X", "-q", "-d", cluster.dsn(database), "-c", sql],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_at_most_two_connections_are_ever_held(shared_daemon: Daemon, postgres15: Cluster) -> None:
    """Counted from the server's side, over many turns."""
    daemon = shared_daemon
    series = 'toban_collect_last_success_timestamp_seconds{collector="activity",target="main"}'
    eventually_sync(daemon.brings(series))
    begun = daemon.value(series) or 0.0

    def seen() -> int:
        return int(postgres15.psql("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'toban'"))

    def over() -> bool:
        assert seen() <= 2
        return daemon.brings(series, beyond=begun + 1)()

    eventually_sync(lambda: seen() <= 2)  # sessions of a daemon before this one need a moment to go
    eventually_sync(over)


def test_sighup_takes_over_a_new_target_and_leaves_the_old_one_alone(
    daemon: Daemon, postgres15: Cluster, postgres16: Cluster
) -> None:
    """The connection of what did not change is the same one afterwards."""
    backend = "SELECT pid FROM pg_stat_activity WHERE application_name = 'toban' ORDER BY backend_start LIMIT 1"
    before = postgres16.psql(backend)
    daemon.write(watching(postgres16, postgres15))
    daemon.signal(signal.SIGHUP)
    eventually_sync(lambda: daemon.value('pg_up{target="second"}') == 1)
    assert postgres16.psql(backend) == before
    daemon.write(watching(postgres16))
    daemon.signal(signal.SIGHUP)
    eventually_sync(lambda: 'target="second"' not in daemon.metrics())


def test_a_bad_file_is_refused_with_its_errors_and_the_old_one_stays(
    shared_daemon: Daemon, postgres15: Cluster
) -> None:
    """Every problem is in the log; the watch goes on."""
    daemon = shared_daemon
    daemon.write("tagets: []\nhttp2: 1\n")
    daemon.signal(signal.SIGHUP)
    refused = eventually_sync(lambda: daemon.told("configuration refused, the old one stays in force"))
    eventually_sync(lambda: len(daemon.told("configuration refused, the old one stays in force")) == 2)
    assert "tagets" in refused[0]["problem"]
    eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)
    eventually_sync(lambda: daemon.value('toban_reloads_total{result="refused"}') == 1)
    daemon.write(watching(postgres15))  # for whoever looks at it next


def test_the_listening_address_moves_with_a_reload(daemon: Daemon, postgres16: Cluster) -> None:
    """The new port opens, the old one closes, nothing else changes."""
    old = daemon.port
    daemon.port = free_port()
    daemon.write(watching(postgres16))
    daemon.signal(signal.SIGHUP)
    eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)
    eventually_sync(lambda: not listens(old))


def listens(port: int) -> bool:
    """Whether somebody does, there."""
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_second_daemon_on_the_same_state_is_refused(shared_daemon: Daemon) -> None:
    """Two writers would spoil each other's work: one line, exit status 3."""
    second = shared_daemon.toban("run")
    assert second.returncode == 3
    assert second.stderr.count("\n") == 1
    assert "another Toban is running on it" in second.stderr


def test_a_port_in_use_is_one_line_and_exit_status_three(tmp_path: Path) -> None:
    """And nothing of it runs on."""
    with closing(socket.socket()) as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        daemon = Daemon(tmp_path, "targets: []\n")
        daemon.port = taken.getsockname()[1]
        daemon.write("targets: []\n")
        ended = daemon.toban("run")
    assert ended.returncode == 3
    errors = [line for line in ended.stderr.splitlines() if line.startswith("toban: ")]
    where, hint = f"http.listen 127.0.0.1:{daemon.port}", "is another Toban running? choose another port"
    assert errors == [f"toban: {where}: Address already in use ({hint})"]


def test_a_corrupt_state_file_is_set_aside_and_the_watch_goes_on(tmp_path: Path, postgres15: Cluster) -> None:
    """Nothing is lost: the old file lies beside the new one, and the status says so."""
    (tmp_path / "state.db").write_bytes(b"this is no database" * 1000)
    with running(tmp_path, watching(postgres15)) as daemon:
        eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)
        assert list(tmp_path.glob("state.db.corrupt-*"))
        assert daemon.value("toban_history_trouble") == 1


def test_a_state_directory_that_cannot_be_made_stops_nothing(tmp_path: Path, postgres15: Cluster) -> None:
    """The history waits in memory; the watch, the metrics and the exit status are as ever."""
    (tmp_path / "blocked").write_text("a file where a directory should be")
    daemon = Daemon(tmp_path, watching(postgres15))
    daemon.config.write_text(daemon.config.read_text().replace(f"{tmp_path}/state.db", f"{tmp_path}/blocked/state.db"))
    daemon.start()
    try:
        eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)
        assert daemon.value("toban_history_trouble") == 1
    finally:
        assert daemon.stop() == 0


def test_a_restart_loses_no_history_and_makes_no_false_rate(tmp_path: Path, postgres15: Cluster) -> None:
    """Points from before and after stand in one history; the counter's rate across the gap is no spike."""
    series = 'pg_stat_database_xact_commit{datid="5",datname="postgres",target="main"}'
    ends = []
    for _ in range(2):
        with running(tmp_path, watching(postgres15)) as daemon:
            eventually_sync(daemon.brings(series))
            eventually_sync(daemon.brings(series, beyond=daemon.value(series) or 0))
            ends.append(SystemClock().now())
            assert daemon.stop() == 0
    with open_reader(tmp_path / "state.db") as reader:
        found = reader.series("pg_stat_database_xact_commit", since=ends[0] - 60, until=ends[1] + 1)
    rates = [point for one in found if one.labels["datname"] == "postgres" for point in one.points]
    assert any(point.at < ends[0] for point in rates)
    assert any(point.at > ends[0] for point in rates)
    assert all(0 <= point.lowest <= point.highest < 10_000 for point in rates)


def test_status_and_metrics_answer_from_the_running_daemon(shared_daemon: Daemon) -> None:
    """Asked over the local socket, whose mode lets only the owner in."""
    daemon = shared_daemon
    assert oct((daemon.home / "state.sock").stat().st_mode & 0o777) == "0o600"
    eventually_sync(lambda: toban("-c", daemon.config, "status").status == 0)
    status = toban("-c", daemon.config, "status")
    assert "main" in status.out
    assert "daemon is not running" not in status.out
    assert "pg_connections_used_ratio" in toban("-c", daemon.config, "metrics", "pg_conn*").out
    assert daemon.toban("metrics", "nothing_*").returncode == 1


def test_status_without_a_daemon_measures_by_itself_and_is_one_when_something_is_down(tmp_path: Path) -> None:
    """No daemon is needed to read; what is not fine is exit status 1."""
    down = f'targets: [{{name: main, kind: postgresql, dsn: "postgresql://x:s3cret@127.0.0.1:{free_port()}/x"}}]\n'
    status = toban("-c", Daemon(tmp_path, down).config, "status")
    assert status.status == 1
    assert "not running" in status.out
    assert "s3cret" not in status.out + status.err


def test_no_secret_is_in_the_log_the_metrics_or_the_process_list(tmp_path: Path, postgres15: Cluster) -> None:
    """A password with every awkward character, wrong on purpose: nowhere, in no spelling."""
    password = "päß wört'\"\\@:/?#[]%"
    dsn = postgres15.dsn(user="nobody", password=password)
    more = f'targets: [{{name: main, kind: postgresql, dsn: "{dsn}"}}]\nlog: {{level: debug}}\n'
    with running(tmp_path, more + QUICK) as daemon:
        assert daemon.value('pg_up{target="main"}') == 0
        assert daemon.process is not None
        seen = daemon.log_path.read_text() + daemon.metrics() + toban("-c", daemon.config, "status", "--json").out
        seen += Path(f"/proc/{daemon.process.pid}/cmdline").read_text()
        for spelling in (password, "p%C3%A4", "wört", "w%C3%B6rt"):
            assert spelling not in seen


def test_a_database_that_is_dropped_leaves_and_one_that_is_made_appears(
    shared_daemon: Daemon, postgres15: Cluster
) -> None:
    """Discovery follows, in both directions, without a restart."""
    daemon = shared_daemon
    postgres15.psql("CREATE DATABASE comes")
    series = "pg_stat_database_numbackends{"
    eventually_sync(lambda: any('datname="comes"' in line for line in daemon.metrics().splitlines() if series in line))
    postgres15.psql("DROP DATABASE comes WITH (FORCE)")
    eventually_sync(
        lambda: not any('datname="comes"' in line for line in daemon.metrics().splitlines() if series in line)
    )


def test_under_systemd_the_daemon_says_ready_after_its_first_round_and_feeds_the_watchdog(
    tmp_path: Path, postgres15: Cluster
) -> None:
    """What systemd would hear, on a real socket."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as systemd:
        path = tmp_path / "notify"
        systemd.bind(str(path))
        systemd.settimeout(60)
        with running(tmp_path, watching(postgres15), NOTIFY_SOCKET=str(path), WATCHDOG_USEC="30000000") as daemon:
            hear(systemd, "READY=1")
            hear(systemd, "STATUS=targets answering: 2 of 2")
            hear(systemd, "WATCHDOG=1")
            daemon.signal(signal.SIGHUP)
            hear(systemd, "RELOADING=1")
            hear(systemd, "READY=1")
            daemon.stop()
            hear(systemd, "STOPPING=1")


def hear(systemd: socket.socket, wanted: str) -> None:
    """Messages up to one that has this in it; the socket's timeout is the bound."""
    while wanted not in systemd.recv(4096).decode():
        pass


def test_the_page_has_nothing_that_promtool_complains_of(shared_daemon: Daemon) -> None:
    """Prometheus's own judgement of names, types and help."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("no promtool on this machine: apt-get install prometheus")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=shared_daemon.metrics(),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (checked.stdout, checked.stderr) == ("", "")
