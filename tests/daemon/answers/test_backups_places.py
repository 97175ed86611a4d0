"""Where commands on backups read and work: a repository that is only to be read, and folders that must not stay."""

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from daemon.answers import backups_workspace
from daemon.answers.backups_workspace import workspace_in
from tests.daemon.answers.shelves import a_ledger, stored
from tests.daemon.answers.test_backups_alone import told, typed
from tests.daemon.commanding import Ended
from tests.mounts import read_only
from toban.errors import UnavailableError

pytestmark = pytest.mark.integration  # whole repositories, processes


def test_verify_of_what_is_only_to_be_read_gives_its_verdict(tmp_path: Path) -> None:
    """0 or 1 as the bytes say, and one line on stderr that it is written down nowhere; in both languages."""
    root = tmp_path / "repository"
    record = stored(root, a_ledger(tmp_path / "ledger.db"))
    with read_only(root):
        for lang, words in (("en", "the verdict could not be written down"), ("ja", "検証結果を記録できませんでした")):
            ended = typed("--lang", lang, "backup", "verify", record.id, "--repository", root)
            (note,) = notes(ended)
            assert (ended.status, words in note, note.startswith(f"toban: {record.id}: ")) == (0, True, True)
            assert "Read-only file system" in note
    path = Path(record.place, record.manifest.files[0].path)
    path.write_bytes(b"x" * path.stat().st_size)
    with read_only(root):
        ended = typed("--lang", "en", "backup", "verify", "--all", "--repository", root)
    assert (ended.status, len(notes(ended))) == (1, 1)
    assert f"{record.id}: NOT as it was written" in ended.out
    assert told("backup", "list", "--repository", root)[0]["status"] == "ok"


def notes(ended: Ended) -> list[str]:
    """What was said on stderr beside how far it has come."""
    return [line for line in ended.err.splitlines() if line.startswith("toban: ")]


async def seen_within(folder: Path, left: Path) -> tuple[bool, int]:
    """Whether a folder is there while another command works, and the mode of that one's."""
    async with workspace_in(folder) as work:
        return await asyncio.to_thread(left.is_dir), (await asyncio.to_thread(work.stat)).st_mode & 0o777


def test_what_a_killed_command_left_goes_with_the_next(tmp_path: Path) -> None:
    """Its folder, with what was opened in it; that of one who lives, and what is no command's, stay."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from daemon.answers.backups_workspace import workspace_in\n"
        "async def main():\n"
        "    async with workspace_in(pathlib.Path(sys.argv[1])) as work:\n"
        "        (work / 'clear').mkdir(0o700)\n"
        "        (work / 'clear' / 'shop.dump').write_text('secret')\n"
        "        print(work, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    (tmp_path / "toban-demo-abcdefgh").mkdir()
    (tmp_path / "toban-work-file").write_text("somebody's")
    words = [sys.executable, "-c", program, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3]) as command:
        assert command.stdout is not None
        left = Path(command.stdout.readline().strip())
        opened, seen = (left / "clear" / "shop.dump").exists(), asyncio.run(seen_within(tmp_path, left))
        command.kill()
    assert (opened, seen) == (True, (True, 0o711))
    assert asyncio.run(seen_within(tmp_path, left))[0] is False
    assert sorted(path.name for path in tmp_path.iterdir()) == ["toban-demo-abcdefgh", "toban-work-file"]


async def test_folder_that_is_swept_before_it_is_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two commands begin at once: the second takes the first one's folder for left behind, once; not for ever."""
    genuine, seen = fcntl.flock, list[int]()

    def late(handle: int, how: int) -> None:
        if how == fcntl.LOCK_SH and len(seen) < swept:
            seen.append(handle)
            Path(f"/proc/self/fd/{handle}").readlink().rmdir()
        genuine(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    swept = 1
    async with workspace_in(tmp_path) as work:
        assert work.is_dir()
    assert len(seen) == 1
    swept = 1 + backups_workspace.ATTEMPTS
    with pytest.raises(UnavailableError, match="No such file or directory"):
        async with workspace_in(tmp_path):
            pass
    assert len(os.listdir(tmp_path)) == 0  # noqa: PTH208 - nothing but a count
