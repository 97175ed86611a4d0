"""Expressions that a person wrote and that would hang: Python's `re` cannot be interrupted, and holds up everything.

What hangs is a repetition within a repetition, where one text can be divided among the rounds in many ways, as by
`(a+b?)+`: each letter more doubles the time. It is looked for in the library's own reading of the expression.
"""

import importlib
import re
from collections.abc import Iterator
from itertools import product
from typing import Any

MANY = 10  # rounds of a repetition; fewer do no harm
_VARIANTS_MAX = 200
_IN_FRONT = re.compile(r"^(?:\.\*\??(?![+*?{]))+(?=.)", re.DOTALL)
_BYTES = frozenset(range(256))
_REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}
_READER: Any = importlib.import_module("re._parser")  # it has no public name
_CATEGORIES = {
    f"CATEGORY_{prefix}{name}": frozenset(n for n in _BYTES if bool(re.match(letter, bytes([n]))) is not bool(prefix))
    for name, letter in (("DIGIT", rb"\d"), ("SPACE", rb"\s"), ("WORD", rb"\w"))
    for prefix in ("", "NOT_")
}
Node = tuple[Any, Any]  # what it is, and of what


def hangs(expression: str) -> str:
    """Why an expression may search for ever; empty when it will not, or is none."""
    try:
        nodes = list(_READER.parse(expression.encode()))
    except (re.error, RecursionError, OverflowError):
        return ""
    if any(_is_ambiguous(body) for body in _loops(nodes)):
        return (
            "may search for ever: it repeats what is itself a repetition, with nothing fixed in between; write "
            r"(?:\w+ )*\w+ for (\w+ ?)+, or forbid the inner one to give back: (\w++ ?)+"
        )
    return ""


def quickened(expression: str) -> str:
    """The same question without a `.*` in front, which would look through all that follows from each place anew."""
    return _IN_FRONT.sub("", expression)


def _loops(nodes: list[Node]) -> Iterator[list[Node]]:
    """The bodies of all repetitions of many rounds that give back what they took."""
    for what, of in nodes:
        if what.name in _REPEATS and of[1] >= MANY:
            yield list(of[2])
        for below in _below((what, of)):
            yield from _loops(below)


def _below(node: Node) -> list[list[Node]]:
    """The sequences within a node; of what does not give back nothing has to be known."""
    what, of = node
    if what.name in _REPEATS:
        return [list(of[2])]
    if what.name == "SUBPATTERN":
        return [list(of[3])]
    if what.name == "BRANCH":
        return [list(alternative) for alternative in of[1]]
    return []


def _is_ambiguous(body: list[Node]) -> bool:
    """Whether two rounds can share out one text in several ways: in some variant two repetitions may touch."""
    for number, variant in enumerate(_variants(body)):
        if number >= _VARIANTS_MAX:
            return False
        places = [place for place, node in enumerate(variant) if _is_elastic(node)]
        for one, other in product(places, places):
            shared = _letters(variant[one]) & _letters(variant[other])
            round_trip = [*variant[one + 1 :], *variant[:one]] if one == other else _between(variant, one, other)
            if shared and not any(_separates(node, shared) for node in round_trip):
                return True
    return False


def _between(variant: list[Node], one: int, other: int) -> list[Node]:
    """What stands between them, going round if need be."""
    return variant[one + 1 : other] if one < other else [*variant[one + 1 :], *variant[:other]]


def _variants(body: list[Node]) -> Iterator[list[Node]]:
    """The body without groups: one sequence for each choice among alternatives."""
    choices = [list(_unfolded(node)) for node in body]
    for chosen in product(*choices):
        yield [node for part in chosen for node in part]


def _unfolded(node: Node) -> Iterator[list[Node]]:
    if node[0].name not in {"SUBPATTERN", "BRANCH"}:
        yield [node]
        return
    for below in _below(node):
        yield from _variants(below)


def _is_elastic(node: Node) -> bool:
    what, of = node
    return what.name in _REPEATS and of[1] >= MANY and of[0] < of[1]


def _separates(node: Node, letters: frozenset[int]) -> bool:
    """Whether it must be there, and none of it can be taken for one of these letters."""
    what, of = node
    if what.name in {*_REPEATS, "POSSESSIVE_REPEAT"} and of[0] == 0:
        return False
    found = _letters(node)
    return bool(found) and not found & letters


def _letters(node: Node) -> frozenset[int]:
    """All bytes that may stand in what it matches."""
    what, of = node
    if what.name == "LITERAL":
        return frozenset({of})
    if what.name == "NOT_LITERAL":
        return _BYTES - {of}
    if what.name == "ANY":
        return _BYTES - {ord("\n")}
    if what.name == "IN":
        return _of_set(of)
    if what.name == "POSSESSIVE_REPEAT":
        below = [list(of[2])]
    elif what.name == "ATOMIC_GROUP":
        below = [list(of)]
    else:
        below = _below(node)
    return frozenset().union(*(_letters(one) for sequence in below for one in sequence))


def _of_set(items: list[Node]) -> frozenset[int]:
    found: frozenset[int] = frozenset()
    for what, of in items:
        if what.name == "LITERAL":
            found |= {of}
        elif what.name == "RANGE":
            found |= frozenset(range(of[0], of[1] + 1))
        elif what.name == "CATEGORY":
            found |= _CATEGORIES[of.name]
    return _BYTES - found if items and items[0][0].name == "NEGATE" else found
