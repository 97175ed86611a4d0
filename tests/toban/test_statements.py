"""SQL without its literals."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toban.statements import blot_literals

SECRET = "xyzzy42plugh"

CASES = {
    "CREATE ROLE x PASSWORD 'secret'": "CREATE ROLE x PASSWORD ?",
    "select 'it''s', 1, -2.5e-3, .5, 0xFF, 1_000 from t1 where a = $1": "select ?, ?, -?, ?, ?, ? from t1 where a = $1",
    r"select E'a\'b' , e'\\', x": "select ? , ?, x",
    "select U&'d0061' UESCAPE '!', B'01', X'ff', N'n'": "select ? UESCAPE ?, ?, ?, ?",
    "DO $$ begin x := 'a'; end $$": "DO ?",
    "DO $body$ a $$ b $body$ LANGUAGE plpgsql": "DO ? LANGUAGE plpgsql",
    'select "it\'s" , "a""b", a$b$1 from "表"': 'select "it\'s" , "a""b", a$b$1 from "表"',
    "select 1 -- password: secret\n, b /* 'secret' /* nested */ secret */ from c": "select ?  \n, b   from c",
    "SET app.token = abcdef": "SET app.token = ?",
    "BEGIN; SET LOCAL app.token = abcdef; select a": "BEGIN; SET LOCAL app.token = ?; select a",
    "CREATE OR REPLACE FUNCTION f() RETURNS int SET app.token TO abc AS $$x$$": (
        "CREATE OR REPLACE FUNCTION f() RETURNS int SET app.token TO ?"
    ),
    "set session x.y to abc, def": "set session x.y to ?",
    "ALTER ROLE bob IN DATABASE d SET app.token TO abc": "ALTER ROLE bob IN DATABASE d SET app.token TO ?",
    "ALTER SYSTEM SET primary_conninfo = 'password=x'": "ALTER SYSTEM SET primary_conninfo = ?",
    "update t set a = b where c = $2": "update t set a = b where c = $2",
    "SET ROLE admin": "SET ROLE admin",
    "COPY t FROM PROGRAM 'curl -u me:secret'": "COPY t FROM PROGRAM ?",
    "select date'2026-01-01', 12abc": "select date?, ?",
    "select 'cut off in the mid": "select ?",
    "do $x$ cut off": "do ?",
    "select 1 /* cut off": "select ?  ",
    r"select 'a\', 'secret'": "select ?",
    "": "",
}


@pytest.mark.parametrize(("text", "blotted"), CASES.items())
def test_literals_are_blotted_and_names_stay(text: str, blotted: str) -> None:
    """Each kind of literal becomes `?`; names, quoted names and parameters are what they were."""
    assert blot_literals(text) == blotted


names = st.text(string.ascii_letters + "_é表🐘", min_size=1, max_size=8).filter(lambda n: SECRET not in n)
noise = st.text("abc '\"\\$-/*;\n?(),=.1eE", max_size=12)


def _quoted(inside: str) -> str:
    return "'" + inside.replace("'", "''") + "'"


def _escaped(inside: str) -> str:
    return "E'" + inside.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _dollared(inside: str) -> str:
    return f"$q${inside} $q$"


@st.composite
def literals(draw: st.DrawFn) -> str:
    """A literal with the secret in it, in any of SQL's spellings."""
    inside = draw(noise) + SECRET + draw(noise)
    spelling = draw(st.sampled_from([_quoted, _escaped, _dollared]))
    prefix = draw(st.sampled_from(["", "N", "U&"])) if spelling is _quoted else ""
    return prefix + spelling(inside)


pieces = st.one_of(
    names.map(lambda n: f" {n} "),
    names.map(lambda n: '"' + n.replace('"', '""') + "'\""),
    st.sampled_from([" $1 ", " = ", ", ", "(", ")", " 42 ", " /* it's */ ", " -- it's\n", "::text ", " - ", " / "]),
    literals().map(lambda text: f" {text} "),
)


@given(st.lists(pieces, max_size=12))
def test_no_literal_survives(statement: list[str]) -> None:
    """However a statement is put together, what stood in its literals is gone."""
    assert SECRET not in blot_literals("".join(statement))


@given(st.lists(pieces, max_size=12), st.integers(0, 200))
def test_no_literal_survives_the_cut(statement: list[str], length: int) -> None:
    """A text that the server cut anywhere shows no more than a whole one."""
    cut = "".join(statement)[:length]
    left = blot_literals(cut)
    assert not any(SECRET[: n + 4] in left for n in range(len(SECRET) - 4))


@given(st.integers(0, 10**12))
def test_no_number_survives(number: int) -> None:
    """A number that stands alone is a literal."""
    assert str(number) not in blot_literals(f"select a from t limit {number}")


@given(st.text(max_size=200))
def test_any_text_is_taken(text: str) -> None:
    """Whatever stands there, no quote of a literal is left."""
    assert "'" not in blot_literals(text) or '"' in text


@given(st.lists(names, min_size=1, max_size=6))
def test_names_and_parameters_survive(words: list[str]) -> None:
    """What is no literal is still there to be read."""
    text = " , ".join(f'{word} = $1 and "{word}"' for word in words)
    if words[0].lower() not in {"set", "alter"}:
        assert blot_literals(text) == text
