"""What is remembered, and what is said when it cannot be, or when there is nothing to read."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from collectors.checkpoints import Checkpoints
from collectors.host.machine import HostMachine
from collectors.logs import reading
from collectors.logs.collector import Logs
from collectors.logs.following import HANDLES_MAX
from collectors.logs.settings import LogsSettings
from tests.collectors.logs.followed import Followed, values, write
from toban.clock import SystemClock
from toban.config import WRITTEN
from toban.outcomes import Reason

ROOT = Path(__file__).parents[3]
# A daemon in small: it reads on for ever, and says after each turn how many lines it has told of.
READER = """
import asyncio, sys
from pathlib import Path
from collectors.checkpoints import Checkpoints
from collectors.host.machine import HostMachine
from collectors.logs.collector import Logs
from collectors.logs.settings import LogsSettings
from toban.clock import SystemClock

async def main():
    settings = LogsSettings.model_validate({"name": "app", "path": sys.argv[1], "from_start": True})
    machine = HostMachine(checkpoints=Checkpoints(Path(sys.argv[2]), "host"))
    logs = Logs(machine, settings, SystemClock())
    while True:
        found = await logs.collect()
        print(sum(s.value for s in found.samples if s.metric.name == "toban_log_lines_total"), flush=True)

asyncio.run(main())
"""


@pytest.mark.integration
def test_killed_at_any_moment_it_counts_each_line_once(tmp_path: Path) -> None:
    """Kill -9 while it reads and writes, again and again: nothing twice, nothing missed, and nothing told goes back."""
    log, memory = tmp_path / "app.log", tmp_path / "memory"
    told, written = 0.0, 0
    for round_ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", READER, str(log), str(memory)], stdout=subprocess.PIPE, cwd=ROOT, text=True
        ) as daemon:
            assert daemon.stdout
            for _ in range(3 + round_):
                write(log, "".join(f"{n:07} INFO line\n" for n in range(written, written + 500)))
                written += 500
                told = max(told, float(daemon.stdout.readline()))
            os.kill(daemon.pid, signal.SIGKILL)
            told = max([told, *(float(line) for line in daemon.stdout.readlines() if line.endswith("\n"))])
    machine = HostMachine(checkpoints=Checkpoints(memory, "host"))
    settings = LogsSettings.model_validate({"name": "app", "path": str(log), "from_start": True})
    found = asyncio.run(Logs(machine, settings, SystemClock()).collect())
    assert values(found, "toban_log_lines_total") == {("info",): written}
    assert told <= written


def test_what_could_not_be_written_is_told_and_written_later(tmp_path: Path) -> None:
    """The counts go on; the gap says what to mend."""
    (tmp_path / "logs").mkdir()
    followed = Followed(tmp_path / "logs")
    followed.checkpoints.path = tmp_path / "absent" / "memory"
    followed.restart()
    found = followed.turn()
    assert [(gap.what, gap.reason) for gap in found.gaps if gap.what == "positions"] == [
        ("positions", Reason.PRIVILEGE)
    ]
    write(tmp_path / "logs" / "app.log", "INFO one\n")
    (tmp_path / "absent").mkdir()
    found = followed.turn()
    assert found.gaps == ()
    followed.restart()
    assert followed.lines == 1


@pytest.mark.parametrize("damage", ["not a database, but long enough to be looked at" * 50, "UPDATE"])
def test_broken_memory_is_put_aside_and_told(tmp_path: Path, damage: str) -> None:
    """The log is followed from its end; the next turn is as ever."""
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "app.log"
    write(log, "INFO one\n")
    followed = Followed(log.parent, from_start=True)
    followed.turn()
    assert followed.checkpoints.path
    if damage == "UPDATE":
        with sqlite3.connect(followed.checkpoints.path) as file:
            file.execute("UPDATE checkpoint SET body = '{'")
        file.close()
    else:
        followed.checkpoints.path.write_text(damage)
        followed.checkpoints.path.with_name("logs.checkpoints-journal").write_text("of the broken file")
    followed.restart()
    found = followed.turn()
    assert [(gap.what, gap.reason) for gap in found.gaps] == [("positions", Reason.CORRUPT)]
    assert ("was dropped" if damage == "UPDATE" else "put aside") in found.gaps[0].hint
    assert not followed.checkpoints.path.with_name("logs.checkpoints-journal").exists()
    assert followed.turn().gaps == ()


def test_broken_memory_of_one_log_costs_no_other(tmp_path: Path) -> None:
    """They share a file: what the others had counted stays."""
    (tmp_path / "logs").mkdir()
    write(tmp_path / "logs" / "app.log", "INFO one\n")
    logs = [Followed(tmp_path / "logs", name=name, from_start=True) for name in ("app", "other")]
    for log in logs:
        log.turn()
    assert logs[0].checkpoints.path
    with sqlite3.connect(logs[0].checkpoints.path) as file:
        file.execute("UPDATE checkpoint SET body = '{}' WHERE owner = 'host/logs:app'")
    file.close()
    write(tmp_path / "logs" / "app.log", "INFO two\n")
    for log in logs:
        log.restart()
    assert [gap.reason for gap in logs[0].turn().gaps] == [Reason.CORRUPT]
    found = logs[1].turn()
    assert found.gaps == ()
    assert values(found, "toban_log_lines_total") == {("info",): 2}


def test_memory_that_cannot_be_read_for_a_while_is_not_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody holds the file when the daemon starts: nothing is counted until it is free, and then all of it is."""
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "app.log"
    write(log, "INFO one\n")
    followed = Followed(log.parent, from_start=True)
    followed.turn()
    write(log, "INFO two\n")
    followed.restart()
    monkeypatch.setattr("collectors.checkpoints.BUSY_SECONDS", 0.01)
    assert followed.checkpoints.path
    holder = sqlite3.connect(followed.checkpoints.path)
    holder.execute("BEGIN EXCLUSIVE")
    found = followed.turn()
    assert [(gap.what, gap.reason) for gap in found.gaps] == [("positions", Reason.LOCKED)]
    assert found.samples == ()
    holder.close()
    assert followed.lines == 2


