"""Alerts over HTTP: the same documents as on the command line, and what changes them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any, TypeVar

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from alerting.quiet import Match
from alerting.shipped.runbooks import runbook_of
from daemon.asked import moment_asked
from daemon.asked_alerts import (
    GOAL,
    beginning_asked,
    goal_asked,
    matches_asked,
    severity_asked,
    silence_asked,
    span_asked,
    state_asked,
    verdict_asked,
    who_asked,
    words_asked,
)
from daemon.documents import Document
from daemon.documents_alerts import alert_document, alert_documents, delivery_document, silence_document
from daemon.http.acknowledging import Acknowledging
from daemon.http.bodies import json_of, refuse_elsewhere
from daemon.http.replies import json_line, json_reply
from daemon.past_alerts import PastAlerts, open_past
from daemon.roles import Duty, Rung
from daemon.world import World
from toban.alerts import Alert, Outcome, Severity
from toban.errors import NotFoundError, UnavailableError, UsageError
from toban.language import Language

Endpoint = Callable[[Request], Awaitable[Response]]
ReadT = TypeVar("ReadT")
SHOWN = 3
NOBODY_NAMED = "api"  # who it was, where a program did not say


def alert_routes(world: World, guarded: Callable[[Endpoint], Endpoint]) -> list[Route]:
    """The routes of alerts; what a link opens is guarded by its token alone."""
    reads, changes, links = Reads(world), Changes(world), Acknowledging(world)
    post, delete = ["POST"], ["DELETE"]
    return [
        Route("/api/v1/duty", reads.duty),
        Route("/api/v1/alerts", guarded(reads.alerts)),
        Route("/api/v1/alerts/stats", guarded(reads.stats)),
        Route("/api/v1/alerts/review", guarded(reads.review)),
        Route("/api/v1/alerts/dead", guarded(reads.dead)),
        Route("/api/v1/alerts/drill", guarded(changes.drill), methods=post),
        Route("/api/v1/alerts/retry", guarded(changes.retry), methods=post),
        Route("/api/v1/alerts/test/{channel}", guarded(changes.test), methods=post),
        Route("/api/v1/alerts/{id}", guarded(reads.story)),
        Route("/api/v1/alerts/{id}/ack", guarded(changes.acknowledge), methods=post),
        Route("/api/v1/alerts/{id}/resolve", guarded(changes.resolve), methods=post),
        Route("/api/v1/alerts/{id}/mark", guarded(changes.mark), methods=post),
        Route("/api/v1/silences", guarded(reads.silences)),
        Route("/api/v1/silences", guarded(changes.silence), methods=post),
        Route("/api/v1/silences/{id}", guarded(changes.end_silence), methods=delete),
        Route("/runbooks/{rule}", reads.runbook),
        Route("/ack/{token}", links.show),
        Route("/ack/{token}", links.take, methods=post),
    ]


class Reads:
    """What is told."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def duty(self, _: Request) -> Response:
        """200 only while all of it works: what another Toban probes."""
        duty = self.world.duty
        reasons = list(duty.problems()) if duty is not None else ["alerting is not started"]
        reasons += [f"{name}: not tried yet" for name in self.world.untried()]
        status = HTTPStatus.SERVICE_UNAVAILABLE if reasons else HTTPStatus.OK
        return json_reply({"ok": not reasons, "reasons": reasons}, status)

    async def alerts(self, request: Request) -> Response:
        """The active ones out of memory, so also while the disk is full; past ones out of the book."""
        query, duty = request.query_params, self.world.duty
        if duty is not None and not {"state", "since", "all"} & query.keys():
            severity, target = severity_asked(query.get("severity")), query.get("target")
            found = (one for one in duty.active() if severity in (None, one.severity))
            chosen = (one for one in found if target in (None, one.key.target))
            return json_reply(alert_documents(chosen, self.world.zone, _language(query)))
        narrowed = _narrowed(query)
        return json_reply(await self._past(lambda past: past.alerts(**narrowed)))

    async def story(self, request: Request) -> Response:
        """One alert with its life, its notices and its evidence; of one that the disk did not take, what memory has."""
        asked, duty = request.path_params["id"], self.world.duty
        try:
            return json_reply(await self._past(lambda past: past.story(asked)))
        except (NotFoundError, UnavailableError):
            found = one_of(duty.active(), asked) if duty is not None else None
            if found is None:
                raise
            nothing: Document = {"transitions": [], "notices": [], "evidence": None, "mark": None}
            return json_reply(alert_document(found, self.world.zone) | nothing)

    async def stats(self, request: Request) -> Response:
        """Counts by severity, and how long people took."""
        begin = self._since(request.query_params)
        return json_reply(await self._past(lambda past: past.statistics(begin)))

    async def review(self, request: Request) -> Response:
        """Per rule how often it fired, was answered, and was marked false."""
        begin, goal = self._since(request.query_params), goal_asked(request.query_params.get("goal", GOAL))
        targets = tuple(self.world.watches)
        return json_reply(await self._past(lambda past: past.review(begin, targets, goal)))

    async def dead(self, _: Request) -> Response:
        """What was given up."""
        return json_reply(await self._past(lambda past: past.dead()))

    async def silences(self, request: Request) -> Response:
        """Those that have not ended, or all."""
        every = "all" in request.query_params
        return json_reply(await self._past(lambda past: past.silences(every=every)))

    async def runbook(self, request: Request) -> Response:
        """What to do about a shipped rule's alert. It is the manual's page: nobody's secret."""
        page = runbook_of(request.path_params["rule"])
        if page is None:
            raise NotFoundError("runbook", "no shipped rule has this name", "docs/rules/README.md lists them")
        return PlainTextResponse(page)

    def _since(self, query: QueryParams) -> float:
        return moment_asked(query.get("since", "30d"), self.world.clock.now(), self.world.zone)

    async def _past(self, read: Callable[[PastAlerts], Any]) -> Any:  # noqa: ANN401 - whatever JSON can carry
        return await read_book(self.world, read)


