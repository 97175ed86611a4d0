"""`toban backup run|prune|prove|copies|pull` and `toban drill` do the work themselves where no daemon runs."""

import json
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from backup.engines.files import FROM_ENVIRONMENT, RESTIC
from backup.programs import Programs
from backup.proof import place as places
from tests.daemon.answers.shelves import a_ledger
from tests.daemon.commanding import Ended, toban
from tests.skips import IMPOSSIBLE

pytestmark = pytest.mark.integration  # whole repositories, copies, restores
ROOT_ALONE = pytest.mark.skipif(os.geteuid() != 0, reason=f"{IMPOSSIBLE}only root becomes somebody else")
CONTRACT_OF_DRILL = ("ok", "checks", "rpo_seconds", "rto_seconds", "phases")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """With an SQLite file, and a configuration that backs it up, copies it and drills."""
    a_ledger(tmp_path / "ledger.db")
    reachable = Path(tempfile.mkdtemp(prefix="toban-"))  # for whom scratch servers run as, who may not enter pytest's
    reachable.chmod(0o755)
    (tmp_path / "config.yaml").write_text(
        f"""
state: sqlite://{tmp_path}/state.db
timezone: Asia/Tokyo
targets: [{{name: ledger, kind: sqlite, path: {tmp_path}/ledger.db}}]
backups:
  repository: {tmp_path}/repository
  floor: 1MB
  jobs:
    - {{name: daily, target: ledger, method: dump, compress: none, keep: {{for: 7d, at_least: 1}}}}
    - {{name: never, target: ledger, method: dump, compress: none}}
  copies: [{{name: offsite, path: {tmp_path}/offsite}}]
  drills: [{{name: quarterly, backup: daily}}]
  proof: {{workspace: {reachable}/work}}
"""
    )
    yield tmp_path
    shutil.rmtree(reachable)


def typed(home: Path, *words: object, lang: str = "en") -> Ended:
    """The command."""
    return toban("-c", home / "config.yaml", "--lang", lang, *words)


def told(home: Path, *words: object, status: int = 0) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """What it answers to programs."""
    ended = typed(home, *words, "--json")
    assert ended.status == status, ended.err
    return json.loads(ended.out)


def test_run_makes_verifies_and_copies_it(home: Path) -> None:
    """With the tag; it lies where the contract says, with nobody else let in."""
    made = told(home, "backup", "run", "daily", "--tag", "emergency")
    assert (made["status"], made["belief"], made["tag"]) == ("ok", "verified", "emergency")
    folder = home / "repository" / "ledger" / "dump" / made["id"]
    assert (folder / "manifest.json").exists()
    assert {oct(path.stat().st_mode & 0o777) for path in folder.iterdir()} == {"0o600"}
    assert oct(folder.stat().st_mode & 0o777) == "0o700"
    assert list(made["copies"]) == ["offsite"]
    assert (home / "offsite" / "ledger" / "dump" / made["id"] / "manifest.json").exists()


def test_run_that_fails_says_why_and_is_listed(home: Path) -> None:
    """1, one line; an attempt stays in the list, and nothing else."""
    (home / "ledger.db").write_bytes(b"this is no database, and never was one" * 100)
    ended = typed(home, "backup", "run", "daily")
    assert (ended.status, ended.out) == (1, "")
    assert [line for line in ended.err.splitlines() if line.startswith("toban: ")] == ended.err.splitlines()[-1:]
    (one,) = told(home, "backup", "list")
    assert (one["status"], one["name"], one["files"]) == ("failed", "daily", [])
    assert one["reason"]
    assert "FAILED" in typed(home, "backup", "list").out


def test_list_before_there_was_a_backup_says_what_makes_one(home: Path) -> None:
    """3: its folder is not there. Once it was, a folder that is gone is a disk that is not mounted."""
    ended = typed(home, "backup", "list")
    hint = "the first backup makes it: toban backup run NAME, or the daemon"
    assert (ended.status, ended.err) == (3, f"toban: {home}/repository: there is no such folder ({hint})\n")
    told(home, "backup", "run", "daily")
    (home / "repository").rename(home / "unplugged")
    ended = typed(home, "backup", "list")
    assert (ended.status, "is it mounted?" in ended.err) == (3, True)


def test_run_of_a_job_that_there_is_not_names_the_nearest(home: Path) -> None:
    """1."""
    ended = typed(home, "backup", "run", "dialy")
    assert (ended.status, ended.err) == (
        1,
        "toban: backup: none is called dialy; did you mean daily? (there are: daily, never)\n",
    )


