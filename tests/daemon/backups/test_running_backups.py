"""The real daemon with real backups: stopped and killed in the middle, two at once, failing, and its memory."""

import asyncio
import json
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from backup.repository.description import describe
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.daemon.running import Daemon, ready
from tests.waiting import eventually_sync
from toban.clock import SystemClock

pytestmark = pytest.mark.integration
DAY = 86400.0
SLOW = "{name: base, target: main, method: base, compress: none, schedule: '0 2 * * *', bandwidth: 200kB, nice: 0}"
QUICK = "{name: base, target: main, method: base, compress: none, schedule: '0 2 * * *', nice: 0}"


@pytest.fixture
def server(new_cluster: NewCluster) -> Cluster:
    """A server that can be backed up whole; some 30 MB, which take minutes at 200 kB/s."""
    return new_cluster(15, settings={"wal_level": "replica", "max_wal_senders": "4", "full_page_writes": "on"})


@pytest.fixture
def new_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons, each with a home of its own, that are gone in the end."""
    daemons: list[Daemon] = []

    def make(configuration: str, *, home: str = "home", start: bool = True) -> Daemon:
        place = tmp_path / home
        place.mkdir(exist_ok=True)
        daemon = Daemon(place, f"node: db1\nlog: {{format: json}}\n{configuration}")
        daemons.append(daemon)
        if start:
            daemon.start()
            eventually_sync(lambda: ready(daemon))
        return daemon

    yield make
    for daemon in daemons:
        if daemon.process is not None and daemon.process.poll() is None:
            daemon.kill()


def backing_up(server: Cluster, repository: Path, *jobs: str) -> str:
    """A configuration with these jobs alone."""
    targets = f'targets: [{{name: main, kind: postgresql, dsn: "{server.dsn()}"}}]'
    return f"{targets}\nbackups: {{repository: {repository}, floor: 1MB, jobs: [{', '.join(jobs)}]}}\n"


def known_for_days(repository: Path, *names: str) -> None:
    """As if these jobs were there for three days and had never run: then they are missed at the start."""
    now = SystemClock().now()
    describe(repository, now)
    schedules = repository / ".toban" / "schedules"
    schedules.mkdir(parents=True, exist_ok=True)
    since = now - 3 * DAY
    (schedules / "db1.json").write_text(json.dumps({name: {"known_since": since} for name in names}))


def listed(daemon: Daemon, *words: str) -> list[dict[str, Any]]:
    """`toban backup list --json`, oldest first."""
    done = daemon.toban("backup", "list", "--json", *words)
    assert done.returncode == 0, done.stderr
    return list(reversed(json.loads(done.stdout)))


def working_on(place: Path) -> list[psutil.Process]:
    """The processes whose words name this place."""
    processes = psutil.process_iter(["cmdline"])
    return [one for one in processes if any(str(place) in word for word in one.info["cmdline"] or ())]


def half_made(repository: Path) -> list[Path]:
    """What looks like a backup, and what is on its way to one."""
    return list(repository.glob("main/base/*"))


def slots(server: Cluster) -> list[str]:
    """The slots that the server keeps WAL for."""

    async def ask() -> list[str]:
        connection = await server.connect()
        try:
            return [row["slot_name"] for row in await connection.fetch("select slot_name from pg_replication_slots")]
        finally:
            await connection.close(timeout=60)

    return asyncio.run(ask())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_daemon_that_ends_in_the_middle_of_a_backup_makes_it_after_the_restart(
    server: Cluster, tmp_path: Path, new_daemon: Callable[..., Daemon], number: signal.Signals
) -> None:
    """Every program it started ends with it; nothing half-made looks whole; the missed run is caught up, once."""
    repository = tmp_path / "repository"
    known_for_days(repository, "base")
    daemon = new_daemon(backing_up(server, repository, SLOW))
    eventually_sync(lambda: [place for place in half_made(repository) if any(place.iterdir())])
    eventually_sync(lambda: slots(server))
    assert working_on(repository)
    if number is signal.SIGTERM:
        assert daemon.stop() == 0
        assert half_made(repository) == []
    else:
        daemon.kill()
        assert [path.suffix for path in half_made(repository)] == [".partial"]
    eventually_sync(lambda: not working_on(repository) and not slots(server))
    assert [one["status"] for one in listed(daemon)] == (["failed"] if number is signal.SIGTERM else [])

    daemon.write(f"node: db1\nlog: {{format: json}}\n{backing_up(server, repository, QUICK)}")
    daemon.start()
    eventually_sync(daemon.brings('toban_backup_size_bytes{backup="base",target="main"}', beyond=1e6))
    first, second = listed(daemon)
    assert [first["status"], second["status"]] == ["failed", "ok"]
    assert second["verified_at"] is not None
    assert [path.name for path in half_made(repository)] == [second["id"]]
    assert daemon.stop() == 0
    assert len(daemon.told("backup_made")) == 1


def test_two_daemons_are_never_at_work_on_one_target(
    server: Cluster, tmp_path: Path, new_daemon: Callable[..., Daemon]
) -> None:
    """The second is told who is at it; when that one is killed, the turn is free again."""
    repository = tmp_path / "repository"
    known_for_days(repository, "base")
    first = new_daemon(backing_up(server, repository, SLOW), home="first")
    eventually_sync(lambda: half_made(repository))
    second = new_daemon(backing_up(server, repository, QUICK), home="second", start=False)
    refused = second.toban("backup", "run", "base")
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("toban: main: ")
    assert "is at work there: backup base" in refused.stderr
    assert len(half_made(repository)) == 1
    first.kill()
    made = second.toban("backup", "run", "base", "--json")
    assert made.returncode == 0, made.stderr
    assert [path.name for path in half_made(repository)] == [json.loads(made.stdout)["id"]]


LEDGER = """
targets:
  - {{name: ledger, kind: sqlite, path: {home}/ledger.db}}
  - {{name: gone, kind: sqlite, path: {home}/gone.db}}
