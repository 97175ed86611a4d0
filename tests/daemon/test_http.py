import asyncio
from datetime import UTC
from pathlib import Path
from typing import Any

import httpx
import pytest

from collectors.contract import Kind
from daemon.http.pages import application
from daemon.watch import Watch
from daemon.world import World
from tests.builders import a_collection, a_failure, a_metric, a_sample
from tests.daemon.fakes import FakeCollector, FakeSource
from tests.recorded import recording
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Unit
from toban.secrets import Secret
from toban.statements import StatementUse
from toban.status import Component, Health

BIG = a_metric("toban_big_bytes", unit=Unit.BYTES, labels=("name",))


class Asking:
    """Somebody who asks the application, without a socket in between."""

    def __init__(self, world: World, token: Secret | None = None) -> None:
        self.transport = httpx.ASGITransport(application(world, lambda: token))

    def get(self, path: str, **told: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
        """One request."""
        return asyncio.run(self.ask(path, **told))

    async def ask(self, path: str, **told: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
        """One request, from within a loop."""
        async with httpx.AsyncClient(transport=self.transport, base_url="http://toban") as client:
            return await client.get(path, **told)


@pytest.fixture
def world() -> World:
    """A target `main` with one collector, not tried yet."""
    clock = SystemClock()
    made = World(
        clock=clock,
        zone=UTC,
        state_path=Path("/nonexistent/state.db"),
        gauges=lambda: (),
        components=lambda: (Component(name="loop", state=Health.OK),),
    )
    collector = FakeCollector(FakeSource(), lambda: None, name="activity")
    made.watches["main"] = Watch("main", Kind.POSTGRESQL, FakeSource(), [collector], budget_seconds=0.6, clock=clock)
    return made


@pytest.fixture
def client(world: World) -> Asking:
    """Somebody who asks, without a token."""
    return Asking(world)


def measured(world: World, **told: Any) -> None:  # noqa: ANN401 - as the builder takes them
    """One turn of main's collector."""
    collection = a_collection(*told.pop("samples", ()), **told)
    world.watches["main"].note(collection)
    world.current.accept(collection, expires_at=float("inf"))


def test_healthz_says_that_the_loop_turns(client: Asking) -> None:
    """Whoever answers is alive."""
    assert client.get("/healthz").json() == {"ok": True}


def test_readyz_is_503_until_each_target_was_tried_and_names_those_that_were_not(client: Asking, world: World) -> None:
    """Tried is enough: a target that is down does not keep the daemon from being ready."""
    starting = client.get("/readyz")
    assert starting.status_code == 503
    assert "starting: the targets are not opened yet" in starting.json()["reasons"]
    world.opened = True
    waiting = client.get("/readyz")
    assert (waiting.status_code, waiting.json()) == (503, {"ok": False, "reasons": ["main: not tried yet"]})
    measured(world, failure=a_failure())
    assert client.get("/readyz").status_code == 200


def test_metrics_has_the_values_and_how_the_target_stands(client: Asking, world: World) -> None:
    """pg_up beside the measured values, all with the target's name."""
    measured(world, samples=(a_sample(value=4.0),))
    text = client.get("/metrics").text
    assert 'toban_test_value{target="main"} 4.0' in text
    assert 'pg_up{target="main"} 1.0' in text
    assert 'toban_target_up{kind="postgresql",target="main"} 1.0' in text


def test_a_target_that_goes_down_is_zero_and_its_values_are_gone(client: Asking, world: World) -> None:
    """Zero and nothing else: stale values would look like life."""
    measured(world, samples=(a_sample(value=4.0),))
    measured(world, failure=a_failure(Reason.UNREACHABLE))
    text = client.get("/metrics").text
    assert "toban_test_value" not in text
    assert 'pg_up{target="main"} 0.0' in text
    assert 'pg_scrape_collector_success{collector="activity",target="main"} 0.0' in text


def test_metrics_comes_compressed_to_those_who_take_it(client: Asking, world: World) -> None:
    """Prometheus does; a plain client gets plain text."""
    measured(world, samples=tuple(a_sample(BIG, 1.0, labels=(f"n{n}",)) for n in range(100)))
    packed = client.get("/metrics", headers={"accept-encoding": "gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "toban_big_bytes" in packed.text
    assert "content-encoding" not in client.get("/metrics", headers={"accept-encoding": "identity"}).headers


def test_metrics_speaks_openmetrics_when_asked(client: Asking) -> None:
    """By the accept header, as Prometheus asks."""
    asked = {"accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}
    answer = client.get("/metrics", headers=asked)
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.endswith("# EOF\n")
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")


def test_probe_serves_one_target_alone(client: Asking, world: World) -> None:
    """For those who want an `instance` each; without Toban's own instruments."""
    measured(world, samples=(a_sample(value=4.0),))
    text = client.get("/probe?target=main").text
    assert 'toban_test_value{target="main"} 4.0' in text
    assert "toban_build_info" not in text


def test_probe_of_an_unknown_target_is_a_problem_document(client: Asking) -> None:
    """RFC 9457, naming where to look."""
    answer = client.get("/probe?target=nobody")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json() == {
        "type": "about:blank",
        "status": 404,
        "title": "Not Found",
        "detail": "no target is called 'nobody'; see /api/v1/targets",
    }


def test_status_tells_health_components_targets_and_alerts(client: Asking, world: World) -> None:
    """The fields that the contract names."""
    measured(world, failure=a_failure(Reason.AUTHENTICATION, detail="password refused", hint="check the role"))
    document = client.get("/api/v1/status").json()
    assert document["health"] == "critical"
    assert {"name": "main", "state": "critical", "reason": "authentication: password refused"} in document["components"]
    target = document["targets"][0]
    assert (target["name"], target["kind"], target["up"]) == ("main", "postgresql", False)
    assert target["last_success_at"] is None
    assert document["alerts"] == {"critical": 0, "warning": 0, "info": 0}


def test_targets_tells_each_collectors_reason(client: Asking, world: World) -> None:
    """Why is this empty? Here it stands."""
    measured(world, failure=a_failure(Reason.PRIVILEGE, detail="denied", hint="grant pg_monitor"))
    collector = client.get("/api/v1/targets").json()[0]["collectors"][0]
    assert (collector["reason"], collector["detail"], collector["hint"]) == ("privilege", "denied", "grant pg_monitor")


def test_values_are_found_by_pattern_and_target(client: Asking, world: World) -> None:
    """With labels, unit and moment."""
    measured(world, samples=(a_sample(BIG, 5.0, labels=("x",), taken_at=0.0), a_sample()))
    assert client.get("/api/v1/metrics", params={"match": "toban_big*", "target": "main"}).json() == [
        {
            "name": "toban_big_bytes",
            "labels": {"name": "x", "target": "main"},
            "value": 5.0,
            "taken_at": "1970-01-01T00:00:00+00:00",
            "unit": "bytes",
        }
    ]


@pytest.mark.parametrize(
    "path", ["/metrics", "/probe?target=main", "/api/v1/status", "/api/v1/targets", "/api/v1/metrics"]
)
def test_what_tells_of_the_targets_wants_the_token(world: World, path: str) -> None:
    """Without it 401, with it the page. Liveness is told to anybody."""
    asking = Asking(world, Secret("s3cret"))
    assert asking.get(path).status_code == 401
    assert asking.get(path, headers={"authorization": "Bearer wrong"}).status_code == 401
    assert asking.get(path, headers={"authorization": "Bearer s3cret"}).status_code == 200
    assert asking.get("/healthz").status_code == 200


@pytest.mark.parametrize("brought", ["bearer s3cret", "BEARER  s3cret", "Bearer s3cret"])
def test_the_tokens_scheme_is_read_in_any_case(world: World, brought: str) -> None:
    """As RFC 9110 has it."""
    assert Asking(world, Secret("s3cret")).get("/metrics", headers={"authorization": brought}).status_code == 200


@pytest.mark.parametrize("brought", ["s3cret", "Basic s3cret", "Bearer", "Bearers3cret", "Bearer s3cret x"])
def test_a_token_brought_otherwise_is_none(world: World, brought: str) -> None:
    """Nor is half of one."""
    answer = Asking(world, Secret("s3cret")).get("/metrics", headers={"authorization": brought})
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")


def test_a_token_may_be_of_any_letters(world: World) -> None:
    """They come as UTF-8."""
    brought = {"authorization": "Bearer 秘密".encode()}
    assert Asking(world, Secret("秘密")).get("/metrics", headers=brought).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/metrics", "/api/v1/locks", "/api/v1/advice/indexes"])
def test_a_target_that_there_is_not_is_no_empty_answer(client: Asking, path: str) -> None:
    """Whoever mistypes a name must not read that nothing is blocked."""
    answer = client.get(f"{path}?target=nobody")
    assert (answer.status_code, answer.json()["detail"]) == (404, "no target is called 'nobody'; see /api/v1/targets")
    assert client.get(f"{path}?target=main").status_code == 200


def test_what_stands_under_tobans_own_name_can_be_asked_for(client: Asking, world: World) -> None:
    """Though no target is called so."""
    world.current.accept(a_collection(a_sample(value=4.0), target="toban"), expires_at=float("inf"))
    (found,) = client.get("/api/v1/metrics?target=toban").json()
    assert (found["name"], found["value"]) == ("toban_test_value", 4.0)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/metrics", "GET, HEAD"), ("/api/v1/silences", "GET, HEAD, POST"), ("/api/v1/alerts/x/ack", "POST")],
)
def test_what_may_be_done_at_an_address_is_said_whole(world: World, path: str, allowed: str) -> None:
    """Also where one address has several routes."""
    transport = httpx.ASGITransport(application(world, lambda: None))

    async def put() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://toban") as client:
            return await client.put(path)

    answer = asyncio.run(put())
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["detail"] == f"PUT is not for this address; there is {allowed}"


@pytest.mark.parametrize(
    ("accepted", "packed"), [("gzip;q=0", False), ("br, GZIP;q=0.5", True), ("gzip;q=0.000, *", False), ("*", False)]
)
def test_metrics_comes_compressed_to_nobody_who_refuses_it(client: Asking, accepted: str, *, packed: bool) -> None:
    """A weight of nought is a refusal."""
    answer = client.get("/metrics", headers={"accept-encoding": accepted})
    assert (answer.headers.get("content-encoding") == "gzip") is packed


def test_metrics_minds_no_words_of_its_scraper(client: Asking) -> None:
    """Who scraped another exporter before sends its parameters along."""
    assert client.get("/metrics?collect[]=activity").status_code == 200


def test_an_unknown_path_is_a_problem_document(client: Asking) -> None:
    """Also where no route is; it leads to those that there are."""
    document = client.get("/nowhere").json()
    assert (document["status"], document["title"]) == (404, "Not Found")
    assert document["detail"].endswith("/api/v1/openapi.json describes those of the API")


def test_values_tell_of_toban_itself_too(client: Asking, world: World) -> None:
    """`toban metrics pg_up` finds what `/metrics` has, with the unit that its name promises."""
    measured(world)
    (up,) = client.get("/api/v1/metrics?match=pg_up").json()
    assert (up["labels"], up["value"], up["unit"]) == ({"target": "main"}, 1.0, "")
    (memory,) = client.get("/api/v1/metrics?match=process_resident_memory_bytes").json()
    assert memory["unit"] == "bytes"
    assert client.get("/api/v1/metrics?match=process_*&target=main").json() == []


@pytest.mark.parametrize(
    ("path", "status", "word"),
    [
        ("/api/v1/history?metric=nothing", 404, "no series matches"),
        ("/api/v1/history?since=yesterday", 400, "neither a duration nor a time"),
        ("/api/v1/history?top=0", 400, "no number from 1 to 1000"),
        (f"/api/v1/history?top={'9' * 5000}", 400, "no number from 1 to 1000"),
        ("/api/v1/history?since=0001-01-01T00:00&metric=nothing", 404, "no series matches"),
        ("/api/v1/history?metrics=pg_up", 400, "query: 'metrics' is not known (there are: metric, since, target, top)"),
        ("/api/v1/targets?target=main", 400, "query: 'target' is not known (there is nothing to choose)"),
        ("/api/v1/statements?by=beauty", 400, "no order"),
        ("/api/v1/statements?top=many", 400, "no number from 1 to 1000"),
    ],
)
async def test_a_wrong_question_to_the_past_is_a_problem_document(
    world: World, tmp_path: Path, path: str, status: int, word: str
) -> None:
    """One clear sentence, never a fault of the server's."""
    world.state_path = tmp_path / "state.db"
    async with recording(world.state_path, SystemClock()) as history:
        history.offer(a_collection(a_sample(a_metric(kept=True))))
    answer = await Asking(world).ask(path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert word in answer.json()["detail"]


async def test_history_and_statements_are_told_as_on_the_command_line(world: World, tmp_path: Path) -> None:
    """Points and sums out of the state file, while the daemon writes it."""
    world.state_path = tmp_path / "state.db"
    clock = SystemClock()
    use = StatementUse(
        queryid="7",
        datname="shop",
        usename="app",
        interval_seconds=60.0,
        calls=2.0,
        seconds=3.0,
        rows=4.0,
        hit_blocks=1.0,
        read_blocks=1.0,
        temp_blocks=0.0,
    )
    async with recording(world.state_path, clock) as history:
        sample = a_sample(a_metric(kept=True), 5.0, taken_at=clock.now() - 1)
        history.offer(a_collection(sample, taken_at=clock.now() - 1, rows=(use,)))
    (series,) = (await Asking(world).ask("/api/v1/history?metric=toban_test*&target=main")).json()
    assert (series["name"], series["last"], len(series["points"])) == ("toban_test_value", 5.0, 1)
    (statement,) = (await Asking(world).ask("/api/v1/statements?since=1h&by=mean&top=5")).json()
    assert (statement["calls"], statement["mean_seconds"], statement["cache_hit_ratio"]) == (2.0, 1.5, 0.5)


async def test_a_fault_of_our_own_is_a_problem_document_too(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named by its kind alone: its words may quote anything."""

    def stumble(_: World) -> None:
        raise ValueError("hunter2")

    monkeypatch.setattr(World, "status", stumble)
    transport = httpx.ASGITransport(application(world, lambda: None), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://toban") as client:
        answer = await client.get("/api/v1/status")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert (answer.json()["title"], "ValueError" in answer.json()["detail"]) == ("Internal Server Error", True)
    assert "hunter2" not in answer.text


async def test_a_missing_state_is_503(world: World) -> None:
    """What cannot be reached now may be there later."""
    answer = await Asking(world).ask("/api/v1/history")
    assert (answer.status_code, answer.json()["title"]) == (503, "Service Unavailable")


def test_stats_of_a_target_are_told_though_the_history_is_away(world: World, client: Asking) -> None:
    """The slow statements are missing with a reason; the rest is of now."""
    samples = a_sample(a_metric("toban_pg_cache_hit_ratio"), 0.5)
    world.current.accept(a_collection(samples, collector="databases"), expires_at=float("inf"))
    document = client.get("/api/v1/targets/main/stats").json()
    assert (document["name"], document["kind"], document["cache_hit_ratio"]) == ("main", "postgresql", 0.5)
    assert document["slow_queries"] == []
    assert "state.db" in document["slow_queries_reason"]


def test_stats_of_an_unknown_target_are_not_found(client: Asking) -> None:
    """With the way to those that there are."""
    answer = client.get("/api/v1/targets/nobody/stats")
    assert answer.status_code == 404
    assert answer.json()["detail"] == "no target is called 'nobody'; see /api/v1/targets"
