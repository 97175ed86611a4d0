"""Rules about backups: each fires and clears by what is told of real records, drills, WAL and room."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from backup.keeping.telling import Known, told, told_of_repository
from backup.metrics import COLLECTOR, TARGET
from backup.plan import planned
from backup.settings import Backups, Copy, Drill, Job
from backup.space import Room
from tests.alerting.shipped.judging import Judging, judging, rule_of
from tests.backup.keeper.records import DAY, HOUR, MAIN, a_job, a_record, proved_at, verified_at
from tests.builders import ManualClock
from toban.alerts import Severity
from toban.backups import (
    BackupRecord,
    DrillRecord,
    GapKind,
    Marks,
    Method,
    Reachable,
    Status,
    Trouble,
    WalGap,
    WalStanding,
)
from toban.samples import Batch, Collection

NIGHTLY = a_job(schedule="0 2 * * *")
BASE = a_job("base", method=Method.BASE)
WAL = a_job("wal", method=Method.WAL)
GOALS = Drill(name="quarterly", backup="base", rpo_goal=900.0, rto_goal=1800.0)
NAS = Copy(name="nas", path=Path("/mnt/nas"))


@dataclass
class Scene:
    """What there is of backups, and the clock it is seen by. A test changes it as time would."""

    clock: ManualClock
    jobs: tuple[Job, ...] = (NIGHTLY,)
    records: Sequence[BackupRecord] = ()
    drills: tuple[DrillRecord, ...] = ()
    copies: tuple[Copy, ...] = ()
    wal: Callable[[float], WalStanding] | None = None
    wal_damaged: int | None = None
    receiving: bool | None = None
    room: Room = field(default_factory=lambda: Room(free_bytes=50, total_bytes=100))
    up: bool = True
    full_in_seconds: float | None = None

    def told(self) -> Batch:
        """As the daemon tells it each minute, of the target."""
        now = self.clock.now()
        settings = Backups(
            repository=Path("/r"), jobs=self.jobs, drills=(GOALS,) if BASE in self.jobs else (), copies=self.copies
        )
        return told(
            Known(
                plan=planned(settings, (MAIN,)),
                target="main",
                now=now,
                records=self.records,
                drills=self.drills,
                wal=None if self.wal is None else self.wal(now),
                wal_damaged=self.wal_damaged,
                receiving=self.receiving,
                known_since=dict.fromkeys(("nightly", "base", "wal"), now - 60 * DAY),
            )
        )

    def told_of_repository(self) -> Batch:
        """Likewise of the repository."""
        return told_of_repository(
            self.clock.now(), up=self.up, room=self.room if self.up else None, full_in_seconds=self.full_in_seconds
        )


def looking(judge: Judging, scene: Scene, *, repository: bool = False) -> Any:  # noqa: ANN401 - a Look
    """A minute's look at it."""
    judge.target = TARGET if repository else "main"

    async def look() -> None:
        batch = scene.told_of_repository() if repository else scene.told()
        judge.hear(
            Collection(
                target=judge.target,
                collector=COLLECTOR,
                taken_at=scene.clock.now(),
                duration_seconds=0.0,
                samples=tuple(batch.samples),
            )
        )

    return look


def good(clock: ManualClock, age_seconds: float = HOUR, **more: Any) -> BackupRecord:  # noqa: ANN401 - any of its parts
    """A backup that was made so long ago, read through and proved at once."""
    at = clock.now() - age_seconds
    marks = Marks(verification=verified_at(at + 60), proof=proved_at(at + 120), copies={"nas": at})
    return a_record(**{"at": at, "marks": marks, **more})


