"""Which number a series or a statement goes by in the file: asked once, then remembered."""

import json
import sqlite3

from history.entries import Entry, Key, Shape
from history.sql import query
from toban.statements import StatementUse

MOST_SERIES = 20_000  # over all targets; a label that explodes must not take the disk
MOST_REMEMBERED = 50_000


class Catalogue:
    """The ids of one open file. Whoever rolls back says `forget`, so that no id stays that nobody was given."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._room = MOST_SERIES - int(connection.execute(query("series_count")).fetchone()[0])
        self._series: dict[tuple[str, Key], int | None] = {}
        self._shapes: dict[Shape, tuple[int | None, ...]] = {}
        self._statements: dict[tuple[str, str, str, str], int] = {}

    def series(self, entry: Entry) -> tuple[int | None, ...]:
        """The ids of an entry's series, in its order; None for one that there is no more room for."""
        found = self._shapes.get(entry.shape)
        if found is None:
            self._bound()
            found = tuple(self._one(entry.shape.target, key, entry.at_ms) for key in entry.shape.keys)
            self._shapes[entry.shape] = found
        return found

    def statement(self, target: str, use: StatementUse) -> int:
        """The id of a statement."""
        place = (target, use.queryid, use.datname, use.usename)
        if place not in self._statements:
            self._bound()
            self._statements[place] = int(self._connection.execute(query("statement_add"), place).fetchone()[0])
        return self._statements[place]

    def forget(self) -> None:
        """Ask again: the file has forgotten some, or never kept them."""
        self._series.clear()
        self._shapes.clear()
        self._statements.clear()
        self._room = MOST_SERIES - int(self._connection.execute(query("series_count")).fetchone()[0])

    def _bound(self) -> None:
        for remembered in (self._series, self._shapes, self._statements):
            if len(remembered) >= MOST_REMEMBERED:
                remembered.clear()

    def _one(self, target: str, key: Key, at_ms: int) -> int | None:
        if (target, key) not in self._series:
            self._series[target, key] = self._met(target, key, at_ms)
        return self._series[target, key]

    def _met(self, target: str, key: Key, at_ms: int) -> int | None:
        metric, values = key
        labels = canonical(dict(zip(metric.labels, values, strict=True)))
        place = (target, metric.name, labels)
        known = self._connection.execute(query("series_id"), place).fetchone()
        if known is None:
            if self._room <= 0:
                return None
            self._room -= 1
        given = {"target": target, "metric": metric.name, "labels": labels, "at": at_ms}
        given |= {"type": metric.type.value, "unit": metric.unit.value}
        return int(self._connection.execute(query("series_add"), given).fetchone()[0])


def canonical(labels: dict[str, str]) -> str:
    """Labels as the one text that stands for them."""
    return json.dumps(labels, sort_keys=True, separators=(",", ":"))  # ASCII: a mount may have bytes that are no text
