"""Reads a stream of `mariadb-backup` (mbstream) from its input: every sum, every end, and which files are in it.

Piece by piece: `XBSTCK01`, flags, kind, the file's name; and of a payload its length, its offset, its CRC-32. Nothing
is unpacked. The answer is one JSON object on the output.
"""

import json
import struct
import sys
import zlib
from typing import Any, BinaryIO, Final

MAGIC: Final = b"XBSTCK01"
PAYLOAD: Final = b"P"
END: Final = b"E"
MOST_NAME_BYTES: Final = 4096
PIECE_BYTES: Final = 1024 * 1024
MOST_NAMED: Final = 50
HEAD: Final = struct.Struct("<cI")
MEASURES: Final = struct.Struct("<QQI")
IGNORABLE: Final = 1


class Fault(Exception):  # noqa: N818 - it is what the answer calls it
    """What is wrong with the stream."""


def read(source: BinaryIO) -> dict[str, Any]:
    """Read it to its end."""
    opened, ended, size = dict[str, int](), set[str](), 0
    while magic := source.read(len(MAGIC)):
        if magic != MAGIC:
            raise Fault("a piece begins wrongly")
        flags = _exactly(source, 1)[0]
        kind, length = HEAD.unpack(_exactly(source, HEAD.size))
        if length > MOST_NAME_BYTES:
            raise Fault("a piece has a name that is none")
        name = _exactly(source, length).decode(errors="replace")
        if kind == PAYLOAD:
            size += _payload(source, name, opened)
        elif kind == END:
            ended.add(name)
            opened.setdefault(name, 0)
        elif not flags & IGNORABLE:
            raise Fault(f"{name}: a piece of an unknown kind {kind!r}")
    if not opened:
        raise Fault("nothing is in it")
    plain = sorted(name for name in opened if "/" not in name)
    return {
        "members": len(opened),
        "size_bytes": size,
        "unended": sorted(opened.keys() - ended)[:MOST_NAMED],
        "named": plain,
    }


def _payload(source: BinaryIO, name: str, opened: dict[str, int]) -> int:
    length, offset, expected = MEASURES.unpack(_exactly(source, MEASURES.size))
    if offset != opened.get(name, 0):
        raise Fault(f"{name}: something is missing before byte {offset}")
    found, left = 0, length
    while left:
        piece = source.read(min(left, PIECE_BYTES))
        if not piece:
            raise Fault(f"{name}: it ends in the middle")
        found = zlib.crc32(piece, found)
        left -= len(piece)
    if found != expected:
        raise Fault(f"{name}: what is at byte {offset} is not what was written")
    opened[name] = offset + length
    return int(length)


def _exactly(source: BinaryIO, count: int) -> bytes:
    found = source.read(count)
    if len(found) != count:
        raise Fault("it ends in the middle")
    return found


def main() -> int:
    """Read the input."""
    try:
        found = read(sys.stdin.buffer)
    except Fault as error:
        found = {"fault": {"trouble": "damaged", "why": str(error)}}
    sys.stdout.write(json.dumps(found) + "\n")
    return int("fault" in found)


if __name__ == "__main__":
    sys.exit(main())
