"""SQLite files as applications make them: with rows, in either journal mode, damaged, and under a real writer."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Self

ROLLBACK, WAL = "delete", "wal"


def application(path: Path, journal_mode: str = ROLLBACK) -> sqlite3.Connection:
    """An application's own connection, which waits for nobody."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    connection.execute(f"PRAGMA journal_mode={journal_mode}")
    return connection


def a_database(path: Path, journal_mode: str = ROLLBACK, *, rows: int = 500) -> Path:
    """A database with a table, an index and some free pages; nobody has it open."""
    with closing(application(path, journal_mode)) as connection:
        connection.execute("PRAGMA synchronous=off")
        connection.execute("BEGIN")
        connection.execute("CREATE TABLE trade (id integer PRIMARY KEY, note text NOT NULL)")
        connection.execute("CREATE INDEX trade_note ON trade (note)")
        connection.executemany("INSERT INTO trade (note) VALUES (?)", ((f"{n:0200}",) for n in range(rows)))
        connection.execute("DELETE FROM trade WHERE id > ?", (rows // 2,))
        connection.execute("PRAGMA user_version=7")
        connection.execute("COMMIT")
    return path


def flip_byte(path: Path, at: int) -> None:
    """One byte of the file turned over."""
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


# Commits as fast as it can, waiting for nobody, until its input ends; then it says how often it was refused.
_WRITER = """
import sqlite3, sys, threading
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
connection.execute("PRAGMA synchronous=off")
commits = busy = 0
while not ended.is_set():
    try:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE trade SET note = note || 'x' WHERE id = 1 + ? % 100", (commits,))
        connection.execute("UPDATE trade SET note = substr(note, 1, 200) WHERE id = 1 + ? % 100", (commits,))
        connection.execute("COMMIT")
    except sqlite3.OperationalError:
        busy += 1
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    else:
        commits += 1
        if commits == 1:
            print("writing", flush=True)
print(commits, busy, flush=True)
"""

# Takes a lock in a process of its own, and holds it until its input ends.
_HOLDER = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
for statement in sys.argv[2:]:
    connection.execute(statement).fetchall()
print("held", flush=True)
sys.stdin.read()
"""


class Writer:
    """A real process that commits in a tight loop and waits for nobody. Left, it tells what it met."""

    commits = 0
    refused = 0

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._process = _started(_WRITER, str(self._path))
        return self

    def __exit__(self, *raised: object) -> None:
        said = self._process.communicate(timeout=120)[0]
        self.commits, self.refused = (int(word) for word in said.split())


@contextmanager
def held(path: Path, *statements: str) -> Iterator[None]:
    """Another process that ran these statements and stays; killed at the end, as a crash would."""
    process = _started(_HOLDER, str(path), *statements)
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def can_write(path: Path) -> bool:
    """Whether a process that waits for nobody gets the write lock now."""
    done = subprocess.run(
        [sys.executable, "-c", _HOLDER, str(path), "BEGIN IMMEDIATE"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=120,
    )
    return done.returncode == 0


def contents(folder: Path) -> dict[str, bytes]:
    """Every file with what is in it."""
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


def _started(code: str, *arguments: str) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline(), "the process did not begin"
    return process
