"""What the demonstration shows, and the load that there is to see."""

import asyncio
import os
import random
import re
import socket
from contextlib import closing
from pathlib import Path

import asyncpg
import pytest

from daemon.demo import staging
from daemon.demo.load import dawdle, prepare, report, sell
from daemon.demo.scene import Scene, seen
from tests.builders import a_collection, a_failure, a_gap, a_metric, a_sample
from tests.clusters import Cluster
from tests.daemon.serving import configured, serving
from tests.ports import HANDED_OUT
from tests.waiting import eventually
from toban.errors import UnavailableError
from toban.language import Language
from toban.outcomes import Reason
from toban.samples import Type, Unit
from toban.statements import RunningQuery, StatementText, StatementUse

pytestmark = pytest.mark.integration
COMMITS = a_metric("pg_stat_database_xact_commit", type=Type.COUNTER, labels=("datname",), compatible=True)


async def test_once_says_what_did_not_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit status 1, and the collectors by name; interrupted, nothing is judged."""
    monkeypatch.setattr(staging, "ONCE_WITHIN_SECONDS", 1.5)
    down = {"name": "down", "kind": "sqlite", "path": "/nowhere/there.db"}
    async with serving(configured(tmp_path, down)) as started:
        stop = asyncio.Event()
        assert await staging._measured(started.service, stop, Language.EN) == 1
        assert "collectors without values: down/sqlite" in capsys.readouterr().out
        stop.set()
        assert await staging._measured(started.service, stop, Language.EN) == staging.INTERRUPTED


def test_what_may_be_well_at_the_next_turn_is_waited_for() -> None:
    """A collector that is locked out or slow once does not fail the demonstration; one without a privilege does."""
    passing = (Reason.TIMEOUT, Reason.LOCKED, Reason.STUCK, Reason.UNREACHABLE)
    assert [staging._stays(a_failure(reason)) for reason in (*passing, Reason.PRIVILEGE)] == [False] * 4 + [True]
    assert not staging._stays(None)


def test_port_of_the_server_is_none_that_others_are_given_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is taken seconds after it was chosen; where every one is taken, that is said."""
    assert staging._free_port() < int(HANDED_OUT.read_text().split()[0])
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        monkeypatch.setattr(staging, "PORTS", [taken.getsockname()[1]])
        with pytest.raises(UnavailableError, match="no free port"):
            staging._free_port()


def use(queryid: str, seconds: float) -> StatementUse:
    """Two calls."""
    return StatementUse(
        queryid=queryid,
        datname="shop",
        usename="toban",
        interval_seconds=5,
        calls=2,
        seconds=seconds,
        rows=1,
        hit_blocks=1,
        read_blocks=0,
        temp_blocks=0,
    )


async def test_scene_shows_rates_slow_statements_and_who_is_at_work(tmp_path: Path) -> None:
    """Put together from two collections; what is not there yet is a dash."""
    async with serving(configured(tmp_path)) as started:
        scene, current = Scene(started.service.world, Language.EN), started.service.world.current
        assert "connections: –" in scene.line()  # noqa: RUF001 - the dash of an empty cell
        for at, total in ((0.0, 100.0), (0.0, 100.0), (10.0, 150.0)):
            samples = [a_sample(COMMITS, total / 2, labels=(name,), taken_at=at) for name in ("shop", "postgres")]
            current.accept(a_collection(*samples, collector="databases", taken_at=at), float("inf"))
            scene.view()
        size = a_metric("pg_database_size_bytes", unit=Unit.BYTES, labels=("datname",))
        sizes = [a_sample(size, value, labels=(name,)) for name, value in (("postgres", 1.0), ("shop", 2048.0))]
        current.accept(a_collection(*sizes, collector="sizes"), float("inf"))
        assert "transactions per second: 5 " in scene.line()
        assert "2 kB" in scene.line()
        query = RunningQuery(
            pid=7,
            datname="shop",
            usename="app",
            application_name="demo batch",
            state="active",
            queryid="1",
            query_seconds=None,
            transaction_seconds=3,
            wait_event="PgSleep",
        )
        rows = (use("1", 4.0), use("2", 8.0), use("other", 99.0), StatementText(queryid="1", text="SELECT\n[1]"), query)
        current.accept(a_collection(collector="statements", rows=rows), float("inf"))
        shown = printed(scene)
        assert shown.index(" 4 s") < shown.index("SELECT [1]")
        assert re.search(r"7\s+demo batch\s+–\s+PgSleep", shown)  # noqa: RUF001 - the same dash
        assert "99" not in shown


def printed(scene: Scene) -> str:
    """The view as text."""
    from rich.console import Console  # noqa: PLC0415 - for this alone

    console = Console(width=160, record=True, quiet=False, file=open(os.devnull, "w"))  # noqa: PTH123, SIM115 - rich's sink
    with console.file:
        console.print(scene.view())
        return console.export_text()


async def test_seen_names_what_brought_nothing_and_what_was_left_out(tmp_path: Path) -> None:
    """The table at the end."""
    async with serving(configured(tmp_path, only=("cpu", "memory", "disks"))) as started:
        watch = started.service.world.watches["host"]
        _, missing = seen(started.service.world, Language.EN)
        assert missing == ["host/cpu", "host/memory", "host/disks"]
        await eventually(lambda: all(ledger.last for ledger in watch.ledgers.values()))
        await watch.stop()
        watch.note(a_collection(target="host", collector="cpu", gaps=(a_gap(),)))
        watch.note(a_collection(target="host", collector="memory", failure=a_failure(Reason.PRIVILEGE)))
        table, missing = seen(started.service.world, Language.EN)
        assert missing == ["host/memory"]
        assert set(table.columns[-1].cells) >= {"relations (locked)", "privilege: connection refused"}


class Hurried(random.Random):
    """Chance that never waits."""

    def uniform(self, a: float, b: float) -> float:
        """No time at all."""
        return 0.0


async def test_shop_sells_reports_and_dawdles(postgres15: Cluster, unique_database: str) -> None:
    """Each kind of work once, on a real server; now and then a customer leaves."""
    dsn, chance = postgres15.dsn(unique_database), Hurried(1)
    await prepare(dsn)
    connection = await asyncpg.connect(dsn, timeout=60)
    try:
        before = await connection.fetchval("SELECT count(*) FROM sale")
        for _ in range(150):
            await sell(connection, chance)
        sold = await connection.fetchval("SELECT count(*) FROM sale") - before
        assert 120 < sold < 150
        await report(connection, chance)
        await dawdle(connection, chance)
        assert not connection.is_in_transaction()
    finally:
        await connection.close(timeout=60)
