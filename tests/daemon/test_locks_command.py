"""`toban locks` as people and programs see it, with a daemon and without, and the same over HTTP."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from daemon.answers import asking
from daemon.answers.locks import _show
from daemon.documents_locks import lock_documents
from daemon.watch import Ledger
from tests.builders import a_collection, a_failure
from tests.clusters import Cluster
from tests.conftest import NewCluster
from tests.daemon.commanding import Ended, toban
from tests.daemon.serving import configured, serving
from tests.waiting import eventually
from toban.language import Language
from toban.locks import LockSession
from toban.outcomes import Reason

pytestmark = pytest.mark.integration
WRITTEN = """
node: db1
language: en
state: sqlite://{home}/state.db
http: {{listen: null}}
targets: [{{name: main, kind: postgresql, dsn: "{dsn}"}}, {{name: ledger, kind: sqlite, path: "{home}/ledger.db"}}]
collect: {{locks: {{enabled: false}}}}
"""


@pytest.fixture
def cluster(new_cluster: NewCluster) -> Cluster:
    """A server with room for prepared transactions, and a table."""
    made = new_cluster(settings={"max_prepared_transactions": "2"})
    made.psql("create table accounts (id int, owner text)")
    return made


@pytest.fixture
def config(tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration in which the daemon would not look at locks; a command measures them all the same."""
    monkeypatch.setattr(asking, "INTERVAL_SECONDS", 0.01)
    path = tmp_path / "config.yaml"
    path.write_text(WRITTEN.format(home=tmp_path, dsn=cluster.dsn()))
    return path


@pytest.fixture
async def blocked(cluster: Cluster) -> AsyncIterator[tuple[int, int]]:
    """Two sessions, the second of which waits for the first; their pids."""
    first, second = [await cluster.connect(server_settings={"application_name": name}) for name in ("web", "a [b]")]
    await first.execute("begin; lock table accounts")
    task = asyncio.create_task(second.execute("update accounts set owner = 'my secret'"))
    pids = first.get_server_pid(), second.get_server_pid()
    await eventually(lambda: cluster.psql(f"select {pids[0]} = any(pg_blocking_pids({pids[1]}))") == "t")
    yield pids
    first.terminate()
    second.terminate()
    await asyncio.wait([task])


async def said(config: Path, *words: str, **environment: str) -> Ended:
    """A command, while the sessions go on in this loop."""
    return await asyncio.to_thread(toban, "-c", config, *words, **environment)


def rewrite(config: Path, text: str, by: str) -> None:
    """Change a piece of the configuration, which is there."""
    before = config.read_text()
    assert text in before
    config.write_text(before.replace(text, by))


async def test_locks_are_drawn_root_first_with_what_would_end_them(config: Path, blocked: tuple[int, int]) -> None:
    """The root, what waits below it, and the statement that nobody runs but a person."""
    ended = await said(config, "locks")
    root, waiter = blocked
    lines = ended.out.splitlines()
    assert (ended.status, ended.err) == (0, "")
    assert lines[0] == "main: waiting 1, root blockers 1"
    assert lines[1].startswith(f"└── pid {root}, postgres@postgres web, idle in transaction for ")
    assert lines[1].endswith(", holds up 1")
    assert lines[2].split() == ["begin;", "lock", "table", "accounts"]
    assert lines[3].startswith(f"    └── pid {waiter}, postgres@postgres a [b], waits ")
    assert lines[3].endswith(" for RowExclusiveLock on public.accounts")
    assert lines[4].split() == ["update", "accounts", "set", "owner", "=", "?"]
    assert lines[5].startswith("This would end the root blockers")
    assert lines[6:] == ["-- main", f"SELECT pg_terminate_backend({root});"]


async def test_locks_as_json_is_a_flat_list(config: Path, blocked: tuple[int, int]) -> None:
    """Each node with all that is known, parents first; no literal in it."""
    ended = await said(config, "locks", "--json", "--target", "main")
    root, waiter = json.loads(ended.out)
    assert ended.status == 0
    assert (root["target"], root["pid"], root["blocked_by"], root["root"], root["depth"]) == (
        "main",
        blocked[0],
        [],
        True,
        0,
    )
    assert root["run"] == f"SELECT pg_terminate_backend({blocked[0]});"
    assert {key: waiter[key] for key in ("pid", "blocked_by", "root", "roots", "parent", "depth", "run")} == {
        "pid": blocked[1],
        "blocked_by": [blocked[0]],
        "root": False,
        "roots": [blocked[0]],
        "parent": blocked[0],
        "depth": 1,
        "run": "",
    }
    assert (waiter["database"], waiter["user"], waiter["application"]) == ("postgres", "postgres", "a [b]")
    assert (waiter["state"], waiter["lock"], waiter["relation"]) == ("active", "RowExclusiveLock", "public.accounts")
    assert waiter["wait_seconds"] > 0
    assert waiter["query"] == "update accounts set owner = ?"
    assert "secret" not in ended.out


