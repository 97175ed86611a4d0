"""Real, throw-away PgBouncers: each with its own folder and port, run by the servers' account, gone at the end."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import Protocol

import psutil
import psycopg
import pytest

from tests.clusters import Cluster
from tests.installations import account, as_account, environment
from tests.ports import free_port, give_back
from tests.waiting import eventually_sync

Client = psycopg.Connection[tuple[object, ...]]
START_SECONDS = 60.0
STOP_SECONDS = 60.0
ABSENT = "this machine cannot: no pgbouncer (apt-get install pgbouncer)"
PASSWORD = "s3cret-of-the-pool"
WATCHER = "toban"
USERS = (WATCHER, "postgres", "stranger")
# As the guardian of the clusters: what it started goes when the tests do, however they end.
GUARDIAN = r"""
cat >/dev/null
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/cwd" 2>/dev/null)" = "$1" ] && kill -9 "${process#/proc/}" 2>/dev/null
done
rm -rf "$1"
"""


@cache
def program() -> str | None:
    """Where Debian's PgBouncer is, if it is."""
    return shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


class PgBouncer:
    """One PgBouncer before one cluster, with `toban` as its only stats user. It is made stopped."""

    def __init__(self, cluster: Cluster, *, settings: Mapping[str, str] | None = None, databases: str = "") -> None:
        self.cluster = cluster
        self.port = free_port()
        self.home = Path(tempfile.mkdtemp(prefix="toban-pgb-")).resolve()
        self.home.chmod(0o755)
        self.log_file = self.home / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._guardian = subprocess.Popen(
            ["/bin/sh", "-c", GUARDIAN, "guardian", self.home],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.chown(self.home, account().pw_uid, account().pw_gid)
        users = "".join(f'"{user}" "{PASSWORD}"\n' for user in USERS)
        self.write("users.txt", users)
        self.write("pgbouncer.ini", self._configuration(settings or {}, databases))

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        with self.log_file.open("wb") as log:
            self._process = subprocess.Popen(
                [str(program()), str(self.home / "pgbouncer.ini")],
                cwd=self.home,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_account(),
            )
        eventually_sync(self._listens, within_seconds=START_SECONDS)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait until it is gone: SIGTERM cuts its clients, as SIGKILL does."""
        if self._process is not None:
            self.signal(signal.SIGCONT)
            self.signal(number)
            self._process.wait(STOP_SECONDS)
            self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; SIGSTOP has taken effect when this returns."""
        if self._process is not None:
            self._process.send_signal(number)
        if self._process is not None and number is signal.SIGSTOP:
            process = psutil.Process(self._process.pid)
            eventually_sync(lambda: process.status() == psutil.STATUS_STOPPED)

    def remove(self) -> None:
        """End it at once and remove its folder."""
        with suppress(subprocess.TimeoutExpired):
            self.stop(signal.SIGKILL)
        if self._guardian.returncode is None:  # the second time the port may be another's
            self._guardian.communicate(timeout=STOP_SECONDS)
            give_back(self.port)

    def dsn(self, database: str = "pgbouncer", user: str = WATCHER, password: str | None = PASSWORD) -> str:
        """The way in: to the console as the stats user, unless told otherwise."""
        secret = "" if password is None else f":{password}"
        return f"postgresql://{user}{secret}@127.0.0.1:{self.port}/{database}"

    def client(self, database: str = "postgres", user: str = "postgres") -> Client:
        """A client's connection through the pool; the caller closes it."""
        return psycopg.connect(self.dsn(database, user), autocommit=True, connect_timeout=60)

    def command(self, words: str) -> None:
        """Give the console an administrator's command."""
        with psycopg.connect(
            self.dsn(user="postgres"), autocommit=True, cursor_factory=psycopg.ClientCursor, connect_timeout=60
        ) as console:
            console.execute(words.encode())

    def write(self, name: str, text: str) -> Path:
        """A file in its folder, which only its account reads."""
        file = self.home / name
        file.write_text(text)
        file.chmod(0o600)
        os.chown(file, account().pw_uid, account().pw_gid)
        return file

    def _configuration(self, settings: Mapping[str, str], databases: str) -> str:
        chosen = {
            "listen_addr": "127.0.0.1",
            "listen_port": str(self.port),
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": str(self.home / "users.txt"),
            "admin_users": "postgres",
            "stats_users": WATCHER,
            "pool_mode": "session",
            **settings,
        }
        lines = "".join(f"{name} = {value}\n" for name, value in chosen.items())
        upstream = databases or f"postgres = host=127.0.0.1 port={self.cluster.port}"
        return f"[databases]\n{upstream}\n[pgbouncer]\n{lines}"

    def _listens(self) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise RuntimeError(f"PgBouncer did not start:\n{self.log_file.read_text()}")
        return "process up" in self.log_file.read_text()


class NewPgBouncer(Protocol):
    """Makes a PgBouncer for one test."""

    def __call__(
        self, cluster: Cluster, *, settings: Mapping[str, str] | None = None, databases: str = ""
    ) -> PgBouncer:
        """Started, with the database `postgres` of that cluster unless `databases` has other lines."""
        ...


@pytest.fixture
def new_pgbouncer() -> Iterator[NewPgBouncer]:
    """Makes PgBouncers that this test alone has, and may break."""
    if program() is None:
        pytest.skip(ABSENT)
    with ExitStack() as stack:

        def make(cluster: Cluster, *, settings: Mapping[str, str] | None = None, databases: str = "") -> PgBouncer:
            made = PgBouncer(cluster, settings=settings, databases=databases)
            stack.callback(made.remove)
            made.start()
            return made

        yield make
