"""What is said of a long command that reports how far it has come."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """One command at work. `ratio` is the share of its phase that is done, None where the server cannot tell.

    `done` and `total` are counted in `unit`: blocks, tuples, bytes, indexes, lockers or partitions.
    """

    command: str
    pid: int
    datname: str
    relname: str
    phase: str
    ratio: float | None
    done: float | None
    total: float | None
    unit: str
    seconds: float | None
    usename: str
    autovacuum: bool
