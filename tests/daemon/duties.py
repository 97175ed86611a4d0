"""Somebody on duty who keeps everything in memory, and the application around, in a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC
from pathlib import Path
from typing import Any

from daemon.asked_alerts import SilenceAsked
from daemon.http.links import Links
from daemon.http.listening import Listener, listen_unix
from daemon.http.pages import application
from daemon.roles import Rung
from daemon.world import World
from history.book.book import Book, book_path
from history.book.contract import Page
from tests.alerting.notices import an_alert
from toban.alerts import Alert, Delivery, Key, Outcome, Severity, Silence, State, What
from toban.clock import Clock, SystemClock
from toban.errors import NotFoundError, UsageError
from toban.samples import Unit

HOUR = 3600.0


@dataclass
class FakeDuty:
    """Does what it is asked, and remembers that it was."""

    clock: Clock
    book_path: Path
    links: Links = field(default_factory=lambda: Links(b"k" * 32))
    alerts: list[Alert] = field(default_factory=list)
    silenced: dict[str, Silence] = field(default_factory=dict)
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    deliveries: dict[str, Delivery] = field(default_factory=dict)
    rungs: tuple[Rung, ...] = ()
    dead: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    def active(self) -> list[Alert]:
        """All that are not over."""
        return [one for one in self.alerts if one.open]

    async def acknowledge(self, episode: str, *, who: str, note: str, for_seconds: float | None) -> Alert:
        """Of a firing one."""
        self.asked.append(("acknowledge", episode, who, note, for_seconds))
        now = self.clock.now()
        until = None if for_seconds is None else now + for_seconds
        return self._change(
            episode,
            state=State.ACKNOWLEDGED,
            acknowledged_by=who,
            acknowledged_at=now,
            acknowledged_until=until,
            note=note,
        )

    async def resolve(self, episode: str, *, who: str, note: str) -> Alert:
        """Over."""
        self.asked.append(("resolve", episode, who, note))
        return self._change(episode, state=State.RESOLVED, resolved_at=self.clock.now(), note=note)

    async def silence(self, asked: SilenceAsked, *, who: str) -> Silence:
        """Kept."""
        made = Silence(
            id=f"s{len(self.silenced)}",
            match=asked.match,
            begins_at=asked.begins_at,
            ends_at=asked.ends_at,
            cron=asked.cron,
            for_seconds=asked.for_seconds,
            why=asked.why,
            who=who,
            created_at=self.clock.now(),
        )
        self.silenced[made.id] = made
        return made

    async def end_silence(self, silence: str, *, who: str) -> Silence:
        """Ended, if there is such a one."""
        if silence not in self.silenced:
            raise NotFoundError(f"silence {silence}", "there is none of this id", "toban alerts silences lists them")
        self.silenced[silence] = replace(self.silenced[silence], ended_by=who)
        return self.silenced[silence]

    async def mark(self, episode: str, verdict: str, *, who: str) -> None:
        """Remembered."""
        self.asked.append(("mark", episode, verdict, who))

    async def test(self, channel: str) -> Delivery:
        """What the test wants to come of it."""
        if channel not in self.deliveries:
            raise NotFoundError(f"channel {channel}", "is not configured", f"there are: {', '.join(self.deliveries)}")
        return self.deliveries[channel]

    async def drill(self, severity: Severity) -> AsyncIterator[Rung]:
        """The rungs, one after the other."""
        self.asked.append(("drill", severity))
        for rung in self.rungs:
            await asyncio.sleep(0)
            yield rung

    async def retry(self, key: str | None) -> int:
        """All, or those whose key begins so."""
        again = [each for each in self.dead if key is None or each.startswith(key)]
        self.dead = [each for each in self.dead if each not in again]
        return len(again)

    def problems(self) -> list[str]:
        """What the test wants to be wrong."""
        return self.reasons

    def _change(self, episode: str, **changes: Any) -> Alert:  # noqa: ANN401 - any field of an alert
        place = next(place for place, one in enumerate(self.alerts) if one.episode == episode)
        if self.alerts[place].state is State.ACKNOWLEDGED and changes["state"] is State.ACKNOWLEDGED:
            raise UsageError(f"alert {episode}", f"{self.alerts[place].acknowledged_by} is at it already")
        self.alerts[place] = replace(self.alerts[place], **changes)
        return self.alerts[place]


def some_alerts(now: float) -> list[Alert]:
    """A blocked chain with its victim, a full disk that nobody is told of, and something that is over."""

    def at(minutes: float, episode: str, rule: str, **fields: Any) -> Alert:  # noqa: ANN401 - any field of an alert
        moment = now - minutes * 60
        times = {"started_at": moment, "fired_at": moment, "changed_at": moment, "seen_at": now - 5}
        given: dict[str, Any] = {"episode": episode, "key": Key(rule, "main"), "severity": Severity.WARNING}
        return an_alert(**times | given | {"reason": "because", "threshold": "> 1m"} | fields)

    blocked = at(10, "b10cked0", "blocked", severity=Severity.CRITICAL, value=600.0, unit=Unit.SECONDS, level=2)
    victim = at(9, "v1ct1m00", "long_transaction", value=540.0, unit=Unit.SECONDS, cause="b10cked0")
    disk = at(
        30,
        "d1skf111",
        "disk_full",
        key=Key("disk_full", "host", (("mount", "/srv/[b]\x1b"),)),
        value=0.91,
        unit=Unit.RATIO,
        threshold="> 80%",
        muted="silence s1",
        state=State.ACKNOWLEDGED,
        acknowledged_by="ops",
        acknowledged_at=now - 60,
        acknowledged_until=now + HOUR,
    )
    over = at(120, "0ver0000", "cpu", state=State.RESOLVED, resolved_at=now - 6000, value=0.2, unit=Unit.RATIO)
    return [victim, disk, blocked, over]


def a_world(state: Path, clock: Clock) -> World:
    """Without targets."""
    return World(clock=clock, zone=UTC, state_path=state, gauges=lambda: (), components=lambda: ())


def written(state: Path, *pages: Page, clock: Clock | None = None) -> None:
    """Pages in the book of this state."""

    async def write() -> None:
        book = await Book.open(book_path(state), clock or SystemClock())
        for page in pages:
            assert await book.write(page)
        await book.close()

    asyncio.run(write())


@contextmanager
def on_duty(state: Path, duty: FakeDuty | None) -> Iterator[World]:
    """The application on the local socket of this state, until the end of the block."""
    world = a_world(state, SystemClock())
    world.duty = duty
    with _looping() as run:
        listener = Listener(application(world, lambda: None), listen_unix(state.with_suffix(".sock")))
        run(listener.open())
        try:
            yield world
        finally:
            run(listener.close())


@contextmanager
def _looping() -> Iterator[Callable[[Coroutine[Any, Any, None]], None]]:
    """An event loop in a thread, and how to run something in it."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="on duty")
    thread.start()
    try:
        yield lambda work: asyncio.run_coroutine_threadsafe(work, loop).result(timeout=60)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=60)
        loop.close()


def a_rung(channel: str, *, level: int = 0, sent: bool = True, what: What = What.FIRED) -> Rung:
    """A message of a drill that took a quarter of a second."""
    delivery = (
        Delivery(outcome=Outcome.SENT, receipt={"ts": "17.3"})
        if sent
        else Delivery(outcome=Outcome.REFUSED, detail="invalid_auth")
    )
    return Rung(
        level=level, after_seconds=level * 900.0, channel=channel, delivery=delivery, took_seconds=0.25, what=what
    )
