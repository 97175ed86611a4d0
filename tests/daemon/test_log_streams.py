"""Claims about where the log goes: the journal, a file, a stream, and what happens when they fail."""

import io
import json
import logging
import os
import resource
import stat
from pathlib import Path

from daemon.logs import on_journal
from tests.daemon.logged import Log, Terminal, silent_afterwards

__all__ = ["silent_afterwards"]  # autouse: what a test configures ends with it


def test_journal_lines_carry_their_priority(tmp_path: Path) -> None:
    """When the stream is the very one that systemd named, and for each line of a traceback."""
    with (tmp_path / "stream").open("w+") as stream:
        status = os.fstat(stream.fileno())
        environ = {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}
        log = Log(stream=stream, environ=environ, level="debug", format="console")
        for level in ("debug", "info", "warning", "error", "critical"):
            getattr(log.say, level)("hello")
        log.say.error("failed", exc_info=ExceptionGroup("x", [ValueError("y")]))
        stream.seek(0)
        lines = stream.read().splitlines()
    assert [line[:3] for line in lines[:5]] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert {line[:3] for line in lines[5:]} == {"<3>"}
    assert len(lines) > 7


def test_journal_is_recognised_by_device_and_inode_only(tmp_path: Path) -> None:
    """A stream that was redirected after systemd set the variable is not the journal; nor is one without a file."""
    with (tmp_path / "stream").open("w") as stream:
        assert not on_journal(stream, {})
        assert not on_journal(stream, {"JOURNAL_STREAM": "1:2"})
    assert not on_journal(stream, {})
    assert not on_journal(io.StringIO(), {"JOURNAL_STREAM": "1:2"})


# Files


def test_file_takes_the_lines_instead_of_the_stream(tmp_path: Path) -> None:
    """JSON, appended, not for everybody's eyes."""
    file = tmp_path / "toban.log"
    file.write_text("{}\n")
    log = Log(file=file, stream=Terminal())
    log.say.info("hello")
    assert log.text == ""
    assert [json.loads(line).get("event") for line in file.read_text().splitlines()] == [None, "hello"]


def test_file_of_our_making_is_readable_to_its_group_and_one_that_was_there_stays_as_it_was(tmp_path: Path) -> None:
    """Also under the unit's umask, which would shut a log shipper out."""
    there = tmp_path / "there.log"
    there.touch()
    there.chmod(0o600)
    before = os.umask(0o077)
    try:
        for name in ("made.log", "there.log"):
            Log(file=tmp_path / name).say.info("hello")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("made.log", "there.log")] == [0o640, 0o600]
    assert "hello" in there.read_text()


def test_file_is_opened_again_after_logrotate(tmp_path: Path) -> None:
    """Renamed away, lines follow it until the reload; then a new file is begun."""
    file = tmp_path / "toban.log"
    log = Log(file=file)
    log.say.info("one")
    file.rename(tmp_path / "toban.log.1")
    log.say.info("two")
    log.handler.reopen()
    log.say.info("three")
    assert (tmp_path / "toban.log.1").read_text().count("\n") == 2
    assert json.loads(file.read_text())["event"] == "three"


def test_file_in_a_missing_directory_falls_back_and_returns(tmp_path: Path) -> None:
    """The lines go to the stream, the trouble is told once, and the file is used as soon as it can be."""
    log = Log(file=tmp_path / "later" / "toban.log")
    log.say.info("one")
    log.say.info("two")
    first, one, two = log.entries
    assert "No such file or directory" in first["event"]
    assert (first["level"], one["event"], two["event"]) == ("error", "one", "two")
    (tmp_path / "later").mkdir()
    log.say.info("three")
    log.say.info("four")
    assert len(log.entries) == 3
    events = [json.loads(line)["event"] for line in (tmp_path / "later" / "toban.log").read_text().splitlines()]
    assert (events[0], events[2]) == ("three", "four")
    assert events[1].endswith("instead: 2")


def test_file_on_a_full_disk_falls_back() -> None:
    """/dev/full takes nothing, as a full disk does."""
    log = Log(file=Path("/dev/full"))
    log.say.info("one")
    assert [entry["event"] for entry in log.entries][1:] == ["one"]
    assert "No space left on device" in log.entries[0]["event"]


def test_file_that_took_half_a_line_begins_a_new_one(tmp_path: Path) -> None:
    """The disk ran full within a line: it is whole on the stream, and the next one in the file stands by itself."""
    file = tmp_path / "toban.log"
    log = Log(file=file)
    log.say.info("one")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size + 20, hard))
    try:
        log.say.info("two")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    log.say.info("three")
    lines = file.read_text().splitlines()
    assert len(lines[1]) == 20
    assert [json.loads(lines[n])["event"] for n in (0, 2)] == ["one", "three"]
    assert log.entries[1]["event"] == "two"


def test_file_that_is_a_pipe_without_reader_makes_nobody_wait(tmp_path: Path) -> None:
    """Opening it would wait for ever; instead the lines go to the stream."""
    os.mkfifo(tmp_path / "pipe")
    log = Log(file=tmp_path / "pipe")
    log.say.info("one")
    assert log.entries[1]["event"] == "one"


# Nothing ends the work


def test_stream_that_is_gone_ends_nothing() -> None:
    """A closed stream or a pipe without reader: the line is lost, the daemon is not."""
    log = Log()
    log.stream.close()
    log.say.info("nobody hears")
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as broken:
        Log(stream=broken).say.info("nobody hears")
        os.dup2(os.open(os.devnull, os.O_WRONLY), writer)  # what is still buffered needs somewhere to go


def test_stream_that_knows_only_ascii_gets_escapes() -> None:
    """A locale of C does not make a Japanese name an error, nor a line of JSON something else."""
    raw = io.BytesIO()
    Log(stream=io.TextIOWrapper(raw, encoding="ascii")).say.info("監視 é 😀")
    assert b'"event": "\\u76e3\\u8996 \\u00e9 \\ud83d\\ude00"' in raw.getvalue()
    assert json.loads(raw.getvalue())["event"] == "監視 é 😀"


def test_value_that_cannot_be_told_ends_nothing() -> None:
    """An object whose str() raises, a format that does not fit: a short line says that there was one."""

    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no words")

    log = Log()
    log.say.info("told", value=Broken())
    log.handler.emit(logging.LogRecord("asyncpg", logging.ERROR, "", 0, "%d", ("x",), None))
    assert log.entries[0]["event"] == "a line of daemon.test could not be logged: RuntimeError"
    assert log.entries[1]["event"] == "a line of asyncpg could not be logged: TypeError"
