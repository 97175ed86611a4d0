"""Rules about the time to full: real disks, sequences and transaction numbers that run out by the test's clock."""

from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from collectors.contract import CollectorSettings, Kind
from collectors.host.disks import DisksCollector, DisksSettings
from collectors.host.machine import HostMachine
from collectors.postgresql.databases import DatabaseActivity
from collectors.postgresql.sequences import Sequences, SequencesSettings
from collectors.trends import Trends, TrendsSettings, followed
from history.courses import Courses
from history.reading import open_reader
from tests.alerting.shipped.judging import Judging, Look, judging
from tests.alerting.shipped.test_host import emptied, small_disk
from tests.alerting.shipped.test_replication import set_next
from tests.builders import ManualClock
from tests.collectors.postgresql.measuring import watching
from tests.conftest import NewCluster
from tests.recorded import recording
from toban.alerts import Severity

__all__ = ["small_disk"]

pytestmark = pytest.mark.integration
QUARTER, HOUR = 900.0, 3600.0


@pytest.fixture
async def courses(tmp_path: Path, manual_clock: ManualClock) -> AsyncIterator[Courses]:
    """What is followed, beside a history that knows nothing yet."""
    async with recording(tmp_path / "state.db", manual_clock):
        yield Courses(followed(), partial(open_reader, tmp_path / "state.db"))


def followed_by(judge: Judging, courses: Courses, collector: Any, kind: Kind) -> Look:  # noqa: ANN401 - any collector
    """A look with a collector, and at what its trends make of it."""
    trends = Trends(collector.source, TrendsSettings(), judge.clock)
    trends.follow(judge.target, kind, courses)
    judge.courses = courses

    async def look() -> None:
        await judge.look(collector, trends)

    return look


def after(happens: Iterator[None], look: Look) -> Look:
    """A look after the next thing that happens."""

    async def both() -> None:
        next(happens)
        await look()

    return both


async def test_disk_that_will_be_full_fires_and_clears(
    small_disk: Path, courses: Courses, manual_clock: ManualClock
) -> None:
    """A quarter of an hour takes 64 kB of 8 MB: it is seen coming a day before, and is over when it is emptied."""
    judge = judging("disk_full_soon", manual_clock, where={"kind": "disk", "name": str(small_disk)})
    judge.step_seconds = QUARTER
    collector = DisksCollector(HostMachine(), DisksSettings(exclude_types=()), manual_clock)
    look = followed_by(judge, courses, collector, Kind.HOST)

    def fill() -> Iterator[None]:
        for number in range(120):
            (small_disk / f"{number}").write_bytes(bytes(65_536))
            yield

    await judge.fires(after(fill(), look), Severity.WARNING, "disk", str(small_disk))
    emptied(small_disk)
    await judge.clears(look)


async def test_sequence_that_will_end_fires_and_clears(
    new_cluster: NewCluster, courses: Courses, manual_clock: ManualClock
) -> None:
    """A quarter of an hour takes 1 % of it: that is hours, not weeks. Then nobody takes any more."""
    cluster = new_cluster(settings={"autovacuum": "off"})
    cluster.psql("create sequence s as smallint")
    judge = judging("sequence_full_soon", manual_clock)
    judge.step_seconds = QUARTER
    async with watching(cluster, manual_clock) as server:
        collector = Sequences(server, SequencesSettings(pause=0.0), manual_clock)
        look = followed_by(judge, courses, collector, Kind.POSTGRESQL)

        def used() -> Iterator[None]:
            for percent in range(1, 100):
                cluster.psql(f"select setval('s', {percent * 327})")
                yield

        await judge.fires(after(used(), look), Severity.CRITICAL, "sequence", "postgres.public.s")
        cluster.psql("alter sequence s as bigint")
        await judge.clears(look)


async def test_transaction_numbers_that_will_end_fire_and_clear(
    new_cluster: NewCluster, courses: Courses, manual_clock: ManualClock
) -> None:
    """An hour takes a hundred million of them (by pg_resetwal): a day is left. Then none is taken."""
    most = {"autovacuum_freeze_max_age": "2000000000", "autovacuum_multixact_freeze_max_age": "2000000000"}
    cluster = new_cluster(15, settings={"autovacuum": "off", **most})
    judge = judging("wraparound_soon", manual_clock, where={"kind": "xid", "name": "postgres"})
    judge.step_seconds = HOUR
    async with watching(cluster, manual_clock) as server:
        collector = DatabaseActivity(server, CollectorSettings(), manual_clock)
        look = followed_by(judge, courses, collector, Kind.POSTGRESQL)

        def taken() -> Iterator[None]:
            for hundred_millions in range(1, 15):
                set_next(cluster, "xid", hundred_millions * 100_000_000)
                yield

        await judge.fires(after(taken(), look), Severity.CRITICAL, "xid", "postgres")
        await judge.clears(look)
