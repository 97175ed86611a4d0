"""Files that vanish and come back, that are too many, damaged, or changed under the reading."""

import gzip
import os
import shutil
from pathlib import Path

import pytest

from collectors.logs import following
from collectors.logs.following import LOST_SECONDS, Following
from collectors.logs.position import HEAD_BYTES, Handle
from tests.collectors.logs.followed import Followed, values, write
from toban.outcomes import Reason


@pytest.mark.parametrize("days", [0.1, 6.9, 7.1])
def test_log_that_vanishes_and_comes_back_goes_on(followed: Followed, log: Path, days: float) -> None:
    """A disk that was not mounted for a while, a folder that could not be looked into: nothing is read again."""
    write(log, "".join(f"{n:04} INFO read\n" for n in range(3, 63)))
    assert followed.lines == 60
    aside = log.parent.rename(log.parent.with_name("unmounted"))
    followed.restart()
    assert followed.turn().gaps[0].reason is Reason.NOT_FOUND
    followed.clock.advance(days * 86_400)
    assert followed.values("toban_log_behind_bytes") == {(): 0}
    aside.rename(log.parent)
    write(log, "0063 INFO while it was away\n")
    assert followed.lines == (61 if days * 86_400 < LOST_SECONDS else 123)


def test_log_that_comes_back_under_another_number_goes_on(followed: Followed, log: Path) -> None:
    """Another mount, a restored disk: its content tells, if there was enough of it."""
    write(log, "".join(f"{n:04} INFO read\n" for n in range(3, 63)))
    followed.turn()
    shutil.copyfile(log, log.parent / "aside")
    log.unlink()
    followed.restart()
    followed.turn(after_seconds=3600)
    (log.parent / "aside").rename(log)
    write(log, "0063 INFO new\n")
    assert followed.lines == 61


def test_log_that_begins_as_one_that_is_long_gone_is_new(followed: Followed, log: Path) -> None:
    """A program that says the same whenever it starts: a line or two are no proof."""
    write(log, "started\n")
    followed.turn()
    content = log.read_bytes()
    assert len(content) < HEAD_BYTES
    write(log.parent / "new", content)  # beside the old one, so that its number is another
    log.unlink()
    followed.restart()
    followed.turn(after_seconds=3600)
    (log.parent / "new").rename(log)
    assert followed.lines == 4


def test_file_that_was_left_out_goes_on_where_it_was(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Very many files come and are written: who is among the newest again is not read from its start, nor missed."""
    monkeypatch.setattr(following, "FILES_MAX", 2)
    followed = Followed(log.parent, path=str(log.parent / "*.log"))
    followed.turn()
    write(log, "0003 INFO read\n")
    followed.turn()
    for name in ("b.log", "c.log", "d.log"):
        write(log.with_name(name), f"{name} INFO line\n")
    assert followed.lines == 3  # b.log was never reached: that is told as a gap
    followed.restart()
    assert followed.turn().gaps[0].count == 2
    write(log, "0004 INFO back\n")
    assert followed.lines == 4
    write(log.with_name("b.log"), "b.log INFO more\n")
    assert followed.lines == 5


def test_glob_of_very_many_files_is_followed(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From one turn to the next, and each of their lines once."""
    monkeypatch.setattr(following, "FILES_MAX", 200)
    followed = Followed(log.parent, path=str(log.parent / "*.log"))
    followed.turn()
    for number in range(210):
        write(log.with_name(f"job-{number:05}.log"), f"{number} INFO line\n")
    findings = followed.turn()
    assert [(gap.reason, gap.count) for gap in findings.gaps] == [(Reason.UNSUPPORTED, 11)]
    assert values(findings, "toban_log_files") == {(): 211}
    assert values(findings, "toban_log_lines_total") == {("info",): 200}


def test_damaged_compressed_file_is_passed_over(log: Path) -> None:
    """A bit that fell over on the disk: the log itself goes on, in this turn and in the next."""
    folder = log.parent
    followed = Followed(folder, path=str(folder / "*"))
    followed.turn()
    packed = bytearray(gzip.compress(os.urandom(5000)))
    packed[1000:1100] = bytes(100)
    (folder / "app.log.1.gz").write_bytes(packed)
    (folder / "other.gz").write_bytes(b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 100)
    write(log, "0003 INFO one\n")
    assert followed.values("toban_log_lines_total")[("info",)] == 1
    write(log, "0004 INFO two\n")
    assert followed.values("toban_log_lines_total")[("info",)] == 2


def test_file_renamed_under_the_look_is_read_by_the_next(
    followed: Followed, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the list of the folder and the opening another file took its name."""
    write(log, "0003 INFO read\n")
    followed.turn()
    followed.restart()
    write(log, "0004 INFO old file\n")
    real = Following._find_again

    def rotated(self: Following, *arguments: object) -> object:
        monkeypatch.setattr(Following, "_find_again", real)
        log.rename(log.with_name("app.log.1"))
        write(log, "0005 INFO new file\n")
        return real(self, *arguments)  # type: ignore[arg-type]  # as it was called

    monkeypatch.setattr(Following, "_find_again", rotated)
    followed.turn()
    assert followed.lines == 3


def test_file_cut_after_the_look_is_not_read_in_its_midst(
    followed: Followed, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others were read meanwhile: what now stands at the place is another line's middle."""
    write(log, "0003 INFO read\n")
    followed.turn()
    write(log, "0004 INFO unread\n")
    real = Following.look

    def cut(self: Following, now: float) -> object:
        monkeypatch.setattr(Following, "look", real)
        found = real(self, now)
        os.truncate(log, 0)
        write(log, "0005 ERROR longer than all that was there before, as it happens when much is written\n" * 2)
        return found

    monkeypatch.setattr(Following, "look", cut)
    followed.turn()
    assert followed.values("toban_log_lines_total") == {("info",): 1, ("error",): 2}


def test_open_file_is_let_go_when_it_is_another(tmp_path: Path) -> None:
    """A pipe in a file's place neither hangs nor stays open."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        Handle(str(tmp_path / "pipe"))
    assert not [link for link in Path("/proc/self/fd").iterdir() if str(tmp_path) in os.path.realpath(link)]
