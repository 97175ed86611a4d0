"""Rules about the host: each fires and clears on a real thing where one can be had.

Disks are real file systems in memory, small ones; zombies and processes that grow are real ones. Processors, memory,
swap and the bytes of a disk cannot be brought into trouble on a machine that others use: there the kernel's own files
are written down, as it writes them, and read by the real collectors.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from collectors.contract import CollectorSettings
from collectors.host.cpu import CpuCollector
from collectors.host.disk_io import DiskIoCollector, DiskIoSettings
from collectors.host.disks import DisksCollector, DisksSettings
from collectors.host.machine import HostMachine
from collectors.host.memory import MemoryCollector
from collectors.host.processes import PROCESSES, ProcessesCollector, ProcessesSettings
from tests.alerting.shipped.judging import Judging, Look, judging, rule_of
from tests.builders import ManualClock
from tests.collectors.host.test_cpu import write_proc
from tests.waiting import eventually
from toban.alerts import Severity

MB = 1024**2
NO_MOUNT = "this machine cannot: mounting takes root"


def looking(judge: Judging, collector: Any) -> Look:  # noqa: ANN401 - any collector
    """A look with it."""

    async def look() -> None:
        await judge.look(collector)

    return look


class Processors:
    """The /proc of a machine that is as busy as it is told to be."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.busy, self._worked, self._idle = 0.1, 1000, 1000

    def tick(self) -> None:
        """Another hundred ticks."""
        self._worked += round(100 * self.busy)
        self._idle += round(100 * (1 - self.busy))
        write_proc(self._folder, f"{self._worked} 0 0 {self._idle} 0 0 0 0")


async def test_busy_processors_fire_and_clear(tmp_path: Path, manual_clock: ManualClock) -> None:
    """At 80 %, at 95 %, and at rest again."""
    judge, processors = judging("cpu", manual_clock), Processors(tmp_path)
    collector = CpuCollector(HostMachine(proc=tmp_path), CollectorSettings(), manual_clock)

    async def look() -> None:
        processors.tick()
        await judge.look(collector)

    await judge.stays_quiet(look)
    processors.busy = 0.8
    await judge.fires(look, Severity.WARNING)
    processors.busy = 0.95
    for _ in range(12):
        manual_clock.advance(60)
        await look()
    await judge.fires(look, Severity.CRITICAL)
    processors.busy = 0.2
    await judge.clears(look)


class Memory:
    """The /proc of a machine with 8 GB of memory and 2 GB of swap."""

    def __init__(self, folder: Path) -> None:
        self.machine = HostMachine(proc=folder / "proc", sys=folder / "sys")
        (folder / "proc").mkdir()
        (folder / "sys/fs/cgroup").mkdir(parents=True)
        self.write()

    def write(self, *, used: float = 0.4, swapped: float = 0.1, pages: int = 0, kills: int = 0) -> None:
        """How it stands."""
        total, swap = 8_000_000, 2_000_000
        lines = {
            "MemTotal": total,
            "MemAvailable": round(total * (1 - used)),
            "SwapTotal": swap,
            "SwapFree": round(swap * (1 - swapped)),
        }
        (self.machine.proc / "meminfo").write_text("".join(f"{name}: {size} kB\n" for name, size in lines.items()))
        (self.machine.proc / "vmstat").write_text(f"pswpin {pages}\npswpout 0\noom_kill {kills}\n")


@pytest.mark.parametrize(("name", "grave"), [("memory", {"used": 0.95}), ("swap", {"swapped": 0.98})])
async def test_memory_that_runs_short_fires_and_clears(
    name: str, grave: dict[str, float], tmp_path: Path, manual_clock: ManualClock
) -> None:
    """Beyond the critical share, and back."""
    judge = {"memory": judging("memory", manual_clock), "swap": judging("swap", manual_clock)}[name]
    memory = Memory(tmp_path)
    look = looking(judge, MemoryCollector(memory.machine, CollectorSettings(), manual_clock))
    await judge.stays_quiet(look)
    memory.write(**grave)  # type: ignore[arg-type] # shares alone
    await judge.fires(look, Severity.CRITICAL)
    memory.write()
    await judge.clears(look)


