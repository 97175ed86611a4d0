"""Claims about how full the disks are, and which of the mounts are disks."""

import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir

import pytest

from collectors.host.disks import (
    DISK_FREE,
    DISK_HUNG,
    DISK_READ_ONLY,
    DISK_TOTAL,
    DISK_USED_RATIO,
    INODES_USED_RATIO,
    MOUNT_INFO,
    DisksCollector,
    DisksSettings,
    usage,
)
from collectors.host.machine import THREADS_AT_ONCE, HostMachine
from tests.builders import ManualClock
from tests.waiting import eventually
from toban.outcomes import Reason
from toban.samples import Findings, Metric

ROOT = "27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard"


def value(findings: Findings, metric: Metric, mount: str) -> float | None:
    """The one value of a mount, if it is there."""
    found = [s.value for s in findings.samples if s.metric is metric and s.labels[0] == mount]
    assert len(found) <= 1
    return found[0] if found else None


def a_statvfs(
    *, blocks: int = 1000, free: int = 400, available: int = 350, files: int = 100, files_free: int = 90
) -> os.statvfs_result:
    """An answer of statvfs; blocks of 4 kB."""
    return os.statvfs_result((4096, 4096, blocks, free, available, files, files_free, files_free, 0, 255))


def a_machine(folder: Path, *mounts: str, statvfs: Callable[[bytes], os.statvfs_result] | None = None) -> HostMachine:
    """A machine with these mounts, and an answer for each."""
    (folder / "self").mkdir(exist_ok=True)
    (folder / "self/mountinfo").write_bytes(b"".join(os.fsencode(mount) + b"\n" for mount in mounts))
    return HostMachine(proc=folder, statvfs=statvfs or (lambda _: a_statvfs()))


async def collected(machine: HostMachine, clock: ManualClock, settings: DisksSettings | None = None) -> Findings:
    """One turn."""
    return await DisksCollector(machine, settings or DisksSettings(), clock).collect()


def mounts_in(findings: Findings) -> list[str]:
    """The mounts that were told of."""
    return [s.labels[0] for s in findings.samples if s.metric is MOUNT_INFO]


def df_percent(mount: str) -> int:
    """What df says."""
    said = subprocess.run(["df", "--output=pcent", mount], capture_output=True, text=True, check=True, timeout=60)
    return int(said.stdout.split()[-1].rstrip("%"))


@pytest.mark.integration
@pytest.mark.skipif(shutil.which("df") is None, reason="df of coreutils is compared with")
async def test_disk_share_of_this_machine_is_what_df_says(manual_clock: ManualClock) -> None:
    """The real mounts: the per cent that df prints are ours, rounded up."""
    findings = await collected(HostMachine(), manual_clock)
    for mount in mounts_in(findings):
        if mount.startswith(gettempdir()):
            continue  # another test's, which comes and goes
        share = value(findings, DISK_USED_RATIO, mount)
        assert share is not None
        assert df_percent(mount) == pytest.approx(share * 100, abs=1.5)


def test_disk_share_leaves_out_what_is_kept_for_root() -> None:
    """600 used of the 950 an ordinary user could ever see, as df has it."""
    found = usage(a_statvfs())
    assert found.used_ratio == pytest.approx(600 / 950)
    assert found.inodes_used_ratio == pytest.approx(0.1)
    assert (found.total_bytes, found.used_bytes, found.free_bytes) == (4096000, 2457600, 1433600)


def test_disk_without_inodes_or_blocks_has_no_share() -> None:
    """Btrfs makes inodes as needed and says 0 of 0."""
    found = usage(a_statvfs(blocks=0, free=0, available=0, files=0, files_free=0))
    assert found.inodes_used_ratio is None
    assert found.used_ratio is None


