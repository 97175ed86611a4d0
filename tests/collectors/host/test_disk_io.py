"""Claims about what the disks do."""

from pathlib import Path

import pytest

from collectors.host.disk_io import (
    DISK_BUSY,
    QUEUE,
    READ_BYTES,
    READ_LATENCY,
    READS,
    WRITE_LATENCY,
    DiskIoCollector,
    DiskIoSettings,
    activity,
)
from collectors.host.machine import HostMachine
from tests.builders import ManualClock
from toban.outcomes import Reason
from toban.samples import Findings, Metric

SDA = "8 0 sda 1000 5 8000 500 2000 5 16000 4000 0 3000 4500 0 0 0 0"
SDA_LATER = "8 0 sda 1100 5 8800 700 2000 5 16000 4000 1 10500 19500 0 0 0 0"


def value(findings: Findings, metric: Metric, device: str) -> float | None:
    """The one value of a device, if it is there."""
    found = [s.value for s in findings.samples if s.metric is metric and s.labels == (device,)]
    assert len(found) <= 1
    return found[0] if found else None


def a_machine(folder: Path, *lines: str, whole: tuple[str, ...] = ("sda",)) -> HostMachine:
    """A machine whose disks count so; `whole` are those that are no partitions, as sysfs calls them."""
    for device in whole:
        (folder / "block" / device).mkdir(parents=True, exist_ok=True)
    (folder / "block").mkdir(exist_ok=True)
    (folder / "diskstats").write_text("".join(f"   {line}\n" for line in lines))
    return HostMachine(proc=folder, sys=folder)


def a_collector(machine: HostMachine, clock: ManualClock) -> DiskIoCollector:
    """A collector at its default settings."""
    return DiskIoCollector(machine, DiskIoSettings(), clock)


@pytest.mark.skipif(
    not Path("/sys/block").is_dir(), reason="this machine cannot: no /sys/block, as in a bare container"
)
async def test_disk_activity_of_this_machine_has_sane_values(manual_clock: ManualClock) -> None:
    """The real counters: whatever devices there are, busy shares lie between 0 and 1."""
    collector = a_collector(HostMachine(), manual_clock)
    first = await collector.collect()
    manual_clock.advance(15)
    second = await collector.collect()
    devices = {s.labels[0] for s in first.samples}
    assert {s.labels[0] for s in second.samples if s.metric is DISK_BUSY} == devices
    assert all(0 <= s.value <= 1 for s in second.samples if s.metric is DISK_BUSY)


async def test_disk_activity_is_told_over_the_interval(tmp_path: Path, manual_clock: ManualClock) -> None:
    """In 15 s busy for 7.5 s, 100 reads of 2 ms each, one operation waiting on average, and no write."""
    collector = a_collector(a_machine(tmp_path, SDA), manual_clock)
    first = await collector.collect()
    assert value(first, READS, "sda") == 1000
    assert value(first, READ_BYTES, "sda") == 8000 * 512
    assert value(first, DISK_BUSY, "sda") is None
    a_machine(tmp_path, SDA_LATER)
    manual_clock.advance(15)
    second = await collector.collect()
    assert value(second, DISK_BUSY, "sda") == pytest.approx(0.5)
    assert value(second, READ_LATENCY, "sda") == pytest.approx(0.002)
    assert value(second, QUEUE, "sda") == pytest.approx(1.0)
    assert value(second, WRITE_LATENCY, "sda") is None


async def test_disk_activity_is_absent_after_a_reset(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A disk that was taken out and put back counts anew: no spike, and no zero."""
    collector = a_collector(a_machine(tmp_path, SDA_LATER), manual_clock)
    await collector.collect()
    a_machine(tmp_path, SDA)
    manual_clock.advance(15)
    assert value(await collector.collect(), DISK_BUSY, "sda") is None


async def test_disk_activity_is_absent_when_no_time_has_passed(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Two readings of one moment are no interval."""
    collector = a_collector(a_machine(tmp_path, SDA), manual_clock)
    await collector.collect()
    assert value(await collector.collect(), DISK_BUSY, "sda") is None


def test_busy_share_never_exceeds_one() -> None:
    """The kernel's milliseconds and our interval do not begin in the same moment."""
    assert activity((0, 0, 0, 0, 0, 0, 0, 0, 15100, 0), 15.0).busy_ratio == 1.0


async def test_whole_devices_alone_are_told(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Mapped and RAID devices count; partitions, loops, memory and never used devices do not."""
    lines = [
        SDA,
        SDA.replace(" sda ", " sda1 "),
        SDA.replace(" sda ", " dm-0 "),
        SDA.replace(" sda ", " md127 "),
        SDA.replace(" sda ", " loop0 "),
        SDA.replace(" sda ", " zram0 "),
        SDA.replace(" sda ", " cciss/c0d0 "),
        "8 16 sdb 0 0 0 0 0 0 0 0 0 0 0",
    ]
    machine = a_machine(tmp_path, *lines, whole=("sda", "dm-0", "md127", "loop0", "zram0", "cciss!c0d0", "sdb"))
    findings = await a_collector(machine, manual_clock).collect()
    assert {s.labels[0] for s in findings.samples} == {"sda", "dm-0", "md127", "cciss/c0d0"}


async def test_no_disk_is_a_gap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A container without disks says so."""
    findings = await a_collector(a_machine(tmp_path, whole=()), manual_clock).collect()
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("disk activity", Reason.UNSUPPORTED)]
