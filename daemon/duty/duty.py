"""On duty: values come in and are judged, alerts live at the desk, and what is to be told leaves through the outbox.

This is the one place that joins rules, desk, book, dispatcher and channels; what each of them does is its own.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Any, Final, TypeVar

import structlog
from prometheus_client.core import Metric as Family

from alerting.actions import Actions, Runner
from alerting.channels import open_channel
from alerting.channels.contract import Channel
from alerting.channels.dashboard import DashboardSettings
from alerting.client import HttpWeb
from alerting.desk import Desk, drilled
from alerting.dispatcher import Dispatcher
from alerting.evaluation import Evaluation
from alerting.heartbeat import Heartbeat
from alerting.messages import Letter
from alerting.settings import DASHBOARD
from alerting.windows import Windows
from daemon.asked_alerts import SilenceAsked
from daemon.configuration.ruling import commands_of, rules_of, sources
from daemon.configuration.tree import Configuration
from daemon.duty.kept import dead_letters, evidence_kept, once_more
from daemon.duty.messages import Wording, test_notice
from daemon.duty.own import Own, OwnTelling, backed, bringing, shown
from daemon.duty.refreshing import refreshing
from daemon.duty.surroundings import MOST_REMEMBERED, DaemonSurroundings
from daemon.duty.telling import Standing, component, families, troubles
from daemon.http.links import KEY_BYTES, Links, open_key
from daemon.roles import Rung
from daemon.world import World
from history.book.book import Book, book_path
from history.book.contract import Page
from history.reading import open_reader
from toban.alerts import Alert, Delivery, Notice, Severity, Silence
from toban.errors import NotFoundError, UsageError
from toban.outcomes import Failure, Reason
from toban.samples import Collection
from toban.status import Component

if TYPE_CHECKING:
    from toban.clock import Clock

OWN_SECONDS: Final = 15.0  # as often as the targets are asked
OWN_FRESH_SECONDS: Final = 60.0
STOP_SECONDS: Final = 3.0
PARTS: Final = ("the book", "the desk", "the outbox", "the windows", "what Toban tells of itself", "the refreshing")
T = TypeVar("T")
logger = structlog.get_logger(__name__)


class Duty:
    """Alerting, as the daemon holds it: `start`, `judge` each collection, `renew` at a reload, `stop`."""

    def __init__(
        self,
        configuration: Configuration,
        world: World,
        *,
        lag_seconds: Callable[[], float],
        history_trouble: Callable[[], bool],
        late: Callable[[], Sequence[str]],
        runners: Mapping[str, Runner] | None = None,
    ) -> None:
        self.world = world
        self.clock: Clock = world.clock
        self.book = Book(book_path(configuration.state_path), self.clock)
        self.surroundings = DaemonSurroundings(world.current, self.clock)
        self.own = OwnTelling(self.surroundings.host_of)
        self._lag_seconds = lag_seconds
        self._history_trouble = history_trouble
        self._late = late
        self._random = SystemRandom()
        self._web = HttpWeb()
        self._links = Links(self._random.randbytes(KEY_BYTES))  # until the one that is kept is read
        self._wording = Wording(configuration, self.surroundings, self.clock)
        self._windows = Windows(partial(open_reader, configuration.state_path))
        rules = rules_of(configuration)
        self._evaluation = Evaluation(rules, self._windows, sources=sources(configuration))
        self._channels = self._opened(configuration)
        self._actions = Actions(
            commands_of(configuration),
            letter=self._wording.for_programs,
            web=self._web,
            clock=self.clock,
            runners=runners,
        )
        self.dispatcher = Dispatcher(
            self._channels,
            self.book,
            self.clock,
            self._random,
            letter=self._wording.letter,
            recheck=self._overtaken,
            act=self._actions,
        )
        self.desk = Desk(
            rules,
            book=self.book,
            dispatcher=self.dispatcher,
            clock=self.clock,
            surroundings=self.surroundings,
            zone=configuration.zone,
            windows=configuration.alerts.windows,
            random=self._random,
            over=self._evaluation.settle,
        )
        self._take(configuration)
        self._tasks: list[asyncio.Task[Any]] = []
        self._beating: asyncio.Task[None] | None = None
        self._heartbeat: Heartbeat | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take up what was left, then judge."""
        key, why = await asyncio.to_thread(open_key, self.configuration.state_path.with_suffix(".links"))
        if why:
            logger.warning("links_not_kept", why=why)
        self._links = self._wording.links = Links(key)
        found = await self.book.load()
        if found.alerts:
            open_ones = [alert.episode for alert in found.alerts[-MOST_REMEMBERED:]]
            self.surroundings.remember(await asyncio.to_thread(evidence_kept, self.book.path, open_ones))
        self.desk.resume(found, targets=self._targets())
        for alert in found.alerts:
            self._evaluation.resume(alert.key, alert.severity, fired=alert.fired_at is not None)
        self.own.resume(found.alerts)
        self.dispatcher.resume(found.notices, found.threads)
        work = (
            self.book.run(),
            self.desk.run(),
            self.dispatcher.run(),
            self._windows.run(self.clock.now),
            self._tell_of_ourselves(),
            refreshing(lambda: tuple(self._channels.values()), self._standing),
        )
        self._tasks = [asyncio.create_task(one, name=name) for name, one in zip(PARTS, work, strict=True)]
        self._beat(self.configuration)

    def judge(self, collection: Collection) -> None:
        """One collection, on its way through the rules to the desk."""
        self.own.events.note(collection)
        self.surroundings.scene.note(collection)
        self._judge(collection)

    def renew(self, configuration: Configuration) -> None:
        """A changed configuration: rules, channels, quiet times. What is open goes on by the policy it began with."""
        rules = rules_of(configuration)
        self._channels = self._opened(configuration)
        self._take(configuration)
        self._evaluation.renew(rules, sources=sources(configuration))
        self._actions.renew(commands_of(configuration))
        self.dispatcher.renew(self._channels)
        self.desk.renew(rules, windows=configuration.alerts.windows, targets=self._targets())
        self._beat(configuration)

    async def stop(self) -> None:
        """Write what waits, end what is under way, bounded. What was not sent is sent at the next start."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.desk.flush()
                await self.dispatcher.drain(STOP_SECONDS / 2)
        for task in (*self._tasks, *([self._beating] if self._beating else [])):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.book.close()
                for channel in self._channels.values():
                    await channel.close()

    def forget(self, target: str) -> None:
        """A target is watched no more."""
        self.own.forget(target)
        self.surroundings.scene.forget(target)
        self._evaluation.forget(target)

    def restart(self, target: str) -> None:
        """A target is watched anew, with other settings."""
        self._evaluation.restart(target)

    # --- what is asked of it ------------------------------------------------------------------------------------------

    @property
    def book_path(self) -> Path:
        """Where the book lies."""
        return self.book.path

    @property
    def links(self) -> Links:
        """What acknowledge links are made and read with."""
        return self._links

    def active(self) -> Sequence[Alert]:
        """All that are not over."""
        return self.desk.active()

    async def acknowledge(self, episode: str, *, who: str, note: str, for_seconds: float | None) -> Alert:
        """Somebody is at it."""
        return await self._done(self.desk.acknowledge(episode, who=who, note=note, for_seconds=for_seconds))

    async def resolve(self, episode: str, *, who: str, note: str) -> Alert:
        """Somebody says that it is over."""
        return await self._done(self.desk.resolve(episode, who=who, note=note))

    async def silence(self, asked: SilenceAsked, *, who: str) -> Silence:
        """Tell nobody of what matches."""
        seconds = asked.for_seconds or asked.ends_at - asked.begins_at
        made = self.desk.silence(
            asked.match,
            why=asked.why,
            who=who,
            for_seconds=seconds,
            begins_at=asked.begins_at,
            ends_at=asked.ends_at,
            cron=asked.cron,
        )
        return await self._done(made)

    async def end_silence(self, silence: str, *, who: str) -> Silence:
        """Tell of it again."""
        return await self._done(self.desk.end_silence(silence, who=who))

    async def mark(self, episode: str, verdict: str, *, who: str) -> None:
        """Whether it told of something real."""
        await self._done(self.desk.mark(episode, verdict, who=who))

    async def test(self, channel: str) -> Delivery:
        """Send one marked message through a channel, now."""
        found = self._channel(channel)
        notice = test_notice(channel, self.configuration.node, self.clock.now(), self._random)
        return await self.dispatcher.send_now(channel, self._wording.letter(notice, found, ()))

    async def drill(self, severity: Severity) -> AsyncIterator[Rung]:
        """Send a marked alert through each rung of the ladder, one after the other."""
        policy = self._wording.policy(self.configuration)
        took: dict[str, float] = {}

        async def send(notice: Notice) -> Delivery:
            begun = self.clock.monotonic()
            try:
                return await self._send(notice)
            finally:
                took[notice.channel] = self.clock.monotonic() - begun

        async for rung in drilled(
            policy,
            severity=severity,
            target=self.configuration.node,
            send=send,
            clock=self.clock,
            random=self._random,
        ):
            yield Rung(
                level=rung.step,
                after_seconds=rung.after_seconds,
                channel=rung.channel,
                delivery=rung.delivery,
                took_seconds=took[rung.channel],
                what=rung.what,
            )

    async def retry(self, key: str | None) -> int:
        """Put a dead letter, or all of them, back into the outbox; how many there were."""
        dead = await asyncio.to_thread(dead_letters, self.book.path, key)
        if key is not None and not dead:
            raise NotFoundError("dead letter", f"none begins with {key}", "`toban alerts dead` lists them")
        again = tuple(once_more(dead, self.clock.now()))
        if again:
            await self.book.write(Page(notices=again))
            self.dispatcher.offer(again)
        return len(again)

    def problems(self) -> Sequence[str]:
        """What of the watch and the alerting does not work at present."""
        return list(
            troubles(
                late=self._late(),
                book=None if self.book.usable else self.book.trouble,
                stuck=self.dispatcher.standing.stuck,
                full=self._evaluation.full,
                ended=[task.get_name() for task in self._tasks if task.done()],
            )
        )

    def component(self) -> Component:
        """How alerting stands, for the overall health."""
        return component(self.desk.active(), self.problems())

    def families(self) -> Iterable[Family]:
        """What `/metrics` tells of alerting."""
        beats = {str(beat): count for beat, count in self._heartbeat.totals.items()} if self._heartbeat else {}
        return families(
            Standing(
                active=self.desk.counts,
                refused=self.desk.refused,
                lost=self.desk.lost,
                outbox=self.dispatcher.standing,
                book_trouble=not self.book.usable,
                beats=beats,
            )
        )

    # --- inside -------------------------------------------------------------------------------------------------------

    def _take(self, configuration: Configuration) -> None:
        self.configuration = configuration
        self._backed = backed(configuration)
        self.surroundings.renew(configuration)
        self._wording.renew(configuration)

    def _opened(self, configuration: Configuration) -> Mapping[str, Channel[Any]]:
        written = {DASHBOARD: DashboardSettings(), **configuration.channels}.items()
        return {name: open_channel(name, settings, self._web, self.clock) for name, settings in written}

    def _targets(self) -> frozenset[str]:
        return frozenset(target.name for target in self.configuration.targets) | {"toban"}

    def _judge(self, collection: Collection) -> None:
        verdicts = self._evaluation.accept(collection)
        if verdicts:
            self.desk.judged(verdicts)

    def _overtaken(self, notice: Notice) -> str:
        return self.desk.overtaken(notice)

    def _standing(self, channel: Channel[Any]) -> Sequence[Letter]:
        return self._wording.standing(channel, self.desk.active())

    async def _tell_of_ourselves(self) -> None:
        while True:
            try:
                self._turn_over_ourselves()
            except Exception:  # a loop of its own: it must outlive any fault
                logger.exception("duty_fault")
            await asyncio.sleep(OWN_SECONDS)

    def _turn_over_ourselves(self) -> None:
        standing, now = self.dispatcher.standing, self.clock.now()
        dead = dict.fromkeys(self._channels, 0) | {
            channel: count for (channel, result), count in standing.totals.items() if result == "dead"
        }
        own = Own(
            loop_lag_seconds=self._lag_seconds(),
            history_trouble=self._history_trouble(),
            book_trouble=not self.book.usable,
            outbox_oldest_seconds=standing.oldest_seconds,
            dead=dead,
        )
        expires_at = self.clock.monotonic() + OWN_FRESH_SECONDS
        for collection in self.own.collections(self.world.watches, own, now):
            self.world.current.accept(shown(collection), expires_at)
            self._judge(collection)
        self._evaluation.retain(bringing(self.world.watches, self._backed))
        overdue = self._evaluation.overdue(now)
        if overdue:
            self.desk.judged(overdue)

    def _beat(self, configuration: Configuration) -> None:
        settings = configuration.alerts.heartbeat
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None
        if settings.url is None:
            self._heartbeat = None
            return
        self._heartbeat = Heartbeat(settings.url, settings.every, web=self._web, problems=self._not_well)
        self._beating = asyncio.create_task(self._heartbeat.run(), name="heartbeat")

    def _not_well(self) -> Sequence[str]:
        return [*(f"{name}: not tried yet" for name in self.world.untried()), *self.problems()]

    def _channel(self, name: str) -> Channel[Any]:
        if name not in self._channels:
            raise NotFoundError("channel", f"none is called {name}", f"there are: {', '.join(self._channels)}")
        return self._channels[name]

    async def _send(self, notice: Notice) -> Delivery:
        letter = self._wording.letter(notice, self._channel(notice.channel), ())
        return await self.dispatcher.send_now(notice.channel, letter)

    async def _done(self, found: T | Failure) -> T:
        """What the desk made of an order, once it is kept."""
        if isinstance(found, Failure):
            kind = NotFoundError if found.reason is Reason.NOT_FOUND else UsageError
            raise kind("alerts", found.detail, found.hint)
        await self.desk.flush()
        return found
