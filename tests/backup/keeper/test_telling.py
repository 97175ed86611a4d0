"""What the metrics say of backups."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backup.keeping.telling import Known, failures_since_success, told, told_of_repository, window_seconds
from backup.plan import Plan, planned
from backup.settings import Backups, Copy, Drill, Job, Proof
from backup.space import Room
from tests.backup.keeper.records import DAY, HOST, HOUR, MAIN, a_job, a_record, proved_at, verified_at
from tests.builders import START
from toban.backups import (
    BackupRecord,
    DrillRecord,
    GapKind,
    Marks,
    Method,
    Reachable,
    Status,
    Trouble,
    Verdict,
    WalGap,
    WalStanding,
)
from toban.samples import Batch

PLACE = Path("/var/backups/toban")
NIGHTLY = a_job(schedule="0 2 * * *")
WAL = a_job("wal", method=Method.WAL)


def a_plan(*jobs: Job, **more: Any) -> Plan:  # noqa: ANN401 - any of its keys
    """These jobs, in a repository."""
    return planned(Backups(**{"repository": PLACE, "jobs": jobs or (NIGHTLY,), **more}), (MAIN, HOST))


def known(plan: Plan | None = None, *records: Any, **more: Any) -> Known:  # noqa: ANN401 - any of its parts
    """What is known of `main`."""
    since = {"nightly": START - 30 * DAY, "base": START - 30 * DAY, "wal": START - 30 * DAY}
    return Known(
        **{"plan": plan or a_plan(), "target": "main", "now": START, "records": records, "known_since": since, **more}
    )


def values(batch: Batch) -> dict[str, float]:
    """By the metric's name, less what all have in common, with its labels but the job's."""
    found = {}
    for sample in batch.samples:
        labels = [value for value in sample.labels if value not in ("nightly", "base")]
        name = sample.metric.name.removeprefix("toban_").removeprefix("backup_")
        found[".".join((name, *labels))] = sample.value
    return found


def test_good_backup_is_told_with_its_age_size_and_duration() -> None:
    """The newest one; a failure before it counts no more."""
    old, new = a_record(at=START - 2 * DAY), a_record(at=START - HOUR, size=5000, seconds=120.0)
    failed = a_record(at=START - DAY, status=Status.FAILED, trouble=Trouble.TOOL)
    assert values(told(known(None, new, failed, old))) == {
        "last_success_timestamp_seconds": START - HOUR + 120,
        "duration_seconds": 120.0,
        "size_bytes": 5000.0,
        "age_seconds": HOUR - 120,
        "overdue_seconds": 0.0,
        "failures": 0.0,
        "damaged": 0.0,
        "running": 0.0,
        "unproved_seconds": 2 * DAY - 60,
        "unverified_seconds": HOUR - 120,
        "unread_seconds": 0.0,
    }


def test_job_without_any_backup_is_as_old_as_it_is_known() -> None:
    """So that one that never succeeds is told of as well; of one on demand nothing is expected."""
    found = values(told(known(None, a_record(status=Status.FAILED, at=START - HOUR))))
    assert found == {
        "age_seconds": 30 * DAY,
        "overdue_seconds": 29 * DAY,
        "failures": 1.0,
        "damaged": 0.0,
        "running": 0.0,
    }
    assert "age_seconds" not in values(told(known(a_plan(a_job()))))


def test_failures_count_from_the_last_good_one() -> None:
    """What was stopped by us, or was somebody else's turn, is none; what is damaged is no success."""
    records = [
        a_record(status=Status.RUNNING),
        a_record(status=Status.FAILED, trouble=Trouble.SPACE),
        a_record(status=Status.FAILED, trouble=Trouble.CANCELLED),
        a_record(status=Status.DAMAGED),
        a_record(status=Status.FAILED, trouble=Trouble.TOOL),
        a_record(),
        a_record(status=Status.FAILED, trouble=Trouble.TOOL),
    ]
    assert failures_since_success(records) == 2


def test_running_and_damaged_ones_are_told() -> None:
    """By job."""
    found = values(told(known(None, a_record(status=Status.DAMAGED), running=frozenset({"nightly"}))))
    assert (found["damaged"], found["running"]) == (1.0, 1.0)


