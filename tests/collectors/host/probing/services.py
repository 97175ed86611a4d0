"""Services on this machine that answer as a test tells them, over plain or secured TCP."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from collectors.host.machine import HostMachine
from collectors.host.probing.collector import ProbesCollector
from collectors.host.probing.settings import ProbesSettings
from tests.authority import Pair
from tests.parting import parted
from toban.clock import Clock, SystemClock
from toban.samples import Findings, Metric

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Service:
    """One that is up: its port, and the head of each request that came."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[str] = []
        self.sent_bytes = 0


@asynccontextmanager
async def service(*says: bytes | Handler, pair: Pair | None = None) -> AsyncIterator[Service]:
    """A service that reads a request, says these bytes (or does what a handler does), and hangs up."""
    made, tasks = Service(), set[asyncio.Task[Any]]()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())  # type: ignore[arg-type]  # there is one: this is it
        try:
            made.requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
            for piece in says:
                if isinstance(piece, bytes):
                    writer.write(piece)
                    await writer.drain()
                    made.sent_bytes += len(piece)
                else:
                    await piece(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass  # whoever asked has left
        finally:
            writer.close()

    context = None
    if pair is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.cert, pair.key)
    server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=context)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await parted(server)


async def hang(*_: object) -> None:
    """Say nothing for ever."""
    await asyncio.Event().wait()


def a_probe(url: str, clock: Clock | None = None, **given: object) -> ProbesCollector:
    """A probe of this address; the test names only what it is about."""
    settings = ProbesSettings.model_validate({"name": "api", "url": url, "timeout": 30.0, **given})
    return ProbesCollector(HostMachine(), settings, clock or SystemClock())


def value(findings: Findings, metric: Metric, *more: str) -> float | None:
    """The value of the probe's own series; None when there is none."""
    found = [s.value for s in findings.samples if s.metric is metric and s.labels == ("api", *more)]
    assert len(found) <= 1
    return found[0] if found else None


def phases(findings: Findings) -> set[str]:
    """Which parts of the attempt have a duration."""
    return {s.labels[1] for s in findings.samples if s.metric.name == "toban_probe_duration_seconds"}


def why(findings: Findings) -> tuple[str, str, str] | None:
    """Why it is down: the reason, the cause and the detail."""
    assert len(findings.gaps) <= 1
    return next(((str(gap.reason), gap.what.removeprefix("the answer: "), gap.detail) for gap in findings.gaps), None)
