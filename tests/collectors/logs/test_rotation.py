"""Each line counts once: whatever becomes of the file, and of the daemon."""

import gzip
import lzma
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collectors.logs.followed import Followed, compress, copytruncate, touch, values, write
from toban.outcomes import Reason


class Writer:
    """A program that logs, and the rotation it is put through. It numbers its lines: no two files begin alike."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.number = 0
        self.ended = 0
        self.half = False
        self.generations = 0
        self.seen = True
        write(log, b"")

    def line(self) -> None:
        """One line, or the rest of the one begun."""
        write(self.log, f"{self._next()} is the end of it\n" if self.half else f"{self._next()} INFO whole\n")
        self.half = False
        self.ended += 1

    def begin(self) -> None:
        """Half a line, or more of it."""
        write(self.log, f"{self._next()} more of it " if self.half else f"{self._next()} ERROR half ")
        self.half = True

    def rename(self) -> None:
        """The file gets another name. What was begun is ended there: the writer still holds it."""
        self._shift()
        aside = self.log.with_name("app.log.1")
        self.log.rename(aside)
        if self.half:
            write(aside, f"{self._next()} ended in the old file\n")
            self.half = False
            self.ended += 1
        write(self.log, b"")
        self.seen = False

    def copy(self) -> None:
        """The file is copied and cut to nothing. What was begun goes on at its beginning."""
        self._shift()
        copytruncate(self.log, self.log.with_name("app.log.1"))

    def pack(self) -> None:
        """What was rotated last is compressed."""
        aside = self.log.with_name("app.log.1")
        if aside.exists():
            compress(aside)

    def _shift(self) -> None:
        for number in range(self.generations, 0, -1):
            for ending in ("", ".gz"):
                old = self.log.with_name(f"app.log.{number}{ending}")
                if old.exists():
                    old.rename(self.log.with_name(f"app.log.{number + 1}{ending}"))
        self.generations += 1

    def _next(self) -> str:
        self.number += 1
        return f"{self.number:07}"


MEMORY = Path("/dev/shm")  # noqa: S108 - where fsync costs nothing, if there is such a place
STEPS = ("line", "line", "begin", "rename", "copy", "pack", "turn", "turn", "restart", "away")


@given(st.lists(st.sampled_from(STEPS), max_size=25))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_line_counts_once_whatever_happens(steps: list[str]) -> None:
    """Lines in halves, rotation of every kind and restarts, in any order: the count is exact at the end."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        log = Path(folder, "logs", "app.log")
        log.parent.mkdir()
        writer = Writer(log)
        followed = Followed(log.parent)
        followed.turn()

        def away() -> None:
            """The disk is unmounted for a turn; what was rotated before was seen, and no line is cut in two."""
            if writer.half:
                writer.line()
            followed.turn()
            aside = log.parent.rename(log.parent.with_name("unmounted"))
            followed.turn()
            aside.rename(log.parent)
            followed.turn()

        doings = {"turn": followed.turn, "restart": followed.restart, "away": away}
        for step in steps:
            if step == "copy" and writer.half and not writer.seen:
                followed.turn()  # a half line out of a file that nobody ever saw might as well be a whole one
            doings.get(step, getattr(writer, step, None))()  # type: ignore[misc, operator]  # one of the two has it
            writer.seen |= step == "turn"
        if writer.half:
            writer.line()
        assert followed.lines == writer.ended


def test_what_was_there_at_the_first_start_is_not_read(followed: Followed, log: Path) -> None:
    """Only what comes after counts."""
    assert followed.lines == 0
    write(log, "0003 INFO new\n")
    assert followed.lines == 1


def test_from_start_reads_what_is_there(log: Path) -> None:
    """Unless it is asked for."""
    assert Followed(log.parent, from_start=True).lines == 2


def test_half_a_line_at_the_first_start_is_no_line(tmp_path: Path) -> None:
    """The rest of what was begun before our time is passed over."""
    log = tmp_path / "logs" / "app.log"
    log.parent.mkdir()
    write(log, "0001 INFO beg")
    followed = Followed(log.parent)
    followed.turn()
    write(log, "un\n0002 INFO whole\n")
    assert followed.lines == 1


def test_line_rotated_in_its_midst_is_one_line(followed: Followed, log: Path) -> None:
    """Renamed: its writer ends it in the old file, after the new one has begun."""
    write(log, "0003 ERROR half ")
    followed.turn()
    log.rename(log.with_name("app.log.1"))
    write(log, "0004 INFO new file\n")
    assert followed.values("toban_log_lines_total") == {("info",): 1}
    write(log.with_name("app.log.1"), "ended\n")
    assert followed.values("toban_log_lines_total") == {("info",): 1, ("error",): 1}


