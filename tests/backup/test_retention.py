from collections.abc import Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from backup.retention import Decision, decide, failing_jobs, leapt, removal_order, wal_needed_from
from backup.settings import Keep
from tests.backup.records import BROKEN, DAY, HOUR, NOW, PROVEN, WEEK, a_base, a_record
from toban.backups import (
    BackupRecord,
    Marks,
    Method,
    RestoreProof,
    Status,
    Trouble,
    Verdict,
)


def decided(
    *records: BackupRecord,
    keeps: Mapping[str, Keep] | None = None,
    window: float = WEEK,
    zone: str = "UTC",
    now: float = NOW,
    archived: tuple[str, ...] | None = None,
) -> dict[str, str]:
    """What goes (`-`) and what stays, by the age in days at NOW, with the reason."""
    chosen = keeps or {"nightly": Keep(for_=WEEK, at_least=1), "base": Keep(for_=WEEK, at_least=1)}
    found = decide(records, keeps=chosen, now=now, zone=ZoneInfo(zone), window_seconds=window, archived=archived)
    return {f"{'' if one.keep else '-'}{(NOW - one.record.manifest.created_at) / DAY:g}": one.reason for one in found}


def test_retention_keeps_by_age_and_explains_what_goes() -> None:
    """Younger than seven days stays, older goes, and both say why; the newest is the last good one anyway."""
    assert decided(*(a_record(days) for days in (0, 3, 6.99, 7, 30))) == {
        "0": "the newest good one of nightly",
        "3": "younger than 7d",
        "6.99": "younger than 7d",
        "-7": "7.0 days old, kept for 7d, and enough newer good ones are there",
        "-30": "30.0 days old, kept for 7d, and enough newer good ones are there",
    }


def test_retention_keeps_a_number_however_old() -> None:
    """The newest two good ones stay for years; a damaged one is not counted."""
    keeps = {"nightly": Keep(for_=WEEK, at_least=2)}
    found = decided(
        a_record(100), a_record(101, status=Status.DAMAGED, marks=BROKEN), a_record(102), a_record(103), keeps=keeps
    )
    assert found == {
        "100": "the newest good one of nightly",
        "-101": "damaged, 101.0 days old, kept for 7d, and enough newer good ones are there",
        "102": "one of the 2 that always stay",
        "-103": "103.0 days old, kept for 7d, and enough newer good ones are there",
    }


def test_retention_keeps_the_last_of_days_weeks_and_months() -> None:
    """Generations: the last of each, as many as asked, of days that have one; a day without one is not counted."""
    records = [a_record(days) for days in (0.5, 0.75, 1.5, 4.5, 9.5, 20.5, 40.5, 41.5, 80.5)]
    keep = Keep(for_=HOUR, at_least=1, daily=3, weekly=3, monthly=3)
    found = decided(*records, keeps={"nightly": keep})
    assert {key: why for key, why in found.items() if not key.startswith("-")} == {
        "0.5": "the newest good one of nightly",
        "1.5": "the last of its day, one of 3 days",
        "4.5": "the last of its week, one of 3 weeks",
        "20.5": "the last of its month, one of 3 months",
        "80.5": "the last of its month, one of 3 months",
    }
    assert [key for key in found if key.startswith("-")] == ["-0.75", "-9.5", "-40.5", "-41.5"]


def test_retention_counts_days_in_the_configured_zone() -> None:
    """Two backups of one UTC day are of two days in Tokyo."""
    keep = {"nightly": Keep(for_=HOUR, at_least=1, daily=2)}
    records = (a_record(1.1), a_record(1.5))  # 21:36 and 12:00 UTC of one day: 06:36 of the next, and 21:00, in Tokyo
    assert [key for key in decided(*records, keeps=keep) if key.startswith("-")] == ["-1.5"]
    assert [key for key in decided(*records, keeps=keep, zone="Asia/Tokyo") if key.startswith("-")] == []


def test_retention_never_lets_go_of_the_last_proven_one() -> None:
    """However old: a newer one that nobody has restored is no substitute. One proved damaged is none either."""
    damaged = Marks(proof=RestoreProof(backup="", proved_at=NOW, verdict=Verdict.DAMAGED, reason="x"))
    records = (
        a_record(8),
        a_record(20, marks=PROVEN),
        a_record(30, marks=PROVEN),
        a_record(40, status=Status.DAMAGED, marks=damaged),
    )
    found = decided(*records)
    assert list(found) == ["8", "20", "-30", "-40"]
    assert found["20"] == "the newest proven one of nightly"


def test_retention_lets_go_of_nothing_while_the_newest_attempt_fails() -> None:
    """Failures of weeks remove no backup, and say so; what runs now decides nothing yet; a success ends it."""
    old = [a_record(days) for days in (8, 20, 30)]
    failed = a_record(0.5, status=Status.FAILED)
    why = "the newest attempt of nightly failed: nothing of it goes until one succeeds"
    assert decided(*old, failed) == {"8": why, "20": why, "30": why}
    assert decided(*old, failed, a_record(0.4))["-20"].startswith("20.0 days old")
    assert failing_jobs([*old, failed, a_record(0.1, status=Status.RUNNING)]) == {"nightly"}
    assert failing_jobs([a_record(9, status=Status.FAILED), *old]) == set()
    assert failing_jobs([failed, a_record(0.1, "base", method=Method.BASE)]) == {"nightly"}


