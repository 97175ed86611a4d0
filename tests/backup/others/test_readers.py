"""The small programs that read other people's files, called as functions: what they answer and do not believe."""

import io
import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from backup.children import Children, Command
from backup.errors import BackupError
from backup.readers import answer, asked, mariadb_dump, mbstream, reader, sqlite
from backup.restore.holders import holders_of
from tests import sqlite_files
from tests.sqlite_files import a_database, application, flip_byte, held
from toban.backups import Trouble

Said = pytest.CaptureFixture[str]


def told(capsys: Said, status: int, expected: int = 0) -> dict[str, object]:
    """What a reader has said on its output."""
    assert status == expected
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


# --- SQLite ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("journal_mode", [sqlite_files.ROLLBACK, sqlite_files.WAL])
def test_sqlite_reader_copies_and_checks(journal_mode: str, tmp_path: Path, capsys: Said) -> None:
    """Facts of the source, then what is in the copy."""
    source, copied = a_database(tmp_path / "a.db", journal_mode), tmp_path / "copy"
    facts = told(capsys, sqlite.main(["copy", str(source), str(copied), "1"]))
    assert (facts["page_size"], facts["user_version"]) == (4096, 7)
    assert facts["journal_mode"] == ("wal" if journal_mode == sqlite_files.WAL else "rollback")
    found = told(capsys, sqlite.main(["check", str(copied), "exact"]))
    assert found == {"errors": [], "unchecked": "", "looked": True, "violations": 0, "rows": [["trade", 250]]}
    assert told(capsys, sqlite.main(["check", str(copied), "none"]))["rows"] == []


@pytest.mark.integration
def test_sqlite_reader_copies_what_is_open_in_wal_mode(tmp_path: Path) -> None:
    """By a read transaction, with the log."""
    source = a_database(tmp_path / "a.db", sqlite_files.WAL)
    with held(source, "PRAGMA user_version=99"):
        assert sqlite.copy(source, tmp_path / "copy", 1.0)["user_version"] == 99
    with held(source, "PRAGMA locking_mode=exclusive", "PRAGMA user_version=98"):
        source.with_name("a.db-shm").unlink(missing_ok=True)
        with pytest.raises(sqlite.Fault, match="cannot be shared"):
            sqlite.copy(source, tmp_path / "copy", 0.0)


