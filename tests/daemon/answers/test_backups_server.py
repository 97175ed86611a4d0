"""What a real server left in a repository is looked at and given back; docs/restore.md is done as it stands."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from backup.programs import account
from backup.settings import Encryption
from tests.clusters import Cluster, absence
from tests.daemon.answers.servers import REPLICATION, SEGMENT, archived, backed_up
from tests.daemon.answers.shelves import a_ledger, stored
from tests.daemon.commanding import Ended, toban
from tests.installations import installations
from tests.ports import free_port
from tests.waiting import eventually_sync

PAGE = Path(__file__).parents[3] / "docs" / "restore.md"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TOKYO = ZoneInfo("Asia/Tokyo")
SCRIPT_SECONDS = 300.0
# What a test wants to know after a block, by a piece of the block: of which server, into which file.
RESTORED = "$PGBIN/psql -h 127.0.0.1 -p $PORT -U postgres shop"
PROBES = {
    "pg_last_xact_replay_timestamp": (RESTORED, "whole"),
    '--dbname="${SERVER%/*}/shop_by_hand"': ("psql ${SERVER%/*}/shop_by_hand", "dump-by-hand"),
    "recovery_target_action = 'promote'": (RESTORED, "base-by-hand"),
}
COUNT = "SELECT count(*) FROM orders"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A server whose table was emptied by mistake, and what is in the repository."""

    home: Path
    cluster: Cluster
    moment: str
    values: dict[str, str]


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """A thousand orders in the base backup, ten more before the moment, five after it; then all of them are gone."""
    if 15 not in installations() or not installations()[15].has_contrib:
        pytest.skip(absence(15))
    if shutil.which("zstd") is None:
        pytest.skip("this machine cannot: no zstd (apt-get install zstd)")
    home = Path(tempfile.mkdtemp(prefix="toban-"))
    home.chmod(0o755)
    cluster = Cluster(installations()[15], settings={"max_wal_senders": "4"}, hba=REPLICATION)
    try:
        cluster.start()
        yield _prepared(home, cluster)
    finally:
        cluster.remove()
        shutil.rmtree(home)


def _prepared(home: Path, cluster: Cluster) -> Scene:
    root = home / "repository"
    cluster.psql("CREATE DATABASE shop")
    cluster.psql(
        'CREATE TABLE orders AS SELECT generate_series(1, 1000) AS id; CREATE TABLE "受注 明細" (x int)', "shop"
    )
    base = backed_up(cluster, root, name="base", method="base")
    cluster.psql("INSERT INTO orders SELECT generate_series(1001, 1010)", "shop")
    noted = datetime.fromisoformat(cluster.psql("SELECT clock_timestamp()"))
    cluster.psql("INSERT INTO orders SELECT generate_series(1011, 1015)", "shop")
    dump = backed_up(cluster, root, name="nightly", method="dump", compress="zstd")
    cluster.psql("DELETE FROM orders", "shop")
    archived(cluster, root)
    ledger = stored(root, a_ledger(home / "ledger.db"), name="daily-ledger", compress="zstd")
    moment = (noted + timedelta(microseconds=1)).astimezone(TOKYO).isoformat()
    values = {
        "REPO": str(root),
        "BASE": base.id,
        "MOMENT": moment,
        "NEW": f"{home}/new",
        "PGBIN": str(cluster.bin_dir),
        "PORT": str(free_port()),
        "DUMP": dump.id,
        "SERVER": cluster.dsn(),
        "LEDGER": ledger.id,
        "BYHAND": f"{home}/by-hand",
    }
    return Scene(home=home, cluster=cluster, moment=moment, values=values)


def script(scene: Scene) -> str:
    """The page's blocks, one after the other, with this machine's places; and what a test wants to know."""
    blocks = BLOCK.findall(PAGE.read_text())
    lines = ["set -eux"]
    for block in blocks:
        lines.append(_here(block, scene))
        probes = [probe for key, probe in PROBES.items() if key in block]
        lines += [f'{way} -Atc "{COUNT}" > {scene.home}/{name}' for way, name in probes]
    return "\n".join(lines)


def _here(block: str, scene: Scene) -> str:
    for name, value in scene.values.items():
        block = re.sub(rf"^{name}=\S+", f"{name}='{value}'", block, flags=re.MULTILINE)
    return block.replace("/srv/ledger/", f"{scene.home}/")


