"""Which tables the patterns of pg_dump's options mean: the server is asked by regular expressions, as pg_dump asks."""

import re
from collections.abc import Iterable
from typing import Any, Final

from backup.sql import query

_PIECES: Final = re.compile(r'"(?P<quoted>(?:[^"]|"")*)"|(?P<star>\*)|(?P<any>\?)|(?P<dot>\.)|(?P<plain>[^"*?.]+|")')
_SPECIAL: Final = re.compile(r"[|*+?()\[\]{}.^$\\]")


async def meant(connection: Any, patterns: Iterable[str]) -> frozenset[int]:  # noqa: ANN401 - asyncpg ships no types
    """The oids of the tables that any of the patterns means; without a schema in it, of those in the search path."""
    asked = [_expressions(pattern) for pattern in patterns]
    if not asked:
        return frozenset()
    schemas, names = zip(*asked, strict=True)
    return frozenset(row["oid"] for row in await connection.fetch(query(__package__, "meant"), schemas, names))


def _expressions(pattern: str) -> tuple[str | None, str]:
    """Schema and name between dots: outside of quotes lower case, `*` and `?` wild, the rest live."""
    parts = [""]
    for piece in _PIECES.finditer(pattern):
        if piece["dot"]:
            parts.append("")
        elif piece["star"] or piece["any"]:
            parts[-1] += ".*" if piece["star"] else "."
        elif piece["quoted"] is not None:
            parts[-1] += _SPECIAL.sub(r"\\\g<0>", piece["quoted"].replace('""', '"'))
        else:
            parts[-1] += piece["plain"].lower().replace("$", r"\$")
    name = f"^({parts[-1]})$"
    return (f"^({parts[-2]})$" if len(parts) > 1 else None), name  # what stands before is the database's name
