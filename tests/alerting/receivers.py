"""A real HTTP receiver on loopback: it checks the documented shape, answers as a test scripts it, forgets nothing.

What it did not expect fails the test that saw it: a request more than was scripted, one fewer, or one out of shape.
"""

import asyncio
import json
import socket
import ssl
import struct
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import h11

from tests.authority import Pair
from tests.parting import parted

_LINGER_NONE = struct.pack("ii", 1, 0)  # closing then resets
_PIECE = b"x" * 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked."""

    method: str
    target: str
    headers: Mapping[str, str]  # names in lower case
    body: bytes
    pairs: tuple[tuple[str, str], ...] = ()  # as they came, so that a header sent twice is seen

    @property
    def json(self) -> Any:  # noqa: ANN401 - whatever JSON can hold
        """The body, read."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A proper answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """Anything but a proper answer."""

    name: str


HANGS = Misbehaviour("takes the request and says nothing")
RESETS = Misbehaviour("resets the connection")
HANGS_UP = Misbehaviour("closes without a word")
GARBAGE = Misbehaviour("answers what is not HTTP")
ENDLESS_HEAD = Misbehaviour("answers a head without an end")
HANGS_IN_BODY = Misbehaviour("says 200 and then nothing of the body that it promised")
HUGE = Misbehaviour("says 200 and then 10 MB")
HINTS = Misbehaviour("says 103 with early hints, then 200")
HUGE_BYTES = 10_000_000

Check = Callable[[Request], None]
"""Raises AssertionError for a request that is not as the provider documents it."""


class Receiver:
    """One address. `script` what it answers, one for each request; `always` for any number."""

    def __init__(self, check: Check | None = None, pair: Pair | None = None) -> None:
        self.requests: list[Request] = []
        self.written_bytes = 0
        """Of bodies, as far as they were taken."""
        self.faults: list[str] = []
        self._check = check
        self._pair = pair
        self._script: deque[Reply | Misbehaviour] = deque()
        self._always: Reply | Misbehaviour | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._port = 0

    def script(self, *replies: Reply | Misbehaviour) -> None:
        """What the next requests are answered. More than these are unexpected, and fewer too."""
        self._script.extend(replies)

    def always(self, reply: Reply | Misbehaviour | None) -> None:
        """What any number of requests is answered; None: no further one is expected."""
        self._always = reply

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        """Where it listens."""
        return f"{'https' if self._pair else 'http'}://{host}:{self._port}{path}"

    async def start(self) -> None:
        """Listen."""
        context = None
        if self._pair is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self._pair.cert, self._pair.key)
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", self._port, ssl=context)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening, on the port that `start` takes again; what hangs is let go."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=60)
        if server is not None:
            await parted(server)

    def judge(self) -> None:
        """Fail for what was not expected."""
        assert not self.faults, "\n".join(self.faults)
        assert not self._script, f"requests that were expected never came: {len(self._script)}"

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            request = await _read(reader)
            if request is not None:
                await self._answer(request, writer)
        except (OSError, h11.RemoteProtocolError, asyncio.CancelledError):
            pass  # the other side parts as it likes; cancelled is who hangs when the test is over
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter) -> None:
        self.requests.append(request)
        try:
            if self._check is not None:
                self._check(request)
        except (AssertionError, KeyError, TypeError, ValueError, IndexError) as error:
            self.faults.append(f"out of shape: {error!r} in {request.body[:2000]!r}")
        reply = self._script.popleft() if self._script else self._always
        if reply is None:
            self.faults.append(f"unexpected: {request.method} {request.target} {request.body[:2000]!r}")
            reply = Reply(status=500)
        if isinstance(reply, Reply):
            await _write(writer, reply.status, reply.headers, reply.body)
        else:
            await self._misbehave(reply, writer)

    async def _misbehave(self, how: Misbehaviour, writer: asyncio.StreamWriter) -> None:
        if how is HANGS:
            await asyncio.Event().wait()
        elif how is RESETS:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
        elif how is GARBAGE:
            writer.write(b"\x00\xff\x00 this is not HTTP\r\n\r\n" * 10)
            await writer.drain()
        elif how is ENDLESS_HEAD:
            writer.write(b"HTTP/1.1 200 OK\r\n")
            await self._pour(writer, b"x-again: and again\r\n" * 3000)
        elif how is HINTS:
            writer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            await writer.drain()
        elif how is HANGS_IN_BODY:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nok")
            await asyncio.Event().wait()
        elif how is HUGE:
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % HUGE_BYTES)
            await self._pour(writer, _PIECE)

    async def _pour(self, writer: asyncio.StreamWriter, piece: bytes) -> None:
        with suppress(OSError):
            while self.written_bytes < HUGE_BYTES:
                writer.write(piece)
                await writer.drain()
                self.written_bytes += len(piece)


async def _read(reader: asyncio.StreamReader) -> Request | None:
    talk = h11.Connection(h11.SERVER)
    head: h11.Request | None = None
    body = bytearray()
    while True:
        event = talk.next_event()
        if event is h11.NEED_DATA:
            talk.receive_data(await reader.read(65536))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            break
    if head is None:
        return None
    pairs = tuple((name.decode(), value.decode()) for name, value in head.headers)
    return Request(
        method=head.method.decode(), target=head.target.decode(), headers=dict(pairs), body=bytes(body), pairs=pairs
    )


async def _write(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str], body: bytes) -> None:
    lines = [f"HTTP/1.1 {status} as scripted", f"content-length: {len(body)}", "connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode() + body)
    await writer.drain()
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
