"""Foreign text made safe for one line and for a terminal: database names, application names, a driver's words.

What moves the cursor, ends a line or turns the reading direction is shown as an escape instead of being obeyed.
"""

import re

# Letters that need no glyph but act: C0, DEL and C1 controls, line and paragraph separators, the marks that turn the
# reading direction, and lone surrogates, which no encoding takes.
ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
LAST_OF_A_BYTE = 0xFF
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t", "\x1b": r"\e"}


def printable(text: str) -> str:
    """The text on one line, with everything that acts shown as an escape."""
    return ACTING.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    letter = match[0]
    code = ord(letter)
    return _SHORT.get(letter) or (f"\\u{code:04x}" if code > LAST_OF_A_BYTE else f"\\x{code:02x}")