def test_belief_has_its_age() -> None:
    """Proven by any of its backups; verified is asked of the newest alone."""
    marks = Marks(verification=verified_at(START - HOUR), proof=proved_at(START - 3 * DAY))
    new, old = a_record(at=START - HOUR), a_record(at=START - 4 * DAY, marks=marks)
    found = values(told(known(None, new, old)))
    assert found["proved_timestamp_seconds"] == START - 3 * DAY
    assert found["unproved_seconds"] == 3 * DAY
    assert found["unverified_seconds"] == HOUR - 60
    seen = values(told(known(None, replace(new, marks=Marks(verification=verified_at(START))), old)))
    assert seen["unverified_seconds"] == 0.0


def test_inconclusive_proof_is_none() -> None:
    """It proves nothing, and takes nothing back."""
    marks = Marks(inconclusive=proved_at(START, Verdict.INCONCLUSIVE))
    found = values(told(known(None, a_record(at=START - DAY, marks=marks))))
    assert "proved_timestamp_seconds" not in found
    assert found["unproved_seconds"] == DAY - 60


def test_proofs_that_nobody_wants_are_not_missed() -> None:
    """Without a schedule, or of a job that it does not name; verification likewise."""
    for proof in (Proof(schedule=None), Proof(jobs=())):
        assert "unproved_seconds" not in values(told(known(a_plan(proof=proof), a_record())))
    assert "unverified_seconds" not in values(told(known(a_plan(a_job(verify=False)), a_record())))


def test_odd_backup_is_told_by_how_odd_it_is() -> None:
    """And what varies without mattering stays within what is usual."""
    past = [a_record(at=START - day * DAY, size=100_000_000, rows=100, seconds=1.0) for day in (2, 3, 4)]
    found = values(told(known(None, a_record(at=START - DAY, size=1_000_000, rows=1, seconds=9.0), *past)))
    assert found["anomaly_ratio.size"] == 0.01
    assert found["anomaly_ratio.duration"] == 3.0
    assert found["anomaly_ratio.rows"] == 0.5


def test_copy_is_behind_by_the_oldest_that_is_missing_there() -> None:
    """Since the newest that is."""
    nas = Copy(name="nas", path=Path("/mnt/nas"))
    there = Marks(copies={"nas": START})
    records = (
        a_record(at=START - HOUR),
        a_record(at=START - DAY),
        a_record(at=START - 2 * DAY, marks=there),
        a_record(at=START - 9 * DAY),
    )
    assert values(told(known(a_plan(copies=(nas,)), *records)))["copy_behind_seconds.nas"] == DAY - 60
    caught_up = (replace(records[0], marks=there), *records[1:])
    assert values(told(known(a_plan(copies=(nas,)), *caught_up)))["copy_behind_seconds.nas"] == 0.0


# --- drills -----------------------------------------------------------------------------------------------------------


def a_drill(*, at: float = START, ok: bool = True, rpo: float | None = 60.0, rto: float | None = 900.0) -> DrillRecord:
    """One that brought everything back."""
    return DrillRecord(
        id=f"{at:.0f}-quarterly",
        name="quarterly",
        target="main",
        backup=a_record("base", method=Method.BASE).id,
        at=at,
        wanted="latest",
        ok=ok,
        recovered_to=None if rpo is None else at - rpo,
        rpo_seconds=rpo,
        rto_seconds=rto,
        restored_bytes=1_000_000,
    )


BASE = a_job("base", method=Method.BASE)
DRILLED = a_plan(BASE, drills=(Drill(name="quarterly", backup="base", rpo_goal=120.0, rto_goal=600.0),))


def test_drill_is_told_beside_its_goals() -> None:
    """How much of each it used, and what it would take for today's size."""
    record = a_record("base", method=Method.BASE, source_bytes=2_000_000)
    found = values(told(known(DRILLED, record, drills=(a_drill(ok=False),))))
    assert {name: value for name, value in found.items() if name.startswith(("rpo", "rto", "drill"))} == {
        "rpo_seconds": 60.0,
        "rto_seconds": 900.0,
        "rpo_goal_seconds": 120.0,
        "rto_goal_seconds": 600.0,
        "rpo_used_ratio": 0.5,
        "rto_used_ratio": 1.5,
        "rto_forecast_seconds": 1800.0,
        "drill_failed.quarterly": 1.0,
    }