async def test_locks_in_japanese(config: Path, blocked: tuple[int, int]) -> None:
    """The same tree in the other language."""
    ended = await asyncio.to_thread(toban, "-c", config, "--lang", "ja", "locks")
    assert ended.out.startswith("main: 待機 1、根本のブロッカー 1\n")
    assert f"pid {blocked[1]}" in ended.out


async def test_prepared_root_is_rolled_back_in_its_database(config: Path, cluster: Cluster) -> None:
    """It has no pid to terminate; its name is quoted."""
    guest, waiter = await cluster.connect(), await cluster.connect()
    await guest.execute("begin; lock table accounts; prepare transaction 'it''s kept'")
    task = asyncio.create_task(waiter.execute("select * from accounts"))
    await eventually(lambda: cluster.psql(f"select 0 = any(pg_blocking_pids({waiter.get_server_pid()}))") == "t")
    ended = await said(config, "locks")
    assert "── prepared transaction it's kept, postgres@postgres, prepared for " in ended.out
    assert ended.out.splitlines()[-2:] == ["-- main, in database postgres", "ROLLBACK PREPARED 'it''s kept';"]
    cluster.psql("rollback prepared 'it''s kept'")
    await task
    for session in (guest, waiter):
        await session.close()


async def test_locks_without_waiters_say_so(config: Path) -> None:
    """A clear sentence, and an empty list."""
    ended = await said(config, "locks")
    assert (ended.status, ended.out) == (0, "nobody waits for a lock\n")
    assert json.loads((await said(config, "locks", "--json")).out) == []


async def test_locks_of_a_server_that_is_down_are_unknown(config: Path, cluster: Cluster) -> None:
    """Nobody waits, or nobody knows: told apart by the exit status, and in words."""
    cluster.stop()
    ended = await said(config, "locks", "--json")
    assert (ended.status, ended.out) == (3, "")
    assert ended.err.startswith("toban: target main: unreachable: ")


async def test_locks_of_one_server_of_two_are_shown(config: Path, cluster: Cluster, blocked: tuple[int, int]) -> None:
    """What could be asked is drawn, what could not is named, and the exit status is 1."""
    gone = '{name: gone, kind: postgresql, dsn: "postgresql://127.0.0.1:1/x"}'
    rewrite(config, "targets: [", f"targets: [{gone}, ")
    ended = await said(config, "locks")
    assert ended.status == 1
    assert ended.out.startswith("gone: could not be asked: unreachable: ")
    assert f"pid {blocked[0]}" in ended.out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--target", "ledger"), "toban: target ledger: no PostgreSQL target has this name (there are: main)\n"),
        (("--target", "x"), "toban: target x: no PostgreSQL target has this name (there are: main)\n"),
    ],
)
async def test_locks_of_no_server_are_a_mistake(config: Path, words: tuple[str, ...], error: str) -> None:
    """Only PostgreSQL has such locks."""
    ended = await said(config, "locks", *words)
    assert (ended.status, ended.err) == (1, error)


async def test_locks_where_no_server_is_watched_say_so(config: Path, cluster: Cluster) -> None:
    """Nothing to ask."""
    rewrite(config, f'{{name: main, kind: postgresql, dsn: "{cluster.dsn()}"}}, ', "")
    ended = await said(config, "locks")
    assert (ended.status, ended.err) == (1, "toban: locks: no target is a PostgreSQL server (there are: none)\n")


async def test_locks_are_the_daemons_where_one_runs(
    tmp_path: Path, config: Path, cluster: Cluster, blocked: tuple[int, int]
) -> None:
    """The command asks it; over HTTP it answers the same. Where the daemon does not look, that is said."""
    only: dict[str, Any] = {"locks": {"every": "100ms"}}
    target = {"name": "main", "kind": "postgresql", "dsn": cluster.dsn()}
    async with serving(configured(tmp_path, target, collect=only)) as daemon:
        found = await eventually(lambda: _served(daemon))
        assert [node["pid"] for node in found] == list(blocked)
        assert (await daemon.get("/api/v1/locks?target=other")).status_code == 404
        ended = await said(config, "locks", "--json")
        assert [node["pid"] for node in json.loads(ended.out)] == list(blocked)
        new = '{name: new, kind: postgresql, dsn: "postgresql://127.0.0.1:1/x"}, '
        rewrite(config, "targets: [", f"targets: [{new}")
        ended = await said(config, "locks")  # written since the daemon read its configuration: nobody knows
        assert (ended.status, ended.out.splitlines()[0]) == (1, "new: could not be asked: not tried yet")
        rewrite(config, new, "")
    off = configured(tmp_path, target, collect={"locks": {"enabled": False}})
    async with serving(off) as daemon:
        await eventually(daemon.ready)
        ended = await said(config, "locks")
        assert (ended.status, ended.err) == (3, "toban: target main: `collect: locks:` is switched off\n")


