"""What the reading commands say, asked of a running daemon and without one."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from daemon.answers import asking
from history.book.contract import Page
from tests.alerting.notices import an_alert
from tests.builders import a_collection, a_failure, a_gap, a_metric, a_sample
from tests.daemon.commanding import Ended, toban
from tests.daemon.duties import written
from tests.daemon.serving import Serving, configured, serving
from tests.recorded import recording
from tests.waiting import eventually
from toban.alerts import Key, Severity, State
from toban.clock import SystemClock
from toban.outcomes import Reason
from toban.samples import Unit
from toban.statements import StatementText, StatementUse
from toban.status import Component, Health

pytestmark = pytest.mark.integration
WRITTEN = """
node: db1
timezone: Asia/Tokyo
language: en
state: sqlite://{home}/state.db
http: {{listen: null}}
targets: [{{name: ledger, kind: sqlite, path: "{home}/ledger.db"}}]
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration with one target, whose file is missing; measuring takes no second."""
    monkeypatch.setattr(asking, "INTERVAL_SECONDS", 0.01)
    path = tmp_path / "config.yaml"
    path.write_text(WRITTEN.format(home=tmp_path))
    return path


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Serving]:
    """A daemon with the same state."""
    ledger = {"name": "ledger", "kind": "sqlite", "path": f"{tmp_path}/ledger.db"}
    async with serving(configured(tmp_path, ledger, node="db1", http={"listen": None})) as started:
        await eventually(lambda: not started.service.world.untried())
        yield started


async def said(config: Path, *words: str) -> Ended:
    """A command, while the daemon goes on in this loop."""
    return await asyncio.to_thread(toban, "-c", config, *words)


def turn(daemon: Serving, collector: str, **told: Any) -> None:  # noqa: ANN401 - as the builder takes them
    """One turn at the ledger."""
    collection = a_collection(*told.pop("samples", ()), target="ledger", collector=collector, **told)
    daemon.service.world.watches["ledger"].note(collection)
    daemon.service.world.current.accept(collection, float("inf"))


async def quiet(daemon: Serving) -> None:
    """No turn comes in between any more."""
    for watch in daemon.service.world.watches.values():
        await watch.stop()


async def test_status_of_a_target_that_is_down_says_why_and_the_mend(daemon: Serving, config: Path) -> None:
    """Exit status 1, from the daemon's own knowledge."""
    ended = await said(config, "status")
    assert ended.status == 1
    assert ended.out.startswith("Toban on db1: CRITICAL, something needs a hand now\n")
    assert "not running" not in ended.out
    assert "not_found" in ended.out
    assert "hint: " in ended.out
    assert "no active alerts" in ended.out


async def test_status_of_a_target_that_misses_something_is_a_warning(daemon: Serving, config: Path) -> None:
    """What is missing and what was left out, each on its line, without obeying what a server wrote."""
    await quiet(daemon)
    turn(daemon, "sqlite", gaps=(a_gap("tables [bold]", Reason.LOCKED, count=2),))
    turn(daemon, "sqlite_check", failure=a_failure(Reason.CORRUPT, detail="[red]page\x1b[2J 3", hint="restore it"))
    turn(daemon, "sqlite", gaps=(a_gap("tables [bold]", Reason.LOCKED, count=2),))
    ended = await said(config, "status")
    assert ended.status == 1
    assert "partial" in ended.out
    assert r"ledger/sqlite_check: corrupt: [red]page\e[2J 3; hint: restore it" in ended.out
    assert "ledger/sqlite: tables [bold]: locked (2)" in ended.out


async def test_status_that_is_fine_is_zero_and_speaks_japanese_when_asked(daemon: Serving, config: Path) -> None:
    """Each target up."""
    await quiet(daemon)
    for name in daemon.service.world.watches["ledger"].ledgers:
        turn(daemon, name)
    ended = await said(config, "status")
    assert (ended.status, ended.err) == (0, "")
    assert "everything answers" in ended.out
    assert (await asyncio.to_thread(toban, "-c", config, "--lang", "ja", "status")).out.startswith("Toban(db1): 正常")


async def test_status_tells_what_ails_the_daemon_itself_and_the_alerts(daemon: Serving, config: Path) -> None:
    """Its own parts have no row in the table."""
    await quiet(daemon)
    watch = daemon.service.world.watches["host"]
    watch._opened_at = watch.tried_at = watch.pairs[0].due_at = -1e9
    ended = await said(config, "status")
    assert "loop: not tried: host" in ended.out


