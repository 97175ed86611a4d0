"""The HTTP surface: what Prometheus scrapes and what people and programs ask. Answered from memory."""

import asyncio
import hmac
import re
from collections.abc import Awaitable, Callable, Iterator
from functools import wraps
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from daemon.asked import kind_asked, moment_asked, order_asked
from daemon.documents import (
    NO_ALERTS,
    Document,
    series_document,
    statement_documents,
    status_document,
    target_document,
)
from daemon.documents_advice import bloat_documents, index_documents, security_documents
from daemon.documents_alerts import counts_document
from daemon.documents_events import event_documents
from daemon.documents_locks import lock_documents
from daemon.documents_stats import stats_document
from daemon.http import described
from daemon.http.alerts import alert_routes
from daemon.http.backups import backup_routes
from daemon.http.exposition import Format
from daemon.http.replies import json_reply, refusal
from daemon.http.sections import Section, packed, plain
from daemon.world import World
from history.reading import open_reader
from toban.errors import NotFoundError, TobanError, UnavailableError, UsageError
from toban.locks import LockSession
from toban.secrets import Secret

GZIP = re.compile(r"\s*gzip\s*(?:;\s*q=(?:1(?:\.0*)?|0?\.0*[1-9][0-9]*)\s*)?", re.IGNORECASE)  # unless with q=0
ADVISED = {"indexes": index_documents, "bloat": bloat_documents, "security": security_documents}
Endpoint = Callable[[Request], Awaitable[Response]]
MOST_ROWS = 1000
SLOW_SECONDS = 3600.0  # how far back a target's slowest statements are looked for
STATUS_OF = {
    NotFoundError: HTTPStatus.NOT_FOUND,
    UsageError: HTTPStatus.BAD_REQUEST,
    UnavailableError: HTTPStatus.SERVICE_UNAVAILABLE,
}


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
        Route("/api/v1/targets/{name}/stats", guarded(pages.stats)),
        Route("/api/v1/metrics", guarded(pages.values)),
        Route("/api/v1/history", guarded(pages.history)),
        Route("/api/v1/statements", guarded(pages.statements)),
        Route("/api/v1/events", guarded(pages.events)),
        Route("/api/v1/locks", guarded(pages.locks)),
        Route("/api/v1/advice/{about}", guarded(pages.advice)),
        *alert_routes(world, guarded),
        *backup_routes(world, guarded),
        Route(described.PATH, guarded(described.description)),
    ]
    handlers = {HTTPException: _problem, TobanError: _refusal, Exception: _fault}
    return Starlette(routes=routes, exception_handlers=handlers)


