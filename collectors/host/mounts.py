"""Which of the mounted file systems are disks somebody can fill: a table of mounts in, the few that count out."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from toban.printable import printable

_ESCAPE = re.compile(rb"\\([0-7]{3})")
_READ_ONLY = frozenset({"ro", "emergency_ro"})  # the second is how newer kernels show ext4 after an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of /proc/self/mountinfo."""

    number: str  # major:minor, the same for every mount of one file system
    root: str  # which part of the file system is mounted; `/` is all of it
    path: bytes
    fstype: str
    device: str
    read_only: bool

    @property
    def label(self) -> str:
        """The mount point, as people see it."""
        return printable(self.path.decode("utf-8", "surrogateescape"))


def parse_mounts(text: str) -> list[Mount]:
    """The mounts that can be seen: where one lies over another, the upper."""
    seen: dict[bytes, Mount] = {}
    for line in filter(None, text.split("\n")):  # a mount point's name may hold what else ends a line in Unicode
        mount = parse_mount(line)
        seen[mount.path] = mount
    return list(seen.values())


def parse_mount(line: str) -> Mount:
    """`ID PARENT MAJOR:MINOR ROOT POINT OPTIONS TAGS… - TYPE DEVICE SUPER_OPTIONS`.

    Whether it is read only is asked of the file system (super options), not of the mount: under systemd's
    `ProtectSystem=strict` every mount is read only for Toban, and none of them is for the database.
    """
    head, _, tail = line.partition(" - ")
    fields = head.split(" ")
    fstype, device, *options = tail.split(" ")
    return Mount(
        number=fields[2],
        root=fields[3],
        path=_unescape(fields[4]),
        fstype=fstype,
        device=printable(_unescape(device).decode("utf-8", "surrogateescape")),
        read_only=not _READ_ONLY.isdisjoint(options[0].split(",")) if options else False,
    )


def choose(mounts: Iterable[Mount], fstypes: re.Pattern[str], paths: re.Pattern[str]) -> list[Mount]:
    """One mount for each file system: that of the whole before that of a part (a bind mount), then the shortest."""
    chosen: dict[str, Mount] = {}
    for mount in mounts:
        if fstypes.match(mount.fstype) or paths.match(mount.label) or not _fillable(mount):
            continue
        chosen[mount.number] = min(chosen.get(mount.number, mount), mount, key=_preference)
    return sorted(chosen.values(), key=lambda mount: mount.path)


def _fillable(mount: Mount) -> bool:
    if mount.fstype == "overlay":
        return mount.path == b"/"  # a container's own root; elsewhere it repeats the disk below it
    return not (mount.read_only and mount.device.startswith("/dev/loop"))  # images: snaps, installation media


def _preference(mount: Mount) -> tuple[bool, int]:
    return mount.root != "/", len(mount.path)


def _unescape(text: str) -> bytes:
    """Blanks, tabs, newlines and backslashes stand as three octal digits."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 8)]), text.encode("utf-8", "surrogateescape"))
