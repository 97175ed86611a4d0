"""Where a command's words go. Whoever stops reading, as `head` does, ends no work and changes no exit status."""

import io
import os
import sys
from contextlib import suppress
from typing import Final, TextIO

_KEPT: Final[list[TextIO]] = []  # the streams as they were: with the last of them their descriptor would close


class _Heedless(io.FileIO):
    """A descriptor whose reader may go: what nobody reads is thrown away."""

    def write(self, data: "bytes | memoryview") -> int:  # type: ignore[override] # what the buffer above hands down
        try:
            return super().write(data)
        except BrokenPipeError:
            throw_away(self.fileno())
            return len(data)


def go_on_unread() -> None:
    """From now on a pipe that breaks is no reason to stop: a backup half made is no backup, and its verdict counts."""
    sys.stdout, sys.stderr = _heedless(sys.stdout), _heedless(sys.stderr)


def throw_away(descriptor: int) -> None:
    """From now on nobody reads it. Python tries the rest again as it ends, and its status would be 120."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)


def _heedless(stream: TextIO) -> TextIO:
    """The same stream; one that leads to no descriptor of its own, as in tests, is left alone."""
    if type(stream) is not io.TextIOWrapper:
        return stream
    stream.flush()
    _KEPT.append(stream)
    raw: io.RawIOBase = _Heedless(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
