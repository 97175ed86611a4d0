"""Real, throw-away PostgreSQL servers: each with its own data, port and socket, gone at the end whatever happens."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import asyncpg
import psutil

from tests.installations import (
    Installation,
    absence,
    account,
    as_account,
    environment,
    installations,
    reachable,
    run,
    template,
)
from tests.ports import free_port, give_back
from tests.waiting import eventually_sync

__all__ = ["Cluster", "absence", "installations"]

START_SECONDS = 120.0
STOP_SECONDS = 60.0  # thousands of files take their time to go
STOP_SIGNALS = {"smart": signal.SIGTERM, "fast": signal.SIGINT, "immediate": signal.SIGQUIT}
# Small, quick and private; nothing of it is worth a disk's time.
SETTINGS: Mapping[str, str] = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "40",
    "listen_addresses": "127.0.0.1",
    "log_line_prefix": "%m [%p] %q%u@%d/%a ",
    "lc_messages": "C",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "autovacuum_naptime": "1d",  # what a test sees is its own doing
}
# Lives as long as our end of its pipe: then it ends everything that works in the data directory, and removes it all.
GUARDIAN = r"""
cat >/dev/null
for process in /proc/[0-9]*; do
    [ "$(readlink "$process/cwd" 2>/dev/null)" = "$1/data" ] && kill -9 "${process#/proc/}" 2>/dev/null
