"""A file's text as written values."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.configuration.files import read_bounded
from daemon.configuration.lending import Lenders
from daemon.configuration.problems import Problem
from daemon.configuration.reading import Reader
from daemon.configuration.written import Written, locate, path_text

Found = tuple[Written | None, list[Problem]]


def read(text: str | bytes, environment: Mapping[str, str] | None = None, folder: Path = Path("/")) -> Found:
    """What a reader finds, good and bad."""
    reader = Reader(folder / "config.yaml", Lenders(environment=environment or {}, read=read_bounded))
    return reader.read(text if isinstance(text, bytes) else text.encode()), reader.problems


def tree(text: str | bytes, environment: Mapping[str, str] | None = None, folder: Path = Path("/")) -> Written:
    """The values of a text without mistakes."""
    found, problems = read(text, environment, folder)
    assert problems == []
    assert found is not None
    return found


def plain(
    text: str | bytes, environment: Mapping[str, str] | None = None, folder: Path = Path("/")
) -> dict[str, object]:
    """The same without their places."""
    values: dict[str, object] = tree(text, environment, folder).plain
    return values


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("0", 0),
        ("-12", -12),
        ("007", "007"),
        ("0x1F", "0x1F"),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("9" * 40, "9" * 40),
        (".inf", ".inf"),
        ("2026-01-01", "2026-01-01"),
        ("127.0.0.1:8432", "127.0.0.1:8432"),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("! x", "x"),
        ("=", "="),
    ],
)
def test_reading_gives_plain_words_their_plain_meaning(text: str, value: object) -> None:
    """No country becomes false, no time of day a number, no version a date."""
    found = plain(f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", ["!!int x", "!!float x", "!!binary aGk=", "!!timestamp 2026-01-01", "!other x"])
def test_reading_refuses_other_tags(text: str) -> None:
    """None of them can reach Python's objects."""
    (problem,) = read(f"key: {text}\n")[1]
    assert (problem.line, problem.path) == (1, "key")
    assert problem.why.startswith("unknown tag")


def test_reading_remembers_the_line_of_every_value() -> None:
    """Of a key's line, also when its value begins below; of an item's line in a list."""
    written = tree("# why\na:\n  b: 1\n\n  c:\n    - x\n    - d: |\n        many\n        lines\n      e: 2\n")
    where = {("a",): 2, ("a", "b"): 3, ("a", "c"): 5, ("a", "c", 0): 6, ("a", "c", 1): 7, ("a", "c", 1, "e"): 10}
    assert {path: locate(written, path).line for path in where} == where
    assert locate(written, ("a", "nothing", "here")).line == 2


def test_reading_takes_aliases_within_reason() -> None:
    """To say a thing once is what they are for."""
    assert plain("a: &x {b: 1}\nc: *x\n") == {"a": {"b": 1}, "c": {"b": 1}}


def test_reading_skips_a_byte_order_mark() -> None:
    """Some editors leave one."""
    assert plain(b"\xef\xbb\xbfnode: db1\n") == {"node": "db1"}


def test_reading_goes_on_after_a_mistake() -> None:
    """All of them at once."""
    _, problems = read("a: ${NONE}\nb: !file /nowhere/x\nc: !nope x\nd: 1\nd: 2\n[e]: 3\n")
    assert [problem.line for problem in problems] == [1, 2, 3, 5, 6]


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_reading_survives_any_bytes(content: bytes) -> None:
    """Whatever a file holds, it is values or a problem with a place, never an exception."""
    found, problems = read(content)
    assert found is not None or problems


@settings(deadline=None)
@given(st.text(alphabet="ab:-[]{}&*!|>'\"%@#\n\t $,?=<~", max_size=60))
def test_reading_survives_any_punctuation(text: str) -> None:
    """The same for text that looks like YAML."""
    found, problems = read(text)
    assert found is not None or problems


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a ${X} b", "a 1 b"),
        ("${X}${Y}", "12"),
        ("$X", "$X"),
        ("$", "$"),
        ("$$", "$"),
        ("$${X}", "${X}"),
        ("${NONE:-d e}", "d e"),
        ("${NONE:-}", ""),
        ("${EMPTY:-d}", "d"),
        ("${EMPTY}", ""),
        ("${JA}", "日本"),
    ],
)
def test_variables_are_put_in_place(text: str, value: str) -> None:
    """With defaults, and with dollars that are only dollars."""
    environment = {"X": "1", "Y": "2", "EMPTY": "", "JA": "日本"}
    assert plain(f"key: {text!r}\n", environment) == {"key": value}
    assert plain(f"key: {text}\n", environment) == {"key": value or ""}


def test_variables_are_put_in_once() -> None:
    """What a variable holds is a value, not another text to be looked through."""
    assert plain("key: ${X}\n", {"X": "${Y} $$ !file x"}) == {"key": "${Y} $$ !file x"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("${NONE}", "the environment has no variable NONE; set it, or write ${NONE:-a default}"),
        ("${1X}", "a ${ without"),
        ("${X", "a ${ without"),
        ("${BAD}", "the variable BAD is not UTF-8"),
    ],
)
def test_variables_that_are_not_there_are_told(text: str, why: str) -> None:
    """With their line and key."""
    (problem,) = read(f"\nkey: '{text}'\n", {"BAD": "\udcff"})[1]
    assert (problem.line, problem.path) == (2, "key")
    assert problem.why.startswith(why)


def test_file_tag_takes_the_content_beside_the_configuration(tmp_path: Path) -> None:
    """Without its last newline; the path may hold a variable; the text is not looked through."""
    (tmp_path / "token").write_bytes(b"a ${B}\n\n")
    (tmp_path / "windows").write_bytes(b"x\r\n")
    found = plain("a: !file token\nb: !file ${D}/windows\n", {"D": str(tmp_path)}, tmp_path)
    assert found == {"a": "a ${B}\n", "b": "x"}


def test_file_tag_tells_why_it_gives_nothing(tmp_path: Path) -> None:
    """Each reason in a sentence that names the file."""
    (tmp_path / "latin").write_bytes(b"\xff")
    _, problems = read("a: !file latin\nb: !file\nc: !file none\nd: !file .\n", None, tmp_path)
    assert [problem.why for problem in problems] == [
        f"{tmp_path}/latin is not UTF-8",
        "!file wants a path",
        f"{tmp_path}/none does not exist",
        f"{tmp_path} is a directory",
    ]


def test_credential_tag_takes_what_systemd_gives(tmp_path: Path) -> None:
    """By its plain name only."""
    (tmp_path / "smtp").write_text("hunter2\n")
    environment = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert plain("a: !credential smtp\n", environment) == {"a": "hunter2"}
    _, problems = read("a: !credential none\nb: !credential ..\nc: !credential a/b\n", environment)
    assert [problem.why for problem in problems] == [
        "credential none does not exist",
        "!credential wants the plain name of a credential",
        "!credential wants the plain name of a credential",
    ]


def test_value_knows_who_lent_it(tmp_path: Path) -> None:
    """So that it is not quoted in a complaint."""
    (tmp_path / "t").write_text("x")
    written = tree("a: !file t\nb: x${V}${W}\nc: x\n", {"V": "1", "W": "2"}, tmp_path)
    assert [locate(written, (key,)).lender for key in "abc"] == ["!file t", "${V}", ""]


def test_path_text_is_one_readable_line() -> None:
    """Odd keys stand in quotes, and long ones are cut."""
    assert path_text(("targets", 0, "dsn")) == "targets[0].dsn"
    assert path_text(("a b", "c\nd", "")) == r"['a b']['c\nd']['']"
    assert len(path_text(("x " * 500,))) < 80
