"""Whom the demonstration tells: a webhook receiver of its own, which checks every signature and keeps what it hears."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from daemon.http.listening import Listener, listen_tcp
from toban.secrets import Secret

MOST_BYTES = 64 * 1024
MOST_HEARD = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One message, as a receiver of yours would have it."""

    id: str
    status: str
    severity: str
    rule: str
    episode: str
    title: str
    description: str


class Receiver:
    """Listens on loopback."""

    def __init__(self, secret: Secret, tell: Callable[[Heard], None]) -> None:
        self.heard: list[Heard] = []
        self.refused = 0
        self.stirred = asyncio.Event()
        self._secret = secret
        self._tell = tell
        self._listener = Listener(
            Starlette(routes=[Route("/", self._take, methods=["POST"])]), listen_tcp("127.0.0.1", 0)
        )

    async def open(self) -> None:
        """Begin to listen."""
        await self._listener.open()

    async def close(self) -> None:
        """Listen no more."""
        await self._listener.close()

    @property
    def url(self) -> str:
        """Where to post."""
        host, port = self._listener.address
        return f"http://{host}:{port}/"

    async def _take(self, request: Request) -> Response:
        body = await request.body()
        if len(body) > MOST_BYTES or not self._signed(request.headers.get("toban-signature", ""), body):
            self.refused += 1
            return Response(status_code=HTTPStatus.UNAUTHORIZED)
        told = json.loads(body)
        heard = Heard(**{name: str(told[name]) for name in Heard.__slots__})
        known = any(one.id == heard.id for one in self.heard)
        if not known and len(self.heard) < MOST_HEARD:
            self.heard.append(heard)
            self._tell(heard)
        self.stirred.set()
        return Response(status_code=HTTPStatus.NO_CONTENT)

    def _signed(self, header: str, body: bytes) -> bool:
        parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
        said = f"{parts.get('t', '')}.".encode() + body
        mac = hmac.new(self._secret.reveal().encode(), said, hashlib.sha256).hexdigest()
        return hmac.compare_digest(mac, parts.get("v1", ""))
