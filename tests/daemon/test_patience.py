"""Those who send or read too slowly, on real sockets: they are cut off, and others are served meanwhile."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from daemon.http import patience
from daemon.http.bodies import body_of
from daemon.http.listening import Listener, listen_tcp
from tests.waiting import LONGEST_SECONDS, eventually

pytestmark = pytest.mark.integration
LARGE = 64 * 1024 * 1024  # more than the sockets between take
GET = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def small(request: Request) -> Response:
    """The body is read first."""
    return PlainTextResponse(f"read {len(await body_of(request))}")


async def large(_: Request) -> Response:
    """More than anybody takes at once."""
    return Response(b"x" * LARGE)


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """A server that answers."""
    routes = [Route("/", small, methods=["GET", "POST"]), Route("/large", large)]
    made = Listener(Starlette(routes=routes), listen_tcp("127.0.0.1", 0))
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """What the server calls a fault."""
    told: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            told.append(record.getMessage())

    handler, logger = Keeping(logging.ERROR), logging.getLogger("uvicorn.error")
    logger.addHandler(handler)
    yield told
    logger.removeHandler(handler)


async def dial(listener: Listener) -> Line:
    """A line to it."""
    return await asyncio.open_connection(*listener.address)


async def ended(line: Line) -> bool:
    """Whether the other side ends it, whatever it still says; a failure when it does not."""
    with suppress(ConnectionError):
        async with asyncio.timeout(LONGEST_SECONDS):
            while await line[0].read(LARGE):
                pass
    line[1].close()
    return True


async def answered(line: Line) -> bytes:
    """The answer to one request."""
    line[1].write(GET)
    async with asyncio.timeout(LONGEST_SECONDS):
        return await line[0].readuntil(b"read 0")


@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET / HTTP/1.1\r\nhost: x\r\n", b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhalf"],
    ids=["nothing", "half a head", "half a body"],
)
async def test_a_request_that_does_not_come_to_its_end_is_cut_off(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, beginning: bytes
) -> None:
    """However it hangs."""
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 0.05)
    line = await dial(listener)
    line[1].write(beginning)
    assert await ended(line)


async def test_a_line_that_was_used_before_is_cut_off_too(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second request gets no more time than the first."""
    line = await dial(listener)
    assert await answered(line)
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 0.05)
    line[1].write(b"GET")
    assert await ended(line)


async def test_who_does_not_take_the_answer_is_cut_off(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for him is let go, and not kept in memory."""
    monkeypatch.setattr(patience, "READING_SECONDS", 0.05)
    line = await dial(listener)
    line[1].write(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n")  # and reads no more than its buffer holds
    state = listener.server_state
    assert await eventually(lambda: state.total_requests and not state.connections)
    assert await ended(line)


async def test_when_all_lines_are_taken_one_that_only_waits_makes_room(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Idle ones keep nobody out, the longest first; an honest one loses nothing but a line that it can dial again."""
    monkeypatch.setattr(patience, "MOST_CONNECTIONS", 3)
    listener.config.limit_concurrency = 4
    idle = [await dial(listener) for _ in range(3)]
    lines = await asyncio.gather(*(dial(listener) for _ in range(3)))
    for line in lines:
        assert await answered(line)
        line[1].close()
    assert all([await ended(line) for line in idle])


async def test_a_line_that_is_idle_between_requests_is_left_alone(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Prometheus keeps its line from one scrape to the next."""
    line = await dial(listener)
    assert await answered(line)
    monkeypatch.setattr(patience, "REQUEST_SECONDS", 0.05)
    assert await answered(line)
    assert await ended(await dial(listener))
    assert await answered(line)
    line[1].close()


@pytest.mark.parametrize(
    "sent",
    [
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ],
)
async def test_what_is_no_http_is_refused_once_and_is_no_fault_of_ours(
    listener: Listener, sent: bytes, faults: list[str]
) -> None:
    """The request that was under way, for want of its body, is not answered a second time."""
    line = await dial(listener)
    line[1].write(sent)
    async with asyncio.timeout(LONGEST_SECONDS):
        assert (await line[0].read(12)) == b"HTTP/1.1 400"
    assert await ended(line)
    assert faults == []
