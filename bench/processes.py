"""What a process and its children cost, read from /proc."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PROC = Path("/proc")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A process tree's memory."""

    resident_bytes: int
    own_bytes: int  # resident, of the process alone
    proportional_bytes: int


def family(pid: int) -> list[int]:
    """The process and all its living descendants."""
    threads = PROC / str(pid) / "task"
    try:
        children = " ".join(thread.joinpath("children").read_text() for thread in threads.iterdir())
    except (ProcessLookupError, FileNotFoundError):
        return [pid]  # it has just ended
    return [pid, *(member for child in children.split() for member in family(int(child)))]


def _of_each(pid: int, read: Callable[[int], T]) -> list[T]:
    """What is read of the process, and of those of its descendants that live long enough to be read."""
    first, *descendants = family(pid)
    found = [read(first)]
    for descendant in descendants:
        with suppress(ProcessLookupError, FileNotFoundError):
            found.append(read(descendant))
    return found


def cpu_seconds(pid: int) -> float:
    """User and system time so far: of the process, its living descendants, and those it has buried."""
    return sum(_of_each(pid, _own_cpu_seconds))


def _own_cpu_seconds(pid: int) -> float:
    # The command name may hold spaces and brackets; the fields that count follow the last bracket.
    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return sum(int(ticks) for ticks in fields[11:15]) / TICKS_PER_SECOND


def memory(pid: int) -> Memory:
    """Resident and proportional memory of the process and its living descendants."""
    rolled = _of_each(pid, _rollup)
    return Memory(
        resident_bytes=sum(r["Rss"] for r in rolled),
        own_bytes=rolled[0]["Rss"],
        proportional_bytes=sum(r["Pss"] for r in rolled),
    )


def _rollup(pid: int) -> dict[str, int]:
    lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()[1:]
    return {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in lines}
