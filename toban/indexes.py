"""What was found about the indexes of a database: the rows that advice is made of."""

from dataclasses import dataclass
from enum import StrEnum


class Fault(StrEnum):
    """What can be wrong with an index, or with its absence. Metrics carry these words as the label `kind`."""

    INVALID = "invalid"  # left behind by a build that failed, or still being built
    DUPLICATE = "duplicate"  # says the same as another one
    REDUNDANT = "redundant"  # the beginning of another one
    UNUSED = "unused"  # never read since the counters began
    SCANNED = "scanned"  # a large table that is read from end to end again and again
    UNINDEXED_KEY = "unindexed_key"  # a foreign key that no index begins with


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An index or a table by its name."""

    schema: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexFinding:
    """One index that is of no use. `other` is the one that makes it so. Sizes that could not be measured are None."""

    fault: Fault
    database: str
    oid: int
    index: Place
    table: str
    size_bytes: float | None
    scans: int
    young_seconds: float | None = None
    """How long it has been there, when it came after the first look."""
    needed: bool = False
    """Something rests on it: it is unique, backs a constraint, or is a replica identity."""
    unique: bool = False
    partitioned: bool = False
    building: bool = False
    other: Place | None = None
    other_oid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingIndex:
    """A table that an index would help. Its columns are known where a foreign key names them."""

    fault: Fault
    database: str
    table: Place
    size_bytes: float
    columns: tuple[str, ...] = ()
    constraint: str = ""
    referenced: str = ""
    partitioned: bool = False
    cost_bytes: float | None = None
    scans: int = 0
    rows_read: int = 0
    seconds: float = 0.0
    """Over how long the scans were counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexSurvey:
    """What the findings of a database are to be judged by. A cluster's standbys share its `system_identifier`."""

    database: str
    system_identifier: str
    in_recovery: bool
    standbys: int
    counted_seconds: float
    enough_seconds: float
    """How long the use must have been counted for an index without any to be called unused."""
    complete: bool
    """Every unused index is among the findings; else an index that is not might be unused all the same."""
