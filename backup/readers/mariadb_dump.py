"""Reads a dump of MariaDB's or MySQL's as it flows by: which tables are in it, how many rows each, whether it is whole.

    mariadb_dump.py read            tells on the output
    mariadb_dump.py pass REPORT     hands on what it reads, and tells in a file

The dump's own rows are counted, so that a restore can be held against what was dumped and not against what was there a
moment later. MariaDB's program writes each row on a line of its own; where one does not, nothing is counted. Nor is
what stands in the bodies of routines, triggers and events, which have a delimiter of their own.
"""

import json
import os
import re
import sys
from pathlib import Path
from typing import Any, BinaryIO, Final

PIECE_BYTES: Final = 64 * 1024
MOST_TABLES: Final = 1_000_000
_STRUCTURE = re.compile(
    rb"-- (?:Table structure for table|Sequence structure for|Temporary table structure for view) (`.*`)"
)
_INSERT = re.compile(rb"(?:INSERT|REPLACE)(?: IGNORE)? INTO (`(?:[^`]|``)+`) (?:\(.*\) )?VALUES(.*)$", re.DOTALL)
_FILE = re.compile(rb"^-- CHANGE MASTER TO MASTER_LOG_FILE='([^']*)', MASTER_LOG_POS=(\d+)")
_GTID = re.compile(rb"^-- SET GLOBAL gtid_slave_pos='([^']*)'")
_DELIMITER = b"DELIMITER "
_USUAL = b";"
_COMPLETED = b"-- Dump completed"


class Dump:
    """What is known of a dump so far; it is shown the beginning of each line."""

    def __init__(self) -> None:
        self.rows: dict[str, int | None] = {}
        self.position: dict[str, Any] = {}
        self.completed = False
        self.size_bytes = 0
        self._table = ""
        """The table whose rows follow, one on each line."""
        self._in_body = False

    def line(self, text: bytes) -> None:
        """One line, or the first 64 kB of it."""
        if text.startswith(_DELIMITER):
            self._in_body = text.removeprefix(_DELIMITER).strip() != _USUAL
        if self._in_body:
            self._table, self.completed = "", False
            return
        if text.startswith(b"(") and self._table:
            self._count()
            return
        self._table = ""
        if text.startswith((b"INSERT ", b"REPLACE ")):
            self._insert(text)
        elif text.startswith(b"-- "):
            self._comment(text)
        elif text.strip():
            self.completed = False

    @property
    def told(self) -> dict[str, Any]:
        """All of it."""
        return {
            "rows": self.rows,
            "position": self.position,
            "completed": self.completed,
            "size_bytes": self.size_bytes,
        }

    def _insert(self, text: bytes) -> None:
        self.completed = False
        found = _INSERT.match(text)
        if found is None:
            return
        table, rest = _name(found[1]), found[2]
        if rest.strip() and (b"),(" in rest or not rest.endswith(b"\n")):  # several rows on this line, or perhaps
            self.rows[table] = None
            return
        self._table = table
        if rest.strip():  # the first of them; the others follow, unless it is the only one
            self._count()
            self._table = table if rest.rstrip().endswith(b",") else ""

    def _count(self) -> None:
        known = self.rows.get(self._table, 0)
        if known is not None:
            self.rows[self._table] = known + 1

    def _comment(self, text: bytes) -> None:
        if text.startswith(_COMPLETED):
            self.completed = text.endswith(b"\n")
        elif found := _STRUCTURE.match(text):
            if b"view" not in text[:50] and b"Sequence" not in text[:20] and len(self.rows) < MOST_TABLES:
                self.rows.setdefault(_name(found[1]), 0)
        elif found := _FILE.match(text):
            self.position |= {"file": found[1].decode(errors="replace"), "offset": int(found[2])}
        elif found := _GTID.match(text):
            self.position["gtid"] = found[1].decode(errors="replace")


def read(source: BinaryIO, into: BinaryIO | None) -> Dump:
    """Read to the end; hand it on where somebody waits for it. No line is held whole."""
    dump, begins = Dump(), True
    while piece := source.readline(PIECE_BYTES):
        if begins:
            dump.line(piece)
        begins = piece.endswith(b"\n")
        dump.size_bytes += len(piece)
        if into is not None:
            into.write(piece)
    if into is not None:
        into.flush()
    return dump


def _name(quoted: bytes) -> str:
    return quoted[1:-1].replace(b"``", b"`").decode(errors="replace")


def main(words: list[str]) -> int:
    """Read the input; 2 where what it is written to takes no more."""
    try:
        if words[0] == "pass":
            dump = read(sys.stdin.buffer, sys.stdout.buffer)
            Path(words[1]).write_text(json.dumps(dump.told))
        else:
            sys.stdout.write(json.dumps(read(sys.stdin.buffer, None).told) + "\n")
    except OSError as error:
        sys.stderr.write(f"error: {error.strerror or error}\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left of it is not tried again
        return 2
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
