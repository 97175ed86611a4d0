"""`toban events` and `/api/v1/events` tell what happened to people and to programs."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.builders import ManualClock, a_collection
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.daemon.commanding import Ended, toban
from tests.daemon.running import Daemon, running
from tests.daemon.serving import configured, serving
from tests.recorded import recording
from tests.waiting import eventually, eventually_sync
from toban.clock import SystemClock
from toban.events import Event, EventKind

PENDING = EventKind.RESTART_PENDING


async def fill(state: Path) -> None:
    """Three events within the last hour, and one of a month ago."""
    clock = ManualClock(now=SystemClock().now() - 30 * 86400)
    async with recording(state, clock) as history:
        for subject, kind, pause in (
            ("jit", EventKind.SETTING_CHANGED, 30 * 86400 - 3000),
            ("work_mem", EventKind.SETTING_CHANGED, 60),
            ("port", PENDING, 60),
            ("/etc/[b]\x1b.conf", EventKind.FILE_CHANGED, 60),
        ):
            event = Event(kind=kind, subject=subject, before="4MB", after="8MB", detail="/a.conf:1", at=clock.now())
            target = "files" if kind is EventKind.FILE_CHANGED else "main"
            history.offer(a_collection(target=target, taken_at=clock.now(), rows=(event,)))
            clock.advance(pause)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose state file remembers some events."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{tmp_path}/state.db\ntimezone: Asia/Tokyo\nlanguage: en\n")
    asyncio.run(fill(tmp_path / "state.db"))
    return path


def events(config: Path, *words: str, lang: str = "en") -> Ended:
    """The command."""
    return toban("-c", config, "--lang", lang, "events", *words)


def told(config: Path, *words: str) -> list[str]:
    """What the events of an answer are about."""
    return [one["subject"] for one in json.loads(events(config, *words, "--json").out)]


def test_events_are_a_table_the_latest_first(config: Path) -> None:
    """When, at which target, what, to what, both values and where; markup and escapes are shown, not obeyed."""
    ended = events(config)
    assert ended.status == 0
    assert "What happened since " in ended.out
    rows = [line.split() for line in ended.out.splitlines() if "+09:00" in line][1:]
    assert [row[1] for row in rows] == ["files", "main", "main"]
    assert rows[0][2:] == ["file", "changed", r"/etc/[b]\e.conf", "4MB", "8MB", "/a.conf:1"]
    assert rows[1][2:] == ["waits", "for", "a", "restart", "port", "4MB", "8MB", "/a.conf:1"]


def test_events_speak_japanese(config: Path) -> None:
    """Title, headings and kinds."""
    ended = events(config, lang="ja")
    assert "以降の出来事" in ended.out
    assert "再起動待ち" in ended.out


def test_events_for_programs_have_every_field(config: Path) -> None:
    """Times in ISO 8601 with the configured zone."""
    one = json.loads(events(config, "--json", "--kind", "restart_pending").out)[0]
    assert one.pop("at").endswith("+09:00")
    assert one == {
        "target": "main",
        "kind": "restart_pending",
        "subject": "port",
        "before": "4MB",
        "after": "8MB",
        "detail": "/a.conf:1",
    }


def test_events_are_narrowed_by_each_option(config: Path) -> None:
    """Span, target, kind and number."""
    assert told(config) == ["/etc/[b]\x1b.conf", "port", "work_mem"]
    assert told(config, "--since", "31d")[-1] == "jit"
    assert told(config, "--target", "main") == ["port", "work_mem"]
    assert told(config, "--kind", "setting_changed") == ["work_mem"]
    assert told(config, "--top", "1") == ["/etc/[b]\x1b.conf"]


def test_events_say_when_there_are_more(config: Path) -> None:
    """On standard error, so that a program's input stays what it is."""
    assert "only the latest 2" in events(config, "--top", "2").err
    assert events(config, "--top", "3").err == ""


def test_no_events_are_fine(config: Path) -> None:
    """A sentence for people, an empty list for programs, status 0."""
    assert events(config, "--since", "1s") == Ended(status=0, out="nothing happened in this span\n", err="")
    assert told(config, "--since", "1s") == []


def test_events_of_a_target_that_there_is_not_are_no_empty_answer(config: Path) -> None:
    """A name mistyped at night must not look like a quiet server."""
    ended = events(config, "--target", "nobody")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err.startswith("toban: target nobody: no target has this name (there are: host")


