"""What the pages and the local socket may see of the running daemon: the present, the standings, the instruments."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from pathlib import Path

from prometheus_client.core import Metric as Family

from daemon.disk import Disk
from daemon.documents import Document, metric_documents, own_documents
from daemon.http.exposition import Exposition, Format
from daemon.http.sections import Section
from daemon.instruments import Instruments, Joined
from daemon.roles import Duty, Keeping
from daemon.standings import Standings
from daemon.watch import Watch
from history.current import Current
from toban.clock import Clock
from toban.status import Component, Status, judge


@dataclass(slots=True, kw_only=True)
class World:
    """Everything that is known now, and nothing that acts."""

    clock: Clock
    zone: tzinfo
    state_path: Path
    gauges: Callable[[], Iterable[Family]]
    components: Callable[[], Iterable[Component]]
    current: Current = field(default_factory=Current)
    instruments: Instruments = field(default_factory=Instruments)
    exposition: Exposition = field(default_factory=Exposition)
    disk: Disk = field(default_factory=Disk)
    watches: dict[str, Watch] = field(default_factory=dict)
    duty: Duty | None = None  # who judges and tells; None until it is started
    backups: Keeping | None = None  # who keeps backups; None where none are configured
    opened: bool = False  # every configured target has its watch; before that, none missing means nothing

    _standings: Standings | None = None

    @property
    def own(self) -> Joined:
        """What Toban says of itself and of how its targets stand."""
        if self._standings is None:  # one for all scrapes: it remembers what it said
            self._standings = Standings(self.watches.values, self.gauges)
        return Joined(self.instruments.registry, self._standings)

    def page(self, form: Format) -> Iterator[Section | None]:
        """All of `/metrics`."""
        return self.exposition.page(self.current.collections(self.clock.monotonic()), self.own, form)

    def page_of(self, target: str, form: Format) -> Iterator[Section | None]:
        """`/probe`: one target's values alone."""
        collections = [c for c in self.current.collections(self.clock.monotonic()) if c.target == target]
        watch = self.watches[target]
        own = Standings(lambda: [watch], lambda: ())
        return self.exposition.page(collections, own, form, scope=target)

    def values(self, pattern: str, target: str | None) -> list[Document]:
        """What `/metrics` has, by the metric's name and the target, as documents."""
        measured = self.current.samples(self.clock.monotonic(), pattern=pattern, target=target)
        own = own_documents(self.own.collect(), pattern, target, self.clock.now(), self.zone)
        return [*metric_documents(measured, self.zone), *own]

    def knows(self, target: str) -> bool:
        """Whether there is this target; or values that stand under its name, as Toban's own do."""
        return target in self.watches or any(
            collection.target == target for collection in self.current.collections(self.clock.monotonic())
        )

    def status(self) -> Status:
        """Overall health, with every reason."""
        standings = [watch.standing() for watch in self.watches.values()]
        return judge(standings, self.components(), self.clock.now())

    def untried(self) -> list[str]:
        """The targets that a collector is to try and none has yet."""
        return [watch.name for watch in self.watches.values() if watch.asked and watch.tried_at is None]
