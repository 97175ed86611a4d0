"""The processes: in which states, which programs hold the memory, and whose memory only grows.

Memory is each process's own (`RssAnon`): to add up resident memory would count PostgreSQL's shared buffers once for
each of its sessions.
"""

import heapq
import os
from collections import Counter
from functools import partial
from pathlib import Path
from typing import ClassVar

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.growth import SPANS, Growth, Held
from collectors.host.machine import HostMachine
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Gap, Reason
from toban.printable import printable
from toban.samples import Batch, Findings, Metric, Unit

STATES = {
    "R": "running",
    "S": "sleeping",
    "D": "uninterruptible",
    "T": "stopped",
    "t": "stopped",
    "Z": "zombie",
    "I": "idle",
}
OTHER = "other"
STATUS_BYTES = 4096  # a status file is some 1.5 kB
STAT_BYTES = 1024
STARTED_FIELD = 19  # of what follows the name in a stat file
TRACKED = 64  # processes whose memory is followed: the largest
TRACKED_FROM_BYTES = 32 * 1024**2

PROCESSES = Metric(
    name="toban_host_processes",
    help="Processes by state; a zombie has ended and its parent has not looked.",
    labels=("state",),
)
PROCESS_MEMORY = Metric(
    name="toban_host_process_memory_bytes",
    help="Memory that the processes of one name hold for themselves; the largest, and the rest as other.",
    unit=Unit.BYTES,
    labels=("name",),
)
PROCESS_GROWTH = Metric(
    name="toban_host_process_growth_bytes_per_second",
    help="How quickly the memory grows of the process of this name that has only grown for hours; 0 when none has",
    labels=("name",),
)


class ProcessesSettings(CollectorSettings):
    """How many programs are told apart, and for how long memory has to grow before it is called growing."""

    every: Duration = 60.0
    top: int = 10
    growing_for: Duration = 21600.0


class ProcessesCollector(Collector[HostMachine, ProcessesSettings]):
    """A census of /proc, in a thread: a busy machine has thousands of processes."""

    name = "processes"
    purpose = "What eats the memory, what only ever grows, and what was left behind as a zombie."
    kind = Kind.HOST
    lane = "processes"
    metrics: ClassVar = (PROCESSES, PROCESS_MEMORY, PROCESS_GROWTH)
    settings_model = ProcessesSettings

    def __init__(self, source: HostMachine, settings: ProcessesSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._growth = Growth(settings.growing_for / SPANS)

    async def collect(self) -> Findings:
        """Count once."""
        batch = Batch(self.clock.now())
        found = await self.source.blocking.run(
            self.name, partial(census, self.source.proc), timeout_seconds=self.settings.timeout
        )
        for state in sorted({*STATES.values(), OTHER}):
            batch.add(PROCESSES, found.states[state], state)
        for name, size_bytes in largest(found.memory, self.settings.top).items():
            batch.add(PROCESS_MEMORY, size_bytes, printable(name))
        self._growth.note(self.clock.monotonic(), found.held)
        for name, rate in heapq.nlargest(self.settings.top, self._growth.rates().items(), key=lambda item: item[1]):
            batch.add(PROCESS_GROWTH, rate, printable(name))
        return Findings(samples=batch.samples, gaps=(_HIDDEN,) if found.hidden else ())


class Census:
    """How many processes in each state, bytes by name, the largest one by one, and whether some could not be seen."""

    def __init__(self) -> None:
        self.states: Counter[str] = Counter()
        self.memory: Counter[str] = Counter()
        self.hidden = False
        self.held: list[Held] = []
        self._large: list[tuple[int, str, str]] = []

    def take(self, number: str, name: str, state: str, size_bytes: int) -> None:
        """Count one process in."""
        self.states[STATES.get(state, OTHER)] += 1
        self.memory[name] += size_bytes
        if size_bytes >= TRACKED_FROM_BYTES:
            self._large.append((size_bytes, number, name))

    def tell_apart(self, folder: int) -> None:
        """Look up when the largest started: only these are followed from one census to the next."""
        for size_bytes, number, name in heapq.nlargest(TRACKED, self._large):
            try:
                started = parse_started(_raw(folder, f"{number}/stat", STAT_BYTES))
            except OSError:
                continue  # it has ended
            self.held.append(Held(number=int(number), started=started, name=name, size_bytes=size_bytes))


_HIDDEN = Gap(
    what="processes of others",
    reason=Reason.PRIVILEGE,
    detail="/proc shows only Toban's own processes",
    hint="without hidepid= on /proc, and without ProtectProc= in the unit, the others can be seen",
)


def census(proc: Path) -> Census:
    """Look at every process once. One that ended in between is none."""
    found = Census()
    folder = os.open(proc, os.O_RDONLY | os.O_DIRECTORY)
    try:
        numbers = [name for name in os.listdir(folder) if name[0].isdecimal()]  # noqa: PTH208 - a descriptor, no path
        found.hidden = "1" not in numbers  # hidepid=2 leaves them out, hidepid=1 refuses them
        for number in numbers:
            try:
                found.take(number, *parse_status(_status(folder, number)))
            except PermissionError:
                found.hidden = True
            except (FileNotFoundError, ProcessLookupError):
                continue
        found.tell_apart(folder)
    finally:
        os.close(folder)
    return found


def _status(folder: int, number: str) -> bytes:
    return _raw(folder, f"{number}/status", STATUS_BYTES)


def _raw(folder: int, name: str, most_bytes: int) -> bytes:
    """Raw calls: this runs for every process, and each layer above them doubles its price."""
    file = os.open(name, os.O_RDONLY, dir_fd=folder)
    try:
        return os.read(file, most_bytes)
    finally:
        os.close(file)


def parse_started(stat: bytes) -> int:
    """When a process started, in clock ticks since the boot. Its name may hold anything, also a `)`."""
    return int(stat[stat.rindex(b")") + 2 :].split()[STARTED_FIELD])


def parse_status(status: bytes) -> tuple[str, str, int]:
    """Name, state and own memory in bytes. A kernel thread and a zombie have no memory, and no line for it."""
    name = status[6 : status.find(b"\n")].decode("utf-8", "surrogateescape")
    state = chr(status[status.find(b"\nState:\t") + 8])
    start = status.find(b"\nRssAnon:")
    size_kb = int(status[start + 9 : status.find(b"kB", start)]) if start >= 0 else 0
    return name, state, size_kb * 1024


def largest(memory: Counter[str], top: int) -> dict[str, int]:
    """The largest few by name; what is left comes together, also when one of the large is itself called so."""
    found = Counter({name: size for name, size in memory.most_common(top) if size})
    rest = sum(memory.values()) - sum(found.values())
    if rest:
        found[OTHER] += rest
    return dict(found)
