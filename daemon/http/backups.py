"""Backups over HTTP: what there is, and one made now, with its progress line by line as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from daemon.asked_alerts import who_asked
from daemon.asked_backups import method_asked, status_asked, tag_asked
from daemon.documents import Document
from daemon.documents_backups import backup_document, progress_document
from daemon.http.bodies import json_of
from daemon.http.replies import json_line, json_reply
from daemon.roles import Keeping
from daemon.world import World
from toban.backups import BackupRecord, Progress
from toban.errors import TobanError, UnavailableError, UsageError

if TYPE_CHECKING:
    from datetime import tzinfo

Endpoint = Callable[[Request], Awaitable[Response]]
STILL_AT_IT_SECONDS: Final = 10.0  # a line so often, also where nothing can be said of the progress
MOST_WAITING_LINES: Final = 64
READ_SECONDS: Final = 10.0
NDJSON: Final = "application/x-ndjson"
NOBODY_NAMED: Final = "api"
KNOWN: Final = ("tag", "who")


def backup_routes(world: World, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
    """The routes of backups."""
    pages = Backups(world)
    return [
        Route("/api/v1/backups", guarded(pages.listed)),
        Route("/api/v1/backups/{name}/run", guarded(pages.run), methods=["POST"]),
    ]


class Backups:
    """A few lines between the request and the keeper."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._looking: asyncio.Future[Sequence[BackupRecord]] | None = None

    async def listed(self, request: Request) -> Response:
        """What `toban backup list --json` prints."""
        query, keeping = request.query_params, self._keeping()
        method, status = method_asked(query.get("method")), status_asked(query.get("status"))
        records = await self._read(keeping)
        found = [
            backup_document(one, self.world.zone)
            for one in records
            if query.get("target") in (None, one.manifest.target)
            and query.get("name") in (None, one.manifest.name)
            and method in (None, one.manifest.method)
            and status in (None, one.status)
        ]
        return json_reply(found)

    async def run(self, request: Request) -> Response:
        """Begin it, and tell how far it is. Whoever stops listening does not stop the backup."""
        told = await json_of(request)
        _check(told)
        who = who_asked(told.get("who") or NOBODY_NAMED)
        waiting: asyncio.Queue[Progress] = asyncio.Queue(MOST_WAITING_LINES)
        work = self._keeping().begin(
            request.path_params["name"], tag=tag_asked(told.get("tag")), why=f"asked for by {who}", tell=_into(waiting)
        )
        return StreamingResponse(lines(work, waiting, self.world.zone), media_type=NDJSON)

    async def _read(self, keeping: Keeping) -> Sequence[BackupRecord]:
        """All there are. Those who ask while one look is under way share it: a disk that hangs takes one thread."""
        if self._looking is None or self._looking.done():
            self._looking = asyncio.ensure_future(asyncio.to_thread(keeping.records))
        looking = self._looking
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await asyncio.shield(looking)
        except TimeoutError:
            raise UnavailableError("repository", f"did not answer within {READ_SECONDS:.0f} s") from None

    def _keeping(self) -> Keeping:
        if self.world.backups is None:
            raise UnavailableError("backups", "none are configured", "name a repository under backups")
        return self.world.backups


async def lines(
    work: "asyncio.Task[BackupRecord]", waiting: "asyncio.Queue[Progress]", zone: "tzinfo"
) -> AsyncGenerator[bytes, None]:
    """Progress as it comes, a sign of life where none comes, and what has become of it at the end."""
    while not work.done():
        heard = asyncio.ensure_future(waiting.get())
        try:
            await asyncio.wait({work, heard}, timeout=STILL_AT_IT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            heard.cancel()  # nobody may listen any more
        if heard.done():
            yield json_line(progress_document(heard.result()))
        elif not work.done():
            yield json_line({"event": "working"})
    while not waiting.empty():
        yield json_line(progress_document(waiting.get_nowait()))
    yield json_line(_ending(work, zone))


def _ending(work: "asyncio.Task[BackupRecord]", zone: "tzinfo") -> Document:
    """What has become of it; an internal fault is told by its kind alone, the daemon's log has the rest."""
    if work.cancelled():
        return _failure("backup", "was stopped: the daemon is stopping", trouble="cancelled")
    error = work.exception()
    if error is None:
        return {"event": "done", "backup": backup_document(work.result(), zone)}
    if isinstance(error, TobanError):
        trouble = getattr(error, "trouble", None)
        return _failure(error.what, error.why, error.hint, status=error.exit_status, trouble=trouble and str(trouble))
    return _failure("internal fault", type(error).__name__, "the daemon's log has the rest", trouble="internal")


def _failure(what: str, why: str, hint: str = "", *, status: int = 1, trouble: str | None = None) -> Document:
    return {"event": "failed", "what": what, "why": why, "hint": hint, "exit_status": status, "trouble": trouble}


def _into(waiting: "asyncio.Queue[Progress]") -> Callable[[Progress], None]:
    """Progress for a listener who may be slow: then only the newest is worth telling."""

    def tell(progress: Progress) -> None:
        if waiting.full():
            waiting.get_nowait()
        waiting.put_nowait(progress)

    return tell


def _check(told: dict[str, Any]) -> None:
    for name, value in told.items():
        if name not in KNOWN:
            raise UsageError("body", f"{name!r:.80} is not known", f"there are: {', '.join(KNOWN)}")
        if value is not None and not isinstance(value, str):
            raise UsageError(name, "is no text")
