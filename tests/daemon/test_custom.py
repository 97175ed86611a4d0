"""Somebody's own SQL under the daemon: what is wrong with an entry hurts that entry alone."""

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from collectors.custom.collector import Custom
from collectors.custom.settings import CustomSettings
from collectors.sqlite.file import SqliteFile
from daemon.pacing import Spending
from daemon.turns import Pair
from tests.builders import ManualClock
from tests.clusters import Cluster
from tests.collectors.postgresql.sources import a_server
from tests.daemon.running import running
from tests.sqlite_files import a_database
from tests.waiting import eventually_sync
from toban.clock import Clock, SystemClock
from toban.outcomes import Reason

HALVES = "select id % 2 as half, count(*) as count from trade group by 1"
ENDLESS = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) as count from n"


def a_pair(path: Path, sql: str, clock: Clock, **given: object) -> Pair:
    """One entry at a file, as the daemon turns it."""
    entry = CustomSettings.model_validate({"name": "own", "target": "ledger", "sql": sql, "every": 60.0, **given})
    collector = Custom(SqliteFile(path), entry, clock)
    return Pair("ledger", collector, lane=asyncio.Lock(), spending=Spending(0.6), clock=clock)


async def test_entry_that_keeps_failing_is_tried_later_and_later(tmp_path: Path, manual_clock: ManualClock) -> None:
    """With the reason for it; mended, it is back at its cadence."""
    path = a_database(tmp_path / "ledger.db")
    pair = a_pair(path, "select count(*) as count from trades", manual_clock)
    turns = [await pair.turn() for _ in range(5)]
    assert [turned.due.reason for turned in turns] == [f"failed {n} times: query" for n in range(1, 6)]
    pauses = [turned.due.at - manual_clock.monotonic() for turned in turns]
    assert pauses[1:] == [120.0, 240.0, 480.0, 600.0]
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE trades (id)")
    mended = await pair.turn()
    assert mended.collection.failure is None
    assert (mended.due.reason, pair.failures) == ("cadence", 0)


async def test_entry_that_is_slow_times_out_before_its_turn_does(tmp_path: Path) -> None:
    """So the file is not called deaf."""
    pair = a_pair(a_database(tmp_path / "ledger.db"), ENDLESS, SystemClock(), timeout=0.3)
    turned = await pair.turn()
    assert turned.collection.failure is not None
    assert turned.collection.failure.reason is Reason.TIMEOUT


@pytest.mark.integration
async def test_slow_entry_stretches_nobodys_cadence(postgres16: Cluster) -> None:
    """Its time is its author's decision, not part of the budget."""
    clock = SystemClock()
    server = a_server(postgres16)
    given = {"name": "own", "target": "main", "sql": "select pg_sleep(60)", "timeout": 0.5}
    collector = Custom(server, CustomSettings.model_validate(given), clock)
    spending = Spending(0.3)
    pair = Pair("main", collector, lane=asyncio.Lock(), spending=spending, clock=clock)
    for _ in range(2):
        turned = await pair.turn()
        assert turned.collection.failure is not None
        assert turned.collection.failure.reason is Reason.TIMEOUT
    assert server.asked_seconds > 0.6
    assert spending.stretch(clock.monotonic()) == 1.0
    await server.close()


@pytest.mark.integration
def test_bad_entries_leave_the_target_up_and_the_others_measured(tmp_path: Path) -> None:
    """`/metrics` has the good one's values, and `toban status` says what is wrong with each of the others."""
    path = a_database(tmp_path / "ledger.db")
    configuration = f"""
targets: [{{name: ledger, kind: sqlite, path: {path}}}]
collect:
  sqlite: {{every: 200ms}}
  custom:
    - {{name: good, target: ledger, every: 200ms, labels: [half], sql: "{HALVES}"}}
    - {{name: wrong, target: ledger, every: 200ms, sql: "select count(*) as count from trades where note = 'hunter2'"}}
    - {{name: slow, target: ledger, every: 200ms, timeout: 200ms, sql: "{ENDLESS}"}}
    - {{name: odd, target: ledger, every: 200ms, sql: "select 'hunter2' as note, 1 as one"}}
    - {{name: idle, target: ledger, enabled: false, sql: "select 1 as one"}}
"""
    with running(tmp_path, configuration) as daemon:
        for collector in ("custom:wrong", "custom:slow"):
            errors = f'toban_collect_errors_total{{collector="{collector}",target="ledger"}}'
            eventually_sync(daemon.brings(errors, beyond=0))
        for series in (
            'toban_custom_good_count{half="0",target="ledger"}',
            'toban_custom_good_count{half="1",target="ledger"}',
        ):
            eventually_sync(daemon.brings(series))
            assert daemon.value(series) == 125.0
        eventually_sync(daemon.brings('toban_custom_odd_one{target="ledger"}'))
        assert "# TYPE toban_custom_good_count untyped" in daemon.metrics()  # else promtool has something to say
        assert daemon.value('toban_target_up{kind="sqlite",target="ledger"}') == 1.0
        assert daemon.value('toban_sqlite_size_bytes{target="ledger"}') == path.stat().st_size
        told = daemon.toban("status")
        assert "hunter2" not in told.stdout + told.stderr + daemon.metrics() + daemon.log_path.read_text()
        (ledger,) = [t for t in json.loads(daemon.toban("status", "--json").stdout)["targets"] if t["name"] == "ledger"]
    assert ledger["up"]
    collectors = {collector["name"]: collector for collector in ledger["collectors"]}
    reasons = {name: c["reason"] for name, c in collectors.items() if c["reason"]}
    assert reasons == {"custom:wrong": "query", "custom:slow": "timeout"}
    assert collectors["custom:wrong"]["detail"] == "no such table: trades (line 1, column 31)"
    assert [gap.partition(",")[0] for gap in collectors["custom:odd"]["gaps"]] == ["column note: query (1)"]
    assert "custom:idle" not in collectors
    assert (
        "ledger/custom:wrong: the configured SQL does not work: no such table: trades (line 1, column 31)"
        in told.stdout
    )