def test_sqlite_reader_counts_for_nothing_what_was_written_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file at rest is read without a lock, and again when somebody wrote; in the end it gives up."""
    source = a_database(tmp_path / "a.db", sqlite_files.WAL)
    real, writes = sqlite._copied, [1]
    monkeypatch.setattr(sqlite, "PAUSE_SECONDS", 0.0)

    def copied(*arguments: object) -> dict[str, object]:
        found = real(*arguments)  # type: ignore[arg-type] # handed on as they came
        if writes:
            with closing(application(source, sqlite_files.WAL)) as connection:
                connection.execute(f"PRAGMA user_version={writes.pop()}")
        return found

    monkeypatch.setattr(sqlite, "_copied", copied)
    assert sqlite.copy(source, tmp_path / "copy", 1.0)["user_version"] == 1
    writes += [9, 8, 7, 6, 5, 4, 3, 2]
    with pytest.raises(sqlite.Fault, match="written to during every attempt"):
        sqlite.copy(source, tmp_path / "copy", 1.0)


def test_sqlite_reader_is_patient_with_a_header_that_is_being_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    """READONLY means that; anything else is what it is, and for ever is too long."""
    monkeypatch.setattr(sqlite, "PAUSE_SECONDS", 0.0)

    def failing(code: int, times: int) -> object:
        left = [times]

        def read() -> str:
            if not left[0]:
                return "read"
            left[0] -= 1
            error = sqlite3.OperationalError("no")
            error.sqlite_errorcode = code
            raise error

        return sqlite._patient(read)

    assert failing(sqlite3.SQLITE_READONLY, 4) == "read"
    for code, times in ((sqlite3.SQLITE_READONLY, 5), (sqlite3.SQLITE_BUSY, 1)):
        with pytest.raises(sqlite3.OperationalError):
            failing(code, times)


def test_sqlite_reader_tells_damage(tmp_path: Path, capsys: Said) -> None:
    """A spoiled page is found, a spoiled beginning is no database; both are answers."""
    path = a_database(tmp_path / "a.db", rows=4000)
    flip_byte(path, 4096 * 5 + 3)
    found = told(capsys, sqlite.main(["check", str(path), "exact"]))
    assert found["errors"]
    assert found["rows"] == []
    path.write_bytes(b"x" * 8192)
    assert told(capsys, sqlite.main(["check", str(path), "exact"]))["errors"] == ["file is not a database"]


@pytest.mark.parametrize(
    ("words", "trouble"),
    [
        (["copy", "/no/such/file", "/tmp/x", "0"], "missing"),  # noqa: S108 - never made
        (["copy", "/proc/self/mem", "/tmp/x", "0"], "unreachable"),  # noqa: S108 - never made
        (["check", "/no/such/file", "exact"], "privilege"),
    ],
)
def test_sqlite_reader_tells_faults_by_their_trouble(words: list[str], trouble: str, capsys: Said) -> None:
    """As the answer that its caller raises."""
    found = told(capsys, sqlite.main(words), 1)
    fault = found["fault"]
    assert isinstance(fault, dict)
    assert fault["trouble"] == trouble


def test_sqlite_reader_knows_what_a_refusal_means() -> None:
    """Also of the file system, and of an error that has no code."""
    assert sqlite._told(PermissionError("no"))["trouble"] == "privilege"
    assert sqlite._told(sqlite3.Error("odd"))["trouble"] == "tool"
    full = sqlite3.OperationalError("database or disk is full")
    full.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert sqlite._told(full)["trouble"] == "space"


def test_sqlite_reader_says_what_it_could_not_look_at(tmp_path: Path) -> None:
    """A collation is stood in for, once; a function that only the application has cannot be."""
    path = tmp_path / "a.db"
    with closing(application(path)) as connection:
        connection.create_collation("own", lambda a, b: (a > b) - (a < b))
        connection.execute("CREATE TABLE word (text text COLLATE own PRIMARY KEY)")
    found = sqlite.check(path, "exact")
    assert (found["looked"], found["unchecked"]) == (True, "no such collation sequence: own")
    assert sqlite._bytewise("a", "b") == -1
    with closing(application(tmp_path / "b.db")) as connection:
        connection.create_function("own", 1, lambda value: value, deterministic=True)
        connection.execute("CREATE TABLE word (text text)")
        connection.execute("CREATE INDEX by_own ON word (own(text))")
    found = sqlite.check(tmp_path / "b.db", "exact")
    assert (found["errors"], found["looked"]) == ([], False)
    assert "own" in found["unchecked"]


# --- MariaDB ---------------------------------------------------------------------------------------------------------

DUMP = b"""-- MariaDB dump
-- CHANGE MASTER TO MASTER_LOG_FILE='binlog.000007', MASTER_LOG_POS=42;
-- Table structure for table `it``s`
CREATE TABLE `it``s` (a int);
INSERT INTO `it``s` VALUES
(1,'a'),
(2,'(3),');
INSERT INTO `it``s` VALUES
(4,'x');
-- Temporary table structure for view `dear`
-- Table structure for table `old`
INSERT INTO `old` VALUES (1),(2);
-- Table structure for table `named`
INSERT INTO `named` (`a`, row_start) VALUES (1,2),
(3,4),
(5,6);
INSERT INTO `named` (`a`, row_start) VALUES (7,8);
INSERT INTO odd
-- Table structure for table `none`
-- SET GLOBAL gtid_slave_pos='0-1-9';

-- Dump completed on 2026-11-21  2:00:00
"""


def test_dump_is_counted_as_it_flows_by() -> None:
    """Rows that stand on lines of their own; of others nothing is claimed."""
    into = io.BytesIO()
    dump = mariadb_dump.read(io.BytesIO(DUMP), into)
    assert into.getvalue() == DUMP
    assert dump.told == {
        "rows": {"it`s": 3, "old": None, "named": 4, "none": 0},
        "position": {"file": "binlog.000007", "offset": 42, "gtid": "0-1-9"},
        "completed": True,
        "size_bytes": len(DUMP),
    }


@pytest.mark.parametrize("cut", [10, 45, len(DUMP) // 2])
def test_dump_without_its_end_is_not_whole(cut: int) -> None:
    """And one that goes on after its end is not either."""
    assert not mariadb_dump.read(io.BytesIO(DUMP[:-cut]), None).completed
    assert not mariadb_dump.read(io.BytesIO(DUMP + b"INSERT INTO `a` VALUES\n"), None).completed


def test_dump_with_a_row_longer_than_memory_is_likes_is_read_in_pieces() -> None:
    """The row counts once."""
    row = b"(1,'" + b"x" * (3 * mariadb_dump.PIECE_BYTES) + b"'),\n"
    dump = mariadb_dump.read(io.BytesIO(b"INSERT INTO `t` VALUES\n" + row + row), None)
    assert dump.rows == {"t": 2}


def test_dump_counts_nothing_that_stands_in_the_body_of_a_routine() -> None:
    """Its lines may look like rows, or like the dump's end."""
    body = (
        b"DELIMITER ;;\nCREATE PROCEDURE `p`() BEGIN\nINSERT INTO `t` VALUES (1);\nINSERT INTO `t` VALUES\n(2),\n(3);\n"
        b"-- Dump completed\nEND ;;\n"
    )
    rows = b"INSERT INTO `t` VALUES\n(1),\n(2);\n"
    dump = mariadb_dump.read(io.BytesIO(rows + body + b"DELIMITER ;\n" + rows + b"-- Dump completed\n"), None)
    assert (dump.rows, dump.completed) == ({"t": 4}, True)
    assert not mariadb_dump.read(io.BytesIO(rows + body), None).completed


