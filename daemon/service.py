"""The daemon's life: start, watch, reload, stop. What it knows is in `World`; what it hears comes as calls."""

import asyncio
from collections.abc import Callable, Iterable

from prometheus_client.core import Metric as Family
from structlog.typing import FilteringBoundLogger

from daemon.backups.action import BackupRunner
from daemon.backups.door import Door
from daemon.configuration.tree import Configuration
from daemon.duty.duty import Duty
from daemon.http.front import Front
from daemon.instruments import history_families
from daemon.pulse import Pulse
from daemon.systemd import Notifier
from daemon.teller import Teller
from daemon.turns import Turned
from daemon.watch import Watch
from daemon.wiring import courses_of, fingerprint, open_watch
from daemon.world import World
from history.recording import History
from toban.clock import Clock
from toban.errors import ConfigurationError, TobanError
from toban.language import Language
from toban.samples import Collection
from toban.secrets import Secret, blot
from toban.status import Component, Health

FIRST_ROUND_WITHIN_SECONDS = 30.0
CLOSE_HISTORY_SECONDS = 4.0


class Service:
    """The running daemon. `start`, then `reload` as often as asked, then `stop`."""

    def __init__(
        self,
        configuration: Configuration,
        history: History,
        *,
        clock: Clock,
        log: FilteringBoundLogger,
        notifier: Notifier,
    ) -> None:
        self.configuration = configuration
        self.history = history
        self.clock = clock
        self.log = log
        self.notifier = notifier
        self.first_round = asyncio.Event()
        self._announced = False
        self.world = World(
            clock=clock,
            zone=configuration.zone,
            state_path=configuration.state_path,
            gauges=self._families,
            components=self._components,
        )
        self.front = Front(self.world, self._token, log)
        self._courses = courses_of(configuration)
        self._teller = Teller(log)
        self._pulse = Pulse(self.world, notifier, Language(configuration.language))
        self.backups = Door(clock=clock, accept=self._accept_own)
        self.duty = self.world.duty = Duty(
            configuration,
            self.world,
            lag_seconds=lambda: self._pulse.lag_seconds,
            history_trouble=lambda: self.history.trouble is not None,
            late=self._pulse.overdue,
            runners={"backup": BackupRunner(self.backups.obstacle, self.backups.run)},
        )
        self._prints: dict[str, tuple[object, ...]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Answer first, then measure: a daemon that is starting can already be asked."""
        await self.front.answer(self.configuration.http)
        await self.front.answer_locally(self.configuration.socket_path)
        self._tasks = [
            asyncio.create_task(self.history.run(), name="history"),
            asyncio.create_task(self._pulse.run(), name="pulse"),
        ]
        await self.duty.start()
        await self._take_over(self.configuration)
        await self.backups.start(self.configuration)
        self.world.backups = self.backups.open
        self._tasks.append(asyncio.create_task(self._announce(), name="first round"))

    async def reload(self, read: Callable[[], Configuration]) -> bool:
        """Take a changed configuration over; a bad one is refused with its errors, and the old one stays in force."""
        if self._announced:
            self.notifier.reloading()
        try:
            configuration = self._with_our_state(await asyncio.to_thread(read))  # its disk may hang
            await self.front.answer(configuration.http)
        except TobanError as error:
            return self._refused(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours in reading a file must not end the watch
            why = f"internal fault: {type(error).__name__}: {blot(str(error))}"
            return self._refused(ConfigurationError("configuration", why, "report it"))
        self.configuration = configuration
        self.world.zone = configuration.zone
        self._pulse.language = Language(configuration.language)
        await self._take_over(configuration)
        self.duty.renew(configuration)
        await self.backups.renew(configuration)
        self.world.backups = self.backups.open
        self.log.info("reloaded", targets=len(self.world.watches))
        self._reloaded("done")
        return True

    async def stop(self) -> None:
        """Part from everything, bounded: targets, listeners, then the history with what it still holds."""
        self.notifier.stopping()
        parting = asyncio.create_task(self.backups.stop(), name="backups")  # beside the rest: programs take their time
        await asyncio.gather(self.front.close(), *(watch.stop() for watch in self.world.watches.values()))
        saving = asyncio.create_task(self.history.flush(), name="last values")  # kept however long the others take
        await self.duty.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        await parting
        try:
            async with asyncio.timeout(CLOSE_HISTORY_SECONDS):
                await asyncio.wait({saving})
                await self.history.close()
        except TimeoutError:
            self.log.error("the history did not close in time", path=str(self.configuration.state_path))  # noqa: TRY400 - expected, no traceback
        self.notifier.close()

    def _with_our_state(self, configuration: Configuration) -> Configuration:
        """The state is opened and locked once; another one is for the next start, which is said."""
        ours = self.configuration.state
        if configuration.state != ours:
            self.log.warning("another state is written; it needs a restart", in_force=ours, written=configuration.state)
        return configuration.model_copy(update={"state": ours})

    def _refused(self, error: TobanError) -> bool:
        self._teller.refused(error)
        self._reloaded("refused")
        return False

    def _reloaded(self, result: str) -> None:
        self.world.instruments.reloads.labels(result).inc()
        if self._announced:  # else the first round is still to come, and it is that which makes us ready
            self.notifier.ready()

    async def _take_over(self, configuration: Configuration) -> None:
        """Open what is new, close what is gone, leave alone what is the same."""
        wanted = {target.name: target for target in configuration.targets}
        prints = {name: fingerprint(target, configuration) for name, target in wanted.items()}
        watches = self.world.watches
        leaving = [name for name in watches if prints.get(name) != self._prints.get(name)]
        await asyncio.gather(*(self._drop(name, gone=name not in wanted) for name in leaving))
        self._prints = prints
        coming = [name for name in wanted if name not in watches]
        for name in coming:
            watches[name] = open_watch(
                wanted[name], configuration, self.clock, history=self.history, courses=self._courses
            )
            watches[name].start(self._accept, beginning=len(coming))
        self.world.instruments.keep({name for watch in watches.values() for name in watch.ledgers})
        self.world.opened = True

    async def _drop(self, name: str, *, gone: bool) -> None:
        """Part from a target that is gone, or that is to be watched with other settings."""
        watch = self.world.watches.pop(name)
        await watch.stop()
        self.world.current.forget(name)
        self.world.exposition.forget(name)
        self._teller.forget(name)
        (self.duty.forget if gone else self.duty.restart)(name)

    def _accept(self, watch: Watch, turned: Turned) -> None:
        """The way of every value: the present, the history, then the rules."""
        if self.world.watches.get(watch.name) is not watch:
            return  # the last word of a watch that a reload has replaced
        self.world.instruments.note(turned)
        self.world.current.accept(turned.collection, turned.fresh_until)
        self._courses.offer(turned.collection)
        self.history.offer(turned.collection)
        self.duty.judge(turned.collection)
        self._teller.turned(watch, turned)
        if not self.first_round.is_set() and not self.world.untried():
            self.first_round.set()

    def _accept_own(self, collection: Collection, fresh_until: float) -> None:
        """The same way for what no watch brings: how backups stand."""
        self.world.current.accept(collection, fresh_until)
        self.history.offer(collection)
        self.duty.judge(collection)

    async def _announce(self) -> None:
        try:
            async with asyncio.timeout(FIRST_ROUND_WITHIN_SECONDS):
                await self.first_round.wait()
        except TimeoutError:
            self.log.warning("some targets were not tried yet", targets=self.world.untried())
        self._announced = True
        self.notifier.ready()
        self.notifier.status(self._pulse.sentence())

    def _token(self) -> Secret | None:
        return self.configuration.http.metrics_token

    def _families(self) -> Iterable[Family]:
        yield from history_families(
            dropped=self.history.dropped,
            trouble=self.history.trouble is not None,
            duplicates=self.world.exposition.duplicates_total,
        )
        yield from self.duty.families()

    def _components(self) -> Iterable[Component]:
        late = self._pulse.overdue()
        yield Component(
            name="loop",
            state=Health.CRITICAL if late else Health.OK,
            reason=f"not tried: {', '.join(late)}" if late else "",
        )
        trouble = self.history.trouble
        yield Component(
            name="history", state=Health.WARNING if trouble else Health.OK, reason=trouble.detail if trouble else ""
        )
        yield self.duty.component()
        backups = self.backups.component()
        if backups is not None:
            yield backups
