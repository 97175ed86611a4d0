"""What the machine has, for advice: memory, cores, and whether a place lies on a spinning disk."""

import os
from pathlib import Path

from collectors.host.machine import HostMachine
from collectors.host.memory import LIMIT_FILES, parse_meminfo


def memory_bytes(machine: HostMachine) -> int:
    """The memory; in a container that has a limit, its limit."""
    total = parse_meminfo(machine.read("meminfo"))["MemTotal"]
    limits = [_number(machine.sys / name) for name in LIMIT_FILES]
    return min([total, *(limit for limit in limits if limit)])


def cpus() -> int:
    """The cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def rotational(machine: HostMachine, place: Path | None = None) -> bool | None:
    """Whether the disk under a place spins. Where that cannot be told, whether all disks do; None where they differ."""
    told = None if place is None else _of_device(machine, place)
    if told is None:
        kinds = {_number(file) for file in machine.sys.glob("block/*/queue/rotational") if _is_disk(file)}
        told = kinds.pop() if len(kinds) == 1 else None
    return None if told is None else bool(told)


def _of_device(machine: HostMachine, place: Path) -> int | None:
    try:
        number = place.stat().st_dev
    except OSError:
        return None  # nothing that this user may look at
    device = machine.sys / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    found = (_number(folder / "queue" / "rotational") for folder in (device, device.resolve().parent))
    return next((one for one in found if one is not None), None)  # a partition has it from its disk


def _is_disk(file: Path) -> bool:
    return not file.parents[1].name.startswith(("loop", "ram", "zram", "sr", "fd"))


def _number(file: Path) -> int | None:
    try:
        text = file.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None
