"""Foreign text for one line: what acts is shown instead, and its length is bounded."""

from toban.printable import printable


def one_line(text: str, most: int = 120) -> str:
    """The text without line ends, escapes and marks of direction, of at most so many letters."""
    shown = printable(text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 1] + "…"
