"""Claims about processor time, load and pressure."""

from pathlib import Path

import pytest

from collectors.contract import CollectorSettings
from collectors.host.cpu import (
    CPU_IOWAIT,
    CPU_RATIO,
    CPU_SECONDS,
    CPU_STEAL,
    CPUS,
    LOAD1,
    MODES,
    CpuCollector,
    shares_between,
    steadied,
)
from collectors.host.machine import HostMachine
from collectors.host.pressure import PRESSURE_RATIO, PRESSURE_SECONDS, parse_line
from tests.builders import ManualClock
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Findings, Metric

SETTINGS = CollectorSettings()


def value(findings: Findings, metric: Metric, *labels: str) -> float | None:
    """The one value of a series, if it is there."""
    found = [s.value for s in findings.samples if s.metric is metric and s.labels == labels]
    assert len(found) <= 1
    return found[0] if found else None


def write_proc(folder: Path, ticks: str, *, loadavg: str = "1.50 0.50 0.25 1/150 4242") -> Path:
    """A /proc of a machine with two processors, and none of the pressure files."""
    stat = f"cpu  {ticks} 0 0\ncpu0 {ticks} 0 0\ncpu1 {ticks} 0 0\nintr 12 0\nctxt 3\nbtime 1795000000\n"
    (folder / "stat").write_text(stat)
    (folder / "loadavg").write_text(loadavg + "\n")
    return folder


async def test_cpu_ratio_is_absent_on_the_first_reading(manual_clock: ManualClock) -> None:
    """One reading of counters since the boot says nothing of now; what needs no interval is there."""
    findings = await CpuCollector(HostMachine(), SETTINGS, manual_clock).collect()
    assert value(findings, CPU_RATIO) is None
    assert value(findings, CPU_STEAL) is None
    assert (value(findings, CPUS) or 0) >= 1
    assert value(findings, LOAD1) is not None


async def test_cpu_ratio_of_this_machine_lies_between_zero_and_one(manual_clock: ManualClock) -> None:
    """The real counters, read until they have moved."""
    collector = CpuCollector(HostMachine(), SETTINGS, manual_clock)

    async def measured() -> Findings | None:
        manual_clock.advance(1)
        findings = await collector.collect()
        return findings if value(findings, CPU_RATIO) is not None else None

    findings = await eventually(measured)
    assert findings is not None
    for metric in (CPU_RATIO, CPU_IOWAIT, CPU_STEAL):
        assert 0 <= (value(findings, metric) or 0) <= 1
    assert {s.labels[0] for s in findings.samples if s.metric is CPU_SECONDS} == set(MODES)


async def test_cpu_shares_tell_busy_waiting_and_stolen_apart(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Of 100 ticks 40 worked (5 of them stolen), 10 waited for a disk and 50 were idle."""
    machine = HostMachine(proc=write_proc(tmp_path, "1000 0 500 9000 100 0 0 7"))
    collector = CpuCollector(machine, SETTINGS, manual_clock)
    await collector.collect()
    write_proc(tmp_path, "1030 0 505 9050 110 0 0 12")
    manual_clock.advance(15)
    findings = await collector.collect()
    assert value(findings, CPU_RATIO) == pytest.approx(0.40)
    assert value(findings, CPU_IOWAIT) == pytest.approx(0.10)
    assert value(findings, CPU_STEAL) == pytest.approx(0.05)
    assert value(findings, CPUS) == 2


async def test_cpu_ratio_is_absent_after_a_reset(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Counters that began anew make no spike; the interval after them counts again."""
    machine = HostMachine(proc=write_proc(tmp_path, "9000 0 9000 9000 100 0 0 0"))
    collector = CpuCollector(machine, SETTINGS, manual_clock)
    await collector.collect()
    manual_clock.advance(15)
    write_proc(tmp_path, "10 0 10 80 0 0 0 0")
    assert value(await collector.collect(), CPU_RATIO) is None
    manual_clock.advance(15)
    write_proc(tmp_path, "20 0 20 160 0 0 0 0")
    assert value(await collector.collect(), CPU_RATIO) == pytest.approx(0.2)


async def test_cpu_ratio_is_absent_when_no_time_has_passed(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Two readings of one moment are no interval."""
    machine = HostMachine(proc=write_proc(tmp_path, "1 0 1 1 0 0 0 0"))
    collector = CpuCollector(machine, SETTINGS, manual_clock)
    await collector.collect()
    write_proc(tmp_path, "2 0 2 2 0 0 0 0")
    assert value(await collector.collect(), CPU_RATIO) is None


def test_cpu_shares_are_absent_while_counters_stand_still() -> None:
    """No ticks, no share."""
    assert shares_between((1,) * 8, (1,) * 8) is None


def test_cpu_counters_take_no_small_step_back() -> None:
    """The kernel lets iowait shrink a little; shown so, every rate would jump. A new start is shown as it is."""
    assert steadied((500, 900), (510, 899)) == (510, 900)
    assert steadied((5000, 9000), (3, 4)) == (3, 4)


async def test_pressure_is_a_gap_on_a_kernel_without_it(tmp_path: Path, manual_clock: ManualClock) -> None:
    """No /proc/pressure: the rest is measured, and the reason told."""
    machine = HostMachine(proc=write_proc(tmp_path, "1 0 1 1 0 0 0 0"))
    findings = await CpuCollector(machine, SETTINGS, manual_clock).collect()
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("pressure", Reason.UNSUPPORTED)]
    assert value(findings, LOAD1) == 1.5


async def test_pressure_is_told_per_resource_and_kind(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Ratios from 0 to 1 and seconds; `full` of the processors, which means nothing for a machine, is left out."""
    line = "{} avg10=12.50 avg60=1.00 avg300=0.10 total=2500000\n"
    (tmp_path / "pressure").mkdir()
    for resource in ("cpu", "io", "memory"):
        (tmp_path / "pressure" / resource).write_text(line.format("some") + line.format("full"))
    machine = HostMachine(proc=write_proc(tmp_path, "1 0 1 1 0 0 0 0"))
    findings = await CpuCollector(machine, SETTINGS, manual_clock).collect()
    assert value(findings, PRESSURE_RATIO, "io", "full") == 0.125
    assert value(findings, PRESSURE_SECONDS, "cpu", "some") == 2.5
    assert value(findings, PRESSURE_RATIO, "cpu", "full") is None
    assert not findings.gaps


def test_pressure_line_of_a_newer_kernel_is_understood() -> None:
    """Fields that are added later do no harm."""
    assert parse_line("some avg10=1.00 avg60=0 avg300=0 avg900=0 total=1000000") == ("some", 0.01, 1.0)
