"""What visits the databases in turn: those put off come first, and each keeps its values until its next visit."""

import asyncio
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import asyncpg
from pydantic import Field

from collectors.contract import Collector, CollectorSettings, Kind
from collectors.postgresql.server import DownError, PostgresServer, Visit, home
from collectors.postgresql.sql import Query
from toban.clock import Clock
from toban.config import Duration
from toban.outcomes import Failure, Gap, Reason
from toban.samples import Batch, Findings, Metric, Sample

LAST_START_RATIO = 0.75  # of the turn's time: later than that no further visit begins
RESERVE_SECONDS = 1.0  # of the turn's time stay for parting and reporting
LEAST_SHARE = 5
_DATABASES = Query("visited_databases")


class TourSettings(CollectorSettings):
    """How often, how many series in all, and how long to rest between two databases."""

    timeout: Duration = 60.0
    top: int = Field(default=100, ge=1, le=10000)
    pause: Duration = 0.05


SettingsT = TypeVar("SettingsT", bound=TourSettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """What a visit to one database brought."""

    samples: tuple[Sample, ...]
    rows: tuple[object, ...] = ()
    gaps: tuple[Gap, ...] = ()


def skipped_metric(collector: str, what: str) -> Metric:
    """How many things of a database were not measured, and why: the same for each collector that goes on tour."""
    return Metric(
        name=f"toban_pg_{collector}_skipped",
        help=f"{what} not measured: locked ones one by one, and for other reasons databases as a whole",
        labels=("datname", "reason"),
    )


class Touring(Collector[PostgresServer, SettingsT]):
    """Visits as many databases as a turn's time allows. Those it does not reach come first in the next turn."""

    kind = Kind.POSTGRESQL
    lane = "databases"
    skipped: ClassVar[Metric]

    def __init__(self, source: PostgresServer, settings: SettingsT, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._visited_at: dict[str, float] = {}
        self._measured: dict[str, Stay] = {}
        self.share = settings.top

    @abstractmethod
    async def measure(self, database: str, visit: Visit) -> Stay:
        """Measure one database, of which at most `self.share` things may be shown."""

    def forget(self, present: list[str]) -> None:
        """Drop what is remembered of databases that are not among those present."""
        self._visited_at = {name: at for name, at in self._visited_at.items() if name in present}
        self._measured = {name: stay for name, stay in self._measured.items() if name in present}

    def shown(self, samples: Iterator[Sample]) -> Iterator[Sample]:
        """Those of all databases' samples that are told."""
        return samples

    async def collect(self) -> Findings:
        """The longest unvisited first."""
        deadline = self.clock.monotonic() + self.settings.timeout
        databases = await self._listed()
        self.share = share(self.settings.top, len(databases))
        waiting = sorted(databases, key=lambda name: (self._visited_at.get(name, float("-inf")), name))
        gaps: list[Gap] = []
        spare = max(self.settings.timeout * (1 - LAST_START_RATIO), 2 * RESERVE_SECONDS)
        while waiting and self._time_left(deadline) > spare:
            gaps += await self._visit(waiting.pop(0), deadline)
            await asyncio.sleep(self.settings.pause if waiting else 0)
        if waiting:
            gaps.append(_put_off(waiting, self.name))
        stays = self._measured.values()
        return Findings(
            samples=tuple(self.shown(sample for stay in stays for sample in stay.samples)),
            gaps=tuple(gaps),
            rows=tuple(row for stay in stays for row in stay.rows),
        )

    async def _listed(self) -> list[str]:
        """The databases in scope; what is remembered of others goes."""
        names = await databases_of(self.source)
        self.forget(names)
        return names

    async def _visit(self, database: str, deadline: float) -> tuple[Gap, ...]:
        """Measure one database. What goes wrong there is a gap, unless the server itself is gone."""
        self._visited_at[database] = self.clock.monotonic()
        try:
            async with (
                asyncio.timeout(self._time_left(deadline) - RESERVE_SECONDS),
                self.source.visiting(database) as visit,
            ):
                stay = await self.measure(database, visit)
        except DownError:
            raise
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            stay = self._missed(database, self.source.explain(error))
        self._measured[database] = stay
        return stay.gaps

    def _missed(self, database: str, failure: Failure) -> Stay:
        batch = Batch(self.clock.now())
        batch.add(self.skipped, 1, database, failure.reason)
        hint = "" if failure.reason is Reason.NOT_FOUND else failure.hint  # it was dropped; there is nothing to mend
        gap = Gap(what=f"{self.name} of {database}", reason=failure.reason, detail=failure.detail, hint=hint)
        return Stay(samples=batch.samples, gaps=(gap,))

    def _time_left(self, deadline: float) -> float:
        return deadline - self.clock.monotonic()


async def databases_of(server: PostgresServer) -> list[str]:
    """The databases that are looked at, by name."""
    async with server.visiting(home(server.dsn)) as visit:
        rows = await visit.fetch(_DATABASES)
    return [row["datname"] for row in rows if server.databases.chosen(row["datname"])]


def locked_gap(what: str, database: str, count: int) -> tuple[Gap, ...]:
    """What somebody holds was left out; no gap when it is nothing."""
    detail = "somebody holds or awaits ACCESS EXCLUSIVE on them, so that they were not measured"
    return (Gap(what=f"{what} in {database}", reason=Reason.LOCKED, count=count, detail=detail),) if count else ()


def share(top: int, databases: int) -> int:
    """How many things each database may show: an even share of the server's, but a few in any case."""
    return min(top, max(LEAST_SHARE, top // max(1, databases)))


def _put_off(databases: list[str], collector: str) -> Gap:
    detail = f"the turn's time ran out; {databases[0]} comes first in the next turn"
    return Gap(
        what="databases",
        reason=Reason.TIMEOUT,
        count=len(databases),
        detail=detail,
        hint=f"raise `timeout` or lower `top` of `collect: {collector}:`",
    )