async def test_status_says_what_of_its_own_makes_it_worse(
    daemon: Serving, config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A damaged backup, messages that are stuck: whoever reads "critical" is told why."""
    await quiet(daemon)
    found = [
        Component(name="alerts", state=Health.WARNING, reason="messages are stuck: [pager]"),
        Component(name="backups", state=Health.CRITICAL, reason="20261121T020000Z-nightly is damaged"),
    ]
    monkeypatch.setattr(daemon.service.world, "components", lambda: found)
    ended = await said(config, "status")
    assert "alerts: messages are stuck: [pager]\n" in ended.out
    assert "backups: 20261121T020000Z-nightly is damaged\n" in ended.out


def test_status_without_a_daemon_is_as_bad_as_what_fired_last(tmp_path: Path, config: Path) -> None:
    """The book knows; nobody has said since that it is over."""
    config.write_text(f"node: db1\nstate: sqlite://{tmp_path}/state.db\nhttp: {{listen: null}}\n")
    alert = an_alert(severity=Severity.CRITICAL, state=State.FIRING, key=Key("disk_full", "host"))
    written(tmp_path / "state.db", Page(alerts=(alert,)))
    ended = toban("-c", config, "status", "--json")
    document = json.loads(ended.out)
    assert (ended.status, document["health"], document["alerts"]["critical"]) == (1, "critical", 1)
    assert "alerts: disk_full" in toban("-c", config, "status").out


async def test_status_of_a_target_that_nobody_has_tried_yet_waits(daemon: Serving, config: Path) -> None:
    """Neither up nor down is said of it."""
    await quiet(daemon)
    daemon.service.world.watches["ledger"].up = None
    ended = await said(config, "status")
    assert re.search(r"ledger\s+SQLite\s+not tried yet\s+never", ended.out)


async def test_status_as_json_has_the_fields_of_the_contract(daemon: Serving, config: Path) -> None:
    """And whether a daemon answered."""
    document = json.loads((await said(config, "status", "--json")).out)
    assert set(document) >= {"health", "components", "targets", "alerts"}
    assert document["daemon"] is True
    assert [target["name"] for target in document["targets"]] == ["host", "ledger"]


def test_status_without_a_daemon_measures_by_itself(config: Path) -> None:
    """And says so; a target never reached has no last success."""
    ended = toban("-c", config, "status")
    assert ended.status == 1
    assert "the daemon is not running; measured once, just now" in ended.out
    assert "never" in ended.out
    assert json.loads(toban("-c", config, "status", "--json").out)["daemon"] is False


async def test_metrics_are_found_by_pattern_and_target(daemon: Serving, config: Path) -> None:
    """Values with their unit, labels as they are, empty ones left out."""
    await quiet(daemon)
    size = a_metric("toban_big_bytes", unit=Unit.BYTES, labels=("name", "none"))
    turn(daemon, "sqlite", samples=(a_sample(size, 2048.0, labels=("[bold]é\n", "")),))
    ended = await said(config, "metrics", "toban_big*", "--target", "ledger")
    row = ended.out.rstrip().splitlines()[-1]
    assert row.split()[:4] == ["toban_big_bytes", r"name=[bold]é\n", "target=ledger", "2"]
    (document,) = json.loads((await said(config, "metrics", "toban_big*", "--json")).out)
    assert set(document) == {"name", "labels", "value", "taken_at", "unit"}
    assert (document["value"], document["unit"], document["labels"]["target"]) == (2048.0, "bytes", "ledger")


def test_metrics_that_match_nothing_are_exit_status_one(config: Path) -> None:
    """One line; as JSON an empty list."""
    nothing = toban("-c", config, "metrics", "nothing_*")
    assert (nothing.status, nothing.out) == (1, "")
    assert nothing.err == "toban: metrics: no metric matches nothing_*\n"
    empty = toban("-c", config, "metrics", "nothing_*", "--json")
    assert (empty.status, json.loads(empty.out)) == (1, [])


def test_metrics_of_a_target_that_does_not_exist_name_those_that_do(config: Path) -> None:
    """Exit status 1: no such item."""
    ended = toban("-c", config, "metrics", "--target", "nobody")
    assert ended.status == 1
    assert ended.err == "toban: target nobody: no target has this name (there are: host, ledger)\n"


def test_metrics_without_a_daemon_are_measured(config: Path) -> None:
    """The host at least has something to say."""
    ended = toban("-c", config, "metrics", "toban_host_cpus")
    assert ended.status == 0
    assert "toban_host_cpus" in ended.out


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[None]:
    """A local socket behind which somebody hangs up without a word."""
    with closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(str(tmp_path / "state.sock"))
        listening.listen()

        def hang_up() -> None:
            for _ in range(2):  # whether somebody listens, and then the question
                listening.accept()[0].close()

        thread = Thread(target=hang_up)
        thread.start()
        yield
        thread.join(60)


@pytest.mark.usefixtures("deaf")
def test_a_daemon_that_does_not_answer_is_exit_status_three(config: Path) -> None:
    """It runs, but says nothing: measuring beside it would hide that."""
    ended = toban("-c", config, "status")
    assert ended.status == 3
    assert ended.err.startswith("toban: the daemon: R")  # ReadError or RemoteProtocolError, as it falls
    assert "on its local socket (is the daemon under heavy load? its log tells)" in ended.err
    assert ended.err.count("\n") == 1


def test_a_socket_that_a_killed_daemon_left_behind_is_no_daemon(config: Path, tmp_path: Path) -> None:
    """Nobody listens: measured without it."""
    with closing(socket.socket(socket.AF_UNIX)) as left:
        left.bind(str(tmp_path / "state.sock"))
    assert "not running" in toban("-c", config, "status").out


def a_use(queryid: str, *, calls: float = 4, seconds: float = 2, hit: float = 3) -> StatementUse:
    """What one statement cost in a minute."""
    return StatementUse(
        queryid=queryid,
        datname="shop",
        usename="app",
        interval_seconds=60,
        calls=calls,
        seconds=seconds,
        rows=9,
        hit_blocks=hit,
        read_blocks=0,
        temp_blocks=0,
    )


async def remember(home: Path, *rows: object) -> None:
    """A state with these rows, just now."""
    clock = SystemClock()
    async with recording(home / "state.db", clock) as history:
        history.offer(a_collection(collector="statements", rows=rows, taken_at=clock.now() - 60))


def test_statements_are_ordered_as_asked_and_show_their_text(config: Path, tmp_path: Path) -> None:
    """By total or mean time or calls; an unknown text and the rest are named as such."""
    text = StatementText(queryid="7", text="SELECT  *\nFROM sale WHERE id = $1")
    rare, often = a_use("7", calls=1, seconds=5), a_use("other", calls=900, seconds=9)
    asyncio.run(remember(tmp_path, text, rare, often, a_use("9", calls=2, seconds=1, hit=0)))
    by_total = toban("-c", config, "statements").out
    assert by_total.index("SELECT * FROM sale") > by_total.index("900")
    by_mean = toban("-c", config, "statements", "--by", "mean", "--top", "1")
    assert "SELECT * FROM sale WHERE id = $1" in by_mean.out
    assert "900" not in by_mean.out
    found = json.loads(toban("-c", config, "statements", "--by", "calls", "--json").out)
    assert [statement["queryid"] for statement in found] == ["other", "9", "7"]
    assert found[1]["cache_hit_ratio"] is None


def test_statements_of_an_idle_span_are_none_and_that_is_fine(config: Path, tmp_path: Path) -> None:
    """Exit status 0, and a sentence."""
    asyncio.run(remember(tmp_path))
    ended = toban("-c", config, "statements")
    assert (ended.status, ended.out) == (0, "no statements in this span\n")


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--by", "cost"), "--by: 'cost' is no order"),
        (("--since", "yesterday"), "--since: 'yesterday' is neither a duration nor a time"),
    ],
)
def test_statements_refuse_what_makes_no_sense(config: Path, words: tuple[str, ...], what: str) -> None:
    """In one line, with what would."""
    ended = toban("-c", config, "statements", *words)
    assert ended.status == 2
    assert ended.err.startswith(f"toban: {what}")
    assert ended.err.count("\n") == 1


def test_without_a_configured_state_the_services_one_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell's own place is another than the service's: `toban statements` after a session of the service."""
    asyncio.run(remember(tmp_path, a_use("7")))
    monkeypatch.setattr(asking, "state_to_read", lambda *_: tmp_path / "state.db")
    config = tmp_path / "config.yaml"
    config.write_text("targets: []\n")
    ended = toban("-c", config, "statements", "--json", XDG_STATE_HOME=str(tmp_path / "own"))
    assert [statement["queryid"] for statement in json.loads(ended.out)] == ["7"]


async def test_status_leaves_out_what_nobody_need_mend_unless_asked(daemon: Serving, config: Path) -> None:
    """A version that has it not, a history that is young: counted, and shown by --all."""
    await quiet(daemon)
    turn(daemon, "sqlite", gaps=(a_gap("its log", Reason.VERSION), a_gap("its tables", Reason.LOCKED)))
    turn(daemon, "sqlite_check", failure=a_failure(Reason.VERSION, detail="no such thing here"))
    short, whole = (await said(config, "status")).out, (await said(config, "status", "--all")).out
    assert "its tables" in short
    assert "its log" not in short
    assert "no such thing here" not in short
    assert re.search(r"ledger\s+SQLite\s+up ", short)
    assert "still to be learned: " in short
    assert "its log" in whole
    assert "no such thing here" in whole
    assert "still to be learned" not in whole