async def test_reading_back_from_swap_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A gigabyte a look is more than ten megabytes a second; then none."""
    judge, memory = judging("swapping", manual_clock), Memory(tmp_path)
    collector, pages = MemoryCollector(memory.machine, CollectorSettings(), manual_clock), iter(range(0, 10**9, 262144))
    look = looking(judge, collector)
    await judge.stays_quiet(look)

    async def swapping() -> None:
        memory.write(pages=next(pages))
        await look()

    await judge.fires(swapping, Severity.WARNING)
    await judge.clears(look)


async def test_killed_process_fires_and_clears_by_itself(tmp_path: Path, manual_clock: ManualClock) -> None:
    """The kernel counts one more; a quarter of an hour later it is history."""
    judge, memory = judging("oom_kill", manual_clock), Memory(tmp_path)
    look = looking(judge, MemoryCollector(memory.machine, CollectorSettings(), manual_clock))
    await judge.stays_quiet(look)
    memory.write(kills=1)
    await judge.fires(look, Severity.CRITICAL)
    await judge.clears(look)


@pytest.mark.integration
@pytest.mark.skipif(not hasattr(os, "fork"), reason="this machine cannot: no fork")
async def test_zombies_fire_and_clear(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A program leaves thirty children behind, and looks after them when it is told to."""
    judge = judging("zombies", manual_clock)
    collector = ProcessesCollector(machine_of(tmp_path), ProcessesSettings(), manual_clock)
    look = looking(judge, collector)
    await judge.stays_quiet(look)
    code = "import os, sys\nfor _ in range(30):\n    os.fork() or os._exit(0)\nprint('left', flush=True)\n"
    code += "sys.stdin.readline()\nfor _ in range(30):\n    os.wait()\nprint('reaped', flush=True)\nsys.stdin.read()\n"
    with started(code) as parent:
        assert parent.stdout is not None
        assert parent.stdin is not None
        parent.stdout.readline()
        machine_of(tmp_path, *(child.pid for child in psutil.Process(parent.pid).children()))

        async def zombies() -> float:
            found = (await collector.collect()).samples
            return next(s.value for s in found if s.metric is PROCESSES and s.labels == ("zombie",))

        await eventually(lambda: _more_than(zombies, 29))
        await judge.fires(look, Severity.WARNING, "zombie")
        parent.stdin.write(b"\n")
        parent.stdin.flush()
        parent.stdout.readline()
        await judge.clears(look)


def machine_of(proc: Path, *numbers: int) -> HostMachine:
    """This machine, as if these were its only processes: what others run is not ours to judge."""
    for number in (1, *numbers):
        if not (proc / str(number)).is_symlink():
            (proc / str(number)).symlink_to(f"/proc/{number}")
    return HostMachine(proc=proc)


def started(code: str) -> subprocess.Popen[bytes]:
    """A program that is told by its standard input how to go on."""
    return subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def _more_than(ask: Any, count: int) -> bool:  # noqa: ANN401 - whatever is asked
    return bool(await ask() > count)


@pytest.mark.integration
async def test_process_that_only_grows_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A real process takes 4 MB more at each look; minutes of the test's clock stand for hours. It ends."""
    judge = judging("process_growth", manual_clock, for_="5m")
    code = "import sys\nheld = [bytearray(b'x' * 48 * 2**20)]\nopen('/proc/self/comm', 'w').write('grower')\n"
    code += "print('on', flush=True)\nfor _ in sys.stdin:\n"
    code += "    held.append(bytearray(b'x' * 4 * 2**20))\n    print(flush=True)"
    with started(code) as grower:
        assert grower.stdout is not None
        assert grower.stdin is not None
        grower.stdout.readline()
        collector = ProcessesCollector(
            machine_of(tmp_path, grower.pid), ProcessesSettings(growing_for=360.0), manual_clock
        )
        for _ in range(13):
            manual_clock.advance(60)
            grower.stdin.write(b"\n")
            grower.stdin.flush()
            grower.stdout.readline()
            await judge.look(collector)
        assert {labels: severity for labels, (_, severity) in judge.open.items()} == {("grower",): Severity.WARNING}
        for _ in range(2):
            manual_clock.advance(60)
            grower.stdin.write(b"\n")
            grower.stdin.flush()
            grower.stdout.readline()
            await judge.look(collector)
        await judge.fires(looking(judge, collector), Severity.WARNING, "grower")
        grower.kill()
    await judge.clears(looking(judge, collector))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB and 200 inodes."""
    place = tmp_path / "disk"
    place.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m,nr_inodes=200", "tmpfs", place], capture_output=True, check=False
    )
    if done.returncode != 0:
        pytest.skip(NO_MOUNT)
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.integration
@pytest.mark.parametrize(
    ("name", "severity"),
    [("disk", Severity.CRITICAL), ("log_disk", Severity.WARNING), ("inodes", Severity.CRITICAL)],
)
async def test_disk_that_fills_fires_and_clears(
    name: str, severity: Severity, small_disk: Path, manual_clock: ManualClock
) -> None:
    """A real file system, filled with bytes or with files; then emptied. `log_disk` looks at this mount instead."""
    where = {"where": {"mount": str(small_disk)}}
    judge = {
        "disk": judging("disk", manual_clock, **where),
        "log_disk": judging("log_disk", manual_clock, **where),
        "inodes": judging("inodes", manual_clock, **where),
    }[name]
    look = looking(judge, DisksCollector(HostMachine(), DisksSettings(exclude_types=()), manual_clock))
    await judge.stays_quiet(look)
    if name == "inodes":
        for number in range(190):
            (small_disk / f"{number}").touch()
    else:
        (small_disk / "large").write_bytes(bytes(round((7.6 if name == "disk" else 6.8) * MB)))
    await judge.fires(look, severity, str(small_disk))
    emptied(small_disk)
    await judge.clears(look)


@pytest.mark.integration
async def test_disk_of_the_data_set_preset_may_be_fuller(small_disk: Path, manual_clock: ManualClock) -> None:
    """93 % is critical by the standard, and a warning by the data set system's figures."""
    judge = Judging(rule_in("dataset", small_disk), manual_clock)
    look = looking(judge, DisksCollector(HostMachine(), DisksSettings(exclude_types=()), manual_clock))
    (small_disk / "large").write_bytes(bytes(round(7.45 * MB)))
    await judge.fires(look, Severity.WARNING, str(small_disk))


