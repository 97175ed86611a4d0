"""The web as it is: HTTP/1.1 over asyncio, one connection a request, the address resolved once and pinned.

The standard clients follow the environment's proxies, log whole addresses and resolve where nobody sees it. This one
does what is needed to reach a receiver, and nothing else: no redirects, no cookies, no compression, no reuse.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import h11

from alerting.address import WebUrl, forbidden
from alerting.web import MOST_ANSWER_BYTES, Answer, WebError
from toban import __version__

CONNECT_SECONDS: Final = 5.0
BODY_SECONDS: Final = 1.0  # the status is known by then: the rest of an answer is worth no long wait
TIMEOUT_SECONDS: Final = 20.0
MOST_HEAD_BYTES: Final = 32 * 1024
MOST_ADDRESSES: Final = 4
_PIECE_BYTES: Final = 16 * 1024
_OWN_HEADERS = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})
_WORDS: Final = (
    (socket.gaierror, "no such host"),
    (ConnectionRefusedError, "connection refused"),
    ((ConnectionResetError, BrokenPipeError), "hung up without an answer"),
    (h11.RemoteProtocolError, "the answer is not HTTP"),
)

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""A name and a port as addresses."""


async def looked_up(host: str, port: int) -> Sequence[str]:
    """The system's own answer."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class HttpWeb:
    """Asks receivers. Certificates are checked against the name, by the system's authorities and those given."""

    def __init__(self, *, authorities: Path | None = None, resolve: Resolve = looked_up) -> None:
        self._authorities = authorities
        self._resolve = resolve
        self._context: ssl.SSLContext | None = None

    def trusting(self, authorities: Path) -> "HttpWeb":
        """The same, which takes certificates of these as well."""
        return HttpWeb(authorities=authorities, resolve=self._resolve)

    async def post(
        self,
        url: str,
        *,
        body: bytes,
        headers: Mapping[str, str] | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> Answer:
        """POST once. Raises `WebError` where there is no answer; any status is an answer."""
        return await self._asked("POST", url, body, headers or {}, timeout_seconds)

    async def get(self, url: str, *, timeout_seconds: float = TIMEOUT_SECONDS) -> Answer:
        """GET once, likewise."""
        return await self._asked("GET", url, b"", {}, timeout_seconds)

    async def _asked(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float
    ) -> Answer:
        place = WebUrl(url)
        if place.fault:
            raise WebError(f"the address {place.fault}", final=True)
        answer = await self._answer_or_why(place, method, body, headers, timeout_seconds)
        if isinstance(answer, WebError):
            raise answer  # out here, where it has no context that could tell the address
        return answer

    async def _answer_or_why(
        self, place: WebUrl, method: str, body: bytes, headers: Mapping[str, str], timeout_seconds: float
    ) -> Answer | WebError:
        under_way = False
        try:
            request = _request(place, method, body, headers)
            async with asyncio.timeout(timeout_seconds) as bound:
                reader, writer = await self._connected(place, timeout_seconds)
                under_way = True
                try:
                    return await _exchanged(reader, writer, request, body, bound)
                finally:
                    writer.transport.abort()
        except WebError as error:
            return WebError(error.detail, final=error.final)
        except TimeoutError:
            return WebError(f"{place.place}: no answer within {timeout_seconds:g} s", unsure=under_way)
        except h11.LocalProtocolError:
            return WebError(f"{place.place}: a header holds what no header may have", final=True)
        except (OSError, UnicodeError, h11.RemoteProtocolError) as error:
            return WebError(f"{place.place}: {_told(error)}", unsure=under_way)

    async def _connected(
        self, place: WebUrl, timeout_seconds: float
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        context = await self._trust() if place.secure else None
        within = min(CONNECT_SECONDS, timeout_seconds / 2)
        try:
            async with asyncio.timeout(within):
                addresses = await self._resolve(place.host, place.port)
                return await _first_connection(addresses, place, context, within)
        except TimeoutError:
            raise WebError(f"{place.place}: no connection within {within:g} s") from None

    async def _trust(self) -> ssl.SSLContext:
        if self._context is None:
            try:
                self._context = await asyncio.to_thread(_context, self._authorities)
            except (OSError, ValueError):
                raise WebError("the authorities of `ca` cannot be read") from None
        return self._context


def _context(authorities: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(cafile=authorities)
    return context


async def _first_connection(
    addresses: Sequence[str], place: WebUrl, context: ssl.SSLContext | None, within_seconds: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """To the first address that takes it. One name may have several: one that is silent leaves time for the others."""
    if any(forbidden(address) for address in addresses):
        raise WebError(f"{place.place}: leads to a link-local or multicast address, which is not asked", final=True)
    failed: OSError = OSError("no address")
    name = place.host if context else None
    tried = addresses[:MOST_ADDRESSES]
    for number, address in enumerate(tried, 1):
        try:
            async with asyncio.timeout(within_seconds / 2**number if number < len(tried) else None):
                return await asyncio.open_connection(address, place.port, ssl=context, server_hostname=name)
        except OSError as error:  # a TimeoutError is one, too
            failed = error
    raise failed


def _request(place: WebUrl, method: str, body: bytes, headers: Mapping[str, str]) -> h11.Request:
    fields = {"User-Agent": f"toban/{__version__}", **headers}
    own = {"Host": place.place, "Accept-Encoding": "identity", "Connection": "close"}
    if method == "POST":
        own["Content-Length"] = str(len(body))
    kept = {name: value for name, value in fields.items() if name.lower() not in _OWN_HEADERS}
    return h11.Request(method=method, target=place.target, headers=list((own | kept).items()))


async def _exchanged(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    request: h11.Request,
    body: bytes,
    bound: asyncio.Timeout,
) -> Answer:
    talk = h11.Connection(h11.CLIENT, max_incomplete_event_size=MOST_HEAD_BYTES)
    head = talk.send(request) or b""
    writer.write(head + (talk.send(h11.Data(data=body)) or b"") + (talk.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    while not isinstance(event := await _next(talk, reader), h11.Response):
        pass  # 100 Continue and the like
    bound.reschedule(None)  # a body that does not come takes nothing back of the status
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in event.headers}
    return Answer(status=event.status_code, headers=headers, body=await _body(talk, reader))


async def _body(talk: h11.Connection, reader: asyncio.StreamReader) -> bytes:
    """As much as is taken. The status stands: what breaks off here has been answered all the same."""
    taken = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(taken) < MOST_ANSWER_BYTES and isinstance(event := await _next(talk, reader), h11.Data):
                taken += event.data
    except (OSError, h11.RemoteProtocolError):
        pass  # a TimeoutError is an OSError, too
    return bytes(taken[:MOST_ANSWER_BYTES])


async def _next(talk: h11.Connection, reader: asyncio.StreamReader) -> object:
    while (event := talk.next_event()) is h11.NEED_DATA:
        piece = await reader.read(_PIECE_BYTES)
        if not piece and talk.their_state is h11.SEND_RESPONSE and not talk.trailing_data[0]:
            raise ConnectionResetError  # hung up without a word
        talk.receive_data(piece)
    return event


def _told(error: Exception) -> str:
    """Why there was no answer, out of words of our own: those of an error may quote what was sent."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"no TLS: {(error.reason or 'it broke off').lower().replace('_', ' ')}"
    for kinds, words in _WORDS:
        if isinstance(error, kinds):
            return words
    return str(getattr(error, "strerror", None) or "no connection")
