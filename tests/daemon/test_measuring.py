"""Measuring once, with no daemon."""

import asyncio
from pathlib import Path

import pytest

from daemon import measuring
from daemon.measuring import measure
from tests.daemon.serving import configured

pytestmark = pytest.mark.integration


async def test_measure_fills_a_world_and_leaves_no_task_behind(tmp_path: Path) -> None:
    """Intervals have their values too, since the quick ones are measured twice."""
    before = asyncio.all_tasks()
    world = await measure(configured(tmp_path), interval_seconds=0.05)
    values = {sample.metric.name for _, sample in world.current.samples(world.clock.monotonic())}
    assert {"toban_host_cpus", "toban_host_cpu_ratio"} <= values
    assert world.status().health == "ok"
    assert list(world.gauges()) == []
    assert asyncio.all_tasks() == before
    assert not (tmp_path / "state.db").exists()


async def test_measure_takes_what_is_slow_only_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check of an hour is no affair of every look."""
    monkeypatch.setattr(measuring, "QUICK_SECONDS", 0.01)
    world = await measure(configured(tmp_path), interval_seconds=0.01)
    values = {sample.metric.name for _, sample in world.current.samples(world.clock.monotonic())}
    assert "toban_host_cpus" in values
    assert "toban_host_cpu_ratio" not in values
