"""The schedule runs what is due, catches up what was missed, and survives clocks that jump."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from backup import schedule
from backup.schedule import AGAIN_SECONDS, CronTrigger, Entry, Schedule
from backup.settings import Window
from tests.backup.keeper.records import DAY, HOUR
from tests.waiting import eventually
from toban.clock import SystemClock

RANDOM = Random(7)  # noqa: S311 - jitter is no secret
NIGHT = datetime(2026, 11, 21, 2, tzinfo=UTC)


class Runs:
    """What was run, for which moments."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.cancelled = 0
        self.hold: asyncio.Event | None = None
        self.error: BaseException | None = None
        self.counts: bool | None = None

    async def run(self, moment: float) -> bool | None:
        """Noted; held, or failing, where the test says so."""
        self.moments.append(moment)
        if self.error is not None:
            raise self.error
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return self.counts

    def entry(
        self,
        key: str = "nightly",
        line: str = "0 2 * * *",
        *,
        since: float = 0.0,
        begun: Callable[[], float | None] = lambda: None,
        jitter: float = 0.0,
        window: Window | None = None,
    ) -> Entry:
        """Something due every night."""
        return Entry(
            key=key,
            line=line,
            run=self.run,
            known_since=since,
            last_begun=begun,
            jitter_seconds=jitter,
            window=window,
        )


class SetClock(SystemClock):
    """The machine's own, which somebody sets."""

    def __init__(self) -> None:
        self.offset = 0.0

    def now(self) -> float:
        """By so much off."""
        return super().now() + self.offset


@pytest.fixture
async def made() -> object:
    """Schedules that are stopped in the end."""
    schedules: list[Schedule] = []

    def make(clock: SystemClock | None = None) -> Schedule:
        found = Schedule(clock or SystemClock(), UTC, RANDOM)
        schedules.append(found)
        found.start()
        return found

    yield make
    for one in schedules:
        await one.stop()


Make = Callable[..., Schedule]


async def test_missed_run_is_caught_up_once_at_the_start(made: Make) -> None:
    """It has never run and is known for days: it runs now, once, and then at its time."""
    runs, now = Runs(), SystemClock().now()
    found = made()
    found.renew([runs.entry(since=now - 3 * DAY)], UTC)
    await eventually(lambda: runs.moments)
    await eventually(lambda: found.upcoming()["nightly"] > now + 1)
    assert len(runs.moments) == 1
    assert now - DAY <= runs.moments[0] <= now
    following = datetime.fromtimestamp(found.upcoming()["nightly"], UTC)
    assert (following.hour, following.minute, following.second) == (2, 0, 0)


async def test_run_that_was_not_missed_is_not_caught_up(made: Make) -> None:
    """The repository says when it last ran, be it by another process."""
    runs, now = Runs(), SystemClock().now()
    found = made()
    found.renew([runs.entry(since=now - 3 * DAY, begun=lambda: now - 1)], UTC)
    await eventually(found.upcoming)
    assert found.upcoming()["nightly"] > now
    assert runs.moments == []


async def test_schedule_that_is_renewed_forgets_what_is_gone(made: Make) -> None:
    """And plans what is new."""
    runs, now = Runs(), SystemClock().now()
    found = made()
    found.renew([runs.entry("a", since=now), runs.entry("b", since=now)], UTC)
    await eventually(lambda: set(found.upcoming()) == {"a", "b"})
    found.renew([runs.entry("c", since=now)], UTC)
    await eventually(lambda: set(found.upcoming()) == {"c"})


async def test_run_under_way_is_not_begun_again(made: Make) -> None:
    """Also when a reload finds it missed, since it has not ended yet."""
    runs, now = Runs(), SystemClock().now()
    runs.hold = asyncio.Event()
    found = made()
    entry = runs.entry(since=now - 3 * DAY)
    found.renew([entry], UTC)
    await eventually(lambda: runs.moments)
    found.renew([entry], UTC)
    await eventually(lambda: found.upcoming()["nightly"] > now + 1)
    assert len(runs.moments) == 1
    runs.hold.set()
    await eventually(lambda: not found._running)


