"""Lines that an expression finds, looked for in a whole block at once: what does not match costs next to nothing."""

import re
from collections.abc import Callable, Iterator
from fnmatch import translate

from collectors.backtracking import hangs, quickened
from toban.printable import printable

LABEL_MAX = 100
SEEN_BYTES = 8192  # of a line, by an expression: `.*x` takes the square of a line's length, and nothing can stop it
# Where the neighbouring lines could change the outcome, or bytes are no characters, each line is looked at by itself.
_SEES_NEIGHBOURS = re.compile(r"\(\?(?:[!>(]|<!)|\\[AZ]|[*+?}]\+")
# What takes line breaks too would run on to the block's end, from each place anew.
_RUNS_ON = re.compile(r"\(\?[aimux]*s|\[\^(?![^\]]*\\[sn])|\\[DW][*+]")
_NO_BYTES = re.compile(r"[^\x00-\x7f][?*+{]|\[[^\]]*[^\x00-\x7f]")
_WILD = re.compile(r"[*?\[]")


def compiled(text: str) -> re.Pattern[bytes]:
    """A person's expression, for the bytes of a line. ValueError says what is wrong with it."""
    try:
        found = re.compile(text.encode())
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression: {error}") from error
    if why := hangs(text):
        raise ValueError(why)
    return found


class LineMatches:
    """Finds the lines of a block that an expression matches; each line once."""

    def __init__(self, text: str, contains: str = "") -> None:
        self._line = compiled(text)
        self._block = re.compile(quickened(text).encode(), self._line.flags | re.MULTILINE)
        self._text = re.compile(text) if _NO_BYTES.search(text) else None
        self._contains = contains.encode()
        self._apart = bool(_SEES_NEIGHBOURS.search(text) or _RUNS_ON.search(text) or self._text)
        self.groups = tuple(self._line.groupindex)

    def each(self, block: bytes) -> Iterator[tuple[dict[str, str], bytes]]:
        """Named groups and the line itself, for every line that matches."""
        for line in self._candidates(bounded(block)):
            found = self.one(line)
            if found is not None:
                yield found, line

    def one(self, line: bytes) -> dict[str, str] | None:
        """The named groups if this line matches."""
        line = line[:SEEN_BYTES]
        if self._text is not None:
            match = self._text.search(line.decode("utf-8", "replace"))
            return None if match is None else {name: value or "" for name, value in match.groupdict().items()}
        found = self._line.search(line)
        if found is None:
            return None
        return {name: (value or b"").decode("utf-8", "replace") for name, value in found.groupdict().items()}

    def first(self, line: bytes) -> bytes:
        """What the first group holds; nothing if the line does not match."""
        found = self._line.search(line)
        return (found[1] or b"") if found else b""

    def _candidates(self, block: bytes) -> Iterator[bytes]:
        if self._apart and not self._contains:
            yield from block.split(b"\n")
            return
        at = 0
        while at < len(block):
            found = self._next(block, at)
            if found < 0:
                return
            start = block.rfind(b"\n", 0, found) + 1
            end = block.find(b"\n", found)
            end = len(block) if end < 0 else end
            yield block[start:end]
            at = end + 1

    def _next(self, block: bytes, at: int) -> int:
        if self._contains:
            return block.find(self._contains, at)
        found = self._block.search(block, at)
        return -1 if found is None else found.start()


def bounded(block: bytes) -> bytes:
    """The block, with what is too long of a line cut off. A line so long fills one of the windows looked at."""
    window = SEEN_BYTES // 2
    if all(block.find(b"\n", at, at + window) >= 0 for at in range(0, len(block) - window + 1, window)):
        return block
    return b"\n".join(line[:SEEN_BYTES] for line in block.split(b"\n"))


def label(value: object) -> str:
    """A value as a label: printable, and short."""
    return printable(text_of(value))[:LABEL_MAX]


def text_of(value: object) -> str:
    """A JSON value as a person would write it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def is_wild(text: str) -> bool:
    """Whether it is a shell pattern."""
    return _WILD.search(text) is not None


def fitting(wanted: object) -> Callable[[object], bool]:
    """Whether a field's value is the one asked for, or fits the shell pattern."""
    text = text_of(wanted)
    if is_wild(text):
        shape = re.compile(translate(text))
        return lambda value: value is not None and shape.match(text_of(value)) is not None
    return lambda value: value == text or (value is not None and text_of(value) == text)
