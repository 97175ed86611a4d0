"""Which expressions would hang, and which only look as if."""

import re

import pytest

from collectors.backtracking import hangs, quickened


@pytest.mark.parametrize(
    "expression",
    [
        *(r"(a+)+$", r"(\w+\s?)+x", r"(.*,)+x", r"(a*)*b", r"(\w+|\s)*x", r"((a|b+)+c?)+x", r"([a-z]+[0-9]*)+x"),
        *(r"(?:\s*\d\s*)+x", r"(?:\s*\w+\s*)+x", r"(\w+ ?){20}x", r"(x+x+)+y", r"user=((\w|\d)+)+ ", r"(?:a+?b?)+?c"),
    ],
)
def test_repetition_of_a_repetition_hangs(expression: str) -> None:
    """One text can be shared out among the rounds in many ways: who writes this is told before it is too late."""
    assert hangs(expression)


@pytest.mark.parametrize(
    "expression",
    [
        *(r"(\w+\.)+com", r'(?:[^"\\]|\\.)*', r"(?:\s*\w+\s*,)*", r"([^,]*,)*x", r"(\w+\s+)+x", r"(?:key=\w+;)*end"),
        *(r"(?:[0-9a-f]{1,4}:)+[0-9a-f]{1,4}", r"(?:/[^/ ]+)+", r"(?: \w+=\S+)* end", r"(?:\w+ )*\w+", r"日本+語"),
        *(r"(\w++\s?)+x", r"(?>\w+)+x", r"(\d{1,3}\.){3}\d{1,3}", r"(error|exception)+", r".*foo.*bar", r"a+b+", "("),
    ],
)
def test_repetition_with_something_fixed_in_between_does_not(expression: str) -> None:
    """Nor does what gives nothing back, nor what ends after a few rounds; what is no expression is told elsewhere."""
    assert hangs(expression) == ""


@pytest.mark.parametrize(
    ("expression", "quicker"),
    [
        *((".*ok", "ok"), (".*?ok", "ok"), (".*.*x", "x"), (".*", ".*")),
        *((".*+ok", ".*+ok"), (".+ok", ".+ok"), ("^.*ok", "^.*ok"), (".*|a", "|a")),
    ],
)
def test_anything_in_front_is_left_out(expression: str, quicker: str) -> None:
    """What it finds stays the same."""
    assert quickened(expression) == quicker
    for text in ("", "ok", "not ok", "x", "a\nok", "none"):
        assert bool(re.search(expression, text)) is bool(re.search(quicker, text))
