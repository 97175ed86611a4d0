"""What each costs while Prometheus scrapes it: processor, memory, server time and connections over the same minutes."""

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from bench.plan import Plan
from bench.processes import cpu_seconds, memory
from bench.quantiles import per_minute, percentile
from bench.scraping import Scraper
from bench.server_time import Spent, held, spent
from bench.stage import Stage
from bench.subjects import Running, SubjectError

SAMPLE_EVERY_SECONDS = 1.0
LAG = "toban_loop_lag_seconds"  # the most within the last fifteen seconds, so that no scrape misses one


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """Everything that only grows, at one moment."""

    at: float
    cpu_seconds: dict[str, float]
    spent: dict[str, Spent]


@dataclass(slots=True, kw_only=True)
class Seen:
    """The most that was seen of each role, gathered while the window lasts."""

    connections: dict[str, int] = field(default_factory=dict)
    resident_bytes: dict[str, int] = field(default_factory=dict)
    own_bytes: dict[str, int] = field(default_factory=dict)
    lags: dict[str, list[float]] = field(default_factory=dict)


def over_minutes(stage: Stage, watchers: Sequence[Running], plan: Plan) -> dict[str, dict[str, float]]:
    """The figures of each watcher, side by side over one window."""
    return asyncio.run(_over_minutes(stage, watchers, plan))


async def _over_minutes(stage: Stage, watchers: Sequence[Running], plan: Plan) -> dict[str, dict[str, float]]:
    connection = await stage.cluster.connect()
    seen = Seen(lags={watcher.subject.name: [] for watcher in watchers})
    scrapers = [
        asyncio.create_task(_scrape(watcher, plan.scrape_every_seconds, place / len(watchers), seen))
        for place, watcher in enumerate(watchers)
    ]
    try:
        await asyncio.sleep(plan.warm_up_seconds)
        before = await _read(connection, watchers)
        await _sample(connection, watchers, plan.window_seconds, seen)
        after = await _read(connection, watchers)
    finally:
        for scraper in scrapers:
            scraper.cancel()
            with suppress(asyncio.CancelledError):
                await scraper
        await connection.close()
    return {watcher.subject.name: _figures(watcher, before, after, seen) for watcher in watchers}


async def _scrape(watcher: Running, every_seconds: float, phase: float, seen: Seen) -> None:
    """Scrape as Prometheus does, forever; the watchers' scrapes fall between one another."""
    scraper = Scraper(watcher.port)
    await asyncio.sleep(every_seconds * phase)
    due = time.monotonic()
    while True:
        answer = await asyncio.to_thread(scraper.ask)
        if answer.text is None:
            raise SubjectError(f"{watcher.subject.name} left a scrape unanswered")
        seen.lags[watcher.subject.name] += answer.values(LAG)
        due += every_seconds
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def _read(connection: Any, watchers: Sequence[Running]) -> Reading:  # noqa: ANN401 - asyncpg ships no types
    return Reading(
        at=time.monotonic(),
        cpu_seconds={w.subject.name: cpu_seconds(w.pid) for w in watchers},
        spent=await spent(connection),
    )


async def _sample(connection: Any, watchers: Sequence[Running], seconds: float, seen: Seen) -> None:  # noqa: ANN401 - asyncpg ships no types
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        now = await held(connection, [w.subject.role for w in watchers])
        for watcher in watchers:
            role = watcher.subject.role
            seen.connections[role] = max(seen.connections.get(role, 0), now.get(role, 0))
            held_now = memory(watcher.pid)
            seen.resident_bytes[role] = max(seen.resident_bytes.get(role, 0), held_now.resident_bytes)
            seen.own_bytes[role] = max(seen.own_bytes.get(role, 0), held_now.own_bytes)
        await asyncio.sleep(SAMPLE_EVERY_SECONDS)


def _figures(watcher: Running, before: Reading, after: Reading, seen: Seen) -> dict[str, float]:
    name, role = watcher.subject.name, watcher.subject.role
    seconds = after.at - before.at
    used = after.spent.get(role, Spent()).since(before.spent.get(role, Spent()))
    lags = seen.lags[name]
    return {
        **({"lag": percentile(lags, 0.99)} if lags else {}),
        "cpu_per_minute": per_minute(after.cpu_seconds[name] - before.cpu_seconds[name], seconds),
        "server_per_minute": per_minute(used.executing_seconds, seconds),
        "planned_per_minute": per_minute(used.with_planning_seconds, seconds),
        "resident": seen.resident_bytes[role],
        "own": seen.own_bytes[role],
        "proportional": memory(watcher.pid).proportional_bytes,
        "connections": seen.connections[role],
    }