def programs(folder: Path) -> Path:
    """`sudo` and `chown` as this machine can: the servers' account by its own name, or nobody to change to."""
    folder.mkdir()
    who = account()
    become = f"setpriv --reuid={who.uid} --regid={who.gid} --clear-groups" if who is not None else "env"
    give = f"/bin/chown --recursive {who.uid}:{who.gid}" if who is not None else ":"
    (folder / "sudo").write_text(f'#!/bin/sh\nshift 2\nexec {become} "$@"\n')
    (folder / "chown").write_text(f'#!/bin/sh\n{give} "$3"\n')
    for path in folder.iterdir():
        path.chmod(0o755)
    return folder


def typed(scene: Scene, *words: object) -> Ended:
    """A command on the repository alone."""
    return toban("--lang", "en", *words, "--repository", scene.values["REPO"], TZ="Asia/Tokyo")


@pytest.mark.integration
def test_wal_status_has_the_fields_of_the_contract(scene: Scene) -> None:
    """Timelines with their ranges, gaps, and what can be reached; times in the zone."""
    ended = typed(scene, "wal", "status", "--json")
    found = json.loads(ended.out)
    assert ended.status == 0
    (timeline,) = found["timelines"]
    assert (timeline["id"], {"from", "to"} <= set(timeline["ranges"][0])) == (1, True)
    assert found["gaps"] == []
    (span,) = found["reachable"]
    assert span["backup"] == scene.values["BASE"]
    assert span["from"].endswith("+09:00")
    assert span["from"] <= span["to"]
    assert found["targets"][0]["ok"]


@pytest.mark.integration
def test_wal_status_draws_the_map(scene: Scene) -> None:
    """A line for the timeline, a mark for the backup, and a sentence."""
    said = typed(scene, "wal", "status").out
    assert said.startswith("main: any moment from ")
    assert re.search(r"^timeline 1 +[█▌]", said, re.MULTILINE)
    assert re.search(r"^backups +▲", said, re.MULTILINE)
    assert "no gaps" in said


@pytest.mark.integration
def test_wal_status_names_what_is_lost(scene: Scene) -> None:
    """A segment from the middle of the chain is gone: 1, and which."""
    place = Path(scene.values["REPO"], "main", "wal")
    segments = sorted(path for path in place.iterdir() if SEGMENT.match(path.name))
    away = segments[-2].rename(scene.home / segments[-2].name)
    try:
        ended = typed(scene, "wal", "status", "--json")
        (gap,) = json.loads(ended.out)["gaps"]
        assert (ended.status, gap["kind"], gap["segments"]) == (1, "lost", 1)
        said = typed(scene, "wal", "status")
        assert (said.status, "LOST" in said.out) == (1, True)
        target = scene.home / "refused"
        words = ("restore", scene.values["BASE"], "--data-dir", target, "--to-latest")
        refused = typed(scene, *words)
        assert (refused.status, target.exists()) == (1, False)
        assert "WAL is missing" in refused.err
        dry = json.loads(typed(scene, *words, "--dry-run", "--json").out)
        assert [check["name"] for check in dry["checks"] if check["ok"] is False] == ["wal"]
    finally:
        away.rename(segments[-2])


@pytest.mark.integration
def test_wal_status_of_a_target_that_there_is_not(scene: Scene) -> None:
    """1, with those that there are; the folder in which is noted what was read of the WAL is none."""
    Path(scene.values["REPO"], ".toban", "wal").mkdir(parents=True, exist_ok=True)
    ended = typed(scene, "wal", "status", "--target", "shop")
    assert (ended.status, ended.err) == (1, "toban: WAL: none is kept of shop (there is: main)\n")


@pytest.mark.integration
def test_restore_before_the_backup_names_the_reason(scene: Scene) -> None:
    """A moment that lies before every backup is refused before anything is touched."""
    words = ("--data-dir", scene.home / "refused", "--to-time", "2026-01-01T00:00:00Z")
    ended = typed(scene, "restore", scene.values["BASE"], *words)
    assert (ended.status, (scene.home / "refused").exists()) == (1, False)
    assert "after the moment asked for; no earlier one is there" in ended.err


