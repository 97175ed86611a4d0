"""What somebody's own SQL says of a restored database: one row, one column, true."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from backup.proof.verdict import worst
from backup.settings import Assertion
from toban.backups import Check

LONGEST_SHOWN: Final = 80


def answered(rows: Sequence[Sequence[Any]], *, numbers: bool = False) -> tuple[bool | None, str]:
    """What an answer means. `numbers`: the database has no truth values of its own, and says 1 and 0."""
    if len(rows) != 1 or len(rows[0]) != 1:
        columns = len(rows[0]) if rows else 0
        return None, f"brought {len(rows)} rows of {columns} columns; it is to bring one row of one column, true"
    value = rows[0][0]
    if isinstance(value, bool) or (numbers and value in (0, 1)):
        return bool(value), "" if value else "is false"
    shown = "null" if value is None else str(value)[:LONGEST_SHOWN]
    return None, f"brought {shown}, which is neither true nor false"


def databases_of(assertion: Assertion, restored: Sequence[str]) -> tuple[str, ...]:
    """Where it is asked: in the database that it names, else in each that came back."""
    return (assertion.database,) if assertion.database is not None else tuple(restored)


def asserted(assertion: Assertion, answers: Iterable[tuple[str, bool | None, str]]) -> Check:
    """One check of the answers of all its databases."""
    found = list(answers)
    name = f"assertion {assertion.name}"
    if not found:
        return Check(name=name, ok=None, detail="no database to ask")
    off = [f"{database}: {why}" for database, ok, why in found if ok is not True]
    return Check(name=name, ok=worst(ok for _, ok, _ in found), detail="; ".join(off))
