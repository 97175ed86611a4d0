"""Memory and swap: what is left, what was moved out, and how often the kernel had to kill."""

import os
from typing import ClassVar

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.machine import HostMachine
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# Present inside a container that sees its own cgroup as the root; version 2, then 1.
LIMIT_FILES = ("fs/cgroup/memory.max", "fs/cgroup/memory/memory.limit_in_bytes")
# How much is used of it, and how much of that is file cache which the kernel gives up first.
_USED_FILES = {
    LIMIT_FILES[0]: ("fs/cgroup/memory.current", "fs/cgroup/memory.stat", "inactive_file"),
    LIMIT_FILES[1]: ("fs/cgroup/memory/memory.usage_in_bytes", "fs/cgroup/memory/memory.stat", "total_inactive_file"),
}

MEMORY_TOTAL = Metric(name="toban_host_memory_total_bytes", help="Memory the kernel manages.", unit=Unit.BYTES)
MEMORY_AVAILABLE = Metric(
    name="toban_host_memory_available_bytes", help="Memory that could be had without swapping.", unit=Unit.BYTES
)
MEMORY_USED = Metric(
    name="toban_host_memory_used_bytes", help="Memory that could not be had without swapping.", unit=Unit.BYTES
)
MEMORY_USED_RATIO = Metric(
    name="toban_host_memory_used_ratio",
    help="Share of the memory that could not be had without swapping; in a container of its limit, if that is nearer.",
    unit=Unit.RATIO,
    kept=True,
)
MEMORY_LIMIT = Metric(
    name="toban_host_memory_limit_bytes",
    help="The container's memory limit, where it is below the memory of the machine.",
    unit=Unit.BYTES,
)
SWAP_TOTAL = Metric(name="toban_host_swap_total_bytes", help="Swap space.", unit=Unit.BYTES)
SWAP_USED = Metric(name="toban_host_swap_used_bytes", help="Swap space in use.", unit=Unit.BYTES)
SWAP_USED_RATIO = Metric(
    name="toban_host_swap_used_ratio",
    help="Share of the swap space in use; absent without swap.",
    unit=Unit.RATIO,
    kept=True,
)
SWAP_IN = Metric(name="toban_host_swap_in_bytes_total", help="Read back from swap.", type=Type.COUNTER, unit=Unit.BYTES)
SWAP_OUT = Metric(
    name="toban_host_swap_out_bytes_total", help="Written out to swap.", type=Type.COUNTER, unit=Unit.BYTES
)
OOM_KILLS = Metric(name="toban_host_oom_kills_total", help="Processes killed for want of memory.", type=Type.COUNTER)


class MemoryCollector(Collector[HostMachine, CollectorSettings]):
    """Memory, swap and the out-of-memory killer."""

    name = "memory"
    purpose = (
        "Whether memory runs short before the kernel kills the server: what is left, what is swapped, and how "
        "long tasks waited for it."
    )
    kind = Kind.HOST
    lane = "kernel"
    metrics: ClassVar = (
        MEMORY_TOTAL,
        MEMORY_AVAILABLE,
        MEMORY_USED,
        MEMORY_USED_RATIO,
        MEMORY_LIMIT,
        SWAP_TOTAL,
        SWAP_USED,
        SWAP_USED_RATIO,
        SWAP_IN,
        SWAP_OUT,
        OOM_KILLS,
    )
    settings_model = CollectorSettings

    async def collect(self) -> Findings:
        """Measure once."""
        batch = Batch(self.clock.now())
        found = parse_meminfo(self.source.read("meminfo"))
        limit, used_ratio = self._limit(found["MemTotal"])
        _add_memory(batch, found, used_ratio)
        _add_swap(batch, found)
        batch.add(MEMORY_LIMIT, limit)
        gaps = [*_missing(found), *self._add_events(batch)]
        return Findings(samples=batch.samples, gaps=tuple(gaps))

    def _limit(self, total: int) -> tuple[int | None, float]:
        """The container's limit if it has one below the machine's memory, and which share of it is used."""
        for name in LIMIT_FILES:
            try:
                text = (self.source.sys / name).read_text()
            except OSError:
                continue  # no container, or the other version
            limit = int(text) if text.strip().isdigit() else total
            return (limit, self._used_bytes(name) / max(limit, 1)) if limit < total else (None, 0.0)
        return None, 0.0

    def _used_bytes(self, limit_file: str) -> int:
        used_file, details_file, given_up = _USED_FILES[limit_file]
        try:
            used = int((self.source.sys / used_file).read_text())
            details = (self.source.sys / details_file).read_text()
        except OSError:
            return 0
        cache = next((int(line.split()[1]) for line in details.splitlines() if line.split(" ")[0] == given_up), 0)
        return max(0, used - cache)

    def _add_events(self, batch: Batch) -> list[Gap]:
        try:
            text = self.source.read("vmstat")
        except OSError as error:
            return [self.source.gap("swap traffic", error)]
        events = dict(line.split(" ", 1) for line in text.splitlines())
        for metric, name, scale in (
            (SWAP_IN, "pswpin", PAGE_BYTES),
            (SWAP_OUT, "pswpout", PAGE_BYTES),
            (OOM_KILLS, "oom_kill", 1),
        ):
            batch.add(metric, int(events[name]) * scale if name in events else None)
        return []


def parse_meminfo(text: str) -> dict[str, int]:
    """/proc/meminfo in bytes."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        found[name] = int(rest.split()[0]) * (1024 if rest.endswith("kB") else 1)
    return found


def _add_memory(batch: Batch, found: dict[str, int], limit_used_ratio: float) -> None:
    total, available = found["MemTotal"], found.get("MemAvailable")
    batch.add(MEMORY_TOTAL, total)
    if available is not None:
        batch.add(MEMORY_AVAILABLE, available)
        batch.add(MEMORY_USED, total - available)
        batch.add(MEMORY_USED_RATIO, max((total - available) / total, limit_used_ratio))


def _missing(found: dict[str, int]) -> list[Gap]:
    if "MemAvailable" in found:
        return []
    return [Gap(what="available memory", reason=Reason.UNSUPPORTED, detail="the kernel is older than 3.14")]


def _add_swap(batch: Batch, found: dict[str, int]) -> None:
    total = found.get("SwapTotal", 0)
    used = total - found.get("SwapFree", 0)
    batch.add(SWAP_TOTAL, total)
    batch.add(SWAP_USED, used)
    batch.add(SWAP_USED_RATIO, used / total if total else None)