done
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"""


class Cluster:
    """One server. It is made stopped; `start` it, and `remove` it in the end."""

    superuser = "postgres"

    def __init__(
        self,
        installation: Installation,
        *,
        settings: Mapping[str, str] | None = None,
        hba: Iterable[str] = (),
        primary: "Cluster | None" = None,
    ) -> None:
        self.major = installation.major
        self.has_contrib = installation.has_contrib
        self.settings = {**SETTINGS, **(settings or {})}
        self.bin_dir = reachable(installation)
        self.port = free_port()
        self._home = Path(tempfile.mkdtemp(prefix="toban-")).resolve()
        self.data_dir, self.socket_dir, self.log_file = (self._home / name for name in ("data", "s", "log"))
        self._server: subprocess.Popen[bytes] | None = None
        self._guardian = _guard(self._home)
        try:
            self._make(installation, tuple(hba), primary)
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self.log_file.open("ab") as log:
            self._server = subprocess.Popen(
                [self.bin_dir / "postgres", "-D", self.data_dir],
                cwd=self._home,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_account(),
            )
        eventually_sync(self._answers, within_seconds=START_SECONDS)

    def stop(self, mode: str = "fast") -> None:
        """Stop the server (`smart`, `fast` or `immediate`) and wait until it is gone."""
        if self._server is not None:
            self.thaw()
            self._server.send_signal(STOP_SIGNALS[mode])
            self._server.wait(STOP_SECONDS)
            self._server = None

    def kill(self) -> None:
        """End the server and all its children by SIGKILL: nothing is said to anybody, nothing is written."""
        if self._server is not None:
            self.freeze()
            processes = self._processes()
            _signal(signal.SIGKILL, processes)
            self._server.wait(STOP_SECONDS)
            psutil.wait_procs(processes, STOP_SECONDS)
            self._server = None

    def freeze(self) -> None:
        """Stop the whole server in mid-breath (SIGSTOP): the kernel still takes connections, nobody answers."""
        _halt(self._processes()[:1])  # the postmaster first, so that no child is born meanwhile
        _halt(self._processes()[1:])

    def thaw(self) -> None:
        """Let a frozen server go on."""
        _signal(signal.SIGCONT, self._processes())

    def remove(self) -> None:
        """End the server at once and remove all its files. It may be called twice."""
        with suppress(subprocess.TimeoutExpired):
            self.stop("immediate")  # the guardian could do it, but would leave orphans for init to reap
        if self._guardian.returncode is None:  # the second time the port may be another's
            self._guardian.communicate(timeout=STOP_SECONDS)
            give_back(self.port)
        if self._server is not None:
            self._server.wait(STOP_SECONDS)
            self._server = None

    @property
    def running(self) -> bool:
        """Whether the server's first process lives."""
        return self._server is not None and self._server.poll() is None

    def dsn(
        self,
        database: str = "postgres",
        user: str = superuser,
        password: str | None = None,
        host: str | Path | None = None,
    ) -> str:
        """The way in as a `postgresql://` address: over TCP, or over the socket when `host` is its folder."""
        secret = "" if password is None else ":" + quote(password, safe="")
        who, where = quote(user, safe="") + secret, quote(database, safe="")
        if host is not None and str(host).startswith("/"):
            return f"postgresql://{who}@/{where}?host={quote(str(host), safe='')}&port={self.port}"
        return f"postgresql://{who}@{host or '127.0.0.1'}:{self.port}/{where}"

    async def connect(self, database: str = "postgres", user: str = superuser, **options: Any) -> Any:  # noqa: ANN401 - asyncpg ships no types
        """A connection of asyncpg; the caller closes it."""
        return await asyncpg.connect(self.dsn(database, user), timeout=60, **options)

    async def execute(self, sql: str, database: str = "postgres") -> None:
        """Run statements as the superuser, on a connection of their own."""
        connection = await self.connect(database)
        try:
            await connection.execute(sql, timeout=60)
        finally:
            await connection.close(timeout=60)

    def psql(self, sql: str, database: str = "postgres", user: str = superuser) -> str:
        """Run statements with psql, for where no event loop turns; the rows, unaligned."""
        options = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1")
        return run(self.bin_dir / "psql", *options, "-c", sql, self.dsn(database, user), cwd=self._home).strip()

    def configure(self, **settings: str) -> None:
        """Write settings into the configuration file; a running server is told to read it anew."""
        with (self.data_dir / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.reload()

    def reload(self) -> None:
        """Have a running server read its configuration files anew (SIGHUP)."""
        _signal(signal.SIGHUP, self._processes()[:1])

    def log_text(self) -> str:
        """What the server has logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _make(self, installation: Installation, hba: tuple[str, ...], primary: "Cluster | None") -> None:
        self._home.chmod(0o755)  # others than the servers' account connect through the socket
        for folder in (self._home, self.socket_dir):
            folder.mkdir(exist_ok=True)
            os.chown(folder, account().pw_uid, account().pw_gid)
        if primary is None:
            run("cp", "-a", "--reflink=auto", template(installation), self.data_dir, cwd=self._home)
        else:
            self._copy(primary)
        self.configure(**self.settings, port=str(self.port), unix_socket_directories=str(self.socket_dir))
        rules = self.data_dir / "pg_hba.conf"
        rules.write_text("\n".join([*hba, rules.read_text()]))

    def _copy(self, primary: "Cluster") -> None:
        self.settings = {**primary.settings, **self.settings}
        options = ("--write-recovery-conf", "--wal-method=stream", "--checkpoint=fast", "--no-sync")
        run(self.bin_dir / "pg_basebackup", *options, "-d", primary.dsn(), "-D", self.data_dir, cwd=self._home)

    def _answers(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError(f"PostgreSQL {self.major} did not start:\n{self.log_text()}")
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return False
        ours = lines[:1] == [str(self._server.pid)]  # a killed server leaves its file behind
        return ours and lines[7:8] != [] and lines[7].strip() in {"ready", "standby"}

    def _processes(self) -> list[psutil.Process]:
        """The postmaster first, then its children, which are sessions of their own."""
        if self._server is None or self._server.poll() is not None:
            return []
        postmaster = psutil.Process(self._server.pid)
        return [postmaster, *postmaster.children(recursive=True)]


def _signal(number: signal.Signals, processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _halt(processes: list[psutil.Process]) -> None:
    _signal(signal.SIGSTOP, processes)
    eventually_sync(lambda: all(_halted(process) for process in processes))


def _halted(process: psutil.Process) -> bool:
    with suppress(psutil.NoSuchProcess):
        return process.status() in {psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE}
    return True


def _guard(home: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["/bin/sh", "-c", GUARDIAN, "guardian", home],
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
