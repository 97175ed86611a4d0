"""The two that are compared: how each is started on the same server, and where it answers."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.scraping import Scraper
from bench.stage import Stage

EXPORTER = shutil.which("prometheus-postgres-exporter") or "prometheus-postgres-exporter"
TOBAN = str(Path(sys.executable).with_name("toban"))
START_SECONDS = 30.0
STOP_SECONDS = 12.0
POLL_SECONDS = 0.01


class SubjectError(Exception):
    """A subject did not start, or did not stay; its last words are the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """One that watches the server."""

    name: str
    role: str
    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A subject that runs and has seen the server."""

    subject: Subject
    pid: int
    port: int
    first_sample_seconds: float


def exporter(stage: Stage, folder: Path) -> Subject:
    """Debian's postgres_exporter, finding the databases by itself."""
    port = free_port()
    folder.mkdir(parents=True)
    return Subject(
        name="exporter",
        role="exporter",
        command=(EXPORTER, "--auto-discover-databases", f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"),
        environment={"DATA_SOURCE_NAME": stage.dsn("exporter") + "?sslmode=disable"},
        folder=folder,
        port=port,
    )


def toban(stage: Stage, folder: Path) -> Subject:
    """Toban at its defaults, its state in the folder."""
    port = free_port()
    folder.mkdir(parents=True)
    configuration = folder / "config.yaml"
    configuration.write_text(
        f"state: sqlite://{folder / 'state.db'}\n"
        f'http: {{listen: "127.0.0.1:{port}"}}\n'
        "targets:\n"
        f'  - {{name: main, kind: postgresql, dsn: "{stage.dsn("toban")}"}}\n'
    )
    return Subject(
        name="toban",
        role="toban",
        command=(TOBAN, "-c", str(configuration), "run"),
        environment={},
        folder=folder,
        port=port,
    )


@contextmanager
def running(subject: Subject) -> Iterator[Running]:
    """The subject, from its exec until it is stopped; handed over once it has said pg_up 1."""
    log = subject.folder / "log"
    with log.open("wb") as said:
        started = time.perf_counter()
        process = subprocess.Popen(
            subject.command, env=os.environ | subject.environment, cwd=subject.folder, stdout=said, stderr=said
        )
        try:
            _await_first_sample(subject, process, started, log)
            seconds = time.perf_counter() - started
            yield Running(subject=subject, pid=process.pid, port=subject.port, first_sample_seconds=seconds)
            _assert_alive(subject, process, log)
        except ProcessLookupError as error:
            _assert_alive(subject, process, log)
            raise SubjectError(f"another process than {subject.name} went away: {error}") from error
        finally:
            _stop(process)


def _await_first_sample(subject: Subject, process: subprocess.Popen[bytes], started: float, log: Path) -> None:
    scraper = Scraper(subject.port)
    while not scraper.ask().says("pg_up", 1):
        scraper.close()
        if process.poll() is not None or time.perf_counter() - started > START_SECONDS:
            raise SubjectError(f"{subject.name} did not say pg_up 1:\n{log.read_text()[-2000:]}")
        time.sleep(POLL_SECONDS)
    scraper.close()


def _assert_alive(subject: Subject, process: subprocess.Popen[bytes], log: Path) -> None:
    """Figures of one that died while they were taken are worth nothing."""
    if process.poll() is not None:
        raise SubjectError(f"{subject.name} ended by itself, status {process.returncode}:\n{log.read_text()[-2000:]}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port of the loopback that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
