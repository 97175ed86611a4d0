"""The HTTP surface: what Prometheus scrapes and what people and programs ask. Answered from memory."""

import gzip
import hmac
import json
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from prometheus_client.exposition import gzip_accepted
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from daemon.documents import problem, status_document, target_document
from daemon.exposition import Format
from daemon.world import World
from toban.secrets import Secret

Endpoint = Callable[[Request], Awaitable[Response]]
GZIP_LEVEL = 1  # a scrape is short-lived: the wire wins little from more, the processor loses
SMALLEST_TO_COMPRESS_BYTES = 1024


def application(world: World, token: Callable[[], Secret | None]) -> Starlette:
    """The routes; `token` is asked for wherever something is told of the targets."""
    pages = _Pages(world)
    guarded = _guard(token)
    routes = [
        Route("/healthz", pages.healthz),
        Route("/readyz", pages.readyz),
        Route("/metrics", guarded(pages.metrics)),
        Route("/probe", guarded(pages.probe)),
        Route("/api/v1/status", guarded(pages.status)),
        Route("/api/v1/targets", guarded(pages.targets)),
        Route("/api/v1/metrics", guarded(pages.values)),
    ]
    return Starlette(routes=routes, exception_handlers={HTTPException: _problem})


class _Pages:
    """The endpoints, each a few lines between the request and the world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def healthz(self, _: Request) -> Response:
        """The loop turns, else nobody would answer."""
        return JSONResponse({"ok": True})

    async def readyz(self, _: Request) -> Response:
        """Whether each target was tried."""
        untried = self.world.untried()
        status = HTTPStatus.SERVICE_UNAVAILABLE if untried else HTTPStatus.OK
        reasons = [f"{name}: not tried yet" for name in untried]
        return JSONResponse({"ok": not untried, "reasons": reasons}, status_code=status)

    async def metrics(self, request: Request) -> Response:
        """Everything, for Prometheus."""
        form = _form(request)
        return _exposed(request, self.world.page(form), form)

    async def probe(self, request: Request) -> Response:
        """One target, for those who want an `instance` each."""
        target = request.query_params.get("target", "")
        if target not in self.world.watches:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no target is called {target!r}; see /api/v1/targets")
        form = _form(request)
        return _exposed(request, self.world.page_of(target, form), form)

    async def status(self, _: Request) -> Response:
        """Overall health and its reasons."""
        return _json(status_document(self.world.status(), self.world.zone))

    async def targets(self, _: Request) -> Response:
        """Each target with its collectors."""
        return _json([target_document(w.standing(), self.world.zone) for w in self.world.watches.values()])

    async def values(self, request: Request) -> Response:
        """The values of now."""
        query = request.query_params
        return _json(self.world.values(query.get("match", "*"), query.get("target")))


def _json(document: Any) -> Response:  # noqa: ANN401 - whatever JSON can carry
    return Response(json.dumps(document, ensure_ascii=False), media_type="application/json")


def _form(request: Request) -> Format:
    wanted = "application/openmetrics-text" in request.headers.get("accept", "")
    return Format.OPENMETRICS if wanted else Format.PLAIN


def _exposed(request: Request, page: bytes, form: Format) -> Response:
    headers = {"content-type": form.value, "vary": "accept, accept-encoding"}
    if len(page) >= SMALLEST_TO_COMPRESS_BYTES and gzip_accepted(request.headers.get("accept-encoding", "")):
        page = gzip.compress(page, GZIP_LEVEL, mtime=0)
        headers["content-encoding"] = "gzip"
    return Response(page, headers=headers)


def _guard(token: Callable[[], Secret | None]) -> Callable[[Endpoint], Endpoint]:
    """Let only those in who bring the token, while there is one."""

    def guarded(endpoint: Endpoint) -> Endpoint:
        async def checked(request: Request) -> Response:
            wanted = token()
            brought = request.headers.get("authorization", "").encode()
            if wanted is not None and not hmac.compare_digest(brought, f"Bearer {wanted.reveal()}".encode()):
                raise HTTPException(HTTPStatus.UNAUTHORIZED, "a bearer token is needed", {"www-authenticate": "Bearer"})
            return await endpoint(request)

        return checked

    return guarded


async def _problem(_: Request, error: Exception) -> Response:
    """Any refusal as an RFC 9457 problem document."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette hands it exactly these
    document = problem(error.status_code, HTTPStatus(error.status_code).phrase, error.detail)
    return JSONResponse(
        document, status_code=error.status_code, headers=error.headers, media_type="application/problem+json"
    )
