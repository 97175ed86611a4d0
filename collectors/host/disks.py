"""How full the disks are, per mount. Each mount is asked by itself: one that hangs is told, and hides no other."""

import asyncio
import os
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from collectors.blocking import StuckError
from collectors.contract import Collector, CollectorSettings, Kind
from collectors.host.machine import HostMachine
from collectors.host.mounts import Mount, choose, parse_mounts
from collectors.host.patterns import any_of
from toban.clock import Clock
from toban.config import Duration
from toban.samples import Batch, Findings, Metric, Unit

PSEUDO = (
    *("autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devfs", "devpts", "devtmpfs"),
    *("efivarfs", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "ramfs", "rootfs", "rpc_pipefs"),
    *("securityfs", "selinuxfs", "sysfs", "tmpfs", "tracefs", "fuse.lxcfs", "fuse.gvfsd-fuse", "fuse.*portal"),
    *("squashfs", "erofs", "cramfs", "romfs", "iso9660", "udf", "fuse.snapfuse"),  # full by nature
)
FOREIGN = (
    *("/snap/*", "/var/lib/docker/*", "/var/lib/containers/*", "/var/lib/kubelet/*", "/run/credentials/*"),
    *("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"),  # single files that container engines mount
)

DISK_USED_RATIO = Metric(
    name="toban_host_disk_used_ratio",
    help="Share of the space that is used, of what is used and what an ordinary user may still take, as df has it.",
    unit=Unit.RATIO,
    labels=("mount",),
    kept=True,
)
DISK_TOTAL = Metric(
    name="toban_host_disk_total_bytes", help="Size of the file system.", unit=Unit.BYTES, labels=("mount",)
)
DISK_USED = Metric(
    name="toban_host_disk_used_bytes", help="Space in use.", unit=Unit.BYTES, labels=("mount",), kept=True
)
DISK_FREE = Metric(
    name="toban_host_disk_free_bytes",
    help="Space an ordinary user may still take.",
    unit=Unit.BYTES,
    labels=("mount",),
    kept=True,
)
INODES_USED_RATIO = Metric(
    name="toban_host_inodes_used_ratio",
    help="Share of the inodes in use; absent where they are made as needed.",
    unit=Unit.RATIO,
    labels=("mount",),
    kept=True,
)
DISK_READ_ONLY = Metric(
    name="toban_host_disk_read_only",
    help="1 when the file system is read only, by intent or because the kernel found an error.",
    labels=("mount",),
)
DISK_HUNG = Metric(
    name="toban_host_disk_hung", help="1 when the file system did not answer in time.", labels=("mount",)
)
MOUNT_INFO = Metric(
    name="toban_host_mount_info",
    help="Always 1; what is mounted where.",
    labels=("mount", "device", "fstype"),
)


class DisksSettings(CollectorSettings):
    """What is left out, by file system type and by mount point; patterns as in a shell."""

    every: Duration = 60.0
    mount_timeout: Duration = 2.0
    exclude_types: tuple[str, ...] = PSEUDO
    exclude_mounts: tuple[str, ...] = FOREIGN


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """How full one file system is."""

    total_bytes: int
    used_bytes: int
    free_bytes: int
    used_ratio: float | None
    inodes_used_ratio: float | None


class DisksCollector(Collector[HostMachine, DisksSettings]):
    """Space and inodes of every file system that somebody can fill."""

    name = "disks"
    purpose = "Whether a disk is filling up, ran out of inodes, went read only after an error, or hangs."
    kind = Kind.HOST
    lane = "mounts"
    metrics: ClassVar = (
        DISK_USED_RATIO,
        DISK_TOTAL,
        DISK_USED,
        DISK_FREE,
        INODES_USED_RATIO,
        DISK_READ_ONLY,
        DISK_HUNG,
        MOUNT_INFO,
    )
    settings_model = DisksSettings

    def __init__(self, source: HostMachine, settings: DisksSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._fstypes = any_of(settings.exclude_types)
        self._paths = any_of(settings.exclude_mounts)

    async def collect(self) -> Findings:
        """Ask all mounts at once."""
        mounts = choose(parse_mounts(self.source.read("self/mountinfo")), self._fstypes, self._paths)
        answers = await asyncio.gather(*(self._ask(mount) for mount in mounts))
        batch = Batch(self.clock.now())
        gaps = []
        for mount, answer in zip(mounts, answers, strict=True):
            _add_state(batch, mount, hung=isinstance(answer, TimeoutError | StuckError))
            if isinstance(answer, Usage):
                _add_usage(batch, mount.label, answer)
            else:
                gaps.append(self.source.gap(mount.label, answer))
        return Findings(samples=batch.samples, gaps=tuple(gaps))

    async def _ask(self, mount: Mount) -> Usage | OSError | StuckError:
        call = partial(self.source.statvfs, mount.path)
        try:
            found = await self.source.mounts.run(mount.label, call, timeout_seconds=self.settings.mount_timeout)
        except (OSError, StuckError) as error:
            return error
        return usage(found)


def usage(found: os.statvfs_result) -> Usage:
    """As df computes it: blocks kept for root count neither as used nor as free."""
    used, inodes_used = found.f_blocks - found.f_bfree, found.f_files - found.f_ffree
    return Usage(
        total_bytes=found.f_blocks * found.f_frsize,
        used_bytes=used * found.f_frsize,
        free_bytes=found.f_bavail * found.f_frsize,
        used_ratio=_share(used, found.f_bavail),
        inodes_used_ratio=_share(inodes_used, found.f_favail),
    )


def _share(used: int, available: int) -> float | None:
    return used / (used + available) if used + available > 0 else None


def _add_state(batch: Batch, mount: Mount, *, hung: bool) -> None:
    batch.add(MOUNT_INFO, 1, mount.label, mount.device, mount.fstype)
    batch.add(DISK_READ_ONLY, mount.read_only, mount.label)
    batch.add(DISK_HUNG, hung, mount.label)


def _add_usage(batch: Batch, label: str, found: Usage) -> None:
    batch.add(DISK_TOTAL, found.total_bytes, label)
    batch.add(DISK_USED, found.used_bytes, label)
    batch.add(DISK_FREE, found.free_bytes, label)
    batch.add(DISK_USED_RATIO, found.used_ratio, label)
    batch.add(INODES_USED_RATIO, found.inodes_used_ratio, label)