async def test_overdue_backup_fires_and_clears(manual_clock: ManualClock) -> None:
    """A daily one after a day and an hour, worse after two; it is over with the next."""
    judge = judging("backup_overdue", manual_clock)
    scene = Scene(manual_clock, records=[good(manual_clock, 8 * HOUR)])
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    manual_clock.advance(16 * HOUR)
    await judge.fires(look, Severity.WARNING, "nightly")
    manual_clock.advance(DAY)
    await judge.fires(look, Severity.CRITICAL, "nightly")
    scene.records = [good(manual_clock)]
    await judge.clears(look)


async def test_failed_backup_fires_and_clears(manual_clock: ManualClock) -> None:
    """One failure; three; a good one."""
    judge = judging("backup_failed", manual_clock)
    scene = Scene(manual_clock, records=[good(manual_clock)])
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    failed = a_record(at=manual_clock.now(), status=Status.FAILED, trouble=Trouble.SPACE)
    scene.records = [failed, *scene.records]
    await judge.fires(look, Severity.WARNING, "nightly")
    scene.records = [failed, failed, *scene.records]
    await judge.fires(look, Severity.CRITICAL, "nightly")
    scene.records = [good(manual_clock), *scene.records]
    await judge.clears(look)


async def test_damaged_backup_fires_and_clears(manual_clock: ManualClock) -> None:
    """At once; it is over when it is gone."""
    judge = judging("backup_damaged", manual_clock)
    scene = Scene(manual_clock, records=[good(manual_clock)])
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    scene.records = [replace(good(manual_clock), status=Status.DAMAGED)]
    await judge.fires(look, Severity.CRITICAL, "nightly")
    scene.records = [good(manual_clock)]
    await judge.clears(look)


async def test_unproved_backups_fire_and_clear(manual_clock: ManualClock) -> None:
    """New ones come each night; none was restored for nine days, then for a month."""
    judge = judging("backup_unproved", manual_clock)
    proven = good(manual_clock, 7 * DAY)
    scene = Scene(manual_clock, records=[a_record(at=manual_clock.now()), proven])
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    manual_clock.advance(2 * DAY)
    await judge.fires(look, Severity.WARNING, "nightly")
    manual_clock.advance(22 * DAY)
    await judge.fires(look, Severity.CRITICAL, "nightly")
    scene.records = [good(manual_clock)]
    await judge.clears(look)


async def test_unverified_backup_fires_and_clears(manual_clock: ManualClock) -> None:
    """A day after it was made; it is over once it is read."""
    judge = judging("backup_unverified", manual_clock)
    scene = Scene(manual_clock, records=[a_record(at=manual_clock.now())])
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    manual_clock.advance(DAY)
    await judge.fires(look, Severity.WARNING, "nightly")
    scene.records = [replace(scene.records[0], marks=Marks(verification=verified_at(manual_clock.now())))]
    await judge.clears(look)


async def test_unread_backup_fires_and_clears(manual_clock: ManualClock) -> None:
    """One of those that are kept should have been read again three days ago."""
    judge = judging("backup_unread", manual_clock)
    scene = Scene(manual_clock, records=[good(manual_clock), good(manual_clock, 8 * DAY)])
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    manual_clock.advance(2 * DAY)
    await judge.fires(look, Severity.WARNING, "nightly")
    now = Marks(verification=verified_at(manual_clock.now()))
    scene.records = [replace(record, marks=now) for record in scene.records]
    await judge.clears(look)


@pytest.mark.parametrize("name", ["backup_shrunk", "backup_grown"])
async def test_unusual_backup_fires_and_clears(name: str, manual_clock: ManualClock) -> None:
    """Last night's is a third of the usual, then a twentieth; or four times of it; the next is as ever."""
    judge = {
        "backup_shrunk": judging("backup_shrunk", manual_clock),
        "backup_grown": judging("backup_grown", manual_clock),
    }[name]
    usual = [good(manual_clock, days * DAY, size=90_000_000) for days in range(2, 7)]
    scene = Scene(manual_clock, records=[good(manual_clock, size=80_000_000), *usual])
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    scene.records = [good(manual_clock, size=30_000_000 if name == "backup_shrunk" else 360_000_000), *usual]
    await judge.fires(look, Severity.WARNING, "nightly", "size")
    if name == "backup_shrunk":
        scene.records = [good(manual_clock, size=4_500_000), *usual]
        await judge.fires(look, Severity.CRITICAL, "nightly", "size")
    scene.records = [good(manual_clock, size=85_000_000), *usual]
    await judge.clears(look)