@pytest.mark.parametrize(
    ("words", "status", "line"),
    [
        (("--kind", "explosion"), 2, "toban: --kind: 'explosion' is no kind of event"),
        (("--since", "yesterday"), 2, "toban: --since: 'yesterday' is neither"),
    ],
)
def test_events_refuse_what_they_do_not_know(config: Path, words: tuple[str, ...], status: int, line: str) -> None:
    """In one line that names what there is."""
    ended = events(config, *words)
    assert ended.status == status
    assert ended.err.startswith(line)


def test_events_without_a_state_file_are_unavailable(tmp_path: Path) -> None:
    """Status 3."""
    config = tmp_path / "config.yaml"
    config.write_text(f"state: sqlite://{tmp_path}/state.db\n")
    assert events(config).status == 3


async def test_events_are_answered_over_http(config: Path) -> None:
    """The same documents, with the same options; a kind that there is none of is a problem document."""
    async with serving(configured(config.parent)) as started:
        answer = (await started.get("/api/v1/events?target=main&top=1")).json()
        assert [one["subject"] for one in answer] == ["port"]
        assert len((await started.get("/api/v1/events?since=31d&kind=setting_changed")).json()) == 2
        refused = await started.get("/api/v1/events?kind=explosion")
        assert (refused.status_code, refused.headers["content-type"]) == (400, "application/problem+json")


def configuration(cluster: Cluster) -> str:
    """The server under watch, its settings looked at every tenth of a second."""
    dsn = cluster.dsn()
    return f'targets:\n  - {{name: main, kind: postgresql, dsn: "{dsn}"}}\ncollect: {{settings: {{every: 100ms}}}}\n'


def heard(daemon: Daemon) -> list[tuple[str, str, str, str]]:
    """What the running daemon answers."""
    answer = httpx.get(f"{daemon.url}/api/v1/events", timeout=60).json()
    return [(one["kind"], one["subject"], one["before"], one["after"]) for one in answer]


def remembers(daemon: Daemon) -> bool:
    """Whether the state file has what the settings were."""
    try:
        with closing(sqlite3.connect(f"file:{daemon.home}/state.db?mode=ro", uri=True)) as connection:
            return bool(connection.execute("SELECT count(*) FROM memory WHERE name = 'settings'").fetchone()[0])
    except sqlite3.OperationalError:
        return False  # not made yet


@pytest.mark.integration
def test_changes_are_told_once_across_restarts_of_the_daemon(new_cluster: NewCluster, tmp_path: Path) -> None:
    """Made while it runs, while it is down, and after a SIGKILL: each is there exactly once."""
    cluster = new_cluster()
    expected: list[tuple[str, str, str, str]] = []

    def change(name: str, value: str, before: str) -> None:
        cluster.psql(f"ALTER SYSTEM SET {name} = '{value}'")
        cluster.psql("SELECT pg_reload_conf()")
        eventually_sync(lambda: cluster.psql(f"SHOW {name}") == value)
        expected.insert(0, ("setting_changed", name, before, value))

    with running(tmp_path, configuration(cluster)) as daemon:
        eventually_sync(lambda: remembers(daemon))
        change("work_mem", "8MB", "4MB")
        eventually_sync(lambda: heard(daemon) == expected)
        daemon.stop()
        change("random_page_cost", "1.1", "4")
        daemon.start()
        eventually_sync(lambda: daemon.metrics() != "" and heard(daemon) == expected)
        daemon.kill()
        change("temp_buffers", "16MB", "8MB")
        daemon.start()
        eventually_sync(lambda: daemon.metrics() != "" and heard(daemon) == expected)
        assert daemon.value('toban_pg_settings_changes_total{target="main"}') == 3
        assert daemon.toban("events", "--kind", "setting_changed").stdout.count("setting changed") == 3


@pytest.mark.integration
async def test_a_target_that_a_reload_has_changed_goes_on_where_it_was(new_cluster: NewCluster, tmp_path: Path) -> None:
    """A new watch, and its memory may still wait to be written: nothing is told that has not happened."""
    cluster = new_cluster()
    target = {"name": "main", "kind": "postgresql", "dsn": cluster.dsn()}
    often = {"settings": {"every": "100ms"}}
    async with serving(configured(tmp_path, target, collect=often)) as started:
        seen = "toban_pg_settings_changes_total"

        async def shown() -> bool:
            return f'{seen}{{target="main"}} 1.0' in await started.page()

        await eventually(lambda: started.service.world.watches["main"].ledgers["settings"].last_success_at)
        await cluster.execute("ALTER SYSTEM SET work_mem = '8MB'")
        await cluster.execute("SELECT pg_reload_conf()")
        await eventually(shown)
        await started.reload(configured(tmp_path, {**target, "labels": {"env": "test"}}, collect=often))
        await eventually(shown)
        assert await started.service.history.flush()
        assert len((await started.get("/api/v1/events")).json()) == 1
