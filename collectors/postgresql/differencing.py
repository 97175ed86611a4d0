"""What statements cost between two readings of `pg_stat_statements`: pure, and never a spike.

A counter that fell, or whose row is new, has been counted from zero since the last reading, so its value is the use.
Where that cannot be known (another server answers now, or a row had been hidden) there is no use rather than a guess.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple


class Statement(NamedTuple):
    """One normalised statement as people know it: by role, database and query."""

    userid: int
    dbid: int
    queryid: int


class Identity(NamedTuple):
    """One row of pg_stat_statements."""

    userid: int
    dbid: int
    queryid: int
    toplevel: bool


class Use(NamedTuple):
    """What a statement cost, since some moment."""

    calls: float = 0
    seconds: float = 0
    rows: float = 0
    hit_blocks: float = 0
    read_blocks: float = 0
    temp_blocks: float = 0

    @property
    def mean_seconds(self) -> float:
        """The average call's time."""
        return self.seconds / self.calls if self.calls else 0.0

    def plus(self, other: "Use") -> "Use":
        """Both together."""
        return Use._make(a + b for a, b in zip(self, other, strict=True))

    def minus(self, other: "Use") -> "Use":
        """What came on top of another."""
        return Use._make(a - b for a, b in zip(self, other, strict=True))


NOTHING = Use()
# A row's counters in the order of Use, then since when they count (0 where the extension does not say). A plain tuple:
# there are thousands of them.
Entry = tuple[float, ...]
CALLS, SINCE = 0, 6
COUNTERS = slice(SINCE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything pg_stat_statements showed at one moment of the server's clock."""

    taken_at: float
    started_at: float
    reset_at: float | None
    hidden: int
    entries: Mapping[tuple[int, int, int, bool], Entry]


def comparable(before: Reading, after: Reading) -> bool:
    """Whether both come from the same counters, or from counters reset in between.

    A reset that lies before the earlier reading, yet was not there then, means that another server answers now. An
    extension too old to tell is taken at its word only while its server runs on.
    """
    if before.reset_at is None or after.reset_at is None:
        return before.reset_at is after.reset_at and before.started_at == after.started_at
    return after.reset_at == before.reset_at or after.reset_at > before.taken_at


def uses(before: Reading, after: Reading) -> dict[Statement, Use]:
    """The use of each statement that was called between two comparable readings."""
    found: dict[Statement, Use] = {}
    reset = before.reset_at != after.reset_at
    earlier = before.entries.get
    for identity, entry in after.entries.items():
        old = earlier(identity)
        if old is not None and not reset and old[CALLS] == entry[CALLS] and old[SINCE] == entry[SINCE]:
            continue
        use = _use(old, entry, before, reset=reset)
        if use is not None and use.calls > 0:
            statement = Statement(*identity[:3])
            found[statement] = found.get(statement, NOTHING).plus(use)
    return found


def fell(old: Entry, new: Entry) -> bool:
    """Whether a row was evicted or reset, and made anew, in between."""
    return old[SINCE] != new[SINCE] or any(a > b for a, b in zip(old[COUNTERS], new[COUNTERS], strict=True))


def totals(entries: Mapping[tuple[int, int, int, bool], Entry]) -> dict[Statement, Use]:
    """Each statement's counters as they stand: its rows for calls from clients and from functions taken together."""
    found: dict[Statement, Use] = {}
    for identity, entry in entries.items():
        statement, use = Statement(*identity[:3]), Use(*entry[COUNTERS])
        known = found.get(statement)
        found[statement] = use if known is None else known.plus(use)
    return found


def summed(several: Iterable[Use]) -> Use:
    """All of them together."""
    total = NOTHING
    for use in several:
        total = total.plus(use)
    return total


def _use(old: Entry | None, new: Entry, before: Reading, *, reset: bool) -> Use | None:
    since = new[SINCE]
    whole = Use(*new[COUNTERS])
    if since and (old is None or old[SINCE] != since):
        return whole if since > before.taken_at else None
    if old is None:
        return None if before.hidden else whole
    return whole if reset or fell(old, new) else whole.minus(Use(*old[COUNTERS]))
