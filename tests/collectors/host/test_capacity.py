"""What the machine has, as its kernel tells it."""

import os
from pathlib import Path

import pytest

from collectors.host.capacity import cpus, memory_bytes, rotational
from collectors.host.machine import HostMachine


def a_machine(home: Path, **files: str) -> HostMachine:
    """Files of /sys by their path with `__` for `/`, and a gigabyte of memory."""
    for name, text in files.items():
        path = home / "sys" / name.replace("__", "/").replace("memory_max", "memory.max")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (home / "proc").mkdir(exist_ok=True)
    (home / "proc" / "meminfo").write_text("MemTotal:        1048576 kB\nMemFree: 1 kB\n")
    return HostMachine(proc=home / "proc", sys=home / "sys")


def test_capacity_of_this_machine_is_something() -> None:
    """Memory and cores of the real one."""
    assert memory_bytes(HostMachine()) > 2**27
    assert cpus() == len(os.sched_getaffinity(0)) >= 1


@pytest.mark.parametrize(
    ("limit", "expected"), [("536870912\n", 2**29), ("max\n", 2**30), ("9223372036854771712", 2**30)]
)
def test_capacity_in_a_container_is_its_limit(tmp_path: Path, limit: str, expected: int) -> None:
    """Where there is one, and it is below the machine's memory."""
    assert memory_bytes(a_machine(tmp_path, fs__cgroup__memory_max=limit)) == expected


@pytest.mark.parametrize(
    ("disks", "spins"),
    [
        ({"sda": "0", "sdb": "0", "loop0": "1", "zram0": "1"}, False),
        ({"sda": "1", "loop0": "0"}, True),
        ({"sda": "1", "sdb": "0"}, None),
        ({"loop0": "0"}, None),
        ({}, None),
    ],
)
def test_disks_that_are_all_of_a_kind_tell_it(tmp_path: Path, disks: dict[str, str], spins: bool | None) -> None:  # noqa: FBT001 - the expected answer
    """Where they differ nobody guesses; what is no disk does not count."""
    machine = a_machine(tmp_path, **{f"block__{name}__queue__rotational": kind for name, kind in disks.items()})
    assert rotational(machine) is spins
    assert rotational(machine, tmp_path / "nowhere") is spins


@pytest.mark.parametrize("partition", [False, True])
def test_the_disk_of_a_place_is_asked_first(tmp_path: Path, partition: bool) -> None:  # noqa: FBT001 - a case
    """The device itself, or the disk that it is a partition of; whatever the others are."""
    machine = a_machine(tmp_path, block__sda__queue__rotational="1", block__sdb__queue__rotational="0")
    number = tmp_path.stat().st_dev
    device = tmp_path / "sys" / "dev" / "block" / f"{os.major(number)}:{os.minor(number)}"
    device.parent.mkdir(parents=True)
    real = tmp_path / "sys" / "block" / "sdb" / ("sdb1" if partition else "")
    real.mkdir(exist_ok=True)
    device.symlink_to(real)
    assert rotational(machine, tmp_path) is False
