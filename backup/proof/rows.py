"""Rows that came back against rows that were there: counted in the backup's own snapshot, and counted again."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from backup.proof.verdict import worst
from toban.backups import Check, TableRows

NAME: Final = "rows"
MOST_NAMED: Final = 5
SMALL: Final = 100  # an estimate of so few may be off by that many
Table = tuple[str, str, str]  # database, schema, name


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What counting a table brought: rows, or why there is no number and what that means."""

    rows: int | None = None
    exact: bool = True
    why: str = ""
    ok: bool | None = None  # where there is no number: False when the table is spoiled or absent


ABSENT: Final = Counted(why="is not there", ok=False)


def compared(promised: Sequence[TableRows], found: Mapping[Table, Counted], *, tolerance: float) -> Check:
    """One answer for all tables. Where both numbers are exact they are equal; else they are near."""
    differences: list[tuple[bool | None, str]] = []
    for table in promised:
        counted = found.get((table.database, table.schema, table.table), ABSENT)
        answer, why = _one(table, counted, tolerance)
        if answer is not True:
            differences.append((answer, f"{table.database}: {table.schema}.{table.table} {why}"))
    total = sum(counted.rows or 0 for counted in found.values())
    if not differences:
        estimated = sum(not table.exact for table in promised)
        said = f"{len(promised)} tables, {total} rows" + (f"; {estimated} were estimated" if estimated else "")
        return Check(name=NAME, ok=True, detail=said)
    differences.sort(key=lambda one: one[0] is None)
    named = "; ".join(why for _, why in differences[:MOST_NAMED])
    more = len(differences) - MOST_NAMED
    ok = worst(answer for answer, _ in differences)
    return Check(name=NAME, ok=ok, detail=named + (f"; and {more} more tables" if more > 0 else ""))


def _one(table: TableRows, counted: Counted, tolerance: float) -> tuple[bool | None, str]:
    if counted.rows is None:
        return counted.ok, counted.why
    if table.exact and counted.exact:
        return counted.rows == table.rows, f"has {counted.rows} rows, and had {table.rows}"
    near = abs(counted.rows - table.rows) <= max(SMALL, tolerance * max(table.rows, counted.rows))
    # An estimate that is far off may be an old one: no damage is proved by it, and nothing else either.
    return (True if near else None), f"has {counted.rows} rows, and was estimated at {table.rows}"


def some_of(names: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more tables" if more > 0 else "")
