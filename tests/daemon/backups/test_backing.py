"""Backups in the running daemon: told of, asked for, taken over at a reload, ended at the stop."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from backup.engines.contract import Making
from backup.errors import BackupError
from backup.settings import Backups
from daemon.backups import backing as backing_module
from daemon.backups.backing import Backing
from daemon.configuration.targets import PostgresqlTarget
from daemon.configuration.tree import Configuration
from tests.backup.keeper.records import a_job
from tests.conftest import NewCluster
from tests.daemon.backups.conftest import RANDOM, NewStage
from tests.waiting import eventually
from toban.backups import Status, Trouble
from toban.clock import SystemClock
from toban.errors import NotFoundError
from toban.events import EventKind
from toban.status import Health

if TYPE_CHECKING:
    from toban.samples import Collection


async def test_what_there_is_is_told_at_once_and_after_each_run(new_stage: NewStage) -> None:
    """Of each target, and of the repository."""
    stage = await new_stage()
    await eventually(lambda: stage.values("toban").get("repository_up") == 1.0)
    assert "size_bytes" not in stage.values()
    record = await stage.backing.begin("nightly", tag="t", why="a test", tell=lambda _: None)
    assert (record.status, record.manifest.tag) == (Status.OK, "t")
    await eventually(lambda: stage.values().get("size_bytes") == 9.0)
    assert [one.id for one in await asyncio.to_thread(stage.backing.records)] == [record.id]
    found = stage.backing.component()
    assert found is not None
    assert (found.name, found.state) == ("backups", Health.OK)


async def test_run_that_is_asked_for_at_the_very_start_finds_its_repository(new_stage: NewStage) -> None:
    """It is made once, whoever comes first."""
    stage = await new_stage()
    record = await stage.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    await eventually(lambda: stage.values("toban").get("repository_up") == 1.0)
    assert record.status is Status.OK


async def test_failure_is_an_event_with_its_sentence(new_stage: NewStage) -> None:
    """What an alert tells beside the number, and `toban events` weeks later."""
    stage = await new_stage()
    stage.engine.acts = [BackupError("role toban", "may not read t", trouble=Trouble.PRIVILEGE)]
    with pytest.raises(BackupError):
        await stage.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    await eventually(lambda: stage.events)
    (event,) = stage.events
    assert (event.kind, event.subject, event.after) == (
        EventKind.BACKUP_FAILED,
        "nightly",
        "role toban: may not read t",
    )
    await eventually(lambda: stage.values().get("failures") == 1.0)
    found = stage.backing.component()
    assert found is not None
    assert (found.state, found.reason) == (Health.WARNING, "nightly failed: role toban: may not read t")


async def test_reload_takes_other_jobs_over_and_leaves_what_runs(new_stage: NewStage) -> None:
    """A backup under way goes on as it was begun, though its job is gone."""
    stage = await new_stage()
    begun, go = asyncio.Event(), asyncio.Event()

    async def slow(_: Making) -> None:
        begun.set()
        await go.wait()

    stage.engine.acts = [slow]
    task = stage.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    await asyncio.wait_for(begun.wait(), 60)
    ledger = stage.backing._ledger
    await stage.backing.renew(stage.configured(a_job("weekly", nice=0, schedule="0 3 * * 0")))
    assert stage.backing._keeper is not None
    assert list(stage.backing._keeper.under_way.runs) == ["nightly"]
    assert stage.backing._ledger is ledger
    with pytest.raises(NotFoundError):
        stage.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    await eventually(lambda: "weekly" in stage.backing._schedule.upcoming())
    go.set()
    assert (await task).status is Status.OK


async def test_reload_that_changes_nothing_of_backups_leaves_them_alone(new_stage: NewStage) -> None:
    """The same objects work on."""
    stage = await new_stage()
    keeper = stage.backing._keeper
    await stage.backing.renew(stage.configuration.model_copy(update={"language": "ja"}))
    assert stage.backing._keeper is keeper


async def test_backups_may_be_configured_away_and_back(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nothing is due, and nothing is told."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    stage = await new_stage(a_job(nice=0, schedule="0 2 * * *"))
    await eventually(stage.backing._schedule.upcoming)
    await stage.backing.renew(Configuration(state=stage.configuration.state))
    assert not stage.backing.active
    assert stage.backing.component() is None
    await eventually(lambda: not stage.backing._schedule.upcoming())
    assert await stage.backing.obstacle("nightly") == ("backups: none are configured (name a repository under backups)")
    await stage.backing.renew(stage.configuration)
    await eventually(stage.backing._schedule.upcoming)


async def test_stop_ends_what_is_under_way(new_stage: NewStage) -> None:
    """And nothing half-made stays."""
    stage = await new_stage()
    begun = asyncio.Event()

    async def for_ever(making: Making) -> None:
        (making.place / "half").write_text("half of it")
        begun.set()
        await asyncio.Event().wait()

    stage.engine.acts = [for_ever]
    task = stage.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    await asyncio.wait_for(begun.wait(), 60)
    await stage.backing.stop()
    assert task.cancelled()
    assert list((stage.home / "repository").glob("main/dump/*")) == []


async def test_stop_ends_jobs_before_streams_and_programs_last(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job may need what another one brings; and what is begun once all is closed nobody would end."""
    stage = await new_stage()
    begun, order = asyncio.Event(), list[str]()

    async def for_ever(_: Making) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            order.append("job")

    async def noted(name: str) -> None:
        order.append(name)

    stage.engine.acts = [for_ever]
    stage.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    await asyncio.wait_for(begun.wait(), 60)
    with monkeypatch.context() as patching:
        patching.setattr(stage.backing._streams, "stop", lambda: noted("streams"))
        patching.setattr(stage.backing._children, "close", lambda: noted("programs"))
        await stage.backing.stop()
    assert order == ["job", "streams", "programs"]


