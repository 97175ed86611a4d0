"""`/api/v1/openapi.json`: what it says is what the routes do."""

from datetime import UTC
from pathlib import Path

import httpx
import pytest
from starlette.datastructures import QueryParams
from starlette.routing import Route

from daemon.http import described
from daemon.http.pages import application
from daemon.http.replies import PROBLEM
from daemon.world import World
from tests.builders import a_collection, a_metric, a_sample
from tests.recorded import recording
from toban.clock import SystemClock
from toban.secrets import Secret


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nothing is watched; the state may come."""
    return World(
        clock=SystemClock(), zone=UTC, state_path=tmp_path / "state.db", gauges=lambda: (), components=lambda: ()
    )


async def ask(world: World, method: str, path: str, *, token: Secret | None = None, **told: object) -> httpx.Response:
    """One request."""
    transport = httpx.ASGITransport(application(world, lambda: token), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://toban") as client:
        return await client.request(method, path, json=told or None)


async def test_every_route_of_the_api_is_described_and_no_other(world: World) -> None:
    """Each with a sentence; a path's places are its parameters."""
    answer = await ask(world, "GET", described.PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    paths = answer.json()["paths"]
    routes = [one for one in application(world, lambda: None).routes if isinstance(one, Route)]
    there = {(one.path, method.lower()) for one in routes for method in one.methods or () if method != "HEAD"}
    told = {(path, method) for path, operations in paths.items() for method in operations}
    assert told == {(path, method) for path, method in there if path.startswith("/api/v1/")}
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"].endswith(".")
            places = [one["name"] for one in operation["parameters"] if one["in"] == "path"]
            assert all(f"{{{name}}}" in path for name in places)
            assert path.count("{") == len(places)


@pytest.mark.parametrize("path", sorted(described.BODIES))
async def test_what_may_be_said_is_what_is_described(world: World, path: str) -> None:
    """Whoever says something else is told all that there is."""
    methods = {one.path: one.methods for one in application(world, lambda: None).routes if isinstance(one, Route)}
    method = "DELETE" if methods[path] == {"DELETE"} else "POST"
    answer = await ask(world, method, path.replace("{", "").replace("}", ""), bogus="x")
    known = [name for name in described.BODIES[path] if name != "match"]
    assert (answer.status_code, answer.headers["content-type"]) == (400, PROBLEM)
    assert answer.json()["detail"].endswith(f"(there are: {', '.join(known) or 'none'})")


async def test_nothing_is_looked_for_behind_the_question_mark_that_is_not_described(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what every endpoint asks of its query."""
    looked_for: set[str] = set()

    def get(query: QueryParams, name: str, default: str | None = None) -> str | None:
        looked_for.add(name)
        return query[name] if name in query.keys() else default  # noqa: SIM118 - `in` is not to be heard

    def contains(query: QueryParams, name: object) -> bool:
        looked_for.add(str(name))
        return name in query.keys()  # noqa: SIM118 - likewise

    monkeypatch.setattr(QueryParams, "get", get)
    monkeypatch.setattr(QueryParams, "__contains__", contains)
    async with recording(world.state_path, SystemClock()) as history:
        history.offer(a_collection(a_sample(a_metric(kept=True))))
    for path, operations in described.described(application(world, lambda: None).routes)["paths"].items():
        if "get" in operations:
            looked_for.clear()
            await ask(world, "GET", path.replace("{about}", "indexes").replace("{id}", "0000000a"))
            assert looked_for <= {*described.QUERIES.get(path, ())}, path


async def test_the_description_wants_the_token_too(world: World) -> None:
    """It is the API's, and like all of it."""
    assert (await ask(world, "GET", described.PATH, token=Secret("s3cret"))).status_code == 401
