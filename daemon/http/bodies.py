"""What is sent to us: bounded, of the announced kind, and not by some page that a person of ours has open."""

import ipaddress
import json
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

MOST_BODY_BYTES = 64 * 1024
OUR_OWN_SITES = ("same-origin", "none")


async def body_of(request: Request) -> bytes:
    """All of it, or 413."""
    received = bytearray()
    try:
        async for piece in request.stream():
            received += piece
            if len(received) > MOST_BODY_BYTES:
                raise HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {MOST_BODY_BYTES} bytes")
    except ClientDisconnect as error:  # no fault of ours, and nobody listens any more
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body broke off") from error
    return bytes(received)


async def json_of(request: Request) -> dict[str, Any]:
    """A JSON object; an empty body is an empty one."""
    refuse_elsewhere(request)
    announced = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if announced != "application/json":
        raise HTTPException(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send it as application/json")
    body = await body_of(request)
    try:
        document = json.loads(body) if body else {}
    except (ValueError, RecursionError) as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is no JSON") from error
    if not isinstance(document, dict):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "the body is no JSON object")
    return document


def refuse_elsewhere(request: Request) -> None:
    """A browser says which page sends; one that is not ours may not change anything.

    Also a page whose name was bent to our address: it calls itself by a name, ours is an address or localhost.
    """
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if (site is None or site in OUR_OWN_SITES) and (origin is None or _is_ours(origin, request)):
        return
    raise HTTPException(HTTPStatus.FORBIDDEN, "a page from elsewhere may not change anything here")


def _is_ours(origin: str, request: Request) -> bool:
    try:
        parts = urlsplit(origin)
        host = parts.hostname or ""
        return parts.netloc == request.headers.get("host") and (host == "localhost" or bool(_address(host)))
    except ValueError:
        return False


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(host)
