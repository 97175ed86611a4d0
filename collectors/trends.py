"""When what grows will be full: the trends of a target's own history, and the bound that each runs into.

It asks the target nothing: what it knows is what the other collectors brought and the history kept.
"""

import asyncio
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from math import isfinite
from pathlib import Path
from typing import Protocol

from pydantic import Field

from collectors.blocking import Blocking, StuckError
from collectors.contract import Collector, CollectorSettings, Kind, Source
from history.courses import Courses
from history.trends import DAY, Place, Trend, rises, seconds_to, trend
from toban.clock import Clock
from toban.config import Duration, format_duration
from toban.errors import UnavailableError
from toban.outcomes import Gap, Reason
from toban.samples import Batch, Findings, Metric, Unit

TIME_TO_FULL = Metric(
    name="toban_time_to_full_seconds",
    help="Until it is full at the rate of late; +Inf while it does not grow, absent while too little was seen to tell",
    unit=Unit.SECONDS,
    labels=("kind", "name"),
)
GROWTH_BYTES = Metric(
    name="toban_growth_bytes_per_day",
    help="How much it grows in a day at the rate of late; negative while it shrinks",
    unit=Unit.BYTES,
    labels=("kind", "name"),
)
GROWTH_RATIO = Metric(
    name="toban_growth_ratio_per_day",
    help="Which share of its bound it uses up in a day at the rate of late",
    unit=Unit.RATIO,
    labels=("kind", "name"),
)
FREE = "toban_host_disk_free_bytes"
STALE_SECONDS = 900.0
PLACE_SECONDS = 2.0
ANSWER_SHARE = 0.9  # of a turn's time: so that there is time left to say that the history did not answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """Something that fills up. Its series' labels together are its name."""

    kind: str
    metric: str
    stale_seconds: float = STALE_SECONDS
    """What was not measured for so long is gone, unless it is measured seldom: a dropped slot fills nothing."""
    whole: bool = False
    """The metric is a share of the whole; else it is bytes on a disk."""
    given_back: bool = False
    """It falls all the time as a matter of course (freezing): its rises count, not where it stands."""


QUANTITIES = {
    Kind.HOST: (
        Quantity(kind="disk", metric="toban_host_disk_used_bytes"),
        Quantity(kind="inodes", metric="toban_host_inodes_used_ratio", whole=True),
    ),
    Kind.POSTGRESQL: (
        Quantity(kind="database", metric="pg_database_size_bytes", stale_seconds=1800),
        Quantity(kind="slot", metric="toban_pg_slot_retained_bytes"),
        Quantity(kind="xid", metric="pg_wraparound_ratio", whole=True, given_back=True),
        Quantity(kind="multixact", metric="toban_pg_multixact_wraparound_ratio", whole=True, given_back=True),
        Quantity(kind="sequence", metric="toban_pg_sequence_used_ratio", whole=True, stale_seconds=9000),
    ),
    Kind.SQLITE: (Quantity(kind="database", metric="toban_sqlite_size_bytes"),),
    Kind.MARIADB: (Quantity(kind="database", metric="toban_mysql_schema_size_bytes", stale_seconds=1800),),
}


class Placed(Protocol):
    """A source that may know where on this machine its files are."""

    @property
    def place(self) -> Path | None:
        """The directory or file; None where it is not on this machine, or not known."""
        ...


