"""What the validator found, in plain words: a table from its kinds of error to our sentences."""

import re
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic_core import ErrorDetails

from daemon.configuration.written import Path, Written, locate
from toban.secrets import blot

_FOUND_MAX_CHARACTERS = 60
Schema = Mapping[str, Any]


def path_of(error: ErrorDetails, root: Written) -> Path:
    """Where the error is, in the words of the file: without the validator's name of a chosen `kind`."""
    path: Path = ()
    for part in error["loc"]:
        here = locate(root, path)
        kind = here.child("kind")
        chosen = path and kind is not None and kind.value == part
        if not (chosen and here.child(part) is None):
            path = (*path, part)
    if error["type"] in ("union_tag_invalid", "union_tag_not_found"):
        return (*path, "kind")
    return (*path, *error.get("ctx", {}).get("at", ()))


def sentence(error: ErrorDetails, written: Written, schema: Schema) -> str:
    """Why the value cannot stand."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown_key(str(error["loc"][-1]), known_keys(schema, error["loc"][:-1]))
    if kind == "union_tag_invalid" and written.value is not None:
        found = _found(written.value, written)
        return f"{found} is no kind of {_thing(error)}; there are {_kinds(context)}"
    if kind == "union_tag_invalid" or (error["input"] is None and kind in _SCALARS):
        return "is empty; give it a value, or leave the key out"
    if kind == "value_error":
        return _without_value(str(context["error"]), written)
    if kind in _SHAPES:
        return f"{_SHAPES[kind]}, found {_shape(error['input'])}"
    wanted = _WANTED.get(kind, _UNKNOWN)(context)
    return f"{wanted}, found {_found(error['input'], written)}" if wanted.startswith("expected") else wanted


def _thing(error: ErrorDetails) -> str:
    """What has kinds: a target or a channel."""
    return str(error["loc"][0]).removesuffix("s")


def _kinds(context: Mapping[str, Any]) -> str:
    *others, last = sorted(re.findall(r"'(\w+)'", str(context.get("expected_tags", ""))))
    return f"{', '.join(others)} and {last}"


def known_keys(schema: Schema, loc: Sequence[str | int]) -> list[str]:
    """The keys that may stand at a place, out of the JSON Schema."""
    here = _resolved(schema, schema)
    for part in loc:
        if "discriminator" in here:
            here = {"$ref": here["discriminator"]["mapping"][part]}
        else:
            here = here["items"] if isinstance(part, int) else _under(here, part)
        here = _resolved(schema, here)
    return list(here.get("properties", ()))


def _under(here: Schema, key: str) -> Schema:
    """What stands under a key: one of its own, or any."""
    found: Schema = here.get("properties", {}).get(key) or here["additionalProperties"]
    return found


def _resolved(schema: Schema, here: Schema) -> Schema:
    for option in here.get("anyOf", ()):  # of a part that may also be null: the part
        here = option if "$ref" in option or "items" in option else here
    if "$ref" in here:
        found: Schema = schema["$defs"][here["$ref"].rpartition("/")[2]]
        return found
    return here


def _unknown_key(key: str, known: list[str]) -> str:
    near = get_close_matches(key.lower(), known, n=1, cutoff=0.6)
    return "unknown key; " + (f'did you mean "{near[0]}"?' if near else f"known here: {', '.join(known)}")


def _without_value(said: str, written: Written) -> str:
    """A validator's own sentence. Ours begin with the value; one that was lent is named by its lender instead."""
    if not written.lender:
        return blot(said)
    why = said.removeprefix(repr(written.value))
    return f"what {written.lender} gives does not fit here" if str(written.value) in why else f"{written.lender}{why}"


def _found(value: object, written: Written) -> str:
    if isinstance(value, dict | list):
        return _shape(value)
    if written.lender:
        return f"what {written.lender} gives"
    if isinstance(value, bool):
        return "true" if value else "false"
    shown = blot(repr(value))
    return shown if len(shown) <= _FOUND_MAX_CHARACTERS else f"{shown[:_FOUND_MAX_CHARACTERS]}…"


def _shape(value: object) -> str:
    """Where a section or a list belongs a stray value is not quoted: it may be a secret that lost its key."""
    if isinstance(value, dict):
        return "keys and values"
    if isinstance(value, list):
        return "a list"
    return "nothing" if value is None else "a single value"


def _just(words: str) -> Callable[[Mapping[str, Any]], str]:
    return lambda _: words


_UNKNOWN = _just("does not fit here")
_SHAPES = {
    "model_type": "expected keys and values",
    "model_attributes_type": "expected keys and values",
    "dict_type": "expected keys and values",
    "tuple_type": "expected a list, each item behind a dash",
    "list_type": "expected a list, each item behind a dash",
}
_SCALARS = frozenset({"string_type", "int_type", "float_type", "bool_type", "literal_error", "value_error"})
_WANTED: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "missing": _just("is missing; it has no default"),
    "misfit": lambda context: str(context["why"]),
    "secret": lambda context: str(context.get("fault", "must be text; put it in quotes")),
    "string_type": _just("expected text (put a number in quotes)"),
    "string_too_short": _just("is empty; give it a value, or leave the key out"),
    "string_too_long": lambda context: f"expected at most {context['max_length']} characters",
    "string_pattern_mismatch": _just("has a form that is not allowed here"),
    "int_type": _just("expected a whole number"),
    "int_parsing": _just("expected a whole number"),
    "int_from_float": _just("expected a whole number"),
    "float_type": _just("expected a number"),
    "float_parsing": _just("expected a number"),
    "bool_type": _just("expected true or false"),
    "bool_parsing": _just("expected true or false"),
    "literal_error": lambda context: f"expected {context['expected'].replace(chr(39), '')}",
    "enum": lambda context: f"expected {context['expected'].replace(chr(39), '')}",
    "union_tag_not_found": _just("is missing; every target has a kind: host, mariadb, pgbouncer, postgresql or sqlite"),
    "greater_than": lambda context: f"expected more than {context['gt']:g}",
    "greater_than_equal": lambda context: f"expected at least {context['ge']:g}",
    "less_than": lambda context: f"expected less than {context['lt']:g}",
    "less_than_equal": lambda context: f"expected at most {context['le']:g}",
    "too_short": lambda context: f"expected at least {context['min_length']} items",
    "too_long": lambda context: f"expected at most {context['max_length']} items",
}