def test_drill_that_came_to_nothing_leaves_the_figures_of_the_one_before() -> None:
    """And says that it failed."""
    found = values(told(known(DRILLED, drills=(a_drill(ok=False, rpo=None, rto=None), a_drill(at=START - DAY)))))
    assert (found["drill_failed.quarterly"], found["rpo_seconds"]) == (1.0, 60.0)
    assert "rto_forecast_seconds" not in found


def test_goals_are_told_before_there_was_a_drill() -> None:
    """And nothing of drills where none is of this target."""
    found = values(told(known(DRILLED)))
    assert {name for name in found if name.startswith(("rpo", "rto", "drill"))} == {
        "rpo_goal_seconds",
        "rto_goal_seconds",
    }
    other = values(told(known(a_plan(drills=()))))
    assert not [name for name in other if name.startswith("rpo")]


# --- WAL --------------------------------------------------------------------------------------------------------------


def a_standing(*reachable: tuple[float, float], **more: Any) -> WalStanding:  # noqa: ANN401 - any of its parts
    """Spans by how long before now they begin and end."""
    spans = tuple(
        Reachable(timeline=1, from_at=START - begins, to_at=START - ends, backup="b") for begins, ends in reachable
    )
    return WalStanding(target="main", reachable=spans, **more)


def of_wal(standing: WalStanding, *records: Any) -> dict[str, float]:  # noqa: ANN401 - records
    """What is told of it."""
    found = values(told(known(a_plan(BASE, WAL), *records, wal=standing, receiving=True)))
    return {name: value for name, value in found.items() if name.startswith("wal")}


def test_wal_is_told_with_its_window_and_what_that_should_be() -> None:
    """Seven days are promised, and reachable."""
    base = a_record("base", method=Method.BASE, at=START - 9 * DAY)
    found = of_wal(a_standing((9 * DAY, 10), size_bytes=500, lag_seconds=10.0), base)
    assert found == {
        "wal_archive_lag_seconds": 10.0,
        "wal_lost_segments": 0.0,
        "wal_late_seconds": 0.0,
        "wal_size_bytes": 500.0,
        "wal_window_seconds": 9 * DAY,
        "wal_window_goal_seconds": 7 * DAY,
        "wal_window_kept_ratio": 1.0,
        "wal_receiving": 1.0,
    }


def test_window_of_a_quiet_server_has_not_shrunk() -> None:
    """Nothing was committed between the last transaction and the newest base: no moment there is another."""
    base = a_record("base", method=Method.BASE, at=START - 9 * DAY)
    spans = a_standing((9 * DAY, 5 * DAY), (60, 60))
    assert of_wal(spans, base)["wal_window_kept_ratio"] == 60 / (7 * DAY)
    quiet = replace(spans.reachable[0], unbroken_to=START - 60)
    assert of_wal(replace(spans, reachable=(quiet, spans.reachable[1])), base)["wal_window_kept_ratio"] == 1.0


def test_window_that_nobody_could_read_is_not_told() -> None:
    """Sealed, and the key is not here: that is no shrinking."""
    found = of_wal(a_standing((60, 60), map_whole=False), a_record("base", method=Method.BASE, at=START - 9 * DAY))
    assert [name for name in found if "window" in name] == []


@pytest.mark.parametrize("damaged", [None, 0, 2])
def test_damaged_wal_is_told_once_it_was_read(damaged: int | None) -> None:
    """Before that there is no value: nobody knows."""
    found = values(told(replace(known(a_plan(BASE, WAL)), wal_damaged=damaged)))
    assert found.get("wal_damaged_segments") == damaged


def test_lost_wal_shrinks_the_window() -> None:
    """It ends at the gap, however much lies before it."""
    gaps = (
        WalGap(timeline=1, from_lsn="0/1", to_lsn="0/3", kind=GapKind.LOST, segments=2),
        WalGap(timeline=1, from_lsn="0/9", to_lsn="0/A", kind=GapKind.UPLOADING, segments=1),
    )
    base = a_record("base", method=Method.BASE, at=START - 9 * DAY)
    found = of_wal(a_standing((9 * DAY, 2 * DAY), (DAY, 0), gaps=gaps), base)
    assert found["wal_lost_segments"] == 2.0
    assert found["wal_window_seconds"] == DAY
    assert found["wal_window_kept_ratio"] == pytest.approx(1 / 7)