class TrendsSettings(CollectorSettings):
    """Growth is slow; a look each quarter of an hour is often enough. `most`: of each quantity, the largest first."""

    every: Duration = 900.0
    timeout: Duration = 30.0
    most: int = Field(default=50, ge=1, le=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """One thing that fills up: where it stands, and how it has gone over the long and the short look back."""

    quantity: Quantity
    name: str
    last: float
    long: Trend | None
    short: Trend | None


class Trends(Collector[Source, TrendsSettings]):
    """Reads what its target's other collectors kept, and tells where it leads."""

    name = "trends"
    purpose = "How many days are left before a disk, the transaction numbers or a sequence run out."
    kind = None
    lane = "trends"
    metrics = (TIME_TO_FULL, GROWTH_BYTES, GROWTH_RATIO)
    settings_model = TrendsSettings
    asks = False

    def __init__(self, source: Source, settings: TrendsSettings, clock: Clock) -> None:
        super().__init__(source, settings, clock)
        self._blocking = Blocking(limit=2)
        self._disk: str | None = None
        self._target = ""
        self._kind = Kind.HOST
        self._courses: Courses | None = None

    @classmethod
    def serves(cls, kind: Kind) -> bool:
        """Every kind of which something grows."""
        return kind in QUANTITIES

    def follow(self, target: str, kind: Kind, courses: Courses) -> None:
        """Whose courses: wiring knows."""
        self._target, self._kind, self._courses = target, kind, courses

    async def collect(self) -> Findings:
        """Fill the courses from the file once, then decide by what is in memory; without the file by that alone."""
        if self._courses is None:
            return Findings(samples=())
        now = self.clock.now()
        gaps = await self._filled(self._courses, now)
        outlooks = []
        for quantity in QUANTITIES[self._kind]:
            outlooks += self._outlooks(self._courses, quantity, now)
            await asyncio.sleep(0)  # many series take their milliseconds: others have their turn in between
        mounts = self._courses.of(None, FREE).items()
        free = {key.name: course.last for key, course in mounts if course.fresh(now, STALE_SECONDS)}
        found = told(outlooks, await self._mount(free), free, now)
        return Findings(samples=found.samples, gaps=(*gaps, *found.gaps))

    async def _mount(self, mounts: Iterable[str]) -> str | None:
        """The mount that its files are on; the last one known while it hangs, which is when everybody looks here."""

        def look() -> str | None:
            return disk_of(getattr(self.source, "place", None), mounts)

        with suppress(TimeoutError, StuckError):
            self._disk = await self._blocking.run("its place", look, timeout_seconds=PLACE_SECONDS)
        return self._disk

    async def _filled(self, courses: Courses, now: float) -> tuple[Gap, ...]:
        """Fill them, or say why not. The disk of the state may hang: the target is not to blame."""
        try:
            async with asyncio.timeout(self.settings.timeout * ANSWER_SHARE):
                await self._fill(courses, now)
        except UnavailableError as error:
            return (Gap(what="trends", reason=Reason.HISTORY_SHORT, detail=f"{error.what}: {error.why}"),)
        except (TimeoutError, StuckError):
            return (Gap(what="trends", reason=Reason.UNANSWERED, detail="the history's disk did not answer in time"),)
        return ()

    async def _fill(self, courses: Courses, now: float) -> None:
        async with courses.filling:
            if not courses.filled:
                timeout_seconds = self.settings.timeout
                read = partial(courses.read, now)
                courses.fill(*await self._blocking.run("the history", read, timeout_seconds=timeout_seconds))

    def _outlooks(self, courses: Courses, quantity: Quantity, now: float) -> list[Outlook]:
        of_target = courses.of(self._target, quantity.metric).items()
        fresh = [(key, course) for key, course in of_target if course.fresh(now, quantity.stale_seconds)]
        fresh.sort(key=lambda one: -one[1].last)
        return [
            Outlook(
                quantity=quantity,
                name=key.name,
                last=course.last,
                long=_trend(quantity, course.long()),
                short=_trend(quantity, course.short()),
            )
            for key, course in fresh[: self.settings.most]
        ]


def followed() -> frozenset[str]:
    """The metrics whose courses it needs."""
    return frozenset({FREE, *(quantity.metric for found in QUANTITIES.values() for quantity in found)})


def told(outlooks: Iterable[Outlook], disk: str | None, free_bytes: Mapping[str, float], now: float) -> Findings:
    """From outlooks to samples; a gap for each kind of which too little was seen. Pure."""
    batch = Batch(now)
    unknown: dict[str, list[str]] = {}
    nowhere: list[str] = []
    for course in outlooks:
        rate = course.long or course.short
        if rate is not None:
            growth = GROWTH_RATIO if course.quantity.whole else GROWTH_BYTES
            batch.add(growth, rate.per_second * DAY, course.quantity.kind, course.name)
        bound = _bound(course, disk, free_bytes)
        if bound is None:
            nowhere.append(course.name)
            continue
        seconds = seconds_to(bound, course.last, (course.long, course.short))
        batch.add(TIME_TO_FULL, seconds, course.quantity.kind, course.name)
        if seconds is None:
            unknown.setdefault(course.quantity.kind, []).append(_far(course, bound))
    gaps = [_short(kind, names) for kind, names in unknown.items()]
    return Findings(samples=batch.samples, gaps=(*gaps, *_elsewhere(nowhere)))


def disk_of(place: Path | None, mounts: Iterable[str]) -> str | None:
    """The mount that holds a file of this machine: the longest of those that lead to it."""
    if place is None:
        return None
    real = os.path.realpath(place)
    return max((m for m in mounts if m in ("/", real) or real.startswith(f"{m}/")), key=len, default=None)


def _bound(course: Outlook, disk: str | None, free_bytes: Mapping[str, float]) -> float | None:
    if course.quantity.whole:
        return 1.0
    mount = course.name if course.quantity.kind == "disk" else disk
    free = free_bytes.get(mount) if mount is not None else None
    return None if free is None else course.last + free


def _trend(quantity: Quantity, places: list[Place]) -> Trend | None:
    return trend(rises(places) if quantity.given_back else places)


def _far(course: Outlook, bound: float) -> str:
    rate = course.long or course.short
    if rate is None or not isfinite(bound):
        return f"{course.name}: hardly measured yet"
    return f"{course.name}: {_span(rate.span_seconds)} of history tell {_span(rate.reach_seconds)} ahead"


def _span(seconds: float) -> str:
    return format_duration(max(60.0, seconds // 60 * 60))


def _short(kind: str, names: list[str]) -> Gap:
    return Gap(what=f"time to full: {kind}", reason=Reason.HISTORY_SHORT, count=len(names), detail=names[0])


def _elsewhere(names: list[str]) -> tuple[Gap, ...]:
    if not names:
        return ()
    detail = f"{names[0]}: the disk below it is not on this machine, or is not known; its growth is told"
    return (Gap(what="time to full: disk below", reason=Reason.UNSUPPORTED, count=len(names), detail=detail),)
