"""`toban backup run` asks the running daemon, shows its progress, and ends as the backup did."""

import json
from pathlib import Path

import httpx
import pytest

from backup.errors import BackupError
from daemon.answers import backups_running as running
from tests.daemon.answers.keeps import FakeKeeping, kept_by
from tests.daemon.answers.kept import a_record, a_verification
from tests.daemon.answers.shelves import a_ledger
from tests.daemon.commanding import Ended, toban
from tests.daemon.running import running as real_daemon
from tests.waiting import eventually_sync
from toban.backups import Marks, Progress, Status, Trouble
from toban.errors import UnavailableError


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the state is, and with it the socket."""
    return tmp_path / "state.db"


@pytest.fixture
def config(tmp_path: Path, state: Path) -> Path:
    """A configuration with a repository."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{state}\ntimezone: Asia/Tokyo\nbackups: {{repository: {tmp_path}/repository}}\n")
    return path


def run(config: Path, *words: str, lang: str = "en") -> Ended:
    """The command."""
    return toban("-c", config, "--lang", lang, "backup", "run", *words)


def test_run_shows_progress_and_what_was_made(config: Path, state: Path) -> None:
    """Plain lines on standard error where it is no terminal; the answer on standard output."""
    progress = (
        Progress(phase="dump", total_bytes=4096, what="shop"),
        Progress(phase="dump", done_bytes=2048, total_bytes=4096, what="shop"),
        Progress(phase="tidy", what="x"),
    )
    record = a_record(marks=Marks(verification=a_verification()))
    with kept_by(state, FakeKeeping(ends=record, progress=progress)) as keeping:
        ended = run(config, "nightly", "--tag", "emergency")
    assert (ended.status, ended.out) == (0, f"{record.id} is made: 2 kB in 1 min, verified\n")
    assert ended.err == "dumping shop\ntidy x\n"
    assert keeping.asked[0][:2] == ("nightly", "emergency")


def test_run_speaks_japanese(config: Path, state: Path) -> None:
    """When asked to."""
    with kept_by(state, FakeKeeping(ends=a_record(), progress=(Progress(phase="dump", what="商店"),))):
        ended = run(config, "nightly", lang="ja")
    assert ended.out.endswith("を取得しました: 2 kB、所要 1分、保存済み\n")
    assert ended.err == "ダンプ 商店\n"


def test_run_gives_programs_the_record_alone(config: Path, state: Path) -> None:
    """Nothing on standard error."""
    with kept_by(state, FakeKeeping(ends=a_record(), progress=(Progress(phase="dump"),))):
        ended = run(config, "nightly", "--json")
    assert (ended.status, ended.err, json.loads(ended.out)["name"]) == (0, "", "nightly")


def test_run_that_made_a_damaged_one_is_not_fine(config: Path, state: Path) -> None:
    """1, and why."""
    with kept_by(state, FakeKeeping(ends=a_record(status=Status.DAMAGED, reason="1-shop.dump cannot be read"))):
        ended = run(config, "nightly")
    assert (ended.status, "is DAMAGED: 1-shop.dump cannot be read" in ended.out) == (1, True)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (BackupError("pg_dump", "failed", "look", trouble=Trouble.TOOL), 1, "toban: pg_dump: failed (look)\n"),
        (BackupError("/srv", "is gone", trouble=Trouble.REPOSITORY), 3, "toban: /srv: is gone\n"),
        (UnavailableError("x", "is away"), 3, "toban: x: is away\n"),
        (RuntimeError("x"), 1, "toban: internal fault: RuntimeError (the daemon's log has the rest)\n"),
    ],
)
def test_run_ends_as_the_backup_did(config: Path, state: Path, error: BaseException, status: int, line: str) -> None:
    """With the daemon's words, and the exit status of its trouble."""
    with kept_by(state, FakeKeeping(ends=error)):
        ended = run(config, "nightly")
    assert (ended.status, ended.out, ended.err) == (status, "", line)


def test_run_of_an_unknown_job_names_those_that_there_are(config: Path, state: Path) -> None:
    """1: there is no such item."""
    with kept_by(state, FakeKeeping()):
        ended = run(config, "nihgtly")
    assert (ended.status, ended.err) == (1, "toban: backup: none is called nihgtly (there are: nightly)\n")


def test_run_refuses_a_tag_that_is_none(config: Path) -> None:
    """2, before anybody is asked."""
    ended = run(config, "nightly", "--tag", "../x")
    assert (ended.status, ended.err.startswith("toban: --tag: '../x' is no tag")) == (2, True)


def test_run_that_is_given_up_says_that_the_daemon_goes_on(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """130: whoever stops waiting does not stop the daemon."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "tell_line_by_line", interrupted)
    with kept_by(state, FakeKeeping()):
        ended = run(config, "nightly")
    assert ended.status == 130
    assert ended.err.startswith("not waiting any longer; the daemon goes on with it (toban backup list)\n")


@pytest.mark.parametrize(
    ("events", "why"),
    [([], "stopped talking before the backup was made"), (["{half"], "broke off in the middle of a line")],
)
def test_a_daemon_that_dies_meanwhile_is_out_of_reach(
    config: Path, state: Path, monkeypatch: pytest.MonkeyPatch, events: list[str], why: str
) -> None:
    """3."""
    monkeypatch.setattr(running, "tell_line_by_line", lambda *_, **__: (json.loads(line) for line in events))
    with kept_by(state, FakeKeeping()):
        ended = run(config, "nightly")
    assert (ended.status, ended.err) == (3, f"toban: the daemon: {why} (toban backup list)\n")


@pytest.mark.integration
def test_a_real_daemon_makes_one(tmp_path: Path) -> None:
    """Asked over its local socket; it is in its list, in its status and in its metrics."""
    a_ledger(tmp_path / "ledger.db")
    configuration = (
        f"targets: [{{name: ledger, kind: sqlite, path: {tmp_path}/ledger.db}}]\n"
        f"backups: {{repository: {tmp_path}/repository, floor: 1MB}}\n"
    )
    with real_daemon(tmp_path, configuration) as daemon:
        eventually_sync((tmp_path / "repository" / "repository.json").exists)
        done = daemon.toban("backup", "run", "daily", "--tag", "出荷前", "--json")
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert (made["status"], made["belief"], made["tag"]) == ("ok", "verified", "出荷前")
        found = httpx.get(f"{daemon.url}/api/v1/backups?name=daily").json()
        assert [one["id"] for one in found] == [made["id"]]
        assert "asked for by" in daemon.log_path.read_text()
        eventually_sync(lambda: "toban_backup_last_success_timestamp_seconds{" in daemon.metrics())
        refused = daemon.toban("backup", "run", "dialy")
        assert (refused.returncode, "did you mean daily?" in refused.stderr) == (1, True)


def test_run_without_a_repository_is_a_mistake_of_the_configuration(tmp_path: Path) -> None:
    """2, and what to write."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{tmp_path}/state.db\n")
    ended = run(path, "nightly")
    assert (ended.status, ended.err) == (
        2,
        "toban: backups.repository: is not configured (name it there, or say --repository DIR)\n",
    )
