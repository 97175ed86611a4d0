"""The roles of a dump that a server lacks: those statements of `pg_dumpall --globals-only` that make them, no others.

What is there already is left as it is: its password, its rights and its memberships are its own.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from typing import Final

_STATEMENT: Final = re.compile(
    r"""(?P<restrict>\\(?:un)?restrict\ [^\n]*\n)
    |(?P<comment>--[^\n]*\n|\s+)
    |(?P<statement>(?:[^;'"\\]|E'(?:[^'\\]|''|\\.)*'|'(?:[^']|'')*'|"(?:[^"]|"")*")+;)""",
    re.VERBOSE | re.DOTALL,
)
_NAME: Final = r'(?:"(?:[^"]|"")*"|[^\s";,]+)'
_OF_A_ROLE: Final = re.compile(rf"(?:CREATE|ALTER) ROLE (?P<role>{_NAME})|COMMENT ON ROLE (?P<about>{_NAME})")
_MEMBERSHIP: Final = re.compile(rf"GRANT (?P<group>{_NAME}) TO (?P<member>{_NAME})")
_GRANTED_BY: Final = re.compile(rf" GRANTED BY {_NAME};$")
_READING: Final = re.compile(r"SET (?:client_encoding|standard_conforming_strings) = ")  # how the rest is to be read
_IN_DATABASE: Final = re.compile(rf"ALTER ROLE {_NAME} IN DATABASE ")


def lacking(globals_sql: str, there: Collection[str], *, needed: Collection[str] | None = None) -> tuple[str, ...]:
    """The roles that it makes and the server has not; of these those that are needed, with what they are members of."""
    statements = tuple(_statements(globals_sql))
    made = (_OF_A_ROLE.match(one) for one in statements if one.startswith("CREATE ROLE "))
    absent = [name for name in dict.fromkeys(_plain(found["role"]) for found in made if found) if name not in there]
    if needed is None:
        return tuple(absent)
    wanted = set(needed)
    growing = True
    while growing:
        groups = {group for group, member in _memberships(statements) if member in wanted}
        growing = not groups <= wanted
        wanted |= groups
    return tuple(name for name in absent if name in wanted)


def script(globals_sql: str, made: Collection[str], there: Collection[str]) -> str:
    """What makes these roles, for psql: within the restriction on meta-commands that pg_dumpall has put around it."""
    fences = [match["restrict"] for match in _STATEMENT.finditer(globals_sql) if match["restrict"]]
    known = {*made, *there}
    chosen = [_by_us(found) for found in _statements(globals_sql) if _concerns(found, made, known)]
    opening = [fence for fence in fences if fence.startswith("\\restrict")][:1]
    closing = [fence for fence in fences if fence.startswith("\\unrestrict")][-1:]
    return "".join([*opening, *(f"{one}\n" for one in chosen), *closing])


def _memberships(statements: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each group with a member of it."""
    for found in map(_MEMBERSHIP.match, statements):
        if found is not None:
            yield _plain(found["group"]), _plain(found["member"])


def _statements(text: str) -> Iterator[str]:
    return (match["statement"].strip() for match in _STATEMENT.finditer(text) if match["statement"])


def _concerns(statement: str, made: Collection[str], known: Collection[str]) -> bool:
    if _IN_DATABASE.match(statement):
        return False
    if _READING.match(statement):
        return True
    of_one = _OF_A_ROLE.match(statement)
    if of_one is not None:
        return _plain(of_one["role"] or of_one["about"]) in made
    return any(member in made and group in known for group, member in _memberships((statement,)))


def _by_us(statement: str) -> str:
    """Whoever had granted it may not be there."""
    return _GRANTED_BY.sub(";", statement) if _MEMBERSHIP.match(statement) else statement


def _plain(name: str) -> str:
    return name[1:-1].replace('""', '"') if name.startswith('"') else name