@pytest.mark.integration
def test_restore_into_a_server_that_is_away_cannot_be_reached(scene: Scene) -> None:
    """3; the password is in nothing that is said."""
    dsn = f"postgresql://postgres:geheim@127.0.0.1:{free_port()}/postgres"
    words = ("restore", scene.values["DUMP"], "--into", dsn, "--database", "shop", "--as", "x")
    ended = typed(scene, *words)
    assert ended.status == 3
    assert "geheim" not in ended.out + ended.err
    dry = typed(scene, *words, "--dry-run", "--json")
    assert (dry.status, json.loads(dry.out)["ok"], "geheim" in dry.out) == (3, False, False)


@pytest.mark.integration
def test_wal_is_pushed_and_fetched_by_the_configuration(scene: Scene, tmp_path: Path) -> None:
    """The long way round leaves a digest for the quick one; what is not there is 1, what cannot be told 126."""
    config = tmp_path / "config.yaml"
    config.write_text(
        f"""
state: sqlite://{tmp_path}/state.db
targets: [{{name: main, kind: postgresql, dsn: "{scene.cluster.dsn()}"}}]
backups:
  repository: {tmp_path}/repository
  jobs: [{{name: wal, target: main, method: wal, mode: archive, compress: none}}]
"""
    )
    place = Path(scene.values["REPO"], "main", "wal")
    name = min(path.name for path in place.iterdir() if SEGMENT.match(path.name))[:24]
    (tmp_path / "repository").mkdir()
    (tmp_path / "repository" / "repository.json").touch()  # else its disk may not be mounted
    words = ("-c", config, "wal")
    assert toban(*words, "push", scene.cluster.data_dir / "pg_wal" / name).status == 0
    assert (tmp_path / "repository" / "main" / "wal" / name).stat().st_size == 16 * 1024 * 1024
    assert (tmp_path / "state.wal.json").exists()
    assert toban(*words, "fetch", name, tmp_path / "back").status == 0
    assert (tmp_path / "back").stat().st_size == 16 * 1024 * 1024
    assert toban(*words, "fetch", "00000001000000FF000000FF", tmp_path / "x").status == 1
    config.write_text("targets: 7\n")
    broken = toban(*words, "fetch", name, tmp_path / "x")
    assert (broken.status, broken.err.startswith("toban: ")) == (126, True)
    assert 0 < toban(*words, "push", scene.cluster.data_dir / "pg_wal" / name).status <= 125


@pytest.mark.integration
def test_an_encrypted_server_comes_back_by_the_identity_alone(scene: Scene, tmp_path: Path) -> None:
    """The backup and its WAL, on a machine that knows nothing but the folder and the key."""
    if shutil.which("age-keygen") is None:
        pytest.skip("this machine cannot: no age (apt-get install age)")
    key, root = tmp_path / "key", scene.home / "sealed"
    made = subprocess.run(["age-keygen", "-o", key], capture_output=True, text=True, check=True)
    recipients = (made.stderr.strip().rpartition(" ")[2],)
    sealed = Encryption(method="age", recipients=recipients)
    base = backed_up(scene.cluster, root, name="base", method="base", encryption=sealed)
    archived(scene.cluster, root, recipients=recipients)
    words = ("restore", base.id, "--repository", root, "--to-latest", "--json")
    refused = toban(*words, "--data-dir", scene.home / "locked")
    assert (refused.status, (scene.home / "locked").exists()) == (2, False)
    ended = toban(*words, "--data-dir", scene.home / "opened", "--identity", key)
    assert ended.status == 0, ended.err
    assert json.loads(ended.out)["detail"]["wal"] in {"staged", "fetched"}
    assert (scene.home / "opened" / "PG_VERSION").read_text() == "15\n"
    assert toban("wal", "status", "--repository", root, "--json").status == 0


def with_servers(scene: Scene, folder: Path, dsn: str) -> Path:
    """A configuration that knows the server as well."""
    config = folder / "config.yaml"
    config.write_text(
        f"""
state: sqlite://{folder}/state.db
targets: [{{name: main, kind: postgresql, dsn: "{dsn}"}}]
backups: {{repository: {scene.values["REPO"]}, jobs: [{{name: wal, target: main, method: wal}}]}}
"""
    )
    return config


