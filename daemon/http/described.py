"""`/api/v1/openapi.json`: the API for programs that read descriptions, made from the routes themselves."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from daemon.http.replies import PROBLEM, json_reply
from toban import __version__

PREFIX: Final = "/api/v1/"
PATH: Final = "/api/v1/openapi.json"
LINES: Final = "application/x-ndjson"
_PLACE: Final = re.compile(r"\{(\w+)\}")
_ALERTS: Final = ("target", "severity", "state", "since", "all", "lang")
QUERIES: Final[Mapping[str, tuple[str, ...]]] = {
    "/api/v1/metrics": ("match", "target"),
    "/api/v1/history": ("metric", "since", "target", "top"),
    "/api/v1/statements": ("by", "since", "target", "top"),
    "/api/v1/events": ("since", "target", "kind", "top"),
    "/api/v1/locks": ("target",),
    "/api/v1/advice/{about}": ("target",),
    "/api/v1/alerts": _ALERTS,
    "/api/v1/alerts/stats": ("since",),
    "/api/v1/alerts/review": ("since", "goal"),
    "/api/v1/silences": ("all",),
    "/api/v1/backups": ("target", "name", "method", "status"),
}
"""What may be asked behind the `?`."""
BODIES: Final[Mapping[str, tuple[str, ...]]] = {
    "/api/v1/alerts/drill": ("severity",),
    "/api/v1/alerts/retry": ("key",),
    "/api/v1/alerts/test/{channel}": (),
    "/api/v1/alerts/{id}/ack": ("note", "for", "who"),
    "/api/v1/alerts/{id}/resolve": ("note", "who"),
    "/api/v1/alerts/{id}/mark": ("verdict", "who"),
    "/api/v1/silences": ("match", "for", "from", "until", "cron", "why", "who"),
    "/api/v1/silences/{id}": ("who",),
    "/api/v1/backups/{name}/run": ("tag", "who"),
}
"""What whoever changes something may say."""
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "/api/v1/alerts/{id}/resolve": ("note",),
    "/api/v1/alerts/{id}/mark": ("verdict",),
    "/api/v1/silences": ("why",),
}
TOLD_LINE_BY_LINE: Final = frozenset({"/api/v1/alerts/drill", "/api/v1/backups/{name}/run"})
MADE: Final = frozenset({"/api/v1/silences"})
TEXT: Final[Mapping[str, Any]] = {"type": "string"}
MATCH: Final[Mapping[str, Any]] = {
    "type": "object",
    "additionalProperties": {"anyOf": [TEXT, {"type": "array", "items": TEXT}]},
}
PROBLEM_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["type", "status", "title", "detail"],
    "properties": {"type": TEXT, "status": {"type": "integer"}, "title": TEXT, "detail": TEXT},
}


async def description(request: Request) -> Response:
    """This description."""
    return json_reply(described(request.app.routes))


def described(routes: Iterable[BaseRoute]) -> dict[str, Any]:
    """All of the API, as OpenAPI 3.1 has it."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if isinstance(route, Route) and route.path.startswith(PREFIX):
            for method in sorted((route.methods or set()) - {"HEAD"}):
                paths.setdefault(route.path, {})[method.lower()] = _operation(route, method)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Toban", "version": __version__, "license": {"name": "Apache-2.0"}},
        "paths": paths,
        "security": [{}, {"token": []}],  # the token, where `http.metrics_token` is set
        "components": {
            "schemas": {"Problem": PROBLEM_SCHEMA},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: Route, method: str) -> dict[str, Any]:
    reads = method == "GET"
    asked = QUERIES.get(route.path, ()) if reads else ()
    places = [_parameter(name, "path") for name in _PLACE.findall(route.path)]
    told = {} if reads else {"requestBody": _body(route.path)}
    return {
        "summary": (route.endpoint.__doc__ or "").strip().partition("\n")[0],
        "parameters": [*places, *(_parameter(name, "query") for name in asked)],
        **told,
        "responses": _responses(route.path, method),
    }


def _parameter(name: str, where: str) -> dict[str, Any]:
    return {"name": name, "in": where, "required": where == "path", "schema": TEXT}


def _body(path: str) -> dict[str, Any]:
    fields = {name: MATCH if name == "match" else TEXT for name in BODIES[path]}
    schema = {"type": "object", "properties": fields, "additionalProperties": False}
    needed = NEEDED.get(path, ())
    return {"required": bool(needed), "content": {"application/json": {"schema": {**schema, "required": list(needed)}}}}


def _responses(path: str, method: str) -> dict[str, Any]:
    form = LINES if path in TOLD_LINE_BY_LINE else "application/json"
    status = "201" if path in MADE and method == "POST" else "200"
    problem = {"schema": {"$ref": "#/components/schemas/Problem"}}
    return {
        status: {"description": "As the command of the same name prints it with --json.", "content": {form: {}}},
        "default": {"description": "What is wrong, and the mend.", "content": {PROBLEM: problem}},
    }
