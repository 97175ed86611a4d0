"""Claims about foreign text on a line or a terminal."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toban.printable import printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("監視 🐘 é", "監視 🐘 é"),
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred", r"\e[31mred"),
        ("\x00\x7f\x9b", r"\x00\x7f\x9b"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028next", r"\u2028next"),
        ("\udc80", r"\udc80"),
    ],
)
def test_printable_shows_what_would_act(text: str, shown: str) -> None:
    """Escapes instead of obedience; letters of any script stay as they are."""
    assert printable(text) == shown


@given(st.text(st.characters()))
def test_printable_is_one_line_that_any_terminal_takes(text: str) -> None:
    """Whatever comes in, one line comes out, in UTF-8, and saying it twice changes nothing."""
    shown = printable(text)
    assert len(shown.splitlines()) <= 1
    assert printable(shown) == shown
    shown.encode()