def test_prove_restores_it_and_says_so(home: Path) -> None:
    """By its id; and the newest of each job that has one, when none is named."""
    made = told(home, "backup", "run", "daily")
    proof = told(home, "backup", "prove", made["id"])
    assert (proof["verdict"], proof["backup"]) == ("proven", made["id"])
    assert told(home, "backup", "list")[0]["belief"] == "proven"
    ended = typed(home, "backup", "prove")
    assert (ended.status, f"{made['id']} is PROVEN: " in ended.out) == (0, True)
    show = typed(home, "backup", "show", made["id"]).out
    assert "Proof" in show


@ROOT_ALONE
def test_state_that_is_closed_to_the_servers_account_stands_in_no_proofs_way(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor in a drill's: root makes a folder elsewhere, gone afterwards; but goes by the one that somebody has named."""
    text = (home / "config.yaml").read_text()
    reachable = Path(re.findall("workspace: (.*)/work}", text)[0])
    monkeypatch.setattr(places, "SPARE", reachable / "spare")
    (home / "config.yaml").write_text(text.replace("  proof:", "  #proof:"))
    told(home, "backup", "run", "daily")
    assert told(home, "backup", "prove")[0]["verdict"] == "proven"
    assert told(home, "drill")["ok"] is True
    assert list(reachable.iterdir()) == []
    home.chmod(0o700)
    (home / "config.yaml").write_text(text.replace(f"{reachable}/work", f"{home}/closed"))
    ended = typed(home, "backup", "prove")
    assert (ended.status, "could not be decided: " in ended.out, "may not pass through" in ended.out) == (1, True, True)
    assert "0 s: " not in ended.out  # nothing could be done, so nothing took any time


def test_prove_with_nothing_to_prove_is_no_pass(home: Path) -> None:
    """1."""
    ended = typed(home, "backup", "prove")
    assert (ended.status, ended.err) == (
        1,
        "toban: prove: there is no backup yet that could be (toban backup run NAME makes one)\n",
    )


def test_drill_measures_and_is_kept(home: Path) -> None:
    """RPO and RTO against their goals; the past ones are listed."""
    made = told(home, "backup", "run", "daily")
    assert "no drill has been held" in typed(home, "drill", "--past").out
    one = told(home, "drill", "quarterly")
    assert (one["ok"], one["backup"], one["name"]) == (True, made["id"], "quarterly")
    assert set(CONTRACT_OF_DRILL) < set(one)
    assert (one["rpo_goal_seconds"], one["rto_goal_seconds"]) == (900.0, 1800.0)
    assert 0 <= one["rto_seconds"] < 1800
    assert [past["id"] for past in told(home, "drill", "--past")] == [one["id"]]
    said = typed(home, "drill").out
    assert f"quarterly: {made['id']} came back up to " in said
    assert "goal 15 min" in said
    assert "met" in typed(home, "drill", "--past").out


def test_drill_without_a_backup_has_failed(home: Path) -> None:
    """1, and why."""
    ended = typed(home, "drill", "quarterly")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("toban: ")
    assert typed(home, "drill", "yearly").err == (
        "toban: drill: none is called yearly, and no job (there are: quarterly, daily, never)\n"
    )


def test_drills_are_told_with_the_worst_of_their_figures(home: Path) -> None:
    """Of several; a goal that is missed is a check of its own, and 1."""
    text = (home / "config.yaml").read_text()
    another = "{name: quarterly, backup: daily}, {name: hopeless, backup: daily, rto_goal: 1ms}"
    (home / "config.yaml").write_text(text.replace("{name: quarterly, backup: daily}", another))
    told(home, "backup", "run", "daily")
    both = told(home, "drill", status=1)
    assert (both["ok"], [one["ok"] for one in both["drills"]]) == (False, [True, False])
    assert both["rto_seconds"] == max(one["rto_seconds"] for one in both["drills"])
    assert "hopeless: rto" in [check["name"] for check in both["checks"] if check["ok"] is False]
    ended = typed(home, "drill", "hopeless")
    assert ended.status == 1
    assert "hopeless: FAILED: RTO " in ended.out
    assert "MISSED" in typed(home, "drill", "--past").out


def test_a_drill_that_cannot_be_held_keeps_no_other_back(home: Path) -> None:
    """It is told on stderr and among the checks; and the figures are not those of all."""
    text = (home / "config.yaml").read_text()
    another = "{name: nothing, backup: never}, {name: quarterly, backup: daily}"
    (home / "config.yaml").write_text(text.replace("{name: quarterly, backup: daily}", another))
    told(home, "backup", "run", "daily")
    both = told(home, "drill", status=1)
    assert (both["ok"], [one["name"] for one in both["drills"]]) == (False, ["quarterly"])
    assert [check["name"] for check in both["checks"] if check["ok"] is False] == ["nothing: drill"]
    assert both["rto_seconds"] is None


def test_a_drill_where_there_is_nothing_to_restore_says_so(home: Path) -> None:
    """1."""
    text = (home / "config.yaml").read_text().replace("  drills:", "  #drills:")
    (home / "config.yaml").write_text(re.sub(r"  jobs:\n(    - .*\n)+", "  jobs: []\n", text))
    ended = typed(home, "drill")
    assert (ended.status, ended.err) == (
        1,
        "toban: drill: there is no backup job that it could restore from (toban config show)\n",
    )


def test_without_a_drill_that_is_configured_the_first_job_will_do(home: Path) -> None:
    """And a job may be named; its newest backup comes back."""
    text = (home / "config.yaml").read_text()
    (home / "config.yaml").write_text(text.replace("  drills:", "  #drills:"))
    made = told(home, "backup", "run", "daily")
    for words in (("drill",), ("drill", "daily")):
        one = told(home, *words)
        assert (one["ok"], one["name"], one["backup"], one["wanted"]) == (True, "daily", made["id"], "latest")


def test_a_preflight_foretells_by_what_a_proof_took(home: Path) -> None:
    """Phase by phase; before any restore was done nobody knows."""
    made = told(home, "backup", "run", "daily")
    words = ("restore", made["id"], "--data-dir", home / "new.db", "--dry-run")
    before = told(home, *words)
    told(home, "backup", "prove", made["id"])
    after = told(home, *words)
    assert (before["rto_seconds"], before["phases"]) == (None, {})
    assert after["rto_seconds"] == pytest.approx(sum(after["phases"].values()), abs=0.01)
    assert "will take about" in typed(home, *words).out


@pytest.mark.integration
def test_folders_are_kept_and_come_back(home: Path) -> None:
    """By restic, with the repository alone: names with quotes, spaces and Japanese too."""
    if shutil.which("restic") is None:
        pytest.skip("this machine cannot: no restic (apt-get install restic)")
    source = home / "設定 'x'"
    source.mkdir()
    (source / "a b.conf").write_text("値 = 1\n")
    text = (home / "config.yaml").read_text()
    job = f'    - {{name: etc, target: host, method: files, verify: false, paths: ["{source}"]}}\n  copies:'
    (home / "config.yaml").write_text(text.replace("  copies:", job))
    made = told(home, "backup", "run", "etc")
    assert (made["method"], made["kind"], made["status"]) == ("files", "host", "ok")
    words = ("--repository", home / "repository")
    assert list(made["copies"]) == ["offsite"]
    ended = toban("restore", made["id"], "--data-dir", home / "back", "--repository", home / "offsite")
    assert ended.status == 0, ended.err
    (found,) = (home / "back").rglob("a b.conf")
    assert found.read_text() == "値 = 1\n"
    shutil.rmtree(home / "repository" / "host")
    assert (home / "offsite" / "host" / "files" / "restic.key").stat().st_mode & 0o777 == 0o600
    assert told(home, "backup", "pull", made["id"], "--copy", "offsite")["status"] == "ok"
    assert len(list((home / "repository" / "host" / "files" / "restic" / "snapshots").iterdir())) == 1
    refused = toban("restore", made["id"], "--into", "postgresql://x@127.0.0.1/x", *words)
    assert (refused.status, "holds files" in refused.err) == (2, True)


def test_prune_explains_every_decision(home: Path) -> None:
    """And removes nothing when it is only to be told."""
    first = told(home, "backup", "run", "daily")
    found = told(home, "backup", "prune", "--dry-run")
    assert (found["dry_run"], found["removed"]) == (True, [])
    assert [(one["id"], one["keep"], bool(one["reason"])) for one in found["decisions"]] == [(first["id"], True, True)]
    said = typed(home, "backup", "prune", "--dry-run").out
    assert "would remove: 0, 0 B; nothing was removed" in said
    assert "removed: 0, 0 B freed" in typed(home, "backup", "prune").out
    assert "保持" in typed(home, "backup", "prune", lang="ja").out


def test_prune_of_nothing_is_fine(home: Path) -> None:
    """0."""
    assert "nothing to decide" in typed(home, "backup", "prune").out


def test_copies_are_looked_at_and_brought_back(home: Path) -> None:
    """What is missing there is told; what is missing here comes back."""
    made = told(home, "backup", "run", "daily")
    (there,) = told(home, "backup", "copies")
    assert (there["name"], there["ok"], there["lacks"]) == ("offsite", True, [])
    assert [one["id"] for one in there["backups"]] == [made["id"]]
    folder = home / "repository" / "ledger" / "dump" / made["id"]
    folder.rename(home / "away")
    assert told(home, "backup", "list") == []
    brought = told(home, "backup", "pull", made["id"][:12], "--copy", "offsite")
    assert (brought["id"], brought["status"]) == (made["id"], "ok")
    new = home / "new.db"
    assert typed(home, "restore", made["id"], "--data-dir", new).status == 0
    with closing(sqlite3.connect(new)) as connection:
        assert connection.execute("select count(*) from 取引").fetchone() == (3,)


def test_a_copy_that_lacks_something_is_not_fine(home: Path) -> None:
    """1: a backup that was made before the place was there."""
    text = (home / "config.yaml").read_text()
    (home / "config.yaml").write_text(text.replace("  copies:", "  #copies:"))
    made = told(home, "backup", "run", "daily")
    assert "no second place is configured" in typed(home, "backup", "copies").out
    (home / "config.yaml").write_text(text)
    (there,) = told(home, "backup", "copies", status=1)
    assert (there["ok"], there["lacks"]) == (False, [made["id"]])
    assert made["id"] in typed(home, "backup", "copies").out
    unknown = typed(home, "backup", "pull", made["id"], "--copy", "offsite")
    assert (unknown.status, unknown.err) == (
        1,
        f"toban: backup {made['id']}: is not in offsite (toban backup copies)\n",
    )
    nowhere = typed(home, "backup", "pull", made["id"], "--copy", "tape")
    assert (nowhere.status, nowhere.err) == (1, "toban: copy tape: none is called so (there is: offsite)\n")


def test_a_copy_with_a_retention_of_its_own_lacks_the_newest_alone(home: Path) -> None:
    """What it has let go is not missed; the newest of each job is."""
    text = (home / "config.yaml").read_text()
    (home / "config.yaml").write_text(text.replace("offsite}]", "offsite, keep: {for: 1d, at_least: 1}}]"))
    first, second = told(home, "backup", "run", "daily"), told(home, "backup", "run", "daily")
    there = home / "offsite" / "ledger" / "dump"
    shutil.rmtree(there / first["id"])
    assert told(home, "backup", "copies")[0]["lacks"] == []
    shutil.rmtree(there / second["id"])
    assert told(home, "backup", "copies", status=1)[0]["lacks"] == [second["id"]]


def test_a_copy_that_is_away_is_not_fine(home: Path) -> None:
    """1, and why; the rest is told all the same."""
    told(home, "backup", "run", "daily")
    (home / "offsite").rename(home / "unplugged")
    (there,) = told(home, "backup", "copies", status=1)
    assert (there["ok"], there["backups"], bool(there["reason"])) == (False, [], True)


@pytest.mark.skipif(not Programs().has(*RESTIC), reason=f"{IMPOSSIBLE}no restic (root: apt-get install restic)")
def test_files_open_with_the_password_of_their_job(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verified and restored by the configuration alone; without it restic's own variable is asked for."""
    monkeypatch.delenv(FROM_ENVIRONMENT, raising=False)
    (home / "etc").mkdir()
    (home / "etc" / "app.conf").write_text("port = 8432")
    config = home / "config.yaml"
    kept = f"{{name: etc, target: host, method: files, paths: [{home}/etc], copies: [], password: 'hunter2 \"x\"'}}"
    config.write_text(config.read_text().replace("  copies:", f"    - {kept}\n  copies:"))
    made = told(home, "backup", "run", "etc")
    assert told(home, "backup", "verify", made["id"])["ok"]
    assert told(home, "restore", made["id"], "--data-dir", home / "back")["ok"]
    assert (home / "back" / str(home / "etc" / "app.conf").lstrip("/")).read_text() == "port = 8432"
    ended = toban("restore", made["id"], "--repository", home / "repository", "--data-dir", home / "other")
    assert ended.status == 1
    assert "its password is not known here" in ended.err
