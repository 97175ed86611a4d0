"""A connection that nobody need wait for: who sends or reads too slowly is cut off, and there are only so many at once.

uvicorn's own waits for the end of a request, and for room to write, as long as the other side keeps the line open: a
few hundred idle lines would keep Prometheus out, and then use up every descriptor of the process.
"""

import asyncio
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS: Final = 256
REQUEST_SECONDS: Final = 15.0  # for one request to arrive as a whole
READING_SECONDS: Final = 60.0  # for the other side to take what waits for it


class PatientProtocol(H11Protocol):
    """uvicorn's, with an end to its patience."""

    _heard_at = 0.0
    _arriving: asyncio.TimerHandle | None = None
    _leaving: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        """One more. When there are too many, the one that has only waited for the longest makes room."""
        super().connection_made(transport)
        self._heard_at = self.loop.time()
        self._arriving = self.loop.call_later(REQUEST_SECONDS, transport.abort)
        if len(self.connections) > MOST_CONNECTIONS:
            leaving = min(filter(_only_waits, self.connections), key=_heard_at)
            self.connections.discard(leaving)  # now: that it is lost is heard of later
            leaving.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._arrived()
        self._left()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """A piece of a request: the time for the whole of it has begun with its first."""
        self._heard_at = self.loop.time()
        super().data_received(data)
        if self.conn.their_state not in (h11.IDLE, h11.SEND_BODY):
            self._arrived()
        elif self._arriving is None:
            self._arriving = self.loop.call_later(REQUEST_SECONDS, self.transport.abort)

    def send_400_response(self, msg: str) -> None:
        """What came is no HTTP. Whoever is still at the request, for want of its body, need not answer any more."""
        if not _only_waits(self):
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:  # an answer is under way already
            self.transport.abort()

    def pause_writing(self) -> None:
        """The other side reads more slowly than we write."""
        super().pause_writing()
        self._leaving = self._leaving or self.loop.call_later(READING_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has caught up."""
        super().resume_writing()
        self._left()

    def _arrived(self) -> None:
        if self._arriving is not None:
            self._arriving.cancel()
        self._arriving = None

    def _left(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
        self._leaving = None


def _only_waits(connection: Any) -> bool:  # noqa: ANN401 - uvicorn's set holds its several protocols
    return bool(connection.cycle is None or connection.cycle.response_complete)


def _heard_at(connection: Any) -> float:  # noqa: ANN401 - likewise
    return float(connection._heard_at)  # noqa: SLF001 - all of them are ours