def test_file_that_fails_under_the_reading_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that dies, an NFS handle that has gone stale: a gap, and the other files go on."""
    folder = tmp_path / "logs"
    folder.mkdir()
    write(folder / "bad.log", "INFO old\n")
    write(folder / "good.log", "INFO old\n")
    followed = Followed(folder, path=str(folder / "*.log"))
    followed.turn()
    write(folder / "bad.log", "INFO new\n")
    write(folder / "good.log", "INFO new\n")
    real = os.pread

    def failing(descriptor: int, size: int, at: int) -> bytes:
        if size == reading.BLOCK_BYTES and Path(f"/proc/self/fd/{descriptor}").readlink().name == "bad.log":
            raise OSError(116, "Stale file handle")
        return real(descriptor, size, at)

    with monkeypatch.context() as patched:
        patched.setattr(os, "pread", failing)
        found = followed.turn()
    assert [(Path(gap.what).name, gap.reason) for gap in found.gaps] == [("bad.log", Reason.UNSUPPORTED)]
    assert values(found, "toban_log_lines_total") == {("info",): 1}
    assert followed.lines == 2


def test_who_only_looks_leaves_the_memory_as_it_is(tmp_path: Path) -> None:
    """A command beside the stopped daemon sees what it knew and what has come, and keeps nothing of it."""
    (tmp_path / "logs").mkdir()
    log = tmp_path / "logs" / "app.log"
    write(log, "INFO one\n")
    followed = Followed(log.parent, from_start=True)
    followed.turn()
    write(log, "INFO two\n")
    for _ in range(2):
        machine = HostMachine(checkpoints=Checkpoints(followed.checkpoints.path, "host", keeps=False))
        onlooker = Logs(machine, followed.settings, followed.clock)
        for _ in range(2):
            found = asyncio.run(onlooker.collect())
            assert values(found, "toban_log_lines_total") == {("info",): 2}
    assert followed.lines == 2


def test_missing_file_is_a_reason_and_its_coming_is_read(tmp_path: Path) -> None:
    """Where nothing is there at the first start, all of it is new."""
    folder = tmp_path / "logs"
    followed = Followed(folder)
    found = followed.turn()
    assert [(gap.what, gap.reason) for gap in found.gaps] == [(str(folder / "app.log"), Reason.NOT_FOUND)]
    folder.mkdir()
    os.mkfifo(folder / "app.log")
    assert followed.turn().gaps[0].reason is Reason.NOT_FOUND
    (folder / "app.log").unlink()
    write(folder / "app.log", "INFO one\n")
    found = followed.turn()
    assert found.gaps == ()
    assert values(found, "toban_log_lines_total") == {("info",): 1}


def test_file_that_may_not_be_read_is_a_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once it may be read, it goes on where it stood."""
    folder = tmp_path / "logs"
    folder.mkdir()
    log = folder / "app.log"
    write(log, "INFO old\n")
    followed = Followed(folder)
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", _refused)
        found = followed.turn()
    assert [(gap.what, gap.reason) for gap in found.gaps] == [(str(log), Reason.PRIVILEGE)]
    followed.turn()
    write(log, "INFO new\n")
    followed.restart()
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", _refused)
        assert followed.turn().gaps[0].reason is Reason.PRIVILEGE
    assert followed.lines == 1


