"""The time to full, out of a real history file."""

import threading
from collections.abc import AsyncIterator, Iterable, Sequence
from functools import partial
from math import inf
from pathlib import Path

import pytest

from collectors import COLLECTORS
from collectors.contract import Kind
from collectors.host.disks import DISK_FREE, DISK_USED, INODES_USED_RATIO
from collectors.host.machine import HostMachine
from collectors.postgresql.databases import WRAPAROUND
from collectors.postgresql.replication import SLOT_RETAINED
from collectors.postgresql.server import PostgresServer, ServerLimits
from collectors.postgresql.sizes import SIZE
from collectors.sqlite.database import SIZE as FILE_SIZE
from collectors.sqlite.file import SqliteFile
from collectors.trends import (
    GROWTH_BYTES,
    GROWTH_RATIO,
    QUANTITIES,
    TIME_TO_FULL,
    Trends,
    TrendsSettings,
    disk_of,
    followed,
)
from history.courses import Courses
from history.reading import SeriesHistory, open_reader
from history.recording import History
from tests.builders import ManualClock, a_collection, a_sample
from tests.collectors.postgresql.measuring import series
from tests.recorded import FULL_HOUR
from toban.outcomes import Reason
from toban.samples import Collection, Findings, Metric
from toban.secrets import Dsn

HOUR = 3600.0
DAY = 24 * HOUR
GB = 1e9
Measured = tuple[Metric, tuple[str, ...], float]


@pytest.fixture
def clock() -> ManualClock:
    """A clock at a full hour."""
    return ManualClock(now=FULL_HOUR)


class Kept(History):
    """A history, and beside it what the daemon would have in memory; a test draws its trends from one of them."""

    live: Courses
    from_file = True

    def offer(self, collection: Collection) -> None:
        """As the service does."""
        self.live.offer(collection)
        super().offer(collection)

    @property
    def courses(self) -> Courses:
        """What was followed all the time, or what a daemon that has just started knows."""
        return Courses(followed(), partial(open_reader, self.path)) if self.from_file else self.live


@pytest.fixture(params=["file", "memory"])
async def history(tmp_path: Path, clock: ManualClock, request: pytest.FixtureRequest) -> AsyncIterator[Kept]:
    """An empty history; what is drawn from it must not depend on whether the daemon was restarted."""
    opened = await Kept.open(tmp_path / "state.db", clock)
    assert isinstance(opened, Kept)
    opened.from_file = request.param == "file"
    opened.live = Courses(followed(), partial(open_reader, tmp_path / "state.db"))
    yield opened
    await opened.close()


async def lived(
    history: Kept, clock: ManualClock, turns: Iterable[Sequence[Measured]], *, every: float, target: str = "main"
) -> None:
    """So many turns of one collector, one after the other."""
    for measured in turns:
        clock.advance(every)
        samples = [a_sample(m, value, labels=labels, taken_at=clock.now()) for m, labels, value in measured]
        history.offer(a_collection(*samples, target=target, collector=f"of {target}", taken_at=clock.now()))
    assert await history.flush()


def a_disk(used: float, total: float = 100 * GB, mount: str = "/") -> list[Measured]:
    """A disk's space."""
    return [(DISK_USED, (mount,), used), (DISK_FREE, (mount,), total - used)]


def trends(history: Kept, clock: ManualClock, kind: Kind = Kind.HOST, target: str = "main") -> Trends:
    """The collector on that history."""
    source = HostMachine()
    if kind is not Kind.HOST:
        source = PostgresServer(Dsn("postgresql://toban@127.0.0.1/postgres"), clock, ServerLimits())  # type: ignore[assignment] # a source is a source
    collector = Trends(source, TrendsSettings(), clock)
    collector.follow(target, kind, history.courses)
    return collector


def gaps(findings: Findings) -> list[tuple[str, Reason, int]]:
    """What is not known."""
    return [(gap.what, gap.reason, gap.count) for gap in findings.gaps]


def test_quantities_are_measured_and_kept() -> None:
    """A trend of what nobody keeps would be unknown for ever."""
    kept = {metric.name for collector in COLLECTORS for metric in collector.metrics if metric.kept}
    assert {quantity.metric for found in QUANTITIES.values() for quantity in found} <= kept