class Changes:
    """What is changed. Each answers with what has become of it."""

    def __init__(self, world: World) -> None:
        self.world = world

    async def acknowledge(self, request: Request) -> Response:
        """Somebody is at it, for so long at most."""
        told = await _told(request, "note", "for", "who")
        seconds, note = span_asked("for", told.get("for")), words_asked("note", told.get("note", ""))
        duty, episode = self._duty(), self._active(request)
        alert = await duty.acknowledge(episode, who=_who(told), note=note, for_seconds=seconds)
        return json_reply(alert_document(alert, self.world.zone))

    async def resolve(self, request: Request) -> Response:
        """Over, says a person, and why."""
        told = await _told(request, "note", "who")
        note = words_asked("note", told.get("note", ""), needed=True)
        duty, episode = self._duty(), self._active(request)
        return json_reply(alert_document(await duty.resolve(episode, who=_who(told), note=note), self.world.zone))

    async def mark(self, request: Request) -> Response:
        """Real or false, for the review; also of one that is over."""
        told = await _told(request, "verdict", "who")
        verdict, asked = verdict_asked(told.get("verdict", "")), request.path_params["id"]
        duty = self._duty()
        found = one_of(duty.active(), asked)
        episode = found.episode if found else await read_book(self.world, lambda past: past.episode(asked))
        await duty.mark(episode, verdict, who=_who(told))
        return json_reply({"id": episode, "verdict": verdict})

    async def silence(self, request: Request) -> Response:
        """A silence, now or planned, once or recurring; and how many active alerts it mutes."""
        document = await json_of(request)
        match = _match(document.pop("match", {}))
        told = _texts(document, "for", "from", "until", "cron", "why", "who")
        now, zone = self.world.clock.now(), self.world.zone
        asked = silence_asked(
            match=match,
            length=told.get("for"),
            begins=told.get("from"),
            until=told.get("until"),
            cron=told.get("cron"),
            why=told.get("why", ""),
            now=now,
            zone=zone,
        )
        made = await self._duty().silence(asked, who=_who(told))
        return json_reply(silence_document(made, now, zone), HTTPStatus.CREATED)

    async def end_silence(self, request: Request) -> Response:
        """Tell of it again."""
        told = await _told(request, "who") if "content-type" in request.headers else {}
        refuse_elsewhere(request)
        ended = await self._duty().end_silence(request.path_params["id"], who=_who(told))
        return json_reply(silence_document(ended, self.world.clock.now(), self.world.zone))

    async def test(self, request: Request) -> Response:
        """Really sends. That it did not arrive is an answer, not an error."""
        await _told(request)
        channel = request.path_params["channel"]
        return json_reply(delivery_document(channel, await self._duty().test(channel)))

    async def drill(self, request: Request) -> Response:
        """A line for each message, as soon as its receipt is there."""
        told = await _told(request, "severity")
        severity = severity_asked(told.get("severity", Severity.CRITICAL)) or Severity.CRITICAL
        rungs = self._duty().drill(severity)

        async def lines() -> AsyncIterator[bytes]:
            async for rung in rungs:
                yield json_line(rung_document(rung))

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def retry(self, request: Request) -> Response:
        """Dead letters get another life."""
        told = await _told(request, "key")
        count = await self._duty().retry(told.get("key"))
        return json_reply({"retried": count})

    def _duty(self) -> Duty:
        if self.world.duty is None:
            raise UnavailableError("alerting", "is not started yet")
        return self.world.duty

    def _active(self, request: Request) -> str:
        asked = request.path_params["id"]
        found = one_of(self._duty().active(), asked)
        if found is None:
            raise NotFoundError(f"alert {asked}", "no active alert has this id", "toban alerts lists them")
        return found.episode


