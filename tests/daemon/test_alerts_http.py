"""Alerts over HTTP: what is told, what may change something, and who may not."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from daemon.http.pages import application
from daemon.world import World
from history.book.book import Book, book_path
from history.book.contract import Page
from tests.alerting.notices import a_notice
from tests.daemon.duties import FakeDuty, a_rung, a_world, some_alerts
from toban.alerts import Delivery, Outcome, Standing
from toban.clock import SystemClock
from toban.secrets import Secret

JSON = {"content-type": "application/json"}
GUARDED_READS = ("alerts", "alerts/stats", "alerts/review", "alerts/dead", "alerts/b10cked0", "silences")
GUARDED_CHANGES = (
    *("alerts/b1/ack", "alerts/b1/resolve", "alerts/b1/mark", "alerts/test/mail", "alerts/drill", "alerts/retry"),
    "silences",
)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """With somebody on duty."""
    clock = SystemClock()
    made = a_world(tmp_path / "state.db", clock)
    made.duty = FakeDuty(clock=clock, book_path=tmp_path, alerts=some_alerts(clock.now()))
    return made


@pytest.fixture
def duty(world: World) -> FakeDuty:
    """Who is on duty."""
    assert isinstance(world.duty, FakeDuty)
    return world.duty


async def ask(world: World, method: str, path: str, *, token: Secret | None = None, **told: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
    """One request, without a socket in between."""
    transport = httpx.ASGITransport(application(world, lambda: token))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8432") as client:
        return await client.request(method, path, **told)


async def post(world: World, path: str, document: object, **told: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
    """A change."""
    return await ask(world, "POST", f"/api/v1/{path}", content=json.dumps(document), headers={**JSON, **told})


async def write(world: World, page: Page) -> None:
    """Into the book."""
    book = await Book.open(book_path(world.state_path), world.clock)
    assert await book.write(page)
    await book.close()


async def test_active_alerts_come_out_of_memory(world: World) -> None:
    """There is no book here at all; symptoms stand behind their cause, and the summary speaks the asked language."""
    found = (await ask(world, "GET", "/api/v1/alerts")).json()
    assert [one["id"] for one in found] == ["b10cked0", "v1ct1m00", "d1skf111"]
    assert found[1]["cause"] == "b10cked0"
    narrowed = await ask(world, "GET", "/api/v1/alerts?severity=warning&target=host&lang=ja")
    assert [one["id"] for one in narrowed.json()] == ["d1skf111"]
    assert "閾値" in narrowed.json()[0]["summary"]


async def test_past_alerts_come_out_of_the_book(world: World, duty: FakeDuty) -> None:
    """By state and span."""
    await write(world, Page(alerts=tuple(duty.alerts)))
    for query, expected in (
        ("state=resolved", 1),
        ("since=1h", 3),
        ("since=3h", 4),
        ("all=", 4),
        ("all&target=host", 1),
    ):
        found = (await ask(world, "GET", f"/api/v1/alerts?{query}")).json()
        assert len(found) == expected, query


async def test_the_rest_of_the_book_is_told(world: World, duty: FakeDuty) -> None:
    """Statistics, review, dead letters, silences and one story."""
    letter = a_notice(alert=duty.alerts[2], standing=Standing.DEAD)
    await write(world, Page(alerts=tuple(duty.alerts), notices=(letter,)))
    stats = (await ask(world, "GET", "/api/v1/alerts/stats?since=3h")).json()
    assert (stats["total"], stats["critical"]) == (4, 1)
    review = (await ask(world, "GET", "/api/v1/alerts/review?since=3h&goal=99%25")).json()
    assert (review["incidents"], review["goal_ratio"], review["targets"]) == (4, 0.99, [])
    assert [one["key"] for one in (await ask(world, "GET", "/api/v1/alerts/dead")).json()] == [letter.key]
    assert (await ask(world, "GET", "/api/v1/silences")).json() == []
    story = (await ask(world, "GET", "/api/v1/alerts/b10")).json()
    assert (story["id"], len(story["notices"]), story["evidence"]) == ("b10cked0", 1, None)


async def test_a_story_that_the_disk_did_not_take_is_told_as_far_as_it_is_known(world: World) -> None:
    """From memory; what nobody knows stays unavailable."""
    story = (await ask(world, "GET", "/api/v1/alerts/b10")).json()
    assert (story["id"], story["transitions"]) == ("b10cked0", [])
    assert (await ask(world, "GET", "/api/v1/alerts/zz")).status_code == 503


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("alerts?severity=awful", "'awful' is none"),
        ("alerts?state=odd", "'odd' is none"),
        ("alerts?lang=xx", "lang: 'xx' is none (there are: en, ja)"),
        ("alerts?servity=critical", "query: 'servity' is not known"),
        ("alerts/stats?since=always", "neither a duration nor a time"),
        ("alerts/review?goal=all", "is no share"),
    ],
)
async def test_a_wrong_question_is_a_problem_document(world: World, path: str, word: str) -> None:
    """400, and why."""
    answer = await ask(world, "GET", f"/api/v1/{path}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert word in answer.json()["detail"]


async def test_acknowledging_answers_with_the_alert(world: World, duty: FakeDuty) -> None:
    """As it has become."""
    answer = await post(world, "alerts/b1/ack", {"note": "on it", "for": "4h", "who": "me"})
    assert (answer.status_code, answer.json()["state"]) == (200, "acknowledged")
    assert duty.asked == [("acknowledge", "b10cked0", "me", "on it", 4 * 3600.0)]
    assert (await post(world, "alerts/v1/ack", {"note": None})).json()["acknowledged_by"] == "api"


async def test_what_the_wire_says_is_cleaned(world: World, duty: FakeDuty) -> None:
    """A name on one line, whoever sends it."""
    answer = await post(world, "alerts/b1/ack", {"who": "me\r\nBcc: you\x1b"})
    assert answer.json()["acknowledged_by"] == r"me\r\nBcc: you\e"


@pytest.mark.parametrize(
    ("path", "document", "status", "word"),
    [
        ("alerts/b1/ack", {"for": "soon"}, 400, "no duration"),
        ("alerts/b1/ack", {"for": 4}, 400, "is no text"),
        ("alerts/b1/ack", {"who": "x" * 81}, 400, "1 to 80 letters"),
        ("alerts/b1/ack", {"note": "x" * 501}, 400, "longer than 500"),
        ("alerts/b1/ack", {"nope": "x"}, 400, "'nope' is not known"),
        ("alerts/b1/ack", ["a"], 400, "no JSON object"),
        ("alerts/zz/ack", {}, 404, "no active alert"),
        ("alerts/%20/ack", {}, 404, "no alert has this id"),
        ("alerts/b1/resolve", {}, 400, "say why"),
        ("alerts/b1/mark", {"verdict": "maybe"}, 400, "no verdict"),
        ("alerts/test/fax", {}, 404, "is not configured"),
        ("alerts/drill", {"severity": "x"}, 400, "'x' is none"),
        ("silences", {"why": "x"}, 400, "how long?"),
        ("silences", {"match": "all", "for": "1h", "why": "x"}, 400, "no object"),
        ("silences", {"match": {"rule": 5}, "for": "1h", "why": "x"}, 400, "no object"),
        ("silences", {"match": {"ru le": "x"}, "for": "1h", "why": "x"}, 400, "is no label"),
    ],
)
async def test_a_wrong_change_is_refused_with_its_reason(
    world: World, duty: FakeDuty, path: str, document: object, status: int, word: str
) -> None:
    """A problem document; nothing has changed."""
    answer = await post(world, path, document)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert word in answer.json()["detail"]
    assert (duty.asked, duty.silenced) == ([], {})


async def test_each_change_reaches_whoever_is_on_duty(world: World, duty: FakeDuty) -> None:
    """Resolve, mark, silence, its end, test, retry."""
    duty.deliveries = {"mail": Delivery(outcome=Outcome.RETRY, detail="greylisted")}
    duty.dead = ["a", "b"]
    assert (await post(world, "alerts/b1/resolve", {"note": "killed", "who": "me"})).json()["state"] == "resolved"
    assert (await post(world, "alerts/v1/mark", {"verdict": "real"})).json() == {"id": "v1ct1m00", "verdict": "real"}
    made = await post(world, "silences", {"match": {"target": ["a", "b"]}, "for": "1h", "why": "x"})
    assert (made.status_code, made.json()["match"]) == (201, {"target": ["a", "b"]})
    ended = await ask(world, "DELETE", "/api/v1/silences/s0")
    assert (ended.json()["ended_by"], ended.json()["standing"]) == ("api", False)
    assert (await post(world, "alerts/test/mail", {})).json()["outcome"] == "retry"
    assert (await post(world, "alerts/retry", {"key": "a"})).json() == {"retried": 1}
    assert duty.dead == ["b"]
    assert (await ask(world, "DELETE", "/api/v1/silences/s9", headers=JSON, content='{"who": "me"}')).status_code == 404


async def test_a_drill_is_told_line_by_line(world: World, duty: FakeDuty) -> None:
    """Each rung as soon as its receipt is there."""
    duty.rungs = (a_rung("mail"), a_rung("slack", level=1, sent=False))
    answer = await post(world, "alerts/drill", {})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [(line["channel"], line["level"], line["ok"]) for line in lines] == [("mail", 0, True), ("slack", 1, False)]
    assert answer.headers["content-type"].startswith("application/x-ndjson")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://127.0.0.1:8432", "sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"origin": "http://127.0.0.1:9999"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://evil.example:8432", "host": "evil.example:8432", "sec-fetch-site": "same-origin"}, 403),
        ({"origin": "http://localhost:8432", "host": "localhost:8432"}, 200),
        ({"content-type": "text/plain"}, 415),
    ],
)
async def test_a_page_from_elsewhere_changes_nothing(
    world: World, duty: FakeDuty, headers: dict[str, str], status: int
) -> None:
    """Neither with a form, nor with a script, nor under a name that was bent to our address."""
    answer = await post(world, "alerts/b1/ack", {}, **headers)
    assert answer.status_code == status
    assert bool(duty.asked) is (status == 200)
    ended = await ask(world, "DELETE", "/api/v1/silences/s9", headers=headers)
    assert ended.status_code == (404 if status == 200 else status)


async def test_a_body_is_bounded_and_json(world: World) -> None:
    """64 kB."""
    assert (await post(world, "alerts/b1/ack", {"note": "x" * 70_000})).status_code == 413
    broken = await ask(world, "POST", "/api/v1/alerts/b1/ack", content="{", headers=JSON)
    assert (broken.status_code, broken.json()["detail"]) == (400, "the body is no JSON")
    deep = await ask(world, "POST", "/api/v1/alerts/b1/ack", content="[" * 60_000, headers=JSON)
    assert deep.status_code == 400
    assert (await ask(world, "POST", "/api/v1/alerts/b1/ack", content="", headers=JSON)).status_code == 200


@pytest.mark.parametrize("path", [*GUARDED_READS, *GUARDED_CHANGES])
async def test_all_of_it_wants_the_token_where_there_is_one(world: World, duty: FakeDuty, path: str) -> None:
    """401 without; links and duty are for those who have no token."""
    token = Secret("s3cret")
    method = "POST" if path in GUARDED_CHANGES else "GET"
    assert (await ask(world, method, f"/api/v1/{path}", token=token, headers=JSON)).status_code == 401
    assert duty.asked == []
    let_in = {**JSON, "authorization": "Bearer s3cret"}
    answer = await ask(world, method, f"/api/v1/{path}", token=token, headers=let_in, content="{}")
    assert answer.status_code != 401


async def test_duty_is_200_only_while_all_of_it_works(world: World, duty: FakeDuty) -> None:
    """Else 503 with the reasons: what another Toban probes, without a token."""
    token = Secret("s3cret")
    fine = await ask(world, "GET", "/api/v1/duty", token=token)
    assert (fine.status_code, fine.json()) == (200, {"ok": True, "reasons": []})
    duty.reasons = ["the outbox is stuck"]
    stuck = await ask(world, "GET", "/api/v1/duty", token=token)
    assert (stuck.status_code, stuck.json()) == (503, {"ok": False, "reasons": ["the outbox is stuck"]})


async def test_runbooks_are_anybodys_to_read(world: World) -> None:
    """What a message links to opens on a telephone, without a token."""
    page = await ask(world, "GET", "/runbooks/cpu", token=Secret("s3cret"))
    assert (page.status_code, page.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert page.text.startswith("# ")
    assert (await ask(world, "GET", "/runbooks/cpuu")).status_code == 404


async def test_nobody_on_duty_is_503(world: World) -> None:
    """Also for what would change something; links say so on a page."""
    world.duty = None
    assert (await ask(world, "GET", "/api/v1/duty")).json()["reasons"] == ["alerting is not started"]
    assert (await post(world, "alerts/b1/ack", {})).status_code == 503
    assert (await ask(world, "GET", "/api/v1/alerts/b1")).status_code == 503
    assert (await ask(world, "GET", "/ack/x")).status_code == 503