def test_line_cut_by_copytruncate_is_one_line(followed: Followed, log: Path) -> None:
    """The copy has its beginning, also what nobody had read; the truncated file its end."""
    write(log, "0003 ERR")
    followed.turn()
    write(log, "OR half ")
    copytruncate(log, log.with_name("app.log.1"))
    write(log, "ended\n")
    assert followed.values("toban_log_lines_total") == {("error",): 1}


def test_rest_is_read_from_the_compressed_file(followed: Followed, log: Path) -> None:
    """Renamed and compressed while the daemon was down."""
    write(log, "0003 INFO read\n")
    followed.turn()
    write(log, "0004 INFO unread\n0005 INFO unread\n")
    log.rename(log.with_name("app.log.1"))
    compress(log.with_name("app.log.1"))
    write(log, "0006 INFO new file\n")
    followed.restart()
    assert followed.lines == 4


def test_generations_that_came_and_went_unseen_are_read(followed: Followed, log: Path) -> None:
    """Two rotations between two turns: the file in between was never seen under the log's own name."""
    for number in (3, 4, 5):
        write(log, f"000{number} INFO generation\n")
        if log.with_name("app.log.1").exists():
            log.with_name("app.log.1").rename(log.with_name("app.log.2"))
        log.rename(log.with_name("app.log.1"))
    write(log, "0006 INFO current\n")
    assert followed.lines == 4


def test_deleted_file_is_read_to_its_end(followed: Followed, log: Path) -> None:
    """Its writer goes on; a new file of that name is another one."""
    with log.open("ab") as old:
        log.unlink()
        write(log, "0003 INFO new file\n")
        old.write(b"0004 INFO into what nobody sees\n")
    assert followed.lines == 2


def test_last_line_without_an_end_counts_once_it_is_settled(followed: Followed, log: Path) -> None:
    """Rotated away, and nobody wrote it for a minute."""
    write(log, "0003 ERROR the process died he")
    log.rename(log.with_name("app.log.1"))
    write(log, b"")
    assert followed.lines == 0
    followed.clock.advance(60)
    assert followed.values("toban_log_lines_total") == {("error",): 1}
    assert followed.lines == 1


def test_truncated_without_a_copy_is_read_from_its_start(followed: Followed, log: Path) -> None:
    """Also when it is longer again than it was."""
    os.truncate(log, 0)
    write(log, "0003 INFO new content that is longer\n" * 5)
    assert followed.lines == 5


def test_copy_of_a_followed_file_is_not_read(log: Path) -> None:
    """Though the log's own pattern names it."""
    followed = Followed(log.parent, path=str(log.parent / "app*"))
    followed.turn()
    write(log, "0003 INFO once\n")
    followed.turn()
    log.with_name("app.log.copy").write_bytes(log.read_bytes())
    assert followed.lines == 1
    log.with_name("app.log.copy").write_bytes(log.read_bytes() + b"x")  # a line that only the copy has
    assert followed.lines == 1


def test_copy_that_is_still_being_made_waits(followed: Followed, log: Path) -> None:
    """Half of it is there; then the rest, and the log is cut."""
    write(log, "0003 INFO one\n0004 INFO two\n")
    followed.turn()
    copy = log.with_name("app.log.1")
    write(copy, log.read_bytes()[:60])
    followed.turn()
    write(copy, log.read_bytes()[60:])
    os.truncate(log, 0)
    write(log, "0005 INFO three\n")
    assert followed.lines == 3


def test_new_file_of_a_glob_is_read_from_its_start(log: Path) -> None:
    """And a symbolic link to a known one is the same file."""
    followed = Followed(log.parent, path=str(log.parent / "*.log"))
    followed.turn()
    write(log.with_name("other.log"), "0001 INFO other\n")
    log.with_name("link.log").symlink_to(log)
    findings = followed.turn()
    assert {s.value for s in findings.samples if s.metric.name == "toban_log_files"} == {2}
    assert followed.lines == 1


def test_another_path_begins_at_the_end_again(followed: Followed, log: Path) -> None:
    """What a changed pattern finds in addition has been there before."""
    write(log.with_name("other.log"), "0001 INFO old\n")
    write(log, "0003 INFO new\n")
    followed.turn()
    other = Followed(log.parent, path=str(log.parent / "*.log"))
    assert other.lines == 1
    write(log.with_name("other.log"), "0002 INFO new\n")
    assert other.lines == 2


