"""`toban metrics --describe`: what a metric is, and why it is empty."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.builders import a_collection, a_failure, a_gap
from tests.daemon.commanding import Ended, toban
from tests.daemon.serving import Serving, configured, serving
from tests.waiting import eventually
from toban.outcomes import Reason

pytestmark = pytest.mark.integration
LEDGER = "targets: [{{name: ledger, kind: sqlite, path: {home}/ledger.db}}]"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration with a target that is not there."""
    path = tmp_path / "config.yaml"
    path.write_text(f"state: sqlite://{tmp_path}/state.db\nlanguage: en\n{LEDGER.format(home=tmp_path)}\n")
    return path


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Serving]:
    """A daemon with the same state, whose ledger takes no turns any more."""
    configuration = configured(
        tmp_path, {"name": "ledger", "kind": "sqlite", "path": f"{tmp_path}/ledger.db"}, http={"listen": None}
    )
    async with serving(configuration) as started:
        await eventually(lambda: not started.service.world.untried())
        await started.service.world.watches["ledger"].stop()
        yield started


async def described(config: Path, name: str, *words: str) -> Ended:
    """The command, while the daemon goes on in this loop."""
    return await asyncio.to_thread(toban, "-c", config, *words, "metrics", "--describe", name)


def test_describe_tells_the_declaration_without_a_daemon(config: Path) -> None:
    """What, unit, labels, where from, and that nothing can be said of now."""
    ended = toban("-c", config, "metrics", "--describe", "pg_cache_hit_ratio")
    assert ended.status == 0
    assert "shared buffers" in ended.out
    assert "unit: ratio" in ended.out
    assert "labels: datname, target" in ended.out
    assert "collectors/postgresql/queries/databases" in ended.out
    assert "the daemon is not running" in ended.out


def test_describe_as_json_has_every_field(config: Path) -> None:
    """For programs."""
    ended = toban("-c", config, "metrics", "--describe", "toban_sqlite_size_bytes", "--json")
    document = json.loads(ended.out)
    assert set(document) == {
        *("name", "help", "type", "unit", "labels", "kept", "collector", "kind", "every", "purpose", "sql", "targets"),
    }
    assert (document["kind"], document["every"], document["kept"]) == ("sqlite", "1m", True)
    assert document["targets"] is None


def test_describe_of_nothing_names_the_nearest(config: Path) -> None:
    """Exit status 1 and one line."""
    ended = toban("-c", config, "metrics", "--describe", "pg_cache_hit")
    assert (ended.status, ended.out) == (1, "")
    assert ended.err == "toban: metric pg_cache_hit: no metric has this name (did you mean pg_cache_hit_ratio?)\n"


def test_describe_of_a_setting_tells_its_collector(config: Path) -> None:
    """Only the server knows its name."""
    ended = toban("-c", config, "metrics", "--describe", "pg_settings_work_mem_bytes")
    assert "collector: settings" in ended.out


async def test_describe_says_why_a_target_that_is_down_has_none(daemon: Serving, config: Path) -> None:
    """The reason, its detail and the mend."""
    failure = a_failure(Reason.NOT_FOUND, detail="no such file", hint="check `path`")
    turn = a_collection(target="ledger", collector="sqlite", failure=failure)
    daemon.service.world.watches["ledger"].note(turn)
    ended = await described(config, "toban_sqlite_size_bytes")
    assert "no such file; check `path`" in ended.out


async def test_describe_tells_a_gap_and_an_empty_measurement_apart(daemon: Serving, config: Path) -> None:
    """What was left out has its reason; what simply is not there says so, in Japanese too."""
    watch = daemon.service.world.watches["ledger"]
    watch.note(a_collection(target="ledger", collector="sqlite", gaps=(a_gap(reason=Reason.LOCKED),)))
    assert "locked" in (await described(config, "toban_sqlite_size_bytes")).out
    watch.note(a_collection(target="ledger", collector="sqlite"))
    assert "there is nothing of the kind (yet)" in (await described(config, "toban_sqlite_size_bytes")).out
    assert "該当なし" in (await described(config, "toban_sqlite_size_bytes", "--lang", "ja")).out


async def test_describe_of_a_kind_that_nobody_configured_says_so(daemon: Serving, config: Path) -> None:
    """No target, no value, and no fault."""
    assert "no target of kind postgresql is configured" in (await described(config, "pg_cache_hit_ratio")).out


async def test_describe_counts_for_each_entry_of_a_list_its_own(tmp_path: Path, config: Path) -> None:
    """Two folders are two entries of one collector at one target; one of them has nothing."""
    entries = [{"name": name, "path": f"{tmp_path}/{name}", "every": "100ms"} for name in ("here", "gone")]
    (tmp_path / "here").mkdir()
    async with serving(configured(tmp_path, http={"listen": None}, collect={"files": entries})) as started:
        ledgers = started.service.world.watches["host"].ledgers
        await eventually(lambda: ledgers["files:here"].last and ledgers["files:gone"].last)
        ended = await asyncio.to_thread(toban, "-c", config, "metrics", "--describe", "toban_files", "--json")
    found = {one["collector"]: one["series"] for one in json.loads(ended.out)["targets"]}
    assert (found["files:here"], found["files:gone"]) == (1, 0)


async def test_describe_counts_what_the_daemon_tells_by_itself(daemon: Serving, config: Path) -> None:
    """Of each target, or of its own; what there is none of yet says so, and no target is missed for it."""

    async def told(name: str) -> list[tuple[str, str, int]]:
        ended = await asyncio.to_thread(toban, "-c", config, "metrics", "--describe", name, "--json")
        targets = json.loads(ended.out)["targets"]
        return [(one["target"], one["collector"], one["series"]) for one in targets]

    assert await told("toban_target_up") == [("host", "toban", 1), ("ledger", "toban", 1)]
    assert await told("toban_outbox_pending") == [("toban", "toban", 1)]
    assert await told("toban_backup_size_bytes") == [("toban", "backups", 0)]
    assert "there is nothing of the kind (yet)" in (await described(config, "toban_backup_size_bytes")).out


async def test_describe_counts_the_values_there_are(daemon: Serving, config: Path) -> None:
    """One processor count of the host."""
    ended = await asyncio.to_thread(toban, "-c", config, "metrics", "--describe", "toban_host_cpus", "--json")
    (host,) = json.loads(ended.out)["targets"]
    assert (host["target"], host["collector"], host["series"], host["reason"]) == ("host", "cpu", 1, "")