def test_retention_lets_go_of_no_good_one_while_the_newest_is_damaged() -> None:
    """Backups that turn out to be damaged night after night are failures too; the damaged ones go by their age."""
    good = [a_record(days) for days in (10, 11)]
    bad = [a_record(days, status=Status.DAMAGED, marks=BROKEN) for days in (8, 9)]
    why = "the newest of nightly is damaged: no good one of it goes until another is made"
    assert decided(*bad, *good) == {
        "8": why,
        "-9": "damaged, 9.0 days old, kept for 7d, and enough newer good ones are there",
        "10": why,
        "11": why,
    }
    assert decided(a_record(0), *bad, *good)["-11"].startswith("11.0 days old")


def test_retention_keeps_what_cannot_be_read() -> None:
    """A disk that fails to read a manifest today may read it tomorrow; one that makes no sense goes by its age."""
    why = "its manifest.json cannot be read: Input/output error"
    unread = replace(a_record(50, status=Status.DAMAGED), trouble=Trouble.REPOSITORY, reason=why)
    found = decided(a_record(0), unread, replace(a_record(51, status=Status.DAMAGED), trouble=Trouble.DAMAGED))
    assert found["50"] == f"nobody knows what it is: {why}"
    assert found["-51"].startswith("damaged, 51.0 days old")


def test_retention_of_one_job_is_not_held_up_by_another() -> None:
    """Where one job fails, the others go on."""
    found = decided(a_base(1), a_base(20), a_base(30), a_record(0.5, status=Status.FAILED), archived=())
    assert list(found) == ["1", "-20", "-30"]


def test_retention_keeps_what_is_pinned() -> None:
    """A pin holds whatever else is true, and its reason is told."""
    found = decided(
        a_record(0), a_record(99, marks=Marks(pinned="audit of 2026")), a_record(98, marks=Marks(pinned=""))
    )
    assert (found["99"], found["98"]) == ("pinned: audit of 2026", "pinned: it is to stay")


def test_retention_leaves_jobs_that_nobody_configured() -> None:
    """A job taken out of the configuration keeps its backups until somebody decides."""
    assert decided(a_record(99, "old")) == {"99": "no job old is configured any more: nobody says how long it stays"}


def test_retention_keeps_a_damaged_one_that_is_all_there_is() -> None:
    """Something may be saved out of it."""
    assert decided(a_record(50, status=Status.DAMAGED, marks=BROKEN)) == {
        "50": "there is no good one: a damaged one is better than none"
    }


def test_retention_keeps_what_kept_ones_build_on() -> None:
    """Parents and theirs stay with the child, even damaged ones; a child whose parent is gone is not good."""
    full = a_base(30)
    differential = a_base(20, "daily", parent=full)
    incremental = a_base(3, "daily", parent=differential)
    orphan = a_base(2, "daily", parent=a_base(99, "gone"))
    keeps = {name: Keep(for_=WEEK, at_least=1) for name in ("base", "daily")}
    found = decided(full, a_base(1), differential, incremental, orphan, keeps=keeps, archived=())
    assert found == {
        "1": "the newest good one of base",
        "2": "younger than 7d",
        "3": "the newest good one of daily",
        "20": f"{incremental.id} builds on it",
        "30": f"{incremental.id} builds on it",
    }


def test_retention_counts_what_shares_a_full_one_once() -> None:
    """Two incrementals of one full backup are lost together: they are no two backups."""
    first, second = a_base(40), a_base(20)
    daily = [a_base(days, "daily", parent=second) for days in (10, 11, 12)]
    older = [a_base(days, "daily", parent=first) for days in (30, 31)]
    keeps = {"daily": Keep(for_=WEEK, at_least=2), "base": Keep(for_=WEEK, at_least=1)}
    found = decided(first, second, *daily, *older, keeps=keeps, archived=())
    assert [key for key in found if not key.startswith("-")] == ["10", "20", "30", "40"]


def test_retention_keeps_the_base_that_the_window_begins_with() -> None:
    """The newest full base from before the window stays, though its own time is over: WAL starts from it."""
    bases = [a_base(days) for days in (1, 6, 8, 15, 22)]
    found = decided(*bases)
    assert list(found) == ["1", "6", "8", "-15", "-22"]
    assert found["8"] == "the window of 7d begins with it"
    assert list(decided(*bases, archived=("main",))) == ["1", "6", "8", "-15", "-22"]
    assert list(decided(*bases, archived=())) == ["1", "6", "-8", "-15", "-22"]


def test_retention_does_not_begin_the_window_with_the_newest_base() -> None:
    """When the next is late, or the clock set some weeks ahead, the one before the newest stays as well."""
    bases = [a_base(days, start_lsn=f"0/{int(100 - days)}", timeline=1) for days in (8, 15, 22)]
    assert list(decided(*bases)) == ["8", "15", "-22"]
    ids = {one.id for one in bases}
    assert wal_needed_from(bases, ids, NOW, WEEK) == {1: "0/85"}
    assert wal_needed_from(bases[:1], ids, NOW, WEEK) == {1: "0/92"}
    assert list(decided(bases[0])) == ["8"]


