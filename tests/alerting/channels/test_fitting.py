"""Claims about foreign text made to fit."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerting.channels import slack_blocks, teams
from alerting.channels.fitting import as_is, fitted, is_link, json_size

TEXTS = st.text(max_size=300)


@given(TEXTS, st.integers(min_value=1, max_value=200))
def test_fitted_is_never_longer_than_told(text: str, most: int) -> None:
    """In characters after the escape, and in bytes of JSON, whatever the text holds."""
    for escape in (as_is, slack_blocks.escaped, slack_blocks.code, teams.escaped):
        assert len(fitted(text, most, escape=escape)) <= most
    assert json_size(fitted(text, most + 10, size=json_size)) <= most + 10


@given(TEXTS)
def test_fitted_stays_on_one_line(text: str) -> None:
    """A line break is shown instead of obeyed."""
    assert len(fitted(text, 10_000).splitlines()) <= 1


def test_fitted_text_that_fits_is_whole() -> None:
    """Nothing is cut that need not be."""
    assert fitted("0123456789", 10) == "0123456789"
    assert fitted("0123456789a", 10) == "012345678…"
    assert fitted("", 10) == ""


def test_fitted_cuts_between_escapes() -> None:
    """Half an escape would be no escape."""
    assert fitted("&&&&", 11, escape=slack_blocks.escaped) == "&amp;&amp;…"


def test_json_size_is_of_the_document() -> None:
    """In bytes, with quotes and escapes; a lone surrogate counts as what stands for it."""
    assert json_size('a"é😀') == len(json.dumps('a"é😀', ensure_ascii=False).encode()) == 11
    assert json_size("\ud800") == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("https://runbooks.example.org/a?b=c#d", True),
        ("http://127.0.0.1:8432/alerts/4f7k", True),
        ("docs/rules/connections.md", False),
        ("javascript:alert(1)", False),
        ("file:///etc/passwd", False),
        ("https://", False),
        ("https://[", False),
        ("https://a b", False),
        ("https://a\nb", False),
        ("https://\u202ea", False),
        ("https://a/" + "x" * 1000, False),
        ("", False),
    ],
)
def test_link_is_an_address_of_the_web(text: str, *, told: bool) -> None:
    """Only such a one may stand behind a button."""
    assert is_link(text) is told


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("<!channel> & <@U1>", "&lt;!channel&gt; &amp; &lt;@\u200bU1&gt;"),
        ("@here (@all) dba@example.org", "@\u200bhere (@\u200ball) dba@example.org"),
        ("pg_stat_statements", "pg_stat_statements"),
        ("*bold* _x_", "\u200b*\u200bbold\u200b*\u200b \u200b_\u200bx\u200b_\u200b"),
        ("`a` ~b~", "\u200b`\u200ba\u200b`\u200b \u200b~\u200bb\u200b~\u200b"),
    ],
)
def test_slack_text_calls_nobody_and_formats_nothing(text: str, told: str) -> None:
    """Names with underscores stay as they are; what stands where formatting would begin is taken apart."""
    assert slack_blocks.escaped(text) == told


def test_slack_code_can_be_copied() -> None:
    """Only what would end the code, or act in it, is changed."""
    assert slack_blocks.code("select `a` from <b> where _x_ = '*'") == "select 'a' from &lt;b&gt; where _x_ = '*'"


def test_teams_text_is_no_markdown() -> None:
    """What formats is preceded by a backslash."""
    assert teams.escaped("[x](http://y) *z* <at>a</at> #1") == (
        r"\[x\]\(http://y\) \*z\* &lt;at&gt;a&lt;/at&gt; \#1".replace("&gt;", "&gt;")
    )