@pytest.mark.integration
def test_dump_reader_whose_disk_is_full_says_so(tmp_path: Path) -> None:
    """And does not end as one that found something."""
    words = reader("mariadb_dump", "pass", tmp_path / "report").words
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(words, input=DUMP, stdout=full, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (2, b"error: No space left on device\n")


def test_dump_reader_tells_on_its_output_or_in_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Whichever is free: where the dump is handed on, the output is not."""
    source = tmp_path / "dump"
    source.write_bytes(DUMP)
    for words in (["read"], ["pass", str(tmp_path / "report")]):
        with source.open() as opened:
            monkeypatch.setattr(sys, "stdin", opened)
            assert mariadb_dump.main(words) == 0
            sys.stdout.flush()
        said = capfdbinary.readouterr().out
        if words == ["read"]:
            assert json.loads(said)["completed"] is True
        else:
            assert said == DUMP
    assert json.loads((tmp_path / "report").read_text())["size_bytes"] == len(DUMP)


def test_mbstream_reader_answers_what_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Said) -> None:
    """As a fault, with status 1."""
    (tmp_path / "stream").write_bytes(b"nothing of the kind")
    with (tmp_path / "stream").open() as opened:
        monkeypatch.setattr(sys, "stdin", opened)
        found = told(capsys, mbstream.main(), 1)
    assert found == {"fault": {"trouble": "damaged", "why": "a piece begins wrongly"}}


# --- asking them -----------------------------------------------------------------------------------------------------


async def test_reader_that_answers_nothing_is_a_fault_of_ours() -> None:
    """Its last words are the reason."""
    command = Command(words=("/bin/sh", "-c", "echo oops >&2; echo no answer"))
    with pytest.raises(BackupError, match="could not be read: oops") as failed:
        await asked(Children(), "ledger", command, within_seconds=10)
    assert failed.value.trouble is Trouble.INTERNAL


async def test_reader_that_dies_has_failed() -> None:
    """With how it ended."""
    with pytest.raises(BackupError, match="ended by signal 9"):
        await asked(Children(), "ledger", Command(words=("/bin/sh", "-c", "kill -9 $$")), within_seconds=10)


async def test_reader_needs_nothing_but_python(tmp_path: Path) -> None:
    """None of our packages, so that it starts at once."""
    done = await Children().run(reader("sqlite", "check", tmp_path / "none", "exact"), within_seconds=60)
    with pytest.raises(BackupError) as failed:
        answer("none", done, done.stdout)
    assert failed.value.trouble is Trouble.PRIVILEGE


# --- who has a file open ---------------------------------------------------------------------------------------------


def test_holders_are_told_by_descriptors_and_by_locks(tmp_path: Path) -> None:
    """Of a process that may be asked by its descriptors, of another by its locks; ourselves excepted."""
    file = tmp_path / "ledger.db"
    file.touch()
    status = file.stat()
    processes = tmp_path / "proc"
    for number, name in ((71, "app"), (72, "other")):
        (processes / str(number) / "fd").mkdir(parents=True)
        (processes / str(number) / "comm").write_text(f"{name}\n")
    (processes / "71" / "fd" / "3").symlink_to(file)
    (processes / "72" / "fd" / "4").symlink_to(tmp_path / "gone")
    (processes / "73").mkdir()
    device = f"{status.st_dev >> 8 & 0xFFF:02x}:{status.st_dev & 0xFF:02x}"
    (processes / "locks").write_text(
        f"1: POSIX  ADVISORY  READ 72 {device}:{status.st_ino} 128 128\n"
        f"2: -> POSIX  ADVISORY  WRITE 75 {device}:{status.st_ino} 128 128\n"
        f"3: OFDLCK ADVISORY READ -1 {device}:{status.st_ino} 0 EOF\nnonsense\n"
    )
    named, complete = holders_of([file, tmp_path / "not there"], processes)
    assert named == ("process 71 (app)", "process 72 (other)", "process 75")
    assert complete


def test_holders_of_nothing_are_nobody(tmp_path: Path) -> None:
    """And without /proc nothing is claimed."""
    assert holders_of([tmp_path / "not there"]) == ((), True)
    (tmp_path / "x").touch()
    assert holders_of([tmp_path / "x"], tmp_path / "no proc") == ((), False)
