"""The fixture that starts MariaDB servers: they answer, and nothing of them is left when a test is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.mariadbs import ABSENCE, NewMariadb, installed
from tests.skips import unexcused
from tests.waiting import eventually_sync

ROOT = Path(__file__).parents[1]
ABANDONING = """
import sys
from tests.mariadbs import Mariadb
server = Mariadb()
server.start()
print(server.data_dir, server._server.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.integration
def test_server_that_was_killed_comes_back_with_its_data(new_mariadb: NewMariadb) -> None:
    """On the same port, with what was committed."""
    server = new_mariadb()
    server.sql("create database kept")
    server.kill()
    server.start()
    assert server.sql("show databases like 'kept'") == "kept"


@pytest.mark.integration
def test_server_of_a_killed_test_is_removed() -> None:
    """The guardian ends the server and removes its files, though nobody said goodbye."""
    if not installed():
        pytest.skip(ABSENCE)
    made = subprocess.Popen(
        [sys.executable, "-c", ABANDONING],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None
    folder, pid = made.stdout.readline().split()
    assert psutil.pid_exists(int(pid))
    made.send_signal(signal.SIGKILL)
    made.communicate()
    eventually_sync(lambda: not Path(folder).parent.exists() and not _alive(int(pid)))


def test_absence_is_excused_in_continuous_integration() -> None:
    """A machine where nobody may install anything skips these tests."""
    assert not unexcused(ABSENCE)


def _alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
