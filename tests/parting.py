"""Closing a server of asyncio with all that is connected to it: a socket left open fails some later test."""

import asyncio
import sys
from contextlib import suppress
from typing import Any

from tests.waiting import eventually

LONGEST_SECONDS = 10.0


async def parted(server: asyncio.Server) -> None:
    """Listen no more, and wait until every connection has ended: a handshake that fails takes a moment to do so."""
    server.close()
    inside: Any = server
    if sys.version_info >= (3, 13):
        inside.abort_clients()
    with suppress(AssertionError):  # who hangs on purpose is not waited for any longer
        await eventually(lambda: not _connections(inside), within_seconds=LONGEST_SECONDS)


def _connections(server: Any) -> int:  # noqa: ANN401 - what asyncio keeps to itself
    """How many there are."""
    clients = getattr(server, "_clients", None)  # from 3.13 on
    return int(getattr(server, "_active_count", 0)) if clients is None else len(clients)  # uvloop's tells nothing