async def test_run_that_does_not_count_is_planned_anew(made: Make) -> None:
    """Somebody else was at work: its moment is still to come, in a while and not tomorrow."""
    runs, now = Runs(), SystemClock().now()
    runs.counts = False
    found = made()
    found.renew([runs.entry(since=now - 3 * DAY)], UTC)
    await eventually(lambda: runs.moments and not found._running)
    await eventually(lambda: now + AGAIN_SECONDS <= found.upcoming()["nightly"] < now + AGAIN_SECONDS + HOUR)
    assert len(runs.moments) == 1


async def test_stop_ends_what_runs(made: Make) -> None:
    """And it has ended when `stop` returns."""
    runs, now = Runs(), SystemClock().now()
    runs.hold = asyncio.Event()
    found = made()
    found.renew([runs.entry(since=now - 3 * DAY)], UTC)
    await eventually(lambda: runs.moments)
    await found.stop()
    assert runs.cancelled == 1
    assert found.upcoming() == {}


async def test_fault_in_a_run_leaves_the_schedule_standing(made: Make) -> None:
    """It is logged, and the next one comes."""
    runs, now = Runs(), SystemClock().now()
    runs.error = ValueError("a fault")
    found = made()
    found.renew([runs.entry(since=now - 3 * DAY)], UTC)
    await eventually(lambda: runs.moments and not found._running)
    assert found.upcoming()["nightly"] > now


async def test_clock_that_is_set_forward_brings_the_run_at_once(made: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A timer would fire hours late: it goes by the pace of time. Every look asks anew what is due."""
    monkeypatch.setattr(schedule, "LOOK_SECONDS", 0.01)
    clock, runs, now = SetClock(), Runs(), SystemClock().now()
    last = [now]
    found = made(clock)
    found.renew([runs.entry(since=now, begun=lambda: last[0])], UTC)
    await eventually(found.upcoming)
    last[0] = now - 2 * DAY  # as the clock jumps, the last run lies farther back
    clock.offset = HOUR
    await eventually(lambda: runs.moments)
    last[0] = now
    await eventually(lambda: found.upcoming()["nightly"] > now + 1)
    assert len(runs.moments) == 1


def test_trigger_draws_each_run_out_by_its_jitter() -> None:
    """Within it, and after the moment: never before."""
    runs = Runs()
    trigger = CronTrigger(runs.entry(jitter=300.0, since=NIGHT.timestamp()), UTC, RANDOM)
    drawn = {trigger.get_next_fire_time(None, NIGHT - timedelta(hours=1)) for _ in range(20)}
    assert len(drawn) == 20
    assert all(NIGHT <= at <= NIGHT + timedelta(minutes=5) for at in drawn if at is not None)


def test_trigger_draws_no_run_out_beyond_its_window() -> None:
    """Drawn later it would not be begun at all."""
    window = Window(cron="0 2 * * *", for_=60.0)
    trigger = CronTrigger(Runs().entry(jitter=6000.0, since=NIGHT.timestamp(), window=window), UTC, RANDOM)
    drawn = {trigger.get_next_fire_time(None, NIGHT - timedelta(hours=1)) for _ in range(20)}
    assert all(NIGHT <= at < NIGHT + timedelta(minutes=1) for at in drawn if at is not None)


def test_trigger_goes_on_from_the_run_before() -> None:
    """Whatever the repository knows yet: the same moment never comes twice."""
    trigger = CronTrigger(Runs().entry(), UTC, RANDOM)
    first = trigger.get_next_fire_time(None, NIGHT + timedelta(minutes=3))
    assert first == NIGHT + timedelta(minutes=3)
    assert trigger.get_next_fire_time(first, NIGHT + timedelta(minutes=3)) == NIGHT + timedelta(days=1)