async def test_disk_that_fills_steadily_has_its_day(history: Kept, clock: ManualClock) -> None:
    """Five days at ten gigabytes a day; fifty are left, for five days."""
    await lived(history, clock, (a_disk(10 * GB * n / 288) for n in range(5 * 288 + 1)), every=300)
    found = await trends(history, clock).collect()
    assert series(found, TIME_TO_FULL)["disk", "/"] == pytest.approx(5 * DAY, rel=0.01)
    assert series(found, GROWTH_BYTES)["disk", "/"] == pytest.approx(10 * GB, rel=0.01)
    assert found.gaps == ()


async def test_disk_is_not_fooled_by_a_delete_and_a_bulk_load(history: Kept, clock: ManualClock) -> None:
    """Twenty gigabytes removed on the second day and thirty loaded on the fourth: the rate stays what it was."""

    def used(n: int) -> float:
        return 30 * GB + GB * n / 288 - (20 * GB if n > 400 else 0) + (30 * GB if n > 1000 else 0)

    await lived(history, clock, (a_disk(used(n)) for n in range(5 * 288 + 1)), every=300)
    found = await trends(history, clock).collect()
    assert series(found, GROWTH_BYTES)["disk", "/"] == pytest.approx(GB, rel=0.01)
    assert series(found, TIME_TO_FULL)["disk", "/"] == pytest.approx(55 * DAY, rel=0.02)


async def test_disk_that_is_young_is_told_only_as_far_as_it_was_seen(history: Kept, clock: ManualClock) -> None:
    """Two hours of history reach four ahead: ten hours are not known, and it is said what is missing."""
    await lived(history, clock, (a_disk(GB * n / 12, total=12 * GB) for n in range(25)), every=300)
    found = await trends(history, clock).collect()
    assert series(found, TIME_TO_FULL) == {}
    assert gaps(found) == [("time to full: disk", Reason.HISTORY_SHORT, 1)]
    assert found.gaps[0].detail == "/: 2h of history tell 4h ahead"


async def test_disk_in_a_rush_is_told_at_once(history: Kept, clock: ManualClock) -> None:
    """Two gigabytes in an hour after a quiet start, with three to go: an hour and a half."""
    await lived(history, clock, (a_disk(2 * GB * n / 12, total=9 * GB) for n in range(37)), every=300)
    found = await trends(history, clock).collect()
    assert series(found, TIME_TO_FULL)["disk", "/"] == pytest.approx(1.5 * HOUR, rel=0.02)


async def test_disk_that_shrinks_will_never_be_full(history: Kept, clock: ManualClock) -> None:
    """Infinite is an answer; absent is none."""
    await lived(history, clock, (a_disk(90 * GB - GB * n / 12) for n in range(25)), every=300)
    found = await trends(history, clock).collect()
    assert series(found, TIME_TO_FULL) == {("disk", "/"): inf}
    assert series(found, GROWTH_BYTES)["disk", "/"] < 0


async def test_first_minutes_are_unknown(history: Kept, clock: ManualClock) -> None:
    """Not zero, not infinite: a reason."""
    await lived(history, clock, [a_disk(GB), a_disk(GB)], every=60)
    found = await trends(history, clock).collect()
    assert found.samples == ()
    assert gaps(found) == [("time to full: disk", Reason.HISTORY_SHORT, 1)]
    assert found.gaps[0].detail == "/: hardly measured yet"


async def test_inodes_run_out_as_well(history: Kept, clock: ManualClock) -> None:
    """A share of one: half used, a tenth a day."""
    turns = ([(INODES_USED_RATIO, ("/srv",), 0.1 * n / 288)] for n in range(5 * 288 + 1))
    await lived(history, clock, turns, every=300)
    found = await trends(history, clock).collect()
    assert series(found, TIME_TO_FULL)["inodes", "/srv"] == pytest.approx(5 * DAY, rel=0.01)
    assert series(found, GROWTH_RATIO)["inodes", "/srv"] == pytest.approx(0.1, rel=0.01)


async def test_transaction_ids_count_as_consumed_although_freezing_gives_back(
    history: Kept, clock: ManualClock
) -> None:
    """A hundredth a day, on the third day all of it frozen back: what is left at the present rate is what counts."""

    def ratio(n: int) -> list[Measured]:
        return [(WRAPAROUND, ("shop",), 0.1 + 0.01 * (n if n < 800 else n - 800) / 288)]

    await lived(history, clock, map(ratio, range(5 * 288 + 1)), every=300)
    found = await trends(history, clock, Kind.POSTGRESQL).collect()
    left = 1 - (0.1 + 0.01 * 640 / 288)
    assert series(found, TIME_TO_FULL)["xid", "shop"] == pytest.approx(left / 0.01 * DAY, rel=0.01)


