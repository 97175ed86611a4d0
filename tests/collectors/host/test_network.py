"""Claims about the network interfaces."""

from pathlib import Path

from collectors.host.machine import HostMachine
from collectors.host.network import RECEIVED, SENT, NetworkCollector, NetworkSettings
from tests.builders import ManualClock

HEADER = "Inter-|   Receive  |  Transmit\n face |bytes packets errs drop fifo frame compressed multicast|bytes …\n"
COUNTERS = "1 2 3 4 0 0 0 0 5 6 7 8 0 0 0 0"


def a_machine(folder: Path, *names: str) -> HostMachine:
    """A machine with these interfaces."""
    (folder / "net").mkdir()
    (folder / "net/dev").write_text(HEADER + "".join(f"  {name}: {COUNTERS}\n" for name in names))
    return HostMachine(proc=folder)


async def test_network_counts_bytes_packets_errors_and_drops(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Four counters each way, in the kernel's order."""
    findings = await NetworkCollector(a_machine(tmp_path, "eth0"), NetworkSettings(), manual_clock).collect()
    assert [(s.metric, s.value) for s in findings.samples] == list(
        zip((*RECEIVED, *SENT), (1, 2, 3, 4, 5, 6, 7, 8), strict=True)
    )


async def test_network_leaves_virtual_interfaces_out(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Loopback and what containers come and go with; an alias is an interface."""
    machine = a_machine(tmp_path, "lo", "eth0", "eth0:1", "vethabc", "docker0", "br-1f", "bond0")
    findings = await NetworkCollector(machine, NetworkSettings(), manual_clock).collect()
    assert {s.labels[0] for s in findings.samples} == {"eth0", "eth0:1", "bond0"}


async def test_network_of_this_machine_can_be_read(manual_clock: ManualClock) -> None:
    """The real file, with nothing left out: loopback at least is there."""
    findings = await NetworkCollector(HostMachine(), NetworkSettings(exclude=()), manual_clock).collect()
    assert "lo" in {s.labels[0] for s in findings.samples}