async def _served(daemon: Any) -> Any:  # noqa: ANN401 - what JSON can carry
    return (await daemon.get("/api/v1/locks")).json()


def a_session(pid: int, *blocked_by: str) -> LockSession:
    """A session, which waits when somebody blocks it."""
    told = dict.fromkeys(
        ("prepared", "database", "user", "application", "state", "wait_event", "relation", "query"), ""
    )
    return LockSession(
        key=str(pid),
        pid=pid,
        blocked_by=blocked_by,
        wait_seconds=2.0 if blocked_by else None,
        transaction_seconds=None,
        lock_type="advisory",
        lock_mode="ExclusiveLock",
        **told,
    )


def test_documents_of_two_targets_do_not_mix() -> None:
    """The same pid at two targets is two sessions."""
    rows = [("b", a_session(1)), ("a", a_session(2, "1")), ("b", a_session(2, "1")), ("a", a_session(1))]
    found = [(node["target"], node["pid"], node["depth"], node["victims"]) for node in lock_documents(rows)]
    assert found == [("a", 1, 0, 1), ("a", 2, 1, 0), ("b", 1, 0, 1), ("b", 2, 1, 0)]


def test_replay_of_a_standby_is_not_to_be_ended() -> None:
    """It is no session: pg_terminate_backend would refuse; who waits for it has to wait, or to be pointed elsewhere."""
    replay = replace(a_session(7), application="startup")
    named = replace(a_session(8), application="startup", user="app")
    nodes = lock_documents([("main", one) for one in (replay, named, a_session(9, "7"))])
    assert {node["pid"]: node["run"] for node in nodes} == {7: "", 8: "SELECT pg_terminate_backend(8);", 9: ""}


def test_several_prepared_blockers_are_told_apart() -> None:
    """None of them has a pid: each goes by its name."""
    first, second = (replace(a_session(0), key=f"prepared {name}", prepared=name) for name in ("a", "b"))
    nodes = lock_documents([("main", one) for one in (first, second, a_session(9, "prepared a", "prepared b"))])
    (waiter,) = [node for node in nodes if node["pid"] == 9]
    assert (waiter["blocked_by"], waiter["blocked_by_prepared"]) == ([0, 0], ["a", "b"])
    said = io.StringIO()
    _show(nodes, {}, Language.EN, Console(file=said, width=200))
    assert "also waits for a" in said.getvalue()


async def test_ring_and_several_blockers_are_said(tmp_path: Path, config: Path, cluster: Cluster) -> None:
    """Who waits in a ring, and who waits for more than the one above it; before the first turn nothing is known."""
    target = {"name": "main", "kind": "postgresql", "dsn": cluster.dsn()}
    async with serving(configured(tmp_path, target, collect={"locks": {"every": "1h"}})) as daemon:
        await eventually(daemon.ready)
        watch = daemon.service.world.watches["main"]
        await watch.stop()
        watch.up, watch.failure, watch.ledgers["locks"] = True, None, Ledger()  # whatever its first turns brought
        assert (await said(config, "locks")).err == "toban: target main: not tried yet\n"
        rows = (a_session(1, "2"), a_session(2, "1"), a_session(3), a_session(4, "2", "3"))
        collection = a_collection(collector="locks", rows=rows)
        watch.note(collection)
        daemon.service.world.current.accept(collection, float("inf"))
        out = (await said(config, "locks")).out
        assert "pid 2, @, waits 2 s for ExclusiveLock on advisory, waits in a ring, holds up 2\n" in out
        assert "pid 4, @, waits 2 s for ExclusiveLock on advisory, also waits for 3\n" in out
        failed = a_collection(collector="locks", failure=a_failure(Reason.TIMEOUT, detail="too slow"))
        watch.note(failed)
        assert (await said(config, "locks")).err == "toban: target main: timeout: too slow\n"