def one_of(alerts: Sequence[Alert], written: str) -> Alert | None:
    """The alert whose id begins so; None when none does."""
    beginning = beginning_asked(written)
    found = [one for one in alerts if one.episode.startswith(beginning)]
    if len(found) > 1:
        several = ", ".join(one.episode for one in found[:SHOWN])
        raise NotFoundError(f"alert {written}", f"several ids begin like this: {several}", "write one more character")
    return found[0] if found else None


async def read_book(world: World, read: Callable[[PastAlerts], ReadT]) -> ReadT:
    """Of what is over, out of the book."""

    def reading() -> ReadT:
        with open_past(world.state_path, world.clock, world.zone) as past:
            return read(past)

    return await world.disk.read("the book", reading)


def rung_document(rung: Rung) -> Document:
    """One message of a drill."""
    return {
        "what": str(rung.what),
        "level": rung.level,
        "after_seconds": rung.after_seconds,
        **delivery_document(rung.channel, rung.delivery),
        "took_seconds": rung.took_seconds,
        "ok": rung.delivery.outcome is Outcome.SENT,
    }


def _language(query: QueryParams) -> Language:
    """Of the summaries."""
    asked = query.get("lang", Language.EN)
    if asked not in set(Language):
        raise UsageError("lang", f"{asked!r:.80} is none", f"there are: {', '.join(Language)}")
    return Language(asked)


def _narrowed(query: QueryParams) -> dict[str, Any]:
    """What the query asks of past alerts."""
    return {
        "every": "all" in query,
        "since": query.get("since"),
        "target": query.get("target"),
        "severity": severity_asked(query.get("severity")),
        "state": state_asked(query.get("state")),
    }


def _match(written: Any) -> Match:  # noqa: ANN401 - whatever JSON held
    """`{"rule": "disk_*"}`, or several patterns of which any will do: `{"target": ["main", "shop"]}`."""
    if not isinstance(written, dict):
        raise UsageError("match", "is no object of labels and patterns")
    pairs = [
        (name, pattern)
        for name, patterns in written.items()
        for pattern in (patterns if isinstance(patterns, list) else [patterns])
    ]
    if not all(isinstance(pattern, str) for _, pattern in pairs):
        raise UsageError("match", "is no object of labels and patterns")
    return matches_asked(f"{name}={pattern}" for name, pattern in pairs)


async def _told(request: Request, *names: str) -> Mapping[str, str]:
    return _texts(await json_of(request), *names)


def _texts(document: Mapping[str, Any], *names: str) -> dict[str, str]:
    """The body's fields: known ones, and text; null is as if it were not there."""
    for name, value in document.items():
        if name not in names:
            raise UsageError("body", f"{name!r:.80} is not known", f"there are: {', '.join(names) or 'none'}")
        if value is not None and not isinstance(value, str):
            raise UsageError(name, "is no text")
    return {name: value for name, value in document.items() if value is not None}


def _who(told: Mapping[str, str]) -> str:
    return who_asked(told.get("who", NOBODY_NAMED))