@pytest.mark.integration
def test_wal_status_asks_the_server_where_it_is_known(scene: Scene, tmp_path: Path) -> None:
    """What the server has and the repository has not yet is told; a server that is away is a note."""
    here = with_servers(scene, tmp_path, scene.cluster.dsn())
    found = json.loads(toban("-c", here, "wal", "status", "--json").out)
    assert (found["targets"][0]["notes"], found["targets"][0]["lag_seconds"] is not None) == ([], True)
    away = with_servers(scene, tmp_path, f"postgresql://postgres:geheim@127.0.0.1:{free_port()}/postgres")
    ended = toban("-c", away, "--lang", "en", "wal", "status")
    assert ended.status == 0
    assert "********@127.0.0.1" in ended.out
    assert "geheim" not in ended.out


@pytest.mark.integration
def test_a_run_that_is_ended_leaves_nothing_behind(scene: Scene, tmp_path: Path) -> None:
    """130; no partial, no program that goes on; the list says that it was stopped."""
    config = with_servers(scene, tmp_path, scene.cluster.dsn())
    own = tmp_path / "repository"
    jobs = "[{name: nightly, target: main, method: dump, databases: [held], lock_wait: 1m}]"
    config.write_text(
        re.sub(r"backups: .*", f"backups: {{repository: {own}, floor: 1MB, jobs: {jobs}}}", config.read_text())
    )
    scene.cluster.psql("CREATE DATABASE held")
    scene.cluster.psql("CREATE TABLE held (x int)", "held")
    words = [sys.executable, "-m", "daemon", "-c", str(config), "backup", "run", "nightly"]
    lock = ["psql", "-c", "BEGIN; LOCK TABLE held; SELECT pg_sleep(600)", scene.cluster.dsn("held")]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'held' AND wait_event_type = 'Lock'"
    with subprocess.Popen(lock, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as holding:
        try:
            eventually_sync(
                lambda: scene.cluster.psql("SELECT count(*) FROM pg_locks WHERE mode LIKE 'AccessEx%'") != "0"
            )
            with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
                eventually_sync(lambda: scene.cluster.psql(waiting) != "0")
                assert [path.suffix for path in own.glob("main/dump/*")] == [".partial"]
                run.send_signal(signal.SIGTERM)
                said = run.communicate(timeout=120)
            assert (run.returncode, said[0]) == (130, "")
            assert list(own.glob("main/dump/*")) == []
            eventually_sync(lambda: scene.cluster.psql(waiting) == "0")
        finally:
            holding.kill()
    (one,) = json.loads(toban("backup", "list", "--repository", own, "--json").out)
    assert (one["status"], one["trouble"]) == ("failed", "cancelled")
    scene.cluster.psql("DROP DATABASE held WITH (FORCE)")


@pytest.mark.integration
def test_page_brings_back_what_was_lost(scene: Scene, tmp_path: Path) -> None:
    """Up to the very moment; beside the broken one; by Toban and by hand. No daemon, no state, no configuration."""
    path = f"{programs(tmp_path / 'bin')}:{Path(sys.executable).parent}:{scene.cluster.bin_dir}:{os.environ['PATH']}"
    done = subprocess.run(
        ["/bin/bash", "-c", script(scene)],
        cwd=tmp_path,
        env={"PATH": path, "HOME": str(tmp_path), "LC_ALL": "C.UTF-8", "TZ": "America/New_York"},
        capture_output=True,
        text=True,
        timeout=SCRIPT_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
    found = {name: (scene.home / name).read_text().strip() for name in ("whole", "dump-by-hand", "base-by-hand")}
    assert found == {"whole": "1010", "dump-by-hand": "1015", "base-by-hand": "1010"}
    assert scene.cluster.psql(COUNT, "shop") == "1015"
    assert scene.cluster.psql(COUNT, "shop_broken") == "0"
    assert scene.cluster.psql(COUNT, "shop_orders") == "1015"
    assert (scene.home / "restored.db").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["bin"]


def test_page_is_wholly_run() -> None:
    """Every command of the page stands in a block that the test runs, and every probe finds its block."""
    text = PAGE.read_text()
    assert len(re.findall(r"^```\w*$", text, re.MULTILINE)) == 2 * len(BLOCK.findall(text))
    assert [key for key in PROBES if key not in text] == []
