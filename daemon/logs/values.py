"""Values fit for a log: without secrets, bounded in length and depth, and of types that JSON has."""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from toban.secrets import MASK, Dsn, Secret, blot

LONGEST_TEXT = 2000  # letters of one value; a driver may quote a whole statement
MOST_ITEMS = 50
DEEPEST = 4
SHORT_SECRET = 4  # below this a secret is only looked for as a word of its own: "a" is in every sentence
LEAST_SECRET_LINE = 8  # letters of one line of a secret that has several, such as a private key
_TELLING_KEY = re.compile(r"(passw(or)?d|passphrase|secret|token|credential|routing_key|api_key)s?$", re.IGNORECASE)

Plain = str | int | float | bool | None | list["Plain"] | dict[str, "Plain"]


def spellings(secret: Secret | str) -> Iterator[str]:
    """Every way in which a secret may turn up in a message: as it is, inside a URL, a repr, JSON, or line by line."""
    for whole in _wholes(secret):
        lines = [line for line in whole.splitlines() if len(line) >= LEAST_SECRET_LINE]
        for spelling in (whole, whole.strip(), *lines):
            yield from (spelling, quote(spelling, safe=""), repr(spelling)[1:-1], json.dumps(spelling)[1:-1])


class Blotter:
    """Takes what the daemon knows to be secret out of whatever is to be logged."""

    def __init__(self, secrets: Iterable[Secret | str] = ()) -> None:
        known = sorted({s for secret in secrets for s in spellings(secret) if s}, key=len, reverse=True)
        self._longest = len(known[0]) if known else 0
        self._known = re.compile("|".join(map(_pattern, known))) if known else None

    def text(self, text: str) -> str:
        """One text without secrets, and cut. It is cut before the search too, which keeps the search short."""
        cut = text[: 2 * LONGEST_TEXT + self._longest]
        clean = self._known.sub(MASK, cut) if self._known else cut
        clean = blot(clean)
        if len(cut) < len(text):  # the cut may have left half a secret at the end
            return f"{clean[: max(0, len(clean) - self._longest)][:LONGEST_TEXT]}…"
        return clean if len(clean) <= LONGEST_TEXT else f"{clean[:LONGEST_TEXT]}…"

    def lines(self, text: str) -> str:
        """A text of several lines, each treated by itself."""
        return "\n".join(self.text(line) for line in text.splitlines())

    def value(self, value: object, depth: int = 0) -> Plain:
        """Any value as plain data."""
        if value is None or isinstance(value, bool | int):
            return value
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, Mapping) and depth < DEEPEST:
            return self.mapping(value, depth + 1)
        if isinstance(value, list | tuple | set | frozenset) and depth < DEEPEST:
            return [self.value(item, depth + 1) for item in list(value)[:MOST_ITEMS]]
        return self.text(_spelled(value))

    def mapping(self, values: Mapping[Any, object], depth: int = 0) -> dict[str, Plain]:
        """Named values. A name that promises a secret keeps its value to itself."""
        return {
            self.text(str(name)): MASK if _tells(name, value) else self.value(value, depth)
            for name, value in list(values.items())[:MOST_ITEMS]
        }


def _wholes(secret: Secret | str) -> tuple[str, ...]:
    match secret:
        case Dsn():
            return secret.secrets
        case Secret():
            return (secret.reveal(),)
        case _:
            return (secret,)


def _pattern(secret: str) -> str:
    found = re.escape(secret)
    return found if len(secret) >= SHORT_SECRET else rf"(?<!\w){found}(?!\w)"


def _tells(name: object, value: object) -> bool:
    return isinstance(value, str | bytes) and _TELLING_KEY.search(str(name)) is not None


def _spelled(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, datetime):
        return value.isoformat()
    return str(value)
