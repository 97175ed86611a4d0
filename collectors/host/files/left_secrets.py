"""Secrets that were left in configuration files: found by how they are written, told by file and line, never shown."""

import re
from collections.abc import Iterator
from typing import NamedTuple

MOST_LETTERS = 4096  # of one line; what is longer is no line that a person wrote
_VALUE = r"""(?P<quote>["']?)(?P<value>[^\s"'#;,}]{4,})"""
_NAME = r"(?:password|passwd|passphrase|secret|api_?key|secret_?key|access_?key|private_?key|auth_?token|token)"
_ASSIGNED = re.compile(rf"""(?:^|[\s"'{{,;?&._-]){_NAME}["']?\s*(?:=>|[:=])\s*{_VALUE}""", re.IGNORECASE)
_BY_BLANK = re.compile(rf"^\s*(?:requirepass|masterauth|bindpw)\s+{_VALUE}", re.IGNORECASE)
_URL = re.compile(r"\b[a-z][a-z0-9+.-]{0,30}://[^\s/:@\"']*:(?P<value>[^\s/@\"']+)@", re.IGNORECASE)
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
_CLOUD_KEY = re.compile(r"(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9])")
# Where the value stands elsewhere, or is none: a variable, a tag, a template, an example, a kind of password.
_ELSEWHERE = re.compile(r"^(?:\$|!|%\(|@|<|\{|\*+$|x+$|X+$|\.\.\.|/|file:|env:|vault:|ENC\()")
_WORDS = frozenset({"none", "null", "true", "false", "required", "optional", "prompt", "scram-sha-256", "md5", "plain"})


class Left(NamedTuple):
    """Where a secret was left, and of what kind it is."""

    line: int
    kind: str


def left_secrets(content: bytes) -> Iterator[Left]:
    """The lines of a text that hold a secret, each once. What is no text holds none that could be told."""
    if b"\0" in content:
        return
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        kind = _kind(line[:MOST_LETTERS])
        if kind:
            yield Left(number, kind)


def _kind(line: str) -> str:
    if _PRIVATE_KEY.search(line):
        return "private_key"
    if _CLOUD_KEY.search(line):
        return "cloud_key"
    if any(_is_value(match["value"]) for match in _URL.finditer(line)):
        return "url"
    if line.lstrip().startswith(("#", ";", "//", "--")):
        return ""  # an example, as most configuration files bring along
    found = (*_ASSIGNED.finditer(line), *_BY_BLANK.finditer(line))
    return "password" if any(_is_value(match["value"]) for match in found) else ""


def _is_value(text: str) -> bool:
    return not _ELSEWHERE.match(text) and text.lower() not in _WORDS
