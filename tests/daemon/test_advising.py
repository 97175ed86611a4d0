"""Advice as people and programs get it, whoever gives it."""

import io
import json
from contextlib import redirect_stdout
from typing import Any

import pytest

from daemon.answers.advising import print_advice
from daemon.answers.asking import Asked
from daemon.configuration.tree import Configuration
from daemon.documents_advice import advice_document, advice_of
from toban.advice import Advice
from toban.catalogue import CATALOGUE
from toban.language import Language

PLAIN = {"advice.testing": ("{index} is idle", "{index} は未使用です")}


@pytest.fixture(autouse=True)
def sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentence of the advice below."""
    for key, entry in PLAIN.items():
        monkeypatch.setitem(CATALOGUE, key, entry)


def an_advice(**overrides: Any) -> Advice:  # noqa: ANN401 - whatever the field takes
    """To drop an index."""
    told: dict[str, Any] = {
        "target": "main",
        "database": "app",
        "subject": "public.t_a",
        "action": "drop",
        "reason": "testing",
        "values": {"index": "t_a"},
        "run": 'DROP INDEX CONCURRENTLY "public"."t_a";',
        "gain_bytes": 2048.0,
    }
    return Advice(**{**told, **overrides})


def printed(*found: Advice, language: Language = Language.EN, as_json: bool = False) -> str:
    """What a command prints, and that it is fine."""
    out = io.StringIO()
    with redirect_stdout(out):
        assert print_advice(found, Asked(configuration=Configuration(), language=language), as_json=as_json) == 0
    return out.getvalue()


def test_advice_is_a_table_and_below_it_what_to_run() -> None:
    """Each place is named once before its statements; columns of which nobody has anything to say are left out."""
    told = printed(an_advice(), an_advice(run="B;"), an_advice(database="", run="C;", gain_bytes=None))
    table, _, run = told.partition("What to run, once you agree:\n")
    assert run.splitlines() == [
        "-- main, database app",
        'DROP INDEX CONCURRENTLY "public"."t_a";',
        "B;",
        "-- main",
        "C;",
    ]
    assert "t_a is idle" in table
    assert "2 kB" in table
    assert "better" not in table


def test_advice_without_a_statement_has_nothing_to_run() -> None:
    """Where only a person can do it, no empty place is named."""
    assert "run" not in printed(an_advice(run=""))


def test_advice_speaks_japanese() -> None:
    """Headings, action and reason."""
    told = printed(an_advice(), language=Language.JA)
    assert "t_a は未使用です" in told
    assert "削除" in told
    assert "drop" not in told.lower().replace("drop index", "")


def test_advice_keeps_foreign_text_harmless() -> None:
    """A name with markup, an escape and a line's end is shown; a statement keeps its lines, which it may need."""
    told = printed(an_advice(subject="[red]x\x1b[0m", run='DROP INDEX "a\nb\x1b";'))
    assert r"[red]x\e[0m" in told
    assert 'DROP INDEX "a\nb\\e";' in told


def test_a_long_statement_stays_on_one_line() -> None:
    """It can be copied as it stands."""
    statement = f'DROP INDEX "{"x" * 300}";'
    assert statement in printed(an_advice(run=statement)).splitlines()


def test_advice_for_programs_has_reason_and_sentence() -> None:
    """One object each, in the order given."""
    (told,) = json.loads(printed(an_advice(), as_json=True))
    assert told == {
        "target": "main",
        "database": "app",
        "subject": "public.t_a",
        "action": "drop",
        "present": "",
        "wanted": "",
        "run": 'DROP INDEX CONCURRENTLY "public"."t_a";',
        "why": "t_a is idle",
        "reason": "testing",
        "values": {"index": "t_a"},
        "gain_bytes": 2048.0,
    }


def test_no_advice_says_so() -> None:
    """An empty list for programs, a sentence for people."""
    assert printed() == "nothing to advise\n"
    assert json.loads(printed(as_json=True)) == []


def test_advice_comes_back_from_its_document() -> None:
    """What the daemon answers can be worded anew."""
    assert advice_of(advice_document(an_advice(), Language.EN)) == an_advice()
