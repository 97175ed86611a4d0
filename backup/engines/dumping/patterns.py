"""Names of tables as pg_dump's options take them: which tables a pattern means, without asking the server."""

import re
from collections.abc import Iterable
from typing import Final

_PIECES: Final = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<star>\*)|(?P<any>\?)|(?P<dot>\.)|(?P<plain>[^"*?.]+|")')


def matches(patterns: Iterable[str], schema: str, table: str) -> bool:
    """Whether any of the patterns means this table; without a schema in the pattern, in whatever schema it lies."""
    return any(_matches(pattern, schema, table) for pattern in patterns)


def _matches(pattern: str, schema: str, table: str) -> bool:
    parts = _expressions(pattern)[-2:]  # what stands before is the database's name
    names = (schema, table)[-len(parts) :]
    return all(re.fullmatch(part, name, re.DOTALL) for part, name in zip(parts, names, strict=True))


def _expressions(pattern: str) -> list[str]:
    """The parts between dots as regular expressions: outside of quotes lower case, `*` and `?` wild, the rest live."""
    parts = [""]
    for piece in _PIECES.finditer(pattern):
        if piece["dot"]:
            parts.append("")
        elif piece["star"] or piece["any"]:
            parts[-1] += ".*" if piece["star"] else "."
        elif piece["quoted"] is not None:
            parts[-1] += re.escape(piece["quoted"].replace('""', '"'))
        else:
            parts[-1] += piece["plain"].lower().replace("$", r"\$")
    return parts
