"""Backups over HTTP: what is told, what is begun, and who may not."""

import asyncio
import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from backup.errors import BackupError
from daemon.http import backups as surface
from daemon.http.pages import application
from daemon.world import World
from tests.daemon.answers.keeps import FakeKeeping
from tests.daemon.answers.kept import a_record
from tests.daemon.duties import a_world
from tests.waiting import eventually
from toban.backups import BackupRecord, Method, Progress, Status, Trouble
from toban.clock import SystemClock
from toban.secrets import Secret

JSON = {"content-type": "application/json"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Nobody keeps backups."""
    return a_world(tmp_path / "state.db", SystemClock())


async def ask(world: World, method: str, path: str, *, token: Secret | None = None, **told: Any) -> httpx.Response:  # noqa: ANN401 - as httpx takes them
    """One request, without a socket in between."""
    transport = httpx.ASGITransport(application(world, lambda: token))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8432") as client:
        return await client.request(method, f"/api/v1/backups{path}", **told)


async def run(world: World, document: object, name: str = "nightly", **headers: str) -> httpx.Response:
    """Begin one."""
    return await ask(world, "POST", f"/{name}/run", content=json.dumps(document), headers={**JSON, **headers})


def events(answer: httpx.Response) -> list[dict[str, Any]]:
    """Line by line."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.splitlines()]


async def test_backups_are_listed_as_on_the_command_line(world: World) -> None:
    """Narrowed by what the query says."""
    keeping = FakeKeeping(
        found=[
            a_record(),
            a_record("base", method=Method.BASE, target="shop"),
            a_record("late", status=Status.FAILED, reason="no space left", files=()),
        ]
    )
    world.backups = keeping
    for query, names in (
        ("", ["nightly", "base", "late"]),
        ("?target=shop", ["base"]),
        ("?method=dump&name=nightly", ["nightly"]),
        ("?status=failed", ["late"]),
    ):
        found = (await ask(world, "GET", query)).json()
        assert [one["name"] for one in found] == names, query
    (late,) = (await ask(world, "GET", "?name=late")).json()
    assert (late["status"], late["reason"], late["size_bytes"]) == ("failed", "no space left", None)
    assert (await ask(world, "GET", "?method=tape")).status_code == 400


async def test_a_run_tells_its_progress_line_by_line(world: World) -> None:
    """And what has become of it; the daemon knows who asked."""
    progress = Progress(phase="dump", done_bytes=5, total_bytes=10, what="商店")
    keeping = FakeKeeping(ends=a_record(tag="emergency"), progress=(progress,))
    world.backups = keeping
    told = events(await run(world, {"tag": "emergency", "who": "mio"}))
    assert told[0] == {"event": "progress", "phase": "dump", "done_bytes": 5, "total_bytes": 10, "what": "商店"}
    assert (told[-1]["event"], told[-1]["backup"]["tag"]) == ("done", "emergency")
    assert keeping.asked == [("nightly", "emergency", "asked for by mio")]


@pytest.mark.parametrize(
    ("ends", "told"),
    [
        (
            BackupError("pg_dump", "ended with status 1", "look at the log", trouble=Trouble.TOOL),
            {
                "what": "pg_dump",
                "why": "ended with status 1",
                "hint": "look at the log",
                "exit_status": 1,
                "trouble": "tool",
            },
        ),
        (
            BackupError("/srv", "is gone", trouble=Trouble.REPOSITORY),
            {"what": "/srv", "why": "is gone", "hint": "", "exit_status": 3, "trouble": "repository"},
        ),
        (
            RuntimeError("password=geheim"),
            {
                "what": "internal fault",
                "why": "RuntimeError",
                "hint": "the daemon's log has the rest",
                "exit_status": 1,
                "trouble": "internal",
            },
        ),
        (
            asyncio.CancelledError(),
            {
                "what": "backup",
                "why": "was stopped: the daemon is stopping",
                "hint": "",
                "exit_status": 1,
                "trouble": "cancelled",
            },
        ),
    ],
)
async def test_a_run_that_fails_says_why(world: World, ends: BaseException, told: dict[str, Any]) -> None:
    """As its last line; an internal fault tells none of its words, which nobody has looked at."""
    world.backups = FakeKeeping(ends=ends)
    assert events(await run(world, {}))[-1] == {"event": "failed", **told}


async def test_a_run_shows_that_it_lives(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is nothing to tell a line is sent all the same; whoever goes away leaves it running."""
    monkeypatch.setattr(surface, "STILL_AT_IT_SECONDS", 0.01)
    keeping = FakeKeeping()
    waiting: asyncio.Queue[Progress] = asyncio.Queue(1)
    work = keeping.begin("nightly", tag=None, why="", tell=lambda _: None)
    told = surface.lines(work, waiting, world.zone)
    assert [json.loads(await anext(told)) for _ in range(2)] == [{"event": "working"}] * 2
    await told.aclose()
    assert not work.done()
    await asyncio.sleep(0)
    assert {task for task in asyncio.all_tasks() if not task.done()} == {work, asyncio.current_task()}
    work.cancel()


async def test_a_slow_listener_hears_the_newest(world: World) -> None:
    """What is told while nobody listens does not pile up."""
    many = tuple(Progress(phase="dump", done_bytes=place) for place in range(surface.MOST_WAITING_LINES * 3))
    waiting: asyncio.Queue[Progress] = asyncio.Queue(surface.MOST_WAITING_LINES)
    tell = surface._into(waiting)
    for one in many:
        tell(one)
    assert waiting.qsize() == surface.MOST_WAITING_LINES
    assert waiting.get_nowait() == many[-surface.MOST_WAITING_LINES]


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"tag": "../x"}, "is no tag"),
        ({"tag": 7}, "tag: is no text"),
        ({"why": "x"}, "'why' is not known"),
        ({"who": " "}, "a name has 1 to 80 letters"),
    ],
)
async def test_a_wrong_request_is_refused(world: World, document: object, word: str) -> None:
    """Before anything is begun."""
    keeping = world.backups = FakeKeeping(ends=a_record())
    answer = await run(world, document)
    assert (answer.status_code, word in answer.json()["detail"]) == (400, True)
    assert keeping.asked == []


async def test_a_job_that_there_is_not_is_not_found(world: World) -> None:
    """404, with those that there are."""
    world.backups = FakeKeeping()
    answer = await run(world, {}, name="nihgtly")
    assert (answer.status_code, answer.json()["detail"]) == (404, "backup: none is called nihgtly (there are: nightly)")


async def test_where_nobody_keeps_backups_that_is_said(world: World) -> None:
    """503."""
    for answer in (await ask(world, "GET", ""), await run(world, {})):
        assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


async def test_a_disk_that_hangs_holds_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list is given up after a while."""

    class Hanging(FakeKeeping):
        def records(self) -> list[BackupRecord]:
            raise TimeoutError

    world.backups = Hanging()
    answer = await ask(world, "GET", "")
    assert (answer.status_code, answer.json()["detail"]) == (503, "repository: did not answer within 10 s")


async def test_those_who_ask_at_once_share_one_look(world: World) -> None:
    """A disk that hangs takes one of the daemon's threads, however often somebody asks."""
    go, looks = threading.Event(), list[int]()

    class Slow(FakeKeeping):
        def records(self) -> list[BackupRecord]:
            looks.append(1)
            go.wait(30)
            return [a_record()]

    world.backups = Slow()
    transport = httpx.ASGITransport(application(world, lambda: None))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8432") as client:
        asking = [asyncio.create_task(client.get("/api/v1/backups")) for _ in range(5)]
        await eventually(lambda: looks)
        asking[0].cancel()
        await asyncio.wait(asking[:1])
        go.set()
        assert [len((await one).json()) for one in asking[1:]] == [1, 1, 1, 1]
        assert len(looks) == 1
        await client.get("/api/v1/backups")
    assert len(looks) == 2


async def test_only_those_with_the_token_may(world: World) -> None:
    """Both reading and running; and no page from elsewhere."""
    keeping = world.backups = FakeKeeping(ends=a_record())
    secret = Secret("geheim")
    assert (await ask(world, "GET", "", token=secret)).status_code == 401
    assert (await ask(world, "POST", "/nightly/run", token=secret, content="{}", headers=JSON)).status_code == 401
    assert (await run(world, {}, origin="https://evil.example")).status_code == 403
    assert (await ask(world, "POST", "/nightly/run", content="{}")).status_code == 415
    assert keeping.asked == []
    bearer = {"authorization": "Bearer geheim"}
    assert (await ask(world, "GET", "", token=secret, headers=bearer)).status_code == 200
