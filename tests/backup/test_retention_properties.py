from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from backup.retention import Decision, decide, failing_jobs, wal_needed_from
from backup.settings import Keep
from tests.backup.records import DAY, NOW, PROVEN, WEEK, a_base
from toban.backups import (
    BackupRecord,
    Marks,
    Scope,
    Status,
)

# --- properties -------------------------------------------------------------------------------------------------------

UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the machine may be busy


@st.composite
def histories(draw: st.DrawFn) -> list[BackupRecord]:
    """Backups of two jobs, the second building on the first or itself, some failed, damaged, proven, pinned."""
    found: list[BackupRecord] = []
    for days in sorted(draw(st.sets(st.integers(-3, 500), max_size=14)), reverse=True):
        name = draw(st.sampled_from(("base", "daily")))
        parents = [one for one in found if one.status is not Status.FAILED]
        parent = draw(st.sampled_from(parents)) if name == "daily" and parents else None
        status = draw(st.sampled_from((Status.OK, Status.OK, Status.OK, Status.DAMAGED, Status.FAILED)))
        marks = draw(st.sampled_from((Marks(), PROVEN, Marks(pinned="x"))))
        found.append(a_base(days, name, status=status, marks=marks, parent=parent))
    return draw(st.permutations(found))


keep_rules = st.builds(
    Keep,
    for_=st.integers(1, 60).map(lambda days: days * DAY),
    at_least=st.integers(1, 4),
    daily=st.integers(0, 3),
    weekly=st.integers(0, 3),
    monthly=st.integers(0, 3),
)


def outcome(records: Iterable[BackupRecord], keep: Keep, now: float = NOW) -> tuple[Decision, ...]:
    """What is decided by one rule for both jobs."""
    return decide(records, keeps={"base": keep, "daily": keep}, now=now, zone=UTC, window_seconds=WEEK)


@UNHURRIED
@given(histories(), keep_rules)
def test_retention_leaves_every_kept_one_restorable(records: list[BackupRecord], keep: Keep) -> None:
    """Whatever is kept has all that it builds on, as far as that was there; each is decided once, with a reason."""
    decisions = outcome(records, keep)
    there = {record.id for record in records if record.status is not Status.FAILED}
    assert sorted(one.record.id for one in decisions) == sorted(there)
    assert all(one.reason for one in decisions)
    kept = {one.record.id for one in decisions if one.keep}
    assert all(
        one.record.manifest.parent in kept for one in decisions if one.keep and one.record.manifest.parent in there
    )


@UNHURRIED
@given(histories(), keep_rules)
def test_retention_leaves_the_last_good_and_the_last_proven(records: list[BackupRecord], keep: Keep) -> None:
    """Of each job the newest that can be restored, and the newest that was; pins; and at least as many as promised."""
    kept = {one.record.id for one in outcome(records, keep) if one.keep}
    by_id = {one.id: one for one in records if one.status in (Status.OK, Status.DAMAGED)}

    def good(record: BackupRecord | None) -> bool:
        if record is None or record.status is not Status.OK:
            return False
        return record.manifest.parent is None or good(by_id.get(record.manifest.parent))

    for job in ("base", "daily"):
        mine = sorted((one for one in by_id.values() if one.manifest.name == job and good(one)), key=lambda one: one.id)
        proven = [one for one in mine if one.proved_at is not None]
        assert all(some[-1].id in kept for some in (mine, proven) if some)
        if job == "base":
            assert {one.id for one in mine[-keep.at_least :]} <= kept
    assert {one.id for one in by_id.values() if one.marks.pinned} <= kept


@UNHURRIED
@given(histories(), keep_rules)
def test_retention_lets_go_of_nothing_of_a_failing_job(records: list[BackupRecord], keep: Keep) -> None:
    """Whatever the rule: while the newest attempt is a failure, all of the job stays."""
    failing = failing_jobs(records)
    assert all(one.keep for one in outcome(records, keep) if one.record.manifest.name in failing)


@UNHURRIED
@given(histories(), keep_rules)
def test_retention_decides_the_same_once_it_has_acted(records: list[BackupRecord], keep: Keep) -> None:
    """What was kept is kept when it is asked again at once: nothing slips away by repeating it."""
    decisions = outcome(records, keep)
    gone = {one.record.id for one in decisions if not one.keep}
    again = outcome([one for one in records if one.id not in gone], keep)
    assert all(one.keep for one in again)


@UNHURRIED
@given(histories(), keep_rules, st.integers(1, 10))
def test_retention_keeps_no_less_when_it_is_asked_to_keep_more(
    records: list[BackupRecord], keep: Keep, more: int
) -> None:
    """A longer time, a higher number, more generations: none that was kept goes."""
    longer = Keep(
        for_=keep.for_ + more * DAY,
        at_least=keep.at_least + more,
        daily=keep.daily + more,
        weekly=keep.weekly,
        monthly=keep.monthly + 1,
    )
    less = {one.record.id for one in outcome(records, keep) if one.keep}
    assert less <= {one.record.id for one in outcome(records, longer) if one.keep}


@UNHURRIED
@given(histories(), keep_rules)
def test_wal_of_the_window_is_needed(records: list[BackupRecord], keep: Keep) -> None:
    """From the newest full base of before the window on, whatever else was let go."""
    with_lsn = [
        replace(one, manifest=replace(one.manifest, start_lsn=f"0/{int(one.manifest.created_at):X}", timeline=1))
        for one in records
    ]
    kept = {one.record.id for one in outcome(with_lsn, keep) if one.keep}
    whole = [
        one
        for one in with_lsn
        if one.status is Status.OK and one.manifest.scope is Scope.FULL and one.manifest.finished_at <= NOW - WEEK
    ]
    needed = wal_needed_from(with_lsn, kept, NOW, WEEK)
    if whole:
        assert int(needed[1].partition("/")[2], 16) <= max(int(one.manifest.created_at) for one in whole)
