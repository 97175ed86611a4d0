"""TCP ports for servers of tests: nobody else on this machine is given them, neither a test nor a connection."""

import errno
import os
import socket
from pathlib import Path

SPAN = 12000
HANDED_OUT = Path("/proc/sys/net/ipv4/ip_local_port_range")
_claims: dict[int, int] = {}
"""Port → the descriptor that holds it for this process."""


def free_port() -> int:
    """A free port below those the kernel hands out, so that a server that is down keeps its own."""
    lowest = max(1024, int(HANDED_OUT.read_text().split()[0]) - SPAN)
    first = os.getpid() * 64 % SPAN  # each process begins elsewhere
    for step in range(SPAN):
        port = lowest + (first + step) % SPAN
        claim = _claimed(port)
        if claim is None:
            continue
        _claims[port] = claim
        if _is_free(port):
            return port
        give_back(port)
    raise RuntimeError(f"no free port between {lowest} and {lowest + SPAN}")


def give_back(port: int) -> None:
    """Others may have it: its server is gone for good."""
    claim = _claims.pop(port, None)
    if claim is not None:
        os.close(claim)


def _claimed(port: int) -> int | None:
    """A name in the kernel that one process has at a time, and that ends with it; none when somebody has it."""
    name = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        name.bind(f"\0toban-test-port-{port}")
    except OSError as error:
        name.close()
        if error.errno != errno.EADDRINUSE:
            raise
        return None
    return name.detach()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