async def test_backup_with_fewer_rows_has_shrunk(manual_clock: ManualClock) -> None:
    """Though it takes as much room as ever."""
    judge = judging("backup_shrunk", manual_clock)
    usual = [good(manual_clock, days * DAY, rows=100_000) for days in range(2, 7)]
    scene = Scene(manual_clock, records=[good(manual_clock, rows=40_000), *usual])
    await judge.fires(looking(judge, scene), Severity.WARNING, "nightly", "rows")


async def test_copy_that_is_behind_fires_and_clears(manual_clock: ManualClock) -> None:
    """A day, then three; it is over when it has caught up."""
    judge = judging("backup_copy_behind", manual_clock)
    here = replace(good(manual_clock), marks=Marks())
    scene = Scene(manual_clock, records=[here], copies=(NAS,))
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    manual_clock.advance(DAY)
    await judge.fires(look, Severity.WARNING, "nightly", "nas")
    manual_clock.advance(2 * DAY)
    await judge.fires(look, Severity.CRITICAL, "nightly", "nas")
    scene.records = [replace(here, marks=Marks(copies={"nas": manual_clock.now()}))]
    await judge.clears(look)


def a_standing(now: float, *, lag: float = 5.0, back: float = 8 * DAY, lost: int = 0) -> WalStanding:
    """The WAL of `main`: how late it is, how far back it reaches, how much of it is lost."""
    gaps = (WalGap(timeline=1, from_lsn="0/1", to_lsn="0/2", kind=GapKind.LOST, segments=lost),) if lost else ()
    span = Reachable(timeline=1, from_at=now - back, to_at=now - lag, backup="b")
    return WalStanding(target="main", gaps=gaps, reachable=(span,), lag_seconds=lag)


@pytest.mark.parametrize(
    ("name", "ill", "worse"),
    [
        ("wal_late", {"lag": 400.0}, {"lag": 1000.0}),
        ("wal_lost", None, {"lost": 2}),
        ("wal_window_shrunk", {"back": 5 * DAY}, {"back": DAY}),
    ],
)
async def test_wal_in_trouble_fires_and_clears(
    name: str, ill: dict[str, Any] | None, worse: dict[str, Any], manual_clock: ManualClock
) -> None:
    """It arrives late; a stretch is lost; the time that can be reached is shorter than promised."""
    judge = {
        "wal_late": judging("wal_late", manual_clock),
        "wal_lost": judging("wal_lost", manual_clock),
        "wal_window_shrunk": judging("wal_window_shrunk", manual_clock),
    }[name]
    base = a_record("base", method=Method.BASE, at=manual_clock.now() - 9 * DAY)
    scene = Scene(manual_clock, jobs=(BASE, WAL), records=[base], wal=a_standing)
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    if ill is not None:
        scene.wal = lambda now: a_standing(now, **ill)
        await judge.fires(look, Severity.WARNING)
    scene.wal = lambda now: a_standing(now, **worse)
    await judge.fires(look, Severity.CRITICAL)
    scene.wal = a_standing
    await judge.clears(look)


async def test_damaged_wal_fires_and_clears(manual_clock: ManualClock) -> None:
    """One segment does not read well; the next reading finds it mended, or gone."""
    judge = judging("wal_damaged", manual_clock)
    scene = Scene(manual_clock, jobs=(BASE, WAL), wal_damaged=0)
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    scene.wal_damaged = 1
    await judge.fires(look, Severity.CRITICAL)
    scene.wal_damaged = 0
    await judge.clears(look)


