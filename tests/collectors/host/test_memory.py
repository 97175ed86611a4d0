"""Claims about memory and swap."""

from pathlib import Path

import pytest

from collectors.contract import CollectorSettings
from collectors.host.machine import HostMachine
from collectors.host.memory import (
    MEMORY_AVAILABLE,
    MEMORY_LIMIT,
    MEMORY_TOTAL,
    MEMORY_USED_RATIO,
    OOM_KILLS,
    PAGE_BYTES,
    SWAP_IN,
    SWAP_OUT,
    SWAP_TOTAL,
    SWAP_USED,
    SWAP_USED_RATIO,
    MemoryCollector,
)
from tests.builders import ManualClock
from toban.outcomes import Reason
from toban.samples import Findings, Metric

SETTINGS = CollectorSettings()
MEMINFO = """MemTotal:        8000 kB
MemFree:         1000 kB
MemAvailable:    6000 kB
SwapTotal:       2000 kB
SwapFree:        1500 kB
HugePages_Total:       0
"""


def value(findings: Findings, metric: Metric) -> float | None:
    """The one value of a metric, if it is there."""
    found = [s.value for s in findings.samples if s.metric is metric]
    assert len(found) <= 1
    return found[0] if found else None


def a_machine(
    folder: Path, *, meminfo: str = MEMINFO, vmstat: str | None = "pswpin 3\npswpout 5\noom_kill 1\n"
) -> HostMachine:
    """A machine of which /proc and /sys are written down here."""
    proc, sys = folder / "proc", folder / "sys"
    proc.mkdir()
    (sys / "fs/cgroup").mkdir(parents=True)
    (proc / "meminfo").write_text(meminfo)
    if vmstat is not None:
        (proc / "vmstat").write_text(vmstat)
    return HostMachine(proc=proc, sys=sys)


async def test_memory_of_this_machine_adds_up(manual_clock: ManualClock) -> None:
    """The real files: used and available make the total."""
    findings = await MemoryCollector(HostMachine(), SETTINGS, manual_clock).collect()
    total, available = value(findings, MEMORY_TOTAL), value(findings, MEMORY_AVAILABLE)
    assert total is not None
    assert available is not None
    ratio = value(findings, MEMORY_USED_RATIO)
    assert ratio is not None
    assert ratio >= (total - available) / total  # a limit of this machine's container may be nearer
    assert not findings.gaps


@pytest.mark.parametrize(
    ("folder", "names", "field"),
    [
        ("", ("memory.max", "memory.current"), "inactive_file"),
        ("memory", ("memory.limit_in_bytes", "memory.usage_in_bytes"), "total_inactive_file"),
    ],
)
@pytest.mark.parametrize(("used_kb", "ratio"), [(4000, 0.9), (1000, 0.25)])
async def test_memory_of_a_container_is_short_when_its_limit_is(
    folder: str,
    names: tuple[str, str],
    field: str,
    used_kb: int,
    ratio: float,
    tmp_path: Path,
    manual_clock: ManualClock,
) -> None:
    """The machine has plenty (a quarter is used), and the kernel would kill here: file cache is not counted."""
    machine = a_machine(tmp_path)
    place = machine.sys / "fs/cgroup" / folder
    place.mkdir(exist_ok=True)
    for name, kilobytes in zip(names, (4000, used_kb), strict=True):
        (place / name).write_text(f"{kilobytes * 1024}\n")
    (place / "memory.stat").write_text(f"anon 1\n{field} {400 * 1024}\nactive_file 9\n")
    findings = await MemoryCollector(machine, SETTINGS, manual_clock).collect()
    assert value(findings, MEMORY_USED_RATIO) == ratio


async def test_swap_is_told_in_use_and_in_traffic(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A quarter of the swap is used; pages count as bytes."""
    findings = await MemoryCollector(a_machine(tmp_path), SETTINGS, manual_clock).collect()
    assert value(findings, SWAP_USED_RATIO) == 0.25
    assert value(findings, SWAP_USED) == 500 * 1024
    assert value(findings, SWAP_IN) == 3 * PAGE_BYTES
    assert value(findings, SWAP_OUT) == 5 * PAGE_BYTES
    assert value(findings, OOM_KILLS) == 1


async def test_swap_ratio_is_absent_without_swap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Nothing of nothing is no share, and no error."""
    machine = a_machine(tmp_path, meminfo="MemTotal: 8 kB\nMemAvailable: 4 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")
    findings = await MemoryCollector(machine, SETTINGS, manual_clock).collect()
    assert value(findings, SWAP_TOTAL) == 0
    assert value(findings, SWAP_USED_RATIO) is None
    assert value(findings, MEMORY_USED_RATIO) == 0.5


async def test_memory_without_its_newer_fields_is_a_gap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """An old kernel says no MemAvailable, a container no vmstat: the total is told, and what is missing."""
    machine = a_machine(tmp_path, meminfo="MemTotal: 8 kB\n", vmstat=None)
    findings = await MemoryCollector(machine, SETTINGS, manual_clock).collect()
    assert value(findings, MEMORY_TOTAL) == 8192
    assert value(findings, MEMORY_USED_RATIO) is None
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [
        ("available memory", Reason.UNSUPPORTED),
        ("swap traffic", Reason.UNSUPPORTED),
    ]


async def test_events_an_old_kernel_does_not_count_are_absent(tmp_path: Path, manual_clock: ManualClock) -> None:
    """`oom_kill` came with 4.13."""
    machine = a_machine(tmp_path, vmstat="pswpin 3\npswpout 5\n")
    findings = await MemoryCollector(machine, SETTINGS, manual_clock).collect()
    assert value(findings, OOM_KILLS) is None
    assert value(findings, SWAP_IN) is not None


@pytest.mark.parametrize(
    ("file", "text", "limit"),
    [
        ("memory.max", "1048576\n", 1048576),
        ("memory.max", "max\n", None),
        ("memory/memory.limit_in_bytes", "2097152\n", 2097152),
        ("memory/memory.limit_in_bytes", "9223372036854771712\n", None),
    ],
)
async def test_memory_limit_of_a_container_is_told(
    file: str, text: str, limit: int | None, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """A limit below the machine's memory, by either version of cgroups; no limit is none."""
    machine = a_machine(tmp_path)
    place = machine.sys / "fs/cgroup" / file
    place.parent.mkdir(exist_ok=True)
    place.write_text(text)
    findings = await MemoryCollector(machine, SETTINGS, manual_clock).collect()
    assert value(findings, MEMORY_LIMIT) == limit