async def test_slot_fills_the_disk_below_its_server(
    history: Kept, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two gigabytes an hour, with five free on the disk of the data directory and a lot on another."""
    turns = ([(SLOT_RETAINED, ("standby", "physical"), 2 * GB * n / 12)] for n in range(73))
    host = (a_disk(95 * GB) + a_disk(GB, mount="/nowhere") for _ in range(6))
    await lived(history, clock, turns, every=300)
    await lived(history, clock, host, every=1, target="host")
    collector = trends(history, clock, Kind.POSTGRESQL)
    collector.source.data_directory = str(tmp_path)  # type: ignore[attr-defined] # this source is a server
    found = await collector.collect()
    assert series(found, TIME_TO_FULL)["slot", "standby"] == pytest.approx(2.5 * HOUR, rel=0.02)


async def test_database_elsewhere_has_growth_but_no_end(history: Kept, clock: ManualClock) -> None:
    """Its disk is not ours to see: that is said, and the growth is told."""
    turns = ([(SIZE, ("shop",), GB + GB * n / 288)] for n in range(5 * 288 + 1))
    await lived(history, clock, turns, every=300)
    found = await trends(history, clock, Kind.POSTGRESQL).collect()
    assert series(found, GROWTH_BYTES)["database", "shop"] == pytest.approx(GB, rel=0.01)
    assert series(found, TIME_TO_FULL) == {}
    assert gaps(found) == [("time to full: disk below", Reason.UNSUPPORTED, 1)]


async def test_sqlite_file_fills_its_own_disk(history: Kept, clock: ManualClock, tmp_path: Path) -> None:
    """Its place is its path."""
    await lived(history, clock, ([(FILE_SIZE, (), GB * n / 12)] for n in range(73)), every=300, target="ledger")
    await lived(history, clock, (a_disk(98 * GB) for _ in range(3)), every=1, target="host")
    collector = Trends(SqliteFile(tmp_path / "ledger.db"), TrendsSettings(), clock)
    collector.follow("ledger", Kind.SQLITE, history.courses)
    found = await collector.collect()
    assert series(found, TIME_TO_FULL) == {("database", ""): pytest.approx(2 * HOUR, rel=0.02)}


async def test_place_that_hangs_holds_up_nobody(
    history: Kept, clock: ManualClock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file on a dead network disk is looked for in a thread; meanwhile its disk is the one that was known."""
    monkeypatch.setattr("collectors.trends.PLACE_SECONDS", 60.0)
    collector = Trends(SqliteFile(tmp_path / "ledger.db"), TrendsSettings(), clock)
    collector.follow("ledger", Kind.SQLITE, history.courses)
    assert await collector._mount(["/", str(tmp_path)]) == str(tmp_path)
    dead = threading.Event()
    monkeypatch.setattr("collectors.trends.PLACE_SECONDS", 0.05)
    monkeypatch.setattr("collectors.trends.disk_of", lambda *_: dead.wait(60))
    for _ in range(2):
        assert await collector._mount(["/"]) == str(tmp_path)
    dead.set()


async def test_slot_that_was_dropped_fills_nothing(history: Kept, clock: ManualClock) -> None:
    """Its past is still in the history; it has no future."""
    turns = ([(SLOT_RETAINED, ("gone", "physical"), GB * n)] for n in range(30))
    await lived(history, clock, turns, every=300)
    clock.advance(1000)
    assert (await trends(history, clock, Kind.POSTGRESQL).collect()).samples == ()


async def test_largest_come_first_where_there_are_many(history: Kept, clock: ManualClock) -> None:
    """The bound is on series, not on what is looked at."""
    turns = ([(SIZE, (f"d{number}",), GB * number + n) for number in range(8)] for n in range(30))
    await lived(history, clock, turns, every=300)
    collector = trends(history, clock, Kind.POSTGRESQL)
    collector.settings = TrendsSettings(most=2)
    assert {name for _, name in series(await collector.collect(), GROWTH_BYTES)} == {"d6", "d7"}


async def test_history_that_is_not_there_is_a_reason(clock: ManualClock, tmp_path: Path) -> None:
    """Without a state file nothing was seen yet; the target is not to blame."""
    collector = Trends(HostMachine(), TrendsSettings(), clock)
    assert (await collector.collect()).samples == ()
    collector.follow("main", Kind.HOST, Courses(followed(), partial(open_reader, tmp_path / "none.db")))
    assert gaps(await collector.collect()) == [("trends", Reason.HISTORY_SHORT, 1)]


class Hanging(Courses):
    """The disk of the state does not answer."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__(followed(), partial(open_reader, Path("/nowhere")))
        self.gate = gate

    def read(self, now: float) -> tuple[list[SeriesHistory], list[SeriesHistory]]:
        """Not within this test."""
        self.gate.wait(30)
        return super().read(now)


async def test_history_that_hangs_is_a_reason_and_memory_is_told_all_the_same(clock: ManualClock) -> None:
    """Neither the target nor its other values suffer for the disk of the state, in this turn nor in the next."""
    gate = threading.Event()
    courses = Hanging(gate)
    for n in range(25):
        clock.advance(300)
        samples = [a_sample(m, value, labels=at, taken_at=clock.now()) for m, at, value in a_disk(90 * GB - GB * n)]
        courses.offer(a_collection(*samples, taken_at=clock.now()))
    collector = Trends(HostMachine(), TrendsSettings(timeout=0.05), clock)
    collector.follow("main", Kind.HOST, courses)
    for _ in range(2):
        found = await collector.collect()
        assert gaps(found) == [("trends", Reason.UNANSWERED, 1)]
        assert series(found, TIME_TO_FULL) == {("disk", "/"): inf}
    gate.set()


async def test_mount_that_is_gone_is_no_bound(history: Kept, clock: ManualClock, tmp_path: Path) -> None:
    """What was free on a disk that is mounted no more does not stand between a file and the disk it is on now."""
    gone = str(tmp_path)
    await lived(history, clock, (a_disk(GB, mount=gone) for _ in range(3)), every=300, target="host")
    clock.advance(3 * 3600)
    await lived(history, clock, ([(FILE_SIZE, (), GB * n / 12)] for n in range(73)), every=300, target="ledger")
    await lived(history, clock, (a_disk(98 * GB) for _ in range(3)), every=1, target="host")
    collector = Trends(SqliteFile(tmp_path / "ledger.db"), TrendsSettings(), clock)
    collector.follow("ledger", Kind.SQLITE, history.courses)
    assert series(await collector.collect(), TIME_TO_FULL) == {("database", ""): pytest.approx(2 * HOUR, rel=0.02)}


async def test_disk_measured_by_the_hour_has_its_trend(clock: ManualClock) -> None:
    """Its beat is somebody's setting; ten minutes after a reading it has not gone."""
    courses = Courses(followed(), partial(open_reader, Path("/nowhere")))
    for n in range(30):
        clock.advance(HOUR)
        samples = [a_sample(m, value, labels=at, taken_at=clock.now()) for m, at, value in a_disk(GB * n)]
        courses.offer(a_collection(*samples, taken_at=clock.now()))
    clock.advance(2 * HOUR)
    collector = Trends(HostMachine(), TrendsSettings(), clock)
    collector.follow("main", Kind.HOST, courses)
    assert series(await collector.collect(), GROWTH_BYTES)["disk", "/"] == pytest.approx(24 * GB, rel=0.01)


def test_quantities_have_labels_in_the_order_of_the_file() -> None:
    """The file sorts them: a series out of it must be the one that goes on in memory."""
    named = {metric.name: metric.labels for collector in COLLECTORS for metric in collector.metrics}
    assert [name for name in followed() if list(named[name]) != sorted(named[name])] == []


def test_trends_are_for_all_that_grows() -> None:
    """PgBouncer stores nothing."""
    assert [kind for kind in Kind if not Trends.serves(kind)] == [Kind.PGBOUNCER]


def test_disk_is_the_longest_mount_that_leads_there(tmp_path: Path) -> None:
    """Not one whose name merely begins alike."""
    place = Path("/srv/data/base")
    assert disk_of(place, ["/", "/srv", "/srv/data", "/srv/data/bas"]) == "/srv/data"
    assert disk_of(Path("/srv"), ["/", "/srv"]) == "/srv"
    assert disk_of(place, ["/home"]) is None
    assert disk_of(None, ["/"]) is None
