"""What a running daemon is told from outside, at the worst moments: signals, a kill, a disk that fills up."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.clusters import Cluster
from tests.daemon.commanding import toban
from tests.daemon.running import Daemon, running
from tests.waiting import eventually_sync

pytestmark = pytest.mark.integration
LOST = signal.SIGTERM - 1  # its place in the mask of /proc


@pytest.fixture
def hole() -> Iterator[str]:
    """A target behind a port that takes connections and never answers."""
    with closing(socket.socket()) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        way = f"postgresql://x@127.0.0.1:{listening.getsockname()[1]}/x"
        yield f'  - {{name: hole, kind: postgresql, dsn: "{way}"}}\n'


def watching(cluster: Cluster, more: str = "") -> str:
    """A configuration with this server as `main`."""
    return f'targets:\n  - {{name: main, kind: postgresql, dsn: "{cluster.dsn()}"}}\n{more}'


def hears(daemon: Daemon) -> bool:
    """Whether SIGTERM has a handler by now."""
    assert daemon.process is not None
    mask = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{daemon.process.pid}/status").read_text())[0]
    return bool(int(mask, 16) >> LOST & 1)


def test_what_a_killed_daemon_left_behind_stands_in_nobodys_way(tmp_path: Path) -> None:
    """The socket and the lock of one that was killed: the next start needs no hand."""
    with running(tmp_path, "targets: []\nalerts: {defaults: false}\n") as daemon:
        daemon.kill()
        assert (tmp_path / "state.sock").is_socket()
        daemon.start()
        eventually_sync(lambda: daemon.value('toban_target_up{kind="host",target="host"}') == 1)
        eventually_sync(lambda: toban("-c", daemon.config, "status").status == 0)
        assert not daemon.told("no local socket")


@pytest.mark.parametrize("moment", ["before the loop turns", "in the first round", "in a reload"])
def test_sigterm_ends_the_daemon_with_zero_at_any_moment(tmp_path: Path, hole: str, moment: str) -> None:
    """Also while a target does not answer, and while a reload parts from it."""
    daemon = Daemon(tmp_path, f"targets:\n{hole}")
    daemon.start()
    if moment == "before the loop turns":
        eventually_sync(lambda: hears(daemon))
    else:
        eventually_sync(lambda: daemon.told("target up", target="host"))
    if moment == "in a reload":
        daemon.write("targets: []\n")
        daemon.signal(signal.SIGHUP)
    assert daemon.stop() == 0


def test_hang_ups_in_a_row_end_as_the_last_file_says(tmp_path: Path, postgres15: Cluster, hole: str) -> None:
    """One reload at a time, and none is lost: logrotate and an operator at once."""
    with running(tmp_path, watching(postgres15)) as daemon:
        daemon.write(watching(postgres15, hole))
        daemon.signal(signal.SIGHUP)
        daemon.signal(signal.SIGHUP)
        eventually_sync(lambda: 'toban_target_info{kind="postgresql",target="hole"}' in daemon.metrics())
        daemon.write(watching(postgres15))
        daemon.signal(signal.SIGHUP)
        eventually_sync(lambda: 'target="hole"' not in daemon.metrics())
        eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)


def test_the_log_file_is_opened_anew_even_when_the_configuration_is_refused(tmp_path: Path) -> None:
    """Logrotate has renamed it: what follows belongs into the new file, a refusal above all."""
    file = tmp_path / "toban.log"
    with running(tmp_path, f"targets: []\nlog: {{file: {file}}}\n") as daemon:
        file.rename(tmp_path / "toban.log.1")
        daemon.write("tagets: []\n")
        daemon.signal(signal.SIGHUP)
        eventually_sync(lambda: file.exists() and "configuration refused" in file.read_text())
        assert "refused" not in (tmp_path / "toban.log.1").read_text()


def test_a_disk_that_fills_up_stops_nothing(tmp_path: Path, postgres15: Cluster) -> None:
    """No file may grow: the history is in trouble and says so, the watch and the page go on, the end is in time."""
    daemon = Daemon(tmp_path, watching(postgres15))
    daemon.start(most_bytes=16384)
    try:
        eventually_sync(lambda: daemon.value("toban_history_trouble") == 1)
        eventually_sync(lambda: daemon.value('pg_up{target="main"}') == 1)
    finally:
        assert daemon.stop() == 0
    assert daemon.told("state_unusable")