@pytest.mark.parametrize(
    "line",
    [
        "22 27 0:21 / /proc rw - proc proc rw",
        "25 24 0:23 / /dev/shm rw - tmpfs tmpfs rw",
        "90 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro",
        "91 27 7:2 / /mnt/image ro - ext4 /dev/loop2 ro",
        "92 27 0:50 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw",
        "93 27 0:51 / /data rw - overlay overlay rw",
        "94 27 0:52 / /home/user/auto rw - autofs systemd-1 rw",
        "95 27 254:0 /etc/hosts /etc/hosts rw - ext4 /dev/vda rw",
        "96 27 254:0 /srv/data /data rw - ext4 /dev/vda rw",
    ],
)
async def test_mount_that_nobody_can_fill_is_left_out(line: str, tmp_path: Path, manual_clock: ManualClock) -> None:
    """Pseudo file systems, images, container layers, and other mounts of a disk that is told of already."""
    findings = await collected(a_machine(tmp_path, line, ROOT, line.replace(" 27 ", " 28 ")), manual_clock)
    assert mounts_in(findings) == ["/"]


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        ("27 1 0:40 / / rw - overlay overlay rw", "/"),
        ("96 27 8:1 /docker/volumes/x /var/lib/postgresql rw - ext4 /dev/sda1 rw", "/var/lib/postgresql"),
        ("97 27 7:3 / /mnt/image rw - ext4 /dev/loop3 rw", "/mnt/image"),
        (r"98 27 8:2 / /mnt/two\040words\134 rw - xfs /dev/sda2 rw", "/mnt/two words\\"),
        ("99 27 8:3 / /mnt/監視 rw - xfs /dev/sda3 rw", "/mnt/監視"),
        ("99 27 8:3 / /mnt/\udcff rw - xfs /dev/sda3 rw", r"/mnt/\udcff"),
    ],
)
async def test_mount_that_counts_is_told(line: str, mount: str, tmp_path: Path, manual_clock: ManualClock) -> None:
    """A container's own root, a volume, a writable image, and names with whatever in them."""
    findings = await collected(a_machine(tmp_path, line), manual_clock)
    assert mounts_in(findings) == [mount]
    assert value(findings, DISK_TOTAL, mount) == 4096000
    assert value(findings, DISK_FREE, mount) == 1433600
    assert value(findings, INODES_USED_RATIO, mount) == pytest.approx(0.1)


