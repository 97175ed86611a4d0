"""Bytes into whole lines, a bounded block at a time, so that neither a backlog nor an endless line costs memory.

Reading releases the interpreter's lock, counting holds it for the length of one block; between two blocks the event
loop is let in (docs/decisions/0012).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress

from collectors.logs.formats import Format
from collectors.logs.position import BROKEN, Entry, Position, unpacked
from collectors.logs.tally import NONE, Tally

BLOCK_BYTES = 256 * 1024
LINE_MAX_BYTES = 1024 * 1024


class Reader:
    """Reads files on from where they were left, until the end or until told to stop."""

    def __init__(self, tally: Tally, form_of: Callable[[str], Format]) -> None:
        self.tally = tally
        self._form_of = form_of
        self._forms: dict[str, Format] = {}

    def read(self, position: Position, now: float, go_on: Callable[[], bool]) -> bool:
        """Whether the end was reached. OSError when a plain file cannot be read."""
        for chunk in _packed(position) if position.compressed else _plain(position):
            position.take(chunk)
            self._take(position, chunk, now)
            if not go_on():
                return False
        return True

    def last_line(self, position: Position, now: float) -> None:
        """What stands at the end of a file that nobody writes any more counts as a line, though nothing ends it."""
        if position.carry:
            position.carry, line = b"", position.carry
            self._count(self.form(position), line + b"\n", now)

    def form(self, position: Position) -> Format:
        """How a file is to be read."""
        if position.origin not in self._forms:
            self._forms[position.origin] = self._form_of(position.origin)
        return self._forms[position.origin]

    def _take(self, position: Position, chunk: bytes, now: float) -> None:
        if position.skipping:
            end = chunk.find(b"\n") + 1
            if not end:
                return
            chunk, position.skipping = chunk[end:], False
        form = self.form(position)
        if b"\0" in chunk:
            chunk = chunk.replace(b"\0", b"")  # what a truncated file is filled up with by a writer that stays put
        data = position.carry + chunk
        end = form.cut(data)
        position.carry = data[end:]
        if end:
            self._count(form, data[:end], now)
        if len(position.carry) > LINE_MAX_BYTES:
            self._cut(position, form, now)

    def _cut(self, position: Position, form: Format, now: float) -> None:
        """A line that does not end: its beginning counts, the rest is passed over."""
        line, position.carry = position.carry[:LINE_MAX_BYTES], b""
        position.skipping = True
        self.tally.cut += 1
        self.tally.at(form.when(line, now), now)
        self.tally.lines(NONE)

    def _count(self, form: Format, block: bytes, now: float) -> None:
        if b"\r" in block and b"\r\n" in block:  # looking for one byte first is forty times as quick
            block = block.replace(b"\r\n", b"\n")
        form.share_out(block, self.tally, now)


def _plain(position: Position) -> Iterator[bytes]:
    assert position.handle is not None  # noqa: S101 - the caller has opened it
    while chunk := position.handle.read(BLOCK_BYTES, position.offset):
        yield chunk


def _packed(position: Position) -> Iterator[bytes]:
    """To its end, or to where it is damaged or still being written."""
    entry = Entry(path=position.path, device=0, inode=0, size=0, changed_ns=0, wanted=False)
    with suppress(*BROKEN), unpacked(entry) as stream:
        stream.seek(position.offset, os.SEEK_SET)
        while chunk := stream.read(BLOCK_BYTES):
            yield chunk
