"""Real, throw-away MariaDB servers: each with its own data, port and socket, gone at the end whatever happens."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

import psutil
import pytest

from tests.clusters import STOP_SECONDS, _guard, _halt, _signal
from tests.installations import account, as_account, cached, environment, run
from tests.ports import free_port, give_back
from tests.skips import IMPOSSIBLE
from tests.waiting import eventually_sync

START_SECONDS = 120.0
LOCATIONS = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin"
ABSENCE = f"{IMPOSSIBLE}no MariaDB (root: apt-get install mariadb-server)"
# Small, quick and private; nothing of it is worth a disk's time.
SETTINGS: Mapping[str, str] = {
    "bind-address": "127.0.0.1",
    "skip-name-resolve": "1",
    "innodb-buffer-pool-size": "16M",
    "innodb-log-file-size": "8M",
    "innodb-flush-log-at-trx-commit": "0",
    "innodb-doublewrite": "0",
    "sync-binlog": "0",
    "key-buffer-size": "1M",
    "aria-pagecache-buffer-size": "1M",
    "max-connections": "20",
    "lc-messages": "en_US",
    "default-time-zone": "+00:00",
}


def program(name: str) -> Path | None:
    """A program of MariaDB's, if it is installed."""
    found = shutil.which(name, path=LOCATIONS)
    return Path(found) if found else None


def installed() -> bool:
    """Whether all that a server takes is here."""
    return all(program(name) for name in ("mariadbd", "mariadb-install-db", "mariadb"))


class Mariadb:
    """One server. It is made stopped; `start` it, and `remove` it in the end."""

    def __init__(self, settings: Mapping[str, str] | None = None) -> None:
        self.settings: dict[str, str] = {**SETTINGS, **(settings or {})}
        self.port = free_port()
        self.zone = "UTC"
        self._home = Path(tempfile.mkdtemp(prefix="toban-")).resolve()
        self.data_dir, self.socket_dir, self.log_file = (self._home / name for name in ("data", "s", "log"))
        self.temporary = self._home / "t"
        self.socket = self.socket_dir / "m"
        self._server: subprocess.Popen[bytes] | None = None
        self._guardian = _guard(self._home)
        try:
            self._make()
        except BaseException:
            self.remove()
            raise

    def start(self) -> None:
        """Start the server and wait until it answers."""
        with self.log_file.open("ab") as log:
            self._server = subprocess.Popen(
                [_path("mariadbd"), "--no-defaults", f"--datadir={self.data_dir}", *self._options()],
                cwd=self._home,
                env=environment() | {"TZ": self.zone},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_account(),
            )
        eventually_sync(self._answers, within_seconds=START_SECONDS)

    def stop(self) -> None:
        """Stop the server and wait until it is gone."""
        if self._server is not None:
            self.thaw()
            self._server.terminate()
            self._server.wait(STOP_SECONDS)
            self._server = None

    def kill(self) -> None:
        """End the server by SIGKILL: nothing is said to anybody, nothing is written."""
        if self._server is not None:
            self._server.kill()
            self._server.wait(STOP_SECONDS)
            self._server = None

    def freeze(self) -> None:
        """Stop the server in mid-breath (SIGSTOP): the kernel still takes connections, nobody answers."""
        _halt(self._processes())

    def thaw(self) -> None:
        """Let a frozen server go on."""
        _signal(signal.SIGCONT, self._processes())

    def remove(self) -> None:
        """End the server at once and remove all its files. It may be called twice."""
        with suppress(subprocess.TimeoutExpired):
            self.kill()
        if self._guardian.returncode is None:  # the second time the port may be another's
            self._guardian.communicate(timeout=STOP_SECONDS)
            give_back(self.port)

    def dsn(self, database: str = "", user: str = "root", password: str | None = None, **parameters: str) -> str:
        """The way in over TCP as a `mysql://` address."""
        secret = "" if password is None else ":" + quote(password, safe="")
        query = "&".join(f"{name.replace('_', '-')}={quote(value, safe='')}" for name, value in parameters.items())
        return f"mysql://{user}{secret}@127.0.0.1:{self.port}/{database}{'?' if query else ''}{query}"

    def sql(self, statements: str, database: str = "") -> str:
        """Run statements as root; the rows, tabs between their columns."""
        return run(_path("mariadb"), *self._client(), "--execute", statements, database, cwd=self._home).strip()

    def session(self, database: str = "") -> subprocess.Popen[bytes]:
        """A session of its own, which takes statements on its standard input; whoever starts it ends it."""
        return subprocess.Popen(
            [_path("mariadb"), *self._client(), "--unbuffered", database],
            cwd=self._home,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **as_account(),
        )

    def log_text(self) -> str:
        """What the server has logged so far."""
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def _client(self) -> tuple[str, ...]:
        return ("--no-defaults", "--batch", "--skip-column-names", f"--socket={self.socket}", "--user=root")

    def _options(self) -> Iterator[str]:
        places = {"port": str(self.port), "socket": str(self.socket), "pid-file": str(self._home / "pid")}
        places["tmpdir"] = str(self.temporary)  # in one that is shared, each that starts clears away the others' files
        for name, value in {**self.settings, **places}.items():
            yield f"--{name}={value}"

    def _make(self) -> None:
        self._home.chmod(0o755)  # others than the servers' account connect through the socket
        for folder in (self._home, self.socket_dir, self.temporary):
            folder.mkdir(exist_ok=True)
            os.chown(folder, account().pw_uid, account().pw_gid)
        run("cp", "-a", "--reflink=auto", _template(), self.data_dir, cwd=self._home)

    def _answers(self) -> bool:
        if self._server is None or self._server.poll() is not None:
            raise RuntimeError(f"MariaDB did not start:\n{self.log_text()}")
        try:
            return self.sql("select 1") == "1"
        except RuntimeError:
            return False

    def _processes(self) -> list[psutil.Process]:
        if self._server is None or self._server.poll() is not None:
            return []
        return [psutil.Process(self._server.pid)]


class NewMariadb(Protocol):
    """Makes a server for one test."""

    def __call__(self, *, start: bool = True, **settings: str) -> Mariadb:
        """Settings are options of the server, with _ for -."""
        ...


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Mariadb]:
    """A server that this worker's tests share, with performance_schema. Work in a schema of your own."""
    _expect_installed()
    server = Mariadb({"performance-schema": "ON"})
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def new_mariadb() -> Iterator[NewMariadb]:
    """Makes servers that this test alone has, and may break."""
    _expect_installed()
    with ExitStack() as stack:

        def make(*, start: bool = True, **settings: str) -> Mariadb:
            server = Mariadb({name.replace("_", "-"): value for name, value in settings.items()})
            stack.callback(server.remove)
            if start:
                server.start()
            return server

        yield make


def _expect_installed() -> None:
    if not installed():
        pytest.skip(ABSENCE)


def _path(name: str) -> Path:
    found = program(name)
    assert found is not None, name
    return found


def _template() -> Path:
    """A fresh data directory to copy from: making it takes seconds, a copy a tenth of one."""
    version = run(_path("mariadbd"), "--version", cwd=Path("/"))

    def install(folder: Path) -> None:
        options = ("--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve")
        with tempfile.TemporaryDirectory(prefix="toban-") as temporary:
            os.chown(temporary, account().pw_uid, account().pw_gid)
            more = ("--innodb-log-file-size=8M", f"--datadir={folder}", f"--tmpdir={temporary}")
            run(_path("mariadb-install-db"), *options, *more, cwd=Path("/"))

    return cached("template-mariadb", version, install)
