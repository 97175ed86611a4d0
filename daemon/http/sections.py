"""A page as sections, each with its text and, once somebody asked for it, its compressed form.

Most of a page is the same as fifteen seconds ago: table statistics, settings, sizes. A section is deflated once and
ends on a byte boundary with nothing looking back across it (`Z_FULL_FLUSH`), so that sections put together are one
ordinary gzip member; only the checksum runs over all of the text each time.
"""

import struct
import zlib
from collections.abc import Iterable
from functools import cached_property

LEVEL = 1  # a scrape is short-lived: the wire wins little from more, the processor loses
RAW = -15  # deflate without a frame of its own
HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x04\xff"  # gzip, deflate, no name, no time, quickest, no system
LAST_BLOCK = b"\x03\x00"  # an empty one, marked as the last


class Section:
    """A piece of a page that is kept for as long as it is true."""

    def __init__(self, text: str) -> None:
        self.text = text.encode()

    @cached_property
    def deflated(self) -> bytes:
        """The text, compressed, to be put between others."""
        packer = zlib.compressobj(LEVEL, zlib.DEFLATED, RAW)
        return packer.compress(self.text) + packer.flush(zlib.Z_FULL_FLUSH)

    def deflate(self) -> None:
        """Do the work now that `deflated` would do later."""
        _ = self.deflated


def plain(sections: Iterable[Section | None]) -> bytes:
    """The page as it is."""
    return b"".join(section.text for section in sections if section is not None)


def packed(sections: Iterable[Section]) -> bytes:
    """The page as one gzip member."""
    pieces, checksum, size = [HEADER], 0, 0
    for section in sections:
        pieces.append(section.deflated)
        checksum = zlib.crc32(section.text, checksum)
        size += len(section.text)
    return b"".join((*pieces, LAST_BLOCK, struct.pack("<II", checksum, size & 0xFFFFFFFF)))