def test_number_given_to_another_file_is_noticed(followed: Followed, log: Path) -> None:
    """Same name, same number on the disk perhaps, other content."""
    write(log, "0003 INFO old\n")
    followed.turn()
    followed.restart()
    log.unlink()
    write(log, "9001 INFO one\n9002 INFO two\n9003 INFO three\n9004 INFO four\n9005 INFO five\n")
    assert followed.lines == 6


def test_link_that_turns_to_another_file_is_followed(tmp_path: Path) -> None:
    """What the old one still gets is read too."""
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "day-1", "0001 INFO old\n")
    (folder / "app.log").symlink_to(folder / "day-1")
    followed = Followed(folder)
    followed.turn()
    (folder / "app.log").unlink()
    write(folder / "day-2", "0001 INFO new day\n")
    (folder / "app.log").symlink_to(folder / "day-2")
    write(folder / "day-1", "0002 INFO late\n")
    assert followed.lines == 2


def test_touched_file_is_not_read_again(followed: Followed, log: Path) -> None:
    """Another moment, the same content."""
    write(log, "0003 INFO once\n")
    assert followed.lines == 1
    touch(log)
    assert followed.lines == 1


def test_rest_is_found_where_rotated_files_go(log: Path) -> None:
    """Another folder, another name: its content tells."""
    attic = log.parent / "attic"
    attic.mkdir()
    followed = Followed(log.parent, rotated=str(attic / "*"))
    followed.turn()
    write(log, "0003 INFO read\n")
    followed.turn()
    write(log, "0004 INFO unread\n")
    log.rename(attic / "of-monday")
    with lzma.open(attic / "of-monday.xz", "wb") as file:
        file.write((attic / "of-monday").read_bytes())
    (attic / "of-monday").unlink()
    write(log, "0005 INFO new\n")
    followed.restart()
    assert followed.lines == 3


def test_file_that_is_being_compressed_waits_until_it_is_whole(followed: Followed, log: Path) -> None:
    """Half of the compressed file stands beside the file itself; then only the compressed one."""
    write(log, "".join(f"{n:05} INFO {n * 7919 % 10007} incompressible\n" for n in range(2000)))
    followed.turn()
    aside = log.with_name("app.log.1")
    log.rename(aside)
    write(log, "9999 INFO new\n")
    packed = gzip.compress(aside.read_bytes())
    for part in (packed[:5], packed[: len(packed) // 2], packed):
        log.with_name("app.log.1.gz").write_bytes(part)
        assert followed.lines == 2001
    aside.unlink()
    assert followed.lines == 2001
    followed.clock.advance(60)
    assert followed.lines == 2001


def test_excluded_files_are_not_looked_at(log: Path) -> None:
    """By path or by name."""
    followed = Followed(log.parent, path=str(log.parent / "*"), exclude=["debug-*", str(log.parent / "x*")])
    followed.turn()
    for name in ("debug-1", "x.log", "y.log"):
        write(log.parent / name, f"{name} INFO line\n")
    assert followed.lines == 1


def test_files_beyond_the_limit_are_told(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones written last are followed."""
    monkeypatch.setattr("collectors.logs.following.FILES_MAX", 2)
    for name in ("b.log", "c.log"):
        write(log.with_name(name), f"{name} INFO line\n")
    found = Followed(log.parent, path=str(log.parent / "*.log"), from_start=True).turn()
    assert [(gap.reason, gap.count) for gap in found.gaps] == [(Reason.UNSUPPORTED, 1)]
    assert values(found, "toban_log_files") == {(): 3}
    assert values(found, "toban_log_lines_total") == {("info",): 2}


def test_writer_that_had_not_let_go_before_our_time_is_read(log: Path) -> None:
    """The file was renamed before the first start, and still gets lines: those that come count."""
    aside = log.with_name("app.log.1")
    log.rename(aside)
    write(log, "0003 INFO new file\n")
    followed = Followed(log.parent)
    followed.turn()
    write(aside, "0004 INFO late\n")
    assert followed.lines == 1
    aside.write_bytes(b"entirely other content, which is shorter\n")
    touch(aside)
    assert followed.lines == 2


def test_copy_that_still_grows_is_not_read(followed: Followed, log: Path) -> None:
    """What we had read is already in the copy, what we had not yet is being copied."""
    write(log, "0003 INFO one\n")
    followed.turn()
    whole = log.read_bytes()
    copy = log.with_name("app.log.1")
    write(copy, whole)
    followed.turn()
    write(log, "0004 INFO two\n")
    followed.turn()
    write(copy, log.read_bytes()[len(whole) :])
    assert followed.lines == 2
    write(log, "0005 INFO three\n")
    write(copy, "0005 INFO three\n")
    os.truncate(log, 0)
    write(log, "0006 INFO four\n")
    assert followed.lines == 4
