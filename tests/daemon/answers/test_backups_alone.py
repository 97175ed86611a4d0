"""`toban backup list|show|verify|pin` and `toban restore` on a folder alone: no daemon, no state, no configuration."""

import fcntl
import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backup.settings import Encryption
from daemon.answers.backups_opening import Place, opened
from tests.daemon.answers.shelves import a_ledger, stored
from tests.daemon.commanding import Ended, toban
from toban.backups import BackupRecord

pytestmark = pytest.mark.integration  # whole repositories, restores
CONTRACT = (
    *("id", "name", "target", "method", "status", "size_bytes", "created_at", "finished_at", "tag"),
    *("verified_at", "proved_at", "files"),
)
RESTORE = ("ok", "checks", "rpo_seconds", "rto_seconds", "phases")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> BackupRecord:
    """One backup, made once."""
    home = tmp_path_factory.mktemp("made")
    return stored(home / "repository", a_ledger(home / "ledger 台帳.db"), tag="出荷前")


@pytest.fixture
def root(tmp_path: Path, made: BackupRecord) -> Path:
    """A repository of the test's own, with that backup."""
    shutil.copytree(Path(made.place).parents[2], tmp_path / "repository")
    return tmp_path / "repository"


@pytest.fixture
def record(root: Path, made: BackupRecord) -> BackupRecord:
    """The backup in it."""
    return replace(made, place=str(root / "ledger" / "dump" / made.id))


def typed(*words: object, **environment: str) -> Ended:
    """The command, where there is no configuration and the zone is Tokyo's."""
    return toban("-c", "/nowhere/config.yaml", *words, **{"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", **environment})


def told(*words: object) -> Any:  # noqa: ANN401 - whatever JSON can carry
    """What it answers to programs."""
    ended = typed(*words, "--json")
    assert ended.status == 0, ended.err
    return json.loads(ended.out)


def rows(path: Path) -> int:
    """How many came back."""
    with closing(sqlite3.connect(path)) as connection:
        count: int = connection.execute("select count(*) from 取引").fetchone()[0]
        return count


def test_list_has_the_fields_of_the_contract(root: Path, record: BackupRecord) -> None:
    """And the zone is the system's where there is no configuration."""
    (one,) = told("backup", "list", "--repository", root)
    assert tuple(one)[: len(CONTRACT)] == CONTRACT
    assert {name: one[name] for name in ("id", "name", "target", "method", "status", "tag", "belief")} == {
        "id": record.id,
        "name": "daily",
        "target": "ledger",
        "method": "dump",
        "status": "ok",
        "tag": "出荷前",
        "belief": "stored",
    }
    assert (one["verified_at"], one["proved_at"]) == (None, None)
    assert one["created_at"].endswith("+09:00")
    assert one["size_bytes"] == sum(file["size_bytes"] for file in one["files"]) > 0


def test_list_says_how_far_each_is_believed(root: Path, record: BackupRecord) -> None:
    """In both languages; and how much it is in all."""
    ended = typed("--lang", "en", "backup", "list", "--repository", root)
    assert ended.status == 0
    assert record.id in ended.out
    assert "stored" in ended.out
    assert "出荷前" in ended.out
    assert "backups: 1, in all" in ended.out
    assert "保存済み" in typed("--lang", "ja", "backup", "list", "--repository", root).out


def test_list_of_what_there_is_not_is_fine(root: Path) -> None:
    """0, and a sentence."""
    assert told("backup", "list", "--repository", root, "--target", "main") == []
    assert told("backup", "list", "--repository", root, "--status", "failed") == []
    assert told("backup", "list", "--repository", root, "--method", "base", "--name", "x") == []
    assert "no backups" in typed("backup", "list", "--repository", root, "--target", "main").out


