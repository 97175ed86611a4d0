"""Who holds a turn: a process, of a boot, of a machine. Whether it lives can be told for our own machine."""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_STARTED_FIELD: Final = 19  # of /proc/PID/stat, counted behind the program's name: when it began, in ticks since boot


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A process, so that it is not mistaken for another of the same number."""

    host: str = ""
    machine: str = ""
    boot: str = ""
    namespace: str = ""  # of process numbers: containers have one each
    pid: int = 0
    started: str = ""

    @classmethod
    def here(cls, node: str = "") -> "Holder":
        """This process."""
        return cls(
            host=node or socket.gethostname(),
            machine=_first_line("/etc/machine-id"),
            boot=_first_line("/proc/sys/kernel/random/boot_id"),
            namespace=_link("/proc/self/ns/pid"),
            pid=os.getpid(),
            started=started(os.getpid()),
        )

    @property
    def words(self) -> str:
        """As a person looks for it."""
        return f"process {self.pid} on {self.host}" if self.pid else "somebody unknown"

    def same_kernel(self, other: "Holder") -> bool:
        """Whether both ran since the same start of the same machine: there the kernel's own lock tells the truth."""
        return bool(self.boot) and self.boot == other.boot

    def rebooted_since(self, other: "Holder") -> bool:
        """Whether the other was on this machine before it was started anew."""
        same = bool(self.machine) and (self.machine, self.host) == (other.machine, other.host)
        return same and bool(other.boot) and self.boot != other.boot

    def sees_alive(self, other: "Holder") -> bool | None:
        """Whether the other process is there; None where we cannot look."""
        if not self.same_kernel(other) or self.namespace != other.namespace:
            return None
        return bool(other.started) and started(other.pid) == other.started


def started(pid: int) -> str:
    """When a process began, by its kernel; empty when there is none of that number."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return ""
    fields = told.rpartition(")")[2].split()
    return fields[_STARTED_FIELD] if len(fields) > _STARTED_FIELD and fields[0] not in "ZX" else ""


def _first_line(path: str) -> str:
    try:
        return Path(path).read_text(errors="replace").partition("\n")[0].strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - it points at no file
    except OSError:
        return ""
