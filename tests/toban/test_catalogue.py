"""Claims about what people read: both languages are complete, and the code asks only for sentences that exist."""

import ast
import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

import pytest

import toban
from toban.catalogue import CATALOGUE, Language, choose_language, say, say_reason
from toban.outcomes import Reason

ROOT = Path(__file__).parents[2]


def placeholders(sentence: str) -> set[str]:
    """The names between braces; anything cleverer than a name is refused."""
    names = set()
    for _, name, spec, conversion in Formatter().parse(sentence):
        if name is not None:
            assert name.isidentifier()
            assert not spec
            assert not conversion
            names.add(name)
    return names


def faults(source: str) -> Iterator[str]:
    """What is wrong with the `say("…")` calls of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "say" and node.args:
            yield from _faults_of_call(node)


def _faults_of_call(call: ast.Call) -> Iterator[str]:
    asked = call.args[0]
    given = {keyword.arg for keyword in call.keywords if keyword.arg}
    if isinstance(asked, ast.JoinedStr):
        start = asked.values[0].value if isinstance(asked.values[0], ast.Constant) else ""
        if not start or not any(key.startswith(str(start)) for key in CATALOGUE):
            yield f"line {call.lineno}: no key begins with {start!r}"
    elif not isinstance(asked, ast.Name | ast.Attribute):
        keys = [str(piece.value) for piece in _alternatives(asked)]
        yield from (f"line {call.lineno}: no key {key!r}" for key in keys if key not in CATALOGUE)
        wanted = [placeholders(CATALOGUE[key][0]) for key in keys if key in CATALOGUE]
        unknown = given.difference(*wanted)
        missing = set() if len(call.keywords) > len(given) else set().union(*wanted) - given  # `**` may give them
        if unknown or missing:
            yield f"line {call.lineno}: {keys} want {sorted(missing)} and do not take {sorted(unknown)}"


def _alternatives(asked: ast.expr) -> Iterator[ast.Constant]:
    """The keys that a call may ask for: one, or those on both sides of a condition."""
    if isinstance(asked, ast.IfExp):
        yield from (*_alternatives(asked.body), *_alternatives(asked.orelse))
    elif isinstance(asked, ast.Constant):
        yield asked


def modules() -> list[Path]:
    """Every module that is shipped."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    return sorted(path for package in packages for path in (ROOT / package).rglob("*.py"))


def test_entries_say_the_same_in_both_languages() -> None:
    """Both languages have words, and the same values in them."""
    assert [key for key, words in CATALOGUE.items() if not all(one.strip() for one in words)] == []
    values = {key: [placeholders(one) for one in words] for key, words in CATALOGUE.items()}
    assert {key: found for key, found in values.items() if found[0] != found[1]} == {}


def test_tables_share_no_key() -> None:
    """No entry hides another one."""
    tables = [
        table
        for module in pkgutil.iter_modules(toban.__path__, "toban.")
        if module.name.startswith("toban.catalogue_")
        for table in vars(importlib.import_module(module.name)).values()
        if isinstance(table, dict) and table and all(isinstance(entry, tuple) for entry in table.values())
    ]
    assert len(CATALOGUE) == sum(map(len, tables))


def _written() -> tuple[set[str], list[re.Pattern[str]]]:
    """The texts in the packages, and the forms of those that are made up of parts; the catalogue's own left out."""
    whole, forms = set[str](), list[re.Pattern[str]]()
    for path in modules():
        if path.parent.name == "toban" and path.name.startswith("catalogue"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                whole.add(node.value)
            elif isinstance(node, ast.JoinedStr) and isinstance(node.values[0], ast.Constant):
                parts = (re.escape(str(one.value)) if isinstance(one, ast.Constant) else ".+" for one in node.values)
                forms.append(re.compile("".join(parts)))
    return whole, [form for form in forms if re.match(r"[a-z_]+\\\.", form.pattern)]


def test_every_sentence_is_said_somewhere() -> None:
    """A sentence that no code asks for is gone from the catalogue, too."""
    whole, forms = _written()
    idle = [key for key in CATALOGUE if key not in whole and not any(form.fullmatch(key) for form in forms)]
    assert idle == []


def test_code_asks_only_for_sentences_that_exist() -> None:
    """Every `say` in the packages names a key of the catalogue, and gives it the values that it takes."""
    assert [f"{path}: {fault}" for path in modules() for fault in faults(path.read_text())] == []


@pytest.mark.parametrize(
    ("source", "fault"),
    [
        ('say("no.such", language)', "line 1: no key 'no.such'"),
        ('say("health.ok", language, a=1)', "line 1: ['health.ok'] want [] and do not take ['a']"),
        ('say("status.title", language)', "line 1: ['status.title'] want ['node'] and do not take []"),
        ('say(f"nothing.{x}", language)', "line 1: no key begins with 'nothing.'"),
        ('say(f"{x}", language)', "line 1: no key begins with ''"),
        ('say("health.ok" if x else "no.such", language)', "line 1: no key 'no.such'"),
    ],
)
def test_search_finds_a_faulty_call(source: str, fault: str) -> None:
    """The check above can fail."""
    assert fault in list(faults(source))


@pytest.mark.parametrize(
    "source", ['say(f"reason.{x}", language)', "say(key, language)", 'say("status.title", language, **x)', "say()"]
)
def test_search_lets_a_good_call_pass(source: str) -> None:
    """A key made up of parts, or handed on, is not held against the code."""
    assert list(faults(source)) == []


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("language", Language)
def test_every_reason_has_its_phrase(reason: Reason, language: Language) -> None:
    """A reason added to toban/outcomes.py wants its words here."""
    assert say_reason(reason, language)


def test_say_puts_the_values_in() -> None:
    """Values stand where the sentence wants them, and braces in them are left alone."""
    assert say("status.title", Language.EN, node="{main}") == "Toban on {main}"
    assert say("status.title", Language.JA, node="主系") == "Toban(主系)"


def test_say_raises_for_an_unknown_key() -> None:
    """A slip shows at once instead of printing a key at people."""
    with pytest.raises(KeyError, match="no such"):
        say("no such", Language.EN)


@pytest.mark.parametrize(
    ("asked", "configured", "environ", "language"),
    [
        ("en", "ja", {"LANG": "ja_JP.UTF-8"}, Language.EN),
        (None, "ja", {"LANG": "en_US.UTF-8"}, Language.JA),
        (None, None, {"LANG": "ja_JP.UTF-8"}, Language.JA),
        (None, None, {"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, Language.EN),
        (None, None, {"LANG": "C", "LC_ALL": "ja_JP.eucJP"}, Language.JA),
        (None, None, {"LANG": "C", "LC_MESSAGES": "ja_JP"}, Language.JA),
        (None, None, {"LANG": "ja", "LC_ALL": ""}, Language.JA),
        (None, None, {}, Language.EN),
    ],
)
def test_language_is_the_one_asked_for_then_configured_then_the_locales(
    asked: str | None, configured: str | None, environ: dict[str, str], language: Language
) -> None:
    """The nearest word wins."""
    assert choose_language(asked=asked, configured=configured, environ=environ) is language