@pytest.mark.parametrize("words", [("list",), ("show", "2026"), ("verify", "--all")])
def test_a_folder_that_is_not_there_cannot_be_reached(tmp_path: Path, words: tuple[str, ...]) -> None:
    """3, one line, and nothing is made of it."""
    ended = typed("backup", *words, "--repository", tmp_path / "gone")
    assert (ended.status, ended.out, ended.err.count("\n")) == (3, "", 1)
    assert ended.err.startswith(f"toban: {tmp_path}/gone: ")
    assert list(tmp_path.iterdir()) == []


def test_show_tells_all_of_one(root: Path, record: BackupRecord) -> None:
    """By the beginning of its id; rows, files, notes."""
    one = told("backup", "show", record.id[:11], "--repository", root)
    assert [(row["table"], row["rows"], row["exact"]) for row in one["rows"]] == [("取引", 3, True)]
    assert (one["verification"], one["proof"], one["node"]) == (None, None, "db1")
    ended = typed("--lang", "en", "backup", "show", record.id, "--repository", root)
    for words in (record.id, "取引", "SHA-256", one["files"][0]["sha256"], record.place):
        assert words in ended.out
    assert "信頼度" not in ended.out


def test_show_of_nothing_is_an_error(root: Path, record: BackupRecord) -> None:
    """1, and one line."""
    ended = typed("backup", "show", "2031", "--repository", root)
    assert (ended.status, ended.err.count("\n")) == (1, 1)
    assert ended.err.startswith("toban: backup 2031: there is none in ")


def test_verify_reads_every_byte_and_marks_it(root: Path, record: BackupRecord) -> None:
    """From then on it is called verified."""
    ended = typed("--lang", "en", "backup", "verify", record.id, "--repository", root)
    assert (ended.status, ended.out.startswith(f"{record.id}: every byte is as it was written (")) == (0, True)
    (one,) = told("backup", "list", "--repository", root)
    assert (one["belief"], one["verified_at"] is not None) == ("verified", True)
    (again,) = told("backup", "verify", "--all", "--repository", root)
    assert (again["ok"], again["verification"]["ok"]) == (True, True)