class _Pages:
    """The endpoints, each a few lines between the request and the world."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def healthz(self, _: Request) -> Response:
        """The loop turns, else nobody would answer."""
        return json_reply({"ok": True})

    async def readyz(self, _: Request) -> Response:
        """Whether each target was tried."""
        reasons = [f"{name}: not tried yet" for name in self.world.untried()]
        reasons += [] if self.world.opened else ["starting: the targets are not opened yet"]
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return json_reply({"ok": not reasons, "reasons": reasons}, status)

    async def metrics(self, request: Request) -> Response:
        """Everything, for Prometheus."""
        form = _form(request)
        return await _exposed(request, self.world.page(form), form)

    async def probe(self, request: Request) -> Response:
        """One target, for those who want an `instance` each."""
        target = request.query_params.get("target", "")
        if target not in self.world.watches:
            raise _no_target(target)
        form = _form(request)
        return await _exposed(request, self.world.page_of(target, form), form)

    async def status(self, _: Request) -> Response:
        """Overall health and its reasons."""
        duty = self.world.duty
        alerts = counts_document(duty.active()) if duty is not None else NO_ALERTS
        return json_reply(status_document(self.world.status(), self.world.zone, alerts))

    async def targets(self, _: Request) -> Response:
        """Each target with its collectors."""
        return json_reply([target_document(w.standing(), self.world.zone) for w in self.world.watches.values()])

    async def stats(self, request: Request) -> Response:
        """One target at a glance: connections, sizes, slow statements, cache, indexes, locks."""
        watch = self.world.watches.get(request.path_params["name"])
        if watch is None:
            raise _no_target(request.path_params["name"])
        now, current = self.world.clock.monotonic(), self.world.current
        slow, reason = await self._slow(watch.name)
        document = stats_document(
            watch.kind,
            (sample for _, sample in current.samples(now, target=watch.name)),
            slow=slow,
            locks=lock_documents(current.rows(now, LockSession, target=watch.name)),
        )
        standing = target_document(watch.standing(), self.world.zone)
        known = {key: standing[key] for key in ("name", "kind", "up", "reason", "last_success_at")}
        return json_reply({**known, **document, "slow_queries_reason": reason})

    async def _slow(self, target: str) -> tuple[list[Document], str]:
        """The slowest statements of the last hour, or why they are not known: the rest is told all the same."""
        now = self.world.clock.now()

        def read() -> list[Document]:
            with open_reader(self.world.state_path) as reader:
                found = reader.statements(target, since=now - SLOW_SECONDS, until=now, by=order_asked("mean"), top=10)
                return statement_documents(found)

        try:
            return await self.world.disk.read("history", read), ""
        except UnavailableError as error:
            return [], f"{error.what}: {error.why}"

    async def values(self, request: Request) -> Response:
        """The values of now."""
        return json_reply(self.world.values(request.query_params.get("match", "*"), self._target(request)))

    async def locks(self, request: Request) -> Response:
        """Who blocks whom, as `toban locks --json` prints it."""
        now, target = self.world.clock.monotonic(), self._target(request)
        return json_reply(lock_documents(self.world.current.rows(now, LockSession, target=target)))

    async def advice(self, request: Request) -> Response:
        """What `toban advise … --json` prints, by what is known now."""
        about = request.path_params["about"]
        if about not in ADVISED:
            raise HTTPException(HTTPStatus.NOT_FOUND, f"no advice on {about!r}; there is: {', '.join(ADVISED)}")
        return json_reply(ADVISED[about](self.world, self._target(request)))

    def _target(self, request: Request) -> str | None:
        """The one that was asked for, if any. Nothing to say of one that there is not would sound like peace."""
        name = request.query_params.get("target")
        if name is not None and not self.world.knows(name):
            raise _no_target(name)
        return name

    async def history(self, request: Request) -> Response:
        """Values over time, as `toban history --json` prints them."""
        query, now, zone = request.query_params, self.world.clock.now(), self.world.zone
        begin = moment_asked(query.get("since", "24h"), now, zone)

        def read() -> list[Document]:
            with open_reader(self.world.state_path) as reader:
                found = reader.series(
                    query.get("metric", "*"), query.get("target"), since=begin, until=now, most=_most(query, 20)
                )
            return [series_document(series, zone) for series in found]

        return json_reply(await self.world.disk.read("history", read))

    async def statements(self, request: Request) -> Response:
        """What statements cost, as `toban statements --json` prints it."""
        query, now = request.query_params, self.world.clock.now()
        begin = moment_asked(query.get("since", "1h"), now, self.world.zone)
        order, top = order_asked(query.get("by", "total")), _most(query, 10)

        def read() -> list[Document]:
            with open_reader(self.world.state_path) as reader:
                return statement_documents(
                    reader.statements(query.get("target"), since=begin, until=now, by=order, top=top)
                )

        return json_reply(await self.world.disk.read("history", read))

    async def events(self, request: Request) -> Response:
        """What happened, as `toban events --json` prints it."""
        query, now, zone = request.query_params, self.world.clock.now(), self.world.zone
        begin, kind = moment_asked(query.get("since", "7d"), now, zone), kind_asked(query.get("kind"))
        top = _most(query, 100)

        def read() -> list[Document]:
            with open_reader(self.world.state_path) as reader:
                found = reader.events(query.get("target"), since=begin, until=now, kind=kind, most=top)
            return event_documents(found, zone)

        return json_reply(await self.world.disk.read("history", read))


def _no_target(name: str) -> HTTPException:
    return HTTPException(HTTPStatus.NOT_FOUND, f"no target is called {name!r}; see /api/v1/targets")


def _most(query: QueryParams, default: int) -> int:
    text = query.get("top", str(default))
    if not (re.fullmatch("[0-9]{1,9}", text) and 0 < int(text) <= MOST_ROWS):
        raise UsageError("top", f"{text!r:.80} is no number from 1 to {MOST_ROWS}")
    return int(text)


def _form(request: Request) -> Format:
    wanted = "application/openmetrics-text" in request.headers.get("accept", "")
    return Format.OPENMETRICS if wanted else Format.PLAIN


async def _exposed(request: Request, written: Iterator[Section | None], form: Format) -> Response:
    """The page, written piece by piece; the loop turns in between."""
    gzipped = any(map(GZIP.fullmatch, request.headers.get("accept-encoding", "").split(",")))
    page: list[Section] = []
    for section in written:
        if section is not None:
            page.append(section)
            if gzipped:
                section.deflate()
        await asyncio.sleep(0)
    headers = {"content-type": form.value, "vary": "accept, accept-encoding"}
    if gzipped:
        return Response(packed(page), headers={**headers, "content-encoding": "gzip"})
    return Response(plain(page), headers=headers)


def _guard(token: Callable[[], Secret | None]) -> Callable[[Endpoint], Endpoint]:
    """Let only those in who bring the token, while there is one."""

    def guarded(endpoint: Endpoint) -> Endpoint:
        @wraps(endpoint)
        async def checked(request: Request) -> Response:
            wanted = token()
            scheme, _, brought = request.headers.get("authorization", "").partition(" ")
            fits = wanted is None or hmac.compare_digest(brought.strip().encode("latin-1"), wanted.reveal().encode())
            if wanted is not None and not (fits and scheme.lower() == "bearer"):
                raise HTTPException(HTTPStatus.UNAUTHORIZED, "a bearer token is needed", {"www-authenticate": "Bearer"})
            _check_query(request)
            return await endpoint(request)

        return checked

    return guarded


def _check_query(request: Request) -> None:
    """A word that means nothing to us would silently widen the question; Prometheus may send its own along."""
    endpoint = request.scope["endpoint"]
    path = next(route.path for route in request.app.routes if isinstance(route, Route) and route.endpoint is endpoint)
    known = described.QUERIES.get(path, ())
    unknown = [name for name in request.query_params if name not in known]
    if unknown and path.startswith(described.PREFIX):
        there_are = f"there are: {', '.join(known)}" if known else "there is nothing to choose"
        raise UsageError("query", f"{unknown[0]!r:.80} is not known", there_are)


async def _problem(request: Request, error: Exception) -> Response:
    """Any refusal as an RFC 9457 problem document."""
    assert isinstance(error, HTTPException)  # noqa: S101 - Starlette hands it exactly these
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        allowed = ", ".join(sorted(_allowed(request)))
        why = f"{request.method:.20} is not for this address; there is {allowed}"
        return refusal(error.status_code, why, {"allow": allowed})
    if error.detail == HTTPStatus.NOT_FOUND.phrase:  # of Starlette's, where no route leads
        return refusal(error.status_code, f"there is no such address; {described.PATH} describes those of the API")
    return refusal(error.status_code, error.detail, error.headers)


def _allowed(request: Request) -> set[str]:
    """What may be done at an address. Starlette names but the methods of the first route that has it."""
    routes = (route for route in request.app.routes if isinstance(route, Route))
    there = (route.methods or set() for route in routes if route.matches(request.scope)[0] is not Match.NONE)
    return set().union(*there)


async def _refusal(_: Request, error: Exception) -> Response:
    """An error of our own as a problem document; the mend stands behind the reason."""
    assert isinstance(error, TobanError)  # noqa: S101 - Starlette hands it exactly these
    status = STATUS_OF.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
    return refusal(status, f"{error.what}: {error.why}" + (f" ({error.hint})" if error.hint else ""))


async def _fault(_: Request, error: Exception) -> Response:
    """A fault of ours as a problem document. Its words may hold anything: they are for the log alone."""
    why = f"internal fault: {type(error).__name__}; the daemon's log has the rest"
    return refusal(HTTPStatus.INTERNAL_SERVER_ERROR, why)
