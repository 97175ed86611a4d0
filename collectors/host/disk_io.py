"""What the disks do: bytes and operations, how busy, how long one operation takes."""

import os
from dataclasses import dataclass
from typing import ClassVar

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.interval import Interval, grown
from collectors.host.machine import HostMachine
from collectors.host.patterns import any_of
from toban.clock import Clock
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Type, Unit

SECTOR_BYTES = 512  # in /proc/diskstats always, whatever the disk has
MEMORY_BACKED = ("loop*", "ram*", "zram*", "sr*", "fd*")
COUNTERS = 11  # of the fields behind a device's name; newer kernels add more

DISK_BUSY = Metric(
    name="toban_host_disk_busy_ratio",
    help="Share of the interval in which the device had work.",
    unit=Unit.RATIO,
    labels=("device",),
    kept=True,
)
READ_BYTES = Metric(
    name="toban_host_disk_read_bytes_total",
    help="Read from the device.",
    type=Type.COUNTER,
    unit=Unit.BYTES,
    labels=("device",),
)
WRITTEN_BYTES = Metric(
    name="toban_host_disk_written_bytes_total",
    help="Written to the device.",
    type=Type.COUNTER,
    unit=Unit.BYTES,
    labels=("device",),
)
READS = Metric(
    name="toban_host_disk_reads_total", help="Reads the device completed.", type=Type.COUNTER, labels=("device",)
)
WRITES = Metric(
    name="toban_host_disk_writes_total", help="Writes the device completed.", type=Type.COUNTER, labels=("device",)
)
READ_LATENCY = Metric(
    name="toban_host_disk_read_latency_seconds",
    help="Mean time of a read over the interval; absent when there was none.",
    unit=Unit.SECONDS,
    labels=("device",),
)
WRITE_LATENCY = Metric(
    name="toban_host_disk_write_latency_seconds",
    help="Mean time of a write over the interval; absent when there was none.",
    unit=Unit.SECONDS,
    labels=("device",),
)
QUEUE = Metric(
    name="toban_host_disk_queue_length",
    help="Operations that were under way, mean of the interval.",
    labels=("device",),
)

Counters = tuple[int, ...]


class DiskIoSettings(CollectorSettings):
    """Devices that are left out; patterns as in a shell."""

    exclude: tuple[str, ...] = MEMORY_BACKED


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What one device did over an interval."""

    busy_ratio: float
    queue_length: float
    read_latency_seconds: float | None
    write_latency_seconds: float | None


class DiskIoCollector(Collector[HostMachine, DiskIoSettings]):
    """Every whole device (mapped and RAID devices too, partitions not) that was ever used."""

    name = "disk_io"
    purpose = "Whether a disk is the bottleneck: how busy it is, and how long an operation takes."
    kind = Kind.HOST
    lane = "kernel"
    metrics: ClassVar = (
        DISK_BUSY,
        READ_BYTES,
        WRITTEN_BYTES,
        READS,
        WRITES,
        READ_LATENCY,
        WRITE_LATENCY,
        QUEUE,
    )
    settings_model = DiskIoSettings

    def __init__(self, source: HostMachine, settings: DiskIoSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._exclude = any_of(settings.exclude)
        self._interval = Interval[dict[str, Counters]]()

    async def collect(self) -> Findings:
        """Measure once."""
        batch = Batch(self.clock.now())
        counted = self._counted()
        elapsed, before = self._interval.since(self.clock.monotonic(), counted) or (0.0, {})
        for device, counters in counted.items():
            _add_totals(batch, device, counters)
            growth = grown(before[device], counters) if device in before else None
            if growth is not None:
                _add_activity(batch, device, activity(growth, elapsed))
        return Findings(samples=batch.samples, gaps=() if counted else (_NO_DISK,))

    def _counted(self) -> dict[str, Counters]:
        with os.scandir(self.source.sys / "block") as entries:
            whole = {entry.name.replace("!", "/") for entry in entries}  # sysfs cannot have a slash in a name
        counted = parse_diskstats(self.source.read("diskstats"))
        return {d: c for d, c in counted.items() if d in whole and not self._exclude.match(d) and any(c)}


_NO_DISK = Gap(what="disk activity", reason=Reason.UNSUPPORTED, detail="no disk of this machine counts its work")


def parse_diskstats(text: str) -> dict[str, Counters]:
    """The counters behind each device's name; the one gauge among them, operations under way now, left out.

    reads, merged, sectors, milliseconds · writes, merged, sectors, milliseconds · busy and weighted milliseconds.
    """
    counted = {}
    for line in text.splitlines():
        fields = line.split()
        values = [int(field) for field in fields[3 : 3 + COUNTERS]]
        counted[fields[2]] = (*values[:8], *values[9:])
    return counted


def activity(growth: Counters, elapsed_seconds: float) -> Activity:
    """What the growth of the counters means, over so many seconds."""
    reads, _, _, read_ms, writes, _, _, write_ms, busy_ms, weighted_ms = growth
    return Activity(
        busy_ratio=min(busy_ms / 1000 / elapsed_seconds, 1.0),
        queue_length=weighted_ms / 1000 / elapsed_seconds,
        read_latency_seconds=read_ms / 1000 / reads if reads else None,
        write_latency_seconds=write_ms / 1000 / writes if writes else None,
    )


def _add_totals(batch: Batch, device: str, counters: Counters) -> None:
    reads, _, sectors_read, _, writes, _, sectors_written, *_ = counters
    batch.add(READS, reads, device)
    batch.add(READ_BYTES, sectors_read * SECTOR_BYTES, device)
    batch.add(WRITES, writes, device)
    batch.add(WRITTEN_BYTES, sectors_written * SECTOR_BYTES, device)


def _add_activity(batch: Batch, device: str, found: Activity) -> None:
    batch.add(DISK_BUSY, found.busy_ratio, device)
    batch.add(QUEUE, found.queue_length, device)
    batch.add(READ_LATENCY, found.read_latency_seconds, device)
    batch.add(WRITE_LATENCY, found.write_latency_seconds, device)
