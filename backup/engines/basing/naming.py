"""What a server's configuration files name of other files, line by line, in the two grammars that they have. Pure.

`postgresql.conf` and what it includes are settings; `pg_hba.conf`, `pg_ident.conf` and what they include are rules.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

INCLUDES: Final = frozenset({"include", "include_if_exists", "include_dir", "@"})
RULE_FILES: Final = ("hba_file", "ident_file")
TLS_FILES: Final = ("ssl_cert_file", "ssl_key_file", "ssl_ca_file", "ssl_crl_file", "ssl_dh_params_file")
_PLACES: Final = ("data_directory", "config_file", "external_pid_file", *RULE_FILES, *TLS_FILES)
_SETTING: Final = re.compile(
    rf"\s*(?P<word>include_if_exists|include_dir|include|{'|'.join(_PLACES)})(?:\s*=\s*|\s+|(?='))"
    r"(?P<value>'(?:[^'\\]|\\.|'')*'|[^\s'#]+)",
    re.IGNORECASE,
)
_RULE: Final = re.compile(
    r'\s*(?P<word>include_if_exists|include_dir|include)\s+(?P<value>"(?:[^"]|"")*"|[^\s,"#]+)\s*(?:#.*)?'
)
_LIST: Final = re.compile(r'"(?:[^"]|"")*"|(?P<comment>#)|(?<![^\s,])(?P<word>@)(?P<value>"(?:[^"]|"")*"|[^\s,"#]+)')


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One file or folder that a line names: by which word, and where in the line its path stands."""

    word: str
    path: str
    begins: int
    ends: int


Grammar = Callable[[str], Iterator[Named]]


def in_settings(line: str) -> Iterator[Named]:
    """Of a line of settings: what it includes, or where a setting says that a file of the server's is."""
    found = _SETTING.match(line)
    if found is not None:
        yield _named(found, _setting_value(found["value"]))


def in_rules(line: str) -> Iterator[Named]:
    """Of a line of rules: what it includes (from PostgreSQL 16 on), or the lists of names that it takes from files."""
    whole = _RULE.fullmatch(line)
    if whole is not None:
        yield _named(whole, _rule_value(whole["value"]))
        return
    for found in _LIST.finditer(line):
        if found["comment"]:
            return
        if found["word"]:
            yield _named(found, _rule_value(found["value"]))


def _named(found: re.Match[str], path: str) -> Named:
    return Named(word=found["word"].lower(), path=path, begins=found.start("value"), ends=found.end("value"))


def _setting_value(value: str) -> str:
    """As the server reads it: a quote is doubled, or behind a backslash."""
    if not value.startswith("'"):
        return value
    return re.sub(r"''|\\(.)", lambda escaped: escaped[1] or "'", value[1:-1])


def _rule_value(value: str) -> str:
    return value[1:-1].replace('""', '"') if value.startswith('"') else value
