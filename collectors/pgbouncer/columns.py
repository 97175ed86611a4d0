"""What the console's rows hold, by column name: versions add columns, and one that is missing is no fault."""

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.pgbouncer.console import Row
from toban.outcomes import Gap, Reason
from toban.samples import Metric

OTHER = "other"
MICROSECONDS = 1e-6
OUTWEIGHS = 2.0  # a newcomer takes a member's place only when it clearly outweighs it


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A metric, the column it comes from, and what one of the column's units is worth."""

    metric: Metric
    name: str
    factor: float = 1.0

    def value(self, row: Row) -> float | None:
        """The row's value in the metric's unit; None where this version has no such column."""
        found = number(row, self.name)
        return None if found is None else found * self.factor


def number(row: Row, name: str) -> float | None:
    """A column as a number."""
    try:
        return float(str(row[name]))
    except (KeyError, ValueError):
        return None


def text(row: Row, name: str) -> str:
    """A column as text; empty where there is none."""
    found = row.get(name)
    return "" if found is None else str(found)


def label(name: str) -> str:
    """A name as a label's value: one that is called as the sum of the rest is told from it."""
    return f'"{name}"' if name == OTHER else name


def total(rows: list[Row], column: Column) -> float | None:
    """The sum over rows; None where no row has the column."""
    values = [value for row in rows if (value := column.value(row)) is not None]
    return sum(values) if values else None


def chosen(weights: Mapping[str, float], members: frozenset[str], top: int) -> frozenset[str]:
    """The `top` heaviest; those that had series before weigh double, so that labels do not churn."""

    def rank(key: str) -> tuple[float, bool, str]:
        return (weights[key] * (OUTWEIGHS if key in members else 1), key in members, key)

    return frozenset(sorted(weights, key=rank, reverse=True)[:top])


def missing(view: str, columns: tuple[Column, ...], rows: list[Row]) -> tuple[Gap, ...]:
    """One gap that names the columns which this version of PgBouncer does not show."""
    absent = [column.name for column in columns if rows and column.name not in rows[0]]
    if not absent:
        return ()
    detail = f"this PgBouncer's SHOW {view} has no {', '.join(absent)}"
    return (Gap(what=f"columns of SHOW {view}", reason=Reason.VERSION, count=len(absent), detail=detail),)
