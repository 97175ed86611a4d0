"""Claims about the census of the processes."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from collectors.host import processes
from collectors.host.machine import HostMachine
from collectors.host.processes import (
    PROCESS_MEMORY,
    PROCESSES,
    STATES,
    ProcessesCollector,
    ProcessesSettings,
    census,
    largest,
)
from tests.builders import ManualClock
from tests.waiting import eventually_sync
from toban.outcomes import Reason


def a_proc(folder: Path, **statuses: str) -> Path:
    """A /proc with these processes, by number."""
    for number, status in statuses.items():
        (folder / number.strip("p")).mkdir()
        (folder / number.strip("p") / "status").write_text(status)
    return folder


def a_status(name: str, state: str = "S (sleeping)", size_kb: int | None = 100) -> str:
    """A status file, as far as it is read."""
    memory = f"VmRSS:\t 900 kB\nRssAnon:\t {size_kb} kB\n" if size_kb is not None else ""
    return f"Name:\t{name}\nUmask:\t0022\nState:\t{state}\n{memory}Threads:\t1\n"


@pytest.fixture
def zombie() -> Iterator[int]:
    """A real process that has ended and whose parent has not looked."""
    number = os.fork()
    if number == 0:
        os._exit(0)
    eventually_sync(lambda: "State:\tZ" in Path(f"/proc/{number}/status").read_text())
    yield number
    os.waitpid(number, 0)


@pytest.mark.integration
async def test_processes_of_this_machine_are_counted(manual_clock: ManualClock, zombie: int) -> None:
    """A real zombie is among them, this process's memory too, and the rest comes as one row."""
    settings = ProcessesSettings(top=1)
    findings = await ProcessesCollector(HostMachine(), settings, manual_clock).collect()
    states = {s.labels[0]: s.value for s in findings.samples if s.metric is PROCESSES}
    assert states["zombie"] >= 1
    assert set(states) == {*STATES.values(), "other"}
    assert len([s for s in findings.samples if s.metric is PROCESS_MEMORY]) <= 2


@pytest.mark.integration
def test_process_memory_leaves_shared_memory_out() -> None:
    """200 MB that a process shares are not its own; 50 MB that it filled for itself are."""
    code = (
        "import mmap\n"
        "open('/proc/self/comm', 'w').write('toban-test')\n"
        "own = bytearray(50 << 20)\n"
        "shared = mmap.mmap(-1, 200 << 20)\n"
        "for page in range(0, 200 << 20, 4096): shared[page] = 1\n"
        "print('ready', flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        size_bytes = census(Path("/proc")).memory["toban-test"]
        process.communicate(b"\n", timeout=120)
    assert 50 << 20 < size_bytes < 250 << 20


def test_processes_of_one_name_are_added_up(tmp_path: Path) -> None:
    """Sessions of one server are one row; kernel threads and zombies have no memory."""
    proc = a_proc(
        tmp_path,
        p1=a_status("init"),
        p7=a_status("postgres", size_kb=200),
        p8=a_status("postgres", "D (disk sleep)", size_kb=300),
        p9=a_status("kworker", "I (idle)", size_kb=None),
    )
    found = census(proc)
    assert found.memory["postgres"] == 500 * 1024
    assert found.states == Counter(sleeping=2, uninterruptible=1, idle=1)
    assert not found.hidden


def test_process_that_ends_meanwhile_is_none(tmp_path: Path) -> None:
    """Between the list and the look a process may go."""
    (tmp_path / "42").mkdir()
    found = census(a_proc(tmp_path, p1=a_status("init")))
    assert sum(found.states.values()) == 1


async def test_hidden_processes_are_a_gap(tmp_path: Path, manual_clock: ManualClock) -> None:
    """With hidepid=2 not even the first process is there."""
    machine = HostMachine(proc=a_proc(tmp_path, p42=a_status("toban")))
    findings = await ProcessesCollector(machine, ProcessesSettings(), manual_clock).collect()
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("processes of others", Reason.PRIVILEGE)]


def test_refused_processes_are_hidden_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With hidepid=1 they are listed and refused; root, which runs some tests, is never refused."""

    def refuse(folder: int, number: str) -> bytes:
        raise PermissionError(number)

    monkeypatch.setattr(processes, "_status", refuse)
    assert census(a_proc(tmp_path, p1=a_status("init"))).hidden


def test_process_names_may_hold_anything(tmp_path: Path) -> None:
    """Blanks, brackets and bytes that are no UTF-8."""
    (tmp_path / "1").mkdir()
    (tmp_path / "1/status").write_bytes(b"Name:\t(sd) \xff x\nState:\tX (dead)\nRssAnon:\t 1 kB\n")
    found = census(tmp_path)
    assert found.memory == Counter({"(sd) \udcff x": 1024})
    assert found.states == Counter(other=1)


def test_largest_keeps_the_rest_as_one_row() -> None:
    """Two rows and what is left; a program that is called `other` makes no second row of that name."""
    memory = Counter(a=50, other=40, b=30, c=20, d=0)
    assert largest(memory, 2) == {"a": 50, "other": 90}
    assert largest(Counter(a=1, d=0), 2) == {"a": 1}
