"""The processors: how busy over the interval, doing what, and how much work queues."""

import os
from typing import ClassVar

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.interval import Interval
from collectors.host.machine import HostMachine
from collectors.host.pressure import PRESSURE_RATIO, PRESSURE_SECONDS, add_pressure
from toban.clock import Clock
from toban.samples import Batch, Findings, Metric, Type, Unit

MODES = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
IDLE, IOWAIT, STEAL = MODES.index("idle"), MODES.index("iowait"), MODES.index("steal")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
WOBBLE_TICKS = 3 * TICKS_PER_SECOND  # the kernel lets idle, iowait and steal step back a little; more is a new start

Ticks = tuple[int, ...]

CPU_RATIO = Metric(
    name="toban_host_cpu_ratio",
    help="Share of the processors' time over the interval that was neither idle nor waiting for a disk.",
    unit=Unit.RATIO,
    kept=True,
)
CPU_IOWAIT = Metric(
    name="toban_host_cpu_iowait_ratio",
    help="Share of the processors' time over the interval that was idle while a disk was waited for.",
    unit=Unit.RATIO,
)
CPU_STEAL = Metric(
    name="toban_host_cpu_steal_ratio",
    help="Share of the processors' time over the interval that the hypervisor gave to others.",
    unit=Unit.RATIO,
)
CPU_SECONDS = Metric(
    name="toban_host_cpu_seconds_total",
    help="Time of all processors together, by what it went to.",
    type=Type.COUNTER,
    unit=Unit.SECONDS,
    labels=("mode",),
)
CPUS = Metric(name="toban_host_cpus", help="Processors that are online.")
LOAD1 = Metric(name="toban_host_load1", help="Processes that ran or waited to, mean of a minute.", kept=True)
LOAD5 = Metric(name="toban_host_load5", help="Processes that ran or waited to, mean of five minutes.")
LOAD15 = Metric(name="toban_host_load15", help="Processes that ran or waited to, mean of fifteen minutes.")
BOOT_TIME = Metric(
    name="toban_host_boot_time_seconds", help="When the machine started, in seconds since the epoch.", unit=Unit.SECONDS
)


class CpuCollector(Collector[HostMachine, CollectorSettings]):
    """Processor time, load and pressure."""

    name = "cpu"
    purpose = (
        "Whether the machine has work for more processors than it has, and whether it waits for disks or for "
        "its host instead."
    )
    kind = Kind.HOST
    lane = "kernel"
    metrics: ClassVar = (
        CPU_RATIO,
        CPU_IOWAIT,
        CPU_STEAL,
        CPU_SECONDS,
        CPUS,
        LOAD1,
        LOAD5,
        LOAD15,
        BOOT_TIME,
        PRESSURE_RATIO,
        PRESSURE_SECONDS,
    )
    settings_model = CollectorSettings

    def __init__(self, source: HostMachine, settings: CollectorSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._interval = Interval[Ticks]()
        self._shown: Ticks = (0,) * len(MODES)

    async def collect(self) -> Findings:
        """Measure once."""
        batch = Batch(self.clock.now())
        self._add_time(batch, self.source.read("stat"))
        for metric, value in zip((LOAD1, LOAD5, LOAD15), self.source.read("loadavg").split(), strict=False):
            batch.add(metric, float(value))
        gap = add_pressure(batch, self.source)
        return Findings(samples=batch.samples, gaps=(gap,) if gap else ())

    def _add_time(self, batch: Batch, stat: str) -> None:
        lines = stat.splitlines()
        ticks = parse_ticks(lines[0])
        batch.add(CPUS, sum(line.startswith("cpu") for line in lines) - 1)
        batch.add(BOOT_TIME, next((int(line[6:]) for line in lines if line.startswith("btime ")), None))
        since = self._interval.since(self.clock.monotonic(), ticks)
        shares = shares_between(since[1], ticks) if since else None
        if shares is not None:
            batch.add(CPU_RATIO, 1 - shares[IDLE] - shares[IOWAIT])
            batch.add(CPU_IOWAIT, shares[IOWAIT])
            batch.add(CPU_STEAL, shares[STEAL])
        self._shown = steadied(self._shown, ticks)
        for mode, value in zip(MODES, self._shown, strict=True):
            batch.add(CPU_SECONDS, value / TICKS_PER_SECOND, mode)


def parse_ticks(line: str) -> Ticks:
    """The `cpu` line of /proc/stat in the order of MODES. What guests got is within user and nice already."""
    return tuple(int(word) for word in line.split()[1 : len(MODES) + 1])


def shares_between(then: Ticks, now: Ticks) -> tuple[float, ...] | None:
    """Each mode's share of the time between two readings; None when the counters began anew or stood still."""
    if any(t - n >= WOBBLE_TICKS for t, n in zip(then, now, strict=True)):
        return None
    growth = [max(n - t, 0) for t, n in zip(then, now, strict=True)]
    total = sum(growth)
    return tuple(ticks / total for ticks in growth) if total else None


def steadied(then: Ticks, now: Ticks) -> Ticks:
    """The counters to show: a small step back would look like a reset and make a false spike of a rate."""
    return tuple(t if 0 < t - n < WOBBLE_TICKS else n for t, n in zip(then, now, strict=True))
