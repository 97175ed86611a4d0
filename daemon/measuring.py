"""Measuring without a daemon: each quick collector twice, a moment apart, so that intervals have their values too."""

import asyncio

from prometheus_client import CollectorRegistry

from daemon.configuration.tree import Configuration
from daemon.wiring import courses_of, open_watch
from daemon.world import World
from toban.clock import SystemClock

QUICK_SECONDS = 15.0


async def measure(configuration: Configuration, *, interval_seconds: float) -> World:
    """A world with the values of now, and no task left behind."""
    clock = SystemClock()
    world = World(
        clock=clock,
        zone=configuration.zone,
        state_path=configuration.state_path,
        gauges=lambda: (),
        components=lambda: (),
    )
    world.instruments.registry = (
        CollectorRegistry()
    )  # this process is not the daemon: what it takes is nobody's concern
    courses = courses_of(configuration)
    for target in configuration.targets:
        world.watches[target.name] = open_watch(target, configuration, clock, courses=courses)
    try:
        await _round(world, slowest_seconds=float("inf"))
        await asyncio.sleep(interval_seconds)
        await _round(world, slowest_seconds=QUICK_SECONDS)
    finally:
        await asyncio.gather(*(watch.stop() for watch in world.watches.values()))
    return world


async def _round(world: World, *, slowest_seconds: float) -> None:
    for turns in await asyncio.gather(*(w.once(slowest_seconds) for w in world.watches.values())):
        for turned in turns:
            world.current.accept(turned.collection, turned.fresh_until)