def test_verify_finds_a_flipped_byte(root: Path, record: BackupRecord) -> None:
    """1; the check says which file; the backup is called damaged, and is not restored."""
    path = Path(record.place, record.manifest.files[0].path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    ended = typed("--lang", "en", "backup", "verify", record.id, "--repository", root)
    assert ended.status == 1
    assert f"{record.id}: NOT as it was written" in ended.out
    assert path.name in ended.out
    (one,) = told("backup", "list", "--repository", root)
    assert (one["status"], one["belief"]) == ("damaged", None)
    assert path.name in one["reason"]
    refused = typed("restore", record.id, "--repository", root, "--data-dir", root.parent / "new.db")
    assert (refused.status, (root.parent / "new.db").exists()) == (1, False)
    assert f"toban: restore {record.id}: {record.id} is damaged: " in refused.err


def test_a_backup_whose_manifest_was_touched_is_damaged_and_holds_up_nothing(root: Path, record: BackupRecord) -> None:
    """It is listed, shown and told of; the others are read all the same; and it is not restored."""
    other = root / "ledger" / "dump" / "20260101T000000Z-other"
    shutil.copytree(record.place, other)
    manifest = Path(record.place, "manifest.json")
    manifest.write_text(manifest.read_text().replace("出荷前", "出荷後"))
    found = {one["id"]: one for one in told("backup", "list", "--repository", root)}
    assert {one["status"] for one in found.values()} == {"damaged"}
    assert typed("backup", "show", record.id, "--repository", root).status == 0
    ended = typed("--lang", "en", "backup", "verify", "--all", "--repository", root)
    assert ended.status == 1
    assert f"{record.id}: NOT as it was written" in ended.out
    assert f"{other.name}: NOT as it was written" in ended.out
    refused = typed("restore", record.id, "--repository", root, "--data-dir", root.parent / "new.db")
    assert (refused.status, refused.err.count("\n")) == (1, 1)
    assert refused.err.startswith(f"toban: {record.id}: is damaged: its manifest.json ")


def test_verify_that_cannot_tell_does_not_say_that_it_differs(tmp_path: Path) -> None:
    """1, and what was in the way: here the identity that opens it."""
    if shutil.which("age-keygen") is None:
        pytest.skip("this machine cannot: no age (apt-get install age)")
    key = tmp_path / "key"
    done = subprocess.run(["age-keygen", "-o", key], capture_output=True, text=True, check=True)
    sealed = Encryption(method="age", recipients=(done.stderr.strip().rpartition(" ")[2],))
    record = stored(tmp_path / "repository", a_ledger(tmp_path / "ledger.db"), encryption=sealed)
    for lang, words in (("en", "whether it is as it was written is not known"), ("ja", "書き込み時と一致するかは不明")):
        ended = typed("--lang", lang, "backup", "verify", record.id, "--repository", tmp_path / "repository")
        assert (ended.status, words in ended.out, "NOT as it was" in ended.out) == (1, True, False)
    (one,) = told("backup", "list", "--repository", tmp_path / "repository")
    assert (one["status"], one["belief"]) == ("ok", "stored")


def test_verify_of_all_where_there_are_none_says_so(root: Path, record: BackupRecord) -> None:
    """0: a folder that is the wrong one is seen by that."""
    shutil.rmtree(record.place)
    ended = typed("--lang", "en", "backup", "verify", "--all", "--repository", root)
    assert (ended.status, ended.out) == (0, "no backups\n")
    assert told("backup", "verify", "--all", "--repository", root) == []


@pytest.mark.parametrize("words", [(), ("x", "--all")])
def test_verify_wants_one_or_all(root: Path, words: tuple[str, ...]) -> None:
    """2."""
    ended = typed("backup", "verify", *words, "--repository", root)
    assert (ended.status, ended.err) == (
        2,
        "toban: verify: name an ID, or say --all (toban backup list shows them)\n",
    )


def test_pin_keeps_it_and_unpin_lets_it_go(root: Path, record: BackupRecord) -> None:
    """With the reason for whoever wonders."""
    assert told("backup", "pin", record.id, "--why", "before the migration", "--repository", root)["pinned"] == (
        "before the migration"
    )
    assert "pinned: before the migration" in typed("--lang", "en", "backup", "list", "--repository", root).out
    assert typed("backup", "unpin", record.id, "--repository", root).status == 0
    assert told("backup", "show", record.id, "--repository", root)["pinned"] is None
    assert typed("backup", "pin", record.id, "--why", " ", "--repository", root).status == 2


def test_restore_looks_first_and_changes_nothing_with_dry_run(root: Path, record: BackupRecord) -> None:
    """The fields of the contract come first."""
    new = root.parent / "new.db"
    one = told("restore", record.id, "--data-dir", new, "--repository", root, "--dry-run")
    assert tuple(one)[: len(RESTORE)] == RESTORE
    assert one["ok"]
    assert {"name", "ok", "detail"} == set(one["checks"][0])
    assert [check["name"] for check in one["checks"]][:2] == ["backup", "files"]
    assert one["rpo_seconds"] >= 0
    assert not new.exists()
    ended = typed("--lang", "en", "restore", record.id, "--data-dir", new, "--repository", root, "--dry-run")
    assert ended.status == 0
    assert "nothing speaks against it; nothing was touched" in ended.out
    assert f"Before the restore of {record.id}" in ended.out


def test_restore_gives_it_back(root: Path, record: BackupRecord) -> None:
    """Every row; it says what it did and what is left to do; nothing stays in the workspace."""
    new, work = root.parent / "new.db", root.parent / "workspace"
    work.mkdir()
    ended = typed("--lang", "en", "restore", record.id, "--data-dir", new, "--repository", root, "--workspace", work)
    assert (ended.status, rows(new)) == (0, 3)
    assert "start the application that uses it" in ended.out
    assert "restored" in ended.out
    assert list(work.iterdir()) == []
    assert [path for path in (root / ".toban" / "locks").rglob("*") if path.is_file()] == [], "nothing is held any more"


def test_restore_never_goes_over_what_exists(root: Path, record: BackupRecord) -> None:
    """Unless it is told to: then that is what is there."""
    a_ledger(root.parent / "new.db", rows=7)
    words = ("restore", record.id, "--data-dir", root.parent / "new.db", "--repository", root)
    refused = typed(*words)
    assert (refused.status, rows(root.parent / "new.db")) == (1, 7)
    assert refused.err.startswith(f"toban: restore {record.id}: ")
    assert "(nothing was touched; --dry-run shows every check)" in refused.err
    dry = typed(*words, "--dry-run", "--json")
    assert (dry.status, json.loads(dry.out)["ok"], dry.err) == (1, False, "")
    done = json.loads(typed(*words, "--replace", "--json").out)
    assert (done["ok"], rows(root.parent / "new.db")) == (True, 3)
    assert done["rto_seconds"] == pytest.approx(sum(done["phases"].values()), abs=0.01)


def test_restore_opens_what_is_encrypted_by_the_identity(tmp_path: Path) -> None:
    """With it everything, without it one line; nothing in the clear stays behind."""
    if shutil.which("age-keygen") is None:
        pytest.skip("this machine cannot: no age (apt-get install age)")
    key = tmp_path / "key"
    done = subprocess.run(["age-keygen", "-o", key], capture_output=True, text=True, check=True)
    recipient = done.stderr.strip().rpartition(" ")[2]
    sealed = Encryption(method="age", recipients=(recipient,))
    record = stored(tmp_path / "repository", a_ledger(tmp_path / "ledger.db"), encryption=sealed, compress="zstd")
    (tmp_path / "work").mkdir()
    place = ("--repository", tmp_path / "repository", "--workspace", tmp_path / "work")
    words = ("restore", record.id, "--data-dir", tmp_path / "new.db", *place)
    refused = typed(*words)
    assert (refused.status, (tmp_path / "new.db").exists(), refused.err.count("\n")) == (2, False, 1)
    assert "no identity to open the backup with" in refused.err
    assert typed(*words, "--identity", key).status == 0
    assert rows(tmp_path / "new.db") == 3
    assert typed("backup", "verify", record.id, *place, "--identity", key).status == 0
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--to-time", "2026-11-21"), "toban: --to-time: 2026-11-21 has no time of day"),
        (("--to-latest",), "toban: --to-…: "),
        (("--into", "shop"), "toban: --into: is no connection string"),
        ((), "toban: --data-dir: is missing: "),
        (("--to-xid", "1", "--to-name", "x"), "toban: --to-name: does not go with --to-xid"),
    ],
)
def test_restore_refuses_what_cannot_be_meant(
    root: Path, record: BackupRecord, words: tuple[str, ...], line: str
) -> None:
    """2, and one line."""
    place = ("--data-dir", root.parent / "x") if "--to-latest" in words else ()
    ended = typed("restore", record.id, *words, *place, "--repository", root)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert ended.err.startswith(line)


def test_without_a_repository_the_configuration_is_needed() -> None:
    """2: it is not there."""
    ended = typed("backup", "list")
    assert (ended.status, ended.err.count("\n")) == (2, 1)


async def test_folder_that_a_command_works_in_is_its_own_and_locked(root: Path, tmp_path: Path) -> None:
    """Within one that somebody names, which may be a daemon's: what is in use there stays; it goes in the end."""
    (tmp_path / "state.work").mkdir()
    async with opened(Place(repository=root, workspace=tmp_path / "state.work")) as shelf:
        assert shelf.around.workspace.parent == tmp_path / "state.work"
        another = os.open(shelf.around.workspace, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(another, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(another)
    assert list((tmp_path / "state.work").iterdir()) == []
