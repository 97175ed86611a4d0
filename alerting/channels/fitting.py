"""Foreign text made to fit: on one line, escaped as the channel has it, and never longer than the channel takes."""

import json
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from toban.printable import printable

CUT: Final = "…"
_LONGEST_LINK = 1000


def as_is(text: str) -> str:
    """What a channel needs where nothing in a text could act."""
    return text


def json_size(text: str) -> int:
    """What a text takes as a part of a JSON document in UTF-8, in bytes."""
    return len(json.dumps(text, ensure_ascii=False).encode(errors="replace"))


def wide_size(text: str) -> int:
    """Its length as providers count whose letters have 16 bits: an emoji is two."""
    return len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def fitted(text: str, most: int, *, escape: Callable[[str], str] = as_is, size: Callable[[str], int] = len) -> str:
    """The text on one line and escaped, cut so that it takes no more than `most` of whatever `size` counts."""
    line = printable(text[: most + 1])
    whole = escape(line)
    if len(text) <= most and size(whole) <= most:
        return whole
    fits, too_long = 0, len(line) + 1
    while too_long - fits > 1:
        middle = (fits + too_long) // 2
        if size(escape(line[:middle]) + CUT) <= most:
            fits = middle
        else:
            too_long = middle
    return escape(line[:fits]) + CUT


def is_link(text: str) -> bool:
    """Whether this is an address that a button may lead to."""
    if len(text) > _LONGEST_LINK or not text.isascii() or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)