def test_wal_is_needed_from_the_oldest_base_after_a_leap_of_the_clock() -> None:
    """Set ten years ahead, the window begins nowhere that could be known: all that a base could use stays."""
    bases = [a_base(days, start_lsn=f"0/{int(100 - days)}", timeline=1) for days in (1, 8, 15)]
    assert wal_needed_from(bases, {one.id for one in bases}, NOW + 3650 * DAY, WEEK) == {1: "0/85"}


def test_retention_takes_no_damaged_or_incremental_base_for_the_window() -> None:
    """Only a full and whole one reaches all of it."""
    full = a_base(20)
    found = decided(
        a_base(1),
        a_base(8, status=Status.DAMAGED, marks=BROKEN),
        a_base(9, parent=full),
        full,
        a_base(30),
    )
    assert [key for key in found if not key.startswith("-")] == ["1", "20"]
    assert found["20"] == "the window of 7d begins with it"


def test_retention_lets_go_of_nothing_beside_what_is_being_made() -> None:
    """An incremental backup under way may build on any of the target; other targets go on."""
    running = a_base(0, "daily", status=Status.RUNNING)
    found = decided(running, a_base(1), a_base(40), a_base(1, target="shop"), a_base(41, target="shop"), archived=())
    assert found["40"] == f"{running.id} is being made, and may build on it"
    assert "-41" in found


def test_retention_keeps_what_is_of_the_future() -> None:
    """After the clock was set back, what seems to be made tomorrow stays, and what is made now as well."""
    found = decided(a_record(-365), a_record(-364), a_record(0), a_record(1))
    assert list(found) == ["-365", "-364", "0", "1"]
    assert found["-364"] == "it is of the future: the clock was set"


def test_retention_waits_after_a_leap_of_the_clock() -> None:
    """A clock set ten years ahead makes everything old at once: nothing goes until two more are made."""
    old = [a_record(days) for days in (0, 1, 2, 3)]
    future = NOW + 3650 * DAY
    why = "more than a year without a good one: the clock may have leapt, nothing goes until two more are made"
    assert set(decided(*old, now=future).values()) == {why, "the newest good one of nightly"}
    one_more = [*old, a_record(-3650)]
    assert set(decided(*one_more, now=future + HOUR).values()) == {why, "the newest good one of nightly"}
    assert not leapt([a_record(-3651), a_record(-3650), *old], NOW + 3651 * DAY)


def test_order_of_removal_takes_children_first() -> None:
    """Whatever stops it half-way leaves no child without its parent."""
    full = a_base(30)
    first = a_base(29, "daily", parent=full)
    second = a_base(28, "daily", parent=first)
    decisions = [Decision(record=one, keep=False, reason="") for one in (full, second, first, a_base(50))]
    order = [one.id for one in removal_order([*decisions, Decision(record=a_base(1), keep=True, reason="")])]
    assert order == [second.id, first.id, *(one.id for one in (a_base(50), full))]


# --- WAL --------------------------------------------------------------------------------------------------------------


def test_wal_is_needed_from_the_base_that_the_window_begins_with() -> None:
    """Not from the newest base, nor from an old one that a month keeps."""
    bases = [
        a_base(60, start_lsn="0/100", timeline=1),
        a_base(15, start_lsn="0/F00", timeline=1),
        a_base(8, start_lsn="1/0", timeline=1),
        a_base(1, start_lsn="2/0", timeline=1),
    ]
    ids = {one.id for one in bases}
    assert wal_needed_from(bases, ids, NOW, WEEK) == {1: "1/0"}
    assert wal_needed_from(bases, ids - {bases[2].id}, NOW, WEEK) == {1: "0/F00"}
    assert wal_needed_from(bases, ids, NOW, 90 * DAY) == {1: "0/100"}


def test_wal_is_needed_on_each_timeline_from_its_lowest_base() -> None:
    """LSNs are numbers, compared on their own timeline."""
    bases = [
        a_base(9, start_lsn="9/0", timeline=1),
        a_base(5, start_lsn="10/0", timeline=2),
        a_base(3, start_lsn="A/0", timeline=2),
        a_base(2, start_lsn="11/0", timeline=None),
    ]
    assert wal_needed_from(bases, {one.id for one in bases}, NOW, WEEK) == {1: "9/0", 2: "A/0"}


@pytest.mark.parametrize(
    "base",
    [
        a_base(9, start_lsn="1/0", status=Status.DAMAGED),
        a_base(9),
        a_base(9, start_lsn="1/0", parent=a_base(10)),
        a_record(9, start_lsn="1/0"),
    ],
)
def test_wal_without_a_good_base_is_not_judged(base: BackupRecord) -> None:
    """No base that could be restored: nothing is said, so that nothing is removed."""
    assert wal_needed_from([base], {base.id}, NOW, WEEK) == {}