backups:
  repository: {home}/repository
  floor: 1MB
  jobs:
    - {{name: nightly, target: ledger, method: dump, compress: none, schedule: "0 2 * * *"}}
    - {{name: hopeless, target: gone, method: dump, schedule: "0 2 * * *"}}
alerts:
  defaults: false
  rules:
    - {{name: failed, metric: toban_backup_failures, warning: "> 0", summary: "{{target}}: {{backup}} failed"}}
    - name: asked
      metric: toban_sqlite_size_bytes
      warning: "> 0B"
      actions: {{warning: [{{backup: nightly}}]}}
"""


def a_ledger(path: Path, *, rows: int = 100, each_bytes: int = 100) -> Path:
    """An SQLite file of incompressible rows."""
    connection = sqlite3.connect(path)
    with connection:
        connection.execute("create table t(a)")
        connection.executemany("insert into t values (randomblob(?))", ((each_bytes,) for _ in range(rows)))
    connection.close()
    return path


def asked(daemon: Daemon, what: str) -> list[dict[str, Any]]:
    """What the daemon answers over HTTP."""
    found: list[dict[str, Any]] = httpx.get(f"{daemon.url}/api/v1/{what}", timeout=60).json()
    return found


def test_alert_makes_a_backup_and_a_failing_job_makes_an_alert(
    tmp_path: Path, new_daemon: Callable[..., Daemon]
) -> None:
    """The action goes through the outbox, once; what failed is told with its reason in a sentence."""
    a_ledger(tmp_path / "ledger.db")
    daemon = new_daemon(LEDGER.format(home=tmp_path))
    eventually_sync(lambda: [one["status"] for one in asked(daemon, "backups")] == ["ok"])
    assert [begun["why"] for begun in daemon.told("backup_begun")] == ["alert asked ledger"]

    refused = daemon.toban("backup", "run", "hopeless")
    assert refused.returncode == 1
    reason = refused.stderr.splitlines()[-1].removeprefix("toban: ")
    (alert,) = eventually_sync(
        lambda: [one for one in asked(daemon, "alerts") if (one["rule"], one["state"]) == ("failed", "firing")],
    )
    assert (alert["summary"], alert["labels"]) == ("gone: hopeless failed", {"backup": "hopeless"})
    events = eventually_sync(lambda: json.loads(daemon.toban("events", "--json").stdout))
    assert [(one["kind"], one["subject"], one["after"]) for one in events] == [("backup_failed", "hopeless", reason)]
    status = json.loads(daemon.toban("status", "--json").stdout)
    (backups,) = [one for one in status["components"] if one["name"] == "backups"]
    assert (backups["state"], backups["reason"]) == ("warning", f"hopeless failed: {reason}")
    assert daemon.stop() == 0


def test_memory_of_the_daemon_stays_while_it_backs_up(tmp_path: Path, new_daemon: Callable[..., Daemon]) -> None:
    """100 MB of what no compression makes smaller go through it in pieces: it grows by 20 MB at most."""
    a_ledger(tmp_path / "ledger.db", rows=200, each_bytes=500_000)
    daemon = new_daemon(LEDGER.format(home=tmp_path).partition("alerts:")[0])
    assert daemon.process is not None
    process = psutil.Process(daemon.process.pid)
    before = most = process.memory_info().rss
    words = [sys.executable, "-m", "daemon", "-c", str(daemon.config), "backup", "run", "nightly", "--json"]
    with (tmp_path / "said").open("wb") as said:
        asking = psutil.Popen(words, env=daemon.environment, stdout=said, stderr=said)
        while asking.poll() is None:
            most = max(most, process.memory_info().rss)
            threading.Event().wait(0.01)
    made = json.loads((tmp_path / "said").read_text())
    assert (made["status"], made["size_bytes"] > 100_000_000) == ("ok", True)
    assert most - before < 20 * 1024**2, f"grown by {(most - before) / 1024**2:.1f} MB"
    assert daemon.stop() == 0