def test_very_many_files_that_may_not_be_read_are_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three by name."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(10):
        write(folder / f"{number}.log", "INFO old\n")
    monkeypatch.setattr(os, "open", _refused)
    found = Followed(folder, path=str(folder / "*.log")).turn()
    assert [gap.count for gap in found.gaps] == [1, 1, 1, 7]
    assert {gap.reason for gap in found.gaps} == {Reason.PRIVILEGE}
    assert found.gaps[3].what == f"other files of {folder}/*.log"


def _refused(path: str, *_: object, **__: object) -> int:
    raise PermissionError(13, "Permission denied", str(path))


def test_backlog_takes_turns_and_little_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn ends when its time is up, and the next goes on; memory is a few blocks, however long the file is."""
    folder = tmp_path / "logs"
    folder.mkdir()
    lines = 300_000
    write(folder / "app.log", b"2026-11-21 10:00:00 INFO a line of about the usual length, no more\n" * lines)
    followed = Followed(folder, from_start=True)
    followed.turn()
    assert followed.lines == lines
    other = Followed(folder, name="slow", from_start=True)

    class Hurried:
        """A clock whose every look is seconds later."""

        seconds = 0.0

        def now(self) -> float:
            return followed.clock.now()

        def monotonic(self) -> float:
            self.seconds += 4
            return self.seconds

    other.collector.clock = Hurried()
    tracemalloc.start()
    found = asyncio.run(other.collector.collect())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (behind,) = values(found, "toban_log_behind_bytes").values()
    assert 0 < behind < lines * 67
    assert most < 40 * reading.BLOCK_BYTES
    while behind:
        found = asyncio.run(other.collector.collect())
        (behind,) = values(found, "toban_log_behind_bytes").values()
    assert values(found, "toban_log_lines_total") == {("info",): lines}


def test_few_files_stay_open(tmp_path: Path) -> None:
    """However many there are."""
    folder = tmp_path / "logs"
    folder.mkdir()
    followed = Followed(folder, path=str(folder / "*.log"))
    followed.turn()
    for number in range(HANDLES_MAX + 20):
        write(folder / f"{number}.log", f"{number} INFO line\n")
    assert followed.lines == HANDLES_MAX + 20
    opened = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert len([path for path in opened if path.startswith(str(folder))]) == HANDLES_MAX
    for number in range(HANDLES_MAX + 20):
        write(folder / f"{number}.log", f"{number} INFO more\n")
    assert followed.lines == 2 * (HANDLES_MAX + 20)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"path": "app.log"}, "is no absolute path"),
        ({"match": {"event": "x"}}, "fields are matched in jsonl only"),
        ({"patterns": [{"name": "p", "match": {"event": "x"}}]}, "in text a pattern matches a regular expression"),
        ({"format": "jsonl", "patterns": [{"name": "p", "match": "x"}]}, "in jsonl a pattern matches fields"),
        ({"patterns": [{"name": "p", "match": "("}]}, "is no regular expression"),
        ({"patterns": [{"name": "p", "match": "x"}, {"name": "p", "match": "y"}]}, "another pattern is called p too"),
        ({"patterns": [{"name": "p", "match": "x"}, {"name": "P", "match": "y"}]}, "another pattern is called P too"),
        ({"patterns": [{"name": "p", "match": r"(\w+\s?)+$"}]}, "may search for ever"),
        ({"level": r"((\w+)*)\]"}, "may search for ever"),
        ({"logins": {"match": r"(?P<address>(\d+\.?)*) "}}, "may search for ever"),
        ({"patterns": [{"name": "1p", "match": "x"}]}, "is no name"),
        ({"level": "x"}, "has no group"),
        ({"format": "combined", "level": "(x)"}, "has levels of its own"),
        ({"logins": {}}, "say which lines are failed logins"),
        ({"logins": {"match": "x"}}, "has no group"),
        ({"logins": {"match": {"a": 1}}}, "fields are matched in jsonl only"),
        ({"format": "jsonl", "logins": {"match": r"(?P<address>\S+)"}}, "in jsonl failed logins match fields"),
    ],
)
def test_mistake_in_the_settings_is_told(settings: dict[str, object], why: str) -> None:
    """What would never match is refused, with its reason."""
    with pytest.raises(ValueError, match="validation error") as refused:
        LogsSettings.model_validate({"name": "app", "path": "/var/log/app.log", **settings}, context=WRITTEN)
    assert why in str(refused.value)
