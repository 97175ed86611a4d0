"""One attempt: which part of it took how long, and how it ended."""

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from toban.clock import Clock
from toban.outcomes import Gap, Reason
from toban.printable import printable

SHOWN_CHARACTERS = 200
DISTRUSTED = "certificate not trusted"


class Phase(StrEnum):
    """The parts of an attempt."""

    CONNECT = "connect"  # the name looked up, the connection made
    TLS = "tls"
    FIRST_BYTE = "first_byte"  # from the request to the head of its answer
    TOTAL = "total"


_DURING = {
    Phase.CONNECT: "while connecting",
    Phase.TLS: "in the TLS handshake",
    Phase.FIRST_BYTE: "while waiting for the answer",
    Phase.TOTAL: "while reading the answer's body",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a probe is down. `cause` is one of few, so that it may be a label."""

    reason: Reason
    cause: str
    detail: str = ""
    hint: str = ""

    @property
    def gap(self) -> Gap:
        """The same, as a collection tells it."""
        return Gap(what=f"the answer: {self.cause}", reason=self.reason, detail=self.detail, hint=self.hint)


class FaultError(Exception):
    """The attempt has ended badly."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.cause)
        self.fault = fault


class Attempt:
    """What is learnt on the way. A phase that did not end has no duration; the whole always has one."""

    def __init__(self, clock: Clock) -> None:
        self.status: int | None = None
        self.expires_at: float | None = None
        self.fault: Fault | None = None
        self.seconds: dict[Phase, float] = {}
        self._clock = clock
        self._phase = Phase.CONNECT
        self.start()

    def start(self) -> None:
        """Now it goes out into the network; what came before was the making of a client."""
        self._began = self._since = self._clock.monotonic()

    def begin(self, phase: Phase) -> None:
        """A part begins now. After a redirect the last one counts."""
        self._phase, self._since = phase, self._clock.monotonic()

    def done(self, phase: Phase) -> None:
        """It ends now."""
        self.seconds[phase] = self._clock.monotonic() - self._since
        self._since = self._clock.monotonic()

    def end(self, fault: Fault | None = None) -> None:
        """The whole is over."""
        self.seconds[Phase.TOTAL] = self._clock.monotonic() - self._began
        self.fault = fault

    @property
    def late(self) -> Fault:
        """That it was not through in time, and where it hung."""
        hint = "is it overloaded? Else raise `timeout` of the probe"
        return Fault(reason=Reason.TIMEOUT, cause="not in time", detail=_DURING[self._phase], hint=hint)


def fault_of(error: BaseException) -> Fault:
    """Why there was no answer, out of all that lies below an error of the client's."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            detail, hint = str(cause.strerror), "is the host's name in `url` right?"
            return Fault(reason=Reason.UNREACHABLE, cause="no such host", detail=detail, hint=hint)
        if isinstance(cause, ssl.SSLCertVerificationError):
            hint = "renew it, name its root as `authorities`, or trust it blindly with `insecure: true`"
            return Fault(reason=Reason.UNREACHABLE, cause=DISTRUSTED, detail=str(cause.verify_message), hint=hint)
        if isinstance(cause, ssl.SSLError):
            return Fault(reason=Reason.UNREACHABLE, cause="no TLS", detail=_shortened(cause))
        if isinstance(cause, ConnectionRefusedError):
            return Fault(reason=Reason.UNREACHABLE, cause="connection refused", hint="does it run, is the port right?")
    named = next((cause for cause in causes if isinstance(cause, OSError) and cause.strerror), None)
    if named is not None:
        return Fault(reason=Reason.UNREACHABLE, cause="no connection", detail=str(named.strerror))
    return Fault(reason=Reason.UNREACHABLE, cause="no proper answer", detail=_shortened(error))


def _shortened(error: BaseException) -> str:
    return printable(" ".join(str(error).split()))[:SHOWN_CHARACTERS] or type(error).__name__


def _causes(error: BaseException | None, depth: int = 0) -> Iterator[BaseException]:
    """The error and what it came of."""
    if error is None or depth > 10:  # noqa: PLR2004 - deeper than any client wraps, and an end in any case
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _causes(one, depth + 1)
    yield from _causes(error.__cause__ or error.__context__, depth + 1)
