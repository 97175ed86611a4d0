"""The two ways to ask: an HTTP request, and a TCP connection. Each within a time, and reading no more than it must."""

import asyncio
import re
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from collectors.backtracking import quickened
from collectors.host.probing.attempt import Attempt, Fault, FaultError, Phase, fault_of
from collectors.host.probing.settings import ProbesSettings
from toban import __version__
from toban.outcomes import Reason

if TYPE_CHECKING:
    import httpx

MOST_BODY_BYTES = 256 * 1024
MOST_REDIRECTS = 5
PARTING_SECONDS = 0.05
_PHASES = {
    "connection.connect_tcp": Phase.CONNECT,
    "connection.start_tls": Phase.TLS,
    "http11.receive_response_headers": Phase.FIRST_BYTE,
}


class RootsError(OSError):
    """Whom to trust cannot be read: no fault of the service's."""


def trust_of(settings: ProbesSettings) -> ssl.SSLContext:
    """Whom a client of this probe trusts. It reads files, so it is made rarely, in a thread."""
    try:
        return _blind() if settings.insecure else ssl.create_default_context(cafile=settings.authorities)
    except OSError as error:
        raise RootsError(f"{settings.authorities} cannot be read; is `authorities` of the probe right?") from error


async def attempt_http(settings: ProbesSettings, trust: ssl.SSLContext, attempt: Attempt, seconds: float) -> None:
    """Ask once. However it ends, the attempt knows."""
    import httpx  # noqa: PLC0415 - it costs a tenth of a second and memory: who has no probe pays nothing

    try:
        async with asyncio.timeout(seconds):
            await _ask(settings, trust, attempt)
        attempt.end()
    except FaultError as error:
        attempt.end(error.fault)
    except TimeoutError:
        attempt.end(attempt.late)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        attempt.end(fault_of(error))


async def attempt_tcp(settings: ProbesSettings, attempt: Attempt, seconds: float) -> None:
    """Connect once, and go."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(settings.url.host, settings.url.port)
        attempt.done(Phase.CONNECT)
        attempt.end()
        writer.close()
    except TimeoutError:
        attempt.end(attempt.late)
    except (OSError, UnicodeError) as error:
        attempt.end(fault_of(error))


async def distrusted_certificate(settings: ProbesSettings, seconds: float) -> bytes | None:
    """The certificate that a client refused, in DER: read by one who trusts anybody, and says nothing."""
    with suppress(OSError):
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(settings.url.host, settings.url.port, ssl=_blind())
        shown = _der(writer.get_extra_info("ssl_object"))
        writer.transport.abort()
        return shown
    return None


def ends_at(certificate: bytes) -> float | None:
    """When a certificate ends; None for what is none."""
    from cryptography import x509  # noqa: PLC0415 - as above: it is needed for https alone

    try:
        return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()
    except ValueError:
        return None


async def _ask(settings: ProbesSettings, trust: ssl.SSLContext, attempt: Attempt) -> None:
    import httpx  # noqa: PLC0415 - as above

    opened: list[Any] = []  # httpcore's streams: one whose TLS handshake is cancelled it forgets to close

    async def trace(event: str, details: Any) -> None:  # noqa: ANN401 - httpcore's, which differ by event
        name, _, moment = event.rpartition(".")
        if event == "connection.connect_tcp.complete":
            opened.append(details["return_value"])
        phase = _PHASES.get(name)
        if phase is Phase.FIRST_BYTE and moment == "started":
            return  # it began when the request was sent
        if event == "http11.send_request_headers.started":
            attempt.begin(Phase.FIRST_BYTE)
        elif phase is not None and moment == "started":
            attempt.begin(phase)
        elif phase is not None and moment == "complete":
            attempt.done(phase)

    headers = {name: value.reveal() for name, value in settings.headers.items()}
    async with httpx.AsyncClient(
        verify=trust,
        trust_env=False,  # the way is the probe's own; a proxy of the environment would be what is measured
        timeout=None,  # noqa: S113 - the whole attempt has one
        follow_redirects=settings.redirects,
        max_redirects=MOST_REDIRECTS,
        headers={"User-Agent": f"toban/{__version__}", "Connection": "close", "Accept-Encoding": "identity"},
    ) as client:
        request = client.build_request(
            settings.method, settings.url.reveal(), headers=headers, extensions={"trace": trace}
        )
        attempt.start()
        try:
            await _judge(settings, await client.send(request, stream=True), attempt)
        finally:
            await _part(opened)


async def _judge(settings: ProbesSettings, response: "httpx.Response", attempt: Attempt) -> None:
    attempt.status = response.status_code
    stream = response.extensions.get("network_stream")
    secured = stream.get_extra_info("ssl_object") if stream is not None else None
    if secured is not None:
        attempt.expires_at = ends_at(_der(secured))
    if not settings.wants(response.status_code):
        expected = ", ".join(str(status) for status in settings.status)
        cause = f"status {response.status_code}"
        raise FaultError(Fault(reason=Reason.UNEXPECTED, cause=cause, detail=f"expected {expected}"))
    if settings.body is not None:
        attempt.begin(Phase.TOTAL)
        await _seek(re.compile(quickened(settings.body)), response)


async def _seek(pattern: re.Pattern[str], response: "httpx.Response") -> None:
    """Read until the pattern is there, and no further: as it comes, not unpacked, looked at whenever it has doubled."""
    content, looked_at = bytearray(), -1
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > 2 * looked_at:
            if pattern.search(_text(content)):
                return
            looked_at = len(content)
        if len(content) > MOST_BODY_BYTES:
            break
    if not pattern.search(_text(content)):
        detail = f"not in the first {len(_text(content))} characters"
        raise FaultError(Fault(reason=Reason.UNEXPECTED, cause="body without the pattern", detail=detail))


def _text(content: bytearray) -> str:
    return content[:MOST_BODY_BYTES].decode(errors="replace")


async def _part(opened: list[Any]) -> None:
    """Hang up, whatever is still to come; a service that does not part has been measured already."""
    with suppress(TimeoutError, OSError):
        async with asyncio.timeout(PARTING_SECONDS):
            for stream in opened:
                await stream.aclose()


def _blind() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _der(secured: Any) -> bytes:  # noqa: ANN401 - whatever the transport has
    return secured.getpeercert(binary_form=True) or b""
