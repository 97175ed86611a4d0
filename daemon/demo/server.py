"""A PostgreSQL server to throw away: on a free port, in a folder of its own, gone when the demonstration is."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from backup.programs import account, as_account
from daemon.demo.programs import Programs, enterable
from toban.clock import SystemClock
from toban.errors import UnavailableError

ROLE = "toban"  # that the demonstration connects as
START_SECONDS = 30.0
STOP_SECONDS = 10.0
QUIT_SECONDS = 10.0
# Ends the server and removes the folder when our end of its pipe closes: also after a kill -9 of ours.
GUARDIAN = r"""
cat >/dev/null
if pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid" 2>/dev/null; then
    tries=0
    while [ $tries -lt 50 ] && kill -0 "$pid" 2>/dev/null; do sleep 0.1; tries=$((tries + 1)); done
fi
[ -n "$2" ] || rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"""


class DemoServer:
    """One server with an empty database. Its role is made later, by the steps of `toban setup postgresql`."""

    def __init__(self, programs: Programs, home: Path, port: int, *, keep: bool) -> None:
        self.home = home
        self.port = port
        self._keep = keep
        self._clock = SystemClock()
        self._server: subprocess.Popen[bytes] | None = None
        self._guardian = subprocess.Popen(  # noqa: S603 - our own words
            ["/bin/sh", "-c", GUARDIAN, "toban-demo-guardian", str(home), "keep" if keep else ""],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self.programs = enterable(programs, home / "programs")

    def dsn(self, role: str = ROLE) -> str:
        """The way in, over TCP on loopback."""
        return f"postgresql://{role}@127.0.0.1:{self.port}/shop"

    def start(self) -> None:
        """Make the cluster and wait until it answers."""
        self._make_folders()
        data = self.home / "data"
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8", "-D", str(data))
        with (data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in self._settings().items())
        with (self.home / "server.log").open("ab") as log:
            self._server = subprocess.Popen(  # noqa: S603 - our own words
                [self.programs.folder / "postgres", "-D", data],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **self._frame(),
            )
        self._await_ready()
        self._psql("postgres", "CREATE DATABASE shop")

    def stop(self) -> None:
        """End the server, and remove its folder unless it is to be kept."""
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(signal.SIGINT)
            try:
                self._server.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._server.send_signal(signal.SIGQUIT)  # which it obeys within five seconds, by its own SIGKILL
                self._server.wait(QUIT_SECONDS)
        self._guardian.communicate(timeout=QUIT_SECONDS)
        if not self._keep:
            shutil.rmtree(self.home, ignore_errors=True)

    def _settings(self) -> dict[str, str]:
        settings = {
            "port": str(self.port),
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self.home / "s"),
            "shared_buffers": "64MB",
            "max_connections": "40",
            "fsync": "off",  # nothing here is worth a disk's time
            "track_io_timing": "on",
        }
        if self.programs.has_statements:
            settings["shared_preload_libraries"] = "pg_stat_statements"
        return settings

    def _make_folders(self) -> None:
        self.home.mkdir(parents=True, exist_ok=True)
        self.home.chmod(0o755)
        owner = account()
        for folder in (self.home / "data", self.home / "s"):
            folder.mkdir(exist_ok=True)
            if owner is not None:
                os.chown(folder, owner.uid, owner.gid)

    def _await_ready(self) -> None:
        deadline = self._clock.monotonic() + START_SECONDS
        while self._clock.monotonic() < deadline and self._server is not None and self._server.poll() is None:
            if self._ready():
                return
            time.sleep(0.05)
        lines = (self.home / "server.log").read_text(errors="replace").strip().splitlines()
        raise UnavailableError("demo", f"PostgreSQL did not start: {lines[-1] if lines else 'it said nothing'}")

    def _ready(self) -> bool:
        try:
            lines = (self.home / "data" / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"  # noqa: PLR2004 - the file's eighth line is the state

    def _psql(self, database: str, statement: str) -> None:
        way = f"postgresql://postgres@127.0.0.1:{self.port}/{database}"
        self._run("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "-d", way, "-c", statement)

    def _run(self, program: str, *words: str) -> None:
        done = subprocess.run(  # noqa: S603 - our own words
            [self.programs.folder / program, *words],
            capture_output=True,
            text=True,
            timeout=START_SECONDS,
            check=False,
            **self._frame(),
        )
        if done.returncode != 0:
            raise UnavailableError("demo", f"{program} ended with {done.returncode}: {done.stderr.strip()[-300:]}")

    def _frame(self) -> dict[str, Any]:
        plain = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8", "HOME": str(self.home)}
        return {"cwd": str(self.home), "env": plain, **as_account()}
