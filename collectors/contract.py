"""What a collector and its source are: the frame that every file of this package fills."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from toban.clock import Clock
from toban.config import Duration, Model, Name
from toban.outcomes import Failure
from toban.samples import Findings, Metric

RECALL_SECONDS = 2.0


class Kind(StrEnum):
    """What a target can be."""

    HOST = "host"
    POSTGRESQL = "postgresql"
    SQLITE = "sqlite"
    PGBOUNCER = "pgbouncer"
    MARIADB = "mariadb"


class CollectorSettings(Model):
    """What can be said of any collector under `collect:`; a collector's own settings extend it with their defaults."""

    enabled: bool = True
    every: Duration = 15.0
    timeout: Duration = 5.0


class EntrySettings(CollectorSettings):
    """What can be said of one entry of a collector that is a list under `collect:`, as `custom`, `logs`, `probes`."""

    name: Name


class Source(ABC):
    """One target's way in. It connects when first asked, tells why it cannot, and never waits without a bound."""

    spent_seconds: float = 0.0
    """Time the target itself has spent on our behalf since the start; the budget is judged by it."""

    asked_seconds: float = 0.0
    """How much of that went into SQL that a person wrote (`SqlSource.ask`). It stretches no collector's cadence."""

    answered_at: float = 0.0
    """The monotonic moment of the last answer. A late turn tells by it whether the target is deaf or merely slow."""

    @abstractmethod
    def explain(self, error: BaseException) -> Failure:
        """Turn an exception that a collector let through into a typed reason, without secrets."""

    @abstractmethod
    def abandon(self) -> None:
        """Cut whatever is open, at once and without waiting: a turn did not come back. The next turn starts afresh."""

    @abstractmethod
    async def close(self) -> None:
        """Say goodbye properly: the target is leaving the configuration or the daemon is stopping."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a source said to somebody's own SQL: at most as many rows as asked for."""

    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    more: bool = False
    """There were further rows, which were not taken."""


class AskedError(Exception):
    """Why somebody's own SQL has no answer, although the target may be in the best of health."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.detail)
        self.failure = failure


class SqlSource(Source):
    """A source that answers SQL which a person wrote: in a transaction that can only read, bounded by the server."""

    @abstractmethod
    async def ask(self, sql: str, *, timeout_seconds: float, most_rows: int, database: str | None = None) -> Answer:
        """The answer. An `AskedError` when the SQL has none; any other exception says that the target is in trouble."""


class Recall(Protocol):
    """What was remembered: the body of the last `Memory` of this name at the collector's target, None for nothing."""

    async def __call__(self, name: str) -> str | None:
        """Ask for it."""
        ...


SourceT = TypeVar("SourceT", bound=Source)
SettingsT = TypeVar("SettingsT", bound=CollectorSettings)


class Collector(ABC, Generic[SourceT, SettingsT]):
    """One thing that is measured at one kind of target. An instance belongs to one target and keeps its last reading.

    Collectors of one target that share a `lane` take turns; those of different lanes run side by side. For
    PostgreSQL a lane is a connection: `server` for server-wide views, `databases` for visits. An exception that
    `collect` lets through is explained by the source. `collect` must survive being cancelled at any await.
    """

    name: ClassVar[str]
    purpose: ClassVar[str] = ""
    """What its metrics are good for, in a sentence or two: the manual and `--describe` quote it."""
    kind: ClassVar[Kind | None]
    """The kind of target; None where each entry names its target, whatever that is."""
    listed: ClassVar[bool] = False
    """Whether its key under `collect:` is a list: one instance an entry, whose settings are an `EntrySettings`."""
    lane: str = "server"
    metrics: ClassVar[tuple[Metric, ...]]
    prefixes: ClassVar[tuple[str, ...]] = ()
    """Beginnings of the names of metrics that only the target knows, as its settings; they stand in no tuple."""
    settings_model: ClassVar[type[CollectorSettings]]
    asks: ClassVar[bool] = True
    """Whether it asks the target. A turn of one that does not tells nothing of whether the target is up."""

    recall: Recall | None = None
    """Given by the daemon, where there is a history: how to find again what an earlier process remembered."""

    def __init__(self, source: SourceT, settings: SettingsT, clock: Clock) -> None:
        self.source = source
        self.settings = settings
        self.clock = clock
        self._recollected = False

    async def recollect(self, take: Callable[[str | None], None]) -> bool:
        """Ask once what an earlier process remembered, and take it. False while the state file does not answer."""
        if not self._recollected:
            try:
                async with asyncio.timeout(RECALL_SECONDS):
                    body = None if self.recall is None else await self.recall(self.title)
            except TimeoutError:
                return False
            take(body)
            self._recollected = True
        return True

    @classmethod
    def serves(cls, kind: Kind) -> bool:
        """Whether it can be at work at a target of this kind."""
        return cls.kind is kind

    @classmethod
    def clashes(cls, entries: Sequence[Any]) -> Iterator[tuple[int, str]]:  # noqa: ARG003 - most lists have none
        """Entries of a list that cannot stand beside the others: the place of each, and why. Names are told apart."""
        return iter(())

    @property
    def title(self) -> str:
        """What this instance is called among the collectors of its target."""
        return f"{self.name}:{self.settings.name}" if isinstance(self.settings, EntrySettings) else self.name

    @abstractmethod
    async def collect(self) -> Findings:
        """Measure once."""
