"""The books on statements: from one reading to the next, who has series, what they show, and what the rest came to.

A member's series show the server's own counters: they equal what `pg_stat_statements` says, and a restart of Toban
does not move them. The rest cannot be shown so, for its sum falls whenever a statement leaves it; so `other` is
what Toban itself has seen the rest use since it started, which only grows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.postgresql.differencing import (
    COUNTERS,
    NOTHING,
    Reading,
    Statement,
    Use,
    comparable,
    fell,
    summed,
    totals,
    uses,
)
from collectors.postgresql.membership import Standing, revised


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What one turn says."""

    counters: Mapping[Statement, Use]  # of each member that the server still knows
    other: Use  # of all others, since the start
    others: int  # how many rows of pg_stat_statements that took in
    interval_seconds: float | None  # None when there is nothing to compare with
    used: Mapping[Statement, Use]  # of each member used in the interval
    other_used: Use


class Ledger:
    """Keeps the last reading, the members and the sum of the others: `enter` replaces them, so that a copy is cheap."""

    def __init__(self, top: int) -> None:
        self.top = top
        self._last: tuple[float, Reading] | None = None
        self._members: dict[Statement, Standing] = {}
        self._lost: dict[Statement, Use] = {}
        self._other = NOTHING

    def enter(self, reading: Reading, at: float) -> Account:
        """Take in one reading, made at the monotonic second `at`."""
        last = self._last if self._last is not None and comparable(self._last[1], reading) else None
        used = uses(last[1], reading) if last else {}
        self._members = revised(self._members, used if last else totals(reading.entries), top=self.top, at=at)
        self._lost = self._losses(last[1], reading) if last else {}
        self._last = at, reading
        other_used = summed(use for statement, use in used.items() if statement not in self._members)
        self._other = self._other.plus(other_used)
        shown = {statement: self._counters(reading, statement) for statement in self._members}
        return Account(
            counters={statement: use for statement, (rows, use) in shown.items() if rows},
            other=self._other,
            others=len(reading.entries) - sum(rows for rows, _ in shown.values()),
            interval_seconds=at - last[0] if last else None,
            used={statement: use for statement, use in used.items() if statement in self._members},
            other_used=other_used,
        )

    def _counters(self, reading: Reading, statement: Statement) -> tuple[int, Use]:
        """How many rows a member has on the server, and its counters: what a lost half of it had counted included."""
        entries = [reading.entries.get((*statement, toplevel)) for toplevel in (True, False)]
        known = [Use(*entry[COUNTERS]) for entry in entries if entry is not None]
        return len(known), summed((*known, self._lost.get(statement, NOTHING)))

    def _losses(self, before: Reading, after: Reading) -> dict[Statement, Use]:
        """What the members' evicted halves had counted.

        A statement called by clients and by functions has two rows. When one of them goes, the sum of both would fall
        a little, and be read as a reset: the whole remainder would look like new use.
        """
        losses = {statement: use for statement, use in self._lost.items() if statement in self._members}
        for statement in self._members:
            halves = [(*statement, toplevel) for toplevel in (True, False)]
            pairs = [(old, after.entries.get(half)) for half in halves if (old := before.entries.get(half))]
            gone = [Use(*old[COUNTERS]) for old, new in pairs if new is None or fell(old, new)]
            if len(gone) == len(pairs):
                losses.pop(statement, None)  # all of it starts from zero, and may be seen to
            elif gone:
                losses[statement] = summed((*gone, losses.get(statement, NOTHING)))
        return losses