def test_wal_is_late_beyond_what_its_job_allows() -> None:
    """Five minutes."""
    assert of_wal(a_standing(lag_seconds=300.0))["wal_late_seconds"] == 0.0
    assert of_wal(a_standing(lag_seconds=301.0))["wal_late_seconds"] == 301.0
    assert "wal_late_seconds" not in of_wal(a_standing())


def test_window_is_not_missed_before_it_can_be_there() -> None:
    """The goal grows with the oldest base backup that has WAL behind it."""
    young = a_record("base", method=Method.BASE, at=START - DAY, seconds=0.0)
    assert of_wal(a_standing((DAY, 0)), young)["wal_window_goal_seconds"] == DAY
    before_any_wal = a_record("base", method=Method.BASE, at=START - 40 * DAY)
    assert of_wal(a_standing(), before_any_wal)["wal_window_goal_seconds"] == 0.0
    assert "wal_window_kept_ratio" not in of_wal(
        a_standing((60.0, 0)), a_record("base", method=Method.BASE, at=START - 120)
    )


def test_spans_that_touch_are_one_window() -> None:
    """From the newest back to the first break."""
    assert window_seconds(a_standing((9, 4), (5, 1), (20, 12)), START) == 9
    assert window_seconds(a_standing(), START) == 0.0


# --- the repository ---------------------------------------------------------------------------------------------------


def test_repository_is_told_with_its_room() -> None:
    """And when it will be full, where that is known."""
    room = Room(free_bytes=25, total_bytes=100)
    assert values(told_of_repository(START, up=True, room=room, full_in_seconds=None)) == {
        "repository_up": 1.0,
        "repository_free_bytes": 25.0,
        "repository_free_ratio": 0.25,
    }
    found = values(told_of_repository(START, up=True, room=room, full_in_seconds=60.0))
    assert found["repository_full_seconds"] == 60.0


def test_repository_that_is_gone_is_told_as_that() -> None:
    """And nothing is claimed of its room."""
    assert values(told_of_repository(START, up=False, room=None, full_in_seconds=None)) == {"repository_up": 0.0}


def test_backup_that_was_never_proved_is_unproved_since_there_is_one() -> None:
    """Those of then were let go in time: the oldest that is kept is never older than a week."""
    kept = a_record(at=START - 6 * DAY)
    found = values(told(known(None, kept, good_since={"nightly": START - 40 * DAY})))
    assert found["unproved_seconds"] == 40 * DAY
    proven = a_record(at=START - 6 * DAY, marks=Marks(proof=proved_at(START - DAY)))
    found = values(told(known(None, proven, good_since={"nightly": START - 40 * DAY})))
    assert found["unproved_seconds"] == DAY


def test_run_that_is_drawn_out_at_random_is_not_overdue_for_it() -> None:
    """A jitter of four hours: by so much two runs may lie farther apart."""
    plan = a_plan(a_job(schedule="0 2 * * *", jitter=4 * HOUR))
    last = a_record(at=START - DAY - 3 * HOUR, seconds=0.0)
    assert values(told(known(plan, last)))["overdue_seconds"] == 0.0
    assert values(told(known(plan, replace_at(last, START - DAY - 5 * HOUR))))["overdue_seconds"] == HOUR


def replace_at(record: BackupRecord, at: float) -> BackupRecord:
    """The same, made then."""
    return replace(record, manifest=replace(record.manifest, created_at=at, finished_at=at))


def test_backup_that_should_have_been_read_again_is_told() -> None:
    """The one that was read longest ago; not where nobody is to read them."""
    records = [
        a_record(at=START - days * DAY, marks=Marks(verification=verified_at(START - days * DAY))) for days in (1, 9)
    ]
    assert values(told(known(None, *records)))["unread_seconds"] == 2 * DAY
    for plan in (a_plan(reading={"schedule": None}), a_plan(a_job(verify=False))):
        assert "unread_seconds" not in values(told(known(plan, *records)))
