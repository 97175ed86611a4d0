"""Which TCP ports are listened on, on which addresses, by which programs: out of /proc alone."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

LISTENS = "0A"
TABLES = ("net/tcp", "net/tcp6")
INODE_FIELD = 9
IPV4_LETTERS = 8
_SOCKET = "socket:["


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Listener:
    """One socket that takes connections."""

    port: int
    address: str
    inode: str

    @property
    def scope(self) -> str:
        """Who can reach it: `loopback`, `any` address of this machine, or the `one` that it is bound to."""
        address = IPv6Address(self.address) if ":" in self.address else IPv4Address(self.address)
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if address.is_loopback:
            return "loopback"
        return "any" if address.is_unspecified else "one"


def listeners(proc: Path) -> list[Listener]:
    """All of them, by port. Raises OSError when the kernel's table cannot be read."""
    found: set[Listener] = set()
    for table in TABLES:
        try:
            text = (proc / table).read_text()
        except FileNotFoundError:
            if table == TABLES[0]:
                raise
            continue  # no IPv6 in this kernel
        found.update(parse_table(text))
    return sorted(found)


def parse_table(text: str) -> Iterator[Listener]:
    """The listening ones of /proc/net/tcp or tcp6."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) > INODE_FIELD and fields[3] == LISTENS:
            address, _, port = fields[1].partition(":")
            yield Listener(port=int(port, 16), address=_address(address), inode=fields[INODE_FIELD])


def programs_by_inode(proc: Path, wanted: Iterable[str]) -> dict[str, str]:
    """Which program has each of these sockets open, as far as Toban's user may see that."""
    missing, found = set(wanted), dict[str, str]()
    for folder in proc.iterdir():
        if not missing:
            break
        if folder.name.isdecimal():
            held = missing.intersection(_sockets(folder / "fd"))
            if held:
                found |= dict.fromkeys(held, _name(folder))
                missing -= held
    return found


def _sockets(folder: Path) -> Iterator[str]:
    try:
        descriptors = os.listdir(folder)  # noqa: PTH208 - text, of which a busy server has very much
    except OSError:
        return  # another's process, or one that has just ended
    for descriptor in descriptors:
        try:
            target = os.readlink(f"{folder}/{descriptor}")  # noqa: PTH115 - no path, a socket's name
        except OSError:
            continue  # closed meanwhile; the others are still there
        if target.startswith(_SOCKET):
            yield target[len(_SOCKET) : -1]


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_bytes().decode("utf-8", "surrogateescape").strip()
    except OSError:
        return ""


def _address(text: str) -> str:
    """The kernel writes addresses in words of four bytes, each turned round."""
    raw = bytes.fromhex(text)
    words = b"".join(raw[i : i + 4][::-1] for i in range(0, len(raw), 4))
    if len(text) == IPV4_LETTERS:
        return str(IPv4Address(words))
    address = IPv6Address(words)
    return f"::ffff:{address.ipv4_mapped}" if address.ipv4_mapped else str(address)