async def test_mount_is_asked_by_its_real_name(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Bytes that are no UTF-8 reach the kernel as they are."""
    asked = []

    def statvfs(path: bytes) -> os.statvfs_result:
        asked.append(path)
        return a_statvfs()

    await collected(a_machine(tmp_path, "9 1 8:3 / /mnt/\udcff rw - xfs /dev/sda3 rw", statvfs=statvfs), manual_clock)
    assert asked == [b"/mnt/\xff"]


async def test_mount_covered_by_another_is_not_told(tmp_path: Path, manual_clock: ManualClock) -> None:
    """What lies on top is what statvfs answers for."""
    machine = a_machine(tmp_path, "98 27 8:2 / /mnt rw - xfs /dev/sda2 rw", "99 98 8:3 / /mnt rw - btrfs /dev/sda3 rw")
    findings = await collected(machine, manual_clock)
    assert [s.labels for s in findings.samples if s.metric is MOUNT_INFO] == [("/mnt", "/dev/sda3", "btrfs")]


@pytest.mark.parametrize(
    ("options", "read_only"),
    [
        ("rw,relatime - ext4 /dev/sda2 rw", 0),
        ("ro,relatime - ext4 /dev/sda2 ro,errors=remount-ro", 1),
        ("rw,relatime - ext4 /dev/sda2 rw,emergency_ro", 1),
        ("ro,relatime - ext4 /dev/sda2 rw", 0),
        ("rw,relatime - ext4 /dev/sda2", 0),
    ],
)
async def test_read_only_is_what_the_file_system_says(
    options: str, read_only: int, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """A disk remounted after an error counts; a mount that systemd made read only for Toban alone does not."""
    findings = await collected(a_machine(tmp_path, f"98 27 8:2 / /data {options}"), manual_clock)
    assert value(findings, DISK_READ_ONLY, "/data") == read_only


async def test_hung_mount_hides_no_other(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A mount whose statvfs hangs in the kernel is a gap, stays stuck next time, and is told again when it is back."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)

    def statvfs(path: bytes) -> os.statvfs_result:
        if path == b"/nfs":
            pipe.read_bytes()  # blocks in open(2) until somebody writes
        return a_statvfs()

    machine = a_machine(tmp_path, ROOT, "98 27 0:60 / /nfs rw - nfs4 server:/export rw", statvfs=statvfs)
    settings = DisksSettings(mount_timeout=0.5)
    for reason in (Reason.TIMEOUT, Reason.STUCK):
        findings = await collected(machine, manual_clock, settings)
        assert [(gap.what, gap.reason) for gap in findings.gaps] == [("/nfs", reason)]
        assert value(findings, DISK_HUNG, "/nfs") == 1
        assert value(findings, DISK_HUNG, "/") == 0
        assert value(findings, DISK_USED_RATIO, "/nfs") is None
        assert value(findings, DISK_USED_RATIO, "/") is not None
    pipe.write_bytes(b"")
    await eventually(lambda: machine.mounts.under_way == 0)
    patient = DisksSettings(mount_timeout=60.0)
    machine.statvfs = lambda _: a_statvfs()
    assert value(await collected(machine, manual_clock, patient), DISK_HUNG, "/nfs") == 0


async def test_many_hung_mounts_hide_no_other(tmp_path: Path, manual_clock: ManualClock) -> None:
    """All exports of a server hang together: neither the other disks nor other collectors wait for them."""
    released = threading.Event()

    def statvfs(path: bytes) -> os.statvfs_result:
        if path.startswith(b"/nfs"):
            released.wait(60)
        return a_statvfs()

    exports = [f"{100 + n} 27 0:{60 + n} / /nfs/{n:02} rw - nfs4 server:/{n} rw" for n in range(THREADS_AT_ONCE + 4)]
    machine = a_machine(
        tmp_path, *exports, ROOT.replace("/ /", "/ /zz"), ROOT.replace("254:0", "254:1"), statvfs=statvfs
    )
    for _ in range(2):
        findings = await collected(machine, manual_clock, DisksSettings(mount_timeout=1.0))
        hung = [s.labels[0] for s in findings.samples if s.metric is DISK_HUNG and s.value]
        assert hung == [f"/nfs/{n:02}" for n in range(THREADS_AT_ONCE + 4)]
    assert await machine.blocking.run("other", lambda: "works", timeout_seconds=60) == "works"
    released.set()
    await eventually(lambda: machine.mounts.under_way == 0)


async def test_mount_point_of_any_name_breaks_no_table(tmp_path: Path, manual_clock: ManualClock) -> None:
    """Whoever may mount with FUSE chooses it; the kernel escapes blanks, tabs and line breaks only."""
    odd = "99 27 0:71 / /mnt/x/a\x0bb\u2028c\x85 rw - fuse.sshfs host:/x\x0cy rw"
    findings = await collected(a_machine(tmp_path, odd, ROOT), manual_clock)
    assert mounts_in(findings) == ["/", r"/mnt/x/a\x0bb\u2028c\x85"]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PermissionError(13, "Permission denied"), Reason.PRIVILEGE),
        (FileNotFoundError(2, "No such file"), Reason.UNSUPPORTED),
        (OSError(5, "Input/output error"), Reason.UNSUPPORTED),
    ],
)
async def test_mount_that_refuses_is_a_gap(
    error: OSError, reason: Reason, tmp_path: Path, manual_clock: ManualClock
) -> None:
    """What the kernel says instead of an answer is told with its reason."""

    def statvfs(path: bytes) -> os.statvfs_result:
        raise error

    findings = await collected(a_machine(tmp_path, ROOT, statvfs=statvfs), manual_clock)
    assert [(gap.what, gap.reason) for gap in findings.gaps] == [("/", reason)]
    assert value(findings, DISK_HUNG, "/") == 0


async def test_no_disks_are_no_error(tmp_path: Path, manual_clock: ManualClock) -> None:
    """A container may have none of its own."""
    findings = await collected(a_machine(tmp_path), manual_clock)
    assert not findings.samples
    assert not findings.gaps


async def test_exclusions_are_settings(tmp_path: Path, manual_clock: ManualClock) -> None:
    """An empty list leaves nothing out: a /tmp in memory can be watched."""
    machine = a_machine(tmp_path, "25 24 0:23 / /tmp rw - tmpfs tmpfs rw")
    findings = await collected(machine, manual_clock, DisksSettings(exclude_types=(), exclude_mounts=()))
    assert mounts_in(findings) == ["/tmp"]  # noqa: S108 - a mount point in a fixture
