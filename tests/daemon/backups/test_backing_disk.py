"""Backups in the running daemon whose disk is gone, hangs, or comes back; and what an earlier life left."""

import asyncio
import fcntl
import os
import shutil
import threading
from pathlib import Path

import pytest

from backup.errors import BackupError
from backup.keeper import Keeper
from backup.keeping.ledger import Line
from daemon.backups import backing as backing_module
from daemon.backups.looking import Lookout, Unhurried
from daemon.backups.streams import Streams
from tests.backup.keeper.records import DAY, a_job
from tests.daemon.backups.conftest import NewStage
from tests.waiting import eventually
from toban.backups import WalStanding
from toban.clock import SystemClock
from toban.status import Health


async def test_repository_that_is_gone_is_told_and_its_return_noticed(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made anew in its place: its disk is not mounted."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    stage = await new_stage()
    await eventually(lambda: stage.values("toban").get("repository_up") == 1.0)
    (stage.home / "repository").rename(stage.home / "elsewhere")
    await eventually(lambda: stage.values("toban").get("repository_up") == 0.0)
    failing = [one for one in stage.collections if one.target == "main"][-1].failure
    assert failing is not None
    assert not failing.down
    found = stage.backing.component()
    assert found is not None
    assert found.state is Health.CRITICAL
    assert str(stage.home / "repository") in found.reason
    assert not (stage.home / "repository").exists()
    (stage.home / "elsewhere").rename(stage.home / "repository")
    await eventually(lambda: stage.values("toban").get("repository_up") == 1.0)


async def test_repository_that_does_not_answer_holds_up_nothing_else(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead network disk: it is said, and asked no second time before it has answered."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    stage = await new_stage()
    await eventually(lambda: stage.values("toban").get("repository_up") == 1.0)
    hanging, asked = threading.Event(), []
    assert stage.backing._keeper is not None
    repository = stage.backing._keeper.repository

    def hang(*_: object, **__: object) -> tuple[()]:
        asked.append(1)
        hanging.wait(120)
        return ()

    monkeypatch.setattr(repository, "records", hang)
    monkeypatch.setattr(Lookout.look, "__kwdefaults__", {"within_seconds": 0.05})
    try:
        await eventually(lambda: stage.values("toban").get("repository_up") == 0.0)
        assert "does not answer" in stage.backing._trouble
        assert len(asked) == 1
    finally:
        hanging.set()


async def test_repository_that_does_not_even_open_is_told(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network disk that is dead when the daemon starts: it would say nothing at all, for ever."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    monkeypatch.setattr(Unhurried.done, "__kwdefaults__", {"within_seconds": 0.05})
    answers, asked, opened = asyncio.Event(), list[int](), Keeper.open

    async def hang(keeper: Keeper) -> None:
        asked.append(1)
        await answers.wait()
        await opened(keeper)

    monkeypatch.setattr(Keeper, "open", hang)
    stage = await new_stage()
    await eventually(lambda: stage.values("toban").get("repository_up") == 0.0)
    assert "does not answer" in stage.backing._trouble
    assert len(asked) == 1
    answers.set()
    await eventually(lambda: stage.values("toban").get("repository_up") == 1.0)
    assert len(asked) == 1


async def test_reload_while_the_disk_does_not_answer_is_opened_anew(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was asked before the reload answers for what was configured then, and plans nothing."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    monkeypatch.setattr(Unhurried.done, "__kwdefaults__", {"within_seconds": 0.05})
    answers, keepers, opened = asyncio.Event(), list[Keeper](), Keeper.open

    async def hang(keeper: Keeper) -> None:
        keepers.append(keeper)
        await answers.wait()
        await opened(keeper)

    monkeypatch.setattr(Keeper, "open", hang)
    stage = await new_stage(a_job(nice=0, schedule="0 2 * * *"))
    await eventually(lambda: stage.backing._trouble)
    await stage.backing.renew(stage.configured(a_job("weekly", nice=0, schedule="0 3 * * 0")))
    answers.set()
    await eventually(stage.backing._schedule.upcoming)
    assert set(stage.backing._schedule.upcoming()) == {"weekly", "proof:", "reading:"}
    assert stage.backing._ledger is not None
    assert set(stage.backing._ledger._lines) >= {"weekly", "proof:", "reading:"}
    assert keepers[-1] is stage.backing._keeper


async def test_wal_is_not_asked_for_where_the_disk_is_gone(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question would hold a thread of the few there are, until nothing else in the daemon had one."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    asked: list[int] = []

    async def standings(*_: object) -> dict[str, WalStanding]:
        asked.append(1)
        return {}

    monkeypatch.setattr(Streams, "standings", standings)
    stage = await new_stage()
    await eventually(lambda: asked)
    (stage.home / "repository").rename(stage.home / "elsewhere")
    await eventually(lambda: stage.backing._trouble)
    before = len(asked)
    told = len(stage.collections)
    await eventually(lambda: len(stage.collections) > told + 8)
    assert len(asked) <= before + 1
    (stage.home / "elsewhere").rename(stage.home / "repository")
    await eventually(lambda: len(asked) > before + 1)


async def test_what_came_to_nothing_without_its_disk_is_caught_up(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The moment passed while the repository was gone: it is not left until the next."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    stage = await new_stage(a_job(nice=0, schedule="0 2 * * *"))
    await eventually(stage.backing._schedule.upcoming)
    (stage.home / "repository").rename(stage.home / "elsewhere")
    await eventually(lambda: stage.values("toban").get("repository_up") == 0.0)
    assert stage.backing._ledger is not None
    stage.backing._ledger._lines["nightly"] = Line(known_since=SystemClock().now() - 3 * DAY)
    (stage.home / "elsewhere").rename(stage.home / "repository")
    await eventually(lambda: stage.values().get("size_bytes") == 9.0)


async def test_how_the_wal_stood_long_ago_is_not_told(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows any more: the last figure would look well for ever."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)

    async def faulty(*_: object) -> None:
        raise ValueError("a fault")

    monkeypatch.setattr(Streams, "standings", faulty)
    stage = await new_stage()
    stage.backing._standings = {"main": WalStanding(target="main", lag_seconds=3.0)}
    await eventually(lambda: stage.values().get("toban_wal_archive_lag_seconds") == 3.0)
    stage.backing._stood_at -= backing_module.STALE_SECONDS
    await eventually(lambda: "toban_wal_archive_lag_seconds" not in stage.values())


async def test_empty_mount_point_is_a_trouble_and_no_new_repository(
    new_stage: NewStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a restart of the machine the disk was not mounted: nothing is written there until it is."""
    monkeypatch.setattr(backing_module, "TELL_SECONDS", 0.02)
    stage = await new_stage()
    await eventually(lambda: stage.values("toban").get("repository_up") == 1.0)
    await stage.backing.stop()
    disk, elsewhere = stage.home / "repository", stage.home / "elsewhere"
    disk.rename(elsewhere)
    disk.mkdir()
    again = await new_stage()
    await eventually(lambda: again.values("toban").get("repository_up") == 0.0)
    found = again.backing.component()
    assert found is not None
    assert (found.state, "there was a repository before" in found.reason) == (Health.CRITICAL, True)
    assert f"rm {stage.home}/state.repository" in found.reason
    with pytest.raises(BackupError, match="there was a repository before"):
        await again.backing.begin("nightly", tag=None, why="a test", tell=lambda _: None)
    assert list(disk.iterdir()) == []
    disk.rmdir()
    elsewhere.rename(disk)
    await eventually(lambda: again.values("toban").get("repository_up") == 1.0)


async def test_missed_run_is_caught_up_as_soon_as_the_repository_is_there(new_stage: NewStage) -> None:
    """It is known for three days and has never run."""
    stage = await new_stage(a_job("other", nice=0))
    await eventually(lambda: stage.values("toban"))
    ledger = stage.home / "repository" / ".toban" / "schedules" / "db1.json"
    since = SystemClock().now() - 3 * DAY
    await stage.backing.stop()
    ledger.write_text(f'{{"nightly": {{"known_since": {since}}}}}')
    again = await new_stage(a_job(nice=0, schedule="0 2 * * *"))
    await eventually(lambda: again.values().get("size_bytes") == 9.0)
    assert len(again.engine.made) == 1


async def test_what_an_earlier_life_left_in_the_workspace_is_cleared(tmp_path: Path, new_stage: NewStage) -> None:
    """Password files among it; scratch places have leases of their own, and a command that works there has a lock."""
    workspace = tmp_path / "state.work"
    (workspace / "verify-x").mkdir(parents=True)
    (workspace / "verify-x" / "pgpass").write_text("secret")
    (workspace / "scratch-y").mkdir()
    (workspace / "toban-held").mkdir()
    (workspace / "file").write_text("")
    held = os.open(workspace / "toban-held", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_SH)
    await new_stage()
    assert {path.name for path in workspace.iterdir()} == {"scratch-y", "toban-held"}
    os.close(held)
    shutil.rmtree(workspace)