async def test_stopped_stream_fires_and_clears(manual_clock: ManualClock) -> None:
    """Five minutes without; it streams again."""
    judge = judging("wal_stream_stopped", manual_clock)
    scene = Scene(manual_clock, jobs=(BASE, WAL), receiving=True)
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    scene.receiving = False
    await judge.fires(look, Severity.WARNING)
    scene.receiving = True
    await judge.clears(look)


def a_drill(clock: ManualClock, *, ok: bool = True, rpo: float = 60.0, rto: float = 600.0) -> DrillRecord:
    """The quarterly one, just now."""
    at = clock.now()
    return DrillRecord(
        id=f"{at:.0f}-quarterly",
        name="quarterly",
        target="main",
        backup="b",
        at=at,
        wanted="latest",
        ok=ok,
        recovered_to=at - rpo,
        rpo_seconds=rpo,
        rto_seconds=rto,
    )


@pytest.mark.parametrize(
    ("name", "ill", "labels"),
    [
        ("drill_failed", {"ok": False}, ("quarterly",)),
        ("rpo_missed", {"rpo": 1800.0}, ()),
        ("rto_missed", {"rto": 5400.0}, ()),
    ],
)
async def test_missed_drill_fires_and_clears(
    name: str, ill: dict[str, Any], labels: tuple[str, ...], manual_clock: ManualClock
) -> None:
    """The last one decides; the next that keeps its goals ends it."""
    judge = {
        "drill_failed": judging("drill_failed", manual_clock),
        "rpo_missed": judging("rpo_missed", manual_clock),
        "rto_missed": judging("rto_missed", manual_clock),
    }[name]
    scene = Scene(manual_clock, jobs=(BASE,), drills=(a_drill(manual_clock),))
    look = looking(judge, scene)
    await judge.stays_quiet(look)
    scene.drills = (a_drill(manual_clock, **ill), *scene.drills)
    await judge.fires(look, Severity.WARNING, *labels)
    scene.drills = (a_drill(manual_clock), *scene.drills)
    await judge.clears(look)


async def test_repository_that_is_gone_fires_and_clears(manual_clock: ManualClock) -> None:
    """Two minutes; it is mounted again."""
    judge = judging("backup_repository_down", manual_clock)
    scene = Scene(manual_clock)
    look = looking(judge, scene, repository=True)
    await judge.stays_quiet(look)
    scene.up = False
    await judge.fires(look, Severity.CRITICAL)
    scene.up = True
    await judge.clears(look)


@pytest.mark.parametrize("name", ["backup_repository_space", "backup_repository_full_soon"])
async def test_repository_without_room_fires_and_clears(name: str, manual_clock: ManualClock) -> None:
    """Now, or in some days as it grows; somebody makes room, and it grows no more."""
    judge = {
        "backup_repository_space": judging("backup_repository_space", manual_clock),
        "backup_repository_full_soon": judging("backup_repository_full_soon", manual_clock),
    }[name]
    scene = Scene(manual_clock, full_in_seconds=90 * DAY)
    look = looking(judge, scene, repository=True)
    await judge.stays_quiet(look)
    scene.room, scene.full_in_seconds = Room(free_bytes=15, total_bytes=100), 5 * DAY
    await judge.fires(look, Severity.WARNING)
    scene.room, scene.full_in_seconds = Room(free_bytes=5, total_bytes=100), HOUR
    await judge.fires(look, Severity.CRITICAL)
    scene.room, scene.full_in_seconds = Room(free_bytes=50, total_bytes=100), None
    await judge.clears(look)


def test_backup_rules_are_over_when_the_job_is_gone() -> None:
    """Taken out of the configuration, nobody can mend it."""
    names = ("backup_overdue", "backup_failed", "backup_damaged", "backup_unproved", "backup_copy_behind")
    assert all(rule_of(name).vanish for name in names)