def rule_in(preset: str, mount: Path) -> Any:  # noqa: ANN401 - a rule
    """The rule `disk` of a preset, for one mount."""
    return rule_of("disk", preset=preset, where={"mount": str(mount)})


def remount(place: Path, how: str) -> None:
    """As the kernel does it on an error."""
    subprocess.run(["mount", "-o", f"remount,{how}", place], check=True)


def emptied(place: Path) -> None:
    """Remove every file."""
    for file in place.iterdir():
        file.unlink()


@pytest.mark.integration
async def test_disk_that_turns_read_only_fires_and_clears(small_disk: Path, manual_clock: ManualClock) -> None:
    """A real one, remounted."""
    judge = judging("disk_read_only", manual_clock, where={"mount": str(small_disk)})
    look = looking(judge, DisksCollector(HostMachine(), DisksSettings(exclude_types=()), manual_clock))
    await judge.stays_quiet(look)
    remount(small_disk, "ro")
    await judge.fires(look, Severity.CRITICAL, str(small_disk))
    remount(small_disk, "rw")
    await judge.clears(look)


async def test_disk_that_hangs_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A question that blocks in the kernel, as at a network file system whose server is gone."""
    pipe, hangs = tmp_path / "pipe", True
    os.mkfifo(pipe)
    (tmp_path / "self").mkdir()
    (tmp_path / "self/mountinfo").write_text("98 27 0:60 / /nfs rw - nfs4 server:/export rw\n")

    def statvfs(path: bytes) -> os.statvfs_result:
        if hangs:
            pipe.read_bytes()
        return os.statvfs("/")

    machine = HostMachine(proc=tmp_path, statvfs=statvfs)
    judge = judging("disk_hung", manual_clock)
    look = looking(judge, DisksCollector(machine, DisksSettings(mount_timeout=0.5), manual_clock))
    await judge.fires(look, Severity.CRITICAL, "/nfs")
    hangs = False
    pipe.write_bytes(b"")
    await eventually(lambda: machine.blocking.under_way == 0)
    await judge.clears(look)


async def test_busy_disk_fires_and_clears(tmp_path: Path, manual_clock: ManualClock) -> None:
    """It had work for the whole of every look; then for none of it."""
    judge = judging("disk_busy", manual_clock)
    (tmp_path / "block/sda").mkdir(parents=True)
    collector = DiskIoCollector(HostMachine(proc=tmp_path, sys=tmp_path), DiskIoSettings(), manual_clock)
    busy = {"ms": 0, "at": manual_clock.monotonic(), "share": 0.1}

    async def look() -> None:
        now = manual_clock.monotonic()
        busy["ms"] += round((now - busy["at"]) * 1000 * busy["share"])
        busy["at"] = now
        line = f"8 0 sda 1000 5 8000 500 2000 5 16000 4000 0 {busy['ms']} 4500 0 0 0 0"
        (tmp_path / "diskstats").write_text(f"   {line}\n")
        await judge.look(collector)

    await judge.stays_quiet(look)
    busy["share"] = 0.95
    await judge.fires(look, Severity.WARNING, "sda")
    busy["share"] = 0.1
    await judge.clears(look)