async def test_stop_waits_for_nothing_for_ever(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that does not end holds up neither the streams nor the programs."""
    stage = await new_stage()
    begun, go, order = asyncio.Event(), asyncio.Event(), list[str]()

    async def stubborn(_: Making) -> None:
        begun.set()
        while not go.is_set():
            with suppress(asyncio.CancelledError):
                await go.wait()

    async def noted(name: str) -> None:
        order.append(name)

    stage.engine.acts = [stubborn]
    task = stage.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    await asyncio.wait_for(begun.wait(), 60)
    with monkeypatch.context() as patching:
        patching.setattr(backing_module, "JOBS_PART_SECONDS", 0.05)
        patching.setattr(stage.backing._streams, "stop", lambda: noted("streams"))
        patching.setattr(stage.backing._children, "close", lambda: noted("programs"))
        await stage.backing.stop()
    assert (order, task.done()) == (["streams", "programs"], False)
    go.set()
    await asyncio.wait([task])


async def test_alert_waits_for_its_backup_and_is_told_what_stands_against_it(new_stage: NewStage) -> None:
    """The runner's side."""
    stage = await new_stage()
    await eventually(lambda: stage.values("toban"))
    assert await stage.backing.obstacle("nightly") == ""
    assert (await stage.backing.run("nightly", "alert x")).status is Status.OK
    assert "none is called nihgtly" in await stage.backing.obstacle("nihgtly")


@pytest.mark.integration
async def test_lag_of_an_idle_server_is_there_soon_with_two_lines_of_configuration(
    new_cluster: NewCluster, tmp_path: Path
) -> None:
    """A DSN and a repository: the stream has all there is, and is told of without waiting for the next minutes."""
    server = new_cluster(15, settings={"wal_level": "replica", "max_wal_senders": "4"})
    target = PostgresqlTarget(name="main", dsn=server.dsn())
    collections: list[Collection] = []
    backing = Backing(
        Configuration(
            node="db1",
            state=f"sqlite://{tmp_path}/state.db",
            backups=Backups(repository=tmp_path / "repository", floor=1),
            targets=(target,),
        ),
        clock=SystemClock(),
        accept=lambda collection, _: collections.append(collection),
        random=RANDOM,
    )

    def lags() -> list[float]:
        samples = [sample for one in collections for sample in one.samples]
        return [sample.value for sample in samples if sample.metric.name == "toban_wal_archive_lag_seconds"]

    async def all_is_here() -> bool:
        assert backing._streams is not None
        return (await backing._streams.standings(backing.plan, ()))["main"].lag_seconds == 0.0

    await backing.start()
    try:
        await eventually(lags)
        await eventually(all_is_here)
    finally:
        await backing.stop()
